//! What the stage says at its end, kept in the manifest for the next time.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use artifact::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use softmax::Score;
use stage::{Error, Result};

use crate::split::Counts;
use crate::trial::Trial;

/// The result in numbers; accuracies are fractions.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub struct Summary {
    /// The chosen penalty.
    pub lambda: f64,
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
    /// Iterations of all fits.
    pub iterations: usize,
}

impl Summary {
    /// The summary of a training.
    pub(crate) fn new(
        (chosen, refit): (&Trial, &Score),
        counts: &Counts,
        classes: usize,
        iterations: usize,
    ) -> Self {
        let (temperature, validation_loss) = chosen.calibration();
        Self {
            lambda: chosen.lambda,
            validation_accuracy: chosen.validation_accuracy,
            validation_loss,
            temperature,
            train_accuracy: refit.top1,
            images: counts.images,
            validation_images: counts.validation_images,
            classes,
            iterations,
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
            "a head for {} classes, trained on {} images, lambda {:e}: {:.2} % right on {} \
             images kept out (log-loss {:.4}, temperature {:.2})",
            self.classes,
            self.images,
            self.lambda,
            100.0 * self.validation_accuracy,
            self.validation_images,
            self.validation_loss,
            self.temperature
        )
    }
}
