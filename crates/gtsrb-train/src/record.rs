//! `training.json`: how the head came about.

use serde::Serialize;
use softmax::Stop;
use stage::{Error, Result};
use tracing::warn;

use crate::data::Inputs;
use crate::diagnosis::diagnose;
use crate::settings::{Rule, Solver};
use crate::split::{Counts, Split};
use crate::train::Trained;
use crate::trial::Trial;
use crate::warm::Change;

/// The file. It holds no times, so that equal work gives equal bytes.
#[derive(Serialize)]
pub struct Training<'a> {
    /// What trained.
    solver: Solver,
    /// The chosen penalty.
    lambda: f64,
    /// How it was chosen.
    choice: String,
    /// Divides the logits; fitted on the validation part at the chosen penalty, 1 if
    /// everything there is right.
    temperature: f64,
    /// What training looks like, in words with the numbers they rest on.
    diagnosis: Vec<String>,
    /// What changed since the model that fits started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_start: Option<&'a Change>,
    /// Tracks and images on both sides.
    split: &'a Counts,
    /// Images of each class.
    classes: Vec<Class<'a>>,
    /// The penalty that was tried first; weaker ones went on from there, one by one.
    first: f64,
    /// The penalties tried on the training part, strongest first.
    path: &'a [Trial],
    /// Weaker penalties that were not tried: two in a row had been no better than the best.
    skipped: &'a [f64],
    /// The last fit, on everything.
    refit: Refit,
    /// Objective of the last fit at its start and after each iteration.
    losses: &'a [f64],
}

/// Images of a class.
#[derive(Serialize)]
pub struct Class<'a> {
    name: &'a str,
    /// In the training part of the first turn.
    train: usize,
    /// Kept out in any turn.
    validation: usize,
}

/// Images of every class, by their names.
pub fn classes<'a>(names: &'a [String], split: &Split) -> Vec<Class<'a>> {
    let mut classes: Vec<Class<'a>> =
        names.iter().map(|name| Class { name, train: 0, validation: 0 }).collect();
    for (row, turn) in split.rows.iter().zip(&split.turns) {
        let class = &mut classes[row.label as usize];
        class.train += usize::from(*turn != Some(0));
        class.validation += usize::from(turn.is_some());
    }
    classes
}

#[derive(Serialize)]
struct Refit {
    iterations: usize,
    evaluations: usize,
    stop: Stop,
    gradient_norm: f64,
    objective: f64,
    train_loss: f64,
    train_accuracy: f64,
}

/// How a penalty was chosen, in words.
fn choice(rule: Rule, counts: &Counts) -> String {
    match rule {
        Rule::Best => "lowest log-loss on the validation part after temperature scaling".into(),
        Rule::OneSe => format!(
            "the strongest whose log-loss on the validation part after temperature scaling is \
             within one standard error, over {}, of the lowest",
            counts.unit()
        ),
    }
}

impl<'a> Training<'a> {
    /// The record of `trained`.
    pub fn new(inputs: &'a Inputs, trained: &'a Trained, rule: Rule) -> Self {
        let (chosen, refit) = (trained.search.trial(), &trained.refit);
        Self {
            solver: Solver::Lbfgs,
            lambda: chosen.lambda,
            choice: choice(rule, &trained.split.counts),
            temperature: chosen.judgement.calibration().0,
            diagnosis: diagnose(trained, rule, &inputs.classes),
            warm_start: trained.change.as_ref(),
            split: &trained.split.counts,
            classes: classes(&inputs.classes, &trained.split),
            first: trained.search.first,
            path: &trained.search.path,
            skipped: &trained.search.skipped,
            refit: Refit {
                iterations: refit.iterations,
                evaluations: refit.evaluations,
                stop: refit.stop,
                gradient_norm: refit.gradient_norm,
                objective: refit.objective,
                train_loss: trained.refit_score.loss,
                train_accuracy: trained.refit_score.top1,
            },
            losses: &refit.curve,
        }
    }

    /// Logs what a user should know at once.
    pub fn warn(&self) {
        if self.refit.stop == Stop::Iterations {
            warn!(
                "the fit had not converged after {} iterations: raise max_iterations, or tolerance",
                self.refit.iterations
            );
        }
        warn_of_classes(&self.classes, self.split);
    }
}

/// Logs which classes can't be trained or validated.
pub fn warn_of_classes(classes: &[Class<'_>], counts: &Counts) {
    for class in classes.iter().filter(|class| class.validation == 0) {
        if class.train == 0 {
            warn!("class {} has no training image and will never be predicted", class.name);
        } else {
            let unit = if counts.has_tracks() { "track" } else { "picture" };
            warn!("class {} has a single {unit}: none was kept out", class.name);
        }
    }
}

/// The file's bytes.
pub fn to_bytes(record: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(record)
        .map_err(|e| Error::internal(format!("cannot write training.json: {e}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}
