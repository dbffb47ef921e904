//! Images through the backbone: what extraction and its check have in common.

use artifact::embeddings::{Key, Storage};
use artifact::images::Image;
use embed::{Effort, Gpu, View};
use half::f16;
use stage::{Error, Result};

use crate::backbone::Backbone;

/// What is computed, and with how many threads.
pub struct Pipeline {
    backbone: embed::Pipeline,
    dims: usize,
    storage: Storage,
}

/// Embeddings of one batch.
pub struct Embeddings {
    /// Whose embeddings they are.
    pub keys: Vec<Key>,
    /// `[keys, dims]`.
    pub values: Vec<f32>,
}

impl Pipeline {
    /// Opens the backbone's models.
    ///
    /// # Errors
    /// As [`embed::Pipeline::open`].
    pub fn open(backbone: &Backbone, view: &View, effort: Effort, graph: bool) -> Result<Self> {
        let dims = backbone.dims;
        let backbone = embed::Pipeline::open(&backbone.onnx, dims, view, effort, graph)?;
        Ok(Self { backbone, dims, storage: view.storage })
    }

    /// The GPU that computes, if one does.
    pub fn gpu(&self) -> Option<&Gpu> {
        self.backbone.gpu()
    }

    /// Computes the embeddings of `images` and hands them to `collect`, batch by batch in
    /// the images' order.
    ///
    /// # Errors
    /// As [`embed::Pipeline::run`]; [`Data`](stage::Fault::Data) on an image that can't be
    /// decoded or whose embedding can't be stored.
    pub fn run(
        self,
        images: impl Iterator<Item = Result<(Key, Image)>> + Send,
        mut collect: impl FnMut(Embeddings) -> Result<()>,
    ) -> Result<()> {
        let Self { backbone, dims, storage } = self;
        backbone.run(
            images,
            |(key, image), framer, out| {
                framer.frame(&image, &key, out)?;
                Ok((key, image.path))
            },
            |batch| {
                storable(&batch.embeddings, dims, &batch.items, storage)?;
                let keys = batch.items.into_iter().map(|(key, _)| key).collect();
                collect(Embeddings { keys, values: batch.embeddings })
            },
        )
    }
}

/// NaN and infinity must never reach the cache, nor what becomes infinity there.
fn storable(values: &[f32], dims: usize, names: &[(Key, String)], storage: Storage) -> Result<()> {
    let most = match storage {
        Storage::F16 => f16::MAX.to_f32(),
        Storage::F32 => f32::MAX,
    };
    // NaN is not less than anything. Without a way out before the end, this is done in vectors.
    let fits = |row: &[f32]| row.iter().fold(true, |fits, value| fits & (value.abs() <= most));
    let rows = values.chunks_exact(dims).zip(names).filter(|(row, _)| !fits(row));
    let bad: Vec<&str> = rows.map(|(_, (_, path))| path.as_str()).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let finite = values.iter().all(|value| value.is_finite());
    let (found, remedy) = if finite {
        ("numbers too large for f16", "store f32, or check")
    } else {
        ("NaN or infinity", "check")
    };
    Err(Error::data(format!(
        "the backbone gives {found} for {}: {remedy} its weights and its normalisation",
        bad.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_half_precision_cannot_hold_is_refused() {
        let names = ["a", "b"].map(|name| (artifact::Hash::of(b""), name.to_owned()));
        let check = |value, storage| storable(&[1.0, 2.0, value, 0.0], 2, &names, storage);
        check(65504.0, Storage::F16).unwrap();
        check(-1e6, Storage::F32).unwrap();
        let error = check(-1e6, Storage::F16).unwrap_err();
        assert_eq!(error.fault(), stage::Fault::Data);
        assert!(error.to_string().contains("too large for f16 for b: store f32"), "{error}");
        assert!(check(f32::NAN, Storage::F32).unwrap_err().to_string().contains("NaN"));
    }
}
