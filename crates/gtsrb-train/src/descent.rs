//! From embeddings to a head by mini-batches: a linear one, or one with a hidden layer.

use std::collections::BTreeSet;
use std::time::Instant;

use artifact::embeddings::{Cache, Row};
use ndarray::Array2;
use softmax::{
    Levels, Network, Recipe, Samples, Score, Standardization, Trainer, fit_network, score,
};
use stage::{Error, Result, check_interrupt, embeddings_dir};
use tracing::info;

use crate::data::{Inputs, labels};
use crate::division::Division;
use crate::judgement::Judgement;
use crate::kept_out::KeptOut;
use crate::settings::Settings;
use crate::split::Split;
use crate::spread::spread;
use crate::stream::Stream;
use crate::tap::Tap;
use crate::train::Probe;
use crate::watch::{Course, Watch};

/// A head that was trained by mini-batches, and how it came about.
pub struct Descent {
    /// Of embeddings as they are stored.
    pub network: Network,
    /// The same of the training part.
    pub partial: Network,
    /// What was asked for.
    pub recipe: Recipe,
    /// The training on the training part.
    pub course: Course,
    /// Those before, of more epochs, which were given up.
    pub given_up: Vec<Course>,
    /// How good `partial` is.
    pub judgement: Judgement,
    /// Its logits of what was kept out.
    pub logits: Array2<f32>,
    /// What was kept out.
    pub kept: KeptOut,
    /// All images.
    pub split: Split,
    /// Mean loss of each epoch of the last training, on everything.
    pub losses: Vec<f64>,
    /// Score of the last training.
    pub refit: Score,
    /// Some embeddings as they are stored.
    pub probe: Probe,
}

/// Splits, standardises, trains on the training part for as many epochs as the validation part
/// shows to be enough, and again on everything, for equally many. Embeddings that are more than
/// `memory` bytes are read in blocks, and so are those of several views, of which each epoch takes
/// the next. The validation part is of the plain view; the temperature is that part's.
pub fn descend(inputs: &Inputs, settings: &Settings) -> Result<Descent> {
    let split = Split::new(inputs.rows()?, inputs.classes.len(), settings, &BTreeSet::new())?;
    let bytes = (split.rows.len() * inputs.embedded.dims()? * size_of::<f32>()) as u64;
    if bytes > settings.memory {
        info!("{:.1} GB of embeddings are read in blocks", bytes as f64 / 1e9);
    }
    let recipe = Recipe { levels: levels(inputs, settings)?, ..settings.recipe() };
    if bytes <= settings.memory && inputs.augmented.is_empty() {
        in_memory(inputs, settings, recipe, split)
    } else {
        streamed(inputs, settings, recipe, split)
    }
}

/// The convolutions that are asked for, over the grids that the backbone gives.
fn levels(inputs: &Inputs, settings: &Settings) -> Result<Option<Levels>> {
    if settings.convolutions.is_empty() {
        return Ok(None);
    }
    let maps = Tap::all(&inputs.backbone()?)?.iter().map(Tap::map).collect();
    Levels::new(maps, settings.convolutions.clone()).map(Some).map_err(|e| {
        Error::config(format!(
            "[train] convolutions: {e}; [backbone] taps says which grids there are"
        ))
    })
}

fn in_memory(
    inputs: &Inputs,
    settings: &Settings,
    recipe: Recipe,
    split: Split,
) -> Result<Descent> {
    let mut probe = None;
    let division = Division::read(inputs, &split, &split.part(0), settings, |rows, x| {
        probe = Some(Probe::new(rows, x));
    })?;
    let parts = Parts {
        train: &division.train()?,
        validation: &division.validation()?,
        all: &division.all()?,
        watched: division.validation()?,
    };
    let probe = probe.ok_or_else(|| Error::internal("no embeddings were read"))?;
    fit(&parts, &division.standardization, recipe, split, probe)
}

fn streamed(inputs: &Inputs, settings: &Settings, recipe: Recipe, split: Split) -> Result<Descent> {
    let root = embeddings_dir()?;
    let views = std::iter::once(&inputs.view_hash).chain(&inputs.augmented);
    let caches = views.map(|&view| Cache::open(&root, view)).collect::<Result<Vec<_>>>()?;
    let plain = &caches[..1];
    let (dims, classes) = (inputs.embedded.dims()?, inputs.classes.len());
    let part = split.part(0);
    let rows: Vec<Row> = part.order.iter().map(|&index| split.rows[index].clone()).collect();
    let (labels, keys) = (labels(&rows), rows.iter().map(|row| row.key).collect::<Vec<_>>());
    // Half of the memory for the rows that are trained on, a quarter for those watched.
    let open = |caches, range: std::ops::Range<usize>| {
        let (keys, labels, rows) = (&keys[range.clone()], &labels[range.clone()], &rows[range]);
        let name = move |key: usize| rows[key].path.clone();
        Stream::new(caches, keys, labels, dims, settings.memory / 2, name)
    };
    let train = open(&caches, 0..part.train)?;
    let by = train.standardization()?;
    let watched = watched(&rows[part.train..], settings.memory / 4, dims);
    let (watched_y, mut watched_x) = (self::labels(&watched), inputs.matrix(&watched)?);
    by.apply(watched_x.view_mut());
    let streamed = |stream| Streamed { stream, by: &by, classes };
    let parts = Parts {
        train: &streamed(train),
        validation: &streamed(open(plain, part.train..rows.len())?),
        all: &streamed(open(&caches, 0..rows.len())?),
        watched: Samples::new(watched_x.view(), &watched_y, classes)
            .map_err(|e| crate::data::describe(&e, &watched, watched_x.view()))?,
    };
    let probe = Probe::read(inputs, &rows)?;
    fit(&parts, &by, recipe, split, probe)
}

/// As many of the `rows` as fit into `bytes`, evenly spread.
fn watched(rows: &[Row], bytes: u64, dims: usize) -> Vec<Row> {
    let room = (bytes as usize / (dims * size_of::<f32>())).max(1);
    spread(room, rows.len()).map(|index| rows[index].clone()).collect()
}

/// What is trained on and what it is judged by.
struct Parts<'a> {
    train: &'a dyn Rows,
    validation: &'a dyn Rows,
    /// Both.
    all: &'a dyn Rows,
    /// The validation part, or as much of it as fits into memory.
    watched: Samples<'a>,
}

/// Standardised embeddings, wherever they are.
trait Rows {
    fn labels(&self) -> &[usize];
    /// How many embeddings a picture has.
    fn views(&self) -> usize;
    fn logits(&self, network: &Network) -> Result<Array2<f32>>;
    fn fit(&self, recipe: &Recipe, observe: &mut Observer<'_>) -> Result<Network>;
}

/// Sees the number of an epoch, its mean loss and the network; false ends the training.
type Observer<'a> = dyn FnMut(usize, f64, &Trainer) -> bool + 'a;

impl Rows for Samples<'_> {
    fn labels(&self) -> &[usize] {
        Samples::labels(self)
    }

    fn views(&self) -> usize {
        1
    }

    fn logits(&self, network: &Network) -> Result<Array2<f32>> {
        Ok(network.logits(self.x()))
    }

    fn fit(&self, recipe: &Recipe, observe: &mut Observer<'_>) -> Result<Network> {
        let network = fit_network(self, recipe, || check_interrupt().is_ok(), observe);
        check_interrupt()?;
        Ok(network)
    }
}

/// Embeddings that are read in blocks and standardised then.
struct Streamed<'a> {
    stream: Stream<'a>,
    by: &'a Standardization,
    classes: usize,
}

impl Rows for Streamed<'_> {
    fn labels(&self) -> &[usize] {
        self.stream.labels()
    }

    fn views(&self) -> usize {
        self.stream.views()
    }

    fn logits(&self, network: &Network) -> Result<Array2<f32>> {
        self.stream.logits(network, self.by)
    }

    fn fit(&self, recipe: &Recipe, observe: &mut Observer<'_>) -> Result<Network> {
        self.stream.fit(self.classes, recipe, self.by, observe)
    }
}

fn fit(
    parts: &Parts<'_>,
    by: &Standardization,
    recipe: Recipe,
    split: Split,
    probe: Probe,
) -> Result<Descent> {
    let started = Instant::now();
    let mut given_up = Vec::new();
    let (partial, course) = settle(parts, recipe.clone(), &mut given_up)?;
    let kept = KeptOut::of(&split, 0..1);
    let logits = parts.validation.logits(&partial)?;
    let train = score(parts.train.logits(&partial)?.view(), parts.train.labels());
    let judgement = Judgement::new(&[(train, logits.view())], &kept)?;
    let (network, losses) = refit(parts.all, &Recipe { epochs: course.epochs, ..recipe.clone() })?;
    let refit = score(parts.all.logits(&network)?.view(), parts.all.labels());
    info!("trained in {:.1} s", started.elapsed().as_secs_f64());
    let (network, partial) = (network.on_raw(by), partial.on_raw(by));
    Ok(Descent {
        network,
        partial,
        recipe,
        course,
        given_up,
        judgement,
        logits,
        kept,
        split,
        losses,
        refit,
        probe,
    })
}

/// Trains on the training part until the end of a schedule, where the learning rate is 0: the
/// networks on the way there are worth less. A schedule in whose middle the validation part gets
/// no better is too long: the next one has as many epochs as were best.
fn settle(
    parts: &Parts<'_>,
    mut recipe: Recipe,
    given_up: &mut Vec<Course>,
) -> Result<(Network, Course)> {
    loop {
        let mut watch = Watch::new(recipe.epochs, parts.train.views());
        let network = parts.train.fit(&recipe, &mut |epoch, loss, trainer| {
            watch.look(epoch, loss, &trainer.network(), &parts.watched);
            watch.may_go_on()
        })?;
        let course = watch.course(&recipe)?;
        if course.curve.len() == course.epochs {
            return Ok((network, course));
        }
        recipe.epochs = course.best;
        info!("no better after epoch {}: the next training has as many epochs", course.best);
        given_up.push(course);
    }
}

/// Trains on everything; gives the mean loss of each epoch, too.
fn refit(all: &dyn Rows, recipe: &Recipe) -> Result<(Network, Vec<f64>)> {
    let mut losses = Vec::new();
    let network = all.fit(recipe, &mut |_, loss, _| {
        losses.push(loss);
        true
    })?;
    Ok((network, losses))
}
