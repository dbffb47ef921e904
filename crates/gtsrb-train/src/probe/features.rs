//! Embeddings that hold every layer, and what heads on parts of them give.

use artifact::embeddings::{Key, Row};
use artifact::images::Split as Part;
use embed::{Effort, Pipeline, View};
use ndarray::{Array2, ArrayView1};
use stage::Result;

use super::LAMBDA;
use super::backbone::Backbone;
use crate::data::Inputs;
use crate::division::Division;
use crate::judgement::Judgement;
use crate::kept_out::KeptOut;
use crate::settings::Settings;
use crate::split::{self, Split};
use crate::tap::Tap;
use crate::walk::Attempt;

/// Embeddings of some pictures.
pub struct Features<'a> {
    inputs: &'a Inputs,
    taps: &'a [Tap],
    /// `[pictures, dims]`
    x: Array2<f32>,
}

impl<'a> Features<'a> {
    /// Computes those of the training images at `places`.
    pub fn compute(
        inputs: &'a Inputs,
        backbone: &'a Backbone,
        view: &View,
        places: &[(usize, Key)],
        threads: usize,
    ) -> Result<Self> {
        let mut x = Array2::zeros((places.len(), backbone.dims));
        let mut filled = 0;
        let effort = Effort::plain(threads);
        Pipeline::open(&backbone.onnx, backbone.dims, view, effort, false)?.run(
            inputs.images.pick(Part::Train, places.to_vec()),
            |(key, image), framer, out| framer.frame(&image, &key, out),
            |batch| {
                let rows = batch.embeddings.chunks_exact(backbone.dims);
                for (mut row, values) in x.rows_mut().into_iter().skip(filled).zip(rows) {
                    row.assign(&ArrayView1::from(values));
                }
                filled += batch.items.len();
                Ok(())
            },
        )?;
        Ok(Self { inputs, taps: &backbone.taps, x })
    }

    /// How good a head is on layers, each on one of its grids: `taps` are `(layer, grid)`.
    pub fn judge(
        &self,
        taps: &[(usize, usize)],
        split: &Split,
        part: &split::Part,
        kept: &KeptOut,
        settings: &Settings,
    ) -> Result<Judgement> {
        let rows: Vec<Row> = part.order.iter().map(|&index| split.rows[index].clone()).collect();
        let x = self.columns(taps, &part.order);
        let classes = self.inputs.classes.len();
        let division = Division::new(rows, x, classes, part.train, settings)?;
        let attempt = Attempt::new(&division, LAMBDA, &division.zeros(), &settings.options())?;
        Judgement::new(&[(attempt.train, attempt.logits.view())], kept)
    }

    /// The layers' numbers for the pictures in this `order`, `[pictures, numbers]`.
    fn columns(&self, taps: &[(usize, usize)], order: &[usize]) -> Array2<f32> {
        let parts: Vec<(&Tap, usize)> =
            taps.iter().map(|&(tap, grid)| (&self.taps[tap], grid)).collect();
        let numbers = parts.iter().map(|(tap, grid)| tap.channels * grid * grid).sum();
        let mut x = Array2::zeros((order.len(), numbers));
        for (mut row, &picture) in x.rows_mut().into_iter().zip(order) {
            let fine = self.x.row(picture);
            let means = parts.iter().flat_map(|&(tap, grid)| joined(tap, grid, fine));
            row.iter_mut().zip(means).for_each(|(number, mean)| *number = mean);
        }
        x
    }
}

/// The numbers of a layer on a coarser `grid`, `[channels, grid, grid]`, each the mean of the
/// cells of the `fine` embedding that it covers.
fn joined(tap: &Tap, grid: usize, fine: ArrayView1<'_, f32>) -> impl Iterator<Item = f32> {
    let (side, window) = (tap.grid, tap.grid / grid);
    let places = (0..tap.channels * grid * grid).map(move |number| {
        let (channel, cell) = (number / (grid * grid), number % (grid * grid));
        let (row, column) = (cell / grid * window, cell % grid * window);
        tap.start + (channel * side + row) * side + column
    });
    places.map(move |first| {
        let cells = (0..window * window).map(|i| fine[first + i / window * side + i % window]);
        cells.sum::<f32>() / (window * window) as f32
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    #[test]
    fn cells_are_joined_by_their_means() {
        let tap = Tap { layer: "a".into(), grid: 4, channels: 2, start: 1 };
        let fine: Array1<f32> = (0..33).map(|i| i as f32).collect();
        let of = |grid| joined(&tap, grid, fine.view()).collect::<Vec<_>>();
        // The first cells of the first channel are 1 2 3 4 / 5 6 7 8.
        assert_eq!(of(2), [3.5, 5.5, 11.5, 13.5, 19.5, 21.5, 27.5, 29.5]);
        assert_eq!(of(1), [8.5, 24.5]);
        assert_eq!(of(4), fine.to_vec()[1..]);
        assert_eq!(tap.grids().collect::<Vec<_>>(), [4, 2, 1]);
    }
}
