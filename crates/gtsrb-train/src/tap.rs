//! The layers of a backbone that an embedding consists of.

use onnx_graph::pool::{Part, length};
use onnx_graph::shapes;
use onnx_graph::{ModelProto, metadata};
use softmax::Map;
use stage::{Error, Result};

/// A layer on a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Tap {
    /// Its name.
    pub layer: String,
    /// Cells a side.
    pub grid: usize,
    /// Numbers a cell.
    pub channels: usize,
    /// Where it begins in an embedding.
    pub start: usize,
}

impl Tap {
    /// Those of a `backbone`, in their order in an embedding: what its metadata names, with the
    /// numbers that the shapes of its layers tell.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) if they can't be told.
    pub fn all(backbone: &ModelProto) -> Result<Vec<Self>> {
        let size = number(backbone, "size")?;
        let shapes = shapes::infer(backbone, &[("image", &[1, size, size, 3])])
            .map_err(|e| Error::data(format!("the backbone: {e}")))?;
        let (mut taps, mut start) = (Vec::new(), 0);
        for tap in text(backbone, "taps")?.split(',') {
            let unknown = || Error::data(format!("the backbone's layer {tap} isn't one on a grid"));
            let (layer, grid) = tap.rsplit_once(':').ok_or_else(unknown)?;
            let grid: usize = grid.parse().map_err(|_| unknown())?;
            let shape = shapes.shape(layer).ok_or_else(unknown)?;
            let channels = length(shape, Part::Grid(1)).ok_or_else(unknown)?;
            let tap = Self { layer: layer.into(), grid, channels, start };
            start += tap.length();
            taps.push(tap);
        }
        let dims = number(backbone, "dims")?;
        if dims != start {
            return Err(Error::data(format!(
                "the backbone's layers have {start} numbers, not {dims}"
            )));
        }
        Ok(taps)
    }

    /// Numbers of the layer in an embedding.
    pub fn length(&self) -> usize {
        self.map().length()
    }

    /// The layer as convolutions take it.
    pub fn map(&self) -> Map {
        Map { channels: self.channels, side: self.grid }
    }

    /// The grids that its own can be joined to, finest first.
    pub fn grids(&self) -> impl Iterator<Item = usize> {
        let grid = self.grid;
        (1..=grid).rev().filter(move |coarse| grid.is_multiple_of(*coarse))
    }
}

/// What the metadata say of `key`.
///
/// # Errors
/// [`Data`](stage::Fault::Data) if they don't.
pub fn text<'a>(model: &'a ModelProto, key: &str) -> Result<&'a str> {
    metadata(model, key).ok_or_else(|| Error::data(format!("the backbone has no `{key}`")))
}

/// The same as a number.
///
/// # Errors
/// [`Data`](stage::Fault::Data) if it is none.
pub fn number(model: &ModelProto, key: &str) -> Result<usize> {
    let text = text(model, key)?;
    text.parse().map_err(|_| Error::data(format!("the backbone's `{key}` is {text:?}, no number")))
}
