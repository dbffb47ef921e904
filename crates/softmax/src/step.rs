//! A step by mini-batches, under a learning rate that rises linearly and falls along a cosine.

use std::f64::consts::PI;

use matrix::multiply;
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Zip};
use serde::{Deserialize, Serialize};

use crate::Recipe;

/// Decay of the running means of gradients and of their squares.
const DECAY: (f64, f64) = (0.9, 0.999);

/// Keeps the division finite where gradients vanish.
const EPSILON: f32 = 1e-8;

/// Share of all steps in which the learning rate rises.
const WARM_UP: f64 = 0.1;

/// Rows of a parameter whose gradient is computed and used by one task, while it is in the
/// cache. Fixed, and each number is one sum over the batch: threads don't change a bit.
const BLOCK_ROWS: usize = 256;

/// How parameters go along their gradients. A step doesn't follow the batch's gradient but the
/// running mean of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Each one's mean is divided by the root of the running mean of its squares (Loshchilov &
    /// Hutter, 2019, "Decoupled Weight Decay Regularization").
    AdamW,
    /// By the mean itself, so that the weight decay is the penalty λ of the objective (Polyak,
    /// 1964, "Some methods of speeding up the convergence of iteration methods").
    Momentum,
}

/// What one step does to every parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    optimizer: Optimizer,
    /// Learning rate.
    length: f32,
    /// Share of itself that a weight loses.
    decay: f32,
    /// What makes up for running means that started at 0.
    correction: (f32, f32),
}

impl Rate {
    /// The rate of step `step` (from 0), at this share of the whole training.
    pub(crate) fn new(step: usize, at: f64, recipe: &Recipe) -> Self {
        let rate = recipe.learning_rate * schedule(at);
        let correction = |decay: f64| (1.0 - decay.powf((step + 1) as f64)).recip() as f32;
        Self {
            optimizer: recipe.optimizer,
            length: rate as f32,
            decay: (rate * recipe.weight_decay) as f32,
            correction: (correction(DECAY.0), correction(DECAY.1)),
        }
    }

    /// The same without decay: for shifts and scales.
    pub(crate) fn without_decay(self) -> Self {
        Self { decay: 0.0, ..self }
    }
}

/// The learning rate as a share of its highest, from `at` 0 to 1: up in the first tenth, then
/// half a cosine down to 0.
fn schedule(at: f64) -> f64 {
    if at < WARM_UP {
        at / WARM_UP
    } else {
        0.5 * (1.0 + (PI * (at - WARM_UP) / (1.0 - WARM_UP)).cos())
    }
}

/// A matrix of parameters with the running means of its gradient.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    /// `[inputs, outputs]`
    pub(crate) values: Array2<f32>,
    first: Array2<f32>,
    second: Array2<f32>,
}

impl Parameter {
    pub(crate) fn new(values: Array2<f32>) -> Self {
        let zeros = Array2::zeros(values.dim());
        Self { first: zeros.clone(), second: zeros, values }
    }

    /// A step along the gradient inputsᵀ · errors; `inputs` is `[rows, inputs]`, `errors`
    /// `[rows, outputs]`.
    pub(crate) fn descend(&mut self, inputs: ArrayView2<f32>, errors: ArrayView2<f32>, rate: Rate) {
        let inputs = inputs.axis_chunks_iter(Axis(1), BLOCK_ROWS);
        self.blocks().zip(inputs).for_each(|(mut block, inputs)| {
            let mut gradient = Array2::zeros(block.values.dim());
            multiply(inputs.t(), errors, gradient.view_mut());
            block.follow(gradient.view(), rate);
        });
    }

    /// A step along the gradient, `[inputs, outputs]`.
    pub(crate) fn follow(&mut self, gradient: ArrayView2<f32>, rate: Rate) {
        let gradients = gradient.axis_chunks_iter(Axis(0), BLOCK_ROWS);
        self.blocks().zip(gradients).for_each(|(mut block, gradient)| block.follow(gradient, rate));
    }

    /// The parts that tasks move.
    fn blocks(&mut self) -> impl IndexedParallelIterator<Item = Block<'_>> {
        let (first, second) = (&mut self.first, &mut self.second);
        self.values
            .axis_chunks_iter_mut(Axis(0), BLOCK_ROWS)
            .into_par_iter()
            .zip(first.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS))
            .zip(second.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS))
            .map(|((values, first), second)| Block { values, first, second })
    }

    /// The gradient of the first step, read from the running mean.
    #[cfg(test)]
    pub(crate) fn first_gradient(&self) -> Array2<f32> {
        &self.first / (1.0 - DECAY.0) as f32
    }
}

/// Some rows of a parameter.
struct Block<'a> {
    values: ArrayViewMut2<'a, f32>,
    first: ArrayViewMut2<'a, f32>,
    second: ArrayViewMut2<'a, f32>,
}

impl Block<'_> {
    fn follow(&mut self, gradient: ArrayView2<f32>, rate: Rate) {
        let zip = Zip::from(&mut self.values).and(&mut self.first).and(&gradient);
        match rate.optimizer {
            Optimizer::AdamW => {
                zip.and(&mut self.second).for_each(|value, first, &slope, second| {
                    rate.scaled(value, first, second, slope);
                });
            }
            Optimizer::Momentum => {
                zip.for_each(|value, first, &slope| rate.plain(value, first, slope));
            }
        }
    }
}

impl Rate {
    /// Moves one parameter by momentum; its gradient is `slope`.
    #[inline]
    fn plain(&self, value: &mut f32, first: &mut f32, slope: f32) {
        *first += (1.0 - DECAY.0 as f32) * (slope - *first);
        *value -= self.decay * *value + self.length * *first * self.correction.0;
    }

    /// Moves one parameter by `AdamW`; its gradient is `slope`.
    #[inline]
    fn scaled(&self, value: &mut f32, first: &mut f32, second: &mut f32, slope: f32) {
        *first += (1.0 - DECAY.0 as f32) * (slope - *first);
        *second += (1.0 - DECAY.1 as f32) * (slope * slope - *second);
        let scale = (*second * self.correction.1).sqrt() + EPSILON;
        *value -= self.decay * *value + self.length * (*first * self.correction.0) / scale;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_to_nothing() {
        let rates: Vec<f64> =
            (0..1000).map(|step| schedule((f64::from(step) + 0.5) / 1000.0)).collect();
        assert!(rates[..100].is_sorted() && rates[100..].is_sorted_by(|a, b| a >= b));
        assert!(rates[0] < 0.01 && rates[99] > 0.99 && rates[100] > 0.99 && rates[999] < 1e-5);
        assert!((rates[549] - 0.5).abs() < 0.01);
    }

    /// At the peak of the schedule, with rate 0.1 and decay 0.01.
    fn rate(optimizer: Optimizer, step: usize) -> Rate {
        let (learning_rate, weight_decay) = (0.1, 0.1);
        let (hidden, dropout, smoothing, batch, epochs, seed) = (0, 0.0, 0.0, 1, 1, 1);
        let recipe = Recipe {
            levels: None,
            hidden,
            members: 1,
            dropout,
            smoothing,
            optimizer,
            learning_rate,
            weight_decay,
            batch,
            epochs,
            seed,
        };
        Rate::new(step, 0.1, &recipe)
    }

    /// Slopes 2 and -1 give means 0.2 and 0.08 of the slopes, divided by 0.1 and 0.19.
    #[test]
    fn momentum_goes_on_by_the_mean_of_the_slopes() {
        let mut parameter = Parameter::new(array![[1.0]]);
        for (step, slope) in [2.0, -1.0].into_iter().enumerate() {
            let rate = rate(Optimizer::Momentum, step);
            parameter.descend(array![[1.0]].view(), array![[slope]].view(), rate);
        }
        let expected = (0.99 - 0.1 * 2.0) * 0.99 - 0.1 * 0.08 / 0.19;
        assert!((f64::from(parameter.values[[0, 0]]) - expected).abs() < 1e-6);
    }

    /// The first step is as long as the rate whatever the slope, the second by the textbook:
    /// slopes 2 and -1 give means 0.2 and 0.08 of the slopes, 0.004 and 0.004996 of their
    /// squares, divided by 0.19 and 0.001999.
    #[test]
    fn two_steps_by_hand() {
        let mut parameter = Parameter::new(array![[1.0]]);
        let rate = |step| rate(Optimizer::AdamW, step);
        parameter.descend(array![[1.0]].view(), array![[2.0]].view(), rate(0));
        assert!((parameter.values[[0, 0]] - (0.99 - 0.1)).abs() < 1e-6);
        assert!((parameter.first_gradient()[[0, 0]] - 2.0).abs() < 1e-6);
        parameter.descend(array![[1.0]].view(), array![[-1.0]].view(), rate(1));
        let step = 0.1 * (0.08 / 0.19) / (0.004_996_f64 / 0.001_999).sqrt();
        let expected = 0.89 * 0.99 - step;
        assert!((f64::from(parameter.values[[0, 0]]) - expected).abs() < 1e-6);
    }
}
