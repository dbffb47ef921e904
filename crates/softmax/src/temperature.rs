//! Temperature scaling: one number that makes probabilities honest.

use ndarray::ArrayView2;

/// Temperatures outside of this range say that the logits carry no information about their
/// own certainty (all right, or no better than chance): the range's end is returned.
const RANGE: (f64, f64) = (0.05, 20.0);

/// The temperature T that minimises the log-loss of `softmax(logits / T)`
/// (Guo et al., 2017, "On Calibration of Modern Neural Networks").
///
/// `logits` is `[rows, classes]`, `labels` `[rows]`. The loss is convex in 1/T: Newton's method on
/// its derivative, kept inside a shrinking bracket. Without rows, 1.
#[must_use]
pub fn fit_temperature(logits: ArrayView2<'_, f32>, labels: &[usize]) -> f64 {
    if labels.is_empty() {
        return 1.0;
    }
    let (mut low, mut high) = (1.0 / RANGE.1, 1.0 / RANGE.0);
    let mut inverse = 1.0;
    for _ in 0..100 {
        let (slope, curvature) = derivatives(logits, labels, inverse);
        if slope > 0.0 {
            high = inverse;
        } else {
            low = inverse;
        }
        let newton = inverse - slope / curvature;
        let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
        if (next - inverse).abs() <= 1e-9 * inverse {
            break;
        }
        inverse = next;
    }
    1.0 / inverse
}

/// First and second derivative of the mean log-loss by the inverse temperature: per row
/// Σ p z - z[label], and the variance of z under p.
fn derivatives(logits: ArrayView2<'_, f32>, labels: &[usize], inverse: f64) -> (f64, f64) {
    let (mut slope, mut curvature) = (0.0, 0.0);
    for (row, &label) in logits.rows().into_iter().zip(labels) {
        let max = f64::from(row.fold(f32::NEG_INFINITY, |max, &z| max.max(z)));
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for &z in row {
            let z = f64::from(z) - max;
            let weight = (inverse * z).exp();
            sum += weight;
            first += weight * z;
            second += weight * z * z;
        }
        let mean = first / sum;
        slope += mean - (f64::from(row[label]) - max);
        curvature += second / sum - mean * mean;
    }
    let rows = labels.len() as f64;
    (slope / rows, curvature / rows)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    /// Two classes, logit difference ±d, right in a share p: the best temperature is
    /// d / ln(p / (1 - p)).
    #[test]
    fn the_known_optimum_is_found() {
        let logits =
            Array2::from_shape_fn((10, 2), |(_, class)| if class == 0 { 6.0 } else { 0.0 });
        let labels: Vec<usize> = (0..10).map(|row| usize::from(row >= 8)).collect();
        let temperature = fit_temperature(logits.view(), &labels);
        assert!((temperature - 6.0 / 4.0_f64.ln()).abs() < 1e-6, "{temperature}");
    }

    #[test]
    fn always_right_or_always_wrong_ends_at_the_range() {
        let logits = array![[1.0_f32, 0.0], [0.0, 1.0]];
        assert!((fit_temperature(logits.view(), &[0, 1]) - RANGE.0).abs() < 1e-3);
        assert!((fit_temperature(logits.view(), &[1, 0]) - RANGE.1).abs() < 1e-3);
    }
}
