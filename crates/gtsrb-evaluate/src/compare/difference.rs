//! How two runs differ, with what chance alone would do.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::mcnemar::mcnemar;
use super::pairs::Pairs;
use crate::interval::Unit;
use crate::metrics::{Interval, Scored, headline};
use crate::words::{count, percent};

/// Classes shown to a person: those that differ most.
const SHOWN: usize = 10;

/// Below this p, a difference is taken for real.
const SIGNIFICANT: f64 = 0.05;

/// Two runs on the same test images. Differences are b less a.
#[derive(Debug, Serialize)]
pub struct Comparison {
    a: PathBuf,
    b: PathBuf,
    test_images: u64,
    intervals_by: Unit,
    top1: Difference,
    top5: Difference,
    macro_recall: Difference,
    log_loss: Difference,
    ece: Difference,
    /// Pictures that only the first run gets right.
    only_a_right: u64,
    /// Pictures that only the second run gets right.
    only_b_right: u64,
    /// Two-sided p of McNemar's exact test, each image for itself.
    mcnemar_p: f64,
    /// In class order.
    classes: Vec<ClassDifference>,
}

/// A number of both runs.
#[derive(Debug, Serialize)]
struct Difference {
    a: f64,
    b: f64,
    b_less_a: f64,
    /// 95 % interval of the difference: both runs are resampled together.
    interval: Interval,
}

/// One class in both runs.
#[derive(Debug, Serialize)]
struct ClassDifference {
    class: usize,
    name: String,
    support: u64,
    /// Null without images.
    recall_a: Option<f64>,
    /// Null without images.
    recall_b: Option<f64>,
    only_a_right: u64,
    only_b_right: u64,
}

impl Comparison {
    /// Compares `pairs` of the runs in two folders.
    #[must_use]
    pub fn of(pairs: &Pairs, runs: [&Path; 2]) -> Self {
        let classes = pairs.classes.len();
        let both =
            |weights: &[u32]| [&pairs.a, &pairs.b].map(|scored| headline(scored, weights, classes));
        let [a, b] = both(&vec![1; pairs.a.len()]);
        let intervals = pairs.units.bootstrap(|weights| {
            let [a, b] = both(weights);
            std::array::from_fn::<f64, 5, _>(|n| b[n] - a[n])
        });
        let of = |n: usize| Difference {
            a: a[n],
            b: b[n],
            b_less_a: b[n] - a[n],
            interval: intervals[n],
        };
        let [only_a_right, only_b_right] = only(pairs, |_| true);
        Self {
            a: runs[0].to_owned(),
            b: runs[1].to_owned(),
            test_images: pairs.a.len() as u64,
            intervals_by: pairs.units.kind(),
            top1: of(0),
            top5: of(1),
            macro_recall: of(2),
            log_loss: of(3),
            ece: of(4),
            only_a_right,
            only_b_right,
            mcnemar_p: mcnemar(only_a_right, only_b_right),
            classes: pairs.classes.iter().enumerate().map(|c| class(pairs, c)).collect(),
        }
    }

    /// What the test says, in words.
    fn verdict(&self) -> &'static str {
        if self.mcnemar_p >= SIGNIFICANT {
            "no difference is shown"
        } else if self.only_a_right > self.only_b_right {
            "A is better"
        } else {
            "B is better"
        }
    }
}

/// How many of the images `of` some kind only a, and only b, gets right.
fn only(pairs: &Pairs, of: impl Fn(&Scored) -> bool) -> [u64; 2] {
    let chosen = pairs.a.iter().zip(&pairs.b).filter(|(a, _)| of(a));
    chosen.fold([0, 0], |[only_a, only_b], (a, b)| {
        let (a, b) = (a.correct(), b.correct());
        [only_a + u64::from(a && !b), only_b + u64::from(b && !a)]
    })
}

fn class(pairs: &Pairs, (class, name): (usize, &String)) -> ClassDifference {
    let recall = |scored: &[Scored]| {
        let own = scored.iter().filter(|s| s.label == class);
        let (all, hits) = own.fold((0_u64, 0_u64), |(n, h), s| (n + 1, h + u64::from(s.correct())));
        (all, (all > 0).then(|| hits as f64 / all as f64))
    };
    let [only_a_right, only_b_right] = only(pairs, |s| s.label == class);
    let ((support, recall_a), (_, recall_b)) = (recall(&pairs.a), recall(&pairs.b));
    ClassDifference {
        class,
        name: name.clone(),
        support,
        recall_a,
        recall_b,
        only_a_right,
        only_b_right,
    }
}

impl ClassDifference {
    /// Recall of b less that of a; 0 without images.
    fn change(&self) -> f64 {
        self.recall_b.unwrap_or(0.0) - self.recall_a.unwrap_or(0.0)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (a, b) = (self.a.display(), self.b.display());
        writeln!(f, "A {a}\nB {b}\n{} test images", count(self.test_images))?;
        let shares = [
            ("top-1", &self.top1),
            ("top-5", &self.top5),
            ("macro recall", &self.macro_recall),
            ("calibration error", &self.ece),
        ];
        for (name, Difference { a, b, b_less_a, interval: [low, high] }) in shares {
            let (a, b) = (percent(*a), percent(*b));
            let [change, low, high] = [b_less_a, low, high].map(|share| 100.0 * share);
            writeln!(
                f,
                "{name}: A {a}, B {b}, difference {change:+.2} points \
                 (95 % interval {low:+.2} to {high:+.2})"
            )?;
        }
        let Difference { a, b, b_less_a, interval: [low, high] } = &self.log_loss;
        writeln!(
            f,
            "log-loss: A {a:.4}, B {b:.4}, difference {b_less_a:+.4} \
             (95 % interval {low:+.4} to {high:+.4})"
        )?;
        let mut classes: Vec<&ClassDifference> = self.classes.iter().collect();
        classes.sort_by(|a, b| b.change().abs().total_cmp(&a.change().abs()));
        for class in classes.iter().filter(|class| class.change() != 0.0).take(SHOWN) {
            let ClassDifference { class: number, name, only_a_right, only_b_right, .. } = class;
            let change = 100.0 * class.change();
            let name = name.escape_debug();
            writeln!(
                f,
                "class {number} {name}: recall {change:+.2} points, only A right {only_a_right}, \
                 only B right {only_b_right}"
            )?;
        }
        write!(
            f,
            "only A right {}, only B right {}: {} (McNemar's exact test, p = {:.3e})",
            self.only_a_right,
            self.only_b_right,
            self.verdict(),
            self.mcnemar_p
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::Units;

    fn pairs(answers: &[(usize, usize, usize)]) -> Pairs {
        let scored = |label: usize, predicted: usize| {
            let rank = usize::from(label != predicted);
            Scored { label, predicted, rank, confidence: 0.9, loss: 0.1 }
        };
        Pairs {
            classes: ["x", "y\n", "z"].map(str::to_owned).to_vec(),
            a: answers.iter().map(|(label, a, _)| scored(*label, *a)).collect(),
            b: answers.iter().map(|(label, _, b)| scored(*label, *b)).collect(),
            units: Units::images(answers.len()),
        }
    }

    #[test]
    fn differences_are_b_less_a() {
        let answers = [(0, 0, 0), (0, 1, 0), (0, 1, 0), (1, 1, 0), (1, 2, 2), (1, 1, 1)];
        let compared = Comparison::of(&pairs(&answers), [Path::new("a"), Path::new("b")]);
        assert_eq!((compared.only_a_right, compared.only_b_right), (1, 2));
        assert!((compared.top1.b_less_a - 1.0 / 6.0).abs() < 1e-12);
        assert!((compared.mcnemar_p - 1.0).abs() < 1e-12);
        let changes: Vec<f64> = compared.classes.iter().map(ClassDifference::change).collect();
        assert!((changes[0] - 2.0 / 3.0).abs() < 1e-12 && (changes[1] + 1.0 / 3.0).abs() < 1e-12);
        assert_eq!((compared.classes[2].support, compared.classes[2].recall_a), (0, None));
        let text = compared.to_string();
        assert!(text.contains("class 1 y\\n: recall -33.33 points, only A right 1"), "{text}");
        assert!(text.contains("no difference is shown"));
    }

    #[test]
    fn equal_runs_differ_by_nothing() {
        let compared = Comparison::of(&pairs(&[(0, 0, 0), (1, 0, 0)]), [Path::new("a"); 2]);
        assert!(compared.top1.interval.iter().all(|end| *end == 0.0));
        assert!(!compared.to_string().contains("class "));
    }

    #[test]
    fn a_clear_difference_has_a_winner() {
        let compared = Comparison::of(&pairs(&[(0, 1, 0); 20]), [Path::new("a"); 2]);
        assert!(compared.verdict() == "B is better" && compared.mcnemar_p < 1e-5);
    }
}
