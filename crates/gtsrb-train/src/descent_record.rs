//! `training.json` of a training by mini-batches.

use serde::Serialize;
use softmax::Recipe;

use crate::data::Inputs;
use crate::descent::Descent;
use crate::diagnosis::{calibration, certainty, fit, unvalidated};
use crate::judgement::Judgement;
use crate::record::{Class, classes};
use crate::settings::Solver;
use crate::split::Counts;
use crate::watch::Course;

/// The file; what it shares with that of the other solver has the same names.
#[derive(Serialize)]
pub struct Descended<'a> {
    solver: Solver,
    choice: &'static str,
    temperature: f64,
    diagnosis: Vec<String>,
    split: &'a Counts,
    classes: Vec<Class<'a>>,
    recipe: Recipe,
    /// Epochs of the training on the training part, and of that on everything.
    epochs: usize,
    /// The training on the training part.
    course: Judged<'a>,
    /// Those before, of more epochs, which were given up.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    given_up: &'a [Course],
    refit: Refit,
    /// Mean loss of each epoch of the last training.
    losses: &'a [f64],
}

/// A training, and how good its network is.
#[derive(Serialize)]
struct Judged<'a> {
    #[serde(flatten)]
    judgement: &'a Judgement,
    #[serde(flatten)]
    course: &'a Course,
}

#[derive(Serialize)]
struct Refit {
    train_loss: f64,
    train_accuracy: f64,
}

const CHOICE: &str = "as many epochs as brought the log-loss on the validation part, after \
                      temperature scaling, down";

impl<'a> Descended<'a> {
    /// The record of `descent`.
    pub fn new(inputs: &'a Inputs, descent: &'a Descent) -> Self {
        let Descent { judgement, split, refit, given_up, course, .. } = descent;
        let mut diagnosis = vec![fit(judgement, &split.counts)];
        diagnosis.extend(certainty(judgement, &split.counts));
        diagnosis.push(epochs(course, given_up));
        diagnosis.push(calibration(judgement));
        diagnosis.extend(unvalidated(split, &inputs.classes));
        Self {
            solver: Solver::Sgd,
            choice: CHOICE,
            temperature: judgement.calibration().0,
            diagnosis,
            split: &split.counts,
            classes: classes(&inputs.classes, split),
            recipe: descent.recipe.clone(),
            epochs: course.epochs,
            course: Judged { judgement, course },
            given_up,
            refit: Refit { train_loss: refit.loss, train_accuracy: refit.top1 },
            losses: &descent.losses,
        }
    }
}

/// Whether there were enough epochs.
fn epochs(course: &Course, given_up: &[Course]) -> String {
    let &Course { epochs, best, .. } = course;
    if let Some(longer) = given_up.last() {
        format!(
            "{epochs} epochs are enough: a training of {} got no better on the validation part \
             after epoch {epochs} and was given up.",
            longer.epochs
        )
    } else if best == epochs {
        format!("The last of {epochs} epochs was the best: more epochs may be better.")
    } else {
        format!("Enough epochs: of {epochs}, the validation part gained little after epoch {best}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(epochs: usize, best: usize) -> Course {
        Course { epochs, best, curve: vec![] }
    }

    #[test]
    fn epochs_are_too_few_or_enough() {
        assert!(epochs(&course(40, 40), &[]).ends_with("more epochs may be better."));
        assert!(epochs(&course(40, 38), &[]).contains("little after epoch 38"));
        let given_up = [course(40, 17), course(17, 9)];
        let words = epochs(&course(9, 9), &given_up);
        assert!(words.starts_with("9 epochs are enough: a training of 17 got"), "{words}");
    }
}
