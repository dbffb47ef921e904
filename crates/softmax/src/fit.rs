//! Fits a model.

use serde::Serialize;

use crate::lbfgs::{Limits, Minimum, Stop, minimize, norm};
use crate::line_search::Point;
use crate::samples::Thinned;
use crate::{Model, Objective, Samples};

/// When a fit is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Options {
    /// Stop when the objective falls by less than this share of itself in 5 iterations.
    pub tolerance: f64,
    /// Stop when the gradient's norm is below this share of its norm at zero weights.
    pub gradient: f64,
    /// Stop after this many iterations.
    pub max_iterations: usize,
    /// Pairs of steps and gradient changes that L-BFGS remembers.
    pub history: usize,
    /// Compute everything in f64, several times slower. (Fitted models are f32 all the same.)
    pub precise: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { tolerance: 0.0, gradient: 1e-6, max_iterations: 1000, history: 10, precise: false }
    }
}

/// A fitted model and how it came about.
#[derive(Debug, Clone)]
pub struct Fit {
    /// The model.
    pub model: Model,
    /// Its penalty.
    pub lambda: f64,
    /// Objective at the end, penalty included.
    pub objective: f64,
    /// Norm of the gradient at the end, as a share of its norm at zero weights.
    pub gradient_norm: f64,
    /// Iterations made.
    pub iterations: usize,
    /// Evaluations of objective and gradient, the one at zero weights included; those of a rough
    /// fit on a part of the rows count as their share.
    pub evaluations: usize,
    /// Why it ended.
    pub stop: Stop,
    /// Objective at the start and after each iteration.
    pub curve: Vec<f64>,
}

impl Fit {
    /// A start for a fit with the penalty `lambda`: along a path of penalties, weights move nearly
    /// in proportion to log λ, so that the step from `before`'s fit to this one tells the
    /// next. With two penalties a power of ten it saves a third of a path's evaluations.
    ///
    /// # Panics
    /// If the two models differ in shape.
    #[must_use]
    pub fn extrapolate(&self, before: &Self, lambda: f64) -> Model {
        let share = (lambda / self.lambda).ln() / (self.lambda / before.lambda).ln();
        // Equal penalties have no direction.
        let share = if share.is_finite() { share as f32 } else { 0.0 };
        let (last, before) = (&self.model, &before.model);
        Model {
            weights: &last.weights + share * (&last.weights - &before.weights),
            bias: &last.bias + share * (&last.bias - &before.bias),
        }
    }
}

/// The state after an iteration, for the observer of a fit.
pub struct Step<'a> {
    /// Iterations made so far; 0 at the start.
    pub iteration: usize,
    /// Objective, penalty included.
    pub objective: f64,
    point: &'a Point,
    shape: (usize, usize),
}

impl Step<'_> {
    /// The model at this point.
    #[must_use]
    pub fn model(&self) -> Model {
        Objective::unflatten(&self.point.at, self.shape)
    }
}

/// A fit from zero weights begins on one of this many rows, where an evaluation costs as much
/// less: far from the end all rows say much the same.
const THINNING: usize = 8;

/// Rows that this must leave.
const THIN_ROWS: usize = 2048;

/// The rough fit ends when the objective falls by less than this share in 5 iterations,
const ROUGH: f64 = 0.1;

/// or after this many.
const ROUGH_ITERATIONS: usize = 50;

/// Minimises the objective of `samples` with penalty `lambda` from `start`, which may be the
/// result of another fit (a warm start). `observe` sees the start and each iteration, and ends
/// the fit by returning false. From zero weights, many rows are first fitted roughly by an eighth
/// of them, unseen by `observe`.
///
/// # Panics
/// If `start` hasn't the shape of `samples`.
pub fn fit(
    samples: &Samples<'_>,
    lambda: f64,
    start: &Model,
    options: &Options,
    mut observe: impl FnMut(&Step<'_>) -> bool,
) -> Fit {
    let shape = (samples.classes(), samples.features());
    assert_eq!(start.weights.dim(), shape, "the start has another shape than the samples");
    let mut objective = objective_of(samples, lambda, options);
    let unit = norm_at_zero(&mut objective);
    let limits = Limits {
        gradient: options.gradient * unit,
        decrease: options.tolerance,
        iterations: options.max_iterations,
        history: options.history,
    };
    let (start, thin_evaluations) = match rough(samples, lambda, start, options) {
        Some(rough) => (rough.point.at, rough.evaluations.div_ceil(THINNING)),
        None => (Objective::flatten(start), 0),
    };
    let minimum = minimize(
        start,
        &limits,
        |at, gradient| objective.evaluate(at, gradient),
        |iteration, point| observe(&Step { iteration, objective: point.value, point, shape }),
    );
    Fit {
        model: Objective::unflatten(&minimum.point.at, shape),
        lambda,
        objective: minimum.point.value,
        gradient_norm: norm(&minimum.point.gradient) / unit,
        iterations: minimum.iterations,
        evaluations: minimum.evaluations + 1 + thin_evaluations,
        stop: minimum.stop,
        curve: minimum.curve,
    }
}

fn objective_of<'a>(samples: &Samples<'a>, lambda: f64, options: &Options) -> Objective<'a> {
    if options.precise {
        Objective::precise(samples, lambda)
    } else {
        Objective::new(samples, lambda)
    }
}

/// The gradient's norm at zero weights.
fn norm_at_zero(objective: &mut Objective<'_>) -> f64 {
    let zeros = vec![0.0; objective.parameters()];
    let mut gradient = zeros.clone();
    objective.evaluate(&zeros, &mut gradient);
    norm(&gradient)
}

/// Where a fit of some of the rows ends, if `start` is zero and the rows are many.
fn rough(samples: &Samples<'_>, lambda: f64, start: &Model, options: &Options) -> Option<Minimum> {
    let start = Objective::flatten(start);
    if samples.rows() < THINNING * THIN_ROWS || start.iter().any(|&weight| weight != 0.0) {
        return None;
    }
    let thinned = Thinned::new(samples, THINNING);
    let thinned = thinned.samples(samples)?;
    let mut objective = objective_of(&thinned, lambda, options);
    let limits = Limits {
        gradient: 0.0,
        decrease: options.tolerance.max(ROUGH),
        iterations: options.max_iterations.min(ROUGH_ITERATIONS),
        history: options.history,
    };
    Some(minimize(start, &limits, |at, gradient| objective.evaluate(at, gradient), |_, _| true))
}
