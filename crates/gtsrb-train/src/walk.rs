//! The path of penalties on one division: each is fitted on the training part, from the
//! weights of the one before.

use ndarray::Array2;
use serde::Serialize;
use softmax::{Fit, Model, Options, Samples, Score, Step, fit};
use stage::{Result, check_interrupt};
use tracing::info;

use crate::division::Division;

/// Iterations between two looks at the validation part.
const LOOK: usize = 5;

/// A penalty tried on a division.
pub struct Attempt {
    /// The fit on the training part.
    pub fit: Fit,
    /// Its score there.
    pub train: Score,
    /// Logits of the validation part, `[rows, classes]`.
    pub logits: Array2<f32>,
    /// The validation part during the fit.
    pub looks: Vec<Look>,
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

impl Attempt {
    /// Fits the training part of `division` with penalty `lambda`, from `start`.
    pub fn new(division: &Division, lambda: f64, start: &Model, options: &Options) -> Result<Self> {
        let (train, validation) = (division.train()?, division.validation()?);
        let mut looks = Vec::new();
        let fit = fit_or_stop(&train, lambda, start, options, |step| {
            if step.iteration % LOOK == 0 {
                let Score { loss, top1 } = step.model().score(&validation);
                looks.push(Look { iteration: step.iteration, loss, accuracy: top1 });
            }
        })?;
        let on_train = fit.model.score(&train);
        let logits = fit.model.logits(validation.x());
        let right = softmax::score(logits.view(), validation.labels());
        info!(
            "lambda {lambda:e}: {} iterations, validation {:.2} % (log-loss {:.4}), training \
             {:.2} %",
            fit.iterations,
            100.0 * right.top1,
            right.loss,
            100.0 * on_train.top1,
        );
        Ok(Self { fit, train: on_train, logits, looks })
    }
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
