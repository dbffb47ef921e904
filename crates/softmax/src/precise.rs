//! Loss and gradient summed over rows, all in f64 and as simply as it can be written: for whom
//! precision is worth more than time, and what the fast version is tested against.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::Samples;
use crate::residual::residual;

/// Rows that one task works on. Fixed, so that sums don't depend on the number of threads.
const BLOCK_ROWS: usize = 512;

/// Blocks that are in memory at the same time, each with a gradient of its own.
const BLOCKS: usize = 16;

/// As [`crate::fast::Fast::sum`].
pub(crate) fn sum(
    samples: &Samples<'_>,
    weights: &[f64],
    bias: &[f64],
    gradient: &mut [f64],
) -> f64 {
    #[expect(clippy::expect_used, reason = "the caller's weights are of this shape")]
    let w = ArrayView2::from_shape((samples.features(), bias.len()), weights).expect("shape");
    gradient.fill(0.0);
    let starts: Vec<usize> = (0..samples.rows()).step_by(BLOCK_ROWS).collect();
    let mut total = 0.0;
    for starts in starts.chunks(BLOCKS) {
        let parts: Vec<_> =
            starts.par_iter().map(|&start| block(samples, start, w, bias)).collect();
        for (loss, to_weights, to_bias) in parts {
            total += loss;
            let parts = to_weights.iter().chain(&to_bias);
            gradient.iter_mut().zip(parts).for_each(|(to, part)| *to += part);
        }
    }
    total
}

/// Loss and gradient by weights `[features, classes]` and bias of the rows from `start` on.
fn block(
    samples: &Samples<'_>,
    start: usize,
    w: ArrayView2<'_, f64>,
    bias: &[f64],
) -> (f64, Array2<f64>, Vec<f64>) {
    let rows = start..samples.rows().min(start + BLOCK_ROWS);
    let x = samples.x.slice_axis(Axis(0), rows.clone().into()).mapv(f64::from);
    let mut z = Array2::from_shape_fn((rows.len(), bias.len()), |(_, class)| bias[class]);
    general_mat_mul(1.0, &x, &w, 1.0, &mut z);
    let mut loss = 0.0;
    for (mut z, row) in z.rows_mut().into_iter().zip(rows) {
        loss += z.as_slice_mut().map_or(0.0, |z| residual(z, samples, row));
    }
    let mut to_weights = Array2::zeros(w.dim());
    general_mat_mul(1.0, &x.t(), &z, 0.0, &mut to_weights);
    (loss, to_weights, z.sum_axis(Axis(0)).to_vec())
}
