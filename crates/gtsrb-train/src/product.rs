//! What a training ends in, whichever way it went.

use artifact::head::Head;
use artifact::{Output, Predictions, Staged};
use ndarray::Array2;
use softmax::{predicted, probabilities};
use stage::Result;

use crate::data::Inputs;
use crate::descent::descend;
use crate::descent_record::Descended;
use crate::kept_out::KeptOut;
use crate::record::{Training, classes, to_bytes, warn_of_classes};
use crate::settings::Settings;
use crate::split::Split;
use crate::summary::{Origin, Summary};
use crate::train::{Probe, head, train};
use crate::warm::Warm;

/// A head, and what there is to say of it.
pub struct Product {
    /// The head.
    pub head: Head,
    /// The head before it learned what was kept out.
    pub partial: Head,
    /// Pictures to try its files on.
    pub probe: Probe,
    /// The bytes of `training.json`.
    pub record: Vec<u8>,
    /// What the stage says at its end.
    pub summary: Summary,
    /// All images.
    split: Split,
    /// Those that were kept out.
    kept: KeptOut,
    /// Their logits by fits that hadn't seen them, `[images, classes]`.
    logits: Array2<f32>,
}

impl Product {
    /// Of a path of penalties, each fitted until it converges.
    pub fn of_path(inputs: &Inputs, settings: &Settings, warm: Option<&Warm>) -> Result<Self> {
        let trained = train(inputs, settings, warm)?;
        let training = Training::new(inputs, &trained, settings.rule);
        training.warn();
        let counts = &trained.split.counts;
        let chosen = trained.search.trial();
        let origin = Origin::Lbfgs { lambda: chosen.lambda, iterations: trained.iterations() };
        let scores = (&chosen.judgement, &trained.refit_score);
        Ok(Self {
            record: to_bytes(&training)?,
            summary: Summary::new(origin, scores, counts, inputs.classes.len()),
            head: trained.head,
            partial: trained.partial,
            probe: trained.probe,
            split: trained.split,
            kept: trained.search.kept,
            logits: trained.search.logits,
        })
    }

    /// Of epochs of mini-batches.
    pub fn of_epochs(inputs: &Inputs, settings: &Settings) -> Result<Self> {
        let trained = descend(inputs, settings)?;
        let counts = &trained.split.counts;
        warn_of_classes(&classes(&inputs.classes, &trained.split), counts);
        let courses = trained.given_up.iter().chain([&trained.course]);
        let epochs = courses.map(|course| course.curve.len()).sum::<usize>() + trained.losses.len();
        let origin = Origin::Sgd { weight_decay: trained.recipe.weight_decay, epochs };
        let scores = (&trained.judgement, &trained.refit);
        Ok(Self {
            record: to_bytes(&Descended::new(inputs, &trained))?,
            summary: Summary::new(origin, scores, counts, inputs.classes.len()),
            partial: head(inputs, trained.partial, &trained.judgement),
            head: head(inputs, trained.network, &trained.judgement),
            probe: trained.probe,
            split: trained.split,
            kept: trained.kept,
            logits: trained.logits,
        })
    }

    /// `oof.parquet`: what the fits that hadn't seen a picture say of it.
    pub fn write_kept_out(&self, output: &Output) -> Result<Staged> {
        let Self { split, kept, .. } = self;
        let probabilities = probabilities(self.logits.clone(), self.head.temperature);
        let paths: Vec<&str> = kept.rows.iter().map(|&row| split.rows[row].path.as_str()).collect();
        let mut file = output.create("oof.parquet")?;
        Predictions {
            paths: &paths,
            labels: Some(&kept.labels),
            predicted: &predicted(probabilities.view()),
            probabilities: probabilities.view(),
            folds: Some(&kept.turns),
        }
        .write(&mut file)?;
        file.finish(Some(paths.len() as u64))
    }
}
