//! What is known of a penalty after it was tried.

use std::collections::HashMap;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::Serialize;
use softmax::{Stop, fit_temperature, score};
use stage::{Error, Result};

use crate::split::{Split, track_of};
use crate::walk::{Attempt, Look};

/// The images that were kept out, turn after turn.
pub struct KeptOut {
    /// Indices into [`Split::rows`].
    pub rows: Vec<usize>,
    /// In which turn.
    pub turns: Vec<usize>,
    /// Their labels.
    pub labels: Vec<usize>,
    /// Numbers of their tracks.
    tracks: Vec<usize>,
}

impl KeptOut {
    /// Those of some turns.
    pub fn of(split: &Split, turns: Range<usize>) -> Self {
        let mut kept = Self { rows: vec![], turns: vec![], labels: vec![], tracks: vec![] };
        let mut numbers = HashMap::new();
        for turn in turns {
            for (index, row) in split.rows.iter().enumerate() {
                if split.turns[index] == Some(turn) {
                    let next = numbers.len();
                    kept.rows.push(index);
                    kept.turns.push(turn);
                    kept.labels.push(row.label as usize);
                    kept.tracks.push(*numbers.entry(track_of(row)).or_insert(next));
                }
            }
        }
        kept
    }
}

/// One penalty tried. Numbers of the validation part are over everything that was kept out;
/// those of fits are sums over the turns, or of the one that says the most.
#[derive(Serialize, Clone, Debug)]
pub struct Trial {
    /// The penalty.
    pub lambda: f64,
    /// Iterations made in all turns.
    pub iterations: usize,
    /// Evaluations of objective and gradient in all turns.
    pub evaluations: usize,
    /// Why the fit ended; of several the one that ran out of iterations, or the last.
    pub stop: Stop,
    /// Norm of the last gradient, as a share of that at zero weights; the largest.
    pub gradient_norm: f64,
    /// Objective at the end, penalty included; the mean.
    pub objective: f64,
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
    /// Objective at the start and after each iteration of the first turn.
    pub losses: Vec<f64>,
    /// Validation part during the first turn.
    pub validation_curve: Vec<Look>,
}

/// A turn of cross-validation.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Fold {
    /// Images kept out.
    pub images: usize,
    /// Accuracy on them.
    pub accuracy: f64,
    /// Log-loss on them with the trial's temperature.
    pub calibrated_loss: f64,
}

impl Trial {
    /// Judges `attempts` with one penalty, one a turn, by what was kept out in these turns.
    pub fn new(attempts: &[&Attempt], kept: &KeptOut) -> Result<Self> {
        let mut logits = pooled(attempts)?;
        let labels = &kept.labels;
        let on_validation = score(logits.view(), labels);
        let right: Vec<f64> = rights(logits.view(), labels);
        let temperature = fit_temperature(logits.view(), labels);
        logits /= temperature as f32;
        let first = &attempts[0];
        let mean = |value: fn(&Attempt) -> f64| {
            attempts.iter().map(|attempt| value(attempt)).sum::<f64>() / attempts.len() as f64
        };
        Ok(Self {
            lambda: first.fit.lambda,
            iterations: attempts.iter().map(|attempt| attempt.fit.iterations).sum(),
            evaluations: attempts.iter().map(|attempt| attempt.fit.evaluations).sum(),
            stop: worst(attempts),
            gradient_norm: attempts.iter().map(|a| a.fit.gradient_norm).fold(0.0, f64::max),
            objective: mean(|attempt| attempt.fit.objective),
            train_loss: mean(|attempt| attempt.train.loss),
            train_accuracy: mean(|attempt| attempt.train.top1),
            validation_loss: on_validation.loss,
            validation_accuracy: on_validation.top1,
            accuracy_error: clustered_error(&right, &kept.tracks),
            temperature,
            calibrated_loss: score(logits.view(), labels).loss,
            standard_error: clustered_error(&losses(logits.view(), labels), &kept.tracks),
            folds: folds(attempts, logits.view(), labels),
            losses: first.fit.curve.clone(),
            validation_curve: first.looks.clone(),
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
pub fn pooled(attempts: &[&Attempt]) -> Result<Array2<f32>> {
    let views: Vec<_> = attempts.iter().map(|attempt| attempt.logits.view()).collect();
    concatenate(Axis(0), &views).map_err(|e| Error::internal(format!("logits: {e}")))
}

fn worst(attempts: &[&Attempt]) -> Stop {
    let stops = || attempts.iter().map(|attempt| attempt.fit.stop);
    let last = stops().next_back();
    stops().find(|stop| *stop == Stop::Iterations).or(last).unwrap_or(Stop::Asked)
}

fn folds(attempts: &[&Attempt], logits: ArrayView2<'_, f32>, labels: &[usize]) -> Vec<Fold> {
    if attempts.len() < 2 {
        return vec![];
    }
    let mut start = 0;
    let fold = |attempt: &&Attempt| {
        let end = start + attempt.logits.nrows();
        let part = logits.slice_axis(Axis(0), (start..end).into());
        let score = score(part, &labels[start..end]);
        let images = end - start;
        start = end;
        Fold { images, accuracy: score.top1, calibrated_loss: score.loss }
    };
    attempts.iter().map(fold).collect()
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
