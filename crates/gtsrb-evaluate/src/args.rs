//! Flags and settings of `gtsrb-evaluate`.

use artifact::certainty::WISHED_ACCURACY;
use std::path::PathBuf;

use clap::Parser;
use serde::{Deserialize, Serialize};
use stage::{Common, Error, Result};

/// Most mistakes in the report: what keeps it under 10 MB.
const MOST: usize = 300;

/// Measures a trained head on the test images and writes metrics, predictions and a report.
#[derive(Parser, Debug)]
#[command(
    name = "gtsrb-evaluate",
    version,
    after_help = EXAMPLE,
    args_conflicts_with_subcommands = true
)]
pub struct Args {
    /// What to do instead of evaluating.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of this stage.
    #[command(flatten)]
    pub flags: Flags,
    /// Flags of every stage.
    #[command(flatten)]
    pub common: Common,
}

/// Other things to do.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Say whether one of two runs recognises the same test images better
    Compare {
        /// A run's folder, evaluated
        a: PathBuf,
        /// Another run's folder, evaluated on the same test images
        b: PathBuf,
    },
    /// Copy the run's model into a folder and point its link `current` there, if it is good enough
    ///
    /// Refuses, with exit code 65, a model whose test accuracy is below the lower bound of the
    /// published one's 95 % interval. With --dry-run it is judged only.
    Publish {
        /// The folder of all releases, or its URL; `gtsrb-predict --run DIR/current` uses the
        /// published one
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Refuse a lower test accuracy than this
        #[arg(long, value_name = "SHARE", value_parser = share)]
        at_least: Option<f64>,
    },
}

fn share(text: &str) -> std::result::Result<f64, String> {
    let share = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("not between 0 and 1".into()) }
}

const EXAMPLE: &str = "\
Examples:
  gtsrb-evaluate --config pipelines/gtsrb.toml
  gtsrb-evaluate compare runs/gtsrb-tutorial runs/gtsrb
  gtsrb-evaluate publish --config pipelines/gtsrb.toml --to models --at-least 0.97

The first reads runs/gtsrb/{images,embeddings,model} and writes metrics.json, predictions.parquet,
submission.csv, report.html and report/*.{svg,png} into runs/gtsrb.";

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// One flag a key of `[evaluate]`.
#[derive(clap::Args, Serialize, Debug)]
#[command(next_help_heading = "Settings of [evaluate]")]
pub struct Flags {
    /// Misclassified pictures shown in the report, at most 300 [default: 300]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    gallery: Option<usize>,
    /// The accuracy that answers given when sure should have: decides from which confidence a
    /// picture's class counts as sure [default: 0.99]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    wished_accuracy: Option<f64>,
}

/// The section `[evaluate]`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Misclassified pictures shown in the report.
    pub gallery: usize,
    /// The accuracy that answers given when sure should have.
    pub wished_accuracy: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { gallery: MOST, wished_accuracy: WISHED_ACCURACY }
    }
}

impl Args {
    /// The settings from file and flags, checked.
    pub fn settings(&self) -> Result<Settings> {
        let settings: Settings = self.common.settings("evaluate", &self.flags)?;
        if settings.gallery > MOST {
            return Err(Error::config(format!(
                "gallery = {} would make the report too large: at most {MOST}",
                settings.gallery
            )));
        }
        let wished = settings.wished_accuracy;
        if !(wished > 0.0 && wished <= 1.0) {
            return Err(Error::config(format!(
                "wished_accuracy = {wished} is no share of answers: give one above 0, at most 1"
            )));
        }
        Ok(settings)
    }
}
