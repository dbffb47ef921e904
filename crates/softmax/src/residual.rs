//! Loss of a row and its gradient by the logits.

use crate::Samples;

/// Replaces a row's logits by the gradient by them of its loss, and returns the loss: both of
/// the target that the samples give the row, times its weight.
///
/// A share ε of the target that is spread evenly moves the loss of the label alone by
/// ε (z\[label\] - mean z), and its gradient accordingly.
pub(crate) fn residual(z: &mut [f64], samples: &Samples<'_>, row: usize) -> f64 {
    let (label, smoothing) = (samples.y[row], f64::from(samples.smoothing()));
    let mut loss = 0.0;
    if smoothing > 0.0 {
        loss = smoothing * (z[label] - z.iter().sum::<f64>() / z.len() as f64);
    }
    loss += label_residual(z, label);
    if smoothing > 0.0 {
        let spread = smoothing / z.len() as f64;
        for z in z.iter_mut() {
            *z -= spread;
        }
        z[label] += smoothing;
    }
    let weight = f64::from(samples.weight(row));
    for z in z {
        *z *= weight;
    }
    weight * loss
}

/// Replaces logits by softmax(z) - onehot(label) and returns -log softmax(z)[label].
///
/// The largest logit is subtracted first. The label's residual is minus the sum of the others,
/// which keeps its precision where p(label) is nearly 1.
fn label_residual(z: &mut [f64], label: usize) -> f64 {
    let max = z.iter().fold(f64::NEG_INFINITY, |max, &z| max.max(z));
    let shifted = z[label] - max;
    let mut others = 0.0;
    for (class, z) in z.iter_mut().enumerate() {
        *z = (*z - max).exp();
        others += if class == label { 0.0 } else { *z };
    }
    let sum = others + z[label];
    for z in z.iter_mut() {
        *z /= sum;
    }
    z[label] = -others / sum;
    // Where the label has the largest logit, its exponential is 1.
    if shifted == 0.0 { others.ln_1p() } else { sum.ln() - shifted }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    #[test]
    fn logits_of_1000_neither_overflow_nor_lose_the_gradient() {
        let mut z = [1000.0, -1000.0, 0.0];
        assert_eq!(label_residual(&mut z, 0), 0.0);
        assert_eq!(z, [0.0, 0.0, 0.0]);
        let mut z = [1000.0, -1000.0, 0.0];
        assert_eq!(label_residual(&mut z, 1), 2000.0);
        assert_eq!(z, [1.0, -1.0, 0.0]);
    }

    #[test]
    fn a_nearly_certain_row_keeps_its_loss_and_gradient() {
        let mut z = [50.0, 0.0];
        let loss = label_residual(&mut z, 0);
        let expected = (-50.0_f64).exp();
        assert!((loss / expected - 1.0).abs() < 1e-12);
        assert!((-z[0] / expected - 1.0).abs() < 1e-12);
    }
}
