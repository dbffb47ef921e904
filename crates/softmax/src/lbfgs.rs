//! L-BFGS: minimises a smooth function of many variables
//! (Nocedal & Wright, *Numerical Optimization*, 2nd edition, algorithms 7.4 and 7.5).

use std::collections::VecDeque;

use serde::Serialize;

use crate::line_search::{Point, search};

/// Why an optimisation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The gradient is small enough: converged.
    Gradient,
    /// The objective hardly fell any more: converged for practical purposes.
    Decrease,
    /// Along the search direction no lower value could be measured: the limit of precision.
    Precision,
    /// The iterations ran out: not converged.
    Iterations,
    /// The caller asked to stop.
    Asked,
}

/// When to stop, and how much to remember.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Norm of the gradient that counts as zero.
    pub gradient: f64,
    /// Relative fall of the objective over [`WINDOW`] iterations that counts as none.
    pub decrease: f64,
    pub iterations: usize,
    /// Pairs of steps and gradient changes that stand for the curvature.
    pub history: usize,
}

/// Iterations over which the fall of the objective is measured; one may be small by chance.
const WINDOW: usize = 5;

/// Where an optimisation ended.
#[derive(Debug)]
pub(crate) struct Minimum {
    pub point: Point,
    pub iterations: usize,
    pub evaluations: usize,
    pub stop: Stop,
    /// Objective at the start and after each iteration.
    pub curve: Vec<f64>,
}

/// Minimises `evaluate(at, gradient) -> value` from `start`. `observe` sees each new point and
/// says whether to go on.
pub(crate) fn minimize(
    start: Vec<f64>,
    limits: &Limits,
    mut evaluate: impl FnMut(&[f64], &mut [f64]) -> f64,
    mut observe: impl FnMut(usize, &Point) -> bool,
) -> Minimum {
    let mut evaluations = 0;
    let mut measure = |at: Vec<f64>| {
        evaluations += 1;
        let mut gradient = vec![0.0; at.len()];
        let value = evaluate(&at, &mut gradient);
        Point { at, value, gradient }
    };
    let mut point = measure(start);
    let mut curve = vec![point.value];
    let mut memory = Memory::new(limits.history);
    let stop = loop {
        let iteration = curve.len() - 1;
        if !observe(iteration, &point) {
            break Stop::Asked;
        }
        if let Some(stop) = finished(&point, &curve, limits) {
            break stop;
        }
        let direction = memory.direction(&point.gradient);
        let first = memory.first_step(&point.gradient);
        match search(&point, &direction, first, &mut measure) {
            Some(next) => {
                memory.push(&point, &next);
                point = next;
                curve.push(point.value);
            }
            // Old curvature may be to blame: try again from the gradient alone.
            None if !memory.pairs.is_empty() => memory.pairs.clear(),
            None => break Stop::Precision,
        }
    };
    Minimum { iterations: curve.len() - 1, point, evaluations, stop, curve }
}

fn finished(point: &Point, curve: &[f64], limits: &Limits) -> Option<Stop> {
    if norm(&point.gradient) <= limits.gradient {
        return Some(Stop::Gradient);
    }
    let before = curve.len().checked_sub(WINDOW + 1).map(|index| curve[index]);
    if before.is_some_and(|before| before - point.value <= limits.decrease * point.value.abs()) {
        return Some(Stop::Decrease);
    }
    (curve.len() > limits.iterations).then_some(Stop::Iterations)
}

/// The last steps s, the changes y of the gradient along them, and 1 / sᵀy.
struct Memory {
    capacity: usize,
    pairs: VecDeque<Pair>,
}

struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    rho: f64,
}

impl Memory {
    fn new(capacity: usize) -> Self {
        Self { capacity, pairs: VecDeque::with_capacity(capacity) }
    }

    /// Minus the inverse Hessian's estimate times the gradient (the two-loop recursion).
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction: Vec<f64> = gradient.iter().map(|value| -value).collect();
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let alpha = pair.rho * dot(&pair.step, &direction);
            add_scaled(&mut direction, -alpha, &pair.change);
            alphas.push(alpha);
        }
        if let Some(pair) = self.pairs.back() {
            let scale = 1.0 / (pair.rho * dot(&pair.change, &pair.change));
            for value in &mut direction {
                *value *= scale;
            }
        }
        for (pair, alpha) in self.pairs.iter().zip(alphas.iter().rev()) {
            let beta = pair.rho * dot(&pair.change, &direction);
            add_scaled(&mut direction, alpha - beta, &pair.step);
        }
        direction
    }

    /// Without curvature the first trial step has length 1 at most; with it the step is 1.
    fn first_step(&self, gradient: &[f64]) -> f64 {
        if self.pairs.is_empty() { norm(gradient).recip().min(1.0) } else { 1.0 }
    }

    fn push(&mut self, from: &Point, to: &Point) {
        let step: Vec<f64> = to.at.iter().zip(&from.at).map(|(to, from)| to - from).collect();
        let change: Vec<f64> =
            to.gradient.iter().zip(&from.gradient).map(|(to, from)| to - from).collect();
        let curvature = dot(&step, &change);
        // The Wolfe conditions promise a positive curvature, rounding doesn't.
        if curvature <= f64::EPSILON * dot(&change, &change).sqrt() * dot(&step, &step).sqrt() {
            return;
        }
        if self.pairs.len() == self.capacity {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair { step, change, rho: curvature.recip() });
    }
}

/// Scalar product, in eight running sums that the compiler turns into vector registers.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// Euclidean length.
pub(crate) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn add_scaled(to: &mut [f64], scale: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += scale * from);
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { gradient: 1e-8, decrease: 0.0, iterations: 200, history: 5 };

    fn rosenbrock(at: &[f64], gradient: &mut [f64]) -> f64 {
        let (x, y) = (at[0], at[1]);
        gradient[0] = -400.0 * x * (y - x * x) - 2.0 * (1.0 - x);
        gradient[1] = 200.0 * (y - x * x);
        100.0 * (y - x * x).powi(2) + (1.0 - x).powi(2)
    }

    #[test]
    fn rosenbrocks_valley_is_walked_to_its_end() {
        let minimum = minimize(vec![-1.2, 1.0], &LIMITS, rosenbrock, |_, _| true);
        assert_eq!(minimum.stop, Stop::Gradient);
        assert!((minimum.point.at[0] - 1.0).abs() < 1e-6);
        assert!(minimum.evaluations < 80, "{}", minimum.evaluations);
        assert_eq!(minimum.curve.len(), minimum.iterations + 1);
        assert!(minimum.curve.windows(2).all(|pair| pair[1] <= pair[0]));
    }

    #[test]
    fn an_ill_conditioned_quadratic_is_minimised() {
        let evaluate = |at: &[f64], gradient: &mut [f64]| {
            let mut value = 0.0;
            for (index, (x, g)) in at.iter().zip(gradient).enumerate() {
                let curvature = 10.0_f64.powf(index as f64 / 20.0);
                *g = curvature * (x - 1.0);
                value += 0.5 * curvature * (x - 1.0).powi(2);
            }
            value
        };
        let minimum = minimize(vec![0.0; 20], &LIMITS, evaluate, |_, _| true);
        assert_eq!(minimum.stop, Stop::Gradient);
        assert!(minimum.point.at.iter().all(|x| (x - 1.0).abs() < 1e-6));
    }

    #[test]
    fn each_reason_to_stop_is_told() {
        let run = |limits: Limits, patience: usize| {
            minimize(vec![-1.2, 1.0], &limits, rosenbrock, |iteration, _| iteration < patience)
        };
        let few = run(Limits { iterations: 3, ..LIMITS }, 99);
        assert_eq!((few.stop, few.iterations), (Stop::Iterations, 3));
        assert_eq!(run(Limits { decrease: 0.9, ..LIMITS }, 99).stop, Stop::Decrease);
        let asked = run(LIMITS, 4);
        assert_eq!((asked.stop, asked.iterations), (Stop::Asked, 4));
        // A slope that promises a fall that never comes.
        let lie = |_: &[f64], gradient: &mut [f64]| {
            gradient[0] = 1.0;
            0.0
        };
        assert_eq!(minimize(vec![0.0], &LIMITS, lie, |_, _| true).stop, Stop::Precision);
    }

    #[test]
    fn dot_products_include_the_rest() {
        let numbers: Vec<f64> = (0..19).map(f64::from).collect();
        assert_eq!(dot(&numbers, &numbers), (0..19).map(|n| f64::from(n * n)).sum::<f64>());
    }
}
