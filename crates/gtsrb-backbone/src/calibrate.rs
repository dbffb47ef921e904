//! int8: which pictures show the ranges of the backbone's tensors, and what they show.
//!
//! The pictures are the training images with the smallest keys, a draw that needs no seed. It
//! is made once: as long as the settings stay the same, the backbone that is there stays,
//! whatever images come later, because other ranges would make other embeddings of all of
//! them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifact::embeddings::{Key, key};
use artifact::images::{Image, ImageSet, Split};
use artifact::{Hash, HashBuilder, Manifest, Work};
use embed::{Crop, Framing, Input, Model, Provider, Runtime};
use onnx_graph::quantise::{Calibration, HIGHS, LOWS, widen};
use onnx_graph::{ModelProto, metadata, set_metadata};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Common, Error, Result, check_interrupt};

use crate::TOOL;
use crate::network::unusable;

/// Pictures that are looked at: more move no range by much.
const PICTURES: usize = 256;

/// Pictures of one inference.
const BATCH: usize = 8;

/// The name among the work's inputs of what stands for the pictures.
const INPUT: &str = "calibration";

/// What the extract stage will show the backbone of a picture: two settings of `[extract]`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(default)]
pub struct Frame {
    crop: Crop,
    margin: f64,
}

impl Default for Frame {
    fn default() -> Self {
        Self { crop: Crop::Roi, margin: 0.0 }
    }
}

/// The calibration of a run's backbone.
pub struct Pictures {
    run: PathBuf,
    frame: Frame,
}

impl Pictures {
    /// The pictures of `run`, framed as the pipeline's file says.
    ///
    /// # Errors
    /// [`Config`](stage::Fault::Config) on values of the wrong type or out of range.
    pub fn of(common: &Common, run: &Path) -> Result<Self> {
        let frame: Frame = common.settings("extract", &BTreeMap::<String, f64>::new())?;
        if !(0.0..=1.0).contains(&frame.margin) {
            let margin = frame.margin;
            let message = format!("[extract] margin = {margin}: must be between 0 and 1");
            return Err(Error::config(message));
        }
        Ok(Self { run: run.to_owned(), frame })
    }

    /// Adds to `work` how pictures are chosen and framed, and, if the backbone in `dir` was
    /// calibrated, with what: that stays.
    pub fn describe(&self, work: &mut Work, dir: &Path) {
        work.parameters["calibration"] = json!({"frame": self.frame, "pictures": PICTURES});
        let earlier = Manifest::read(dir, TOOL).ok();
        if let Some(hash) = earlier.and_then(|m| m.work.inputs.get(INPUT).copied()) {
            work.inputs.insert(INPUT.into(), hash);
        }
    }

    /// The model with int8 convolutions; `work` gets the hash of the pictures looked at.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) without images, [`Data`](stage::Fault::Data) if one
    /// of them or the model can't be used, [`Unavailable`](stage::Fault::Unavailable) without
    /// ONNX Runtime.
    pub fn quantise(&self, model: &ModelProto, work: &mut Work) -> Result<ModelProto> {
        let size = metadata(model, "size").and_then(|size| size.parse().ok());
        let size = size.ok_or_else(|| Error::internal("the backbone has no size"))?;
        let framing = Framing { crop: self.frame.crop, margin: self.frame.margin, size };
        let name = metadata(model, "backbone").unwrap_or_default();
        let unusable = |e| unusable(e).context(name);
        let mut calibration = Calibration::new(model).map_err(unusable)?;
        let images = ImageSet::open(&self.run)?;
        let observer = onnx_graph::write(&calibration.observer().map_err(unusable)?);
        let mut observer = Model::load(&observer, Provider::Cpu)?;
        let chosen = choose(&images)?;
        tracing::info!(
            "calibrating int8 on {} training images with ONNX Runtime {}",
            chosen.len(),
            Runtime::load()?.version()
        );
        let pictures: Vec<&Image> = chosen.values().collect();
        for batch in pictures.chunks(BATCH) {
            check_interrupt()?;
            observe(&mut observer, &framing, batch, &mut calibration)?;
        }
        work.inputs.insert(INPUT.into(), hash(chosen.keys()));
        let mut model = calibration.finish().and_then(widen).map_err(unusable)?;
        set_metadata(&mut model, "precision", "int8");
        Ok(model)
    }
}

/// The training images with the smallest keys, in the keys' order.
fn choose(images: &ImageSet) -> Result<BTreeMap<Key, Image>> {
    let mut chosen = BTreeMap::new();
    for batch in images.batches(Split::Train) {
        check_interrupt()?;
        for image in batch? {
            chosen.insert(key(&image), image);
            if chosen.len() > PICTURES {
                chosen.pop_last();
            }
        }
    }
    if chosen.is_empty() {
        return Err(Error::data("there is no training image to calibrate int8 with"));
    }
    Ok(chosen)
}

/// Runs one batch and widens the ranges.
fn observe(
    observer: &mut Model,
    framing: &Framing,
    batch: &[&Image],
    calibration: &mut Calibration,
) -> Result<()> {
    let side = framing.size;
    let mut pixels = vec![0; batch.len() * side * side * 3];
    for (image, place) in batch.iter().zip(pixels.chunks_exact_mut(side * side * 3)) {
        framing.frame(image, place)?;
    }
    let shape = [batch.len(), side, side, 3];
    let outputs = observer.run(Input::U8 { shape: &shape, data: &pixels })?;
    calibration.take(outputs.f32(LOWS)?.1, outputs.f32(HIGHS)?.1).map_err(unusable)
}

fn hash<'a>(keys: impl Iterator<Item = &'a Key>) -> Hash {
    let mut hash = HashBuilder::default();
    for key in keys {
        hash.add(key.to_string());
    }
    hash.finish()
}
