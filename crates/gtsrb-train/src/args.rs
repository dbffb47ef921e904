//! The command line.

use std::path::PathBuf;

use serde::Serialize;
use stage::{Common, Error, Result};

use crate::balance::ClassWeights;
use crate::settings::{Rule, Solver};

const EXAMPLE: &str = "Examples:
  gtsrb-train --config pipelines/gtsrb.toml
  gtsrb-train --config pipelines/gtsrb.toml --lambdas 1e-3,1e-4 --seed 2
  gtsrb-train --config pipelines/gtsrb.toml --hidden 512 --label-smoothing 0.05
  gtsrb-train curve --config pipelines/gtsrb.toml
  gtsrb-train shots --config pipelines/gtsrb.toml --shots 1,2,4,8,16 --seeds 5
  gtsrb-train baselines --config pipelines/gtsrb.toml
  gtsrb-backbone --run runs/lite0-64 --size 64 --taps every
  gtsrb-train probe --config pipelines/gtsrb.toml --backbones runs/lite0-64";

/// Trains a head on the embeddings and writes it and the whole classifier
#[derive(clap::Parser, Debug)]
#[command(version, after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do instead of training.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings given as flags.
    #[command(flatten)]
    pub flags: Flags,
    /// Flags of every stage.
    #[command(flatten)]
    pub common: Common,
}

/// Other things to do with the embeddings, under the settings of the pipeline's file.
#[derive(clap::Subcommand, Serialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Measure on the validation tracks how accuracy grows with the tracks learned from, with
    /// the penalty of the run's model, or one chosen for it: would more data help?
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
    /// Measure on the validation tracks what linear heads give on layers of backbones, alone and
    /// together, on all grids: which ones are worth reading?
    Probe {
        /// Folders of runs with backbones that `gtsrb-backbone --taps every` wrote
        // What they hold decides, and not where they are: their hashes are inputs.
        #[arg(long, value_name = "RUN,RUN,...", value_delimiter = ',', required = true)]
        #[serde(skip_serializing)]
        backbones: Vec<PathBuf>,
        /// Bytes that the best one's embedding of a picture may have, stored as f16
        #[arg(long, value_name = "BYTES", default_value_t = 9_000)]
        budget: usize,
        /// Training images to try on, spread evenly
        #[arg(long, value_name = "N", default_value_t = 6_000)]
        pictures: usize,
    },
}

impl Command {
    /// Its name, and that of the folder and the file that it writes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Curve { .. } => "curve",
            Self::Shots { .. } => "shots",
            Self::Baselines => "baselines",
            Self::Probe { .. } => "probe",
        }
    }

    /// Sizes asked for must be above 0.
    pub fn check(&self) -> Result<()> {
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
    /// How the head is fitted: a path of penalties by L-BFGS, or epochs of mini-batches
    /// [default: lbfgs; sgd with a hidden layer]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    solver: Option<Solver>,
    /// Channels of 3 x 3 convolutions over the grids of the embedding, each of which halves them
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    convolutions: Option<Vec<usize>>,
    /// Units of a hidden layer; 0 is none [default: 0]
    #[arg(long, value_name = "UNITS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<usize>,
    /// Heads with a hidden layer or convolutions that are trained side by side and averaged into one
    /// [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<usize>,
    /// Share of the hidden units left out at random in training [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    dropout: Option<f32>,
    /// Passes over the embeddings, fewer where the validation part has no use for as many; sgd only
    /// [default: 40]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<usize>,
    /// What mini-batches are trained with [default: adamw]
    #[arg(long, value_parser = ["adamw", "momentum"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    optimizer: Option<String>,
    /// Highest learning rate; sgd only [default: 0.001 with adamw, 0.1 with momentum]
    #[arg(long, value_name = "RATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    /// Share of itself that a weight loses in a step, per learning rate; sgd only
    /// [default: 1 with adamw, 1e-4 with momentum]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_decay: Option<f64>,
    /// Bytes of embeddings in memory; more are read in blocks; sgd only [default: 8589934592]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
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
    /// Share of each class's tracks, or pictures without tracks, kept out to choose by
    /// [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<f64>,
    /// Keep each track out once, in K turns, instead of one share of them (cross-validation)
    #[arg(long, value_name = "K")]
    #[serde(skip_serializing_if = "Option::is_none")]
    folds: Option<usize>,
    /// Decides which tracks those are, and where mini-batches start [default: 1]
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
    /// Fit in f64 throughout, several times slower
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    precise: Option<bool>,
}
