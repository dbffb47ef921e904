//! A linear classifier and its scores.

use matrix::product_by_rows;
use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::Samples;

/// Rows whose logits are computed together.
const BLOCK_ROWS: usize = 512;

/// Weights and bias: logits = x Wᵀ + b.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Weights `[classes, features]`.
    pub weights: Array2<f32>,
    /// Bias `[classes]`.
    pub bias: Array1<f32>,
}

/// How well logits fit labels.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Score {
    /// Mean of -log p(label), natural logarithm, without penalty.
    pub loss: f64,
    /// Share of rows whose largest logit is the label's.
    pub top1: f64,
}

impl Model {
    /// All weights and biases 0: the usual start of a fit.
    #[must_use]
    pub fn zeros(classes: usize, features: usize) -> Self {
        Self { weights: Array2::zeros((classes, features)), bias: Array1::zeros(classes) }
    }

    /// Logits `[rows, classes]` of `x` `[rows, features]`.
    ///
    /// # Panics
    /// If `x` hasn't as many columns as the weights.
    #[must_use]
    pub fn logits(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        by_blocks(x, self.bias.len(), |x| self.forward(x))
    }

    /// Logits of a few rows. Those of a row don't depend on the others.
    pub(crate) fn forward(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        product_by_rows(x, self.weights.t()) + &self.bias
    }

    /// Scores the model on `samples`.
    #[must_use]
    pub fn score(&self, samples: &Samples<'_>) -> Score {
        score(self.logits(samples.x).view(), samples.y)
    }
}

/// What `forward` makes of rows of `x`, some on each thread: `[rows, outputs]`.
pub(crate) fn by_blocks(
    x: ArrayView2<'_, f32>,
    outputs: usize,
    forward: impl Fn(ArrayView2<'_, f32>) -> Array2<f32> + Sync,
) -> Array2<f32> {
    let mut all = Array2::zeros((x.nrows(), outputs));
    let blocks = all.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS).into_par_iter();
    blocks
        .zip(x.axis_chunks_iter(Axis(0), BLOCK_ROWS))
        .for_each(|(mut block, x)| block.assign(&forward(x)));
    all
}

/// Scores logits `[rows, classes]` against `labels` `[rows]`. Of equal logits the first counts.
#[must_use]
pub fn score(logits: ArrayView2<'_, f32>, labels: &[usize]) -> Score {
    let mut loss = 0.0;
    let mut right = 0_usize;
    for (row, &label) in logits.rows().into_iter().zip(labels) {
        let (best, max) = row
            .iter()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), |best, (k, &z)| if z > best.1 { (k, z) } else { best });
        let sum: f64 = row.iter().map(|&z| f64::from(z - max).exp()).sum();
        loss += sum.ln() - f64::from(row[label] - max);
        right += usize::from(best == label);
    }
    let rows = labels.len().max(1) as f64;
    Score { loss: loss / rows, top1: right as f64 / rows }
}
