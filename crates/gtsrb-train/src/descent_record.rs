//! `training.json` of a training by mini-batches.

use serde::Serialize;
use softmax::Recipe;

use crate::data::Inputs;
use crate::descent::Descent;
use crate::diagnosis::{calibration, certainty, fit, unvalidated};
use crate::record::{Class, classes};
use crate::split::Counts;
use crate::trial::Trial;
use crate::walk::Look;

/// The file; what it shares with that of the other solver has the same names.
#[derive(Serialize)]
pub struct Descended<'a> {
    solver: &'static str,
    /// The weight decay: this solver's penalty.
    lambda: f64,
    choice: &'static str,
    temperature: f64,
    diagnosis: Vec<String>,
    split: &'a Counts,
    classes: Vec<Class<'a>>,
    recipe: Recipe,
    /// Epochs of the last training, on everything.
    epochs: usize,
    /// The training on the training part.
    path: [Course<'a>; 1],
    refit: Refit,
    /// Mean loss of each epoch of the last training.
    losses: &'a [f64],
}

/// What a [`Trial`] of this solver knows.
#[derive(Serialize)]
struct Course<'a> {
    lambda: f64,
    epochs: usize,
    train_loss: f64,
    train_accuracy: f64,
    validation_loss: f64,
    validation_accuracy: f64,
    accuracy_error: f64,
    temperature: f64,
    calibrated_loss: f64,
    standard_error: f64,
    /// Mean loss of each epoch, with smoothed labels and what was dropped.
    losses: &'a [f64],
    /// The validation part, or as much as memory holds, after each epoch.
    validation_curve: &'a [Look],
}

#[derive(Serialize)]
struct Refit {
    train_loss: f64,
    train_accuracy: f64,
}

const CHOICE: &str =
    "the epoch with the lowest log-loss on the validation part after temperature scaling";

impl<'a> Descended<'a> {
    /// The record of `descent`.
    pub fn new(inputs: &'a Inputs, descent: &'a Descent) -> Self {
        let Descent { trial, split, refit, .. } = descent;
        let mut diagnosis = vec![fit(trial, &split.counts)];
        diagnosis.extend(certainty(trial, &split.counts));
        diagnosis.push(epochs(descent));
        diagnosis.push(calibration(trial));
        diagnosis.extend(unvalidated(&split.unvalidated, &inputs.classes));
        Self {
            solver: "sgd",
            lambda: trial.lambda,
            choice: CHOICE,
            temperature: trial.calibration().0,
            diagnosis,
            split: &split.counts,
            classes: classes(&inputs.classes, split),
            recipe: descent.recipe,
            epochs: descent.epochs,
            path: [Course::of(trial)],
            refit: Refit { train_loss: refit.loss, train_accuracy: refit.top1 },
            losses: &descent.losses,
        }
    }
}

impl<'a> Course<'a> {
    fn of(trial: &'a Trial) -> Self {
        Self {
            lambda: trial.lambda,
            epochs: trial.iterations,
            train_loss: trial.train_loss,
            train_accuracy: trial.train_accuracy,
            validation_loss: trial.validation_loss,
            validation_accuracy: trial.validation_accuracy,
            accuracy_error: trial.accuracy_error,
            temperature: trial.temperature,
            calibrated_loss: trial.calibrated_loss,
            standard_error: trial.standard_error,
            losses: &trial.losses,
            validation_curve: &trial.validation_curve,
        }
    }
}

fn epochs(descent: &Descent) -> String {
    let (best, made) = (descent.epochs, descent.trial.iterations);
    if made < descent.recipe.epochs {
        format!(
            "Epoch {best} was the best; training ended after {made}, when the validation part had \
             got no better for a while."
        )
    } else if best == made {
        format!("The last of {made} epochs was the best: more epochs may be better.")
    } else {
        format!("Epoch {best} of {made} was the best.")
    }
}
