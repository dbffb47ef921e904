//! What training left in `model/training.json`: curves and a diagnosis.

use std::path::Path;

use serde::Deserialize;
use stage::{Error, Result};

/// The parts of `training.json` that the report shows; others are ignored, so that
/// training may say more than is drawn.
#[derive(Debug, Clone, Deserialize)]
pub struct Training {
    /// The chosen penalty.
    pub lambda: f64,
    /// How it was chosen.
    pub choice: String,
    /// Divides the logits.
    pub temperature: f64,
    /// The penalties tried.
    pub path: Vec<Trial>,
    /// Objective of the final fit on everything, at the start and after each iteration.
    pub losses: Vec<f64>,
    /// How training went, in words.
    pub diagnosis: Vec<String>,
}

/// One penalty tried.
#[derive(Debug, Clone, Deserialize)]
pub struct Trial {
    /// The penalty.
    pub lambda: f64,
    /// Accuracy on the training part.
    pub train_accuracy: f64,
    /// Accuracy on the validation part.
    pub validation_accuracy: f64,
    /// Log-loss on the training part, without the penalty.
    pub train_loss: f64,
    /// Log-loss on the validation part.
    pub validation_loss: f64,
    /// Log-loss on the validation part with the temperature that fits it best.
    pub calibrated_loss: f64,
    /// Objective on the training part, at the start and after each iteration.
    pub losses: Vec<f64>,
    /// The validation part during the fit.
    pub validation_curve: Vec<Look>,
}

/// The validation part during a fit.
#[derive(Debug, Clone, Deserialize)]
pub struct Look {
    /// Iterations made.
    pub iteration: usize,
    /// Log-loss.
    pub loss: f64,
}

impl Training {
    /// The trial of the chosen penalty.
    #[must_use]
    pub fn chosen(&self) -> Option<&Trial> {
        self.path.iter().find(|t| t.lambda.to_bits() == self.lambda.to_bits())
    }
}

/// Reads `model/training.json` in the folder `model`.
pub fn read(model: &Path) -> Result<Training> {
    let path = model.join("training.json");
    let bytes = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Error::data(format!("{} is damaged ({e}): run gtsrb-train again", path.display()))
    })
}
