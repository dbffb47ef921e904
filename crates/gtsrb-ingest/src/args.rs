//! Flags and settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stage::{Common, Error, Result};

/// Reads pictures with their classes, checks every one, and writes them as Parquet.
#[derive(clap::Parser, Debug)]
#[command(
    version,
    after_help = "Example:\n  gtsrb-ingest --config pipelines/gtsrb.toml --source ~/GTSRB"
)]
pub struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// What may be given on the command line; each flag overrides its key in `[ingest]`.
#[derive(clap::Args, Serialize, Debug)]
#[command(next_help_heading = "Settings of [ingest]")]
pub struct Flags {
    /// The folder, or URL, with the pictures or the official zip archives
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<PathBuf>,
    /// How the source is arranged [default: auto]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<Layout>,
    /// What to do about bad pictures [default: fail]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    on_error: Option<OnError>,
    /// What is stored of a picture [default: file]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<Store>,
    /// Share of each class kept for the test, for folders without a test part [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<f64>,
    /// Decides which pictures these are [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// A CSV file with columns path and label: another class for some pictures, or `exclude`
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<PathBuf>,
    /// The most members of an archive [default: 1000000]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_members: Option<usize>,
    /// The most bytes that an archive may unpack to [default: 64 GiB]
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    /// The most pixels of a picture, at most 50 million [default: 50000000]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_pixels: Option<u64>,
}

/// How a source is arranged.
#[derive(clap::ValueEnum, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Told by what is there
    Auto,
    /// The official one, as folders or as the three zip archives
    Official,
    /// Kaggle's: Train.csv, Test.csv and their pictures
    Kaggle,
    /// One folder a class, perhaps under train/ and test/
    Folder,
}

/// What to do about bad pictures.
#[derive(clap::ValueEnum, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Report all of them and write nothing
    Fail,
    /// Report them and write the others
    Skip,
}

/// What is stored of a picture.
#[derive(clap::ValueEnum, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// The PNG or JPEG file as it is; PPM as PNG
    File,
    /// Its decoded pixels, as PPM: larger, and nothing has to be decoded any more
    Pixels,
}

/// The section `[ingest]`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The folder with the pictures or archives.
    pub source: Option<PathBuf>,
    /// How it is arranged.
    pub layout: Layout,
    /// What to do about bad pictures.
    pub on_error: OnError,
    /// What is stored of a picture.
    pub store: Store,
    /// Share of each class kept for the test, for folders without a test part.
    pub test: f64,
    /// Decides which pictures these are.
    pub seed: u64,
    /// Corrections of labels.
    pub labels: Option<PathBuf>,
    /// The most members of an archive; the largest official one has about 40,000.
    pub max_members: usize,
    /// The most bytes that an archive may unpack to.
    pub max_bytes: u64,
    /// The most pixels of a picture.
    pub max_pixels: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            source: None,
            layout: Layout::Auto,
            on_error: OnError::Fail,
            store: Store::File,
            test: 0.2,
            seed: 1,
            labels: None,
            max_members: 1_000_000,
            max_bytes: 64 << 30,
            max_pixels: picture::MAX_PIXELS,
        }
    }
}

impl Settings {
    /// The settings of this call, checked.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let settings: Self = args.common.settings("ingest", &args.flags)?;
        if !(settings.test > 0.0 && settings.test < 1.0) {
            let test = settings.test;
            return Err(Error::config(format!(
                "[ingest] test = {test} is no share of each class; give one between 0 and 1"
            )));
        }
        Ok(settings)
    }

    /// The source folder, which must have been given; that of a URL is brought up to date.
    pub(crate) fn source(&self) -> Result<PathBuf> {
        let named = self.source.as_ref().ok_or_else(|| {
            Error::usage("no source: give --source DIR, or `source` in [ingest] of the config")
        })?;
        let folder = stage::local(named)?;
        artifact::fetch_folder(&folder)?;
        Ok(folder)
    }
}
