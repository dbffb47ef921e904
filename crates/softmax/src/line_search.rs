//! Strong Wolfe line search (Nocedal & Wright, *Numerical Optimization*, 2nd edition,
//! algorithms 3.5 and 3.6, with cubic interpolation, equation 3.59).

use crate::lbfgs::dot;

/// A point with value and gradient of the function there.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub at: Vec<f64>,
    pub value: f64,
    pub gradient: Vec<f64>,
}

/// Share of the promised decrease that a step must bring (c₁).
const DECREASE: f64 = 1e-4;
/// Share of the first slope that may be left (c₂): loose, as suits quasi-Newton directions.
const CURVATURE: f64 = 0.9;
/// Relative rounding noise of a value summed from f32 terms; a rise within it is no rise.
const NOISE: f64 = 1e-8;
/// Evaluations after which a search gives up.
const EVALUATIONS: usize = 25;

/// A trial along the direction.
struct Trial {
    step: f64,
    slope: f64,
    point: Point,
}

/// The function along one direction, with what the Wolfe conditions compare to.
struct Line<'a, F> {
    start: &'a Point,
    slope: f64,
    direction: &'a [f64],
    measure: F,
    left: usize,
}

/// Finds a point from `start` along `direction` that satisfies the strong Wolfe conditions, or
/// at least the first of them; None if there is none to be found. `measure` evaluates a point.
pub(crate) fn search(
    start: &Point,
    direction: &[f64],
    first_step: f64,
    measure: impl FnMut(Vec<f64>) -> Point,
) -> Option<Point> {
    let slope = dot(&start.gradient, direction);
    // Not a descent direction (or NaN): nothing to gain on this line.
    if slope.is_nan() || slope >= 0.0 {
        return None;
    }
    let mut line = Line { start, slope, direction, measure, left: EVALUATIONS };
    line.bracket(first_step).map(|trial| trial.point)
}

impl<F: FnMut(Vec<f64>) -> Point> Line<'_, F> {
    fn trial(&mut self, step: f64) -> Option<Trial> {
        self.left = self.left.checked_sub(1)?;
        let along = self.start.at.iter().zip(self.direction);
        let point = (self.measure)(along.map(|(at, direction)| at + step * direction).collect());
        Some(Trial { step, slope: dot(&point.gradient, self.direction), point })
    }

    /// Enough decrease (first Wolfe condition)? NaN and infinite values have none.
    fn decreases(&self, trial: &Trial) -> bool {
        let noise = NOISE * self.start.value.abs();
        trial.point.value <= self.start.value + DECREASE * trial.step * self.slope + noise
    }

    /// Flat enough (second Wolfe condition)?
    fn is_flat(&self, trial: &Trial) -> bool {
        trial.slope.abs() <= -CURVATURE * self.slope
    }

    /// Algorithm 3.5: widens the step until an interval holds a good one.
    fn bracket(&mut self, first_step: f64) -> Option<Trial> {
        let mut last = Trial { step: 0.0, slope: self.slope, point: self.start.clone() };
        let mut trial = self.trial(first_step)?;
        loop {
            if !self.decreases(&trial) || (last.step > 0.0 && !is_below(&trial, &last)) {
                return self.zoom(last, trial);
            }
            if self.is_flat(&trial) {
                return Some(trial);
            }
            if trial.slope >= 0.0 {
                return self.zoom(trial, last);
            }
            // `min` first: where the cubic has no minimum (NaN), the step grows most.
            let guess = cubic_minimum(&last, &trial);
            let step = guess.min(10.0 * trial.step).max(2.0 * trial.step);
            let Some(next) = self.trial(step) else {
                return Some(trial);
            };
            last = std::mem::replace(&mut trial, next);
        }
    }

    /// Algorithm 3.6: narrows the interval between `low`, the best step so far, and `high`.
    fn zoom(&mut self, mut low: Trial, mut high: Trial) -> Option<Trial> {
        loop {
            let (from, to) = (low.step.min(high.step), low.step.max(high.step));
            let margin = 0.1 * (to - from);
            let guess = cubic_minimum(&low, &high);
            let step = if guess.is_finite() {
                guess.clamp(from + margin, to - margin)
            } else {
                f64::midpoint(from, to)
            };
            let Some(trial) = self.trial(step) else {
                return (low.step > 0.0).then_some(low);
            };
            if !self.decreases(&trial) || (low.step > 0.0 && !is_below(&trial, &low)) {
                high = trial;
            } else if self.is_flat(&trial) {
                return Some(trial);
            } else {
                if trial.slope * (high.step - low.step) >= 0.0 {
                    high = low;
                }
                low = trial;
            }
        }
    }
}

fn is_below(trial: &Trial, other: &Trial) -> bool {
    trial.point.value < other.point.value
}

/// Minimum of the cubic through values and slopes of two trials; NaN where there is none.
fn cubic_minimum(a: &Trial, b: &Trial) -> f64 {
    let width = b.step - a.step;
    let d1 = a.slope + b.slope - 3.0 * (b.point.value - a.point.value) / width;
    let d2 = width.signum() * (d1 * d1 - a.slope * b.slope).sqrt();
    b.step - width * (b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(function: impl Fn(f64) -> (f64, f64)) -> impl FnMut(Vec<f64>) -> Point {
        move |at| {
            let (value, slope) = function(at[0]);
            Point { at, value, gradient: vec![slope] }
        }
    }

    #[test]
    fn steps_too_short_and_too_long_end_in_the_same_valley() {
        let quartic = |x: f64| ((x - 3.0).powi(4), 4.0 * (x - 3.0).powi(3));
        for first in [1e-3, 1.0, 100.0] {
            let start = on(quartic)(vec![0.0]);
            let found = search(&start, &[1.0], first, on(quartic)).unwrap();
            assert!(found.value < start.value && found.gradient[0].abs() <= 0.9 * 108.0);
        }
    }

    #[test]
    fn values_that_are_not_numbers_shorten_the_step() {
        let logarithm = |x: f64| (x - x.ln(), 1.0 - 1.0 / x);
        let start = on(logarithm)(vec![2.0]);
        let found = search(&start, &[-1.0], 50.0, on(logarithm)).unwrap();
        assert!(found.value < start.value && found.at[0] > 0.0);
    }

    #[test]
    fn the_cubic_through_two_points_is_exact_for_a_parabola() {
        let trial = |x: f64| Trial {
            step: x,
            slope: 2.0 * (x - 3.0),
            point: Point { at: vec![], value: (x - 3.0).powi(2), gradient: vec![] },
        };
        assert!((cubic_minimum(&trial(0.0), &trial(10.0)) - 3.0).abs() < 1e-12);
        assert!((cubic_minimum(&trial(10.0), &trial(0.0)) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn uphill_directions_are_refused() {
        let start = on(|x| (x, 1.0))(vec![0.0]);
        assert!(search(&start, &[1.0], 1.0, on(|x| (x, 1.0))).is_none());
    }
}
