//! The extract stage: images and a backbone to embeddings, each computed once.
//!
//! Reads `RUN/images` and `RUN/backbone`, adds what is missing to the cache, and writes
//! `RUN/embeddings`: for each split an index of keys into the cache.

mod args;
mod backbone;
mod collect;
mod index;
mod pipeline;
mod summary;
mod verify;
mod why;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use artifact::embeddings::{Cache, Embedded, Key, Writer, key, write_index};
use artifact::images::{Image, ImageSet, Split};
use artifact::{Manifest, Output, Staged, Work};
use embed::{Kernels, Provider, Runtime, View};
use serde_json::json;
use stage::{Outcome, Progress, Result};

use args::Command;
pub use args::{Args, Settings};
use backbone::Backbone;
use collect::Collector;
use index::Index;
use pipeline::Pipeline;
pub use summary::{Extracted, OnGpu, Summary, Verified};
use why::why;

const TOOL: &str = env!("CARGO_PKG_NAME");

/// Runs the stage, or `verify`.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) where a stage before hasn't run,
/// [`Unavailable`](stage::Fault::Unavailable) without ONNX Runtime or the device,
/// [`Data`](stage::Fault::Data) on a picture or a backbone that can't be used,
/// [`Busy`](stage::Fault::Busy) if another process writes the run or the cache.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    match args.command {
        Some(Command::Verify { rows, seed }) => verify::verify(args, rows, seed),
        None => extract(args, &Settings::of(args)?),
    }
}

fn extract(args: &Args, settings: &Settings) -> Result<Outcome<Summary>> {
    let run = args.common.run_dir()?;
    let images = ImageSet::open(&run)?;
    let backbone = Backbone::open(&run)?;
    let view = view_of(settings, &backbone)?;
    let work = work_of(&images, &view);
    if args.common.dry_run {
        return plan(&images, &view);
    }

    let dir = run.join("embeddings");
    let output = Output::open(&dir)?;
    let (writer, mut cache, damaged) = open_cache(&view)?;
    let current = output.current(&work)?.is_some();
    let index = if current { Index::read(&Embedded::open(&run)?)? } else { Index::of(&images)? };
    let missing = index.missing(&cache);
    let mut summary = Extracted::of(index.len(), backbone.dims, &view);
    if current && missing.is_empty() {
        return Ok(Outcome::Current(Summary::Extracted(summary)));
    }
    let earlier = Manifest::read(&dir, TOOL).ok();
    summary.miss(missing.len(), why(earlier.as_ref(), &work, missing.len(), damaged));
    if !missing.is_empty() {
        let writer = writer?;
        cache.remove_damaged(&writer)?;
        let pipeline =
            Pipeline::open(&backbone, &view, args.common.threads(), settings.cuda_graph)?;
        summary.gpu = pipeline.gpu().map(|gpu| Box::new(OnGpu::new(gpu, &backbone.precision)));
        let collector = Collector::new(&mut cache, &writer, view.storage, backbone.dims);
        summary.images_per_second = compute(pipeline, collector, &images, missing)?;
    }
    commit(output, work, &index, &images, &summary)?;
    Ok(Outcome::Done(Summary::Extracted(summary)))
}

/// The view's cache without what is damaged, the number of damaged parts, and the right to
/// write it, or why there is none: that matters only to those who lack an embedding.
fn open_cache(view: &View) -> Result<(Result<Writer>, Cache, usize)> {
    let writer = Cache::lock(&cache_root(), view.hash());
    // After the lock, as another process may have added to it until then.
    let mut cache = Cache::open(&cache_root(), view.hash())?;
    let damaged = cache.forget_damaged()?;
    Ok((writer, cache, damaged))
}

/// Computes and stores the `missing` embeddings; gives images a second. What was finished
/// before an error or a signal is kept.
fn compute(
    pipeline: Pipeline,
    mut collector: Collector<'_>,
    images: &ImageSet,
    missing: HashSet<Key>,
) -> Result<f64> {
    let count = missing.len();
    let started = Instant::now();
    let progress = Progress::new("extract", count as u64);
    let ended = pipeline.run(wanted_images(images, missing), |batch| {
        progress.inc(batch.keys.len() as u64);
        collector.take(batch)
    });
    let kept = collector.flush();
    ended.and(kept)?;
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// Writes the run's index.
fn commit(
    output: Output,
    work: Work,
    index: &Index,
    images: &ImageSet,
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
        ("classes".to_owned(), json!(images.classes())),
    ]);
    if let Some(gpu) = &summary.gpu {
        facts.insert("gpu".to_owned(), json!(gpu));
    }
    output.commit(work, staged, BTreeMap::new(), facts)
}

/// What the settings, the backbone and the library make of it.
fn view_of(settings: &Settings, backbone: &Backbone) -> Result<View> {
    let on_gpu = [settings.batch(Provider::Cuda), backbone.size, backbone.size, 3];
    let provider = settings.device.choose(&backbone.onnx, settings.kernels(), &on_gpu)?;
    Ok(View {
        backbone: backbone.hash,
        size: backbone.size,
        crop: settings.crop,
        margin: settings.margin,
        filter: View::BILINEAR.to_owned(),
        resize: settings.resize,
        batch: settings.batch(provider),
        storage: settings.storage,
        runtime: Runtime::load()?.version().to_owned(),
        provider,
        kernels: match provider {
            Provider::Cpu => Kernels::default(),
            Provider::Cuda => settings.kernels(),
        },
        preprocessing: View::PREPROCESSING,
    })
}

fn work_of(images: &ImageSet, view: &View) -> Work {
    Work {
        tool: TOOL.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        parameters: view.parameters(),
        inputs: BTreeMap::from([
            ("images".to_owned(), images.manifest().content()),
            ("backbone".to_owned(), view.backbone),
        ]),
    }
}

fn plan(images: &ImageSet, view: &View) -> Result<Outcome<Summary>> {
    let index = Index::of(images)?;
    let cache = Cache::open(&cache_root(), view.hash())?;
    let misses = index.missing(&cache).len();
    Ok(Outcome::Planned(format!(
        "would compute {misses} embeddings for {} images on {}",
        index.len(),
        view.provider
    )))
}

fn cache_root() -> PathBuf {
    stage::cache_dir().join("embeddings")
}

/// All images of both splits in order.
fn all_images(images: &ImageSet) -> impl Iterator<Item = Result<Image>> + Send + '_ {
    let batches = Split::ALL.into_iter().flat_map(|split| images.batches(split));
    batches.flat_map(|batch| match batch {
        Ok(images) => images.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })
}

/// The first image of each `wanted` key; reading stops with the last of them.
fn wanted_images(
    images: &ImageSet,
    mut wanted: HashSet<Key>,
) -> impl Iterator<Item = Result<Image>> + Send + '_ {
    let mut images = all_images(images);
    std::iter::from_fn(move || {
        while !wanted.is_empty() {
            match images.next()? {
                Ok(image) if !wanted.remove(&key(&image)) => {}
                found => return Some(found),
            }
        }
        None
    })
}
