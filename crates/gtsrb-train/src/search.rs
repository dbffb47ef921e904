//! Which penalty is chosen, by what was kept out of training.

use ndarray::Array2;
use softmax::{Model, Options};
use stage::{Progress, Result};

use crate::data::Inputs;
use crate::division::Division;
use crate::judgement::pooled;
use crate::kept_out::KeptOut;
use crate::settings::{Rule, Settings};
use crate::split::Split;
use crate::trial::Trial;
use crate::walk::Attempt;
use crate::warm::Warm;

/// Penalties tried by default, strongest first.
const PENALTIES: [f64; 6] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6];

/// Stronger ones, tried by default in tens as long as the strongest is chosen: few pictures
/// need them.
const STRONGEST: f64 = 1e2;

/// Penalties in a row that may be no better than the best before a path ends.
const PATIENCE: usize = 2;

/// The path of penalties and its choice.
pub struct Search {
    /// The penalties tried, strongest first.
    pub path: Vec<Trial>,
    /// Index of the chosen one.
    pub chosen: usize,
    /// The penalty that was tried first; all weaker ones went on from there.
    pub first: f64,
    /// Its model in the last turn, of standardised embeddings.
    pub model: Model,
    /// Weaker penalties that were not tried because stronger ones were better.
    pub skipped: Vec<f64>,
    /// What was kept out.
    pub kept: KeptOut,
    /// Its logits by the chosen penalty, `[images, classes]`.
    pub logits: Array2<f32>,
}

impl Search {
    /// The chosen trial.
    pub fn trial(&self) -> &Trial {
        &self.path[self.chosen]
    }
}

/// The attempts of each turn, with the same penalties in the same order.
pub struct Turns<'a> {
    settings: &'a Settings,
    split: &'a Split,
    options: Options,
    warm: Option<&'a Warm>,
    attempts: Vec<Vec<Attempt>>,
    skipped: Vec<f64>,
}

impl<'a> Turns<'a> {
    /// None yet; the first fit starts from `warm`.
    pub fn new(settings: &'a Settings, split: &'a Split, warm: Option<&'a Warm>) -> Self {
        let options = settings.options();
        Self { settings, split, options, warm, attempts: vec![], skipped: vec![] }
    }

    /// Tries penalties on the next turn's `division`. The first turn decides which.
    pub fn add(&mut self, division: &Division, start: &Model) -> Result<()> {
        let attempts = match self.attempts.first() {
            None => self.explore(division, start)?,
            Some(first) => {
                let lambdas: Vec<f64> = first.iter().map(|attempt| attempt.fit.lambda).collect();
                self.retrace(division, &lambdas, start)?
            }
        };
        self.attempts.push(attempts);
        Ok(())
    }

    /// Goes from strong to weak, each fit from where the last ones point, until two penalties in
    /// a row are no better than the best; then, by default, on to stronger ones.
    fn explore(&mut self, division: &Division, start: &Model) -> Result<Vec<Attempt>> {
        let lambdas = self.lambdas();
        let progress = Progress::new("penalties", lambdas.len() as u64);
        let kept = KeptOut::of(self.split, 0..1);
        let (mut attempts, mut path): (Vec<Attempt>, Vec<Trial>) = (vec![], vec![]);
        for (index, &lambda) in lambdas.iter().enumerate() {
            let start = ahead(&attempts, lambda, start);
            let attempt = Attempt::new(division, lambda, &start, &self.options)?;
            progress.inc(1);
            path.push(Trial::new(&[&attempt], &kept)?);
            attempts.push(attempt);
            if index - choose(&path, Rule::Best) == PATIENCE {
                self.skipped = lambdas[index + 1..].to_vec();
                break;
            }
        }
        while self.settings.lambdas.is_none() && choose(&path, self.settings.rule) == 0 {
            let lambda = 10.0 * path[0].lambda;
            if lambda > STRONGEST {
                break;
            }
            let start = &attempts[0].fit.model;
            let attempt = Attempt::new(division, lambda, start, &self.options)?;
            path.insert(0, Trial::new(&[&attempt], &kept)?);
            attempts.insert(0, attempt);
        }
        Ok(attempts)
    }

    /// Those given, or the default ones; after a warm start from its own on, if it has one.
    fn lambdas(&self) -> Vec<f64> {
        let first = self.warm.and_then(|warm| warm.lambda);
        self.settings.lambdas.clone().unwrap_or_else(|| {
            let weaker = PENALTIES.into_iter().filter(|lambda| first.is_none_or(|f| *lambda < f));
            first.into_iter().chain(weaker).collect()
        })
    }

    fn retrace(&self, division: &Division, lambdas: &[f64], start: &Model) -> Result<Vec<Attempt>> {
        let progress = Progress::new("penalties", lambdas.len() as u64);
        let mut attempts = Vec::new();
        for &lambda in lambdas {
            let start = ahead(&attempts, lambda, start);
            attempts.push(Attempt::new(division, lambda, &start, &self.options)?);
            progress.inc(1);
        }
        Ok(attempts)
    }

    /// Chooses, by everything that was kept out in any turn.
    pub fn choose(self) -> Result<Search> {
        let kept = KeptOut::of(self.split, 0..self.attempts.len());
        let of_penalty = |index: usize| -> Vec<&Attempt> {
            self.attempts.iter().map(|attempts| &attempts[index]).collect()
        };
        let path = (0..self.attempts[0].len())
            .map(|index| Trial::new(&of_penalty(index), &kept))
            .collect::<Result<Vec<_>>>()?;
        let chosen = choose(&path, self.settings.rule);
        let attempts = of_penalty(chosen);
        Ok(Search {
            model: attempts[attempts.len() - 1].fit.model.clone(),
            logits: pooled(attempts.iter().map(|attempt| attempt.logits.view()))?,
            path,
            chosen,
            first: self.lambdas()[0],
            skipped: self.skipped,
            kept,
        })
    }
}

/// The penalty that is chosen on the first turn of `split`, by a path on its own.
///
/// # Errors
/// [`Data`](stage::Fault::Data) on embeddings that can't be trained on.
pub fn penalty(inputs: &Inputs, settings: &Settings, split: &Split) -> Result<f64> {
    let division = Division::read(inputs, split, &split.part(0), settings, |_, _| ())?;
    let mut turns = Turns::new(settings, split, None);
    turns.add(&division, &division.zeros())?;
    Ok(turns.choose()?.trial().lambda)
}

/// Where the next fit of a path begins: ahead of the last two, or at the last one, or at `start`.
fn ahead(attempts: &[Attempt], lambda: f64, start: &Model) -> Model {
    match attempts {
        [.., before, last] => last.fit.extrapolate(&before.fit, lambda),
        [last] => last.fit.model.clone(),
        [] => start.clone(),
    }
}

/// Index of the penalty that `rule` chooses from `path`, which is sorted from strong to weak.
/// It looks at the log-loss after temperature scaling: log-loss uses the probability of every
/// picture, where accuracy jumps by a whole track, and a temperature is exported anyway, so
/// that mere overconfidence doesn't count. Of equal ones the strongest counts.
fn choose(path: &[Trial], rule: Rule) -> usize {
    let mut best = 0;
    for (index, trial) in path.iter().enumerate() {
        if trial.judgement.calibrated_loss < path[best].judgement.calibrated_loss {
            best = index;
        }
    }
    match rule {
        Rule::Best => best,
        Rule::OneSe => {
            let limit = path[best].judgement.calibrated_loss + path[best].judgement.standard_error;
            path.iter().position(|trial| trial.judgement.calibrated_loss <= limit).unwrap_or(best)
        }
    }
}
