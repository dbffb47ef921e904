//! `gtsrb-extract cache`: what the cache holds, whether it is sound, and how to make it
//! smaller.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use artifact::embeddings::{Cache, Compacted, Embedded, ViewFolder, remove, views};
use artifact::{Hash, folders_in_store};
use stage::{
    Common, Error, Fault, Outcome, Result, check_interrupt, embeddings_dir, local, runs_dir, url_of,
};

use crate::args::{Args, CacheCommand};
use crate::summary::{Summary, Tidied, ViewLine};

/// Which runs refer to which view.
type References = BTreeMap<Hash, Vec<PathBuf>>;

/// Runs one of the commands.
pub fn run(args: &Args, command: &CacheCommand) -> Result<Outcome<Summary>> {
    if url_of(&embeddings_dir()?).is_some() {
        return Err(Error::usage(
            "only a local cache can be tidied, and EMBEDDINGS_DIR names an object store: set it to a \
             local folder, or remove folders of views there with the store's own tools (runs name \
             theirs in embeddings/manifest.json)",
        ));
    }
    match command {
        CacheCommand::Ls { runs } => list(&args.common, runs),
        CacheCommand::Gc { older_than, runs } => collect(&args.common, *older_than, runs),
        CacheCommand::Verify => verify(),
        CacheCommand::Compact => compact(args.common.dry_run),
    }
}

fn done(did: &'static str, views: Vec<ViewLine>) -> Outcome<Summary> {
    Outcome::Checked(Summary::Tidied(Tidied { did, views }))
}

fn list(common: &Common, runs: &[PathBuf]) -> Result<Outcome<Summary>> {
    let references = references(common, runs)?;
    let lines = views(&embeddings_dir()?)?.iter().map(|view| line(view, &references)).collect();
    Ok(done("held", lines))
}

/// Removes views that no run refers to and that nobody used for `days` days.
fn collect(common: &Common, days: u64, runs: &[PathBuf]) -> Result<Outcome<Summary>> {
    let references = references(common, runs)?;
    let old = |view: &ViewFolder| age(view) >= Duration::from_secs(days * 24 * 3600);
    let mut removed = Vec::new();
    for view in views(&embeddings_dir()?)? {
        check_interrupt()?;
        if references.contains_key(&view.view) || !old(&view) {
            continue;
        }
        // A run may have come to refer to it by now.
        let needed = || Ok(self::references(common, runs)?.contains_key(&view.view));
        match if common.dry_run { Ok(true) } else { remove(&embeddings_dir()?, view.view, needed) }
        {
            Ok(true) => removed.push(line(&view, &references)),
            Ok(false) => {}
            Err(e) if e.fault() == Fault::Busy => tracing::info!("kept: {e}"),
            Err(e) => return Err(e),
        }
    }
    if common.dry_run {
        let plan = Tidied { did: "to be removed", views: removed };
        return Ok(Outcome::Planned(plan.to_string()));
    }
    Ok(done("removed", removed))
}

/// Hashes every part of every view.
fn verify() -> Result<Outcome<Summary>> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for view in views(&embeddings_dir()?)? {
        match Cache::inspect(&embeddings_dir()?, view.view)?.verify() {
            Ok(()) => good.push(line(&view, &References::new())),
            Err(e) if e.fault() == Fault::Data => wrong.push(e.to_string()),
            Err(e) => return Err(e),
        }
    }
    if wrong.is_empty() { Ok(done("whole", good)) } else { Err(Error::data(wrong.join("\n  "))) }
}

/// Brings small parts of every view together.
fn compact(dry_run: bool) -> Result<Outcome<Summary>> {
    let (mut lines, mut busy) = (Vec::new(), None);
    for view in views(&embeddings_dir()?)? {
        check_interrupt()?;
        match compact_one(view.view, dry_run) {
            Ok(None) => {}
            Ok(Some(Compacted { before, after })) => {
                let line = line(&view, &References::new());
                lines.push(ViewLine { parts: after, parts_before: Some(before), ..line });
            }
            Err(e) if e.fault() == Fault::Busy => busy = Some(e),
            Err(e) => return Err(e),
        }
    }
    match busy {
        Some(error) => Err(error),
        None if dry_run => {
            Ok(Outcome::Planned(Tidied { did: "to be compacted", views: lines }.to_string()))
        }
        None => Ok(done("compacted", lines)),
    }
}

/// None where there is nothing to bring together.
fn compact_one(view: Hash, dry_run: bool) -> Result<Option<Compacted>> {
    let root = embeddings_dir()?;
    let cache = Cache::inspect(&root, view)?;
    let small = cache.small_parts()?;
    if small < 2 {
        return Ok(None);
    }
    if dry_run {
        return Ok(Some(Compacted { before: small, after: 1 }));
    }
    drop(cache);
    let writer = Cache::lock(&root, view)?;
    Cache::inspect(&root, view)?.compact(&writer).map(Some)
}

/// Since when a view hasn't been used; a time that isn't known, or still to come, is now.
fn age(view: &ViewFolder) -> Duration {
    view.last_use.and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default()
}

fn line(view: &ViewFolder, references: &References) -> ViewLine {
    let runs = references.get(&view.view).into_iter().flatten();
    ViewLine {
        view: view.view,
        parts: view.parts,
        parts_before: None,
        unreadable: view.unreadable,
        embeddings: view.rows,
        bytes: view.bytes,
        unused_days: age(view).as_secs() / (24 * 3600),
        runs: runs.map(|run| run.display().to_string()).collect(),
        about: view.about.clone(),
    }
}

/// The runs in the runs' folder, in those of `more`, and the one that the command line names.
///
/// # Errors
/// [`Data`](Fault::Data) on a manifest that can't be read: nobody knows what it refers to.
fn references(common: &Common, more: &[PathBuf]) -> Result<References> {
    let runs = runs_dir()?;
    let mut runs = match runs_in(&runs) {
        Err(e) if e.fault() == Fault::Missing => {
            tracing::warn!("no runs in {}: their cache isn't known", runs.display());
            Vec::new()
        }
        runs => runs?,
    };
    for folder in more {
        runs.extend(runs_in(&local(folder)?)?);
    }
    if common.run.is_some() || common.config.is_some() {
        runs.push(common.run_dir()?);
    }
    let mut references = References::new();
    for run in runs {
        let embedded = match Embedded::open(&run) {
            Err(e) if e.fault() == Fault::Missing => continue,
            embedded => embedded?,
        };
        for view in embedded.views()? {
            let known = references.entry(view).or_default();
            if !known.contains(&run) {
                known.push(run.clone());
            }
        }
    }
    Ok(references)
}

/// Everything in `folder` that may be a run.
fn runs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if url_of(folder).is_some() {
        return folders_in_store(folder);
    }
    let cannot = |e| Error::read(folder, &e);
    let entries = std::fs::read_dir(folder).map_err(cannot)?;
    let mut runs = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(cannot)?;
    runs.retain(|run| run.is_dir());
    runs.sort();
    Ok(runs)
}
