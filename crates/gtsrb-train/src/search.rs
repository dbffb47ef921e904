//! The path of penalties: each is fitted on the training part and judged on the other.

use serde::Serialize;
use softmax::{Fit, Model, Options, Samples, Score, Step, Stop, fit, fit_temperature, score};
use stage::{Progress, Result, check_interrupt};
use tracing::info;

/// Penalties in a row that may be no better than the best before the path ends.
const PATIENCE: usize = 2;

/// Iterations between two looks at the validation part.
const LOOK: usize = 5;

/// One penalty tried.
#[derive(Serialize, Clone, Debug)]
pub struct Trial {
    /// The penalty.
    pub lambda: f64,
    /// Iterations made.
    pub iterations: usize,
    /// Evaluations of objective and gradient.
    pub evaluations: usize,
    /// Why the fit ended.
    pub stop: Stop,
    /// Norm of the last gradient, as a share of that at zero weights.
    pub gradient_norm: f64,
    /// Objective at the end, penalty included.
    pub objective: f64,
    /// Log-loss on the training part, without the penalty.
    pub train_loss: f64,
    /// Accuracy on the training part.
    pub train_accuracy: f64,
    /// Log-loss on the validation part.
    pub validation_loss: f64,
    /// Accuracy on the validation part.
    pub validation_accuracy: f64,
    /// The temperature that fits the validation part best, down to 0.05.
    pub temperature: f64,
    /// Log-loss on the validation part with that temperature: what penalties are chosen by.
    pub calibrated_loss: f64,
    /// Objective at the start and after each iteration.
    pub losses: Vec<f64>,
    /// Validation part during the fit.
    pub validation_curve: Vec<Look>,
}

/// The validation part during a fit.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct Look {
    /// Iterations made.
    pub iteration: usize,
    /// Log-loss.
    pub loss: f64,
    /// Accuracy.
    pub accuracy: f64,
}

impl Trial {
    /// Whether every picture of the validation part is right.
    pub fn is_flawless(&self) -> bool {
        self.validation_accuracy >= 1.0
    }
}

/// The path and its best end.
pub struct Search {
    /// The penalties tried, strongest first.
    pub path: Vec<Trial>,
    /// Index of the chosen one.
    pub chosen: usize,
    /// Its model, of standardised embeddings.
    pub model: Model,
    /// Weaker penalties that were not tried because stronger ones were better.
    pub skipped: Vec<f64>,
}

impl Search {
    /// The chosen trial.
    pub fn best(&self) -> &Trial {
        &self.path[self.chosen]
    }

    /// The temperature to divide logits by, and the validation log-loss that it gives. Only
    /// mistakes show how much confidence is too much: without one, the smaller the temperature
    /// the better it fits, up to probabilities of 0 and 1, so that logits stay as they are.
    pub fn calibration(&self) -> (f64, f64) {
        let best = self.best();
        if best.is_flawless() {
            (1.0, best.validation_loss)
        } else {
            (best.temperature, best.calibrated_loss)
        }
    }
}

/// Fits `lambdas`, sorted from strong to weak, each from the last one's weights. The one with
/// the lowest validation log-loss after temperature scaling is chosen: log-loss uses the
/// probability of every picture, where accuracy jumps by a whole track, and a temperature is
/// exported anyway, so that mere overconfidence doesn't count.
pub fn search(
    train: &Samples<'_>,
    validation: &Samples<'_>,
    lambdas: &[f64],
    options: &Options,
) -> Result<Search> {
    let start = Model::zeros(train.classes(), train.features());
    let progress = Progress::new("penalties", lambdas.len() as u64);
    let mut search = Search { path: Vec::new(), chosen: 0, model: start.clone(), skipped: vec![] };
    let mut last = start;
    for (index, &lambda) in lambdas.iter().enumerate() {
        let mut curve = Vec::new();
        let fit = fit_or_stop(train, lambda, &last, options, |step| {
            if step.iteration % LOOK == 0 {
                let Score { loss, top1 } = step.model().score(validation);
                curve.push(Look { iteration: step.iteration, loss, accuracy: top1 });
            }
        })?;
        progress.inc(1);
        let trial = judge(&fit, train, validation, curve);
        report(&trial);
        if index == 0 || trial.calibrated_loss < search.best().calibrated_loss {
            search.chosen = index;
            search.model = fit.model.clone();
        }
        search.path.push(trial);
        if index - search.chosen == PATIENCE {
            search.skipped = lambdas[index + 1..].to_vec();
            break;
        }
        last = fit.model;
    }
    Ok(search)
}

/// A fit that SIGINT and SIGTERM end.
pub fn fit_or_stop(
    samples: &Samples<'_>,
    lambda: f64,
    start: &Model,
    options: &Options,
    mut observe: impl FnMut(&Step<'_>),
) -> Result<Fit> {
    let fit = fit(samples, lambda, start, options, |step| {
        observe(step);
        check_interrupt().is_ok()
    });
    check_interrupt()?;
    Ok(fit)
}

fn judge(fit: &Fit, train: &Samples<'_>, validation: &Samples<'_>, curve: Vec<Look>) -> Trial {
    let on_train = fit.model.score(train);
    let mut logits = fit.model.logits(validation.x());
    let on_validation = score(logits.view(), validation.labels());
    let temperature = fit_temperature(logits.view(), validation.labels());
    logits /= temperature as f32;
    Trial {
        lambda: fit.lambda,
        iterations: fit.iterations,
        evaluations: fit.evaluations,
        stop: fit.stop,
        gradient_norm: fit.gradient_norm,
        objective: fit.objective,
        train_loss: on_train.loss,
        train_accuracy: on_train.top1,
        validation_loss: on_validation.loss,
        validation_accuracy: on_validation.top1,
        temperature,
        calibrated_loss: score(logits.view(), validation.labels()).loss,
        losses: fit.curve.clone(),
        validation_curve: curve,
    }
}

fn report(trial: &Trial) {
    info!(
        "lambda {:e}: {} iterations, validation {:.2} % (log-loss {:.4}, calibrated {:.4}), \
         training {:.2} %",
        trial.lambda,
        trial.iterations,
        100.0 * trial.validation_accuracy,
        trial.validation_loss,
        trial.calibrated_loss,
        100.0 * trial.train_accuracy,
    );
}
