//! `gtsrb-extract merge`: the index of a run whose embeddings others have computed, share by
//! share.

use artifact::Output;
use artifact::embeddings::{Cache, Embedded, Key, Shard};
use embed::View;
use stage::{Error, Outcome, Result, embeddings_dir, local};

use crate::args::{Args, MergeArgs, Settings};
use crate::index::Index;
use crate::sources::Sources;
use crate::summary::{Extracted, Summary};
use crate::{TOOL, commit, missing};

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
    let current = output.current(&sources.work)?.is_some();
    let index = if current {
        Index::read(&Embedded::open(&sources.run)?)?
    } else {
        Index::of(&sources.images)?
    };
    let mut summary = Extracted::of(&index, None, &sources);
    let (mut caches, mut missing) = (Vec::new(), Vec::new());
    for (view, index) in sources.views(&index) {
        let (cache, before) = take_over(&sources, options, (&view, &index))?;
        summary.taken_over += before;
        missing.extend(index.missing(&cache, None));
        caches.push(cache);
    }
    if !missing.is_empty() {
        return Err(incomplete(&missing, index.len(), options.shards));
    }
    if current && summary.taken_over == 0 {
        return Ok(Outcome::Current(Summary::Extracted(Box::new(summary))));
    }
    commit(output, &sources, &index, &summary)?;
    Ok(Outcome::Done(Summary::Extracted(Box::new(summary))))
}

fn plan(sources: &Sources) -> Result<Outcome<Summary>> {
    let index = Index::of(&sources.images)?;
    Ok(Outcome::Planned(format!(
        "would write the index of {} images; the cache lacks {} of their embeddings",
        index.len(),
        missing(sources, &index, None)?
    )))
}

/// The cache of a view after it has taken from the other ones what it lacked, and how many
/// embeddings that was.
fn take_over(
    sources: &Sources,
    options: &MergeArgs,
    (view, index): (&View, &Index),
) -> Result<(Cache, usize)> {
    let (root, name) = (embeddings_dir()?, view.hash());
    let mut cache = Cache::open(&root, name)?;
    cache.forget_damaged()?;
    let before = index.missing(&cache, None).len();
    if before == 0 {
        cache.settle()?;
        return Ok((cache, 0));
    }
    let writer = Cache::share(&root, name, None)?;
    let mut cache = Cache::open(&root, name)?;
    cache.forget_damaged()?;
    cache.remove_damaged(&writer)?;
    sources.describe(view)?;
    for named in &options.from {
        let from = local(named)?;
        if from == *named {
            std::fs::read_dir(&from).map_err(|e| Error::read(&from, &e))?;
        }
        let missing = index.missing(&cache, None);
        let parts = cache.adopt(&writer, &from.join("embeddings"), &missing)?;
        tracing::info!("{parts} parts from {}", named.display());
    }
    cache.settle()?;
    Ok((cache, before))
}

/// How many embeddings are missing, and of which shares.
fn incomplete(missing: &[Key], images: usize, shards: Option<u32>) -> Error {
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
