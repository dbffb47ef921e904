//! Loss and gradient of penalised softmax regression.

use std::ops::Range;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::kernel::{Kernel, padded};
use crate::{Model, Samples};

/// Rows whose gradient is summed in f32 by one task. Fixed: the sums of all chunks are added
/// in order, in f64, so the result doesn't depend on the number of threads.
const CHUNK_ROWS: usize = 1024;

/// Rows whose logits, residuals and share of the gradient are computed in one go, while they
/// are in the cache (64 rows of 4,320 features are 1.1 MB).
const BLOCK_ROWS: usize = 64;

/// Features whose gradient one task adds up over all chunks.
const REDUCE_FEATURES: usize = 128;

/// The objective as a function of a flat parameter vector: weights `[features, classes]` row by
/// row, then the bias `[classes]`. This order is the one in which both matrix products run
/// without transposing anything.
#[derive(Debug)]
pub struct Objective<'a> {
    samples: Samples<'a>,
    lambda: f64,
    kernel: Kernel,
    /// Length of a row of weights: classes and zeros behind them.
    width: usize,
    /// Weights `[features, width]` in f32, refilled by every evaluation.
    weights: Vec<f32>,
    bias: Vec<f32>,
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

impl<'a> Objective<'a> {
    /// The objective of `samples` with penalty `lambda`. Allocates one gradient per 1,024 rows.
    #[must_use]
    pub fn new(samples: &Samples<'a>, lambda: f64) -> Self {
        Self::with_kernel(samples, lambda, Kernel::available()[0])
    }

    fn with_kernel(samples: &Samples<'a>, lambda: f64, kernel: Kernel) -> Self {
        let (features, classes) = (samples.features(), samples.classes());
        let width = padded(classes);
        let partial = || Partial {
            loss: 0.0,
            weights: vec![0.0; features * width],
            bias: vec![0.0; classes],
        };
        Self {
            samples: *samples,
            lambda,
            kernel,
            width,
            weights: vec![0.0; features * width],
            bias: vec![0.0; classes],
            partials: (0..samples.rows().div_ceil(CHUNK_ROWS)).map(|_| partial()).collect(),
        }
    }

    /// Length of the parameter vector.
    #[must_use]
    pub fn parameters(&self) -> usize {
        (self.samples.features() + 1) * self.samples.classes()
    }

    /// Writes the gradient at `at` to `gradient` and returns the objective.
    ///
    /// # Panics
    /// If `at` or `gradient` hasn't [`Self::parameters`] elements.
    pub fn evaluate(&mut self, at: &[f64], gradient: &mut [f64]) -> f64 {
        let classes = self.samples.classes();
        let (weights, bias) = at.split_at(self.parameters() - classes);
        let rows = self.weights.chunks_exact_mut(self.width).zip(weights.chunks_exact(classes));
        for (to, from) in rows {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from as f32);
        }
        self.bias.iter_mut().zip(bias).for_each(|(to, &from)| *to = from as f32);

        let (samples, kernel) = (&self.samples, self.kernel);
        let (w, b) = (self.weights.as_slice(), self.bias.as_slice());
        self.partials.par_iter_mut().enumerate().for_each(|(chunk, partial)| {
            let first = chunk * CHUNK_ROWS;
            let end = samples.rows().min(first + CHUNK_ROWS);
            partial.compute(kernel, samples, first..end, w, b);
        });
        self.reduce(weights, gradient);
        let loss: f64 = self.partials.iter().map(|partial| partial.loss).sum();
        let penalty: f64 = weights.iter().map(|weight| weight * weight).sum();
        loss / samples.total_weight() + 0.5 * self.lambda * penalty
    }

    /// Adds the chunks' gradients in order and the penalty's.
    fn reduce(&self, weights: &[f64], gradient: &mut [f64]) {
        let classes = self.samples.classes();
        let scale = self.samples.total_weight().recip();
        let (to_weights, to_bias) = gradient.split_at_mut(weights.len());
        for (class, to) in to_bias.iter_mut().enumerate() {
            *to = scale * self.partials.iter().map(|partial| partial.bias[class]).sum::<f64>();
        }
        to_weights.par_chunks_mut(REDUCE_FEATURES * classes).enumerate().for_each(|(task, to)| {
            let first = task * REDUCE_FEATURES;
            to.fill(0.0);
            for partial in &self.partials {
                let from = partial.weights[first * self.width..].chunks_exact(self.width);
                for (to, from) in to.chunks_exact_mut(classes).zip(from) {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to += f64::from(from));
                }
            }
            for (to, &weight) in to.iter_mut().zip(&weights[first * classes..]) {
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
    fn compute(
        &mut self,
        kernel: Kernel,
        samples: &Samples<'_>,
        rows: Range<usize>,
        w: &[f32],
        b: &[f32],
    ) {
        let width = padded(b.len());
        self.loss = 0.0;
        self.bias.fill(0.0);
        self.weights.fill(0.0);
        let mut buffer = vec![0.0; BLOCK_ROWS.min(rows.len()) * width];
        for first in rows.clone().step_by(BLOCK_ROWS) {
            let block = first..rows.end.min(first + BLOCK_ROWS);
            let x = samples.x.slice_axis(Axis(0), block.clone().into());
            let x = x.as_standard_layout();
            let z = &mut buffer[..block.len() * width];
            kernel.logits(x.view(), w, z);
            for (z, row) in z.chunks_exact_mut(width).zip(block) {
                // What is behind the classes is 0, as the weights there are, and stays it.
                let z = &mut z[..b.len()];
                z.iter_mut().zip(b).for_each(|(z, b)| *z += b);
                self.loss += residual(z, samples, row);
                self.bias.iter_mut().zip(&*z).for_each(|(sum, &r)| *sum += f64::from(r));
            }
            kernel.gradient(x.view(), z, &mut self.weights);
        }
    }
}

/// Replaces a row's logits by the gradient by them of its loss, and returns the loss: both of
/// the target that the samples give the row, times its weight.
///
/// A share ε of the target that is spread evenly moves the loss of the label alone by
/// ε (z\[label\] - mean z), and its gradient accordingly.
fn residual(z: &mut [f32], samples: &Samples<'_>, row: usize) -> f64 {
    let (label, weight, smoothing) = (samples.y[row], samples.weight(row), samples.smoothing());
    let mut loss = 0.0;
    if smoothing > 0.0 {
        let mean = z.iter().map(|&z| f64::from(z)).sum::<f64>() / z.len() as f64;
        loss = f64::from(smoothing) * (f64::from(z[label]) - mean);
    }
    loss += label_residual(z, label);
    if smoothing > 0.0 {
        let spread = smoothing / z.len() as f32;
        for z in z.iter_mut() {
            *z -= spread;
        }
        z[label] += smoothing;
    }
    for z in z {
        *z *= weight;
    }
    f64::from(weight) * loss
}

/// Replaces a row's logits by softmax(z) - onehot(label) and returns -log softmax(z)[label].
///
/// The largest logit is subtracted first. The label's residual is minus the sum of the others,
/// which keeps its precision where p(label) is nearly 1.
fn label_residual(z: &mut [f32], label: usize) -> f64 {
    let max = z.iter().fold(f32::NEG_INFINITY, |max, &z| max.max(z));
    let shifted = z[label] - max;
    let mut others = 0.0;
    for (class, z) in z.iter_mut().enumerate() {
        *z = (*z - max).exp();
        others += if class == label { 0.0 } else { f64::from(*z) };
    }
    let sum = others + f64::from(z[label]);
    let scale = (1.0 / sum) as f32;
    for z in z.iter_mut() {
        *z *= scale;
    }
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
        let mut z = [1000.0_f32, -1000.0, 0.0];
        assert_eq!(label_residual(&mut z, 0), 0.0);
        assert_eq!(z, [0.0, 0.0, 0.0]);
        let mut z = [1000.0_f32, -1000.0, 0.0];
        assert_eq!(label_residual(&mut z, 1), 2000.0);
        assert_eq!(z, [1.0, -1.0, 0.0]);
    }

    #[test]
    fn a_nearly_certain_row_keeps_its_gradient() {
        let mut z = [30.0_f32, 0.0];
        let loss = label_residual(&mut z, 0);
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

    /// ndarray's products are the simple version that the others must agree with.
    #[test]
    fn instruction_sets_and_layouts_agree() {
        let mut random = numbers(5);
        let (rows, features, classes) = (CHUNK_ROWS + BLOCK_ROWS + 9, 301, 43);
        let x = Array2::from_shape_simple_fn((rows, features), || random() as f32);
        let by_column = x.t().as_standard_layout().into_owned().reversed_axes();
        let y: Vec<usize> = (0..rows).map(|row| row * row % classes).collect();
        let at: Vec<f64> =
            (0..=features).flat_map(|_| [0.0; 43]).map(|_| f64::from(random() as f32)).collect();
        let run = |x: &Array2<f32>, kernel: Kernel| {
            let samples = Samples::new(x.view(), &y, classes).unwrap();
            let mut gradient = vec![0.0; at.len()];
            let mut objective = Objective::with_kernel(&samples, 1e-3, kernel);
            (objective.evaluate(&at, &mut gradient), gradient)
        };
        let (value, gradient) = run(&x, Kernel::Portable);
        for kernel in Kernel::available() {
            let (other, other_gradient) = run(&x, kernel);
            assert!((other - value).abs() < 1e-6 * value, "{kernel:?}: {other}, {value}");
            for (other, expected) in other_gradient.iter().zip(&gradient) {
                assert!((other - expected).abs() < 1e-6, "{kernel:?}: {other}, {expected}");
            }
            assert!(run(&by_column, kernel) == (other, other_gradient), "{kernel:?}");
        }
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
            (weighted, smoothing) in (any::<bool>(), prop_oneof![Just(0.0), 0.0..0.9_f32]),
        ) {
            let mut random = numbers(seed);
            let x = Array2::from_shape_simple_fn((rows, features), || random() as f32);
            let y: Vec<usize> =
                (0..rows).map(|_| (random().abs() * 1e6) as usize % classes).collect();
            let weights: Vec<f32> = (0..rows).map(|row| (row % 4) as f32 + 0.1).collect();
            let mut samples =
                Samples::new(x.view(), &y, classes).unwrap().smoothed(smoothing).unwrap();
            if weighted {
                samples = samples.weighted(&weights).unwrap();
            }
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
