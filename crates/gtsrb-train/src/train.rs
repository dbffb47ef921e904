//! From embeddings to a head.

use std::time::Instant;

use artifact::embeddings::Row;
use artifact::head::Head;
use ndarray::{Array2, ArrayView2, Axis};
use softmax::{Fit, Model, Network, Score};
use stage::{Error, Result};
use tracing::info;

use crate::data::Inputs;
use crate::division::Division;
use crate::judgement::Judgement;
use crate::search::{Search, Turns};
use crate::settings::Settings;
use crate::split::Split;
use crate::spread::spread;
use crate::walk::fit_or_stop;
use crate::warm::{Change, Warm};

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
    pub split: Split,
    /// The chosen fit before it learned what was kept out last.
    pub partial: Head,
    /// What changed since the model that fits started from.
    pub change: Option<Change>,
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
/// fit's weights and with the standardisation of the (last) training part: the penalty means
/// the same in both fits. The temperature is the one of the validation part, which the last fit
/// has seen and can't be measured on.
pub fn train(inputs: &Inputs, settings: &Settings, warm: Option<&Warm>) -> Result<Trained> {
    let started = Instant::now();
    let rows = inputs.rows()?;
    let learned = warm.map(|warm| warm.tracks(&rows)).unwrap_or_default();
    let split = Split::new(rows, inputs.classes.len(), settings, &learned)?;
    let Turned { search, division, probe, before } = turns(inputs, settings, &split, warm)?;
    let all = division.all()?;
    let lambda = search.trial().lambda;
    let refit = fit_or_stop(&all, lambda, &search.model, &settings.options(), |_| ())?;
    info!("trained in {:.1} s", started.elapsed().as_secs_f64());
    let judgement = &search.trial().judgement;
    let head = |model: &Model| head(inputs, division.standardization.fold(model).into(), judgement);
    let iterations = iterations(&search, &refit);
    let change = warm.zip(before.as_ref()).map(|(warm, before)| {
        warm.change(inputs, &split, (before, &search.logits), &search.kept.rows, iterations)
    });
    Ok(Trained {
        head: head(&refit.model),
        partial: head(&search.model),
        change,
        refit_score: refit.model.score(&all),
        search,
        refit,
        split,
        probe,
    })
}

/// What the turns leave.
struct Turned {
    search: Search,
    /// The last one's, in memory still.
    division: Division,
    probe: Probe,
    /// Logits of what was kept out by the warm start.
    before: Option<Array2<f32>>,
}

fn turns(
    inputs: &Inputs,
    settings: &Settings,
    split: &Split,
    warm: Option<&Warm>,
) -> Result<Turned> {
    let mut turns = Turns::new(settings, split, warm);
    let (mut division, mut probe, mut before) = (None, None, None);
    for turn in 0..split.folds {
        // One matrix at a time.
        drop(division.take());
        let next = Division::read(inputs, split, &split.part(turn), settings, |rows, x| {
            probe.get_or_insert_with(|| Probe::new(rows, x));
        })?;
        let start = match warm {
            None => next.zeros(),
            Some(warm) => warm.start(&inputs.classes, &next.standardization),
        };
        if warm.is_some() {
            before = Some(start.logits(next.validation()?.x()));
        }
        turns.add(&next, &start)?;
        division = Some(next);
    }
    let (Some(division), Some(probe)) = (division, probe) else {
        return Err(Error::internal("there was nothing to fit"));
    };
    Ok(Turned { search: turns.choose()?, division, probe, before })
}

fn iterations(search: &Search, refit: &Fit) -> usize {
    search.path.iter().map(|trial| trial.iterations).sum::<usize>() + refit.iterations
}

impl Trained {
    /// Iterations of all fits.
    pub fn iterations(&self) -> usize {
        iterations(&self.search, &self.refit)
    }
}

/// The head with everything that it is to know.
pub fn head(inputs: &Inputs, network: Network, judgement: &Judgement) -> Head {
    Head {
        network,
        temperature: judgement.calibration().0 as f32,
        classes: inputs.classes.clone(),
        view: inputs.view_hash,
        training: inputs.embedded.manifest().content(),
    }
}

impl Probe {
    /// Some of `rows`, whose stored embeddings are `x`.
    pub fn new(rows: &[Row], x: ArrayView2<'_, f32>) -> Self {
        let chosen: Vec<usize> = spread(PROBES, rows.len()).collect();
        Self {
            rows: chosen.iter().map(|&index| rows[index].clone()).collect(),
            embeddings: x.select(Axis(0), &chosen),
        }
    }

    /// Some of `rows`; their embeddings are read.
    pub fn read(inputs: &Inputs, rows: &[Row]) -> Result<Self> {
        let rows: Vec<Row> = spread(PROBES, rows.len()).map(|index| rows[index].clone()).collect();
        Ok(Self { embeddings: inputs.matrix(&rows)?, rows })
    }

    /// Those at `places`.
    pub fn select(&self, places: &[usize]) -> Self {
        Self {
            rows: places.iter().map(|&place| self.rows[place].clone()).collect(),
            embeddings: self.embeddings.select(Axis(0), places),
        }
    }
}
