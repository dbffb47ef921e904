//! A hidden layer in training: linear, batch normalisation, rectifier, dropout.

use matrix::product;
use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, Axis, Zip};
use rand::RngCore;
use rand_chacha::ChaCha8Rng;

use crate::Model;
use crate::step::{Parameter, Rate};

/// Keeps the division finite where a unit is constant over the batch.
const EPSILON: f32 = 1e-5;

/// Rows that one task changes or sums. Fixed, and sums of blocks are added in order: threads don't
/// change a bit.
const BLOCK_ROWS: usize = 512;

/// Weight of the newest batch in the running statistics.
const NEWEST: f32 = 0.02;

/// Batch normalisation (Ioffe & Szegedy, 2015) with the batch's own statistics; running means of
/// them take their place in the finished layer, where normalisation is linear and is folded into
/// weights and bias. The linear part has no bias of its own: the normalisation would take it
/// away.
#[derive(Debug, Clone)]
pub(crate) struct Hidden {
    /// `[features, units]`
    weights: Parameter,
    /// Scale and shift after the normalisation, `[1, units]`.
    scale: Parameter,
    shift: Parameter,
    /// Running mean and variance of each unit.
    mean: Array1<f32>,
    variance: Array1<f32>,
    batches: usize,
    dropout: f32,
}

/// What the way back needs of the way there.
pub(crate) struct Activation {
    /// The layer's output `[rows, units]`, dropped units 0.
    pub(crate) output: Array2<f32>,
    /// Before scale and shift.
    normalized: Array2<f32>,
    /// 1 / standard deviation of each unit.
    inverse: Array1<f32>,
}

impl Hidden {
    /// A layer with these first weights `[features, units]`.
    pub(crate) fn new(weights: Array2<f32>, dropout: f32) -> Self {
        let units = weights.ncols();
        Self {
            weights: Parameter::new(weights),
            scale: Parameter::new(Array2::ones((1, units))),
            shift: Parameter::new(Array2::zeros((1, units))),
            mean: Array1::zeros(units),
            variance: Array1::ones(units),
            batches: 0,
            dropout,
        }
    }

    /// `[features, units]`
    pub(crate) fn weights(&self) -> ArrayView2<'_, f32> {
        self.weights.values.view()
    }

    /// The way there, for `x` `[rows, features]`.
    pub(crate) fn forward(&mut self, x: ArrayView2<f32>, random: &mut ChaCha8Rng) -> Activation {
        self.activate(product(x, self.weights()), random)
    }

    /// The way there, from x · weights.
    pub(crate) fn activate(&mut self, sums_of: Array2<f32>, random: &mut ChaCha8Rng) -> Activation {
        let mut normalized = sums_of;
        let rows = normalized.nrows() as f32;
        let mean = sums(&normalized) / rows;
        each_row(&mut normalized, |_, row| {
            Zip::from(row).and(&mean).for_each(|value, mean| *value -= mean);
        });
        let variance = column_sums(&normalized, &normalized) / rows;
        let inverse = variance.mapv(|variance| (variance + EPSILON).sqrt().recip());
        each_row(&mut normalized, |_, row| {
            Zip::from(row).and(&inverse).for_each(|value, inverse| *value *= inverse);
        });
        self.remember(&mean, &variance);
        let mut output = normalized.clone();
        let (scale, shift) = (self.scale.values.row(0), self.shift.values.row(0));
        each_row(&mut output, |_, row| {
            Zip::from(row).and(scale).and(shift).for_each(|value, scale, shift| {
                *value = (*value * scale + shift).max(0.0);
            });
        });
        drop_units(&mut output, self.dropout, random);
        Activation { output, normalized, inverse }
    }

    fn remember(&mut self, mean: &Array1<f32>, variance: &Array1<f32>) {
        self.batches += 1;
        // A plain mean until there are enough batches for a running one.
        let weight = NEWEST.max((self.batches as f32).recip());
        self.mean.zip_mut_with(mean, |old, new| *old += weight * (new - *old));
        self.variance.zip_mut_with(variance, |old, new| *old += weight * (new - *old));
    }

    /// The way back, from the loss's derivative by the output to that by the sums; moves scale
    /// and shift.
    pub(crate) fn back(
        &mut self,
        activation: &Activation,
        mut error: Array2<f32>,
        rate: Rate,
    ) -> Array2<f32> {
        let_through(&mut error, &activation.output, self.dropout);
        let by_scale = column_sums(&error, &activation.normalized);
        let by_shift = sums(&error);
        // The batch's mean and variance depend on every row (ibid., section 3).
        let rows = error.nrows() as f32;
        let (of_shift, of_scale) = (&by_shift / rows, &by_scale / rows);
        let factor = &self.scale.values.row(0) * &activation.inverse;
        each_row(&mut error, |index, row| {
            let row = Zip::from(row).and(activation.normalized.row(index));
            row.and(&factor).and(&of_shift).and(&of_scale).for_each(
                |error, normalized, factor, of_shift, of_scale| {
                    *error = factor * (*error - of_shift - normalized * of_scale);
                },
            );
        });
        let one = Array2::ones((1, 1));
        let row = |values: &Array1<f32>| values.clone().insert_axis(Axis(0));
        self.scale.descend(one.view(), row(&by_scale).view(), rate.without_decay());
        self.shift.descend(one.view(), row(&by_shift).view(), rate.without_decay());
        error
    }

    /// The loss's derivative by the inputs, from that by the sums.
    pub(crate) fn by_inputs(&self, errors: ArrayView2<f32>) -> Array2<f32> {
        product(errors, self.weights.values.t())
    }

    /// Moves the weights; `errors` is the loss's derivative by the sums for `x`.
    pub(crate) fn descend(&mut self, x: ArrayView2<f32>, errors: ArrayView2<f32>, rate: Rate) {
        self.weights.descend(x, errors, rate);
    }

    /// Moves the weights along the loss's derivative by them.
    pub(crate) fn follow(&mut self, gradient: ArrayView2<f32>, rate: Rate) {
        self.weights.follow(gradient, rate);
    }

    /// The finished layer: normalisation by the running statistics, folded into weights and
    /// bias; nothing is dropped.
    pub(crate) fn layer(&self) -> Model {
        let scale = &self.scale.values.row(0)
            * &self.variance.mapv(|variance| (variance + EPSILON).sqrt().recip());
        let weights = (&self.weights.values * &scale).t().as_standard_layout().into_owned();
        Model { weights, bias: &self.shift.values.row(0) - &(&self.mean * &scale) }
    }

    #[cfg(test)]
    pub(crate) fn parameters(&self) -> [&Parameter; 3] {
        [&self.weights, &self.scale, &self.shift]
    }

    #[cfg(test)]
    pub(crate) fn parameters_mut(&mut self) -> [&mut Parameter; 3] {
        [&mut self.weights, &mut self.scale, &mut self.shift]
    }
}

/// Σ over rows, for each column.
fn sums(values: &Array2<f32>) -> Array1<f32> {
    let blocks = values.axis_chunks_iter(Axis(0), BLOCK_ROWS).into_par_iter();
    total(blocks.map(|block| block.sum_axis(Axis(0))).collect())
}

/// Σ over rows of a · b, for each column.
fn column_sums(a: &Array2<f32>, b: &Array2<f32>) -> Array1<f32> {
    let blocks = a.axis_chunks_iter(Axis(0), BLOCK_ROWS).into_par_iter();
    let of_block = |(a, b): (ArrayView2<f32>, ArrayView2<f32>)| {
        let mut sums = Array1::zeros(a.ncols());
        for (a, b) in a.rows().into_iter().zip(b.rows()) {
            Zip::from(&mut sums).and(a).and(b).for_each(|sum, a, b| *sum += a * b);
        }
        sums
    };
    total(blocks.zip(b.axis_chunks_iter(Axis(0), BLOCK_ROWS)).map(of_block).collect())
}

/// The sum of the blocks' sums, in their order.
fn total(sums: Vec<Array1<f32>>) -> Array1<f32> {
    sums.into_iter().reduce(|all, sum| all + sum).unwrap_or_default()
}

/// Changes every row of `values`, whose number is given, too.
fn each_row(values: &mut Array2<f32>, how: impl Fn(usize, ArrayViewMut1<f32>) + Sync) {
    let blocks = values.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS).into_par_iter();
    blocks.enumerate().for_each(|(block, mut rows)| {
        for (row, values) in rows.rows_mut().into_iter().enumerate() {
            how(block * BLOCK_ROWS + row, values);
        }
    });
}

/// The loss's derivative by what was rectified and dropped from, in place of that by its `output`:
/// what is 0 was rectified or dropped, and what wasn't dropped was enlarged.
pub(crate) fn let_through(error: &mut Array2<f32>, output: &Array2<f32>, dropout: f32) {
    let kept = (1.0 - dropout).recip();
    each_row(error, |index, row| {
        Zip::from(row).and(output.row(index)).for_each(|error, &output| {
            *error *= if output > 0.0 { kept } else { 0.0 };
        });
    });
}

/// Sets a share of the units to 0 and enlarges the others, so that sums stay the same on average
/// (Srivastava et al., 2014, "Dropout").
pub(crate) fn drop_units(values: &mut Array2<f32>, share: f32, random: &mut ChaCha8Rng) {
    if share <= 0.0 {
        return;
    }
    let kept = (1.0 - share).recip();
    let limit = (share * 65_536.0) as u16;
    let mut bytes = vec![0; 2 * values.len()];
    random.fill_bytes(&mut bytes);
    let (pairs, _) = bytes.as_chunks::<2>();
    for (value, &pair) in values.iter_mut().zip(pairs) {
        *value = if u16::from_le_bytes(pair) < limit { 0.0 } else { *value * kept };
    }
}
