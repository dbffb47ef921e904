//! The `gtsrb-ingest` stage: pictures and their classes, in whatever layout they come, are
//! listed, checked one by one, and written as Parquet.
//!
//! The source is read twice: once to check everything, once to write. So that nothing is
//! written before all is known, and memory holds a row group of pictures at most.

mod archive;
mod args;
mod bad;
mod card;
mod check;
mod duplicates;
mod labels;
mod layout;
mod set;
mod split;
mod stamp;
mod summary;
mod table;
mod tree;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use artifact::images::Split;
use artifact::{Manifest, Output};
use serde_json::{Value, json};
use stage::{Outcome, Progress, Result};

pub use args::Args;
use args::Settings;
use check::Checked;
use labels::Labels;
use layout::Listing;
use set::Set;
use stamp::Stamp;
pub use summary::Summary;
use tree::Tree;
use write::Source;

/// The name in manifests and messages.
const TOOL: &str = "gtsrb-ingest";
/// Raise the number with every change of what this stage makes of the same inputs and settings.
const VERSION: &str = artifact::version!(1);

/// Runs the stage.
///
/// # Errors
/// See the exit codes of [`stage::Fault`]; nothing is written then.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    let settings = Settings::new(args)?;
    let dir = args.common.run_dir()?.join("images");
    let mut tree = Tree::open(&settings.source()?)?;
    let labels = settings.labels.as_deref().map(Labels::read).transpose()?;
    let stamp = Stamp::new(&tree, &settings, labels.as_ref());
    if let Some(manifest) = stamp.current(&dir)? {
        return Ok(Outcome::Current(Summary::new(&dir, &manifest)));
    }
    let mut listing = layout::list(&mut tree, &settings)?;
    if let Some(labels) = &labels {
        labels.apply(&mut listing)?;
    }
    if args.common.dry_run {
        return Ok(Outcome::Planned(plan(&listing, &dir)));
    }
    let output = Output::open(&dir)?;
    args.common.in_threads(|| {
        let set = Set::new(&tree, listing, &settings)?;
        if let Some(manifest) = output.current(&set.work)? {
            stamp.note(&dir, &manifest);
            return Ok(Outcome::Current(Summary::new(&dir, &manifest)));
        }
        let manifest = commit(output, &Source { tree: &tree, store: settings.store }, set)?;
        stamp.note(&dir, &manifest);
        Ok(Outcome::Done(Summary::new(&dir, &manifest)))
    })
}

/// Writes and commits.
fn commit(output: Output, source: &Source<'_>, set: Set) -> Result<Manifest> {
    let Set { classes, train, test, bad, work, counters } = set;
    let progress = Progress::new("write", (train.len() + test.len()) as u64);
    let mut files = write::write(&output, source, Split::Train, &classes, &train, &progress)?;
    files.extend(write::write(&output, source, Split::Test, &classes, &test, &progress)?);
    let train_counts = per_class(&train, classes.len());
    let test_counts = per_class(&test, classes.len());
    let card = card::card(&classes, &train_counts, &test_counts);
    files.push(output.write("README.md", card.as_bytes())?);
    let facts = [
        ("set", summary::set_name(&train_counts)),
        ("train_per_class", json!(train_counts)),
        ("test_per_class", json!(test_counts)),
        ("rejected", json!(bad)),
        ("classes", json!(classes)),
    ];
    let facts: BTreeMap<String, Value> = facts.map(|(name, fact)| (name.to_owned(), fact)).into();
    output.commit(work, files, counters, facts)
}

fn per_class(pictures: &[Checked], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    for picture in pictures {
        counts[picture.item.label as usize] += 1;
    }
    counts
}

fn plan(listing: &Listing, dir: &Path) -> String {
    let test = listing.test.as_ref().map_or_else(
        || "a part of them for the test".to_owned(),
        |test| format!("{} test pictures", test.len()),
    );
    format!(
        "would read {} training pictures and {test}, of {} classes, in the {:?} layout, into {}",
        listing.train.len(),
        listing.classes.len(),
        listing.layout,
        dir.display()
    )
}
