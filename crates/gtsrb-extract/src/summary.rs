//! What the stage says at its end.

use std::fmt::{self, Display};
use std::path::PathBuf;

use artifact::embeddings::Shard;
use artifact::{Hash, Manifest, Work};
use embed::Gpu;
use serde::Serialize;
use serde_json::Value;

use crate::Filled;
use crate::index::Index;
use crate::sources::Sources;
use crate::why::why;

/// The result of a run, of whichever kind.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Summary {
    /// Of an extraction.
    Extracted(Box<Extracted>),
    /// Of `verify`.
    Verified(Verified),
    /// Of `export`.
    Exported(Exported),
    /// Of a command on the cache.
    Tidied(Tidied),
}

/// What an extraction did.
#[derive(Serialize, Debug)]
pub struct Extracted {
    /// Images of the run.
    pub images: usize,
    /// Augmented views of the training images.
    #[serde(skip_serializing_if = "is_zero")]
    pub augmented: u32,
    /// Embeddings that were in the cache, of all views.
    pub hits: usize,
    /// Embeddings that were computed; equal pictures share one.
    pub misses: usize,
    /// The share of the run that these images are, where they aren't all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// Embeddings that came from other caches.
    pub taken_over: usize,
    /// Why there were misses.
    pub why: Vec<String>,
    /// Numbers in an embedding.
    pub dims: usize,
    /// The cache's folder for these settings, that of the plain view.
    pub view: Hash,
    /// The folders of the augmented views.
    #[serde(skip)]
    pub augmented_views: Vec<Hash>,
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
#[derive(Serialize, Clone, Debug)]
pub struct OnGpu {
    /// Which it is, and which nodes it ran.
    #[serde(flatten)]
    pub gpu: Gpu,
    /// How the backbone's layers compute.
    pub precision: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl OnGpu {
    pub(crate) fn new(gpu: &Gpu, precision: &str) -> Self {
        Self { gpu: gpu.clone(), precision: precision.to_owned() }
    }
}

impl Extracted {
    /// The summary of a run over `index`, or a share of it, of which nothing had to be computed.
    pub(crate) fn of(index: &Index, shard: Option<Shard>, sources: &Sources) -> Self {
        let (views, dims) = (&sources.views, sources.backbone.dims);
        let view = &views.plain;
        Self {
            images: index.share(shard),
            augmented: views.augmented,
            hits: sources.embeddings(index, shard),
            misses: 0,
            shard: shard.map(|shard| shard.to_string()),
            taken_over: 0,
            why: Vec::new(),
            dims,
            view: view.hash(),
            augmented_views: views.augmented_hashes(),
            device: view.provider.to_string(),
            gpu: None,
            runtime: view.runtime.clone(),
            images_per_second: 0.0,
        }
    }

    /// Says what was computed, and why: what changed since `earlier`.
    pub(crate) fn fill(&mut self, filled: &Filled, earlier: Option<&Manifest>, work: &Work) {
        self.hits -= filled.misses;
        self.misses = filled.misses;
        self.why = why(earlier, work, filled.misses, filled.damaged);
        self.gpu.clone_from(&filled.gpu);
        self.images_per_second = filled.misses as f64 / filled.seconds.max(f64::MIN_POSITIVE);
    }
}

/// What `verify` found.
#[derive(Serialize, Debug, Default)]
pub struct Verified {
    /// Embeddings computed anew.
    pub rows: usize,
    /// Those whose embedding came out equal to the last bit.
    pub identical: usize,
    /// Largest difference as a share of the largest number of its embedding.
    pub largest_difference: f64,
}

impl Verified {
    /// Adds what was found in another view.
    pub(crate) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.identical += other.identical;
        self.largest_difference = self.largest_difference.max(other.largest_difference);
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extracted(summary) => summary.fmt(f),
            Self::Verified(summary) => summary.fmt(f),
            Self::Exported(Exported { file, rows, dims }) => {
                write!(f, "{rows} embeddings of {dims} numbers: {}", file.display())
            }
            Self::Tidied(summary) => summary.fmt(f),
        }
    }
}

impl Display for Extracted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, augmented, hits, misses, dims, device, runtime, .. } = self;
        write!(f, "{images} images")?;
        if let Some(shard) = &self.shard {
            write!(f, " of shard {shard}")?;
        }
        if *augmented > 0 {
            write!(f, ", {augmented} more views of those for training")?;
        }
        write!(f, ", {dims} numbers each: {hits} hits, {misses} misses")?;
        if self.taken_over > 0 {
            write!(f, ", {} taken over", self.taken_over)?;
        }
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

/// What `export` wrote.
#[derive(Serialize, Debug)]
pub struct Exported {
    /// Where to.
    pub file: PathBuf,
    /// Pictures.
    pub rows: usize,
    /// Numbers in an embedding.
    pub dims: usize,
}

/// What a command on the cache found or did.
#[derive(Serialize, Debug)]
pub struct Tidied {
    /// What is true of the views.
    pub did: &'static str,
    /// The views.
    pub views: Vec<ViewLine>,
}

/// A view of the cache.
#[derive(Serialize, Debug)]
pub struct ViewLine {
    /// Its name.
    pub view: Hash,
    /// Files that hold its embeddings.
    pub parts: usize,
    /// How many there were, where they became fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts_before: Option<usize>,
    /// Files that can't be read.
    pub unreadable: usize,
    /// Embeddings.
    pub embeddings: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Whole days since the last use.
    pub unused_days: u64,
    /// Runs that refer to it.
    pub runs: Vec<String>,
    /// What it consists of, where that is known.
    pub about: Option<Value>,
}

impl Display for Tidied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.views.iter().try_for_each(|view| writeln!(f, "{view}"))?;
        let bytes: u64 = self.views.iter().map(|view| view.bytes).sum();
        let plural = if self.views.len() == 1 { "" } else { "s" };
        write!(f, "{} view{plural} {}, {}", self.views.len(), self.did, megabytes(bytes))
    }
}

impl Display for ViewLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { embeddings, parts, unused_days, .. } = self;
        let (view, bytes) = (self.view.to_string(), megabytes(self.bytes));
        write!(f, "{}  {embeddings} embeddings in {parts} parts", &view[..12])?;
        if let Some(before) = self.parts_before {
            write!(f, " (before: {before})")?;
        }
        write!(f, ", {bytes}, last used {unused_days} days ago")?;
        if self.unreadable > 0 {
            write!(f, ", {} PARTS UNREADABLE", self.unreadable)?;
        }
        if let Some(about) = &self.about {
            write!(f, "\n    {}", words(about))?;
        }
        self.runs.iter().try_for_each(|run| write!(f, "\n    {run}"))
    }
}

/// What a view consists of, in a line: `backbone efficientnet-lite0, …, storage f16`.
fn words(about: &Value) -> String {
    let fields = ["backbone", "parameters"].map(|part| about[part].as_object());
    let known = fields.into_iter().flatten().flatten();
    let short = |(name, value): (&String, &Value)| match value.as_str() {
        Some(hash) if hash.len() == 64 => None,
        Some(text) => Some(format!("{name} {text}")),
        None => Some(format!("{name} {value}")),
    };
    known.filter_map(short).collect::<Vec<_>>().join(", ")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
