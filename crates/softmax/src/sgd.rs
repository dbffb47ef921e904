//! Training by mini-batches: a network with or without a hidden layer.

use matrix::product;
use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::hidden::Hidden;
use crate::step::{Optimizer, Parameter, Rate};
use crate::{Model, Network, Samples};

/// How to train by mini-batches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Recipe {
    /// Units of the hidden layer; 0 is none: a linear classifier.
    pub hidden: usize,
    /// Networks that are trained side by side, each with a hidden layer and a loss of its own, and
    /// whose logits are averaged in the end; 1 without a hidden layer.
    pub members: usize,
    /// Share of the hidden units that are left out at random, for each row anew; 0 to below 1.
    pub dropout: f32,
    /// Share of each target that is spread over all classes; 0 to below 1.
    pub smoothing: f32,
    /// How parameters go along their gradients.
    pub optimizer: Optimizer,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Share of itself that a weight loses in a step, per learning rate. Biases lose nothing.
    pub weight_decay: f64,
    /// Rows of a step.
    pub batch: usize,
    /// Passes over all rows that the learning rate's rise and fall takes.
    pub epochs: usize,
    /// Decides first weights, order of rows, and what is dropped.
    pub seed: u64,
}

/// A network in training. Batches come from outside: [`fit_network`] takes them from memory.
#[derive(Debug, Clone)]
pub struct Trainer {
    recipe: Recipe,
    /// Of all members: the units of one lie beside those of the next.
    hidden: Option<Hidden>,
    /// Of each member.
    last: Vec<Last>,
    random: ChaCha8Rng,
    step: usize,
    /// Rows seen, and rows of all epochs.
    seen: usize,
    total: usize,
}

impl Trainer {
    /// Starts a network for rows of `features` numbers and `classes` classes that will see
    /// `rows` rows in each epoch.
    #[must_use]
    pub fn new(features: usize, classes: usize, rows: usize, recipe: &Recipe) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(recipe.seed);
        let mut uniform = |inputs: usize, outputs| {
            let limit = (inputs as f32).sqrt().recip();
            Array2::from_shape_simple_fn((inputs, outputs), || random.random_range(-limit..limit))
        };
        let units = recipe.hidden * recipe.members;
        let hidden = (units > 0).then(|| Hidden::new(uniform(features, units), recipe.dropout));
        let last = match hidden {
            Some(_) => (0..recipe.members).map(|_| uniform(recipe.hidden, classes)).collect(),
            None => vec![Array2::zeros((features, classes))],
        };
        Self {
            recipe: *recipe,
            hidden,
            last: last.into_iter().map(Last::new).collect(),
            random,
            step: 0,
            seen: 0,
            total: rows * recipe.epochs,
        }
    }

    /// One step on rows `x` `[rows, features]` with labels `y`; gives their mean loss before it,
    /// with smoothed targets.
    ///
    /// # Panics
    /// If shapes or labels don't fit.
    pub fn step(&mut self, x: ArrayView2<'_, f32>, y: &[usize]) -> f64 {
        let rate = self.next_rate(y.len());
        let activation = self.hidden.as_mut().map(|hidden| hidden.forward(x, &mut self.random));
        let inputs = activation.as_ref().map_or(x, |activation| activation.output.view());
        let units = inputs.ncols() / self.last.len();
        let mut back = activation.as_ref().map(|_| Array2::zeros(inputs.dim()));
        let mut loss = 0.0;
        for (member, last) in self.last.iter_mut().enumerate() {
            let own = Slice::from(member * units..(member + 1) * units);
            let inputs = inputs.slice_axis(Axis(1), own);
            let mut error = last.logits(inputs);
            loss += residuals(&mut error, y, self.recipe.smoothing);
            if let Some(back) = &mut back {
                let by_inputs = product(error.view(), last.weights.values.t());
                back.slice_axis_mut(Axis(1), own).assign(&by_inputs);
            }
            last.descend(inputs, error.view(), rate);
        }
        if let (Some(hidden), Some(activation), Some(back)) = (&mut self.hidden, &activation, back)
        {
            hidden.backward(x, activation, back, rate);
        }
        loss / self.last.len() as f64
    }

    /// The rate of the next step, on so many rows: that of the moment when half of them have
    /// been seen.
    fn next_rate(&mut self, rows: usize) -> Rate {
        let at = (self.seen as f64 + 0.5 * rows as f64) / self.total.max(1) as f64;
        let rate = Rate::new(self.step, at, &self.recipe);
        self.step += 1;
        self.seen += rows;
        rate
    }

    /// The network as it is now: batch normalisation by its running statistics, nothing dropped.
    /// The mean of the members' logits is a layer of its own: it takes all their units, each with
    /// its weights divided by the number of members.
    ///
    /// # Panics
    /// Never: the layers fit each other by construction.
    #[must_use]
    pub fn network(&self) -> Network {
        let share = (self.last.len() as f32).recip();
        let (units, classes) = self.last[0].weights.values.dim();
        let mut weights = Array2::zeros((classes, units * self.last.len()));
        let mut bias = Array1::zeros(classes);
        let own = weights.axis_chunks_iter_mut(Axis(1), units);
        for (mut own, last) in own.zip(&self.last) {
            own.assign(&(&last.weights.values.t() * share));
            bias.scaled_add(share, &last.bias.values.row(0));
        }
        let last = Model { weights, bias };
        match &self.hidden {
            Some(hidden) => Network::of_two(hidden.layer(), last),
            None => last.into(),
        }
    }
}

/// The last layer of a member.
#[derive(Debug, Clone)]
struct Last {
    /// `[hidden units or features, classes]`
    weights: Parameter,
    /// `[1, classes]`
    bias: Parameter,
}

impl Last {
    /// A layer with these first weights.
    fn new(weights: Array2<f32>) -> Self {
        let bias = Array2::zeros((1, weights.ncols()));
        Self { weights: Parameter::new(weights), bias: Parameter::new(bias) }
    }

    fn logits(&self, inputs: ArrayView2<'_, f32>) -> Array2<f32> {
        product(inputs, self.weights.values.view()) + &self.bias.values
    }

    /// A step against the loss's derivative by the logits.
    fn descend(&mut self, inputs: ArrayView2<'_, f32>, error: ArrayView2<'_, f32>, rate: Rate) {
        self.weights.descend(inputs, error, rate);
        let ones = Array2::ones((error.nrows(), 1));
        self.bias.descend(ones.view(), error, rate.without_decay());
    }
}

/// Replaces logits `[rows, classes]` by the derivative of the mean loss by them and gives that
/// loss: cross-entropy with a `smoothing` share of each target spread over all classes.
fn residuals(logits: &mut Array2<f32>, y: &[usize], smoothing: f32) -> f64 {
    let (rows, classes) = logits.dim();
    let spread = smoothing / classes as f32;
    let scale = (rows as f32).recip();
    let mut loss = 0.0;
    for (mut row, &label) in logits.rows_mut().into_iter().zip(y) {
        let max = row.fold(f32::NEG_INFINITY, |max, &value| max.max(value));
        let sum: f32 = row.iter().map(|value| (value - max).exp()).sum();
        let log_sum = max + sum.ln();
        let mean = row.iter().map(|value| log_sum - value).sum::<f32>() * spread;
        loss += f64::from((1.0 - smoothing) * (log_sum - row[label]) + mean);
        row.mapv_inplace(|value| scale * ((value - log_sum).exp() - spread));
        row[label] -= scale * (1.0 - smoothing);
    }
    loss / rows as f64
}

/// Ranges of about `batch` rows each that cover `rows`: none is much smaller than the others,
/// as the statistics of a handful of rows would mislead batch normalisation.
#[must_use]
pub fn batches(rows: usize, batch: usize) -> Vec<std::ops::Range<usize>> {
    let count = ((rows as f64 / batch as f64).round() as usize).max(1);
    (0..count).map(|index| index * rows / count..(index + 1) * rows / count).collect()
}

/// The order of `rows` rows in an epoch.
#[must_use]
pub fn order(rows: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(1 + epoch as u64);
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut random);
    order
}

/// Trains on rows in memory. After each epoch (counted from 1) `observe` sees its mean loss and
/// the network, and ends the training by returning false; so does `go_on`, asked before each
/// step.
pub fn fit_network(
    samples: &Samples<'_>,
    recipe: &Recipe,
    go_on: impl Fn() -> bool,
    mut observe: impl FnMut(usize, f64, &Trainer) -> bool,
) -> Network {
    let (rows, features) = samples.x.dim();
    let mut trainer = Trainer::new(features, samples.classes, rows, recipe);
    let batches = batches(rows, recipe.batch);
    for epoch in 0..recipe.epochs {
        let order = order(rows, recipe.seed, epoch);
        let mut loss = 0.0;
        for batch in &batches {
            if !go_on() {
                return trainer.network();
            }
            let chosen = &order[batch.clone()];
            let (x, y) = gather(samples, chosen);
            loss += trainer.step(x.view(), &y) * chosen.len() as f64;
        }
        if !observe(epoch + 1, loss / rows as f64, &trainer) {
            break;
        }
    }
    trainer.network()
}

/// The rows `chosen` and their labels.
fn gather(samples: &Samples<'_>, chosen: &[usize]) -> (Array2<f32>, Vec<usize>) {
    let mut x = Array2::zeros((chosen.len(), samples.x.ncols()));
    x.axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(chosen)
        .for_each(|(mut to, &row)| to.assign(&samples.x.row(row)));
    (x, chosen.iter().map(|&row| samples.y[row]).collect())
}

#[cfg(test)]
mod tests;
