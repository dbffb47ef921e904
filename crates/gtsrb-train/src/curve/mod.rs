//! How accuracy grows with the number of pictures: the learning curve, and few shots.

mod figure;
mod ground;

use std::collections::BTreeSet;

use artifact::embeddings::Row;
use artifact::images::Split as Part;
use serde::{Deserialize, Serialize};
use stage::{Error, Progress, Result, check_interrupt};
use tracing::info;

use crate::data::Inputs;
use crate::search::penalty;
use crate::settings::Settings;
use crate::split::Split;
use ground::{Draw, Ground};

/// The penalty of few shots. They leave nothing to choose one by; with more numbers than
/// pictures the classes are told apart under any, and which one hardly matters.
const FEW: f64 = 1e-2;

/// Accuracies by the number of tracks or pictures learned from.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub struct Curve {
    /// What is counted: `tracks` (or `pictures`, where there are none) or `shots`, which are
    /// pictures of different tracks.
    pub counted: String,
    /// What accuracies are measured on.
    pub measured_on: String,
    /// Images there.
    pub measured_images: usize,
    /// The penalty of all fits.
    pub lambda: f64,
    /// One for each size, ascending.
    pub points: Vec<Point>,
    /// Whether more would help; for few shots what the numbers are.
    pub conclusion: String,
}

/// Several draws of one size.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub struct Point {
    /// What was asked for of each class; classes with fewer give all.
    pub size: usize,
    /// The mean over classes of what they gave.
    pub a_class: f64,
    /// Images learned from, the mean of the draws.
    pub images: f64,
    /// Accuracy of each draw.
    pub accuracies: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (divisor n - 1); 0 for a single one.
    pub deviation: f64,
}

/// Accuracy on the validation part by the number of tracks of each class, with the penalty
/// `lambda`, or else the best one for all tracks. The test images are left alone: what they say
/// must not decide anything.
///
/// # Errors
/// [`Data`](stage::Fault::Data) on embeddings that can't be trained on.
pub fn learning_curve(
    inputs: &Inputs,
    settings: &Settings,
    lambda: Option<f64>,
    sizes: &[usize],
    seeds: u64,
) -> Result<Curve> {
    let single = Settings { folds: None, ..settings.clone() };
    let split = Split::new(inputs.rows()?, inputs.classes.len(), &single, &BTreeSet::new())?;
    let lambda = lambda.map_or_else(|| penalty(inputs, &single, &split), Ok)?;
    let part = split.part(0);
    let take = |indices: &[usize]| -> Vec<Row> {
        indices.iter().map(|&index| split.rows[index].clone()).collect()
    };
    let (train, validation) = part.order.split_at(part.train);
    let ground = Ground::read(inputs, take(train), take(validation))?;
    let most = ground.ranked(0).iter().map(Vec::len).max().unwrap_or(0);
    let doublings = || (0..).map(|power| 1 << power).take_while(|size| *size < most);
    let mut sizes = if sizes.is_empty() { doublings().collect() } else { sizes.to_vec() };
    sizes.retain(|size| *size < most);
    sizes.push(most);

    let measure = |rows: &[usize]| ground.accuracy(rows, lambda, settings);
    let points = points(&ground, &sizes, seeds, Ground::tracks, measure)?;
    let counted = split.counts.unit();
    Ok(Curve {
        counted: counted.to_owned(),
        measured_on: "validation".to_owned(),
        measured_images: ground.test_labels.len(),
        lambda,
        conclusion: more(&points, counted),
        points,
    })
}

/// Accuracy on the test images by a few pictures of each class, each of another track as far as
/// there are tracks. Nothing is chosen by anything, so that nothing is learned from the test.
///
/// # Errors
/// [`Data`](stage::Fault::Data) without test images or on embeddings that can't be trained on.
pub fn few_shots(
    inputs: &Inputs,
    settings: &Settings,
    sizes: &[usize],
    seeds: u64,
) -> Result<Curve> {
    let test = inputs.embedded.rows(Part::Test)?;
    if test.is_empty() {
        return Err(Error::data(format!(
            "{} has no test images, which few shots are measured on: ingest a set that has some",
            inputs.run.join("images").display()
        )));
    }
    let ground = Ground::read(inputs, inputs.rows()?, test)?;
    let measure = |rows: &[usize]| ground.accuracy(rows, FEW, settings);
    let points = points(&ground, sizes, seeds, Ground::pictures, measure)?;
    Ok(Curve {
        counted: "shots".to_owned(),
        measured_on: "test".to_owned(),
        measured_images: ground.test_labels.len(),
        lambda: FEW,
        points,
        conclusion: "A shot is one picture; shots of a class are of different tracks as far as \
                     there are. The penalty is fixed and the test images decide nothing."
            .to_owned(),
    })
}

/// Measures `seeds` draws of each size; one where everything is drawn.
fn points(
    ground: &Ground,
    sizes: &[usize],
    seeds: u64,
    draw: impl Fn(&Ground, u64, usize) -> Draw,
    measure: impl Fn(&[usize]) -> Result<f64>,
) -> Result<Vec<Point>> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes.dedup();
    let progress = Progress::new("draws", sizes.len() as u64 * seeds);
    let mut points = Vec::new();
    for size in sizes {
        let mut draws: Vec<(Draw, f64)> = Vec::new();
        for seed in 1..=seeds {
            check_interrupt()?;
            let draw = draw(ground, seed, size);
            let accuracy = measure(&draw.rows)?;
            let all = draw.rows.len() == ground.rows.len();
            draws.push((draw, accuracy));
            progress.inc(1);
            if all {
                break;
            }
        }
        points.push(Point::new(size, ground.classes, &draws));
        info!("{size} a class: {:.2} %", 100.0 * points[points.len() - 1].mean);
    }
    Ok(points)
}

impl Point {
    fn new(size: usize, classes: usize, draws: &[(Draw, f64)]) -> Self {
        let count = draws.len() as f64;
        let mean_of = |value: &dyn Fn(&(Draw, f64)) -> f64| -> f64 {
            draws.iter().map(value).sum::<f64>() / count
        };
        let mean = mean_of(&|draw| draw.1);
        let squares = mean_of(&|draw| (draw.1 - mean).powi(2)) * count;
        Self {
            size,
            a_class: mean_of(&|draw| draw.0.count as f64) / classes as f64,
            images: mean_of(&|draw| draw.0.rows.len() as f64),
            accuracies: draws.iter().map(|draw| draw.1).collect(),
            mean,
            deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
        }
    }
}

/// Points of accuracy that twice as much would have to bring to be worth it.
const WORTH: f64 = 0.002;

/// Whether more would help: what the last doubling brought, and the next would if it took away
/// the same share of the errors.
fn more(points: &[Point], counted: &str) -> String {
    let full = &points[points.len() - 1];
    let Some(half) = points.iter().rev().find(|point| point.a_class <= 0.6 * full.a_class) else {
        return format!("Too few {counted} to say whether more would help.");
    };
    let (before, after) = (1.0 - half.mean, 1.0 - full.mean);
    let doublings = (full.a_class / half.a_class).log2();
    let share = if before > 0.0 { (after / before).powf(doublings.recip()) } else { 1.0 };
    let gain = after * (1.0 - share);
    let numbers = format!(
        "from {:.1} to {:.1} {counted} a class the errors fell from {:.2} to {:.2} % of the \
         validation images, with a spread of {:.2} points between draws",
        half.a_class,
        full.a_class,
        100.0 * before,
        100.0 * after,
        100.0 * half.deviation
    );
    if before - after <= half.deviation {
        format!("More {counted} of the same kind would hardly be noticed: {numbers}.")
    } else if gain < WORTH {
        format!("More {counted} of the same kind would help little: {numbers}.")
    } else {
        format!(
            "More {counted} would help: {numbers}. Going on like that, twice as many would bring \
             {:.1} points.",
            100.0 * gain
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(a_class: f64, mean: f64) -> Point {
        Point { size: 1, a_class, images: 30.0, accuracies: vec![mean], mean, deviation: 0.005 }
    }

    #[test]
    fn more_helps_where_the_last_doubling_did() {
        let words = |means: [f64; 3]| {
            let sizes = [4.0, 8.0, 16.0].into_iter();
            more(&sizes.zip(means).map(|(n, m)| point(n, m)).collect::<Vec<_>>(), "tracks")
        };
        // The errors are halved: the next half is 2.5 points.
        let helps = words([0.8, 0.9, 0.95]);
        assert!(helps.starts_with("More tracks would help: from 8.0 to 16.0 tracks"), "{helps}");
        assert!(helps.ends_with("twice as many would bring 2.5 points."), "{helps}");
        assert!(words([0.8, 0.9, 0.903]).contains("hardly be noticed"));
        assert!(words([0.8, 0.993, 0.9995]).contains("would help little"));
        assert!(more(&[point(1.0, 0.5)], "tracks").starts_with("Too few tracks"));
    }

    #[test]
    fn a_point_is_the_mean_of_its_draws() {
        let draw = |rows: usize, accuracy| (Draw { rows: vec![0; rows], count: 6 }, accuracy);
        let point = Point::new(2, 3, &[draw(10, 0.5), draw(20, 0.7)]);
        assert!((point.images - 15.0).abs() < 1e-12 && (point.a_class - 2.0).abs() < 1e-12);
        assert!((point.mean - 0.6).abs() < 1e-12);
        assert!((point.deviation - 0.02_f64.sqrt()).abs() < 1e-12);
    }
}
