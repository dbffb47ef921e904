//! What a classifier must say of a few pictures, at rest: `golden.safetensors` with `picture.0`,
//! `picture.1`, … uint8 `[height, width, 3]`, `logits` and `probabilities` f32
//! `[pictures, classes]`, and metadata.

use std::collections::HashMap;
use std::path::Path;

use ndarray::Array2;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use crate::Hash;
use crate::head::{bytes_of, floats};
use crate::table::damaged;

/// The stage that writes golden files, for messages.
const STAGE: &str = "gtsrb-train";
/// The metadata's only key: the library writes several in the random order of a hash map.
const KEY: &str = "golden";

/// Pictures and what the classifier said of them when it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// The classifier's file, its provenance and how much may differ.
    pub about: About,
    /// The pictures, as the classifier takes them.
    pub pictures: Vec<Pixels>,
    /// `[pictures, classes]`
    pub logits: Array2<f32>,
    /// `[pictures, classes]`
    pub probabilities: Array2<f32>,
}

/// The metadata of a golden file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// BLAKE3 of `classifier.onnx`.
    pub classifier: Hash,
    /// The version of ONNX Runtime that computed logits and probabilities.
    pub runtime: String,
    /// How far a logit may be off, as a share of the picture's largest one.
    pub tolerance: f32,
    /// Where the pictures came from, in their order.
    pub paths: Vec<String>,
}

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels down.
    pub height: usize,
    /// Pixels across.
    pub width: usize,
    /// `[height, width, 3]`, RGB.
    pub rgb: Vec<u8>,
}

impl Golden {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let internal = |e: &dyn std::fmt::Display| Error::internal(format!("a golden file: {e}"));
        let numbers = [("logits", &self.logits), ("probabilities", &self.probabilities)]
            .map(|(name, values)| (name, values.shape().to_vec(), bytes_of(values)));
        let mut tensors = Vec::new();
        for (number, picture) in self.pictures.iter().enumerate() {
            let shape = vec![picture.height, picture.width, 3];
            let view = TensorView::new(Dtype::U8, shape, &picture.rgb).map_err(|e| internal(&e))?;
            tensors.push((format!("picture.{number}"), view));
        }
        for (name, shape, bytes) in &numbers {
            let view =
                TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| internal(&e))?;
            tensors.push(((*name).to_owned(), view));
        }
        let about = serde_json::to_string(&self.about).map_err(|e| internal(&e))?;
        safetensors::serialize(tensors, Some(HashMap::from([(KEY.to_owned(), about)])))
            .map_err(|e| internal(&e))
    }

    /// Reads and checks a golden file.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where there is none, [`Data`](stage::Fault::Data) if it
    /// is none.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::read(path, &e))?;
        Self::from_bytes(&bytes).map_err(|reason| damaged(path, reason, STAGE))
    }

    fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let about = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or("no metadata")?;
        let about: About = serde_json::from_str(about).map_err(|e| e.to_string())?;
        let matrix = |name: &str| {
            let (shape, values) = floats(&file, name)?;
            match shape[..] {
                [rows, classes] if rows == about.paths.len() && classes > 0 => {
                    Array2::from_shape_vec((rows, classes), values).map_err(|e| e.to_string())
                }
                _ => Err(format!("{name} has the shape {shape:?}")),
            }
        };
        let (logits, probabilities) = (matrix("logits")?, matrix("probabilities")?);
        if logits.dim() != probabilities.dim() {
            return Err("logits and probabilities are of different shapes".to_owned());
        }
        let pictures = (0..about.paths.len()).map(|number| Pixels::of(&file, number));
        let pictures = pictures.collect::<std::result::Result<_, _>>()?;
        Ok(Self { about, pictures, logits, probabilities })
    }
}

impl Pixels {
    fn of(file: &SafeTensors, number: usize) -> std::result::Result<Self, String> {
        let name = format!("picture.{number}");
        let tensor = file.tensor(&name).map_err(|e| e.to_string())?;
        match (tensor.dtype(), tensor.shape()) {
            (Dtype::U8, &[height, width, 3]) if height > 0 && width > 0 => {
                Ok(Self { height, width, rgb: tensor.data().to_vec() })
            }
            (_, shape) => Err(format!("{name} is no picture: its shape is {shape:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn golden() -> Golden {
        Golden {
            about: About {
                classifier: Hash::of(b"classifier"),
                runtime: "1".to_owned(),
                tolerance: 0.01,
                paths: vec!["a.png".to_owned(), "b.png".to_owned()],
            },
            pictures: vec![
                Pixels { height: 1, width: 2, rgb: vec![1, 2, 3, 4, 5, 6] },
                Pixels { height: 1, width: 1, rgb: vec![7, 8, 9] },
            ],
            logits: array![[1.0, -1.0, 0.5], [0.0, 2.0, 1.0]],
            probabilities: array![[0.6, 0.1, 0.3], [0.1, 0.7, 0.2]],
        }
    }

    #[test]
    fn a_golden_file_comes_back() {
        let bytes = golden().to_bytes().unwrap();
        assert_eq!(Golden::from_bytes(&bytes).unwrap(), golden());
        assert_eq!(bytes, golden().to_bytes().unwrap());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |change: &dyn Fn(&mut Golden)| {
            let mut golden = golden();
            change(&mut golden);
            Golden::from_bytes(&golden.to_bytes().unwrap()).is_err()
        };
        assert!(!refused(&|_| ()));
        assert!(refused(&|golden| golden.about.paths.push("c.png".to_owned())));
        assert!(refused(&|golden| golden.probabilities = array![[0.5, 0.5], [0.5, 0.5]]));
        assert!(refused(&|golden| drop(golden.pictures.pop())));
        let bytes = golden().to_bytes().unwrap();
        assert!(Golden::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }
}
