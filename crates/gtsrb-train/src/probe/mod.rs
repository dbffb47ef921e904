//! Which layers of which backbones, on which grids, are worth reading: linear heads on parts of
//! embeddings that hold every layer, judged on the validation tracks.

mod backbone;
mod features;
mod figure;
mod search;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stage::{Progress, Result, check_interrupt};
use tracing::info;

use crate::data::Inputs;
use crate::kept_out::KeptOut;
use crate::settings::Settings;
use crate::split::Split;
use crate::spread::spread;
pub use backbone::Backbone;
use features::Features;
use search::search;

/// The penalty of all fits: near the best one for embeddings of some thousand numbers, and the same
/// for all, so that no candidate gains by a search of its own.
const LAMBDA: f64 = 1e-3;

/// Bytes of a number of an embedding, stored as f16.
const BYTES: usize = 2;

/// Bytes of embeddings of one backbone that are in memory; where they would be more, all
/// backbones are tried on fewer pictures.
const MEMORY: usize = 1 << 30;

/// What was tried, and what came out.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub struct Probed {
    /// Images that each head learned from.
    pub train_images: usize,
    /// Images that it was judged by, of other tracks.
    pub validation_images: usize,
    /// The penalty of all heads.
    pub lambda: f64,
    /// Bytes that the embedding of a picture may have, stored as f16.
    pub budget: usize,
    /// The backbones.
    pub backbones: Vec<About>,
    /// What was tried of them, in that order.
    pub candidates: Vec<Candidate>,
    /// The candidate with the lowest log-loss within the budget, weights drawn at random aside.
    pub best: Option<usize>,
}

/// A backbone.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct About {
    /// Its weights' name.
    pub name: String,
    /// Pixels of a side of the picture.
    pub size: usize,
    /// The licence that its file states.
    pub licence: Option<String>,
    /// Whether its weights were drawn at random.
    pub random: bool,
}

/// Some layers of a backbone on some grids.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Index of the backbone.
    pub backbone: usize,
    /// `LAYER:GRID`, as `[backbone] taps` wants them.
    pub taps: Vec<String>,
    /// Numbers of an embedding.
    pub numbers: usize,
    /// Bytes of an embedding, stored as f16.
    pub bytes: usize,
    /// Seconds that one thread needs for 1,000 pictures, cropped and resized already, up to the last
    /// of these layers.
    pub seconds: f64,
    /// Accuracy on what was kept out.
    pub accuracy: f64,
    /// Its standard error over tracks.
    pub accuracy_error: f64,
    /// Log-loss on what was kept out, after temperature scaling: what candidates are compared by.
    pub log_loss: f64,
}

/// What is asked for.
pub struct Question {
    /// The backbones to try.
    pub backbones: Vec<Backbone>,
    /// See [`Probed::budget`].
    pub budget: usize,
    /// Training images to try on, at most.
    pub pictures: usize,
    /// Threads that compute embeddings.
    pub threads: usize,
}

impl Question {
    /// Reads the backbones of the run folders `runs`.
    ///
    /// # Errors
    /// As [`Backbone::read`].
    pub fn read(runs: &[PathBuf], budget: usize, pictures: usize, threads: usize) -> Result<Self> {
        let backbones = runs.iter().map(|run| Backbone::read(run)).collect::<Result<_>>()?;
        Ok(Self { backbones, budget, pictures, threads })
    }
}

/// Tries them.
///
/// # Errors
/// [`Unavailable`](stage::Fault::Unavailable) without ONNX Runtime,
/// [`Data`](stage::Fault::Data) on pictures that can't be trained on.
pub fn probe(inputs: &Inputs, settings: &Settings, question: &Question) -> Result<Probed> {
    let dims = question.backbones.iter().map(|backbone| backbone.dims).max().unwrap_or(1);
    let most = question.pictures.min(MEMORY / (dims * size_of::<f32>())).max(1);
    let rows = inputs.rows()?;
    let place = |place: usize| ((place, rows[place].key), rows[place].clone());
    let (places, rows): (Vec<_>, Vec<_>) = spread(most, rows.len()).map(place).unzip();
    let single = Settings { folds: None, ..settings.clone() };
    let split = Split::new(rows, inputs.classes.len(), &single, &BTreeSet::new())?;
    let (part, kept) = (split.part(0), KeptOut::of(&split, 0..1));
    let progress = Progress::new("backbones", question.backbones.len() as u64);
    let mut candidates = Vec::new();
    for (number, backbone) in question.backbones.iter().enumerate() {
        check_interrupt()?;
        let view = backbone.view(inputs);
        info!("{} at {} pixels: {} layers", backbone.name, backbone.size, backbone.taps.len());
        let features = Features::compute(inputs, backbone, &view, &places, question.threads)?;
        let speeds = backbone.seconds(&view)?;
        let judge = |taps: &[(usize, usize)]| {
            check_interrupt()?;
            features.judge(taps, &split, &part, &kept, &single)
        };
        let found = search(&backbone.taps, question.budget / BYTES, judge)?;
        candidates
            .extend(found.into_iter().map(|found| backbone.candidate(number, &found, &speeds)));
        progress.inc(1);
    }
    let backbones: Vec<About> = question.backbones.iter().map(Backbone::about).collect();
    Ok(Probed {
        train_images: part.train,
        validation_images: kept.rows.len(),
        lambda: LAMBDA,
        budget: question.budget,
        best: best(&candidates, &backbones, question.budget),
        backbones,
        candidates,
    })
}

fn best(candidates: &[Candidate], backbones: &[About], budget: usize) -> Option<usize> {
    let fits = |c: &Candidate| c.bytes <= budget && !backbones[c.backbone].random;
    (0..candidates.len())
        .filter(|&index| fits(&candidates[index]))
        .min_by(|&a, &b| candidates[a].log_loss.total_cmp(&candidates[b].log_loss))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_learned_and_within_the_budget() {
        let about = |random| About { name: "net".into(), size: 96, licence: None, random };
        let candidate = |backbone, bytes, log_loss| Candidate {
            backbone,
            taps: vec!["block4:6".into()],
            numbers: bytes / 2,
            bytes,
            seconds: 1.0,
            accuracy: 0.9,
            accuracy_error: 0.01,
            log_loss,
        };
        let tried = [
            candidate(0, 100, 0.5),
            candidate(0, 200, 0.3),
            candidate(0, 400, 0.1),
            candidate(1, 100, 0.2),
        ];
        let backbones = [about(false), about(true)];
        assert_eq!(best(&tried, &backbones, 300), Some(1));
        assert_eq!(best(&tried, &backbones, 400), Some(2));
        assert_eq!(best(&tried, &backbones, 50), None);
    }
}
