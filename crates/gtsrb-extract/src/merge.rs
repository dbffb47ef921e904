//! `gtsrb-extract merge`: the index of a run whose embeddings others have computed, share by
//! share.

use std::collections::HashSet;

use artifact::Output;
use artifact::embeddings::{Cache, Embedded, Key, Shard};
use stage::{Error, Outcome, Result};

use crate::args::{Args, MergeArgs, Settings};
use crate::index::Index;
use crate::sources::Sources;
use crate::summary::{Extracted, Summary};
use crate::{TOOL, cache_root, commit};

/// Takes over what other caches hold of the run and writes its index: byte for byte that of an
/// extraction, without computing anything.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) if embeddings are still missing, with their number.
pub fn merge(args: &Args, options: &MergeArgs) -> Result<Outcome<Summary>> {
    let settings = Settings::of(&args.common, &options.flags)?;
    let sources = Sources::open(&args.common.run_dir()?, &settings)?;
    if args.common.dry_run {
        return plan(&sources);
    }
    let output = Output::open(&sources.run.join("embeddings"))?;
    let mut cache = Cache::open(&cache_root(), sources.view_hash())?;
    cache.forget_damaged()?;
    let current = output.current(&sources.work)?.is_some();
    let index = if current {
        Index::read(&Embedded::open(&sources.run)?)?
    } else {
        Index::of(&sources.images)?
    };
    let before = index.missing(&cache);
    if !before.is_empty() {
        cache = take_over(&sources, options, &index)?;
    }
    let missing = index.missing(&cache);
    if !missing.is_empty() {
        return Err(incomplete(&missing, index.len(), options.shards));
    }
    let mut summary = Extracted::of(index.len(), &sources);
    summary.taken_over = before.len();
    if current && before.is_empty() {
        return Ok(Outcome::Current(Summary::Extracted(Box::new(summary))));
    }
    commit(output, &sources, &index, &summary)?;
    Ok(Outcome::Done(Summary::Extracted(Box::new(summary))))
}

fn plan(sources: &Sources) -> Result<Outcome<Summary>> {
    let index = Index::of(&sources.images)?;
    let cache = Cache::open(&cache_root(), sources.view_hash())?;
    let missing = index.missing(&cache).len();
    Ok(Outcome::Planned(format!(
        "would write the index of {} images; the cache lacks {missing} of their embeddings",
        index.len()
    )))
}

/// The cache after it has taken from the other ones what it lacks.
fn take_over(sources: &Sources, options: &MergeArgs, index: &Index) -> Result<Cache> {
    let (root, view) = (cache_root(), sources.view_hash());
    let writer = Cache::share(&root, view, None)?;
    let mut cache = Cache::open(&root, view)?;
    cache.forget_damaged()?;
    cache.remove_damaged(&writer)?;
    sources.describe();
    for from in &options.from {
        std::fs::read_dir(from).map_err(|e| Error::read(from, &e))?;
        let missing = index.missing(&cache);
        let parts = cache.adopt(&writer, &from.join("embeddings"), &missing)?;
        tracing::info!("{parts} parts from {}", from.display());
    }
    Ok(cache)
}

/// How many embeddings are missing, and of which shares.
fn incomplete(missing: &HashSet<Key>, images: usize, shards: Option<u32>) -> Error {
    let mut shares = Vec::new();
    for shard in Shard::all(shards.unwrap_or(0)) {
        let count = missing.iter().filter(|key| shard.has(key)).count();
        if count > 0 {
            shares.push(format!("{count} of shard {shard}"));
        }
    }
    let shares = if shares.is_empty() { String::new() } else { format!(": {}", shares.join(", ")) };
    Error::missing(format!(
        "{} embeddings of {images} images are missing{shares}; run {TOOL} with these shards, with \
         the same settings and the same ONNX Runtime, or name their caches with --from",
        missing.len()
    ))
}
