//! The extract stage: images and a backbone to embeddings, each computed once.
//!
//! Reads `RUN/images` and `RUN/backbone`, adds what is missing to the cache, and writes
//! `RUN/embeddings`: for each split an index of keys into the cache.

mod args;
mod backbone;
mod collect;
mod export;
mod index;
mod merge;
mod pipeline;
mod sources;
mod summary;
mod tidy;
mod tune;
mod verify;
mod why;

use std::collections::BTreeMap;
use std::time::Instant;

use artifact::embeddings::{Cache, Embedded, Key, Shard, write_index};
use artifact::images::{Image, Split};
use artifact::{Manifest, Output, Staged};
use embed::View;
use serde_json::json;
use stage::{Outcome, Progress, Result, embeddings_dir};

use args::Command;
pub use args::{Args, Settings};
use collect::Collector;
use index::Index;
use pipeline::Pipeline;
use sources::Sources;
pub use summary::{Exported, Extracted, OnGpu, Summary, Tidied, Verified, ViewLine};

const TOOL: &str = env!("CARGO_PKG_NAME");
/// Raise the number with every change of the index. What changes embeddings is the view's:
/// [`View::PREPROCESSING`].
const VERSION: &str = artifact::version!(1);

/// Runs the stage, or another command.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) where a stage before hasn't run,
/// [`Unavailable`](stage::Fault::Unavailable) without ONNX Runtime or the device,
/// [`Data`](stage::Fault::Data) on a picture or a backbone that can't be used,
/// [`Busy`](stage::Fault::Busy) if another process writes the run or the cache.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    match &args.command {
        Some(Command::Verify { rows, seed }) => verify::verify(args, *rows, *seed),
        Some(Command::Export { to }) => export::export(args, to),
        Some(Command::Merge(options)) => merge::merge(args, options),
        Some(Command::Cache { command }) => tidy::run(args, command),
        None => {
            let settings = Settings::of(&args.common, &args.flags)?;
            let sources = Sources::open(&args.common.run_dir()?, &settings)?;
            if args.common.dry_run {
                return plan(&sources, args.shard);
            }
            if args.tune {
                tune::tune(&sources.backbone, &sources.views.plain, args.common.threads())?;
            }
            match args.shard {
                Some(shard) => extract_shard(args, &settings, &sources, shard),
                None => extract(args, &settings, &sources),
            }
        }
    }
}

fn extract(args: &Args, settings: &Settings, sources: &Sources) -> Result<Outcome<Summary>> {
    let dir = sources.run.join("embeddings");
    let output = Output::open(&dir)?;
    let current = output.current(&sources.work)?.is_some();
    let index = if current {
        Index::read(&Embedded::open(&sources.run)?)?
    } else {
        Index::of(&sources.images)?
    };
    let filled = fill(args, settings, sources, &index, None)?;
    let mut summary = Extracted::of(&index, None, sources);
    if current && filled.misses == 0 {
        return Ok(Outcome::Current(Summary::Extracted(Box::new(summary))));
    }
    let earlier = Manifest::read(&dir, TOOL).ok();
    summary.fill(&filled, earlier.as_ref(), &sources.work);
    commit(output, sources, &index, &summary)?;
    Ok(Outcome::Done(Summary::Extracted(Box::new(summary))))
}

/// Computes one share of what is missing and writes nothing but the cache.
fn extract_shard(
    args: &Args,
    settings: &Settings,
    sources: &Sources,
    shard: Shard,
) -> Result<Outcome<Summary>> {
    let index = Index::of(&sources.images)?;
    let filled = fill(args, settings, sources, &index, Some(shard))?;
    let mut summary = Extracted::of(&index, Some(shard), sources);
    if filled.misses == 0 {
        return Ok(Outcome::Current(Summary::Extracted(Box::new(summary))));
    }
    let earlier = Manifest::read(&sources.run.join("embeddings"), TOOL).ok();
    summary.fill(&filled, earlier.as_ref(), &sources.work);
    Ok(Outcome::Done(Summary::Extracted(Box::new(summary))))
}

/// What had to be computed, and how it went.
#[derive(Default)]
struct Filled {
    misses: usize,
    damaged: usize,
    gpu: Option<Box<OnGpu>>,
    /// That computing took.
    seconds: f64,
    /// Keep what the index will refer to from being tidied away before it is written.
    caches: Vec<Cache>,
}

/// Computes the embeddings that the cache lacks of `index`, or of its share `shard`, view by
/// view.
fn fill(
    args: &Args,
    settings: &Settings,
    sources: &Sources,
    index: &Index,
    shard: Option<Shard>,
) -> Result<Filled> {
    let mut filled = Filled::default();
    for (view, index) in sources.views(index) {
        fill_view(args, settings, sources, (&view, &index), shard, &mut filled)?;
    }
    Ok(filled)
}

fn fill_view(
    args: &Args,
    settings: &Settings,
    sources: &Sources,
    (view, index): (&View, &Index),
    shard: Option<Shard>,
    filled: &mut Filled,
) -> Result<()> {
    let (root, name) = (embeddings_dir()?, view.hash());
    let mut cache = Cache::open(&root, name)?;
    filled.damaged += cache.forget_damaged()?;
    if index.missing(&cache, shard).is_empty() {
        cache.settle()?;
        filled.caches.push(cache);
        return Ok(());
    }
    let writer = match shard {
        None => Cache::lock(&root, name)?,
        Some(_) => Cache::share(&root, name, shard)?,
    };
    // Once more, as another process may have added to it until now.
    let mut cache = Cache::open(&root, name)?;
    cache.forget_damaged()?;
    cache.remove_damaged(&writer)?;
    sources.describe(view)?;
    let missing = index.missing(&cache, shard);
    if !missing.is_empty() {
        let backbone = &sources.backbone;
        let effort = tune::remembered(backbone, view, args.common.threads());
        let pipeline = Pipeline::open(backbone, view, effort, settings.cuda_graph)?;
        filled.gpu = pipeline.gpu().map(|gpu| Box::new(OnGpu::new(gpu, &backbone.precision)));
        let collector = Collector::new(&mut cache, &writer, view.storage, backbone.dims);
        let images = index.pick(&sources.images, &missing);
        filled.seconds += compute(pipeline, collector, images, missing.len())?;
        filled.misses += missing.len();
    }
    cache.settle()?;
    filled.caches.push(cache);
    Ok(())
}

/// Computes and stores the `missing` embeddings; gives the seconds that it took. What was
/// finished before an error or a signal is kept.
fn compute(
    pipeline: Pipeline,
    mut collector: Collector<'_>,
    images: impl Iterator<Item = Result<(Key, Image)>> + Send,
    count: usize,
) -> Result<f64> {
    let started = Instant::now();
    let progress = Progress::new("extract", count as u64);
    let ended = pipeline.run(images, |batch| {
        progress.inc(batch.keys.len() as u64);
        collector.take(&batch)
    });
    let kept = collector.flush();
    ended.and(kept)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Writes the run's index.
fn commit(
    output: Output,
    sources: &Sources,
    index: &Index,
    summary: &Extracted,
) -> Result<Manifest> {
    let staged = Split::ALL.map(|split| -> Result<Staged> {
        let file = output.create(&format!("{}.parquet", split.as_str()))?;
        let rows = index.split(split);
        write_index(file, rows)?.finish(Some(rows.len() as u64))
    });
    let staged = staged.into_iter().collect::<Result<Vec<_>>>()?;
    // Hits and misses are of this attempt, not of the artifact: they stay out of it.
    let mut facts = BTreeMap::from([
        ("view".to_owned(), json!(summary.view)),
        ("dims".to_owned(), json!(summary.dims)),
        ("classes".to_owned(), json!(sources.images.classes())),
    ]);
    if !summary.augmented_views.is_empty() {
        facts.insert("augmented".to_owned(), json!(summary.augmented_views));
    }
    if let Some(gpu) = &summary.gpu {
        facts.insert("gpu".to_owned(), json!(gpu));
    }
    output.commit(sources.work.clone(), staged, BTreeMap::new(), facts)
}

fn plan(sources: &Sources, shard: Option<Shard>) -> Result<Outcome<Summary>> {
    let index = Index::of(&sources.images)?;
    Ok(Outcome::Planned(format!(
        "would compute {} embeddings for {} images on {}",
        missing(sources, &index, shard)?,
        index.share(shard),
        sources.views.plain.provider
    )))
}

/// How many embeddings the cache lacks in all views.
fn missing(sources: &Sources, index: &Index, shard: Option<Shard>) -> Result<usize> {
    let missing = |(view, index): (View, Index)| {
        Ok(index.missing(&Cache::open(&embeddings_dir()?, view.hash())?, shard).len())
    };
    sources.views(index).map(missing).sum()
}
