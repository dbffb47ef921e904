//! Flags and settings.

use serde::{Deserialize, Serialize};
use stage::{Common, Error, Result};

/// Draws the sample data: 43 German road signs on the road, in the official GTSRB layout
#[derive(clap::Parser, Debug)]
#[command(
    name = "gtsrb-sample",
    version,
    after_help = "Example:\n  gtsrb-sample --config pipelines/sample.toml --tracks 5\n\
                  writes runs/sample/data/GTSRB/... and runs/sample/data/GT-final_test.csv"
)]
pub struct Args {
    /// Settings given on the command line.
    #[command(flatten)]
    pub flags: Flags,
    /// Flags of every stage.
    #[command(flatten)]
    pub common: Common,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Settings given on the command line; they win over the pipeline's file.
#[derive(clap::Args, Serialize, Debug, Default)]
#[command(next_help_heading = "Settings of [sample]")]
pub struct Flags {
    /// Training tracks a class, of 30 frames each [default: 3]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracks: Option<u32>,
    /// Test pictures in all, spread evenly over the classes [default: 860]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<u32>,
    /// Another seed gives other signs, roads and light [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
}

/// The section `[sample]` of a pipeline's file.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Training tracks a class, of 30 frames each.
    pub tracks: u32,
    /// Test pictures in all.
    pub test: u32,
    /// Decides everything that is random.
    pub seed: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tracks: 3, test: 860, seed: 1 }
    }
}

impl Settings {
    /// The settings of a run.
    ///
    /// # Errors
    /// [`Config`](stage::Fault::Config) on an unknown key or a number out of range.
    pub fn from_args(args: &Args) -> Result<Self> {
        let settings: Self = args.common.settings("sample", &args.flags)?;
        let check = |name: &str, value: u32, most: u32| {
            if (1..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::config(format!("sample.{name} is {value}, must be 1 to {most}")))
        };
        check("tracks", settings.tracks, 1_000)?;
        check("test", settings.test, 99_999)?;
        Ok(settings)
    }
}
