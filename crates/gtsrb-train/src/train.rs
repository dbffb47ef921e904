//! From embeddings to a head.

use std::time::Instant;

use artifact::embeddings::Row;
use artifact::head::Head;
use ndarray::{Array2, Axis};
use softmax::{Fit, Samples, Score, Standardization};
use stage::Result;
use tracing::info;

use crate::args::Settings;
use crate::data::{Inputs, describe, labels};
use crate::search::{Search, fit_or_stop, search};
use crate::split::{Counts, Split};

/// Images that written models are tried on.
const PROBES: usize = 64;

/// A trained head and how it came about.
pub struct Trained {
    /// The head, of embeddings as they are stored.
    pub head: Head,
    /// The path of penalties on the training part.
    pub search: Search,
    /// The fit on everything.
    pub refit: Fit,
    /// Its score on what it was fitted to.
    pub refit_score: Score,
    /// What was trained on and what was kept out.
    pub counts: Counts,
    /// Training and validation images of each class.
    pub per_class: Vec<(usize, usize)>,
    /// Classes with images but none kept out.
    pub unvalidated: Vec<usize>,
    /// Some embeddings as they are stored.
    pub probe: Probe,
}

/// Images to try written models on, spread over the set.
pub struct Probe {
    /// The images.
    pub rows: Vec<Row>,
    /// Their stored embeddings `[rows, dims]`.
    pub embeddings: Array2<f32>,
}

/// Splits, standardises, chooses the penalty, and fits again on everything, from the chosen
/// fit's weights and with the standardisation of the training part: the penalty means the same
/// in both fits. The temperature is the one of the validation part, which the last fit has
/// seen and can't be measured on.
pub fn train(inputs: &Inputs, settings: &Settings) -> Result<Trained> {
    let started = Instant::now();
    let classes = inputs.classes.len();
    let split = Split::new(inputs.rows()?, classes, settings.validation, settings.seed)?;
    let labels = labels(&split.rows);
    let mut x = inputs.matrix(&split.rows)?;
    let wrong = |error| describe(&error, &split.rows);
    Samples::new(x.view(), &labels, classes).map_err(wrong)?;
    let probe = probe(&split.rows, &x);
    let standardization = Standardization::fit(x.view().split_at(Axis(0), split.train).0);
    standardization.apply(x.view_mut());
    info!("read {:?} embeddings in {:.1} s", x.dim(), started.elapsed().as_secs_f64());

    let (train_x, validation_x) = x.view().split_at(Axis(0), split.train);
    let (train_y, validation_y) = labels.split_at(split.train);
    let train = Samples::new(train_x, train_y, classes).map_err(wrong)?;
    let validation = Samples::new(validation_x, validation_y, classes).map_err(wrong)?;
    let options = settings.options();
    let search = search(&train, &validation, &settings.lambdas, &options)?;

    let all = Samples::new(x.view(), &labels, classes).map_err(wrong)?;
    let refit = fit_or_stop(&all, search.best().lambda, &search.model, &options, |_| ())?;
    info!("trained in {:.1} s", started.elapsed().as_secs_f64());
    let model = standardization.fold(&refit.model);
    Ok(Trained {
        head: Head {
            network: model.into(),
            temperature: search.calibration().0 as f32,
            classes: inputs.classes.clone(),
            view: inputs.view_hash,
            training: inputs.embedded.manifest().content(),
        },
        refit_score: refit.model.score(&all),
        per_class: per_class(train_y, validation_y, classes),
        search,
        refit,
        counts: split.counts,
        unvalidated: split.unvalidated,
        probe,
    })
}

fn probe(rows: &[Row], x: &Array2<f32>) -> Probe {
    let count = PROBES.min(rows.len());
    let chosen: Vec<usize> = (0..count).map(|index| index * rows.len() / count).collect();
    Probe {
        rows: chosen.iter().map(|&index| rows[index].clone()).collect(),
        embeddings: x.select(Axis(0), &chosen),
    }
}

fn per_class(train: &[usize], validation: &[usize], classes: usize) -> Vec<(usize, usize)> {
    let mut counts = vec![(0, 0); classes];
    for &label in train {
        counts[label].0 += 1;
    }
    for &label in validation {
        counts[label].1 += 1;
    }
    counts
}
