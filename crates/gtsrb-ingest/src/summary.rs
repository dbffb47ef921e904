//! What is said at the end, all of it from the manifest.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use artifact::Manifest;
use serde::Serialize;
use serde_json::Value;
use signs::counts::TrainingSet;

use crate::bad::shown;

/// How many classes are told one by one.
const LISTED: usize = 10;

/// The result of an ingest.
#[derive(Serialize, Debug)]
pub struct Summary {
    images: PathBuf,
    counters: BTreeMap<String, u64>,
    set: Option<String>,
    classes: Vec<String>,
    train_per_class: Vec<u64>,
    test_per_class: Vec<u64>,
}

impl Summary {
    /// The summary of what `manifest` in `dir` describes.
    pub fn new(dir: &Path, manifest: &Manifest) -> Self {
        let fact = |name: &str| manifest.facts.get(name).cloned().unwrap_or_default();
        let counts = |name: &str| serde_json::from_value(fact(name)).unwrap_or_default();
        // Other people's folders are not compared with the published sets.
        let folders = manifest.work.parameters["layout"] == "folder";
        Self {
            images: dir.to_owned(),
            counters: manifest.counters.clone(),
            set: fact("set").as_str().filter(|_| !folders).map(str::to_owned),
            classes: serde_json::from_value(fact("classes")).unwrap_or_default(),
            train_per_class: counts("train_per_class"),
            test_per_class: counts("test_per_class"),
        }
    }

    /// Few classes one by one, of many how much they differ.
    fn classes_in_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (train, test) = (&self.train_per_class, &self.test_per_class);
        if self.classes.len() > LISTED {
            let (train, test) = (spread(train), spread(test));
            return writeln!(f, "per class: {train} training pictures, {test} test pictures");
        }
        for ((class, train), test) in self.classes.iter().zip(train).zip(test) {
            writeln!(f, "  {}: {train} training, {test} test", shown(class))?;
        }
        Ok(())
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
        let classes = self.classes.len();
        writeln!(f, "{train} training and {test} test pictures of {classes} classes")?;
        if let Some(set) = &self.set {
            writeln!(f, "set: {}", set_in_words(set))?;
        }
        self.classes_in_words(f)?;
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

/// Smallest, middle and largest of `counts`.
fn spread(counts: &[u64]) -> String {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    match sorted.as_slice() {
        [] => "none".to_owned(),
        [least, ..] => {
            let (median, most) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
            format!("{least} to {most} (median {median})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn counts_are_told_by_their_spread() {
        assert_eq!(spread(&[9, 1, 4]), "1 to 9 (median 4)");
        assert_eq!(spread(&[3]), "3 to 3 (median 3)");
        assert_eq!(spread(&[]), "none");
    }
}
