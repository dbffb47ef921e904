//! The settings of `[train]`, checked.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use softmax::Optimizer;
use stage::{Error, Result};

use crate::args::{Args, Command};
use crate::balance::ClassWeights;

/// Learning rate and weight decay of [`Optimizer::AdamW`]: the best tried on tracks of real GTSRB.
const ADAMW: (f64, f64) = (1e-3, 1.0);

/// Those of [`Optimizer::AdamW`] with convolutions.
const CONVOLUTIONS: (f64, f64) = (2e-3, 1e-2);

/// Those of [`Optimizer::Momentum`], found in the same way.
const MOMENTUM: (f64, f64) = (0.1, 1e-4);

/// Rows of a step by mini-batches.
const BATCH: usize = 256;

/// How a head is fitted.
#[derive(Serialize, Deserialize, clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// A path of penalties, each fitted until it converges.
    Lbfgs,
    /// Epochs of mini-batches.
    Sgd,
}

/// Which penalty of a path is chosen.
#[derive(Serialize, Deserialize, clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The one with the lowest loss.
    Best,
    /// The strongest whose loss is within one standard error of the lowest.
    OneSe,
}

/// The section `[train]`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How the head is fitted; `None` is what the head needs.
    pub solver: Option<Solver>,
    /// Channels of 3 x 3 convolutions over the grids of the embedding, each of which halves them;
    /// none is a head without.
    pub convolutions: Vec<usize>,
    /// Units of the hidden layer; 0 is none.
    pub hidden: usize,
    /// Networks of so many units that are averaged into one.
    pub members: usize,
    /// Share of them left out at random.
    pub dropout: f32,
    /// Passes over the embeddings.
    pub epochs: usize,
    /// What mini-batches are trained with.
    pub optimizer: Optimizer,
    /// Highest learning rate; `None` is what the optimizer needs.
    pub learning_rate: Option<f64>,
    /// Share of itself that a weight loses in a step, per learning rate; `None` is what the
    /// optimizer needs.
    pub weight_decay: Option<f64>,
    /// Bytes of embeddings in memory.
    pub memory: u64,
    /// L2 penalties λ to try, strongest first; `None` leaves it to the
    /// [search](crate::search).
    pub lambdas: Option<Vec<f64>>,
    /// Which of them is chosen.
    pub rule: Rule,
    /// Share of each class's tracks kept out to choose λ.
    pub validation: f64,
    /// Turns of cross-validation; `None` for a single split.
    pub folds: Option<usize>,
    /// Decides which tracks those are, and where mini-batches start.
    pub seed: u64,
    /// How often pictures of each class count.
    pub class_weights: ClassWeights,
    /// Share of each label that is spread over all classes.
    pub label_smoothing: f32,
    /// The folder of an earlier run whose model fits start from. What is there decides, and
    /// not where it is: its hash is an input.
    #[serde(skip_serializing)]
    pub warm_start: Option<PathBuf>,
    /// A fit ends when the objective falls by less than this share of itself in 5 iterations.
    pub tolerance: f64,
    /// A fit ends, not converged, after this many iterations.
    pub max_iterations: usize,
    /// Shall fits compute in f64 throughout?
    pub precise: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            solver: None,
            convolutions: Vec::new(),
            hidden: 0,
            members: 1,
            dropout: 0.5,
            epochs: 40,
            optimizer: Optimizer::AdamW,
            learning_rate: None,
            weight_decay: None,
            memory: 8 << 30,
            lambdas: None,
            rule: Rule::Best,
            validation: 0.2,
            folds: None,
            seed: 1,
            class_weights: ClassWeights::None,
            label_smoothing: 0.0,
            warm_start: None,
            tolerance: 1e-2,
            max_iterations: 300,
            precise: false,
        }
    }
}

impl Settings {
    /// Reads and checks the settings; sorts the penalties, strongest first.
    ///
    /// # Errors
    /// [`Config`](stage::Fault::Config) naming the key at fault.
    pub fn of(args: &Args) -> Result<Self> {
        args.command.as_ref().map_or(Ok(()), Command::check)?;
        let mut settings: Self = args.common.settings("train", &args.flags)?;
        let wrong = |what: String| Err(Error::config(format!("[train] {what}")));
        if let Some(lambdas) = &mut settings.lambdas {
            if lambdas.is_empty() {
                return wrong("lambdas is empty: give at least one penalty".into());
            }
            if let Some(lambda) = lambdas.iter().find(|l| !(l.is_finite() && **l > 0.0)) {
                return wrong(format!("lambdas holds {lambda}: penalties must be above 0"));
            }
            lambdas.sort_by(|a, b| b.total_cmp(a));
            lambdas.dedup();
        }
        let Self { validation, folds, label_smoothing, tolerance, max_iterations, .. } = settings;
        if folds.is_some_and(|folds| folds < 2) {
            return wrong("folds must be at least 2; leave it out for a single split".into());
        }
        if folds.is_some() && settings.warm_start.is_some() {
            return wrong("warm_start knows a single split: leave folds out".into());
        }
        if !(validation > 0.0 && validation < 1.0) {
            return wrong(format!("validation = {validation}: must be between 0 and 1"));
        }
        if !(0.0..1.0).contains(&label_smoothing) {
            return wrong(format!(
                "label_smoothing = {label_smoothing}: must be 0 or more, below 1"
            ));
        }
        if !(tolerance > 0.0 && tolerance < 1.0) {
            return wrong(format!("tolerance = {tolerance}: must be between 0 and 1"));
        }
        if max_iterations == 0 {
            return wrong("max_iterations = 0: must be at least 1".into());
        }
        settings.check_descent()?;
        Ok(settings)
    }

    /// What only training by mini-batches reads, and what it can't do.
    fn check_descent(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::config(format!("[train] {what}")));
        let Self { hidden, members, dropout, epochs, memory, .. } = *self;
        let softmax::Recipe { learning_rate, weight_decay, .. } = self.recipe();
        if self.is_deep() && self.solver == Some(Solver::Lbfgs) {
            let convolutions = &self.convolutions;
            return wrong(format!(
                "hidden = {hidden} with convolutions = {convolutions:?} needs solver = \"sgd\""
            ));
        }
        if self.convolutions.contains(&0) {
            return wrong("convolutions holds 0: each needs at least one channel".into());
        }
        if members == 0 || members > 1 && !self.is_deep() {
            return wrong(format!(
                "members = {members}: must be at least 1, and 1 for a linear head"
            ));
        }
        if !(0.0..1.0).contains(&dropout) {
            return wrong(format!("dropout = {dropout}: must be 0 or more, below 1"));
        }
        if epochs == 0 {
            return wrong("epochs = 0: must be at least 1".into());
        }
        for (key, value) in [("learning_rate", learning_rate), ("weight_decay", weight_decay)] {
            if !(value > 0.0 && value.is_finite()) {
                return wrong(format!("{key} = {value}: must be above 0"));
            }
        }
        if memory == 0 {
            return wrong("memory = 0: must be above 0".into());
        }
        let path_only = [
            ("folds", self.folds.is_some()),
            ("class_weights", self.class_weights != ClassWeights::None),
            ("warm_start", self.warm_start.is_some()),
        ];
        let unfit = path_only.iter().find(|(_, given)| *given && self.solver() == Solver::Sgd);
        if let Some((key, _)) = unfit {
            return wrong(format!("{key} needs a linear head and solver = \"lbfgs\""));
        }
        Ok(())
    }

    /// How the head is fitted.
    #[must_use]
    pub fn solver(&self) -> Solver {
        let needed = if self.is_deep() { Solver::Sgd } else { Solver::Lbfgs };
        self.solver.unwrap_or(needed)
    }

    /// Whether the head is more than linear.
    fn is_deep(&self) -> bool {
        self.hidden > 0 || !self.convolutions.is_empty()
    }

    /// How to train by mini-batches, convolutions aside.
    #[must_use]
    pub fn recipe(&self) -> softmax::Recipe {
        let (rate, decay) = match self.optimizer {
            Optimizer::AdamW if !self.convolutions.is_empty() => CONVOLUTIONS,
            Optimizer::AdamW => ADAMW,
            Optimizer::Momentum => MOMENTUM,
        };
        softmax::Recipe {
            levels: None,
            hidden: self.hidden,
            members: self.members,
            dropout: self.dropout,
            smoothing: self.label_smoothing,
            optimizer: self.optimizer,
            learning_rate: self.learning_rate.unwrap_or(rate),
            weight_decay: self.weight_decay.unwrap_or(decay),
            batch: BATCH,
            epochs: self.epochs,
            seed: self.seed,
        }
    }

    /// When a fit ends.
    #[must_use]
    pub fn options(&self) -> softmax::Options {
        softmax::Options {
            tolerance: self.tolerance,
            max_iterations: self.max_iterations,
            precise: self.precise,
            ..softmax::Options::default()
        }
    }
}
