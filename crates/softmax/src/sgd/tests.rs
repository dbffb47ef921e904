//! The gradient against finite differences of a loss written a second time, in f64.

use ndarray::array;
use rand::Rng;

use super::*;
use crate::Map;
use crate::hidden::{Hidden, drop_units};
use crate::member::residuals;
use crate::stack::Stack;
use crate::step::Parameter;

const FEATURES: usize = 5;
const CLASSES: usize = 3;

fn recipe(hidden: usize, dropout: f32, smoothing: f32) -> Recipe {
    Recipe {
        levels: None,
        hidden,
        members: 1,
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

/// Those of the hidden layer, if there is one, then weights and bias.
fn all(trainer: &Trainer) -> impl Iterator<Item = &Parameter> {
    trainer.members.iter().flat_map(|member| {
        let stack = member.stack.iter().flat_map(Stack::parameters);
        let hidden = member.hidden.iter().flat_map(Hidden::parameters);
        stack.chain(hidden).chain([&member.last.weights, &member.last.bias])
    })
}

/// All parameters in f64.
fn parameters(trainer: &Trainer) -> Vec<Array2<f64>> {
    all(trainer).map(|parameter| parameter.values.mapv(f64::from)).collect()
}

fn gradients(trainer: &Trainer) -> Vec<Array2<f32>> {
    all(trainer).map(Parameter::first_gradient).collect()
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
    let last = &mut trainer.members[0].last;
    last.bias.values = array![[0.3, -0.2, 0.1]];
    last.weights.values.mapv_inplace(|value| value + 0.1);
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

/// Members that begin alike and drop nothing learn what one of them learns alone.
#[test]
fn members_learn_side_by_side_and_are_averaged() {
    let (x, y) = rows(40);
    let alone = recipe(4, 0.0, 0.1);
    let mut one = Trainer::new(FEATURES, CLASSES, 40, &alone);
    let mut two = Trainer::new(FEATURES, CLASSES, 40, &Recipe { members: 2, ..alone });
    two.members = vec![one.members[0].clone(), one.members[0].clone()];
    for _ in 0..3 {
        let (alone, together) = (one.step(x.view(), &y), two.step(x.view(), &y));
        assert!((alone - together).abs() < 1e-6);
    }
    let (one, two) = (one.network().logits(x.view()), two.network().logits(x.view()));
    assert!((one - two).iter().all(|difference| difference.abs() < 1e-5));
}

#[test]
fn the_networks_logits_are_the_mean_of_the_members() {
    let levels = Levels::new(
        vec![
            Map { channels: 1, side: 2 },
            Map { channels: 2, side: 4 },
            Map { channels: 3, side: 2 },
        ],
        vec![3, 2],
    );
    let levels = levels.unwrap();
    for (levels, hidden) in [(None, 4), (Some(levels.clone()), 0), (Some(levels), 4)] {
        let features = levels.as_ref().map_or(FEATURES, Levels::features);
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let x = Array2::from_shape_simple_fn((40, features), || random.random_range(-2.0..2.0));
        let (_, y) = rows(40);
        let recipe = Recipe { levels: levels.clone(), members: 3, ..recipe(hidden, 0.0, 0.0) };
        let mut trainer = Trainer::new(features, CLASSES, 40, &recipe);
        trainer.step(x.view(), &y);
        let member = |index: usize| {
            finished(&trainer.members[index..=index], levels.as_ref()).logits(x.view())
        };
        let mean = (member(0) + member(1) + member(2)) / 3.0;
        assert_ne!(member(0), member(1));
        let found = trainer.network().logits(x.view());
        assert!((found - mean).iter().all(|difference| difference.abs() < 1e-5));
    }
}

/// The loss, as a function of the parameters alone, of a small network with convolutions against
/// its gradients.
#[test]
fn gradients_of_convolutions_equal_central_differences() {
    let maps = vec![Map { channels: 2, side: 4 }, Map { channels: 1, side: 2 }];
    let levels = Levels::new(maps, vec![3, 2]).unwrap();
    let features = levels.features();
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let x = Array2::from_shape_simple_fn((12, features), || random.random_range(-2.0..2.0));
    let (_, y) = rows(12);
    let recipe = Recipe { levels: Some(levels), ..recipe(5, 0.0, 0.1) };
    let fresh = Trainer::new(features, CLASSES, 12, &recipe);
    let mut trainer = fresh.clone();
    trainer.step(x.view(), &y);
    let loss = |index: usize, place: (usize, usize), by: f32| {
        let mut other = fresh.clone();
        all_mut(&mut other)[index].values[place] += by;
        other.step(x.view(), &y)
    };
    let mut compared = 0;
    for (index, gradient) in gradients(&trainer).iter().enumerate() {
        for (place, &slope) in gradient.indexed_iter().step_by(1 + index % 3) {
            let expected = (loss(index, place, 2e-3) - loss(index, place, -2e-3)) / 4e-3;
            // A rectifier or a largest cell may change over between the two.
            let off = (f64::from(slope) - expected).abs();
            assert!(
                off < 4e-3 + 0.03 * expected.abs(),
                "{index} {place:?}: {slope}, not {expected}"
            );
            compared += 1;
        }
    }
    assert!(compared > 100);
}

fn all_mut(trainer: &mut Trainer) -> Vec<&mut Parameter> {
    let member = &mut trainer.members[0];
    let stack = member.stack.iter_mut().flat_map(Stack::parameters_mut);
    let hidden = member.hidden.iter_mut().flat_map(Hidden::parameters_mut);
    stack.chain(hidden).chain([&mut member.last.weights, &mut member.last.bias]).collect()
}
