//! The gradient against finite differences of a loss written a second time, in f64.

use ndarray::array;

use super::*;
use crate::hidden::drop_units;

const FEATURES: usize = 5;
const CLASSES: usize = 3;

fn recipe(hidden: usize, dropout: f32, smoothing: f32) -> Recipe {
    Recipe {
        hidden,
        dropout,
        smoothing,
        optimizer: Optimizer::AdamW,
        learning_rate: 0.01,
        weight_decay: 0.0,
        batch: 16,
        epochs: 1,
        seed: 3,
    }
}

fn rows(count: usize) -> (Array2<f32>, Vec<usize>) {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let x = Array2::from_shape_simple_fn((count, FEATURES), || random.random_range(-2.0..2.0));
    (x, (0..count).map(|row| row * row % CLASSES).collect())
}

/// All parameters in f64: those of the hidden layer, if there is one, then weights and bias.
fn parameters(trainer: &Trainer) -> Vec<Array2<f64>> {
    let hidden = trainer.hidden.iter().flat_map(Hidden::parameters);
    let all = hidden.chain([&trainer.weights, &trainer.bias]);
    all.map(|parameter| parameter.values.mapv(f64::from)).collect()
}

fn gradients(trainer: &Trainer) -> Vec<Array2<f32>> {
    let hidden = trainer.hidden.iter().flat_map(Hidden::parameters);
    hidden.chain([&trainer.weights, &trainer.bias]).map(Parameter::first_gradient).collect()
}

/// The mean loss by the book; `mask` `[rows, units]` is what dropout multiplies with.
fn loss(
    parameters: &[Array2<f64>],
    x: &Array2<f64>,
    y: &[usize],
    mask: &Array2<f64>,
    smoothing: f64,
) -> f64 {
    let (hidden, last) = parameters.split_at(parameters.len() - 2);
    let values = if let [weights, scale, shift] = hidden {
        let sums = x.dot(weights);
        let mean = sums.mean_axis(Axis(0)).unwrap();
        let deviation = sums.var_axis(Axis(0), 0.0).mapv(|variance| (variance + 1e-5).sqrt());
        ((sums - mean) / deviation * scale + shift).mapv(|value| value.max(0.0)) * mask
    } else {
        x.clone()
    };
    let logits = values.dot(&last[0]) + &last[1];
    let total: f64 = logits
        .rows()
        .into_iter()
        .zip(y)
        .map(|(row, &label)| {
            let sum: f64 = row.iter().map(|value| value.exp()).sum();
            let loss = |class: usize| sum.ln() - row[class];
            let mean = (0..CLASSES).map(loss).sum::<f64>() / CLASSES as f64;
            (1.0 - smoothing) * loss(label) + smoothing * mean
        })
        .sum();
    total / y.len() as f64
}

fn check(recipe: &Recipe) {
    let (x, y) = rows(40);
    let mut trainer = Trainer::new(FEATURES, CLASSES, 40, recipe);
    // Zeros would hide mistakes in what is multiplied with them.
    trainer.bias.values = array![[0.3, -0.2, 0.1]];
    trainer.weights.values.mapv_inplace(|value| value + 0.1);
    let mut mask = Array2::ones((40, recipe.hidden));
    drop_units(&mut mask, recipe.dropout, &mut trainer.random.clone());
    let mask = mask.mapv(f64::from);
    let (x64, smoothing) = (x.mapv(f64::from), f64::from(recipe.smoothing));
    let at = parameters(&trainer);
    let found = trainer.step(x.view(), &y);
    assert!((found - loss(&at, &x64, &y, &mask, smoothing)).abs() < 1e-5);
    for (index, gradient) in gradients(&trainer).iter().enumerate() {
        for (place, &slope) in gradient.indexed_iter() {
            let shifted = |by: f64| {
                let mut parameters = at.clone();
                parameters[index][place] += by;
                loss(&parameters, &x64, &y, &mask, smoothing)
            };
            let expected = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            let off = (f64::from(slope) - expected).abs();
            assert!(off < 2e-5, "parameter {index} at {place:?}: {slope}, not {expected}");
        }
    }
}

#[test]
fn gradients_equal_central_differences() {
    check(&recipe(0, 0.0, 0.0));
    check(&recipe(0, 0.0, 0.2));
    check(&recipe(7, 0.0, 0.1));
    check(&recipe(7, 0.4, 0.1));
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let mut values = Array2::ones((200, 100));
    drop_units(&mut values, 0.25, &mut ChaCha8Rng::seed_from_u64(1));
    let dropped = values.iter().filter(|value| **value == 0.0).count() as f64 / 20_000.0;
    assert!((dropped - 0.25).abs() < 0.01, "{dropped}");
    assert!((values.mean().unwrap() - 1.0).abs() < 0.02);
}

#[test]
fn batches_cover_all_rows_in_nearly_equal_parts() {
    for (rows, batch) in [(1, 256), (300, 256), (400, 256), (1000, 7), (512, 256)] {
        let parts = batches(rows, batch);
        assert_eq!(parts.iter().map(std::ops::Range::len).sum::<usize>(), rows);
        let (least, most) = (
            parts.iter().map(ExactSizeIterator::len).min(),
            parts.iter().map(ExactSizeIterator::len).max(),
        );
        assert!(most.unwrap() - least.unwrap() <= 1);
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
    }
}

#[test]
fn logits_of_1000_have_a_finite_loss() {
    let mut logits = array![[1000.0, -1000.0, 0.0]];
    let loss = residuals(&mut logits, &[1], 0.0);
    assert!((loss - 2000.0).abs() < 1e-3);
    assert_eq!(logits, array![[1.0, -1.0, 0.0]]);
}
