//! How good a fit is: its scores on what it learned and on what was kept out.

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::Serialize;
use softmax::{Score, fit_temperature, score};
use stage::{Error, Result};

use crate::kept_out::KeptOut;

/// Scores of a fit, or of one a turn. Numbers of the validation part are over everything that was
/// kept out in these turns.
#[derive(Serialize, Clone, Debug)]
pub struct Judgement {
    /// Log-loss on the training part, without the penalty; the mean.
    pub train_loss: f64,
    /// Accuracy on the training part; the mean.
    pub train_accuracy: f64,
    /// Log-loss on what was kept out.
    pub validation_loss: f64,
    /// Accuracy on what was kept out.
    pub validation_accuracy: f64,
    /// Standard error of that accuracy, over tracks.
    pub accuracy_error: f64,
    /// The temperature that fits what was kept out best, down to 0.05.
    pub temperature: f64,
    /// Log-loss on what was kept out with that temperature: what penalties are chosen by.
    pub calibrated_loss: f64,
    /// Standard error of that loss, over tracks.
    pub standard_error: f64,
    /// Each turn of cross-validation by itself; empty for a single split.
    pub folds: Vec<Fold>,
}

/// A turn of cross-validation.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Fold {
    /// Images kept out.
    pub images: usize,
    /// Accuracy on them.
    pub accuracy: f64,
    /// Log-loss on them with the judgement's temperature.
    pub calibrated_loss: f64,
}

impl Judgement {
    /// Judges one fit a turn by its score on the training part and its logits `[images, classes]`
    /// of what was kept out there.
    pub fn new(turns: &[(Score, ArrayView2<'_, f32>)], kept: &KeptOut) -> Result<Self> {
        let mut logits = pooled(turns.iter().map(|(_, logits)| *logits))?;
        let labels = &kept.labels;
        let on_validation = score(logits.view(), labels);
        let right: Vec<f64> = rights(logits.view(), labels);
        let temperature = fit_temperature(logits.view(), labels);
        logits /= temperature as f32;
        let mean = |value: fn(&Score) -> f64| {
            turns.iter().map(|(train, _)| value(train)).sum::<f64>() / turns.len() as f64
        };
        Ok(Self {
            train_loss: mean(|train| train.loss),
            train_accuracy: mean(|train| train.top1),
            validation_loss: on_validation.loss,
            validation_accuracy: on_validation.top1,
            accuracy_error: clustered_error(&right, &kept.tracks),
            temperature,
            calibrated_loss: score(logits.view(), labels).loss,
            standard_error: clustered_error(&losses(logits.view(), labels), &kept.tracks),
            folds: folds(turns, logits.view(), labels),
        })
    }

    /// Whether every picture that was kept out is right.
    pub fn is_flawless(&self) -> bool {
        self.validation_accuracy >= 1.0
    }

    /// Mean accuracy of the folds and its standard deviation (divisor k - 1); `None` for a
    /// single split.
    pub fn spread(&self) -> Option<(f64, f64)> {
        let count = self.folds.len() as f64;
        let accuracies = || self.folds.iter().map(|fold| fold.accuracy);
        let mean = accuracies().sum::<f64>() / count;
        let squares: f64 = accuracies().map(|accuracy| (accuracy - mean).powi(2)).sum();
        (self.folds.len() > 1).then(|| (mean, (squares / (count - 1.0)).sqrt()))
    }

    /// The temperature to divide logits by, and the validation log-loss that it gives. Only
    /// mistakes show how much confidence is too much: without one, the smaller the temperature
    /// the better it fits, up to probabilities of 0 and 1, so that logits stay as they are.
    pub fn calibration(&self) -> (f64, f64) {
        if self.is_flawless() {
            (1.0, self.validation_loss)
        } else {
            (self.temperature, self.calibrated_loss)
        }
    }
}

/// The logits of all turns, one after the other.
pub fn pooled<'a>(turns: impl Iterator<Item = ArrayView2<'a, f32>>) -> Result<Array2<f32>> {
    let views: Vec<_> = turns.collect();
    concatenate(Axis(0), &views).map_err(|e| Error::internal(format!("logits: {e}")))
}

fn folds(
    turns: &[(Score, ArrayView2<'_, f32>)],
    logits: ArrayView2<'_, f32>,
    labels: &[usize],
) -> Vec<Fold> {
    if turns.len() < 2 {
        return vec![];
    }
    let mut start = 0;
    let fold = |(_, turn): &(Score, ArrayView2<'_, f32>)| {
        let end = start + turn.nrows();
        let part = logits.slice_axis(Axis(0), (start..end).into());
        let score = score(part, &labels[start..end]);
        let images = end - start;
        start = end;
        Fold { images, accuracy: score.top1, calibrated_loss: score.loss }
    };
    turns.iter().map(fold).collect()
}

/// 1 for each row whose largest logit is the label's, else 0.
fn rights(logits: ArrayView2<'_, f32>, labels: &[usize]) -> Vec<f64> {
    let rows = logits.axis_chunks_iter(Axis(0), 1).zip(labels.chunks(1));
    rows.map(|(row, label)| score(row, label).top1).collect()
}

/// -log p(label) of each row.
fn losses(logits: ArrayView2<'_, f32>, labels: &[usize]) -> Vec<f64> {
    let rows = logits.axis_chunks_iter(Axis(0), 1).zip(labels.chunks(1));
    rows.map(|(row, label)| score(row, label).loss).collect()
}

/// Standard error of the mean of `values` whose rows come in tracks, which are drawn
/// independently, and not one by one: √(T/(T-1) Σₜ (Σᵢ∈ₜ vᵢ - v̄)²) / n (the usual estimator
/// for clustered samples). 0 where there is a single track.
fn clustered_error(values: &[f64], tracks: &[usize]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let count = tracks.iter().max().map_or(0, |last| last + 1);
    let mut sums = vec![0.0; count];
    for (value, &track) in values.iter().zip(tracks) {
        sums[track] += value - mean;
    }
    if count < 2 {
        return 0.0;
    }
    let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
    (squares * count as f64 / (count - 1) as f64).sqrt() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Rows of their own: s / √n with divisor n - 1. In pairs of equal ones: as half as many.
    #[test]
    fn errors_count_tracks_and_not_pictures() {
        let single = clustered_error(&[1.0, 2.0, 3.0, 6.0], &[0, 1, 2, 3]);
        let variance: f64 = (4.0 + 1.0 + 0.0 + 9.0) / 3.0;
        assert!((single - (variance / 4.0).sqrt()).abs() < 1e-12);
        let values = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 6.0, 6.0];
        let pairs = clustered_error(&values, &[0, 0, 1, 1, 2, 2, 3, 3]);
        assert!((pairs - single).abs() < 1e-12);
        assert!(clustered_error(&[1.0, 5.0], &[0, 0]).abs() < 1e-12);
    }

    #[test]
    fn rows_are_right_or_cost_their_surprise() {
        let logits = array![[0.0_f32, 0.0], [3.0, 0.0]];
        assert_eq!(rights(logits.view(), &[0, 1]), [1.0, 0.0]);
        let losses = losses(logits.view(), &[0, 1]);
        assert!((losses[0] - 2.0_f64.ln()).abs() < 1e-12);
        assert!((losses[1] - (1.0 + 3.0_f64.exp()).ln()).abs() < 1e-6);
    }
}
