//! What both kinds of source become: a graph that takes pictures as bytes.

use onnx_graph::shapes::{self, Shapes};
use onnx_graph::{ModelProto, Result};

use crate::args::Settings;
use crate::weights::Content;
use crate::{adapt, efficientnet};

/// The name of the input of every network and backbone.
pub const IMAGE: &str = "image";

/// A network whose input is `image`, uint8 `[n, size, size, 3]`, with its normalisation inside.
pub struct Network {
    /// The graph; it has no outputs yet.
    pub model: ModelProto,
    /// Names of the tensors that may be tapped, in the order of computation.
    pub layers: Vec<String>,
    /// What the classifier reads, or the last layer of a network without one.
    pub features: String,
    /// What the network itself puts out.
    pub logits: String,
    /// The normalisation in words.
    pub normalisation: String,
    /// Pixels of a side.
    pub size: usize,
}

impl Network {
    /// Shapes for a batch of `n` pictures.
    pub fn shapes(&self, n: usize) -> Result<Shapes> {
        shapes::infer(&self.model, &[(IMAGE, &[n, self.size, self.size, 3])])
    }
}

/// The network that a weights file holds.
pub fn build(content: Content, settings: &Settings) -> stage::Result<Network> {
    match content {
        Content::Onnx(model) => adapt::network(*model, settings),
        Content::StateDict(weights) => {
            let Settings { layout, range, mean, std, .. } = settings;
            if layout.is_some() || range.is_some() || mean.is_some() || std.is_some() {
                return Err(stage::Error::config(
                    "EfficientNet-Lite's layout and normalisation are known; leave \
                     backbone.layout, range, mean and std away",
                ));
            }
            efficientnet::network(&weights, settings.size)
        }
    }
}

/// A model that can't be used, in the words of what found it out.
pub fn unusable(error: impl std::fmt::Display) -> stage::Error {
    stage::Error::data(error.to_string())
}
