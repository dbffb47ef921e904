//! The `gtsrb-evaluate` stage: a trained head and the embeddings of the test images in,
//! metrics, predictions and a report out.

mod args;
mod balance;
mod calibration;
mod card;
mod compare;
mod confident;
mod eigen;
mod evaluation;
mod figures;
mod gallery;
mod interval;
mod map;
mod metrics;
mod near;
mod pairs;
mod principal;
mod publish;
mod published;
mod quality;
mod report;
mod results;
mod selective;
mod slices;
mod sources;
mod space;
mod sprite;
mod summary;
mod survey;
mod tables;
mod training;
mod words;

use std::collections::BTreeMap;

use artifact::images::Split;
use artifact::{Output, Staged};
use stage::{Outcome, Result};

use crate::args::{Command, Settings};
use crate::balance::balance;
use crate::card::Card;
use crate::evaluation::Evaluation;
use crate::gallery::gallery;
use crate::map::Map;
use crate::near::Near;
use crate::pairs::Confused;
use crate::quality::{Quality, WORST};
use crate::report::{Figures, Report};
use crate::results::Results;
use crate::sources::Sources;
use crate::space::Space;
use crate::sprite::Sprite;
use crate::summary::Headline;
use crate::survey::{Look, survey};

pub use crate::args::Args;
pub use crate::summary::Summary;

/// Raise the number with every change of what this stage makes of the same inputs and settings.
const VERSION: &str = artifact::version!(2);

/// Odd pictures of each kind that are shown in the report.
const ODD: usize = 20;

/// Runs the stage, compares two runs, or publishes one.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    match &args.command {
        None => evaluate(args),
        Some(Command::Compare { a, b }) => {
            let (a, b) = (stage::local(a)?, stage::local(b)?);
            let compared = args.common.in_threads(|| compare::compare(&a, &b))?;
            Ok(Outcome::Checked(Summary::Compared(compared)))
        }
        Some(Command::Publish { to, at_least }) => {
            let run = args.common.run_dir()?;
            let published = publish::publish(&run, to, *at_least, args.common.dry_run)?;
            Ok(published.map(Summary::Published))
        }
    }
}

fn evaluate(args: &Args) -> Result<Outcome<Summary>> {
    let settings = args.settings()?;
    let run = args.common.run_dir()?;
    let sources = Sources::open(&run)?;
    if args.common.dry_run {
        return Ok(Outcome::Planned(sources.plan()));
    }
    let work = sources.work(&settings);
    let output = Output::open(&run)?;
    if output.current(&work)?.is_some() {
        return Ok(Outcome::Current(Summary::Evaluated(Headline::read(&run)?)));
    }
    args.common.in_threads(|| {
        let seen = Seen::of(&sources, &settings)?;
        let files = stage_files(&sources, &settings, &seen, &output)?;
        let mut counters: BTreeMap<_, _> = seen.quality.counters().collect();
        counters.insert("test_images".to_owned(), seen.evaluation.rows.len() as u64);
        output.commit(work, files, counters, BTreeMap::new())?;
        Ok(Outcome::Done(Summary::Evaluated(Headline::new(&seen.evaluation.metrics, &run))))
    })
}

/// All that was found out about a run.
struct Seen {
    evaluation: Evaluation,
    train: Vec<Look>,
    space: Space,
    quality: Quality,
}

impl Seen {
    fn of(sources: &Sources, settings: &Settings) -> Result<Self> {
        let kept_out = sources.kept_out()?;
        let (evaluation, embeddings) = Evaluation::of(sources, settings, kept_out.as_ref())?;
        // Both read files between computing: together they leave no thread idle.
        let (train, space) = rayon::join(
            || survey(&sources.images, Split::Train),
            || Space::of(sources, embeddings),
        );
        let (train, space) = (train?, space?);
        let same = |test: usize, row: usize| evaluation.looks[test].pixels == train[row].pixels;
        let near = Near::of(sources, &space, WORST, same)?;
        let quality = Quality::of(&evaluation, &train, kept_out.as_ref(), &space, &near);
        Ok(Self { evaluation, train, space, quality })
    }
}

/// Draws the report and writes every file, to be committed together.
fn stage_files(
    sources: &Sources,
    settings: &Settings,
    seen: &Seen,
    output: &Output,
) -> Result<Vec<Staged>> {
    let Seen { evaluation, train, space, quality } = seen;
    let (images, metrics, name) = (&sources.images, &evaluation.metrics, &sources.name());
    let (training, manifests) = (sources.training()?, sources.provenance()?);
    let balance = balance(images.classes(), &space.rows, &evaluation.rows);
    let map = Map::of(evaluation, space);
    let figures = Figures::draw(metrics, &training, &balance, &map);
    let pictures = settings.gallery > 0;
    let sprite = pictures.then(|| Sprite::of(images, map.every())).transpose()?;
    let page = Report {
        name,
        metrics,
        training: &training,
        confused: &Confused::of(images, evaluation, space, train, pictures)?,
        mistakes: &gallery(images, evaluation, settings.gallery)?,
        sprite: sprite.map(|sprite| {
            let points = map.for_script(&figures.at, &sprite, evaluation);
            (points.to_string(), sprite)
        }),
        balance: &balance,
        quality,
        odd: &quality.pictures(images, evaluation, space, settings.gallery.min(ODD))?,
        manifests: &manifests,
    }
    .render(&figures)?;
    let card = Card { name, metrics, training: &training, manifests: &manifests }.render()?;
    let map = &map;
    Results { evaluation, quality, map, figures: &figures, page: &page, card: &card }.stage(output)
}
