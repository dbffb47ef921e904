//! The command line and the settings of `[train]`.

use serde::{Deserialize, Serialize};
use stage::{Common, Error, Result};

const EXAMPLE: &str = "Examples:
  gtsrb-train --config pipelines/gtsrb.toml
  gtsrb-train --config pipelines/gtsrb.toml --lambdas 1e-3,1e-4 --seed 2";

/// Trains a linear head on the embeddings and writes it and the whole classifier
#[derive(clap::Parser, Debug)]
#[command(version, after_help = EXAMPLE)]
pub struct Args {
    /// Flags of every stage.
    #[command(flatten)]
    pub common: Common,
    /// Settings given as flags.
    #[command(flatten)]
    pub flags: Flags,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Settings as flags; each wins over the pipeline's file.
#[derive(clap::Args, Serialize, Debug, Default)]
#[command(next_help_heading = "Settings of [train]")]
pub struct Flags {
    /// L2 penalties to try [default: 1e-1 to 1e-6 in powers of ten]
    #[arg(long, value_name = "L,L,...", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    lambdas: Option<Vec<f64>>,
    /// Share of each class's tracks kept out to choose the penalty [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<f64>,
    /// Decides which tracks those are [default: 1]
    // TOML, in which the other settings are, ends at 2^63.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// A fit ends when the objective falls by less than this share in 5 iterations
    /// [default: 0.01]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerance: Option<f64>,
    /// A fit ends, not converged, after this many iterations [default: 300]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_iterations: Option<usize>,
}

/// The section `[train]`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// L2 penalties λ to try. They are tried from the strongest to the weakest, each from the
    /// last one's weights, until two in a row are no better than the best.
    pub lambdas: Vec<f64>,
    /// Share of each class's tracks kept out to choose λ.
    pub validation: f64,
    /// Decides which tracks those are.
    pub seed: u64,
    /// A fit ends when the objective falls by less than this share of itself in 5 iterations.
    pub tolerance: f64,
    /// A fit ends, not converged, after this many iterations.
    pub max_iterations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lambdas: vec![1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6],
            validation: 0.2,
            seed: 1,
            tolerance: 1e-2,
            max_iterations: 300,
        }
    }
}

impl Settings {
    /// Reads and checks the settings; sorts the penalties, strongest first.
    ///
    /// # Errors
    /// [`Config`](stage::Fault::Config) naming the key at fault.
    pub fn of(args: &Args) -> Result<Self> {
        let mut settings: Self = args.common.settings("train", &args.flags)?;
        let wrong = |what: String| Err(Error::config(format!("[train] {what}")));
        if settings.lambdas.is_empty() {
            return wrong("lambdas is empty: give at least one penalty".into());
        }
        if let Some(lambda) = settings.lambdas.iter().find(|l| !(l.is_finite() && **l > 0.0)) {
            return wrong(format!("lambdas holds {lambda}: penalties must be above 0"));
        }
        let Self { validation, tolerance, max_iterations, .. } = settings;
        if !(validation > 0.0 && validation < 1.0) {
            return wrong(format!("validation = {validation}: must be between 0 and 1"));
        }
        if !(tolerance > 0.0 && tolerance < 1.0) {
            return wrong(format!("tolerance = {tolerance}: must be between 0 and 1"));
        }
        if max_iterations == 0 {
            return wrong("max_iterations = 0: must be at least 1".into());
        }
        settings.lambdas.sort_by(|a, b| b.total_cmp(a));
        settings.lambdas.dedup();
        Ok(settings)
    }

    /// When a fit ends.
    #[must_use]
    pub fn options(&self) -> softmax::Options {
        softmax::Options {
            tolerance: self.tolerance,
            max_iterations: self.max_iterations,
            ..softmax::Options::default()
        }
    }
}
