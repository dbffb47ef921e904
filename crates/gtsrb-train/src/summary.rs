//! What the stage says at its end, kept in the manifest for the next time.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use artifact::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use softmax::Score;
use stage::{Error, Result};

use crate::judgement::Judgement;
use crate::split::Counts;

/// The result in numbers; accuracies are fractions.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub struct Summary {
    /// How the head came about.
    #[serde(flatten)]
    pub origin: Origin,
    /// Accuracy on the tracks that were kept out.
    pub validation_accuracy: f64,
    /// Log-loss on them, with the temperature.
    pub validation_loss: f64,
    /// What logits are divided by.
    pub temperature: f64,
    /// Accuracy of the last fit on all training images.
    pub train_accuracy: f64,
    /// All training images.
    pub images: usize,
    /// Images that were kept out to choose the penalty.
    pub validation_images: usize,
    /// Number of classes.
    pub classes: usize,
}

/// What a solver was told or chose, and how long it took.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(tag = "solver", rename_all = "kebab-case")]
pub enum Origin {
    /// A path of penalties.
    Lbfgs {
        /// The chosen one.
        lambda: f64,
        /// Iterations of all fits.
        iterations: usize,
    },
    /// Epochs of mini-batches.
    Sgd {
        /// Share of itself that a weight lost in a step, per learning rate.
        weight_decay: f64,
        /// Epochs of all trainings.
        epochs: usize,
    },
}

impl Origin {
    /// The chosen penalty, where there was one to choose.
    pub fn lambda(self) -> Option<f64> {
        match self {
            Self::Lbfgs { lambda, .. } => Some(lambda),
            Self::Sgd { .. } => None,
        }
    }

    /// How long it took, in words.
    pub fn length(self) -> String {
        match self {
            Self::Lbfgs { iterations, .. } => format!("{iterations} iterations"),
            Self::Sgd { epochs, .. } => format!("{epochs} epochs"),
        }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lbfgs { lambda, .. } => write!(f, "lambda {lambda:e}"),
            Self::Sgd { weight_decay, .. } => write!(f, "weight decay {weight_decay}"),
        }
    }
}

impl Summary {
    /// The summary of a training.
    pub(crate) fn new(
        origin: Origin,
        (judgement, refit): (&Judgement, &Score),
        counts: &Counts,
        classes: usize,
    ) -> Self {
        let (temperature, validation_loss) = judgement.calibration();
        Self {
            origin,
            validation_accuracy: judgement.validation_accuracy,
            validation_loss,
            temperature,
            train_accuracy: refit.top1,
            images: counts.images,
            validation_images: counts.validation_images,
            classes,
        }
    }

    /// As the facts of a manifest.
    pub(crate) fn to_facts(&self) -> Result<BTreeMap<String, Value>> {
        serde_json::to_value(self)
            .and_then(serde_json::from_value)
            .map_err(|e| Error::internal(format!("facts of the model: {e}")))
    }

    /// From the facts of a manifest.
    pub(crate) fn of(manifest: &Manifest) -> Result<Self> {
        let facts = manifest.facts.clone().into_iter().collect();
        serde_json::from_value(Value::Object(facts)).map_err(|e| {
            Error::data(format!("the model's manifest is damaged ({e}): remove it and run again"))
        })
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a head for {} classes, trained on {} images, {}: {:.2} % right on {} \
             images kept out (log-loss {:.4}, temperature {:.2})",
            self.classes,
            self.images,
            self.origin,
            100.0 * self.validation_accuracy,
            self.validation_images,
            self.validation_loss,
            self.temperature
        )
    }
}
