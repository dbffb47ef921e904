//! The embeddings in memory, divided into a training and a validation part.

use artifact::embeddings::Row;
use ndarray::{Array2, ArrayView2, Axis};
use softmax::{Model, Samples, Standardization};
use stage::Result;

use crate::data::{Inputs, describe, labels};
use crate::settings::Settings;
use crate::split::{Part, Split};

/// Embeddings in the order of a [`Part`], standardised by the training part.
pub struct Division {
    /// The images, those of the training part first.
    rows: Vec<Row>,
    /// Standardised embeddings `[rows, dims]`.
    x: Array2<f32>,
    /// Labels, one a row.
    labels: Vec<usize>,
    /// Rows of the training part.
    train: usize,
    /// How often each row of the training part counts.
    train_weights: Option<Vec<f32>>,
    /// How often each row counts where all are trained on.
    weights: Option<Vec<f32>>,
    /// Share of each label that is spread over all classes.
    smoothing: f32,
    classes: usize,
    /// What was done to the embeddings.
    pub standardization: Standardization,
}

impl Division {
    /// Reads the embeddings of `part`, of which `look` sees them as they are stored.
    ///
    /// # Errors
    /// Damaged embeddings, and [`Data`](stage::Fault::Data) naming pictures whose embeddings
    /// aren't numbers.
    pub fn read(
        inputs: &Inputs,
        split: &Split,
        part: &Part,
        settings: &Settings,
        look: impl FnOnce(&[Row], ArrayView2<'_, f32>),
    ) -> Result<Self> {
        let rows: Vec<Row> = part.order.iter().map(|&index| split.rows[index].clone()).collect();
        let x = inputs.matrix(&rows)?;
        look(&rows, x.view());
        Self::new(rows, x, inputs.classes.len(), part.train, settings)
    }

    /// Divides the embeddings `x`, `[rows, dims]`, of which the first `train` are trained on.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) naming pictures whose embeddings aren't numbers.
    pub fn new(
        rows: Vec<Row>,
        mut x: Array2<f32>,
        classes: usize,
        train: usize,
        settings: &Settings,
    ) -> Result<Self> {
        let labels = labels(&rows);
        Samples::new(x.view(), &labels, classes).map_err(|e| describe(&e, &rows, x.view()))?;
        let standardization = Standardization::fit(x.view().split_at(Axis(0), train).0);
        standardization.apply(x.view_mut());
        Ok(Self {
            rows,
            x,
            train,
            train_weights: settings.class_weights.of(&labels[..train], classes),
            weights: settings.class_weights.of(&labels, classes),
            smoothing: settings.label_smoothing,
            labels,
            classes,
            standardization,
        })
    }

    /// The usual start of a fit.
    pub fn zeros(&self) -> Model {
        Model::zeros(self.classes, self.x.ncols())
    }

    /// The training part.
    pub fn train(&self) -> Result<Samples<'_>> {
        let x = self.x.view().split_at(Axis(0), self.train).0;
        self.samples(x, &self.labels[..self.train], self.train_weights.as_deref())
    }

    /// The validation part, without weights.
    pub fn validation(&self) -> Result<Samples<'_>> {
        let x = self.x.view().split_at(Axis(0), self.train).1;
        Samples::new(x, &self.labels[self.train..], self.classes).map_err(|e| self.describe(&e))
    }

    /// Both.
    pub fn all(&self) -> Result<Samples<'_>> {
        self.samples(self.x.view(), &self.labels, self.weights.as_deref())
    }

    fn samples<'a>(
        &self,
        x: ArrayView2<'a, f32>,
        labels: &'a [usize],
        weights: Option<&'a [f32]>,
    ) -> Result<Samples<'a>> {
        samples(x, labels, self.classes, weights, self.smoothing).map_err(|e| self.describe(&e))
    }

    fn describe(&self, error: &softmax::Error) -> stage::Error {
        describe(error, &self.rows, self.x.view())
    }
}

/// Rows to train on, of which some may count more than others, with smoothed labels.
pub fn samples<'a>(
    x: ArrayView2<'a, f32>,
    labels: &'a [usize],
    classes: usize,
    weights: Option<&'a [f32]>,
    smoothing: f32,
) -> std::result::Result<Samples<'a>, softmax::Error> {
    let samples = Samples::new(x, labels, classes)?.smoothed(smoothing)?;
    weights.map_or(Ok(samples), |weights| samples.weighted(weights))
}
