//! The `gtsrb-backbone` stage: turns weights into `backbone.onnx`.
//!
//! The source is a `.pth` file of EfficientNet-Lite or any ONNX image model. The result takes
//! pictures as bytes, `image` uint8 `[n, size, size, 3]`, and gives one row a picture,
//! `embedding` float32 `[n, dims]`: each tapped layer pooled to its grid, flattened as
//! `[channels, g, g]`, one after the other. Nothing that this doesn't need is in the file.
//! With the precision int8 its convolutions compute with bytes, whose ranges are those of some
//! training images.

mod adapt;
mod args;
mod calibrate;
mod describe;
mod efficientnet;
mod network;
mod taps;
mod weights;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use artifact::{Manifest, Output, Work};
use onnx_graph::pool::Part;
use onnx_graph::{ModelProto, metadata, set_metadata};
use serde::Serialize;
use serde_json::{Value, json};
use stage::{Outcome, Result};

pub use args::{Args, Command, Flags, Layout, Precision, Settings};
use calibrate::Pictures;
pub use describe::{Description, Layer};
use network::Network;
use taps::{EVERY, Tap};
use weights::Weights;

/// The binary's name, which manifests and error messages use.
const TOOL: &str = "gtsrb-backbone";
/// Raise the number with every change of what this stage makes of the same inputs and settings.
const VERSION: &str = artifact::version!(1);
const FILE: &str = "backbone.onnx";

/// What the stage or `describe` has to say.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Summary {
    /// The backbone that is there now.
    Backbone(Backbone),
    /// A model, described.
    Description(Description),
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backbone(b) => b.fmt(f),
            Self::Description(d) => d.fmt(f),
        }
    }
}

/// A backbone that was written.
#[derive(Serialize, Debug)]
pub struct Backbone {
    /// Where it is.
    pub file: String,
    /// The weights' name.
    pub backbone: String,
    /// Layers and their grids.
    pub taps: String,
    /// How its layers compute.
    pub precision: String,
    /// Pixels of a side.
    pub size: u64,
    /// The embedding's length.
    pub dims: u64,
    /// Numbers in floating-point tensors.
    pub parameters: u64,
    /// Multiply-accumulate operations for one picture, if all shapes are known.
    pub macs: Option<u64>,
}

impl Display for Backbone {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { file, backbone, taps, precision, size, dims, parameters, macs } = self;
        let parameters = describe::millions(*parameters);
        let macs = macs.map_or_else(|| "unknown".into(), describe::millions);
        write!(
            f,
            "{backbone} at {size}x{size} pixels, {taps}, {precision}: {dims} numbers a picture, \
             {parameters} parameters, {macs} MACs -> {file}"
        )
    }
}

/// Runs the stage, or describes a model.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    if let Some(Command::Describe { file, size }) = &args.command {
        return describe::describe(file, *size).map(|d| Outcome::Done(Summary::Description(d)));
    }
    let settings = Settings::from_args(args)?;
    let run = args.common.run_dir()?;
    let dir = run.join("backbone");
    let path = weights::find(&settings.weights)?;
    let weights = weights::read(&path)?;
    let mut work = work(&settings, &weights);
    let pictures = match settings.precision {
        Precision::F32 | Precision::F16 => None,
        Precision::Int8 => Some(Pictures::of(&args.common, &run)?),
    };
    if let Some(pictures) = &pictures {
        pictures.describe(&mut work, &dir);
    }
    if args.common.dry_run {
        build(weights, &settings, &path)?;
        return Ok(Outcome::Planned(format!("would write {}", dir.join(FILE).display())));
    }
    let output = Output::open(&dir)?;
    if let Some(manifest) = output.current(&work)? {
        return Ok(Outcome::Current(Summary::Backbone(summary(&manifest, &dir))));
    }
    let mut model = build(weights, &settings, &path)?;
    let count = describe::count(&model, settings.size)?;
    if let Some(pictures) = pictures {
        model = pictures.quantise(&model, &mut work)?;
    } else if settings.precision == Precision::F16 {
        model =
            onnx_graph::to_f16(&model).map_err(|e| network::unusable(e).context(path.display()))?;
        set_metadata(&mut model, "precision", "f16");
    }
    let file = output.write(FILE, &onnx_graph::write(&model))?;
    let facts = facts(&model, settings.precision);
    let manifest = output.commit(work, vec![file], counters(&model, count), facts)?;
    Ok(Outcome::Done(Summary::Backbone(summary(&manifest, &dir))))
}

/// What decides the backbone's bytes. The weights' path doesn't, their name and content do.
fn work(settings: &Settings, weights: &Weights) -> Work {
    let mut parameters = json!(settings);
    parameters["weights"] = json!(weights.name);
    Work {
        tool: TOOL.into(),
        version: VERSION.into(),
        parameters,
        inputs: BTreeMap::from([("weights".to_owned(), weights.hash)]),
    }
}

/// The backbone with its metadata.
fn build(weights: Weights, settings: &Settings, path: &Path) -> Result<ModelProto> {
    let (name, hash) = (weights.name, weights.hash.to_string());
    let mut network =
        network::build(weights.content, settings).map_err(|e| e.context(path.display()))?;
    if let Some(seed) = settings.random {
        onnx_graph::randomise(&mut network.model, seed.into())
            .map_err(|e| network::unusable(e).context(path.display()))?;
    }
    let taps = taps(&network, settings)?;
    let (mut model, dims) =
        taps::attach(&network, &taps, settings.top).map_err(|e| e.context(path.display()))?;
    let taps: Vec<String> = taps.iter().map(ToString::to_string).collect();
    model.producer_name = TOOL.into();
    model.producer_version = env!("CARGO_PKG_VERSION").into();
    for (key, value) in [
        ("backbone", name),
        ("size", settings.size.to_string()),
        ("taps", taps.join(",")),
        ("dims", dims.to_string()),
        ("normalisation", network.normalisation),
        ("weights_blake3", hash),
    ] {
        set_metadata(&mut model, key, &value);
    }
    if let Some(seed) = settings.random {
        set_metadata(&mut model, "random", &seed.to_string());
    }
    Ok(model)
}

/// The taps that were asked for, or what the classifier reads.
fn taps(network: &Network, settings: &Settings) -> Result<Vec<Tap>> {
    if settings.taps.is_empty() {
        if network.features == network.logits {
            tracing::info!(
                "the model ends without a Gemm or MatMul: its output {} is tapped",
                network.logits
            );
        }
        return Ok(vec![Tap { layer: network.features.clone(), part: Part::Grid(1) }]);
    }
    if settings.taps == [EVERY] {
        return taps::every(network);
    }
    settings.taps.iter().map(|t| Tap::parse(t)).collect()
}

fn counters(model: &ModelProto, count: onnx_graph::Count) -> BTreeMap<String, u64> {
    let number = |key: &str| metadata(model, key).and_then(|v| v.parse().ok()).unwrap_or(0);
    let known =
        [("dims", number("dims")), ("size", number("size")), ("parameters", count.parameters)];
    let macs = count.macs.map(|macs| ("macs", macs));
    known.into_iter().chain(macs).map(|(key, n)| (key.to_owned(), n)).collect()
}

fn facts(model: &ModelProto, precision: Precision) -> BTreeMap<String, Value> {
    let fact = |key: &str| (key.to_owned(), json!(metadata(model, key)));
    let precision = ("precision".to_owned(), json!(precision));
    ["backbone", "taps", "normalisation"].into_iter().map(fact).chain([precision]).collect()
}

/// The summary of what the manifest describes.
fn summary(manifest: &Manifest, dir: &Path) -> Backbone {
    let fact = |key: &str| manifest.facts.get(key).and_then(Value::as_str).unwrap_or_default();
    let counter = |key: &str| manifest.counters.get(key).copied().unwrap_or(0);
    Backbone {
        file: dir.join(FILE).display().to_string(),
        backbone: fact("backbone").into(),
        taps: fact("taps").into(),
        precision: fact("precision").into(),
        size: counter("size"),
        dims: counter("dims"),
        parameters: counter("parameters"),
        macs: manifest.counters.get("macs").copied(),
    }
}
