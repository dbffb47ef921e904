//! The command line and the settings of `[extract]`.

use artifact::embeddings::Storage;
use embed::{Crop, Device};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stage::{Common, Error, Result};

const EXAMPLE: &str = "Examples:
  gtsrb-extract --config pipelines/gtsrb.toml
  gtsrb-extract --config pipelines/gtsrb.toml --margin 0.1 --device cpu
  gtsrb-extract verify --config pipelines/gtsrb.toml --rows 100";

/// Runs every picture through the backbone and keeps the embeddings in the cache
#[derive(clap::Parser, Debug)]
#[command(version, after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Flags of every stage.
    #[command(flatten)]
    pub common: Common,
    /// What to do instead of extracting.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings given as flags.
    #[command(flatten)]
    pub flags: Flags,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Other things to do.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Compute embeddings of some images anew and compare them with the cache
    Verify {
        /// How many images, drawn at random
        #[arg(long, value_name = "K", default_value_t = 64)]
        rows: usize,
        /// Seed of the draw
        #[arg(long, value_name = "N", default_value_t = 0)]
        seed: u64,
    },
}

/// Settings as flags; each wins over the pipeline's file.
#[derive(clap::Args, Serialize, Debug, Default)]
#[command(next_help_heading = "Settings of [extract]")]
pub struct Flags {
    /// What the backbone sees: the region of interest, or the full picture
    #[arg(long, value_name = "roi|full", value_parser = named::<Crop>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    crop: Option<Crop>,
    /// Share of the ROI's side to add on each side of it
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<f64>,
    /// Precision of stored embeddings
    #[arg(long, value_name = "f16|f32", value_parser = named::<Storage>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Storage>,
    /// Where to compute; `cuda` fails where there is none, `auto` falls back to the processor
    #[arg(long, value_name = "auto|cpu|cuda", value_parser = named::<Device>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Device>,
    /// Images of an inference
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
}

/// A value by the name that it has in the pipeline's file.
fn named<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    serde_json::from_value(text.into()).map_err(|e| e.to_string())
}

/// The section `[extract]`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the backbone sees of a picture.
    pub crop: Crop,
    /// Share of the ROI's side added on each side of it, 0 to 1.
    pub margin: f64,
    /// Precision at rest.
    pub storage: Storage,
    /// Where to compute.
    pub device: Device,
    /// Images of an inference, 1 to 1024. Part of the view, although no bit depends on it on
    /// the processor: on a GPU the choice of algorithms does.
    pub batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { crop: Crop::Roi, margin: 0.0, storage: Storage::F16, device: Device::Auto, batch: 8 }
    }
}

impl Settings {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// [`Config`](stage::Fault::Config) naming the key at fault.
    pub fn of(args: &Args) -> Result<Self> {
        let settings: Self = args.common.settings("extract", &args.flags)?;
        if !(0.0..=1.0).contains(&settings.margin) {
            return Err(Error::config(format!(
                "[extract] margin = {}: must be between 0 and 1",
                settings.margin
            )));
        }
        if !(1..=1024).contains(&settings.batch) {
            return Err(Error::config(format!(
                "[extract] batch = {}: must be between 1 and 1024",
                settings.batch
            )));
        }
        Ok(settings)
    }
}
