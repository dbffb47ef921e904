//! A trained head at rest: `head.safetensors` with `weights` `[classes, inputs]`, `bias`
//! `[classes]` and `temperature` `[1]`, all f32, and metadata. A head with hidden layers has
//! besides `hidden.0.weights` `[units, inputs]` and `hidden.0.bias` `[units]`, then `hidden.1…`.
//! One with convolutions has besides `mean` and `scale` `[dims]`, `convolution.0.weights`
//! `[channels, 9 · inputs]` and `convolution.0.bias` `[channels]`, then `convolution.1…`, and in its
//! metadata the maps that an embedding consists of.

use std::collections::HashMap;
use std::path::Path;

use ndarray::Array2;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use softmax::{Levels, Model, Network, Standardization, Tower};
use stage::{Error, Result};

use crate::Hash;
use crate::table::damaged;

/// The stage that writes heads, for messages.
const STAGE: &str = "gtsrb-train";

/// A head: embeddings to logits, probabilities = softmax(logits / temperature).
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Takes embeddings as they are, without standardisation.
    pub network: Network,
    /// Divides the logits so that probabilities are calibrated.
    pub temperature: f32,
    /// Class names; a label is an index here.
    pub classes: Vec<String>,
    /// The view whose embeddings it takes.
    pub view: Hash,
    /// The content of the embeddings that it learned from.
    pub training: Hash,
}

/// Little-endian, as safetensors has them.
pub(crate) fn bytes_of<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u8> {
    values.into_iter().flat_map(|v| v.to_le_bytes()).collect()
}

impl Head {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let internal = |e| Error::internal(format!("cannot write a head: {e}"));
        let layers = self.network.layers();
        let mut parts =
            vec![("temperature".to_owned(), vec![1], self.temperature.to_le_bytes().into())];
        for (index, layer) in layers.iter().enumerate() {
            let prefix = prefix(index, layers.len());
            let (outputs, inputs) = layer.weights.dim();
            let weights = bytes_of(&layer.weights);
            parts.push((format!("{prefix}weights"), vec![outputs, inputs], weights));
            parts.push((format!("{prefix}bias"), vec![outputs], bytes_of(&layer.bias)));
        }
        for (name, shape, values) in self.network.tower().map(tensors).unwrap_or_default() {
            parts.push((name, shape, values));
        }
        let tensors: Vec<(&String, TensorView<'_>)> = parts
            .iter()
            .map(|(name, shape, bytes)| {
                Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(internal)?))
            })
            .collect::<Result<_>>()?;
        // One entry: the library writes several in the random order of a hash map.
        let about = serde_json::json!({
            "classes": self.classes, "view": self.view, "training": self.training,
            "levels": self.network.tower().map(Tower::levels),
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
        let network = network(&file, about.levels)?;
        let (_, temperature) = floats(&file, "temperature")?;
        let classes = network.classes();
        if about.classes.len() != classes || temperature.len() != 1 {
            return Err(format!(
                "{classes} logits, {} class names, {} temperatures",
                about.classes.len(),
                temperature.len()
            ));
        }
        Ok(Self {
            network,
            temperature: temperature[0],
            classes: about.classes,
            view: about.view,
            training: about.training,
        })
    }
}

/// What the names of layer `index` of `layers` start with; those of the last have nothing, as
/// those of a linear head.
fn prefix(index: usize, layers: usize) -> String {
    if index + 1 == layers { String::new() } else { format!("hidden.{index}.") }
}

/// The tensors of convolutions: names, shapes and bytes.
fn tensors(tower: &Tower) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let Standardization { mean, scale } = tower.standardization();
    let mut tensors = vec![
        ("mean".to_owned(), vec![mean.len()], bytes_of(mean)),
        ("scale".to_owned(), vec![scale.len()], bytes_of(scale)),
    ];
    for (index, Model { weights, bias }) in tower.convolutions().iter().enumerate() {
        let shape = weights.shape().to_vec();
        tensors.push((format!("convolution.{index}.weights"), shape, bytes_of(weights)));
        tensors.push((format!("convolution.{index}.bias"), vec![bias.len()], bytes_of(bias)));
    }
    tensors
}

/// The layers of a file: the convolutions of these `levels` if there are some, the hidden layers
/// that there are, then the last.
fn network(file: &SafeTensors, levels: Option<Levels>) -> std::result::Result<Network, String> {
    let is_there = |index: &usize| file.tensor(&format!("hidden.{index}.weights")).is_ok();
    let layers = 1 + (0..file.len()).take_while(is_there).count();
    let convolutions = levels.as_ref().map_or(0, |levels| 2 + 2 * levels.channels.len());
    let (found, wanted) = (file.len(), 2 * layers + 1 + convolutions);
    if found != wanted {
        return Err(format!("{found} tensors, where {layers} layers have {wanted}"));
    }
    let layers: std::result::Result<_, String> =
        (0..layers).map(|index| layer(file, &prefix(index, layers))).collect();
    let network = Network::new(layers?).map_err(|e| e.to_string())?;
    match levels {
        None => Ok(network),
        Some(levels) => network.behind(tower(file, levels)?).map_err(|e| e.to_string()),
    }
}

fn tower(file: &SafeTensors, levels: Levels) -> std::result::Result<Tower, String> {
    let levels = Levels::new(levels.maps, levels.channels).map_err(|e| e.to_string())?;
    let vector = |name: &str| Ok::<_, String>(floats(file, name)?.1.into());
    let standardization = Standardization { mean: vector("mean")?, scale: vector("scale")? };
    let convolutions: std::result::Result<_, String> = (0..levels.channels.len())
        .map(|index| layer(file, &format!("convolution.{index}.")))
        .collect();
    Tower::new(levels, standardization, convolutions?).map_err(|e| e.to_string())
}

fn layer(file: &SafeTensors, prefix: &str) -> std::result::Result<Model, String> {
    let (shape, weights) = floats(file, &format!("{prefix}weights"))?;
    let [outputs, inputs] = shape[..] else {
        return Err(format!("{prefix}weights are not a matrix"));
    };
    let (_, bias) = floats(file, &format!("{prefix}bias"))?;
    let weights = Array2::from_shape_vec((outputs, inputs), weights).map_err(|e| e.to_string())?;
    Ok(Model { weights, bias: bias.into() })
}

#[derive(serde::Deserialize)]
struct About {
    classes: Vec<String>,
    view: Hash,
    training: Hash,
    /// Absent in heads of releases before convolutions.
    #[serde(default)]
    levels: Option<Levels>,
}

/// Shape and values of tensor `name`, all finite.
pub(crate) fn floats(
    file: &SafeTensors,
    name: &str,
) -> std::result::Result<(Vec<usize>, Vec<f32>), String> {
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
    use ndarray::{Array1, array};
    use softmax::Map;

    use super::*;

    fn last() -> Model {
        Model { weights: array![[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]], bias: array![0.1, -0.1] }
    }

    fn head() -> Head {
        Head {
            network: last().into(),
            temperature: 1.5,
            classes: vec!["a".into(), "b".into()],
            view: Hash::of(b"v"),
            training: Hash::of(b"t"),
        }
    }

    fn deep() -> Head {
        let hidden = |inputs| Model {
            weights: Array2::from_shape_fn((3, inputs), |(row, column)| (row + 2 * column) as f32),
            bias: array![0.5, -0.5, 0.0],
        };
        Head { network: Network::new(vec![hidden(5), hidden(3), last()]).unwrap(), ..head() }
    }

    fn convolved() -> Head {
        let levels = Levels::new(vec![Map { channels: 2, side: 2 }], vec![3]).unwrap();
        let weights = Array2::from_shape_fn((3, 18), |(row, column)| (row * column) as f32);
        let convolution = Model { weights, bias: array![0.5, -0.5, 0.0] };
        let (mean, scale) = (Array1::ones(8), Array1::ones(8) * 2.0);
        let tower = Tower::new(levels, Standardization { mean, scale }, vec![convolution]);
        Head { network: Network::from(last()).behind(tower.unwrap()).unwrap(), ..head() }
    }

    #[test]
    fn round_trip() {
        for head in [head(), deep(), convolved()] {
            let bytes = head.to_bytes().unwrap();
            assert_eq!(Head::from_bytes(&bytes).unwrap(), head);
            assert_eq!(bytes, head.to_bytes().unwrap());
        }
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
        let mut layer = last();
        layer.weights[[0, 0]] = f32::NAN;
        odd = Head { network: layer.into(), ..head() };
        assert!(Head::from_bytes(&odd.to_bytes().unwrap()).unwrap_err().contains("NaN"));
    }

    #[test]
    fn a_file_without_one_of_its_layers_is_refused() {
        let bytes = deep().to_bytes().unwrap();
        let at = bytes.windows(16).position(|w| w == b"hidden.0.weights").unwrap();
        let mut renamed = bytes;
        renamed[at] = b'H';
        let error = Head::from_bytes(&renamed).unwrap_err();
        assert!(error.contains("7 tensors"), "{error}");
    }
}
