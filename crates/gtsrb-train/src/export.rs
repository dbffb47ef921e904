//! The files of a head.

use artifact::head::Head;
use onnx_graph::ModelProto;
use onnx_graph::classifier::{self, Layer};
use serde_json::json;
use softmax::{Map, Model, Tower};
use stage::{Error, Result};

use crate::data::Inputs;

/// The bytes of `head.safetensors`, `head.onnx` and `classifier.onnx`.
pub struct Files {
    /// Weights, bias, temperature, class names.
    pub safetensors: Vec<u8>,
    /// Embeddings to logits and probabilities.
    pub head: Vec<u8>,
    /// Cropped pictures to logits, probabilities and label.
    pub classifier: Vec<u8>,
}

impl Files {
    /// Builds them.
    ///
    /// # Errors
    /// [`Internal`](stage::Fault::Internal) if the graphs can't be built.
    pub fn new(inputs: &Inputs, backbone: &ModelProto, head: &Head) -> Result<Self> {
        let layers = head.network.layers();
        let weights: Vec<_> =
            layers.iter().map(|layer| layer.weights.as_standard_layout()).collect();
        let layers: Vec<_> = layers
            .iter()
            .zip(&weights)
            .map(|(layer, weights)| Layer {
                weights: weights.as_slice().unwrap_or_default(),
                bias: layer.bias.as_slice().unwrap_or_default(),
            })
            .collect();
        let tower = head.network.tower().map(tower);
        let layers = classifier::Head {
            tower: tower.as_ref(),
            layers: &layers,
            temperature: head.temperature,
        };
        let metadata = metadata(inputs, head);
        let metadata: Vec<(&str, &str)> =
            metadata.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let failed = |e| Error::internal(format!("cannot build the classifier: {e}"));
        let head_model = classifier::head_model(&layers, &metadata).map_err(failed)?;
        let whole = classifier::classifier_model(backbone, &layers, &metadata).map_err(failed)?;
        Ok(Self {
            safetensors: head.to_bytes()?,
            head: onnx_graph::write(&head_model),
            classifier: onnx_graph::write(&whole),
        })
    }
}

/// Convolutions as a graph has them.
fn tower(tower: &Tower) -> classifier::Tower<'_> {
    let levels = tower.inputs().into_iter().zip(tower.convolutions()).map(|(joining, model)| {
        let maps = |(start, map): (usize, Map)| (start, map.channels, map.side);
        classifier::Level {
            joining: joining.into_iter().map(maps).collect(),
            kernel: kernel(model),
            bias: model.bias.as_slice().unwrap_or_default(),
        }
    });
    let standardization = tower.standardization();
    classifier::Tower {
        mean: standardization.mean.as_slice().unwrap_or_default(),
        factor: standardization.scale.iter().map(|scale| scale.recip()).collect(),
        levels: levels.collect(),
        outputs: tower.levels().outputs(),
    }
}

/// The weights `[outputs, 9 · inputs]` of a convolution as `[outputs, inputs, 3, 3]`.
fn kernel(model: &Model) -> Vec<f32> {
    let inputs = model.weights.ncols() / 9;
    let numbers = model.weights.rows().into_iter().flat_map(|row| {
        (0..inputs).flat_map(move |input| (0..9).map(move |place| row[place * inputs + input]))
    });
    numbers.collect()
}

/// What a user of the files must know: class names, what to cut out of a picture, and how it
/// became an embedding.
fn metadata(inputs: &Inputs, head: &Head) -> [(&'static str, String); 6] {
    let text =
        |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    [
        ("classes", text(json!(head.classes))),
        ("crop", text(json!(inputs.view.crop))),
        ("margin", text(json!(inputs.view.margin))),
        ("temperature", text(json!(head.temperature))),
        ("view", head.view.to_string()),
        ("preprocessing", inputs.view.parameters().to_string()),
    ]
}
