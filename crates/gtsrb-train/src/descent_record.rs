//! `training.json` of a training by mini-batches.

use serde::Serialize;
use softmax::Recipe;

use crate::args::Solver;
use crate::data::Inputs;
use crate::descent::Descent;
use crate::diagnosis::{calibration, certainty, fit, unvalidated};
use crate::judgement::Judgement;
use crate::record::{Class, classes};
use crate::split::Counts;
use crate::walk::Look;

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
    /// Epochs of the last training, on everything.
    epochs: usize,
    /// The training on the training part.
    course: Judged<'a>,
    refit: Refit,
    /// Mean loss of each epoch of the last training.
    losses: &'a [f64],
}

/// A training, and how good its best epoch is.
#[derive(Serialize)]
struct Judged<'a> {
    #[serde(flatten)]
    judgement: &'a Judgement,
    /// After each epoch; the validation part as far as memory holds it.
    curve: &'a [Look],
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
        let Descent { judgement, split, refit, .. } = descent;
        let mut diagnosis = vec![fit(judgement, &split.counts)];
        diagnosis.extend(certainty(judgement, &split.counts));
        diagnosis.push(epochs(descent));
        diagnosis.push(calibration(judgement));
        diagnosis.extend(unvalidated(split, &inputs.classes));
        Self {
            solver: Solver::Sgd,
            choice: CHOICE,
            temperature: judgement.calibration().0,
            diagnosis,
            split: &split.counts,
            classes: classes(&inputs.classes, split),
            recipe: descent.recipe,
            epochs: descent.epochs,
            course: Judged { judgement, curve: &descent.curve },
            refit: Refit { train_loss: refit.loss, train_accuracy: refit.top1 },
            losses: &descent.losses,
        }
    }
}

fn epochs(descent: &Descent) -> String {
    let (best, made) = (descent.epochs, descent.curve.len());
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
