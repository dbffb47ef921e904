//! The path of penalties on one division: each is fitted on the training part, from the
//! weights of the one before.

use ndarray::Array2;
use serde::Serialize;
use softmax::{Fit, Model, Options, Samples, Score, Step, fit};
use stage::{Result, check_interrupt};
use tracing::info;

use crate::division::Division;

/// Iterations from one look at the validation part to the next.
const LOOK: usize = 2;

/// A penalty tried on a division.
pub struct Attempt {
    /// The fit on the training part.
    pub fit: Fit,
    /// Its score there.
    pub train: Score,
    /// Logits of the validation part, `[rows, classes]`.
    pub logits: Array2<f32>,
    /// Both parts during the fit.
    pub looks: Vec<Look>,
}

/// Both parts during a training.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct Look {
    /// Iterations, or epochs, made.
    pub at: usize,
    /// Loss on the training part as it is learned: with the weights of classes, with smoothed
    /// labels and what was dropped, but without the penalty.
    pub train_loss: f64,
    /// Log-loss on the validation part.
    pub validation_loss: f64,
    /// Accuracy on the validation part.
    pub validation_accuracy: f64,
}

impl Attempt {
    /// Fits the training part of `division` with penalty `lambda`, from `start`.
    pub fn new(division: &Division, lambda: f64, start: &Model, options: &Options) -> Result<Self> {
        let (train, validation) = (division.train()?, division.validation()?);
        let mut looks = Vec::new();
        let fit = fit_or_stop(&train, lambda, start, options, |step| {
            if step.iteration % LOOK == 0 {
                let model = step.model();
                let right = model.score(&validation);
                looks.push(Look::new(step.iteration, step.objective, lambda, &model, right));
            }
        })?;
        let on_train = fit.model.score(&train);
        let logits = fit.model.logits(validation.x());
        let right = softmax::score(logits.view(), validation.labels());
        if fit.iterations % LOOK > 0 {
            looks.push(Look::new(fit.iterations, fit.objective, lambda, &fit.model, right));
        }
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

impl Look {
    /// Of a `model` whose objective with penalty `lambda` and whose score on the validation part
    /// are known.
    fn new(at: usize, objective: f64, lambda: f64, model: &Model, validation: Score) -> Self {
        let squares: f64 = model.weights.iter().map(|&weight| f64::from(weight).powi(2)).sum();
        Self {
            at,
            train_loss: objective - 0.5 * lambda * squares,
            validation_loss: validation.loss,
            validation_accuracy: validation.top1,
        }
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
