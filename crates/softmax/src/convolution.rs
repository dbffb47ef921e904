//! 3 × 3 convolutions: products of matrices over the windows of cells, some pictures at a time, so
//! that windows never leave the cache.

use matrix::{multiply, multiply_add};
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis};

use crate::maps::{WINDOW, sum_windows, windows};

/// Pictures whose windows are written out together.
pub(crate) const PICTURES: usize = 8;

/// Such blocks whose share of the gradient one task sums. Fixed, and shares are added in order:
/// threads don't change a bit.
const BLOCKS: usize = 4;

/// What weights `[9 · channels, outputs]` make of maps: `[cells, outputs]`.
pub(crate) fn convolve(map: ArrayView2<f32>, side: usize, weights: ArrayView2<f32>) -> Array2<f32> {
    let cells = PICTURES * side * side;
    let mut sums = Array2::zeros((map.nrows(), weights.ncols()));
    let blocks = sums.axis_chunks_iter_mut(Axis(0), cells).into_par_iter();
    blocks.zip(map.axis_chunks_iter(Axis(0), cells)).for_each_init(
        || Array2::zeros((0, 0)),
        |space, (to, map)| {
            windows(map, side, space);
            multiply(space.view(), weights, to);
        },
    );
    sums
}

/// The loss's derivative by the weights, `[9 · channels, outputs]`, from that by what came out.
pub(crate) fn by_weights(
    map: ArrayView2<f32>,
    side: usize,
    errors: ArrayView2<f32>,
) -> Array2<f32> {
    let cells = PICTURES * side * side;
    let share = |(map, errors): (ArrayView2<f32>, ArrayView2<f32>)| {
        let mut share = Array2::zeros((WINDOW * map.ncols(), errors.ncols()));
        let mut space = Array2::zeros((0, 0));
        let blocks = map.axis_chunks_iter(Axis(0), cells);
        for (map, errors) in blocks.zip(errors.axis_chunks_iter(Axis(0), cells)) {
            windows(map, side, &mut space);
            multiply_add(space.t(), errors, share.view_mut());
        }
        share
    };
    let tasks = map.axis_chunks_iter(Axis(0), BLOCKS * cells).into_par_iter();
    let shares = tasks.zip(errors.axis_chunks_iter(Axis(0), BLOCKS * cells)).map(share);
    shares.collect::<Vec<_>>().into_iter().reduce(|sum, share| sum + share).unwrap_or_default()
}

/// The loss's derivative by the first `channels` of each cell that went in, from that by what
/// came out.
pub(crate) fn by_input(
    errors: ArrayView2<f32>,
    side: usize,
    weights: ArrayView2<f32>,
    channels: usize,
) -> Array2<f32> {
    let cells = PICTURES * side * side;
    let weights = of_channels(weights, channels);
    let mut map = Array2::zeros((errors.nrows(), channels));
    let blocks = map.axis_chunks_iter_mut(Axis(0), cells).into_par_iter();
    blocks.zip(errors.axis_chunks_iter(Axis(0), cells)).for_each(|(mut map, errors)| {
        let mut by_windows = Array2::zeros((errors.nrows(), WINDOW * channels));
        multiply(errors, weights.t(), by_windows.view_mut());
        sum_windows(by_windows.view(), side, &mut map);
    });
    map
}

/// The weights `[9 · channels, outputs]` of each cell's first `channels`.
fn of_channels(weights: ArrayView2<f32>, channels: usize) -> Array2<f32> {
    let all = weights.nrows() / WINDOW;
    let mut some = Array2::zeros((WINDOW * channels, weights.ncols()));
    let places = some.axis_chunks_iter_mut(Axis(0), channels);
    for (mut to, from) in places.zip(weights.axis_chunks_iter(Axis(0), all)) {
        to.assign(&from.slice_axis(Axis(0), (..channels).into()));
    }
    some
}
