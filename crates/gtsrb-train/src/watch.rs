//! The validation part during a training by mini-batches.

use ndarray::ArrayView2;
use serde::Serialize;
use softmax::{Network, Recipe, Samples, Score, fit_temperature, score};
use stage::{Error, Result};
use tracing::info;

use crate::walk::Look;

/// Epochs in a row that may be no better than the best before training ends, as a share of all. At
/// high learning rates there are many bad ones, and the low rates at the end of the schedule bring
/// much: with a quarter, trainings were given up that ended better than shorter ones.
const PATIENCE: f64 = 0.5;

/// A training on the training part.
#[derive(Serialize, Debug, Clone)]
pub struct Course {
    /// Epochs that its schedule has; it was given up if the curve has fewer.
    pub epochs: usize,
    /// The epoch with the lowest log-loss after temperature scaling.
    pub best: usize,
    /// Both parts after each epoch; the validation part as far as memory holds it.
    pub curve: Vec<Look>,
}

/// What there is to see of a training, and when to give it up.
pub struct Watch {
    course: Course,
    /// Epochs in a row that may be no better than the best.
    patience: usize,
    /// The log-loss of the best.
    lowest: f64,
}

impl Watch {
    /// Of a training of so many `epochs` that take `views` in turn. An epoch in the plain view is
    /// judged more kindly than those after it, until the next one.
    pub fn new(epochs: usize, views: usize) -> Self {
        let patience = ((PATIENCE * epochs as f64).ceil() as usize).max(views + 1);
        let course = Course { epochs, best: 0, curve: vec![] };
        Self { course, patience, lowest: f64::INFINITY }
    }

    /// Judges the `network` after an epoch by the rows `on`.
    pub fn look(&mut self, epoch: usize, train_loss: f64, network: &Network, on: &Samples<'_>) {
        let logits = network.logits(on.x());
        let Score { loss, top1 } = score(logits.view(), on.labels());
        let calibrated = calibrated(logits.view(), on.labels());
        info!(
            "epoch {epoch}: validation {:.2} % (log-loss {loss:.4}, calibrated {calibrated:.4}), \
             loss of training {train_loss:.4}",
            100.0 * top1
        );
        self.course.curve.push(Look {
            at: epoch,
            train_loss,
            validation_loss: loss,
            validation_accuracy: top1,
        });
        if calibrated < self.lowest {
            self.lowest = calibrated;
            self.course.best = epoch;
        }
    }

    /// Whether there is hope for better epochs.
    pub fn may_go_on(&self) -> bool {
        self.are_numbers() && self.course.curve.len() - self.course.best < self.patience
    }

    /// What was seen of the training by `recipe`.
    ///
    /// # Errors
    /// [`Config`](stage::Fault::Config) if steps were so long that they ended in numbers that are
    /// none.
    pub fn course(self, recipe: &Recipe) -> Result<Course> {
        if self.are_numbers() {
            return Ok(self.course);
        }
        Err(Error::config(format!(
            "[train] learning_rate = {}: training diverged in epoch {}; choose a lower one",
            recipe.learning_rate,
            self.course.curve.len()
        )))
    }

    fn are_numbers(&self) -> bool {
        let curve = self.course.curve.iter();
        curve.flat_map(|look| [look.train_loss, look.validation_loss]).all(f64::is_finite)
    }
}

/// Log-loss with the temperature that makes it lowest.
fn calibrated(logits: ArrayView2<'_, f32>, labels: &[usize]) -> f64 {
    let temperature = fit_temperature(logits, labels) as f32;
    score((&logits / temperature).view(), labels).loss
}
