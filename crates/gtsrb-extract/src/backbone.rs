//! The backbone of a run.

use std::path::Path;

use artifact::{Hash, Manifest};
use serde_json::{Map, Value, json};
use stage::{Error, Result};

const STAGE: &str = "gtsrb-backbone";
const FILE: &str = "backbone.onnx";

/// `RUN/backbone/backbone.onnx`, verified.
pub struct Backbone {
    /// The file's bytes.
    pub onnx: Vec<u8>,
    /// BLAKE3 of them.
    pub hash: Hash,
    /// Height and width of its input, in pixels.
    pub size: usize,
    /// Numbers in an embedding.
    pub dims: usize,
    /// How its layers compute, as the stage before recorded it: `f32` or another.
    pub precision: String,
    /// What its metadata say of it, for people.
    pub about: Value,
}

/// The metadata that tell backbones apart; their size is a parameter of the view.
const ABOUT: [&str; 2] = ["backbone", "taps"];

impl Backbone {
    /// Reads the file; no session is made.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where the stage before hasn't run,
    /// [`Data`](stage::Fault::Data) when the file is not what its manifest says.
    pub fn open(run: &Path) -> Result<Self> {
        let dir = run.join("backbone");
        let manifest = Manifest::read(&dir, STAGE)?;
        manifest.verify(&dir, FILE)?;
        let path = dir.join(FILE);
        let onnx = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
        let damaged = |reason: &dyn std::fmt::Display| {
            Error::data(format!("{}: {reason}; run {STAGE} again", path.display()))
        };
        let model = onnx_graph::read(&onnx).map_err(|e| damaged(&e))?;
        let number = |key: &str| {
            onnx_graph::metadata(&model, key)
                .and_then(|text| text.parse().ok())
                .filter(|&number: &usize| number > 0)
                .ok_or_else(|| damaged(&format!("no number `{key}` in its metadata")))
        };
        let (size, dims) = (number("size")?, number("dims")?);
        let precision = manifest.facts.get("precision").and_then(|fact| fact.as_str());
        let precision = precision.unwrap_or("f32").to_owned();
        let mut about = Map::from_iter([("precision".to_owned(), json!(precision))]);
        for key in ABOUT {
            if let Some(value) = onnx_graph::metadata(&model, key) {
                about.insert(key.to_owned(), json!(value));
            }
        }
        let about = Value::Object(about);
        Ok(Self { hash: Hash::of(&onnx), onnx, size, dims, precision, about })
    }
}
