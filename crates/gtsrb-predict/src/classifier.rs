//! The run's classifier: what extraction and evaluation do to a picture, without the files
//! between them.

use std::path::Path;

use artifact::Manifest;
use artifact::embeddings::Storage;
use artifact::head::Head;
use embed::{Device, Effort, Pipeline, Provider, Runtime, View};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use ndarray::{Array2, ArrayView2};
use onnx_graph::classifier::backbone_of;
use softmax::probabilities;
use stage::{Error, Result};

/// The stage that writes models, for messages.
pub const TRAIN: &str = "gtsrb-train";
/// The whole classifier's file.
pub const WHOLE: &str = "classifier.onnx";
const HEAD: &str = "head.safetensors";
/// Pictures that the head is applied to at once: its weights are many, and brought into the order
/// that a matrix product wants each time.
const BLOCK: usize = 512;

/// A model's backbone, view and head, known to belong together.
pub struct Classifier {
    /// The backbone.
    onnx: Vec<u8>,
    view: View,
    head: Head,
}

impl Classifier {
    /// Reads the model in the folder `dir`: the head of `head.safetensors`, and backbone and view
    /// of `classifier.onnx`. Nothing else of the run is needed.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where nothing was trained,
    /// [`Data`](stage::Fault::Data) where a file is damaged or they don't belong together.
    pub fn open(dir: &Path) -> Result<Self> {
        let manifest = Manifest::read(dir, TRAIN)?;
        manifest.verify(dir, HEAD)?;
        let head = Head::read(&dir.join(HEAD))?;
        manifest.verify(dir, WHOLE)?;
        let path = dir.join(WHOLE);
        let bytes = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
        let whole = onnx_graph::read(&bytes).map_err(|e| unfit(&path, e))?;
        let view = onnx_graph::metadata(&whole, "preprocessing")
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| unfit(&path, "it doesn't say how pictures are prepared"))?;
        let view = View::from_parameters(&view).map_err(|e| unfit(&path, e))?;
        if head.view != view.hash() {
            return Err(unfit(&path, format!("{HEAD} is of other embeddings")));
        }
        if view.preprocessing != View::PREPROCESSING || view.filter != View::BILINEAR {
            return Err(unfit(&path, "another release made it, which prepares pictures otherwise"));
        }
        let backbone = backbone_of(&whole, view.size, head.network.features());
        let onnx = onnx_graph::write(&backbone.map_err(|e| unfit(&path, e))?);
        Ok(Self { onnx, view, head })
    }

    /// Class names; a label is an index here.
    pub fn classes(&self) -> &[String] {
        &self.head.classes
    }

    /// What is seen of a picture.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Numbers in an embedding.
    pub fn dims(&self) -> usize {
        self.head.network.features()
    }

    /// The backbone, ready to run where the embeddings were computed; on the processor, with a
    /// warning, where the machine can't do that.
    pub fn pipeline(&self, threads: usize) -> Result<Pipeline> {
        let runtime = Runtime::load()?.version();
        if runtime != self.view.runtime {
            tracing::warn!(
                "trained with ONNX Runtime {}, run with {runtime}: probabilities may differ in \
                 their last digits",
                self.view.runtime
            );
        }
        let mut view = self.view.clone();
        if view.provider == Provider::Cuda {
            let shape = [view.batch, view.size, view.size, 3];
            view.provider = Device::Auto.choose(&self.onnx, view.kernels, &shape)?;
            // A GPU's batch is large, and every batch is computed whole.
            if view.provider == Provider::Cpu {
                view.batch = view.batch.min(Provider::Cpu.batch());
            }
        }
        let effort = Effort::plain(threads);
        Ok(Pipeline::open(&self.onnx, self.dims(), &view, effort, false)?.joining(BLOCK))
    }

    /// `embeddings` as rows `[pictures, dims]`, rounded as the cache rounds them: the head has
    /// seen no others.
    pub fn rows(&self, mut embeddings: Vec<f32>) -> Result<Array2<f32>> {
        if self.view.storage == Storage::F16 {
            let mut halves = [f16::ZERO; 1024];
            for numbers in embeddings.chunks_mut(halves.len()) {
                let halves = &mut halves[..numbers.len()];
                halves.convert_from_f32_slice(numbers);
                halves.convert_to_f32_slice(numbers);
            }
        }
        let shape = (embeddings.len() / self.dims(), self.dims());
        Array2::from_shape_vec(shape, embeddings)
            .map_err(|e| Error::internal(format!("a batch of embeddings: {e}")))
    }

    /// Logits `[pictures, classes]` of rounded embeddings `[pictures, dims]`.
    pub fn logits(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        self.head.network.logits(rows)
    }

    /// Probabilities `[pictures, classes]` of rounded embeddings `[pictures, dims]`.
    pub fn probabilities(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        probabilities(self.logits(rows), self.head.temperature)
    }
}

/// A classifier that can't be used here.
fn unfit(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::data(format!("{}: {reason}; remove its folder and run {TRAIN} again", path.display()))
}
