//! What is known of a penalty after it was tried.

use serde::Serialize;
use softmax::Stop;
use stage::Result;

use crate::judgement::Judgement;
use crate::kept_out::KeptOut;
use crate::walk::{Attempt, Look};

/// One penalty tried. Numbers of fits are sums over the turns, or of the one that says the most.
#[derive(Serialize, Clone, Debug)]
pub struct Trial {
    /// The penalty.
    pub lambda: f64,
    /// Iterations made in all turns.
    pub iterations: usize,
    /// Evaluations of objective and gradient in all turns.
    pub evaluations: usize,
    /// Why the fit ended; of several the one that ran out of iterations, or the last.
    pub stop: Stop,
    /// Norm of the last gradient, as a share of that at zero weights; the largest.
    pub gradient_norm: f64,
    /// Objective at the end, penalty included; the mean.
    pub objective: f64,
    /// How good it is.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// Objective at the start and after each iteration of the first turn.
    pub losses: Vec<f64>,
    /// Both parts during the first turn.
    pub curve: Vec<Look>,
}

impl Trial {
    /// Judges `attempts` with one penalty, one a turn, by what was kept out in these turns.
    pub fn new(attempts: &[&Attempt], kept: &KeptOut) -> Result<Self> {
        let first = &attempts[0];
        let turns: Vec<_> = attempts.iter().map(|a| (a.train, a.logits.view())).collect();
        let objectives = attempts.iter().map(|attempt| attempt.fit.objective);
        Ok(Self {
            lambda: first.fit.lambda,
            iterations: attempts.iter().map(|attempt| attempt.fit.iterations).sum(),
            evaluations: attempts.iter().map(|attempt| attempt.fit.evaluations).sum(),
            stop: worst(attempts),
            gradient_norm: attempts.iter().map(|a| a.fit.gradient_norm).fold(0.0, f64::max),
            objective: objectives.sum::<f64>() / attempts.len() as f64,
            judgement: Judgement::new(&turns, kept)?,
            losses: first.fit.curve.clone(),
            curve: first.looks.clone(),
        })
    }
}

fn worst(attempts: &[&Attempt]) -> Stop {
    let stops = || attempts.iter().map(|attempt| attempt.fit.stop);
    let last = stops().next_back();
    stops().find(|stop| *stop == Stop::Iterations).or(last).unwrap_or(Stop::Asked)
}
