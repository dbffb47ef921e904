//! The command line and the settings of `[extract]`.

use std::path::PathBuf;

use artifact::embeddings::{Shard, Storage};
use embed::{Crop, Device, Kernels, Provider, Resize};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stage::{Common, Error, Result};

const EXAMPLE: &str = "Examples:
  gtsrb-extract --config pipelines/gtsrb.toml
  gtsrb-extract --config pipelines/gtsrb.toml --margin 0.1 --device cpu
  gtsrb-extract --config pipelines/gtsrb.toml --augment 3
  gtsrb-extract verify --config pipelines/gtsrb.toml --rows 100
  gtsrb-extract export --config pipelines/gtsrb.toml --to embeddings.parquet
Several machines, or processes, on one run:
  gtsrb-extract --config pipelines/gtsrb.toml --shard 1/2
  gtsrb-extract --config pipelines/gtsrb.toml --shard 2/2
  gtsrb-extract merge --config pipelines/gtsrb.toml --shards 2
The cache:
  gtsrb-extract cache ls
  gtsrb-extract cache gc --older-than 30 --dry-run";

/// Runs every picture through the backbone and keeps the embeddings in the cache
#[derive(clap::Parser, Debug)]
#[command(version, after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do instead of extracting.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Compute only this share of the embeddings, beside other processes that compute other
    /// shares, and leave the run's index to `merge`
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Find the fastest sessions and threads first, and remember them for this machine
    #[arg(long)]
    pub tune: bool,
    /// Settings given as flags.
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

/// Other things to do.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Compute embeddings of some images anew and compare them with the cache
    Verify {
        /// How many images, drawn at random for each view
        #[arg(long, value_name = "K", default_value_t = 64)]
        rows: usize,
        /// Seed of the draw
        #[arg(long, value_name = "N", default_value_t = 0)]
        seed: u64,
    },
    /// Write the embeddings with paths and classes to one Parquet file, for other tools
    Export {
        /// The file
        #[arg(long, value_name = "FILE.parquet")]
        to: PathBuf,
    },
    /// Write the run's index after all shards were computed; computes nothing
    Merge(MergeArgs),
    /// List, check and tidy up the embedding cache
    Cache {
        /// What to do with it.
        #[command(subcommand)]
        command: CacheCommand,
    },
}

/// What `merge` takes.
#[derive(clap::Args, Debug)]
pub struct MergeArgs {
    /// Another cache folder to take embeddings from, or its URL; may be repeated
    #[arg(long, value_name = "DIR")]
    pub from: Vec<PathBuf>,
    /// How many shards there are, to say which of them is missing
    #[arg(long, value_name = "N")]
    pub shards: Option<u32>,
    /// Settings given as flags.
    #[command(flatten)]
    pub flags: Flags,
}

/// What can be done with the cache.
#[derive(clap::Subcommand, Debug)]
pub enum CacheCommand {
    /// List the views: what they consist of, their size and last use, and the runs that
    /// refer to them
    Ls {
        /// A folder of runs besides `$RUNS_DIR`; may be repeated
        #[arg(long, value_name = "DIR")]
        runs: Vec<PathBuf>,
    },
    /// Remove views that no run refers to and that were not used for a while
    Gc {
        /// Keep what was used in the last DAYS days
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        older_than: u64,
        /// A folder of runs besides `$RUNS_DIR`; may be repeated
        #[arg(long, value_name = "DIR")]
        runs: Vec<PathBuf>,
    },
    /// Hash every part and compare it with its name (`gtsrb-extract verify` computes
    /// embeddings anew instead)
    Verify,
    /// Bring many small parts together in few; no embedding changes
    Compact,
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
    /// Changed copies of each training picture to compute embeddings of, besides the plain one
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    augment: Option<u32>,
    /// Precision of stored embeddings
    #[arg(long, value_name = "f16|f32", value_parser = named::<Storage>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Storage>,
    /// Where to compute; `cuda` fails where there is none, `auto` falls back to the processor
    #[arg(long, value_name = "auto|cpu|cuda", value_parser = named::<Device>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Device>,
    /// Images of an inference; by default 8 on the processor and 256 on a GPU
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    /// What resizes pictures: the processor, or the device that the backbone runs on
    #[arg(long, value_name = "cpu|device", value_parser = named::<Resize>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    resize: Option<Resize>,
    /// On a GPU: round the inputs of convolutions to TF32, faster and less exact
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tf32: Option<bool>,
    /// On a GPU: keep channels last in memory
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    nhwc: Option<bool>,
    /// On a GPU: record the kernels once and replay them
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cuda_graph: Option<bool>,
}

/// Far more than help, and than anybody waits for.
const MOST_VIEWS: u32 = 64;

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
    /// Augmented views of the training pictures, at most 64.
    pub augment: u32,
    /// Precision at rest.
    pub storage: Storage,
    /// Where to compute.
    pub device: Device,
    /// Images of an inference, 1 to 1024; by default what keeps the device busy. Part of the
    /// view, although no bit depends on it on the processor: on a GPU the choice of algorithms
    /// does.
    pub batch: Option<usize>,
    /// What resizes pictures.
    pub resize: Resize,
    /// May a GPU round the inputs of convolutions to TF32?
    pub tf32: bool,
    /// Shall a GPU keep channels last in memory?
    pub nhwc: bool,
    /// Shall a GPU record its kernels once and replay them? Changes no bit.
    pub cuda_graph: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            crop: Crop::Roi,
            margin: 0.0,
            augment: 0,
            storage: Storage::F16,
            device: Device::Auto,
            batch: None,
            resize: Resize::Cpu,
            tf32: false,
            nhwc: false,
            cuda_graph: false,
        }
    }
}

impl Settings {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// [`Config`](stage::Fault::Config) naming the key at fault.
    pub fn of(common: &Common, flags: &Flags) -> Result<Self> {
        let settings: Self = common.settings("extract", flags)?;
        if !(0.0..=1.0).contains(&settings.margin) {
            return Err(Error::config(format!(
                "[extract] margin = {}: must be between 0 and 1",
                settings.margin
            )));
        }
        if settings.augment > MOST_VIEWS {
            return Err(Error::config(format!(
                "[extract] augment = {}: must be at most {MOST_VIEWS}",
                settings.augment
            )));
        }
        if let Some(batch) = settings.batch.filter(|batch| !(1..=1024).contains(batch)) {
            return Err(Error::config(format!(
                "[extract] batch = {batch}: must be between 1 and 1024"
            )));
        }
        Ok(settings)
    }

    /// Images of an inference on `provider`.
    #[must_use]
    pub fn batch(&self, provider: Provider) -> usize {
        self.batch.unwrap_or(provider.batch())
    }

    /// What a GPU may do.
    #[must_use]
    pub fn kernels(&self) -> Kernels {
        Kernels { tf32: self.tf32, nhwc: self.nhwc }
    }
}
