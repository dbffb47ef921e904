//! Networks trained by mini-batches on small problems.

#![expect(clippy::float_cmp, reason = "these values are exact")]

use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use softmax::{
    Model, Moments, Network, Optimizer, Options, Recipe, Samples, Standardization, fit,
    fit_network, score,
};

fn recipe(hidden: usize) -> Recipe {
    Recipe {
        levels: None,
        hidden,
        members: 1,
        dropout: 0.0,
        smoothing: 0.0,
        optimizer: Optimizer::AdamW,
        learning_rate: 0.02,
        weight_decay: 0.0,
        batch: 32,
        epochs: 60,
        seed: 1,
    }
}

/// Points around one centre a class.
fn clusters(rows: usize, features: usize, classes: usize) -> (Array2<f32>, Vec<usize>) {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let centres: Array2<f32> =
        Array2::from_shape_simple_fn((classes, features), || random.random_range(-1.0..1.0));
    let y: Vec<usize> = (0..rows).map(|row| row % classes).collect();
    let x = Array2::from_shape_fn((rows, features), |(row, column)| {
        centres[[y[row], column]] + random.random_range(-1.5..1.5)
    });
    (x, y)
}

/// Four corners of a square, of which opposite ones are alike: no line divides them.
fn corners(rows: usize) -> (Array2<f32>, Vec<usize>) {
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let side = |bit: usize| if bit == 1 { 1.0 } else { -1.0 };
    let x = Array2::from_shape_fn((rows, 2), |(row, column)| {
        side(row >> column & 1) + random.random_range(-0.6..0.6)
    });
    (x, (0..rows).map(|row| (row & 1) ^ (row >> 1 & 1)).collect())
}

fn top1(network: &Network, x: &Array2<f32>, y: &[usize]) -> f64 {
    score(network.logits(x.view()).view(), y).top1
}

#[test]
fn a_hidden_layer_learns_what_no_line_divides() {
    let (x, y) = corners(400);
    let samples = Samples::new(x.view(), &y, 2).unwrap();
    let linear = fit_network(&samples, &recipe(0), || true, |_, _, _| true);
    let hidden = fit_network(&samples, &recipe(16), || true, |_, _, _| true);
    assert!(top1(&linear, &x, &y) < 0.8);
    assert_eq!(top1(&hidden, &x, &y), 1.0);
}

#[test]
fn a_tiny_set_is_learned_by_heart() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let x = Array2::from_shape_simple_fn((24, 40), || random.random_range(-1.0..1.0));
    let y: Vec<usize> = (0..24).map(|_| random.random_range(0..5)).collect();
    let samples = Samples::new(x.view(), &y, 5).unwrap();
    let recipe = Recipe { epochs: 150, ..recipe(32) };
    let network = fit_network(&samples, &recipe, || true, |_, _, _| true);
    let found = score(network.logits(x.view()).view(), &y);
    assert_eq!(found.top1, 1.0);
    assert!(found.loss < 0.05, "{found:?}");
}

/// The finished network normalises by running statistics, which at the end of the schedule are
/// those of the data: its loss is that of training.
#[test]
fn the_finished_network_has_the_loss_of_training() {
    let (x, y) = clusters(1200, 8, 4);
    let samples = Samples::new(x.view(), &y, 4).unwrap();
    let recipe = Recipe { batch: 200, ..recipe(32) };
    let mut last = 0.0;
    let network = fit_network(
        &samples,
        &recipe,
        || true,
        |_, loss, _| {
            last = loss;
            true
        },
    );
    let found = score(network.logits(x.view()).view(), &y).loss;
    assert!((found - last).abs() < 0.05 * (1.0 + last), "{found} and {last}");
}

/// Without a hidden layer the objective is that of the other solver with λ = 0.
#[test]
fn without_a_hidden_layer_it_reaches_the_linear_optimum() {
    let (x, y) = clusters(2000, 6, 4);
    let samples = Samples::new(x.view(), &y, 4).unwrap();
    let best = fit(&samples, 1e-9, &Model::zeros(4, 6), &Options::default(), |_| true);
    let network = fit_network(&samples, &recipe(0), || true, |_, _, _| true);
    let (found, best) = (score(network.logits(x.view()).view(), &y), best.model.score(&samples));
    assert!(found.loss < best.loss + 1e-3, "{found:?} and {best:?}");
}

#[test]
fn thread_counts_do_not_change_a_bit() {
    // More units than one task computes, more features than one task moves.
    let (x, y) = clusters(300, 700, 4);
    let recipe = Recipe { hidden: 300, dropout: 0.3, smoothing: 0.1, epochs: 2, ..recipe(0) };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let samples = Samples::new(x.view(), &y, 4).unwrap();
            [recipe.clone(), Recipe { hidden: 0, ..recipe.clone() }]
                .map(|recipe| fit_network(&samples, &recipe, || true, |_, _, _| true))
        })
    };
    let one = on(1);
    assert!(one == on(2) && one == on(3));
}

#[test]
fn the_seed_decides_and_the_observer_may_stop() {
    let (x, y) = clusters(100, 5, 3);
    let samples = Samples::new(x.view(), &y, 3).unwrap();
    let train = |seed| {
        fit_network(&samples, &Recipe { seed, ..recipe(8) }, || true, |epoch, _, _| epoch < 3)
    };
    assert_eq!(train(1), train(1));
    assert_ne!(train(1), train(2));
    let mut seen = Vec::new();
    fit_network(
        &samples,
        &recipe(8),
        || true,
        |epoch, loss, _| {
            seen.push((epoch, loss));
            epoch < 3
        },
    );
    assert_eq!(seen.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(seen[2].1 < seen[0].1);
}

#[test]
fn moments_of_blocks_are_those_of_the_whole() {
    let (mut x, _) = clusters(1000, 6, 3);
    x.column_mut(2).fill(7.0);
    x.column_mut(3).mapv_inplace(|value| 1e5 + value);
    let mut moments = Moments::default();
    for block in x.axis_chunks_iter(ndarray::Axis(0), 130) {
        moments.merge(&Moments::of(block));
    }
    let (found, expected) = (moments.standardization(), Standardization::fit(x.view()));
    let near = |a: f32, b: f32| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
    assert!(found.mean.iter().zip(&expected.mean).all(|(a, b)| near(*a, *b)));
    assert!(found.scale.iter().zip(&expected.scale).all(|(a, b)| near(*a, *b)));
    assert_eq!(found.scale[2], 1.0);
}
