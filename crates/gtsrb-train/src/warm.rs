//! A start from an earlier run's model, when pictures or classes were added since.
//!
//! A fit that stops early keeps a trace of where it started. To judge penalties by pictures that
//! the start had learned would flatter them, so fits start from the earlier run's
//! `partial.safetensors`, which hadn't seen what was kept out there, and only tracks that it
//! hasn't seen are kept out now.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use artifact::embeddings::{Embedded, Key, Row};
use artifact::head::Head;
use artifact::images::Split as Part;
use artifact::{Hash, Manifest};
use ndarray::Array2;
use serde::Serialize;
use softmax::{Model, Standardization};
use stage::{Error, Result};

use crate::TOOL;
use crate::data::Inputs;
use crate::settings::Settings;
use crate::split::{Split, Track, track_of};
use crate::summary::{Origin, Summary};

/// The head as it was before the pictures kept out last were learned.
pub const PARTIAL: &str = "partial.safetensors";

/// An earlier run's model.
pub struct Warm {
    /// The hash of the earlier model's files.
    pub content: Hash,
    /// Its penalty, if it was fitted with one.
    pub lambda: Option<f64>,
    /// How it came about.
    origin: Origin,
    head: Head,
    /// Images of the earlier run.
    known: HashSet<Key>,
    /// Images that the head learned from.
    learned: HashSet<Key>,
}

/// What changed since the earlier model.
#[derive(Serialize, Debug)]
pub struct Change {
    /// The hash of the earlier model's files.
    from: Hash,
    /// Classes that it didn't have.
    classes_added: Vec<String>,
    /// Classes that it had.
    classes_gone: Vec<String>,
    /// Training images that it didn't have.
    images_added: usize,
    /// Images kept out then and now, of classes that it had.
    images_compared: usize,
    /// Its accuracy on them.
    earlier_accuracy: f64,
    /// The accuracy of the chosen fit on them.
    accuracy: f64,
    /// How it came about.
    earlier: Origin,
    /// Iterations of all fits now.
    iterations: usize,
}

impl Warm {
    /// Reads the model of the run in the folder `run`.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) without a finished training there,
    /// [`Data`](stage::Fault::Data) if its embeddings aren't those that the model learned from
    /// or can't be compared with those of `inputs`, or if it has a hidden layer.
    pub fn read(run: &Path, inputs: &Inputs) -> Result<Self> {
        let run = &stage::local(run)?;
        let dir = run.join("model");
        let manifest = Manifest::read(&dir, TOOL)?;
        manifest.verify(&dir, PARTIAL)?;
        let head = Head::read(&dir.join(PARTIAL))?;
        let embedded = Embedded::open(run)?;
        let unfit =
            |what: &str| Error::data(format!("cannot start from {}: {what}", dir.display()));
        if embedded.manifest().content() != head.training {
            return Err(unfit(
                "it learned from other embeddings than the run has now; keep a copy of the run \
                 before pictures are added, and start from the copy",
            ));
        }
        if head.view != inputs.view_hash {
            return Err(unfit(
                "its embeddings are computed otherwise (backbone, taps, size or crop)",
            ));
        }
        if head.network.layers().len() > 1 || head.network.tower().is_some() {
            return Err(unfit("it has a hidden layer"));
        }
        let summary = Summary::of(&manifest)?;
        let settings = serde_json::from_value(manifest.work.parameters.clone())
            .map_err(|e| unfit(&format!("its manifest is damaged ({e})")))?;
        let rows = embedded.rows(Part::Train)?;
        let known = rows.iter().map(|row| row.key).collect();
        let learned = learned(rows, head.classes.len(), &settings)?;
        let origin = summary.origin;
        let lambda = origin.lambda();
        Ok(Self { content: manifest.content(), lambda, origin, head, known, learned })
    }

    /// The tracks that the head has learned from, in part or whole.
    pub fn tracks(&self, rows: &[Row]) -> BTreeSet<Track> {
        rows.iter().filter(|row| self.learned.contains(&row.key)).map(track_of).collect()
    }

    /// The earlier model as one of `classes` and of standardised embeddings. Classes that it
    /// didn't have start at zero.
    pub fn start(&self, classes: &[String], standardization: &Standardization) -> Model {
        let model = standardization.unfold(&self.head.network.layers()[0]);
        let mut start = Model::zeros(classes.len(), model.weights.ncols());
        for (label, class) in classes.iter().enumerate() {
            if let Some(earlier) = self.head.classes.iter().position(|other| other == class) {
                start.weights.row_mut(label).assign(&model.weights.row(earlier));
                start.bias[label] = model.bias[earlier];
            }
        }
        start
    }

    /// What changed. `before` and `now` are the logits `[rows, classes]` of `rows`, which were
    /// kept out, by the start and by the chosen fit.
    pub fn change(
        &self,
        inputs: &Inputs,
        split: &Split,
        (before, now): (&Array2<f32>, &Array2<f32>),
        rows: &[usize],
        iterations: usize,
    ) -> Change {
        let (then, classes) = (&self.head.classes, &inputs.classes);
        let missing = |from: &[String], of: &[String]| -> Vec<String> {
            of.iter().filter(|class| !from.contains(class)).cloned().collect()
        };
        let label = |index: usize| split.rows[rows[index]].label as usize;
        let compared: Vec<usize> =
            (0..rows.len()).filter(|&index| then.contains(&classes[label(index)])).collect();
        let accuracy = |logits: &Array2<f32>| {
            let predicted = softmax::predicted(logits.view());
            let right = compared.iter().filter(|&&index| predicted[index] == label(index)).count();
            right as f64 / compared.len().max(1) as f64
        };
        Change {
            from: self.content,
            classes_added: missing(then, classes),
            classes_gone: missing(classes, then),
            images_added: split.rows.iter().filter(|row| !self.known.contains(&row.key)).count(),
            images_compared: compared.len(),
            earlier_accuracy: accuracy(before),
            accuracy: accuracy(now),
            earlier: self.origin,
            iterations,
        }
    }
}

/// The images that the last turn of a training with `settings` on `rows` learned from.
fn learned(rows: Vec<Row>, classes: usize, settings: &Settings) -> Result<HashSet<Key>> {
    let split = Split::new(rows, classes, settings, &BTreeSet::new())?;
    let part = split.part(split.folds - 1);
    Ok(part.order[..part.train].iter().map(|&index| split.rows[index].key).collect())
}

impl Change {
    /// In words.
    pub fn sentence(&self) -> String {
        let added = if self.classes_added.is_empty() {
            String::new()
        } else {
            format!(" and the classes {}", self.classes_added.join(", "))
        };
        format!(
            "Started from an earlier head: {} images{added} are new. On {} images that neither \
             has learned it had {:.2} % right, now it is {:.2} %. That took {} iterations in all, \
             and the earlier head {}.",
            self.images_added,
            self.images_compared,
            100.0 * self.earlier_accuracy,
            100.0 * self.accuracy,
            self.iterations,
            self.earlier.length()
        )
    }
}
