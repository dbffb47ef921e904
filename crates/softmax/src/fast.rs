//! Loss and gradient summed over rows: products in f32 by the fastest kernel, all else in f64.

use std::ops::Range;

use ndarray::Axis;
use rayon::prelude::*;

use crate::Samples;
use crate::kernel::{Kernel, padded};
use crate::residual::residual;

/// Rows whose gradient is summed in f32 by one task. Fixed: the sums of all chunks are added
/// in order, in f64, so the result doesn't depend on the number of threads.
pub(crate) const CHUNK_ROWS: usize = 1024;

/// Rows whose logits, residuals and share of the gradient are computed in one go, while they
/// are in the cache (64 rows of 4,320 features are 1.1 MB).
const BLOCK_ROWS: usize = 64;

/// Features whose gradient one task adds up over all chunks.
const REDUCE_FEATURES: usize = 128;

/// Buffers of an evaluation.
#[derive(Debug)]
pub(crate) struct Fast {
    kernel: Kernel,
    /// Length of a row of weights: classes and zeros behind them.
    width: usize,
    /// Weights `[features, width]` in f32, refilled by every evaluation.
    weights: Vec<f32>,
    partials: Vec<Partial>,
}

/// What one chunk of rows adds to loss and gradient.
#[derive(Debug)]
struct Partial {
    loss: f64,
    /// `[features, width]`
    weights: Vec<f32>,
    bias: Vec<f64>,
}

impl Fast {
    /// Allocates one gradient per 1,024 rows.
    pub fn new(samples: &Samples<'_>, kernel: Kernel) -> Self {
        let (features, classes) = (samples.features(), samples.classes());
        let width = padded(classes);
        let partial = || Partial {
            loss: 0.0,
            weights: vec![0.0; features * width],
            bias: vec![0.0; classes],
        };
        Self {
            kernel,
            width,
            weights: vec![0.0; features * width],
            partials: (0..samples.rows().div_ceil(CHUNK_ROWS)).map(|_| partial()).collect(),
        }
    }

    /// The loss of all rows together; its gradient goes to `gradient` as [`crate::Objective`]
    /// orders it.
    pub fn sum(
        &mut self,
        samples: &Samples<'_>,
        weights: &[f64],
        bias: &[f64],
        gradient: &mut [f64],
    ) -> f64 {
        let rows = self.weights.chunks_exact_mut(self.width).zip(weights.chunks_exact(bias.len()));
        for (to, from) in rows {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from as f32);
        }
        let (kernel, w) = (self.kernel, self.weights.as_slice());
        self.partials.par_iter_mut().enumerate().for_each(|(chunk, partial)| {
            let first = chunk * CHUNK_ROWS;
            let end = samples.rows().min(first + CHUNK_ROWS);
            partial.compute(kernel, samples, first..end, w, bias);
        });
        let (to_weights, to_bias) = gradient.split_at_mut(weights.len());
        for (class, to) in to_bias.iter_mut().enumerate() {
            *to = self.partials.iter().map(|partial| partial.bias[class]).sum();
        }
        self.reduce(to_weights, bias.len());
        self.partials.iter().map(|partial| partial.loss).sum()
    }

    /// Adds the chunks' gradients in order.
    fn reduce(&self, to: &mut [f64], classes: usize) {
        to.par_chunks_mut(REDUCE_FEATURES * classes).enumerate().for_each(|(task, to)| {
            let first = task * REDUCE_FEATURES;
            to.fill(0.0);
            for partial in &self.partials {
                let from = partial.weights[first * self.width..].chunks_exact(self.width);
                for (to, from) in to.chunks_exact_mut(classes).zip(from) {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to += f64::from(from));
                }
            }
        });
    }
}

impl Partial {
    fn compute(
        &mut self,
        kernel: Kernel,
        samples: &Samples<'_>,
        rows: Range<usize>,
        w: &[f32],
        bias: &[f64],
    ) {
        let (classes, width) = (bias.len(), padded(bias.len()));
        self.loss = 0.0;
        self.bias.fill(0.0);
        self.weights.fill(0.0);
        let mut buffer = vec![0.0; BLOCK_ROWS.min(rows.len()) * width];
        let mut exact = vec![0.0; classes];
        for first in rows.clone().step_by(BLOCK_ROWS) {
            let block = first..rows.end.min(first + BLOCK_ROWS);
            let x = samples.x.slice_axis(Axis(0), block.clone().into());
            let x = x.as_standard_layout();
            let z = &mut buffer[..block.len() * width];
            kernel.logits(x.view(), w, z);
            for (z, row) in z.chunks_exact_mut(width).zip(block) {
                // What is behind the classes is 0, as the weights there are, and stays it.
                for ((exact, z), bias) in exact.iter_mut().zip(&*z).zip(bias) {
                    *exact = f64::from(*z) + bias;
                }
                self.loss += residual(&mut exact, samples, row);
                for ((exact, z), sum) in exact.iter().zip(z).zip(&mut self.bias) {
                    *z = *exact as f32;
                    *sum += exact;
                }
            }
            kernel.gradient(x.view(), z, &mut self.weights);
        }
    }
}
