//! Checked training data.

use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis};

use crate::Error;

/// Features and labels that have been checked: finite, of matching shapes, labels in range. Each
/// row counts once, and its target is its label, unless [`Self::weighted`] and
/// [`Self::smoothed`] say otherwise, to training alone: scores and checks ignore both.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    pub(crate) x: ArrayView2<'a, f32>,
    pub(crate) y: &'a [usize],
    pub(crate) classes: usize,
    /// None where each row counts once.
    weights: Option<&'a [f32]>,
    /// Sum of the weights.
    total: f64,
    smoothing: f32,
}

impl<'a> Samples<'a> {
    /// Takes features `x` `[rows, features]` and labels `y` `[rows]`, each below `classes`.
    ///
    /// # Errors
    /// No rows or no columns, a different number of labels, a label out of range, a feature
    /// that is NaN or infinite (the first one is named).
    pub fn new(x: ArrayView2<'a, f32>, y: &'a [usize], classes: usize) -> Result<Self, Error> {
        let (rows, columns) = x.dim();
        if x.is_empty() {
            return Err(Error::Empty { rows, columns });
        }
        if rows != y.len() {
            return Err(Error::Labels { rows, labels: y.len() });
        }
        if let Some((row, &label)) = y.iter().enumerate().find(|&(_, &label)| label >= classes) {
            return Err(Error::Label { row, label, classes });
        }
        match first_not_finite(x) {
            Some((row, column)) => Err(Error::NotFinite { row, column, value: x[[row, column]] }),
            None => Ok(Self { x, y, classes, weights: None, total: rows as f64, smoothing: 0.0 }),
        }
    }

    /// The same rows, of which each counts `weights[row]` times: the loss is the weighted mean,
    /// `Σ vᵢ lossᵢ / Σ vᵢ`.
    ///
    /// # Errors
    /// A different number of weights, one that is negative, NaN or infinite (the first one is
    /// named), or nothing but zeros.
    pub fn weighted(self, weights: &'a [f32]) -> Result<Self, Error> {
        if weights.len() != self.rows() {
            return Err(Error::Weights { rows: self.rows(), weights: weights.len() });
        }
        let wrong = |weight: &f32| !(weight.is_finite() && *weight >= 0.0);
        if let Some(row) = weights.iter().position(wrong) {
            return Err(Error::Weight { row, weight: weights[row] });
        }
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        if total == 0.0 {
            return Err(Error::NoWeight);
        }
        Ok(Self { weights: Some(weights), total, ..self })
    }

    /// The same rows with a `share` of each target spread evenly over all classes: the target of
    /// a class is `share / classes`, and that of the label `1 - share` more (Szegedy et al.,
    /// 2016, "Rethinking the Inception Architecture for Computer Vision").
    ///
    /// # Errors
    /// A share that isn't in 0..1.
    pub fn smoothed(self, share: f32) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&share) {
            return Err(Error::Smoothing { share });
        }
        Ok(Self { smoothing: share, ..self })
    }

    /// Sum of the rows' weights; their number where none were given.
    #[must_use]
    pub fn total_weight(&self) -> f64 {
        self.total
    }

    /// How often a row counts.
    ///
    /// # Panics
    /// If there is no such row (only where weights were given).
    #[must_use]
    pub fn weight(&self, row: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// Share of each target that is spread over all classes.
    #[must_use]
    pub fn smoothing(&self) -> f32 {
        self.smoothing
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.x.nrows()
    }

    /// Number of features of a row.
    #[must_use]
    pub fn features(&self) -> usize {
        self.x.ncols()
    }

    /// Number of classes, those without a row included.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Features `[rows, features]`.
    #[must_use]
    pub fn x(&self) -> ArrayView2<'a, f32> {
        self.x
    }

    /// Labels, one a row.
    #[must_use]
    pub fn labels(&self) -> &'a [usize] {
        self.y
    }
}

/// A copy of some rows.
pub(crate) struct Thinned {
    x: Array2<f32>,
    y: Vec<usize>,
    weights: Vec<f32>,
}

impl Thinned {
    /// One of each `step` neighbouring rows of `samples`: now this one, now that, by multiples of
    /// the golden ratio, so that no order of the rows hides anything.
    pub fn new(samples: &Samples<'_>, step: usize) -> Self {
        let place = |block: usize| {
            let share = (block as f64 * 0.618_033_988_749_895).fract();
            block * step + (share * step as f64) as usize
        };
        let rows: Vec<usize> = (0..samples.rows() / step).map(place).collect();
        Self {
            x: samples.x.select(Axis(0), &rows),
            y: rows.iter().map(|&row| samples.y[row]).collect(),
            weights: rows.iter().map(|&row| samples.weight(row)).collect(),
        }
    }

    /// The rows, with the classes and the smoothing of `all`; None where all have weight 0.
    pub fn samples(&self, all: &Samples<'_>) -> Option<Samples<'_>> {
        let (x, y, classes, smoothing) = (self.x.view(), &self.y, all.classes, all.smoothing);
        Samples { x, y, classes, weights: None, total: 1.0, smoothing }.weighted(&self.weights).ok()
    }
}

fn first_not_finite(x: ArrayView2<'_, f32>) -> Option<(usize, usize)> {
    // 0 x is 0 for a finite x and NaN for all others: a sum finds them without a branch.
    let rows = x.axis_iter(Axis(0)).into_par_iter().enumerate();
    let row = rows
        .filter(|(_, row)| row.fold(0.0, |sum, value| sum + 0.0 * value) != 0.0)
        .map(|(index, _)| index)
        .min()?;
    let column = x.row(row).iter().position(|value| !value.is_finite())?;
    Some((row, column))
}
