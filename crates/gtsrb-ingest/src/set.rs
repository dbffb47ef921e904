//! A source's pictures, checked, parted and in order: everything that is then stored.

use std::collections::{BTreeMap, BTreeSet};

use artifact::{Hash, HashBuilder, Work};
use serde_json::json;
use stage::{Error, Progress, Result};

use crate::args::Settings;
use crate::bad::{self, Bad};
use crate::check::{self, Checked};
use crate::layout::Listing;
use crate::tree::Tree;
use crate::{TOOL, VERSION, duplicates, split, write};

/// Everything that is stored.
pub struct Set {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Pictures to learn from, in their final order.
    pub train: Vec<Checked>,
    /// Pictures to be tested with, in their final order.
    pub test: Vec<Checked>,
    /// Those that are left out.
    pub bad: Vec<Bad>,
    /// What decides the bytes of all of it.
    pub work: Work,
    /// Numbers worth knowing.
    pub counters: BTreeMap<String, u64>,
}

impl Set {
    /// Checks all pictures of `listing` and parts them as `settings` say.
    ///
    /// # Errors
    /// Where pictures are bad and the settings ask to fail, or none is left.
    pub fn new(tree: &Tree, listing: Listing, settings: &Settings) -> Result<Self> {
        let (mut train, test, bad) = look_at_all(tree, &listing, settings.max_pixels)?;
        bad::report(&bad, listing.total(), settings.on_error)?;
        let own_split = test.is_none();
        let mut test = test.unwrap_or_default();
        let source = content(&listing.tables, &train, &test, &bad);
        if own_split {
            (train, test) = split::split(train, settings.test, settings.seed);
        }
        let root = tree.root().display();
        if train.is_empty() {
            return Err(Error::data(format!("{root}: no picture to learn from is left")));
        }
        if test.is_empty() {
            return Err(Error::data(format!(
                "{root}: no picture to test with: add pictures, so that a class has two \
                 different ones, or a folder test beside train"
            )));
        }
        if own_split {
            warn_of_untested(&listing.classes, &train, &test);
        }
        write::sort(&mut train);
        write::sort(&mut test);
        let counters = counters(&listing, &train, &test, &bad);
        let work = work(&listing, settings, own_split, source);
        Ok(Self { classes: listing.classes, train, test, bad, work, counters })
    }
}

/// Says which classes are too small to give a test picture, or any.
fn warn_of_untested(classes: &[String], train: &[Checked], test: &[Checked]) {
    let labels = |part: &[Checked]| -> BTreeSet<i64> {
        part.iter().map(|picture| picture.item.label).collect()
    };
    let (learned, tested) = (labels(train), labels(test));
    for (name, label) in classes.iter().zip(0..).filter(|(_, label)| !tested.contains(label)) {
        let name = bad::shown(name);
        if learned.contains(&label) {
            tracing::warn!("class {name} has no two different pictures: it is not tested");
        } else {
            tracing::warn!("class {name} has no picture that can be used: it is never predicted");
        }
    }
}

fn work(listing: &Listing, settings: &Settings, own_split: bool, source: Hash) -> Work {
    let split = own_split.then(|| json!({ "test": settings.test, "seed": settings.seed }));
    Work {
        tool: TOOL.to_owned(),
        version: VERSION.to_owned(),
        parameters: json!({
            "layout": listing.layout,
            "on_error": settings.on_error,
            "store": settings.store,
            "split": split,
        }),
        inputs: BTreeMap::from([("source".to_owned(), source)]),
    }
}

/// Training pictures, test pictures if the source says which, and those that can't be used.
type Parts = (Vec<Checked>, Option<Vec<Checked>>, Vec<Bad>);

fn look_at_all(tree: &Tree, listing: &Listing, most_pixels: u64) -> Result<Parts> {
    let progress = Progress::new("check", listing.total() as u64);
    let mut bad = listing.bad.clone();
    let mut look = |items: &[_]| -> Result<Vec<Checked>> {
        let (good, problems) = check::check(tree, items, most_pixels, &progress)?;
        bad.extend(problems);
        Ok(good)
    };
    let mut train = look(&listing.train)?;
    let mut test = listing.test.as_deref().map(look).transpose()?;
    let mut parts: Vec<_> = std::iter::once(&mut train).chain(test.as_mut()).collect();
    bad.extend(duplicates::take_contradictions(&mut parts, &listing.classes));
    bad.sort();
    Ok((train, test, bad))
}

/// The hash of everything that was read: tables, pictures, and what was wrong.
fn content(tables: &[(String, Hash)], train: &[Checked], test: &[Checked], bad: &[Bad]) -> Hash {
    let mut hash = HashBuilder::default();
    for (name, content) in tables {
        hash.add(name);
        hash.add(content.0);
    }
    for (part, pictures) in [("train", train), ("test", test)] {
        hash.add(part);
        for picture in pictures {
            hash.add(&picture.item.path);
            hash.add(picture.item.label.to_le_bytes());
            hash.add(picture.bytes.0);
        }
    }
    for problem in bad {
        hash.add(&problem.path);
        hash.add(&problem.reason);
    }
    hash.finish()
}

fn counters(
    listing: &Listing,
    train: &[Checked],
    test: &[Checked],
    bad: &[Bad],
) -> BTreeMap<String, u64> {
    let mut counters = duplicates::count(train, test);
    for (name, count) in [
        ("train_images", train.len() as u64),
        ("test_images", test.len() as u64),
        ("rejected", bad.len() as u64),
        ("repeated_rows", listing.repeated_rows),
        ("unlisted_pictures", listing.unlisted.len() as u64),
    ] {
        counters.insert(name.to_owned(), count);
    }
    counters
}
