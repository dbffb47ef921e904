//! What is said at the end, all of it from the manifest.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use artifact::Manifest;
use serde::Serialize;
use serde_json::Value;
use signs::counts::TrainingSet;

/// The result of an ingest.
#[derive(Serialize, Debug)]
pub struct Summary {
    images: PathBuf,
    counters: BTreeMap<String, u64>,
    set: String,
    classes: usize,
    train_per_class: Vec<u64>,
    test_per_class: Vec<u64>,
}

impl Summary {
    /// The summary of what `manifest` in `dir` describes.
    pub fn new(dir: &Path, manifest: &Manifest) -> Self {
        let fact = |name: &str| manifest.facts.get(name).cloned().unwrap_or_default();
        let counts = |name: &str| serde_json::from_value(fact(name)).unwrap_or_default();
        Self {
            images: dir.to_owned(),
            counters: manifest.counters.clone(),
            set: fact("set").as_str().unwrap_or_default().to_owned(),
            classes: fact("classes").as_array().map_or(0, Vec::len),
            train_per_class: counts("train_per_class"),
            test_per_class: counts("test_per_class"),
        }
    }

    fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }
}

/// Which set has these training pictures a class, for the manifest.
pub fn set_name(train_per_class: &[u64]) -> Value {
    match TrainingSet::recognise(train_per_class) {
        Some(TrainingSet::Final) => "final",
        Some(TrainingSet::Ijcnn) => "ijcnn",
        None => "other",
    }
    .into()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |name| self.counter(name);
        let (train, test) = (count("train_images"), count("test_images"));
        writeln!(f, "{train} training and {test} test pictures of {} classes", self.classes)?;
        writeln!(f, "set: {}", set_in_words(&self.set))?;
        writeln!(f, "per class, training: {}", joined(&self.train_per_class))?;
        writeln!(f, "per class, test: {}", joined(&self.test_per_class))?;
        writeln!(
            f,
            "exact duplicates: {} within training, {} within test, {} of test in training",
            count("duplicates_within_train"),
            count("duplicates_within_test"),
            count("duplicates_across_splits")
        )?;
        if count("rejected") > 0 {
            writeln!(f, "left out: {} bad pictures, listed in the manifest", count("rejected"))?;
        }
        write!(f, "images: {}", self.images.display())
    }
}

fn set_in_words(set: &str) -> &'static str {
    match set {
        "final" => "GTSRB's final set, the one to compare with",
        "ijcnn" => {
            "the smaller one of the IJCNN 2011 competition, which many papers use; results \
             don't compare with those on the final set (39,209 pictures)"
        }
        _ => "neither GTSRB's final set nor that of the IJCNN 2011 competition",
    }
}

fn joined(counts: &[u64]) -> String {
    counts.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}
