//! Training by mini-batches: a network with or without a hidden layer.

use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::member::{Member, finished};
use crate::step::{Optimizer, Rate};
use crate::{Levels, Network, Samples};

/// How to train by mini-batches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    /// Convolutions before the hidden layer, of maps that the features are.
    pub levels: Option<Levels>,
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
    members: Vec<Member>,
    random: ChaCha8Rng,
    step: usize,
    /// Rows seen, and rows of all epochs.
    seen: usize,
    total: usize,
}

impl Trainer {
    /// Starts a network for rows of `features` numbers and `classes` classes that will see
    /// `rows` rows in each epoch.
    ///
    /// # Panics
    /// If the recipe's maps don't have so many features.
    #[must_use]
    pub fn new(features: usize, classes: usize, rows: usize, recipe: &Recipe) -> Self {
        let of_maps = recipe.levels.as_ref().is_none_or(|levels| levels.features() == features);
        assert!(of_maps, "maps of other features");
        let mut random = ChaCha8Rng::seed_from_u64(recipe.seed);
        let members = (0..recipe.members)
            .map(|_| Member::new(features, classes, recipe, &mut random))
            .collect();
        Self {
            recipe: recipe.clone(),
            members,
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
        let step = |member: &mut Member| member.step(x, y, &self.recipe, rate, &mut self.random);
        self.members.iter_mut().map(step).sum::<f64>() / self.recipe.members as f64
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
    /// All members are in it side by side, and its last layer gives the mean of their logits.
    #[must_use]
    pub fn network(&self) -> Network {
        finished(&self.members, self.recipe.levels.as_ref())
    }
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
