//! What shapes an embedding, and the hash that names it.

use std::fmt::{self, Display};

use artifact::Hash;
use artifact::embeddings::Storage;
use artifact::images::Split;
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use crate::{Augmentation, Framing, Kernels};

/// Which part of a picture the backbone sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// The region of interest, with the margin around it.
    Roi,
    /// All of it.
    Full,
}

/// What resizes pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// The processor, which decoded them.
    #[default]
    Cpu,
    /// The device that the backbone runs on.
    Device,
}

/// Where ONNX Runtime computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl Provider {
    /// Images of an inference where nobody says otherwise: enough to keep it busy.
    #[must_use]
    pub fn batch(self) -> usize {
        match self {
            Self::Cpu => 8,
            Self::Cuda => 256,
        }
    }
}

impl Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

/// Everything that decides an embedding's bits, apart from the picture.
///
/// Two runs with equal views share cached embeddings. Threads are missing on purpose: they
/// change no bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// BLAKE3 of the backbone's file, which fixes taps, grids and normalisation.
    pub backbone: Hash,
    /// Height and width of the backbone's input, in pixels.
    pub size: usize,
    /// Which part of a picture is seen.
    pub crop: Crop,
    /// Share of the ROI's side that is added on each side of it.
    pub margin: f64,
    /// The resampling filter; only `bilinear` (antialiased, as Pillow's) exists.
    pub filter: String,
    /// What resizes; absent where it is the processor. The device's arithmetic is the same and
    /// on the processor gives the same bits, but no GPU's have been compared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resize: Resize,
    /// Images per inference; the last batch is padded to it.
    pub batch: usize,
    /// Precision at rest.
    pub storage: Storage,
    /// ONNX Runtime's version.
    pub runtime: String,
    /// Where it computes. Which processor or GPU that is stays out: machines differ in the last
    /// digits only, and embeddings that are carried to another one shall be found there.
    pub provider: Provider,
    /// What a GPU may do to be faster; absent where it does nothing of the kind.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernels: Kernels,
    /// Version of decoding, cropping and resizing in this crate.
    pub preprocessing: u32,
    /// How pictures are changed; absent where they aren't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl View {
    /// The filter's only value.
    pub const BILINEAR: &'static str = "bilinear";
    /// To be raised when this crate's decoding, cropping or resizing changes a pixel.
    pub const PREPROCESSING: u32 = 1;

    /// The name of this view: BLAKE3 of its JSON.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.parameters().to_string().as_bytes())
    }

    /// The fields as a manifest records them (keys sorted).
    #[must_use]
    pub fn parameters(&self) -> serde_json::Value {
        // A struct of plain fields always serialises; a margin is finite by construction.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The view that a manifest recorded.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) when a field is missing, unknown or of another type.
    pub fn from_parameters(parameters: &serde_json::Value) -> Result<Self> {
        serde_json::from_value(parameters.clone())
            .map_err(|e| Error::data(format!("not a view of this version: {e}")))
    }

    /// The augmented view of this number, from 1.
    #[must_use]
    pub fn augmented(&self, number: u32) -> Self {
        Self { augmentation: Some(Augmentation::new(number)), ..self.clone() }
    }

    /// The pictures that it is of: all, or if it is augmented those that are trained on.
    #[must_use]
    pub fn splits(&self) -> &'static [Split] {
        if self.augmentation.is_some() { &[Split::Train] } else { &Split::ALL }
    }

    /// Which part of a picture is seen in how many pixels, whatever resizes it.
    #[must_use]
    pub fn framing(&self) -> Framing {
        Framing { crop: self.crop, margin: self.margin, size: self.size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            backbone: Hash::of(b"backbone"),
            size: 96,
            crop: Crop::Roi,
            margin: 0.1,
            filter: View::BILINEAR.into(),
            resize: Resize::Cpu,
            batch: 8,
            storage: Storage::F16,
            runtime: "1.31".into(),
            provider: Provider::Cpu,
            kernels: Kernels::default(),
            preprocessing: View::PREPROCESSING,
            augmentation: None,
        }
    }

    #[test]
    fn every_field_changes_the_hash() {
        let base = view();
        let others = [
            View { backbone: Hash::of(b"other"), ..view() },
            View { size: 64, ..view() },
            View { crop: Crop::Full, ..view() },
            View { margin: 0.2, ..view() },
            View { filter: "bicubic".into(), ..view() },
            View { resize: Resize::Device, ..view() },
            View { batch: 4, ..view() },
            View { storage: Storage::F32, ..view() },
            View { runtime: "1.30".into(), ..view() },
            View { provider: Provider::Cuda, ..view() },
            View { kernels: Kernels { tf32: true, nhwc: false }, ..view() },
            View { kernels: Kernels { tf32: false, nhwc: true }, ..view() },
            View { preprocessing: 2, ..view() },
            view().augmented(1),
            view().augmented(2),
        ];
        // Five are of `resize`, `kernels` and `augmentation`, which the base leaves out.
        assert_eq!(others.len(), base.parameters().as_object().unwrap().len() + 5);
        for other in others {
            assert_ne!(other.hash(), base.hash(), "{other:?}");
        }
        assert_eq!(view().hash(), base.hash());
    }

    #[test]
    fn parameters_come_back() {
        let text = view().parameters().to_string();
        let read = View::from_parameters(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(read, view());
        assert_eq!(read.hash(), view().hash());
        assert!(View::from_parameters(&serde_json::json!({"size": 96})).is_err());
    }
}
