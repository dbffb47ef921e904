//! What training left in `model/training.json`: curves and a diagnosis.

use std::path::Path;

use serde::Deserialize;
use stage::{Error, Result};

/// The parts of `training.json` that the report shows; others are ignored, so that
/// training may say more than is drawn.
#[derive(Debug, Clone, Deserialize)]
pub struct Training {
    /// What the penalty, or the number of epochs, was chosen by.
    pub choice: String,
    /// Divides the logits.
    pub temperature: f64,
    /// How training went, in words.
    pub diagnosis: Vec<String>,
    /// What trained.
    #[serde(flatten)]
    pub solver: Solver,
}

/// What trained, and how it went on the training part.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "solver", rename_all = "kebab-case")]
pub enum Solver {
    /// A path of penalties.
    Lbfgs {
        /// The chosen one.
        lambda: f64,
        /// The one that was tried first.
        first: f64,
        /// All, strongest first.
        path: Vec<Trial>,
    },
    /// Epochs of mini-batches.
    Sgd {
        /// The training that was judged.
        course: Course,
    },
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
    /// Both parts during the fit, from its start to its end.
    pub curve: Vec<Look>,
}

/// A training by mini-batches.
#[derive(Debug, Clone, Deserialize)]
pub struct Course {
    /// Both parts after each epoch.
    pub curve: Vec<Look>,
}

/// Both parts during a training.
#[derive(Debug, Clone, Deserialize)]
pub struct Look {
    /// Iterations, or epochs, made.
    pub at: usize,
    /// Loss on the training part as it is learned, without the penalty.
    pub train_loss: f64,
    /// Log-loss on the validation part.
    pub validation_loss: f64,
    /// Accuracy on the validation part.
    pub validation_accuracy: f64,
}

/// Reads `model/training.json` in the folder `model`.
pub fn read(model: &Path) -> Result<Training> {
    let path = model.join("training.json");
    let bytes = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Error::data(format!("{} is damaged ({e}): run gtsrb-train again", path.display()))
    })
}
