//! Answering only when sure: how accuracy grows when doubtful pictures are left to a person, and
//! the confidence from which a wished accuracy holds.
//!
//! The threshold is chosen on pictures of the training set whose probabilities come from fits
//! that hadn't seen them. On the test images it is only measured: chosen there, it would promise
//! what the next pictures don't keep.

use artifact::certainty::{Answer, Step, choose, steps};
use serde::{Deserialize, Serialize};

use crate::interval::wilson;
use crate::metrics::Interval;

/// Steps of coverage of the stored curve.
const STEPS: usize = 200;

/// What `metrics.json` says of answering only when sure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selective {
    /// Area under the risk-coverage curve: the mean, over k, of the share of mistakes among the
    /// k most confident answers. 0 is best.
    pub aurc: f64,
    /// Coverage (share of pictures answered) and risk (share of mistakes among them), from few
    /// to all.
    pub risk_by_coverage: Vec<[f64; 2]>,
    /// The accuracy wished of answers.
    pub wished_accuracy: f64,
    /// The lowest confidence that reaches it; null where none does, or where training kept no
    /// probabilities of unseen pictures.
    pub threshold: Option<Threshold>,
}

/// A confidence from which answers count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// An answer is given if its probability is not below.
    pub confidence: f64,
    /// Answers on the pictures kept out of training, on which it was chosen.
    pub kept_out: Answered,
    /// Answers on the test images.
    pub test: Answered,
}

/// What a threshold does to a set of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Pictures in all.
    pub images: u64,
    /// Share of them that is answered.
    pub coverage: f64,
    /// Share of the answers that is right; null without answers.
    pub accuracy: Option<f64>,
    /// 95 % interval of that (Wilson).
    pub accuracy_interval: Option<Interval>,
}

impl Selective {
    /// Measures `test` answers, not empty, and chooses a threshold on those `kept_out` of training.
    #[must_use]
    pub fn of(test: &[Answer], kept_out: &[Answer], wished_accuracy: f64) -> Self {
        let steps = steps(test);
        let threshold = choose(kept_out, wished_accuracy).map(|confidence| Threshold {
            confidence,
            kept_out: Answered::of(kept_out, confidence),
            test: Answered::of(test, confidence),
        });
        Self { aurc: area(&steps), risk_by_coverage: curve(&steps), wished_accuracy, threshold }
    }
}

impl Answered {
    fn of(answers: &[Answer], confidence: f64) -> Self {
        let given = answers.iter().filter(|answer| answer.0 >= confidence);
        let (count, hits) =
            given.fold((0_u64, 0_u64), |(n, hits), a| (n + 1, hits + u64::from(a.1)));
        let images = answers.len() as u64;
        Self {
            images,
            coverage: count as f64 / images as f64,
            accuracy: (count > 0).then(|| hits as f64 / count as f64),
            accuracy_interval: (count > 0).then(|| wilson(hits, count)),
        }
    }
}

/// Mean risk over all numbers of answers. Which of equally confident answers comes first is
/// undecided: their mistakes are spread evenly.
fn area(steps: &[Step]) -> f64 {
    let (mut sum, mut images, mut wrong) = (0.0, 0, 0);
    for step in steps {
        let (more, mistakes) = (step.images - images, step.wrong - wrong);
        for k in 1..=more {
            let so_far = wrong as f64 + mistakes as f64 * k as f64 / more as f64;
            sum += so_far / (images + k) as f64;
        }
        (images, wrong) = (step.images, step.wrong);
    }
    sum / images as f64
}

/// At most [`STEPS`] + 1 points of the curve, evenly over coverage; the last one is of all.
fn curve(steps: &[Step]) -> Vec<[f64; 2]> {
    let all = steps.last().map_or(0, |step| step.images);
    let mut points = Vec::new();
    let mut next = 0;
    for step in steps {
        if step.images * STEPS >= next * all {
            points.push([step.images as f64 / all as f64, step.wrong as f64 / step.images as f64]);
            next = step.images * STEPS / all + 1;
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: [Answer; 6] =
        [(0.9, true), (0.8, true), (0.8, false), (0.7, true), (0.6, true), (0.5, false)];

    #[test]
    fn area_and_curve_by_hand() {
        let of = Selective::of(&ANSWERS, &[], 0.9);
        // Risks of 1 to 6 answers; the two of 0.8 share their mistake.
        let risks = [0.0, 0.5 / 2.0, 1.0 / 3.0, 1.0 / 4.0, 1.0 / 5.0, 2.0 / 6.0];
        assert!((of.aurc - risks.iter().sum::<f64>() / 6.0).abs() < 1e-12);
        let points = [[1.0, 0.0], [3.0, 1.0 / 3.0], [4.0, 0.25], [5.0, 0.2], [6.0, 2.0 / 6.0]];
        assert_eq!(of.risk_by_coverage, points.map(|[images, risk]| [images / 6.0, risk]));
        assert_eq!(of.threshold, None);
    }

    #[test]
    fn a_threshold_is_measured_where_it_was_not_chosen() {
        let test = [(0.7, false), (0.65, true), (0.3, true)];
        let threshold = Selective::of(&test, &ANSWERS, 0.8).threshold.unwrap();
        assert_eq!(threshold.confidence.to_bits(), 0.6_f64.to_bits());
        assert_eq!(threshold.kept_out.accuracy, Some(0.8));
        assert_eq!((threshold.test.images, threshold.test.accuracy), (3, Some(0.5)));
        assert!((threshold.test.coverage - 2.0 / 3.0).abs() < 1e-12);
        let none = Selective::of(&[(0.1, true)], &ANSWERS, 0.8).threshold.unwrap();
        assert_eq!((none.test.accuracy, none.test.coverage.to_bits()), (None, 0));
    }

    #[test]
    fn long_curves_are_thinned_and_keep_their_end() {
        let answers: Vec<Answer> = (0..5000).map(|i| (f64::from(i) / 5000.0, i % 7 != 0)).collect();
        let points = Selective::of(&answers, &[], 0.9).risk_by_coverage;
        assert!((200..=201).contains(&points.len()), "{}", points.len());
        assert_eq!(points.last().map(|p| p[0].to_bits()), Some(1.0_f64.to_bits()));
    }
}
