//! A hidden layer in training: linear, batch normalisation, rectifier, dropout.

use matrix::product;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip};
use rand::RngCore;
use rand_chacha::ChaCha8Rng;

use crate::Model;
use crate::step::{Parameter, Rate};

/// Keeps the division finite where a unit is constant over the batch.
const EPSILON: f32 = 1e-5;

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

    /// The way there, for `x` `[rows, features]`.
    pub(crate) fn forward(&mut self, x: ArrayView2<f32>, random: &mut ChaCha8Rng) -> Activation {
        let mut normalized = product(x, self.weights.values.view());
        let rows = x.nrows() as f32;
        let mean = normalized.sum_axis(Axis(0)) / rows;
        normalized -= &mean;
        let variance = column_sums(&normalized, &normalized) / rows;
        let inverse = variance.mapv(|variance| (variance + EPSILON).sqrt().recip());
        normalized *= &inverse;
        self.remember(&mean, &variance);
        let mut output = &normalized * &self.scale.values;
        output += &self.shift.values;
        output.mapv_inplace(|value| value.max(0.0));
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

    /// The way back, from the loss's derivative by the output; moves the parameters.
    pub(crate) fn backward(
        &mut self,
        x: ArrayView2<f32>,
        activation: &Activation,
        mut error: Array2<f32>,
        rate: Rate,
    ) {
        // What is 0 was rectified or dropped; what wasn't dropped was enlarged.
        let kept = (1.0 - self.dropout).recip();
        error.zip_mut_with(&activation.output, |error, &output| {
            *error = if output > 0.0 { *error * kept } else { 0.0 };
        });
        let by_scale = column_sums(&error, &activation.normalized);
        let by_shift = error.sum_axis(Axis(0));
        // The batch's mean and variance depend on every row (ibid., section 3).
        let (of_shift, of_scale) = (&by_shift / x.nrows() as f32, &by_scale / x.nrows() as f32);
        let factor = &self.scale.values.row(0) * &activation.inverse;
        Zip::from(error.rows_mut()).and(activation.normalized.rows()).for_each(
            |error, normalized| {
                Zip::from(error)
                    .and(normalized)
                    .and(&of_shift)
                    .and(&of_scale)
                    .and(&factor)
                    .for_each(|error, &normalized, &shift, &scale, &factor| {
                        *error = factor * (*error - shift - normalized * scale);
                    });
            },
        );
        let one = Array2::ones((1, 1));
        let row = |values: &Array1<f32>| values.clone().insert_axis(Axis(0));
        self.scale.descend(one.view(), row(&by_scale).view(), rate.without_decay());
        self.shift.descend(one.view(), row(&by_shift).view(), rate.without_decay());
        self.weights.descend(x, error.view(), rate);
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
}

/// Σ over rows of a · b, for each column.
fn column_sums(a: &Array2<f32>, b: &Array2<f32>) -> Array1<f32> {
    let mut sums = Array1::zeros(a.ncols());
    let mut add = |a: ArrayView1<f32>, b: ArrayView1<f32>| {
        Zip::from(&mut sums).and(a).and(b).for_each(|sum, a, b| *sum += a * b);
    };
    a.rows().into_iter().zip(b.rows()).for_each(|(a, b)| add(a, b));
    sums
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
