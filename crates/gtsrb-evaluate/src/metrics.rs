//! The numbers: from labels and probabilities to accuracy, calibration and the
//! confusion matrix, each with its definition.

use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use crate::calibration::Calibration;
use crate::interval::{Unit, Units, wilson};
use crate::selective::Selective;
use crate::slices::Slicing;

/// Equal-width confidence bins of the expected calibration error.
pub const BINS: usize = 15;

/// Probabilities are raised to this before the logarithm, so that one certain
/// mistake costs 36 nats and not infinity (the same bound as scikit-learn's).
pub const SMALLEST: f64 = f64::EPSILON;

/// A lower and an upper bound.
pub type Interval = [f64; 2];

/// What `metrics.json` holds. Fractions, not percentages; natural logarithm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Share of images whose most probable class is the true one.
    pub top1: f64,
    /// 95 % interval of `top1`.
    pub top1_interval: Interval,
    /// Share of images whose true class is among the five most probable.
    pub top5: f64,
    /// 95 % interval of `top5`.
    pub top5_interval: Interval,
    /// Mean over the classes that have test images of the share found of each.
    pub macro_recall: f64,
    /// 95 % interval of `macro_recall`.
    pub macro_recall_interval: Interval,
    /// Mean of −ln p(true class).
    pub log_loss: f64,
    /// 95 % interval of `log_loss`.
    pub log_loss_interval: Interval,
    /// Expected calibration error.
    pub ece: f64,
    /// 95 % interval of `ece`.
    pub ece_interval: Interval,
    /// What was resampled for the intervals.
    pub intervals_by: Unit,
    /// Number of images evaluated.
    pub test_images: u64,
    /// Recall, precision and F1 of each class, in class order.
    pub classes: Vec<ClassMetrics>,
    /// Counts: `[true class][predicted class]`.
    pub confusion_true_by_predicted: Vec<Vec<u64>>,
    /// Whether confidences come true, before and after temperature scaling.
    pub calibration: Calibration,
    /// Answering only when sure.
    pub selective: Selective,
    /// Accuracy by what the pictures are like.
    pub slices: Vec<Slicing>,
    /// How each number above is defined, for whoever opens the file alone.
    pub definitions: Definitions,
}

impl Metrics {
    /// Reads `RUN/metrics.json`.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where it isn't, [`Data`](stage::Fault::Data) if it is
    /// damaged or of another release.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join("metrics.json");
        let bytes = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::data(format!("{}: {e}: remove it and run again", path.display())))
    }
}

/// What is measured beside the headline and the classes.
pub struct Details {
    /// See [`Metrics::calibration`].
    pub calibration: Calibration,
    /// See [`Metrics::selective`].
    pub selective: Selective,
    /// See [`Metrics::slices`].
    pub slices: Vec<Slicing>,
}

/// The numbers of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Class number.
    pub class: usize,
    /// Class name.
    pub name: String,
    /// Test images of this class.
    pub support: u64,
    /// Test images that were given this class.
    pub predicted: u64,
    /// Share of the images given this class that are of it; null if none was.
    pub precision: Option<f64>,
    /// Share of the images of this class that were given it; null without images.
    pub recall: Option<f64>,
    /// 2·TP / (support + predicted); null if both are zero.
    pub f1: Option<f64>,
}

/// Definitions in words, written into `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definitions {
    /// Ranking of classes.
    pub top_k: String,
    /// Classes without test images.
    pub macro_recall: String,
    /// Clipping.
    pub log_loss: String,
    /// Bins.
    pub ece: String,
    /// Probabilities before temperature scaling.
    pub calibration: String,
    /// Answering only when sure.
    pub selective: String,
    /// Parts of the test images.
    pub slices: String,
    /// How intervals are made.
    pub intervals: String,
}

impl Default for Definitions {
    fn default() -> Self {
        Self {
            top_k: "classes ranked by the probabilities stored in predictions.parquet; of equal \
                    ones the lower class number comes first"
                .into(),
            macro_recall: "mean recall of the classes that have test images".into(),
            log_loss: "mean of -ln(p), p the probability of the true class, raised to 2^-52 where \
                       it is smaller"
                .into(),
            ece: format!(
                "sum over {BINS} equal-width bins (a, b] of the top probability of \
                 (images in the bin / all images) * |share correct - mean top probability|"
            ),
            calibration: "before: the stored probabilities to the power of the temperature, \
                          normalised, which undoes it; bins as for ece"
                .into(),
            selective: "aurc: mean over k of the share of mistakes among the k most confident \
                        answers, those of equal ones spread evenly; threshold: the lowest \
                        confidence from which the wished share of answers is right on pictures \
                        kept out of training, then measured on the test images"
                .into(),
            slices: "fifths of the test images by what is measured in the sign's box, equal \
                     values together; intervals: Wilson"
                .into(),
            intervals: format!(
                "95 %; percentiles of {} bootstrap resamples of the units that intervals_by names \
                 (tracks where all are known, else images: images of one unknown track resemble \
                 each other, and true intervals are wider), moved so that their mean is the value \
                 itself; Wilson where a share is 0 or 1",
                crate::interval::RESAMPLES
            ),
        }
    }
}

/// What one image contributes to every metric.
#[derive(Debug, Clone, Copy)]
pub struct Scored {
    /// True class.
    pub label: usize,
    /// Most probable class, the lowest of equal ones.
    pub predicted: usize,
    /// How many classes come before the true one: 0 is correct.
    pub rank: usize,
    /// Probability of the predicted class.
    pub confidence: f64,
    /// −ln p(true class), clipped.
    pub loss: f64,
}

impl Scored {
    /// Whether the most probable class is the true one.
    #[must_use]
    pub fn correct(&self) -> bool {
        self.label == self.predicted
    }
}

/// Scores one row of probabilities. `label` must be a column of `row`.
fn score(label: usize, row: &[f32]) -> Scored {
    let own = row[label];
    let before = |(class, p): (usize, &f32)| {
        let order = p.total_cmp(&own);
        order.is_gt() || (order.is_eq() && class < label)
    };
    let rank = row.iter().enumerate().filter(|&entry| before(entry)).count();
    let mut predicted = 0;
    for (class, p) in row.iter().enumerate() {
        if *p > row[predicted] {
            predicted = class;
        }
    }
    Scored {
        label,
        predicted,
        rank,
        confidence: f64::from(row[predicted]),
        loss: -f64::from(own).max(SMALLEST).ln(),
    }
}

/// Scores every image: `labels[i]` is the true class of row `i` of `probabilities`
/// (`[images, classes]`).
#[must_use]
pub fn score_all(labels: &[usize], probabilities: &Array2<f32>) -> Vec<Scored> {
    let rows = probabilities.rows().into_iter();
    labels.iter().zip(rows).map(|(&label, row)| score(label, &row.to_vec())).collect()
}

/// All metrics of `scored` images; `names` are the classes. `scored` is not empty.
#[must_use]
pub fn measure(scored: &[Scored], names: &[String], units: &Units, details: Details) -> Metrics {
    let classes = names.len();
    let headline = |weights: &[u32]| headline(scored, weights, classes);
    let [top1, top5, macro_recall, log_loss, ece] = headline(&vec![1; scored.len()]);
    let intervals = units.bootstrap(headline);
    let bounded = |n: usize| intervals[n].map(|bound: f64| bound.clamp(0.0, 1.0));
    // Resamples of nothing but hits are all alike, which says nothing.
    let share = |n: usize, value: f64| match value {
        0.0 => wilson(0, units.count()),
        1.0 => wilson(units.count(), units.count()),
        _ => bounded(n),
    };
    Metrics {
        top1,
        top1_interval: share(0, top1),
        top5,
        top5_interval: share(1, top5),
        macro_recall,
        macro_recall_interval: bounded(2),
        log_loss,
        log_loss_interval: intervals[3].map(|bound| bound.max(0.0)),
        ece,
        ece_interval: bounded(4),
        intervals_by: units.kind(),
        test_images: scored.len() as u64,
        classes: per_class(scored, names),
        confusion_true_by_predicted: confusion(scored, classes),
        calibration: details.calibration,
        selective: details.selective,
        slices: details.slices,
        definitions: Definitions::default(),
    }
}

/// Top-1, top-5, macro recall, log-loss and calibration error of `scored` images of which each
/// counts `weights[i]` times.
#[must_use]
pub fn headline(scored: &[Scored], weights: &[u32], classes: usize) -> [f64; 5] {
    let (mut all, mut first, mut five, mut loss) = (0_u64, 0_u64, 0_u64, 0.0);
    let mut found = vec![(0_u64, 0_u64); classes];
    let mut gaps = [0.0; BINS];
    for (s, &weight) in scored.iter().zip(weights).filter(|(_, weight)| **weight > 0) {
        let (times, share) = (u64::from(weight), f64::from(weight));
        let hit = times * u64::from(s.correct());
        all += times;
        first += hit;
        five += times * u64::from(s.rank < 5);
        loss += share * s.loss;
        found[s.label].0 += times;
        found[s.label].1 += hit;
        gaps[bin(s.confidence)] += hit as f64 - share * s.confidence;
    }
    let n = all as f64;
    let recalls =
        found.iter().filter(|(all, _)| *all > 0).map(|(all, hit)| *hit as f64 / *all as f64);
    let gap: f64 = gaps.iter().map(|gap: &f64| gap.abs()).sum();
    [first as f64 / n, five as f64 / n, mean(recalls), loss / n, gap / n]
}

/// Which of [`BINS`] equal-width bins `(a, b]` a confidence is in (Naeini, Cooper and
/// Hauskrecht 2015).
#[must_use]
pub fn bin(confidence: f64) -> usize {
    ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1
}

/// Counts `[true class][predicted class]`.
#[must_use]
pub fn confusion(scored: &[Scored], classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; classes]; classes];
    for s in scored {
        counts[s.label][s.predicted] += 1;
    }
    counts
}

fn per_class(scored: &[Scored], names: &[String]) -> Vec<ClassMetrics> {
    let counts = confusion(scored, names.len());
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let one = |(class, name): (usize, &String)| {
        let support = counts[class].iter().sum();
        let predicted = counts.iter().map(|row| row[class]).sum();
        let hits = counts[class][class];
        ClassMetrics {
            class,
            name: name.clone(),
            support,
            predicted,
            precision: share(hits, predicted),
            recall: share(hits, support),
            f1: share(2 * hits, support + predicted),
        }
    };
    names.iter().enumerate().map(one).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), v| (sum + v, count + 1));
    sum / count as f64
}

#[cfg(test)]
impl Details {
    /// Of `scored` images with `probabilities`, none kept out of training.
    pub fn plain(scored: &[Scored], probabilities: &Array2<f32>) -> Self {
        let answers: Vec<_> = scored.iter().map(|s| (s.confidence, s.correct())).collect();
        Self {
            calibration: Calibration::of(scored, probabilities, 1.0),
            selective: Selective::of(&answers, &[], 0.99),
            slices: Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
