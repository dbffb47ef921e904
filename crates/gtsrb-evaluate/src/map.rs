//! The map of the test images: where each lies along the first two principal directions.

use std::io::Write;

use artifact::harmless;
use serde_json::{Value, json};
use stage::{Error, Result};

use crate::evaluation::Evaluation;
use crate::space::Space;
use crate::sprite::{SIDE, Sprite};

/// Most images that are drawn; of more, every second, third …
const MOST: usize = 13_000;

/// Most characters of a path that the page shows.
const PATH: usize = 60;

/// Test images in the plane of the two directions along which their embeddings vary most.
pub struct Map {
    /// Where they are; 0 in a direction that there isn't.
    pub places: Vec<[f32; 2]>,
    /// The share of the variance along each direction.
    pub shares: [f64; 2],
    /// Their classes.
    pub labels: Vec<usize>,
    /// The classes that they are taken for.
    pub predicted: Vec<usize>,
    /// How many classes there are.
    pub classes: usize,
}

impl Map {
    /// The first two directions of `space`.
    #[must_use]
    pub fn of(evaluation: &Evaluation, space: &Space) -> Self {
        let place = |row: ndarray::ArrayView1<'_, f32>| {
            [0, 1].map(|axis| row.get(axis).copied().unwrap_or_default())
        };
        let places: Vec<[f32; 2]> = space.test.rows().into_iter().map(place).collect();
        let squares = |axis: usize| places.iter().map(move |place| f64::from(place[axis]).powi(2));
        let share =
            |axis: usize| squares(axis).sum::<f64>() / space.variance.max(f64::MIN_POSITIVE);
        Self {
            shares: [share(0), share(1)],
            places,
            labels: evaluation.scored.iter().map(|s| s.label).collect(),
            predicted: evaluation.scored.iter().map(|s| s.predicted).collect(),
            classes: evaluation.metrics.classes.len(),
        }
    }

    /// Of how many images one is drawn: the first, and so on.
    #[must_use]
    pub fn every(&self) -> usize {
        self.places.len().div_ceil(MOST).max(1)
    }

    /// Writes `path`, `x`, `y`, `label`, `predicted` of every image.
    pub fn write_csv(&self, sink: impl Write, paths: &[&str]) -> Result<()> {
        let failed = |e: csv::Error| Error::io(format!("report/map.csv: {e}"));
        let mut writer = csv::Writer::from_writer(sink);
        writer.write_record(["path", "x", "y", "label", "predicted"]).map_err(failed)?;
        let classes = self.labels.iter().zip(&self.predicted);
        for ((path, [x, y]), (label, predicted)) in paths.iter().zip(&self.places).zip(classes) {
            let numbers = [x.to_string(), y.to_string(), label.to_string(), predicted.to_string()];
            let row = std::iter::once(harmless(path)).chain(numbers);
            writer.write_record(row).map_err(failed)?;
        }
        writer.flush().map_err(|e| Error::io(format!("report/map.csv: {e}")))
    }

    /// What the page's script has to know of the images, which the drawing has `at`: for each with a
    /// tile of `sprite` its place, class, predicted class, confidence and path, the last two as
    /// `evaluation` has them.
    #[must_use]
    pub fn for_script(&self, at: &[(f64, f64)], sprite: &Sprite, evaluation: &Evaluation) -> Value {
        let shown = || (0..at.len()).step_by(sprite.every);
        let tenth = |value: f64| (10.0 * value).round() / 10.0;
        let point = |row: usize| {
            let sure = tenth(100.0 * evaluation.scored[row].confidence);
            let (x, y) = at[row];
            json!([tenth(x), tenth(y), self.labels[row], self.predicted[row], sure])
        };
        let names = evaluation.metrics.classes.iter().map(|class| &class.name);
        json!({
            "points": shown().map(point).collect::<Vec<_>>(),
            "paths": shown().map(|row| end_of(&evaluation.rows[row].path)).collect::<Vec<_>>(),
            "classes": names.collect::<Vec<_>>(),
            "side": SIDE,
            "columns": sprite.columns,
        })
    }
}

/// The last characters of a long path.
fn end_of(path: &str) -> String {
    match path.char_indices().rev().nth(PATH - 1) {
        Some((at, _)) if at > 0 => format!("…{}", &path[at..]),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_cut_at_the_front() {
        assert_eq!(end_of("a/b.png"), "a/b.png");
        let path = format!("ä{}", "é".repeat(PATH));
        assert_eq!(end_of(&path[2..]), path[2..]);
        assert_eq!(end_of(&path), format!("…{}", &path[2..]));
    }
}
