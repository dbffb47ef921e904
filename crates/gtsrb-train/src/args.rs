//! The command line and the settings of `[train]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stage::{Common, Error, Result};

use crate::balance::ClassWeights;

const EXAMPLE: &str = "Examples:
  gtsrb-train --config pipelines/gtsrb.toml
  gtsrb-train --config pipelines/gtsrb.toml --lambdas 1e-3,1e-4 --seed 2
  gtsrb-train curve --config pipelines/gtsrb.toml
  gtsrb-train shots --config pipelines/gtsrb.toml --shots 1,2,4,8,16 --seeds 5
  gtsrb-train baselines --config pipelines/gtsrb.toml";

/// Trains a linear head on the embeddings and writes it and the whole classifier
#[derive(clap::Parser, Debug)]
#[command(version, after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Flags of every stage.
    #[command(flatten)]
    pub common: Common,
    /// What to do instead of training.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings given as flags.
    #[command(flatten)]
    pub flags: Flags,
}

/// Other things to do with the embeddings, under the settings of the pipeline's file.
#[derive(clap::Subcommand, Serialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Measure on the validation tracks how accuracy grows with the tracks learned from, with
    /// the penalty of the run's model: would more data help?
    Curve {
        /// Tracks a class; all of them come last [default: 1,2,4, ...]
        #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
        tracks: Vec<usize>,
        /// Draws of each size
        #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
    },
    /// Measure on the test images what a few pictures a class, each of another track, are
    /// enough for
    Shots {
        /// Pictures a class
        #[arg(long, value_name = "K,K,...", value_delimiter = ',', default_value = "1,2,4,8,16")]
        shots: Vec<usize>,
        /// Draws of each size
        #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
    },
    /// Measure on the validation tracks what nearest neighbours and nearest class means give
    Baselines,
}

impl Command {
    /// Its name, and that of the folder and the file that it writes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Curve { .. } => "curve",
            Self::Shots { .. } => "shots",
            Self::Baselines => "baselines",
        }
    }

    /// Sizes asked for must be above 0.
    fn check(&self) -> Result<()> {
        let (Self::Curve { tracks: sizes, .. } | Self::Shots { shots: sizes, .. }) = self else {
            return Ok(());
        };
        if sizes.contains(&0) {
            return Err(Error::usage(
                "sizes must be at least 1: there is no training without pictures",
            ));
        }
        Ok(())
    }
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
    /// L2 penalties to try [default: 1e-1 to 1e-6 in powers of ten, and up to 1e2 where the
    /// strongest is chosen]
    #[arg(long, value_name = "L,L,...", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    lambdas: Option<Vec<f64>>,
    /// Which penalty is chosen: the one with the lowest loss on what was kept out, or the
    /// strongest within one standard error of it [default: best]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Rule>,
    /// Share of each class's tracks kept out to choose the penalty [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<f64>,
    /// Keep each track out once, in K turns, instead of one share of them (cross-validation)
    #[arg(long, value_name = "K")]
    #[serde(skip_serializing_if = "Option::is_none")]
    folds: Option<usize>,
    /// Decides which tracks those are [default: 1]
    // TOML, in which the other settings are, ends at 2^63.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// How often pictures of small classes count [default: none]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    class_weights: Option<ClassWeights>,
    /// Share of each label that is spread over all classes [default: 0]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    label_smoothing: Option<f32>,
    /// The folder of an earlier run whose model fits start from, when pictures or classes were
    /// added since
    #[arg(long, value_name = "RUN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_start: Option<PathBuf>,
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

/// Which penalty of a path is chosen.
#[derive(Serialize, Deserialize, clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The one with the lowest loss.
    Best,
    /// The strongest whose loss is within one standard error of the lowest.
    OneSe,
}

/// The section `[train]`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// L2 penalties λ to try, strongest first; `None` leaves it to the
    /// [search](crate::search).
    pub lambdas: Option<Vec<f64>>,
    /// Which of them is chosen.
    pub rule: Rule,
    /// Share of each class's tracks kept out to choose λ.
    pub validation: f64,
    /// Turns of cross-validation; `None` for a single split.
    pub folds: Option<usize>,
    /// Decides which tracks those are.
    pub seed: u64,
    /// How often pictures of each class count.
    pub class_weights: ClassWeights,
    /// Share of each label that is spread over all classes.
    pub label_smoothing: f32,
    /// The folder of an earlier run whose model fits start from. What is there decides, and
    /// not where it is: its hash is an input.
    #[serde(skip_serializing)]
    pub warm_start: Option<PathBuf>,
    /// A fit ends when the objective falls by less than this share of itself in 5 iterations.
    pub tolerance: f64,
    /// A fit ends, not converged, after this many iterations.
    pub max_iterations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lambdas: None,
            rule: Rule::Best,
            validation: 0.2,
            folds: None,
            seed: 1,
            class_weights: ClassWeights::None,
            label_smoothing: 0.0,
            warm_start: None,
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
        args.command.as_ref().map_or(Ok(()), Command::check)?;
        let mut settings: Self = args.common.settings("train", &args.flags)?;
        let wrong = |what: String| Err(Error::config(format!("[train] {what}")));
        if let Some(lambdas) = &mut settings.lambdas {
            if lambdas.is_empty() {
                return wrong("lambdas is empty: give at least one penalty".into());
            }
            if let Some(lambda) = lambdas.iter().find(|l| !(l.is_finite() && **l > 0.0)) {
                return wrong(format!("lambdas holds {lambda}: penalties must be above 0"));
            }
            lambdas.sort_by(|a, b| b.total_cmp(a));
            lambdas.dedup();
        }
        let Self { validation, folds, label_smoothing, tolerance, max_iterations, .. } = settings;
        if folds.is_some_and(|folds| folds < 2) {
            return wrong("folds must be at least 2; leave it out for a single split".into());
        }
        if folds.is_some() && settings.warm_start.is_some() {
            return wrong("warm_start knows a single split: leave folds out".into());
        }
        if !(validation > 0.0 && validation < 1.0) {
            return wrong(format!("validation = {validation}: must be between 0 and 1"));
        }
        if !(0.0..1.0).contains(&label_smoothing) {
            return wrong(format!(
                "label_smoothing = {label_smoothing}: must be 0 or more, below 1"
            ));
        }
        if !(tolerance > 0.0 && tolerance < 1.0) {
            return wrong(format!("tolerance = {tolerance}: must be between 0 and 1"));
        }
        if max_iterations == 0 {
            return wrong("max_iterations = 0: must be at least 1".into());
        }
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
