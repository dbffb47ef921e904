//! Calibration: whether a confidence of 90 % is right nine times out of ten, before and after
//! temperature scaling.

use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::metrics::{BINS, SMALLEST, Scored, bin};

/// What `metrics.json` says of calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// What the logits are divided by, fitted in training.
    pub temperature: f64,
    /// Of softmax(logits).
    pub before: Honesty,
    /// Of softmax(logits / temperature), the probabilities that are stored.
    pub after: Honesty,
}

/// How well confidences agree with what comes true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Honesty {
    /// Mean of −ln p(true class).
    pub log_loss: f64,
    /// Expected calibration error.
    pub ece: f64,
    /// The bins of the calibration error, from the least to the most confident.
    pub bins: Vec<Bin>,
}

/// Images of like confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// How many.
    pub images: u64,
    /// Their mean confidence; null without images.
    pub confidence: Option<f64>,
    /// Share of them that is right; null without images.
    pub accuracy: Option<f64>,
}

/// One image's confidence, whether it is right, and its loss.
type Answer = (f64, bool, f64);

impl Calibration {
    /// Of `scored` images with their calibrated `probabilities` `[images, classes]`.
    #[must_use]
    pub fn of(scored: &[Scored], probabilities: &Array2<f32>, temperature: f32) -> Self {
        let temperature = f64::from(temperature);
        let after = scored.iter().map(|s| (s.confidence, s.correct(), s.loss)).collect();
        let before = scored.iter().zip(probabilities.rows()).map(|(s, row)| {
            let p = undo(row, temperature);
            (p[s.predicted], s.correct(), -p[s.label].max(SMALLEST).ln())
        });
        Self { temperature, before: Honesty::of(before.collect()), after: Honesty::of(after) }
    }
}

/// Probabilities `[classes]` as they were before logits were divided by `temperature`: each to
/// the power of it, normalised. So whoever has the stored ones has these too.
fn undo(row: ArrayView1<'_, f32>, temperature: f64) -> Vec<f64> {
    let powers: Vec<f64> = row.iter().map(|p| f64::from(*p).powf(temperature)).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

impl Honesty {
    fn of(answers: Vec<Answer>) -> Self {
        let mut bins = [(0_u64, 0.0, 0_u64); BINS];
        for (confidence, right, _) in &answers {
            let bin = &mut bins[bin(*confidence)];
            *bin = (bin.0 + 1, bin.1 + confidence, bin.2 + u64::from(*right));
        }
        let all = answers.len() as f64;
        let gap = |(_, sum, hits): &(u64, f64, u64)| (*hits as f64 - sum).abs();
        Self {
            log_loss: answers.iter().map(|(_, _, loss)| loss).sum::<f64>() / all,
            ece: bins.iter().map(gap).sum::<f64>() / all,
            bins: bins.into_iter().map(Bin::of).collect(),
        }
    }
}

impl Bin {
    fn of((images, sum, hits): (u64, f64, u64)) -> Self {
        let mean = |total: f64| (images > 0).then(|| total / images as f64);
        Self { images, confidence: mean(sum), accuracy: mean(hits as f64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::score_all;
    use ndarray::array;

    #[test]
    fn undoing_a_temperature_gives_the_plain_softmax() {
        let logits = array![[2.0_f32, -1.0, 0.5], [0.0, 3.0, 1.0]];
        let plain = softmax::probabilities(logits.clone(), 1.0);
        let scaled = softmax::probabilities(logits, 1.7);
        for (row, wanted) in scaled.rows().into_iter().zip(plain.rows()) {
            for (p, wanted) in undo(row, f64::from(1.7_f32)).iter().zip(wanted) {
                assert!((p - f64::from(*wanted)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_temperature_of_one_changes_nothing() {
        let p = array![[0.9_f32, 0.1], [0.9, 0.1], [0.3, 0.7]];
        let of = Calibration::of(&score_all(&[0, 1, 1], &p), &p, 1.0);
        assert!((of.before.ece - of.after.ece).abs() < 1e-7);
        assert!((of.before.log_loss - of.after.log_loss).abs() < 1e-7);
        let filled: Vec<_> = of.after.bins.iter().map(|bin| bin.images).collect();
        assert_eq!((filled[10], filled[13], filled.iter().sum::<u64>()), (1, 2, 3));
        assert_eq!(of.after.bins[13].accuracy, Some(0.5));
        assert_eq!(of.after.bins[0], Bin { images: 0, confidence: None, accuracy: None });
    }
}
