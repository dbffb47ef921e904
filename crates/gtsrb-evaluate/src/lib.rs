//! The `gtsrb-evaluate` stage: a trained head and the embeddings of the test images in,
//! metrics, predictions and a report out.

mod args;
mod figures;
mod gallery;
mod interval;
mod metrics;
mod report;
mod results;
mod sources;
mod summary;
mod tables;
mod training;
mod words;

use std::collections::BTreeMap;

use artifact::Output;
use softmax::probabilities;
use stage::{Outcome, Result};

use crate::gallery::gallery;
use crate::metrics::{measure, score_all};
use crate::report::{Figures, Report};
use crate::results::Results;
use crate::sources::Sources;

pub use crate::args::Args;
pub use crate::summary::Summary;

/// Runs the stage.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    let settings = args.settings()?;
    let run = args.common.run_dir()?;
    let sources = Sources::open(&run)?;
    if args.common.dry_run {
        return Ok(Outcome::Planned(sources.plan()));
    }
    let work = sources.work(&settings);
    let output = Output::open(&run)?;
    if output.current(&work)?.is_some() {
        return Ok(Outcome::Current(Summary::read(&run)?));
    }

    let head = sources.head()?;
    let training = sources.training()?;
    let (rows, labels) = sources.test_rows()?;
    let logits = head.network.logits(sources.embeddings(&rows)?.view());
    let probabilities = probabilities(logits, head.temperature);
    let scored = score_all(&labels, &probabilities);
    let metrics = measure(&scored, &head.classes);

    let figures = Figures::draw(&metrics, &training);
    let mistakes = gallery(&sources.images, &rows, &scored, settings.gallery)?;
    let page = Report {
        name: &sources.name(),
        metrics: &metrics,
        training: &training,
        mistakes: &mistakes,
        manifests: &sources.provenance()?,
    }
    .render(&figures)?;

    let files = Results {
        rows: &rows,
        scored: &scored,
        probabilities: &probabilities,
        metrics: &metrics,
        figures: &figures,
        page: &page,
    }
    .stage(&output)?;
    let counters = [("test_images".to_owned(), rows.len() as u64)].into();
    output.commit(work, files, counters, BTreeMap::new())?;
    Ok(Outcome::Done(Summary::new(&metrics, &run)))
}
