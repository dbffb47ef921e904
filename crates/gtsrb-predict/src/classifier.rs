//! The run's classifier: what extraction and evaluation do to a picture, without the files
//! between them.

use std::path::Path;

use artifact::embeddings::{Embedded, Storage};
use artifact::head::Head;
use artifact::{Hash, Manifest};
use embed::{Device, Effort, Pipeline, Provider, Runtime, View};
use half::f16;
use ndarray::Array2;
use softmax::probabilities;
use stage::{Error, Result};

const BACKBONE: (&str, &str) = ("gtsrb-backbone", "backbone.onnx");
const TRAIN: &str = "gtsrb-train";

/// A run's backbone, view and head, known to belong together.
pub struct Classifier {
    onnx: Vec<u8>,
    view: View,
    head: Head,
}

impl Classifier {
    /// Reads `RUN/model/head.safetensors`, `RUN/backbone` and the view that `RUN/embeddings`
    /// records; neither images nor the cache are needed.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where a stage hasn't run, [`Data`](stage::Fault::Data)
    /// where they don't belong together.
    pub fn open(run: &Path) -> Result<Self> {
        let dir = run.join("model");
        Manifest::read(&dir, TRAIN)?.verify(&dir, "head.safetensors")?;
        let head = Head::read(&dir.join("head.safetensors"))?;
        let view = View::from_parameters(&Embedded::open(run)?.manifest().work.parameters)?;
        if head.view != view.hash() {
            return Err(Error::data(format!(
                "{} was trained on other embeddings than those of the run: run {TRAIN} again",
                dir.join("head.safetensors").display()
            )));
        }
        if view.preprocessing != View::PREPROCESSING || view.filter != View::BILINEAR {
            return Err(Error::data(format!(
                "{} was made by another release, which prepares pictures differently: run \
                 gtsrb-extract again",
                run.join("embeddings").display()
            )));
        }
        Ok(Self { onnx: backbone(run, &view)?, view, head })
    }

    /// Class names; a label is an index here.
    pub fn classes(&self) -> &[String] {
        &self.head.classes
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
        Pipeline::open(&self.onnx, self.dims(), &view, Effort::plain(threads), false)
    }

    /// Probabilities `[pictures, classes]` from `embeddings`, `[pictures, dims]`, which are
    /// rounded first as the cache rounds them: the head has seen no others.
    pub fn probabilities(&self, mut embeddings: Vec<f32>) -> Result<Array2<f32>> {
        if self.view.storage == Storage::F16 {
            for value in &mut embeddings {
                *value = f16::from_f32(*value).to_f32();
            }
        }
        let shape = (embeddings.len() / self.dims(), self.dims());
        let embeddings = Array2::from_shape_vec(shape, embeddings)
            .map_err(|e| Error::internal(format!("a batch of embeddings: {e}")))?;
        Ok(probabilities(self.head.network.logits(embeddings.view()), self.head.temperature))
    }
}

/// The bytes of the backbone that `view` names.
fn backbone(run: &Path, view: &View) -> Result<Vec<u8>> {
    let (stage, file) = BACKBONE;
    let dir = run.join("backbone");
    Manifest::read(&dir, stage)?.verify(&dir, file)?;
    let path = dir.join(file);
    let onnx = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
    if Hash::of(&onnx) != view.backbone {
        return Err(Error::data(format!(
            "the model was trained with another backbone than {}: run gtsrb-extract and {TRAIN} \
             again",
            path.display()
        )));
    }
    Ok(onnx)
}
