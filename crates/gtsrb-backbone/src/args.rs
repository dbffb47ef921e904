//! Flags and settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stage::{Common, Error, Result};

/// Turns weights or any ONNX image model into backbone.onnx: bytes in, an embedding out
#[derive(clap::Parser, Debug)]
#[command(
    name = "gtsrb-backbone",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        gtsrb-backbone --config pipelines/gtsrb.toml --taps block4:6,block7:6\n  \
        gtsrb-backbone --run runs/mine --weights resnet18.onnx --size 224 \
        --taps /layer3/layer3.1/relu_1/Relu_output_0:4\n  \
        gtsrb-backbone --config pipelines/gtsrb.toml --precision int8\n  \
        gtsrb-backbone describe resnet18.onnx\n\
        The first writes runs/gtsrb/backbone/backbone.onnx."
)]
pub struct Args {
    /// Settings given on the command line.
    #[command(flatten)]
    pub flags: Flags,
    /// Another action than writing the backbone.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of every stage.
    #[command(flatten)]
    pub common: Common,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Actions besides the stage itself.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Print a model's inputs, outputs, preprocessing, size and possible taps
    Describe {
        /// A .pth or .onnx file
        file: PathBuf,
        /// Pixels of a side of the picture [default: the model's own, or 96]
        #[arg(long, value_name = "PIXELS")]
        size: Option<usize>,
    },
}

/// Settings given on the command line; they win over the pipeline's file.
#[derive(clap::Args, Serialize, Debug, Default)]
#[command(next_help_heading = "Settings of [backbone]")]
pub struct Flags {
    /// `efficientnet-lite0`, or a .pth or .onnx file
    #[arg(long, value_name = "NAME|FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Pixels of a side of the picture [default: 96]
    #[arg(long, value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Layers to read, LAYER:GRID or LAYER:cls, or `every` one on its finest grid
    /// [default: what the classifier reads]
    #[arg(long, value_name = "LAYER:GRID", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taps: Option<Vec<String>>,
    /// Keep the model's own classifier as the output `logits`
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<bool>,
    /// How the layers compute: f32, int8 (for processors, calibrated on training images), or
    /// f16 (for GPUs) [default: f32]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Where an ONNX model wants the colours [default: as its input's shape says, else nchw]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// What an ONNX model calls white: 1 or 255 [default: 1]
    #[arg(long, value_name = "WHITE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<f64>,
    /// Subtracted from red, green and blue, on the scale of --range [default: 0.485,0.456,0.406 of
    /// white]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// Divides red, green and blue after that [default: 0.229,0.224,0.225 of white]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// Draw the weights at random from this seed instead: what is pre-training worth?
    #[arg(long, value_name = "SEED")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<u32>,
}

/// How a backbone's layers compute. Input and output are the same for all: bytes and float32.
#[derive(clap::ValueEnum, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// Convolutions with bytes.
    Int8,
    /// 16-bit floats.
    F16,
}

/// The order of an ONNX model's input.
#[derive(clap::ValueEnum, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, colours, height, width.
    Nchw,
    /// Batch, height, width, colours.
    Nhwc,
}

/// The section `[backbone]` of a pipeline's file.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A name that set-up fetches, or a file.
    pub weights: String,
    /// Pixels of a side of the picture.
    pub size: usize,
    /// Layers to read, `LAYER:GRID`, or `every` one; none means what the
    /// classifier reads.
    pub taps: Vec<String>,
    /// Keep the model's own classifier as the output `logits`.
    pub top: bool,
    /// How the layers compute.
    pub precision: Precision,
    /// The order of an ONNX model's input.
    pub layout: Option<Layout>,
    /// What an ONNX model calls white.
    pub range: Option<f64>,
    /// Subtracted from red, green and blue.
    pub mean: Option<Vec<f64>>,
    /// Divides red, green and blue after that.
    pub std: Option<Vec<f64>>,
    /// Seed of weights that are drawn at random instead of the file's.
    pub random: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            weights: "efficientnet-lite0".into(),
            size: 96,
            taps: Vec::new(),
            top: false,
            precision: Precision::F32,
            layout: None,
            range: None,
            mean: None,
            std: None,
            random: None,
        }
    }
}

impl Settings {
    /// The settings of a run.
    ///
    /// # Errors
    /// [`Config`](stage::Fault::Config) on an unknown key or a number out of range.
    pub fn from_args(args: &Args) -> Result<Self> {
        let settings: Self = args.common.settings("backbone", &args.flags)?;
        settings.check()?;
        Ok(settings)
    }

    /// Checks the numbers that have a range of their own.
    pub(crate) fn check(&self) -> Result<()> {
        if (8..=2048).contains(&self.size) {
            return Ok(());
        }
        Err(Error::config(format!("backbone.size is {}, must be 8 to 2048", self.size)))
    }
}
