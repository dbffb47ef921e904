//! What can be had from the same embeddings without training: k nearest neighbours and the
//! nearest class mean.

use std::collections::BTreeSet;

use baseline::{nearest_mean, neighbours, vote};
use serde::{Deserialize, Serialize};
use stage::Result;

use crate::data::Inputs;
use crate::division::Division;
use crate::settings::Settings;
use crate::split::Split;

/// Numbers of neighbours that vote.
const VOTERS: [usize; 3] = [1, 5, 25];

/// Accuracies on the validation part of classifiers that the training part is all of.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub struct Baselines {
    /// Images that were compared with.
    pub train_images: usize,
    /// Images that accuracies are of.
    pub validation_images: usize,
    /// By the most similar direction of a class's mean.
    pub nearest_mean: f64,
    /// By the most similar images.
    pub neighbours: Vec<Neighbours>,
}

/// Accuracy of the vote of some neighbours.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub struct Neighbours {
    /// How many vote.
    pub voters: usize,
    /// How often they are right.
    pub accuracy: f64,
}

/// Measures them on the split that trains the head, on the same standardised embeddings.
///
/// # Errors
/// [`Data`](stage::Fault::Data) on embeddings that can't be compared.
pub fn baselines(inputs: &Inputs, settings: &Settings) -> Result<Baselines> {
    let single = Settings { folds: None, ..settings.clone() };
    let split = Split::new(inputs.rows()?, inputs.classes.len(), &single, &BTreeSet::new())?;
    let division = Division::read(inputs, &split, &split.part(0), &single, |_, _| ())?;
    let (train, validation) = (division.train()?, division.validation()?);
    let right = |predicted: Vec<usize>| {
        let right = predicted.iter().zip(validation.labels()).filter(|(a, b)| a == b);
        right.count() as f64 / validation.rows() as f64
    };
    let mean = nearest_mean(train.x(), train.labels(), train.classes(), validation.x());
    let most = VOTERS[VOTERS.len() - 1];
    let found = neighbours(train.x(), train.labels(), validation.x(), most);
    let accuracy = |voters: usize| {
        // There is at least one neighbour, as the training part is never empty.
        right(found.iter().map(|labels| vote(labels, voters).unwrap_or_default()).collect())
    };
    Ok(Baselines {
        train_images: train.rows(),
        validation_images: validation.rows(),
        nearest_mean: right(mean),
        neighbours: VOTERS
            .iter()
            .map(|&voters| Neighbours { voters, accuracy: accuracy(voters) })
            .collect(),
    })
}
