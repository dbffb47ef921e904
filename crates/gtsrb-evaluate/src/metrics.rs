//! The numbers: from labels and probabilities to accuracy, calibration and the
//! confusion matrix, each with its definition.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::interval::{bootstrap, wilson};

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
    /// 95 % interval of `top1` (Wilson).
    pub top1_interval: Interval,
    /// Share of images whose true class is among the five most probable.
    pub top5: f64,
    /// 95 % interval of `top5` (Wilson).
    pub top5_interval: Interval,
    /// Mean over the classes that have test images of the share found of each.
    pub macro_recall: f64,
    /// 95 % interval of `macro_recall` (bootstrap over images).
    pub macro_recall_interval: Interval,
    /// Mean of −ln p(true class).
    pub log_loss: f64,
    /// 95 % interval of `log_loss` (bootstrap over images).
    pub log_loss_interval: Interval,
    /// Expected calibration error.
    pub ece: f64,
    /// 95 % interval of `ece` (bootstrap over images).
    pub ece_interval: Interval,
    /// Number of images evaluated.
    pub test_images: u64,
    /// Recall, precision and F1 of each class, in class order.
    pub classes: Vec<ClassMetrics>,
    /// Counts: `[true class][predicted class]`.
    pub confusion_true_by_predicted: Vec<Vec<u64>>,
    /// How each number above is defined, for whoever opens the file alone.
    pub definitions: Definitions,
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
            intervals: format!(
                "95 %; top1 and top5: Wilson; the others: percentiles of {} bootstrap resamples \
                 of the images, moved so that their mean is the value itself",
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
pub fn measure(scored: &[Scored], names: &[String]) -> Metrics {
    let classes = names.len();
    let images = scored.len() as u64;
    let within = |k: usize| scored.iter().filter(|s| s.rank < k).count() as u64;
    let share = |k: usize| within(k) as f64 / images as f64;
    let recall_of = |sample: &[Scored]| macro_recall(sample, classes);
    Metrics {
        top1: share(1),
        top1_interval: wilson(within(1), images),
        top5: share(5),
        top5_interval: wilson(within(5), images),
        macro_recall: recall_of(scored),
        macro_recall_interval: bootstrap(scored, recall_of, 1.0),
        log_loss: log_loss(scored),
        log_loss_interval: bootstrap(scored, log_loss, f64::INFINITY),
        ece: calibration_error(scored),
        ece_interval: bootstrap(scored, calibration_error, 1.0),
        test_images: images,
        classes: per_class(scored, names),
        confusion_true_by_predicted: confusion(scored, classes),
        definitions: Definitions::default(),
    }
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

/// Mean recall of the classes that occur in `scored`.
fn macro_recall(scored: &[Scored], classes: usize) -> f64 {
    let mut seen = vec![(0_u64, 0_u64); classes];
    for s in scored {
        seen[s.label].0 += 1;
        seen[s.label].1 += u64::from(s.correct());
    }
    let recalls =
        seen.iter().filter(|(all, _)| *all > 0).map(|(all, hit)| *hit as f64 / *all as f64);
    mean(recalls)
}

/// Mean of −ln p(true class).
fn log_loss(scored: &[Scored]) -> f64 {
    mean(scored.iter().map(|s| s.loss))
}

/// Expected calibration error with [`BINS`] equal-width bins `(a, b]`
/// (Naeini, Cooper and Hauskrecht 2015).
fn calibration_error(scored: &[Scored]) -> f64 {
    let mut gaps = [0.0; BINS];
    for s in scored {
        let bin = ((s.confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        gaps[bin] += f64::from(u8::from(s.correct())) - s.confidence;
    }
    gaps.iter().map(|gap| gap.abs()).sum::<f64>() / scored.len() as f64
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), v| (sum + v, count + 1));
    sum / count as f64
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
