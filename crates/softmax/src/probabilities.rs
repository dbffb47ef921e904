//! From logits to probabilities.

use ndarray::{Array2, ArrayView2};

/// Probabilities `[rows, classes]` from `logits` of that shape: the softmax of
/// logits / temperature. Every row has its own maximum subtracted, in f64, so that
/// no logit overflows or drowns another row's. They are rounded to f32: whoever stores
/// them can compute every number that is made of them again from what is stored.
#[must_use]
pub fn probabilities(mut logits: Array2<f32>, temperature: f32) -> Array2<f32> {
    for mut row in logits.rows_mut() {
        let scaled: Vec<f64> = row.iter().map(|v| f64::from(*v) / f64::from(temperature)).collect();
        for (place, p) in row.iter_mut().zip(softmax(&scaled)) {
            *place = p as f32;
        }
    }
    logits
}

/// The class of each row's largest number, the first of equal ones: what logits or
/// probabilities `[rows, classes]` predict.
#[must_use]
pub fn predicted(rows: ArrayView2<'_, f32>) -> Vec<usize> {
    let better = |best: (usize, f32), (class, &value): (usize, &f32)| {
        if value > best.1 { (class, value) } else { best }
    };
    let first = (0, f32::NEG_INFINITY);
    rows.rows().into_iter().map(|row| row.iter().enumerate().fold(first, better).0).collect()
}

/// exp(vᵢ − max v) / Σ exp(vⱼ − max v).
fn softmax(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = values.iter().map(|v| (v - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn large_logits_of_one_row_leave_the_others_alone() {
        let p = probabilities(array![[0.0_f32, 0.0], [1000.0, 0.0], [-1000.0, 0.0]], 1.0);
        assert_eq!(p, array![[0.5_f32, 0.5], [1.0, 0.0], [0.0, 1.0]]);
    }

    #[test]
    fn the_first_of_the_largest_is_predicted() {
        assert_eq!(predicted(array![[0.1_f32, 0.7, 0.7], [-3.0, -2.0, -4.0]].view()), [1, 1]);
    }

    #[test]
    fn temperature_divides_logits() {
        // Logits 2 and 1, doubled: 1 / (1 + e^-2).
        let p = probabilities(array![[2.0_f32, 1.0]], 0.5);
        assert!((f64::from(p[[0, 0]]) - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-7);
    }
}
