//! Features of mean 0 and standard deviation 1.

use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, Zip};

use crate::Model;

/// Rows that are summed by one task; fixed, so that sums don't depend on the thread count.
const BLOCK_ROWS: usize = 1024;

/// Mean and standard deviation of each feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardization {
    /// Mean of each feature.
    pub mean: Array1<f32>,
    /// Standard deviation of each feature (divisor n); 1 where a feature is constant.
    pub scale: Array1<f32>,
}

impl Standardization {
    /// Measures `x` `[rows, features]` in two passes with sums in f64.
    #[must_use]
    pub fn fit(x: ArrayView2<'_, f32>) -> Self {
        let rows = x.nrows().max(1) as f64;
        let mean = sum_rows(x, |_, value| value) / rows;
        let square = sum_rows(x, |column, value| (value - mean[column]).powi(2)) / rows;
        let scale =
            Zip::from(&square).and(&mean).map_collect(|&variance, &mean| scale(variance, mean));
        Self { mean: mean.mapv(|value| value as f32), scale }
    }

    /// Replaces `x` by `(x - mean) / scale`, in place.
    pub fn apply(&self, mut x: ArrayViewMut2<'_, f32>) {
        let inverse = self.scale.mapv(f32::recip);
        x.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut row| {
            Zip::from(&mut row).and(&self.mean).and(&inverse).for_each(|value, mean, inverse| {
                *value = (*value - mean) * inverse;
            });
        });
    }

    /// The model of raw features that equals `model` on standardised ones:
    /// `W' = W / scale`, `b' = b - W' mean`.
    #[must_use]
    pub fn fold(&self, model: &Model) -> Model {
        let weights: Array2<f32> = &model.weights / &self.scale;
        let mean = self.mean.mapv(f64::from);
        let bias = Zip::from(weights.rows())
            .and(&model.bias)
            .map_collect(|row, &bias| (f64::from(bias) - row.mapv(f64::from).dot(&mean)) as f32);
        Model { weights, bias }
    }

    /// The model of standardised features that equals `model` on raw ones: what [`Self::fold`]
    /// undoes, to rounding.
    #[must_use]
    pub fn unfold(&self, model: &Model) -> Model {
        let mean = self.mean.mapv(f64::from);
        let bias = Zip::from(model.weights.rows())
            .and(&model.bias)
            .map_collect(|row, &bias| (f64::from(bias) + row.mapv(f64::from).dot(&mean)) as f32);
        Model { weights: &model.weights * &self.scale, bias }
    }
}

/// The standard deviation, or 1 of a constant feature: what rounding makes of one is below its
/// own precision.
pub(crate) fn scale(variance: f64, mean: f64) -> f32 {
    let noise = mean.abs() * f64::from(f32::EPSILON);
    let scale = variance.sqrt();
    if scale > noise && scale > f64::from(f32::MIN_POSITIVE) { scale as f32 } else { 1.0 }
}

/// Σ over rows of `term(column, value)`, for each column.
fn sum_rows(x: ArrayView2<'_, f32>, term: impl Fn(usize, f64) -> f64 + Sync) -> Array1<f64> {
    let blocks: Vec<Array1<f64>> = x
        .axis_chunks_iter(Axis(0), BLOCK_ROWS)
        .into_par_iter()
        .map(|block| {
            let mut sum = Array1::zeros(block.ncols());
            for row in block.rows() {
                for (column, (sum, &value)) in sum.iter_mut().zip(row).enumerate() {
                    *sum += term(column, f64::from(value));
                }
            }
            sum
        })
        .collect();
    blocks.iter().fold(Array1::zeros(x.ncols()), |sum, block| sum + block)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn standardised_columns_have_mean_0_and_deviation_1() {
        let mut x = array![[1.0_f32, 5.0, 1e6], [2.0, 5.0, 1e6 + 1.0], [6.0, 5.0, 1e6 + 2.0]];
        let standardization = Standardization::fit(x.view());
        assert_eq!(standardization.mean, array![3.0, 5.0, 1e6 + 1.0]);
        assert_eq!(standardization.scale[1], 1.0);
        standardization.apply(x.view_mut());
        for column in [0, 2] {
            let values = x.column(column).mapv(f64::from);
            assert!(values.sum().abs() < 1e-6);
            assert!((values.mapv(|value| value * value).sum() / 3.0 - 1.0).abs() < 1e-6);
        }
        assert_eq!(x.column(1), array![0.0, 0.0, 0.0]);
    }

    #[test]
    fn folded_weights_give_the_same_logits_on_raw_features() {
        let raw = array![[1.0_f32, -5.0], [2.0, 7.0], [6.0, 0.5]];
        let standardization = Standardization::fit(raw.view());
        let mut x = raw.clone();
        standardization.apply(x.view_mut());
        let model = Model { weights: array![[1.0, -2.0], [0.5, 3.0]], bias: array![0.1, -0.2] };
        let folded = standardization.fold(&model);
        let difference = folded.logits(raw.view()) - model.logits(x.view());
        assert!(difference.iter().all(|value| value.abs() < 1e-5));
        let back = standardization.unfold(&folded);
        let difference = back.logits(x.view()) - model.logits(x.view());
        assert!(difference.iter().all(|value| value.abs() < 1e-5));
    }
}
