//! What the stage says at its end.

use std::fmt::{self, Display};

use artifact::Hash;
use embed::{Gpu, View};
use serde::Serialize;

/// The result of a run, of whichever kind.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Summary {
    /// Of an extraction.
    Extracted(Extracted),
    /// Of `verify`.
    Verified(Verified),
}

/// What an extraction did.
#[derive(Serialize, Debug)]
pub struct Extracted {
    /// Images of the run.
    pub images: usize,
    /// Images whose embedding was in the cache.
    pub hits: usize,
    /// Embeddings that were computed; equal pictures share one.
    pub misses: usize,
    /// Why there were misses.
    pub why: Vec<String>,
    /// Numbers in an embedding.
    pub dims: usize,
    /// The cache's folder for these settings.
    pub view: Hash,
    /// Where was computed: `cpu` or `cuda`.
    pub device: String,
    /// The GPU that computed, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Box<OnGpu>>,
    /// ONNX Runtime's version.
    pub runtime: String,
    /// Computed embeddings a second, 0 where nothing was computed.
    pub images_per_second: f64,
}

/// How a GPU computed embeddings.
#[derive(Serialize, Debug)]
pub struct OnGpu {
    /// Which it is, and which nodes it ran.
    #[serde(flatten)]
    pub gpu: Gpu,
    /// How the backbone's layers compute.
    pub precision: String,
}

impl OnGpu {
    pub(crate) fn new(gpu: &Gpu, precision: &str) -> Self {
        Self { gpu: gpu.clone(), precision: precision.to_owned() }
    }
}

impl Extracted {
    /// The summary of a run over `images`, none of which had to be computed.
    pub(crate) fn of(images: usize, dims: usize, view: &View) -> Self {
        Self {
            images,
            hits: images,
            misses: 0,
            why: Vec::new(),
            dims,
            view: view.hash(),
            device: view.provider.to_string(),
            gpu: None,
            runtime: view.runtime.clone(),
            images_per_second: 0.0,
        }
    }

    /// Says that `misses` of them have to be computed, and why.
    pub(crate) fn miss(&mut self, misses: usize, why: Vec<String>) {
        self.hits -= misses;
        self.misses = misses;
        self.why = why;
    }
}

/// What `verify` found.
#[derive(Serialize, Debug)]
pub struct Verified {
    /// Images computed anew.
    pub rows: usize,
    /// Those whose embedding came out equal to the last bit.
    pub identical: usize,
    /// Largest difference as a share of the largest number of its embedding.
    pub largest_difference: f64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extracted(summary) => summary.fmt(f),
            Self::Verified(summary) => summary.fmt(f),
        }
    }
}

impl Display for Extracted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, hits, misses, dims, device, runtime, .. } = self;
        write!(f, "{images} images, {dims} numbers each: {hits} hits, {misses} misses")?;
        if self.misses > 0 {
            let speed = self.images_per_second;
            write!(f, " ({speed:.0} images/s on {device}, ONNX Runtime {runtime})")?;
        }
        self.why.iter().try_for_each(|reason| write!(f, "\n  because: {reason}"))
    }
}

impl Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} embeddings computed anew: {} identical, largest difference {:.1e}",
            self.rows, self.identical, self.largest_difference
        )
    }
}
