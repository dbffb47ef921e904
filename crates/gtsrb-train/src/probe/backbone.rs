//! A backbone of which every layer is read.

use std::path::Path;
use std::time::Duration;

use artifact::Hash;
use embed::{Effort, View};
use onnx_graph::pool::{Part, pool};
use onnx_graph::shapes::{self, Shapes};
use onnx_graph::{Builder, Element, ModelProto, Size, metadata};
use stage::{Error, Result};

use super::search::Found;
use super::{About, BYTES, Candidate};
use crate::data::{BACKBONE_STAGE, Inputs, backbone_file};
use crate::tap::{Tap, number, text};

/// How long the speed of a layer is measured.
const MEASURE: Duration = Duration::from_millis(200);

/// A file that `gtsrb-backbone --taps every` wrote.
pub struct Backbone {
    /// Its weights' name.
    pub name: String,
    /// Pixels of a side of the picture.
    pub size: usize,
    /// Numbers of an embedding.
    pub dims: usize,
    /// The layers, in their order in an embedding.
    pub taps: Vec<Tap>,
    /// The file's bytes.
    pub onnx: Vec<u8>,
    /// BLAKE3 of them.
    pub hash: Hash,
    model: ModelProto,
    shapes: Shapes,
}

impl Backbone {
    /// Reads the backbone in the run folder `run`.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where there is none, [`Data`](stage::Fault::Data) if it is
    /// damaged or its layers can't be told.
    pub fn read(run: &Path) -> Result<Self> {
        let (path, onnx) = backbone_file(run)?;
        Self::parse(onnx).map_err(|e| {
            e.context(format!("{}: make it by {BACKBONE_STAGE} --taps every", path.display()))
        })
    }

    fn parse(onnx: Vec<u8>) -> Result<Self> {
        let model = onnx_graph::read(&onnx).map_err(unusable)?;
        let (size, dims) = (number(&model, "size")?, number(&model, "dims")?);
        let taps = Tap::all(&model)?;
        let shapes = shapes::infer(&model, &[("image", &[1, size, size, 3])]).map_err(unusable)?;
        let name = text(&model, "backbone")?.to_owned();
        Ok(Self { name, size, dims, taps, hash: Hash::of(&onnx), onnx, model, shapes })
    }

    /// What is said of it.
    pub fn about(&self) -> About {
        let of = |key: &str| metadata(&self.model, key).map(str::to_owned);
        About {
            name: self.name.clone(),
            size: self.size,
            licence: of("license").or_else(|| of("licence")),
            random: of("random").is_some(),
        }
    }

    /// The view of the run's embeddings, through this backbone.
    pub fn view(&self, inputs: &Inputs) -> View {
        View { backbone: self.hash, size: self.size, ..inputs.view.clone() }
    }

    /// For each layer the seconds that one thread needs for 1,000 pictures up to there.
    pub fn seconds(&self, view: &View) -> Result<Vec<f64>> {
        let measure = |tap: &Tap| {
            let onnx = self.up_to(tap).map_err(unusable)?;
            let rate = Effort::plain(1).measure(&onnx, tap.channels, view, MEASURE)?;
            Ok(1000.0 / rate)
        };
        self.taps.iter().map(measure).collect()
    }

    /// The network up to a layer, which it gives the mean of.
    fn up_to(&self, tap: &Tap) -> onnx_graph::Result<Vec<u8>> {
        let mut b = Builder::extend(onnx_graph::cut(&self.model, &[&tap.layer])?)?;
        let shape = self.shapes.shape(&tap.layer).unwrap_or_default();
        let element = self.shapes.element(&tap.layer);
        let (row, length) = pool(&mut b, &tap.layer, shape, element, Part::Grid(1))?;
        let row = b.node("Identity", &[&row], "row_embedding", vec![]);
        b.output(&row, "embedding", Element::F32, &[Size::Open("n"), Size::Fixed(length)]);
        Ok(onnx_graph::write(&b.finish()?))
    }

    /// What was found out of some layers on some grids; `seconds` are those of [`Self::seconds`].
    pub fn candidate(&self, number: usize, found: &Found, seconds: &[f64]) -> Candidate {
        let parts = || found.parts.iter().map(|&(tap, grid)| (&self.taps[tap], grid));
        let numbers = parts().map(|(tap, grid)| tap.channels * grid * grid).sum();
        Candidate {
            backbone: number,
            taps: parts().map(|(tap, grid)| format!("{}:{grid}", tap.layer)).collect(),
            numbers,
            bytes: BYTES * numbers,
            seconds: found.parts.iter().map(|&(tap, _)| seconds[tap]).fold(0.0, f64::max),
            accuracy: found.judgement.validation_accuracy,
            accuracy_error: found.judgement.accuracy_error,
            log_loss: found.judgement.calibrated_loss,
        }
    }
}

fn unusable(error: onnx_graph::Error) -> Error {
    Error::data(error.to_string())
}
