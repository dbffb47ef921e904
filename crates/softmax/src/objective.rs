//! Loss and gradient of penalised softmax regression.

use ndarray::linalg::general_mat_mul;
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, ArrayViewMut1, Axis, Slice};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::{Model, Samples};

/// Rows whose gradient is summed in f32 by one task. Fixed: the sums of all chunks are added
/// in order, in f64, so the result doesn't depend on the number of threads.
const CHUNK_ROWS: usize = 1024;

/// Rows whose logits, residuals and share of the gradient are computed in one go, while they
/// are in the cache (64 rows of 4,320 features are 1.1 MB).
const BLOCK_ROWS: usize = 64;

/// Elements of the gradient that one task adds up over all chunks.
const REDUCE_ELEMENTS: usize = 8192;

/// The objective as a function of a flat parameter vector: weights `[features, classes]` row by
/// row, then the bias `[classes]`. This order is the one in which both matrix products run
/// without transposing anything.
#[derive(Debug)]
pub struct Objective<'a> {
    samples: Samples<'a>,
    lambda: f64,
    /// Weights in f32, refilled by every evaluation.
    weights: Array2<f32>,
    bias: Vec<f32>,
    partials: Vec<Partial>,
}

/// What one chunk of rows adds to loss and gradient.
#[derive(Debug)]
struct Partial {
    loss: f64,
    /// `[features, classes]`
    weights: Array2<f32>,
    bias: Vec<f64>,
}

impl<'a> Objective<'a> {
    /// The objective of `samples` with penalty `lambda`. Allocates one gradient per 1,024 rows.
    #[must_use]
    pub fn new(samples: &Samples<'a>, lambda: f64) -> Self {
        let (features, classes) = (samples.features(), samples.classes());
        let partial = || Partial {
            loss: 0.0,
            weights: Array2::zeros((features, classes)),
            bias: vec![0.0; classes],
        };
        Self {
            samples: *samples,
            lambda,
            weights: Array2::zeros((features, classes)),
            bias: vec![0.0; classes],
            partials: (0..samples.rows().div_ceil(CHUNK_ROWS)).map(|_| partial()).collect(),
        }
    }

    /// Length of the parameter vector.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.weights.len() + self.bias.len()
    }

    /// Writes the gradient at `at` to `gradient` and returns the objective.
    ///
    /// # Panics
    /// If `at` or `gradient` hasn't [`Self::parameters`] elements.
    pub fn evaluate(&mut self, at: &[f64], gradient: &mut [f64]) -> f64 {
        let (weights, bias) = at.split_at(self.weights.len());
        self.weights.iter_mut().zip(weights).for_each(|(to, &from)| *to = from as f32);
        self.bias.iter_mut().zip(bias).for_each(|(to, &from)| *to = from as f32);

        let (x, y) = (self.samples.x, self.samples.y);
        let (w, b) = (self.weights.view(), self.bias.as_slice());
        let chunks = x.axis_chunks_iter(Axis(0), CHUNK_ROWS).into_par_iter();
        chunks
            .zip(y.par_chunks(CHUNK_ROWS))
            .zip(&mut self.partials)
            .for_each(|((x, y), partial)| partial.compute(x, y, w, b));
        self.reduce(weights, gradient);
        let loss: f64 = self.partials.iter().map(|partial| partial.loss).sum();
        let penalty: f64 = weights.iter().map(|weight| weight * weight).sum();
        loss / y.len() as f64 + 0.5 * self.lambda * penalty
    }

    /// Adds the chunks' gradients in order and the penalty's.
    fn reduce(&self, weights: &[f64], gradient: &mut [f64]) {
        let scale = (self.samples.rows() as f64).recip();
        let (to_weights, to_bias) = gradient.split_at_mut(weights.len());
        for (class, to) in to_bias.iter_mut().enumerate() {
            *to = scale * self.partials.iter().map(|partial| partial.bias[class]).sum::<f64>();
        }
        to_weights.par_chunks_mut(REDUCE_ELEMENTS).enumerate().for_each(|(index, to)| {
            let start = index * REDUCE_ELEMENTS;
            to.fill(0.0);
            for from in self.partials.iter().filter_map(|partial| partial.weights.as_slice()) {
                for (to, &from) in to.iter_mut().zip(&from[start..]) {
                    *to += f64::from(from);
                }
            }
            for (to, &weight) in to.iter_mut().zip(&weights[start..]) {
                *to = *to * scale + self.lambda * weight;
            }
        });
    }

    /// The parameter vector of `model`.
    #[must_use]
    pub fn flatten(model: &Model) -> Vec<f64> {
        model.weights.t().iter().chain(&model.bias).map(|&value| f64::from(value)).collect()
    }

    /// The model of a parameter vector, rounded to f32. `shape` is (classes, features).
    ///
    /// # Panics
    /// If `at` has another length.
    #[must_use]
    pub fn unflatten(at: &[f64], shape: (usize, usize)) -> Model {
        let (classes, features) = shape;
        let (weights, bias) = at.split_at(classes * features);
        let weight = |(class, feature)| weights[feature * classes + class] as f32;
        Model {
            weights: Array2::from_shape_fn(shape, weight),
            bias: bias.iter().map(|&value| value as f32).collect(),
        }
    }
}

impl Partial {
    fn compute(&mut self, x: ArrayView2<f32>, y: &[usize], w: ArrayView2<f32>, b: &[f32]) {
        self.loss = 0.0;
        self.bias.fill(0.0);
        let mut buffer = Array2::zeros((BLOCK_ROWS.min(y.len()), b.len()));
        for (index, (x, y)) in
            x.axis_chunks_iter(Axis(0), BLOCK_ROWS).zip(y.chunks(BLOCK_ROWS)).enumerate()
        {
            let mut z = buffer.slice_axis_mut(Axis(0), Slice::from(..y.len()));
            general_mat_mul(1.0, &x, &w, 0.0, &mut z);
            for (mut z, &label) in z.rows_mut().into_iter().zip(y) {
                z.iter_mut().zip(b).for_each(|(z, b)| *z += b);
                self.loss += residual(&mut z, label);
                self.bias.iter_mut().zip(&z).for_each(|(sum, &r)| *sum += f64::from(r));
            }
            // The first block overwrites what the last evaluation left.
            let keep = if index == 0 { 0.0 } else { 1.0 };
            general_mat_mul(1.0, &x.t(), &z, keep, &mut self.weights);
        }
    }
}

/// Replaces a row's logits by softmax(z) - onehot(label) and returns -log softmax(z)[label].
///
/// The largest logit is subtracted first. The label's residual is minus the sum of the others,
/// which keeps its precision where p(label) is nearly 1.
fn residual(z: &mut ArrayViewMut1<'_, f32>, label: usize) -> f64 {
    let max = z.fold(f32::NEG_INFINITY, |max, &z| max.max(z));
    let shifted = z[label] - max;
    let mut others = 0.0;
    for (class, z) in z.iter_mut().enumerate() {
        *z = (*z - max).exp();
        others += if class == label { 0.0 } else { f64::from(*z) };
    }
    let sum = others + f64::from(z[label]);
    let scale = (1.0 / sum) as f32;
    z.iter_mut().for_each(|z| *z *= scale);
    z[label] = -(others / sum) as f32;
    sum.ln() - f64::from(shifted)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn logits_of_1000_neither_overflow_nor_lose_the_gradient() {
        let mut z = array![1000.0_f32, -1000.0, 0.0];
        assert_eq!(residual(&mut z.view_mut(), 0), 0.0);
        assert_eq!(z, array![0.0, 0.0, 0.0]);
        let mut z = array![1000.0_f32, -1000.0, 0.0];
        assert_eq!(residual(&mut z.view_mut(), 1), 2000.0);
        assert_eq!(z, array![1.0, -1.0, 0.0]);
    }

    #[test]
    fn a_nearly_certain_row_keeps_its_gradient() {
        let mut z = array![30.0_f32, 0.0];
        let loss = residual(&mut z.view_mut(), 0);
        let expected = (-30.0_f64).exp();
        assert!((loss / expected - 1.0).abs() < 1e-2);
        assert!((f64::from(-z[0]) / expected - 1.0).abs() < 1e-6);
    }

    #[test]
    fn models_survive_flattening() {
        let model =
            Model { weights: array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], bias: array![7.0, 8.0] };
        let flat = Objective::flatten(&model);
        assert_eq!(flat, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0, 7.0, 8.0]);
        assert_eq!(Objective::unflatten(&flat, (2, 3)), model);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// The gradient along a random direction equals the central difference, over one chunk
        /// of rows and over several.
        #[test]
        fn gradient_equals_central_differences(
            seed in any::<u64>(),
            (rows, features, classes) in prop_oneof![
                (1_usize..200, 1_usize..8, 2_usize..6),
                Just((2 * CHUNK_ROWS + 7, 5, 3)),
            ],
            lambda in 0.0..1.0_f64,
        ) {
            let mut random = numbers(seed);
            let x = Array2::from_shape_simple_fn((rows, features), || random() as f32);
            let y: Vec<usize> =
                (0..rows).map(|_| (random().abs() * 1e6) as usize % classes).collect();
            let samples = Samples::new(x.view(), &y, classes).unwrap();
            let mut objective = Objective::new(&samples, lambda);
            let mut vector = || -> Vec<f64> {
                (0..objective.parameters()).map(|_| f64::from(random() as f32)).collect()
            };
            let (at, direction) = (vector(), vector());
            let mut gradient = vec![0.0; at.len()];
            objective.evaluate(&at, &mut gradient);
            let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let step = 1.0 / 256.0;
            let mut value = |sign: f64| {
                let point: Vec<f64> =
                    at.iter().zip(&direction).map(|(a, d)| a + sign * step * d).collect();
                objective.evaluate(&point, &mut gradient)
            };
            let difference = (value(1.0) - value(-1.0)) / (2.0 * step);
            prop_assert!((slope - difference).abs() < 2e-4 * (1.0 + slope.abs()),
                "slope {slope}, difference {difference}");
        }
    }

    /// Numbers in -1..1 (a linear congruential generator; quality doesn't matter here).
    fn numbers(mut state: u64) -> impl FnMut() -> f64 {
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        }
    }
}
