//! The pairs of classes that are taken for each other most, with pictures.

use std::collections::BTreeMap;

use artifact::images::{ImageSet, Split};
use serde_json::{Value, json};
use stage::Result;

use crate::evaluation::Evaluation;
use crate::gallery::{load, surest};
use crate::metrics::{Metrics, Scored};
use crate::near::median;
use crate::space::Space;
use crate::survey::Look;
use crate::words::percent;

/// Pairs that are listed.
const PAIRS: usize = 10;

/// Confused test pictures that are shown of each.
const SHOWN: usize = 6;

/// Test pictures of one class that are taken for another.
pub struct Confused {
    /// Their class.
    truth: usize,
    /// What they are taken for.
    guess: usize,
    /// How many there are.
    images: u64,
    /// A clear training picture of each of the two classes, where there is one, as `data:` addresses.
    references: [Option<String>; 2],
    /// Some of them, the classifier being surest of the first.
    pictures: Vec<String>,
}

impl Confused {
    /// The most confused pairs, with pictures unless that is forbidden (`pictures`).
    pub fn of(
        images: &ImageSet,
        evaluation: &Evaluation,
        space: &Space,
        train: &[Look],
        pictures: bool,
    ) -> Result<Vec<Self>> {
        let cells = most_confused(&evaluation.metrics);
        let tests: Vec<Vec<usize>> =
            cells.iter().map(|&(_, truth, guess)| examples(evaluation, truth, guess)).collect();
        let clear = |class: usize| (class, reference(class, space, train));
        let classes = cells.iter().flat_map(|&(_, truth, guess)| [truth, guess]);
        let clear: BTreeMap<usize, Option<usize>> = classes.map(clear).collect();
        let wanted = |rows: Vec<usize>| if pictures { rows } else { Vec::new() };
        let mut of_train = wanted(clear.values().flatten().copied().collect());
        of_train.sort_unstable();
        let of_test = wanted(tests.iter().flatten().copied().collect());
        let of_train = load(images, Split::Train, &space.rows, &of_train)?;
        let of_test = load(images, Split::Test, &evaluation.rows, &of_test)?;
        let reference = |class| of_train.get(&clear[&class]?).cloned();
        let pair = |(&(images, truth, guess), rows): (&(u64, usize, usize), &Vec<usize>)| Self {
            truth,
            guess,
            images,
            references: [reference(truth), reference(guess)],
            pictures: rows.iter().filter_map(|row| of_test.get(row).cloned()).collect(),
        };
        Ok(cells.iter().zip(&tests).map(pair).collect())
    }

    /// For the page.
    #[must_use]
    pub fn value(&self, metrics: &Metrics) -> Value {
        let name = |class: usize| format!("{class} {}", metrics.classes[class].name);
        json!({
            "truth": name(self.truth), "guess": name(self.guess),
            "references": self.references, "pictures": self.pictures,
            "images": self.images,
            "share": percent(self.images as f64 / metrics.classes[self.truth].support as f64),
        })
    }
}

/// The cells off the diagonal with the most images: images, true class, predicted class.
fn most_confused(metrics: &Metrics) -> Vec<(u64, usize, usize)> {
    let mut cells: Vec<(u64, usize, usize)> = Vec::new();
    for (truth, row) in metrics.confusion_true_by_predicted.iter().enumerate() {
        let wrong = row.iter().enumerate().filter(|(guess, n)| *guess != truth && **n > 0);
        cells.extend(wrong.map(|(guess, n)| (*n, truth, guess)));
    }
    cells.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    cells.truncate(PAIRS);
    cells
}

/// Rows of test pictures of class `truth` taken for `guess`, the most confident first.
fn examples(evaluation: &Evaluation, truth: usize, guess: usize) -> Vec<usize> {
    let of_cell = |scored: &Scored| scored.label == truth && scored.predicted == guess;
    surest(&evaluation.scored, of_cell, SHOWN)
}

/// The training picture of `class` that shows it best: of those that are nearer to the class's mean
/// than half of them and no smaller than half of them, the sharpest.
fn reference(class: usize, space: &Space, train: &[Look]) -> Option<usize> {
    let rows: Vec<usize> = (0..train.len()).filter(|&row| space.labels[row] == class).collect();
    let median = |value: &dyn Fn(usize) -> f64| {
        median(rows.iter().map(|&row| value(row)).collect()).unwrap_or_default()
    };
    let (near, large) =
        (|row: usize| space.remoteness[row], |row: usize| f64::from(train[row].side));
    let (far, small) = (median(&near), median(&large));
    let sharper = |&a: &usize, &b: &usize| train[a].sharpness.total_cmp(&train[b].sharpness);
    let typical = rows.iter().copied().filter(|&row| near(row) <= far && large(row) >= small);
    typical.max_by(sharper).or_else(|| rows.iter().copied().max_by(sharper))
}
