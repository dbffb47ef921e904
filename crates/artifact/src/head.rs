//! A trained head at rest: `head.safetensors` with `weights` `[classes, dims]`, `bias`
//! `[classes]` and `temperature` `[1]`, all f32, and metadata.

use std::collections::HashMap;
use std::path::Path;

use ndarray::{Array1, Array2};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use stage::{Error, Result};

use crate::Hash;
use crate::table::damaged;

/// The stage that writes heads, for messages.
const STAGE: &str = "gtsrb-train";

/// A linear head: logits = W x + b, probabilities = softmax(logits / temperature).
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// W, shape `[classes, dims]`; takes embeddings as they are, without standardisation.
    pub weights: Array2<f32>,
    /// b, shape `[classes]`.
    pub bias: Array1<f32>,
    /// Divides the logits so that probabilities are calibrated.
    pub temperature: f32,
    /// Class names; a label is an index here.
    pub classes: Vec<String>,
    /// The view whose embeddings it takes.
    pub view: Hash,
    /// The content of the embeddings that it learned from.
    pub training: Hash,
}

fn bytes_of<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u8> {
    values.into_iter().flat_map(|v| v.to_le_bytes()).collect()
}

impl Head {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let (classes, dims) = self.weights.dim();
        let weights = bytes_of(&self.weights);
        let bias = bytes_of(&self.bias);
        let temperature = self.temperature.to_le_bytes();
        let internal = |e| Error::internal(format!("cannot write a head: {e}"));
        let tensor = |shape, bytes| TensorView::new(Dtype::F32, shape, bytes).map_err(internal);
        let tensors = [
            ("weights", tensor(vec![classes, dims], &weights)?),
            ("bias", tensor(vec![classes], &bias)?),
            ("temperature", tensor(vec![1], &temperature)?),
        ];
        // One entry: the library writes several in the random order of a hash map.
        let about = serde_json::json!({
            "classes": self.classes, "view": self.view, "training": self.training,
        });
        let metadata = HashMap::from([("head".to_owned(), about.to_string())]);
        safetensors::serialize(tensors, Some(metadata)).map_err(internal)
    }

    /// Reads and checks a head.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::read(path, &e))?;
        Self::from_bytes(&bytes).map_err(|reason| damaged(path, reason, STAGE))
    }

    fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let file = SafeTensors::deserialize(bytes).map_err(|e| text(&e))?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| text(&e))?;
        let about: About = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get("head"))
            .ok_or("no metadata")
            .map_err(|e| text(&e))
            .and_then(|m| serde_json::from_str(m).map_err(|e| text(&e)))?;
        let (shape, weights) = floats(&file, "weights")?;
        let [classes, dims] = shape[..] else {
            return Err("weights are not a matrix".into());
        };
        let (_, bias) = floats(&file, "bias")?;
        let (_, temperature) = floats(&file, "temperature")?;
        if bias.len() != classes || about.classes.len() != classes || temperature.len() != 1 {
            return Err(format!(
                "{classes} rows of weights, {} biases, {} class names, {} temperatures",
                bias.len(),
                about.classes.len(),
                temperature.len()
            ));
        }
        Ok(Self {
            weights: Array2::from_shape_vec((classes, dims), weights).map_err(|e| text(&e))?,
            bias: bias.into(),
            temperature: temperature[0],
            classes: about.classes,
            view: about.view,
            training: about.training,
        })
    }
}

#[derive(serde::Deserialize)]
struct About {
    classes: Vec<String>,
    view: Hash,
    training: Hash,
}

/// Shape and values of tensor `name`, all finite.
fn floats(file: &SafeTensors, name: &str) -> std::result::Result<(Vec<usize>, Vec<f32>), String> {
    let tensor = file.tensor(name).map_err(|e| e.to_string())?;
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("{name} is {:?}, not F32", tensor.dtype()));
    }
    let (values, _) = tensor.data().as_chunks::<4>();
    let values: Vec<f32> = values.iter().map(|b| f32::from_le_bytes(*b)).collect();
    if values.iter().any(|v| !v.is_finite()) {
        return Err(format!("{name} holds NaN or infinity"));
    }
    Ok((tensor.shape().to_vec(), values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn head() -> Head {
        Head {
            weights: array![[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]],
            bias: array![0.1, -0.1],
            temperature: 1.5,
            classes: vec!["a".into(), "b".into()],
            view: Hash::of(b"v"),
            training: Hash::of(b"t"),
        }
    }

    #[test]
    fn round_trip() {
        let bytes = head().to_bytes().unwrap();
        assert_eq!(Head::from_bytes(&bytes).unwrap(), head());
        assert_eq!(bytes, head().to_bytes().unwrap());
    }

    #[test]
    fn damage_is_refused() {
        let bytes = head().to_bytes().unwrap();
        for end in 0..bytes.len() {
            assert!(Head::from_bytes(&bytes[..end]).is_err());
        }
        let mut odd = head();
        odd.classes.pop();
        assert!(Head::from_bytes(&odd.to_bytes().unwrap()).is_err());
        odd = head();
        odd.weights[[0, 0]] = f32::NAN;
        assert!(Head::from_bytes(&odd.to_bytes().unwrap()).unwrap_err().contains("NaN"));
    }
}
