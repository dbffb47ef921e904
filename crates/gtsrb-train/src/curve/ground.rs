//! What draws are made from and measured on.

use std::collections::{BTreeMap, BTreeSet};

use artifact::Hash;
use artifact::embeddings::Row;
use ndarray::{Array2, Axis};
use softmax::{Model, Samples, Standardization};
use stage::{Error, Result};

use crate::data::{Inputs, describe, labels};
use crate::division::samples;
use crate::settings::Settings;
use crate::split::{Track, ranked, track_of};
use crate::walk::fit_or_stop;

/// Embeddings to learn from and others to be measured on.
pub struct Ground {
    /// `[rows, dims]`
    x: Array2<f32>,
    /// Their images.
    pub rows: Vec<Row>,
    /// `[images, dims]`
    test: Array2<f32>,
    /// Their labels.
    pub test_labels: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
}

/// Images that are learned from.
pub struct Draw {
    /// Indices into [`Ground::rows`].
    pub rows: Vec<usize>,
    /// How many tracks, or shots, they are.
    pub count: usize,
}

impl Ground {
    /// Reads the embeddings of both.
    pub fn read(inputs: &Inputs, rows: Vec<Row>, test: Vec<Row>) -> Result<Self> {
        let classes = inputs.classes.len();
        let (x, test_x) = (inputs.matrix(&rows)?, inputs.matrix(&test)?);
        for (x, rows) in [(&x, &rows), (&test_x, &test)] {
            Samples::new(x.view(), &labels(rows), classes)
                .map_err(|e| describe(&e, rows, x.view()))?;
        }
        Ok(Self { x, rows, test: test_x, test_labels: labels(&test), classes })
    }

    /// The tracks of each class in the order that `seed` gives them.
    pub fn ranked(&self, seed: u64) -> Vec<Vec<Track>> {
        ranked(&self.rows, self.classes, seed)
    }

    /// All pictures of the first `size` tracks of each class, in the order that `seed` gives them:
    /// a larger draw holds the smaller ones.
    pub fn tracks(&self, seed: u64, size: usize) -> Draw {
        let ranked = self.ranked(seed);
        let chosen: BTreeSet<_> =
            ranked.iter().flat_map(|tracks| tracks.iter().take(size)).collect();
        let rows = (0..self.rows.len()).filter(|&row| chosen.contains(&track_of(&self.rows[row])));
        Draw { rows: rows.collect(), count: chosen.len() }
    }

    /// `size` pictures of each class: one of each track in the order that `seed` gives
    /// them, then second ones.
    pub fn pictures(&self, seed: u64, size: usize) -> Draw {
        let mut of_track: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            let rank = Hash::of(format!("{seed}/{}", row.path).as_bytes());
            of_track.entry(track_of(row)).or_default().push((rank, index));
        }
        for pictures in of_track.values_mut() {
            pictures.sort_unstable();
        }
        let mut chosen = Vec::new();
        for tracks in self.ranked(seed) {
            let mut pictures: Vec<(usize, usize, usize)> = Vec::new();
            for (place, track) in tracks.iter().enumerate() {
                let of_track = of_track[track].iter().enumerate();
                pictures.extend(of_track.map(|(turn, &(_, index))| (turn, place, index)));
            }
            pictures.sort_unstable();
            chosen.extend(pictures.iter().take(size).map(|picture| picture.2));
        }
        Draw { count: chosen.len(), rows: chosen }
    }

    /// Accuracy of a head that learned from `rows` alone, standardisation included.
    pub fn accuracy(&self, rows: &[usize], lambda: f64, settings: &Settings) -> Result<f64> {
        let mut x = self.x.select(Axis(0), rows);
        let standardization = Standardization::fit(x.view());
        standardization.apply(x.view_mut());
        let labels: Vec<usize> = rows.iter().map(|&row| self.rows[row].label as usize).collect();
        let weights = settings.class_weights.of(&labels, self.classes);
        let (weights, smoothing) = (weights.as_deref(), settings.label_smoothing);
        let samples = samples(x.view(), &labels, self.classes, weights, smoothing)
            .map_err(|e| Error::internal(e.to_string()))?;
        let start = Model::zeros(self.classes, x.ncols());
        let fit = fit_or_stop(&samples, lambda, &start, &settings.options(), |_| ())?;
        let logits = standardization.fold(&fit.model).logits(self.test.view());
        Ok(softmax::score(logits.view(), &self.test_labels).top1)
    }
}
