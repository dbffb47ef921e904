//! Maps of numbers, and what convolutions do with them besides multiplying.
//!
//! While they are computed with, the maps of some pictures are a matrix `[pictures · side · side,
//! channels]`: row by row the cells of the first picture, then those of the next. So a convolution
//! is a matrix product.

use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis};

/// Cells that a kernel covers: 3 × 3.
pub(crate) const WINDOW: usize = 9;

/// The cells around each cell, and itself: for each cell a row `[9 · channels]`, cell after cell of
/// its 3 × 3 window; 0 beyond the border. They take the place of what `to` holds.
///
/// # Panics
/// If `map` isn't in standard layout.
pub(crate) fn windows(map: ArrayView2<f32>, side: usize, to: &mut Array2<f32>) {
    let (cells, channels) = map.dim();
    if to.dim() != (cells, WINDOW * channels) {
        *to = Array2::zeros((cells, WINDOW * channels));
    }
    // Asked for above, and `to` is new or was.
    let (Some(map), Some(to)) = (map.to_slice(), to.as_slice_mut()) else {
        panic!("a map in another layout");
    };
    for (cell, to) in to.chunks_exact_mut(WINDOW * channels).enumerate() {
        for (place, to) in to.chunks_exact_mut(3 * channels).enumerate() {
            to.fill(0.0);
            if let Some((first, cells, skipped)) = strip(cell, side, place) {
                let (from, length) = (first * channels, cells * channels);
                to[skipped * channels..][..length].copy_from_slice(&map[from..from + length]);
            }
        }
    }
}

/// What [`windows`] does, backwards: the derivative by the map, from that by its windows.
pub(crate) fn sum_windows(windows: ArrayView2<f32>, side: usize, map: &mut ArrayViewMut2<f32>) {
    let channels = map.ncols();
    for (cell, row) in windows.rows().into_iter().enumerate() {
        for place in 0..3 {
            let Some((first, cells, skipped)) = strip(cell, side, place) else { continue };
            for across in 0..cells {
                let from = (3 * place + skipped + across) * channels;
                let mut to = map.row_mut(first + across);
                to += &row.slice_axis(Axis(0), (from..from + channels).into());
            }
        }
    }
}

/// The cells of row `place` (0 to 2) of the window around `cell` that are on its map: the first of
/// them, how many there are, and how many before it are not; nothing if none is.
fn strip(cell: usize, side: usize, place: usize) -> Option<(usize, usize, usize)> {
    let (row, column) = (cell / side % side, cell % side);
    let skipped = usize::from(column == 0);
    let cells = 3 - skipped - usize::from(column + 1 == side);
    let inside = (1..=side).contains(&(row + place));
    inside.then(|| (cell + place * side + skipped - side - 1, cells, skipped))
}

/// The largest of each 2 × 2 cells, on a map of half the side, and which of the four it is. Of
/// equal ones it is the first.
pub(crate) fn pool(map: ArrayView2<f32>, side: usize) -> (Array2<f32>, Array2<u8>) {
    let (half, channels) = (side / 2, map.ncols());
    let cells = map.nrows() / (side * side) * half * half;
    let (mut largest, mut which) =
        (Array2::zeros((cells, channels)), Array2::zeros((cells, channels)));
    let rows = largest.axis_iter_mut(Axis(0)).into_par_iter();
    rows.zip(which.axis_iter_mut(Axis(0))).enumerate().for_each(
        |(cell, (mut largest, mut which))| {
            let cells = four(cell, half, side);
            largest.assign(&map.row(cells[0]));
            for (number, &cell) in cells.iter().enumerate().skip(1) {
                let values = largest.iter_mut().zip(which.iter_mut()).zip(map.row(cell));
                for ((largest, which), &value) in values {
                    // Without a branch that depends on values, several are done at once.
                    let larger = value > *largest;
                    *which = if larger { number as u8 } else { *which };
                    *largest = if larger { value } else { *largest };
                }
            }
        },
    );
    (largest, which)
}

/// What [`pool`] does, backwards: the derivative goes to the largest cell.
pub(crate) fn spread(error: ArrayView2<f32>, which: &Array2<u8>, side: usize) -> Array2<f32> {
    let (half, channels) = (side / 2, error.ncols());
    let pictures = error.nrows() / (half * half);
    let mut map = Array2::zeros((pictures * side * side, channels));
    let own = map.axis_chunks_iter_mut(Axis(0), side * side).into_par_iter();
    own.enumerate().for_each(|(picture, mut map)| {
        for cell in 0..half * half {
            let row = picture * half * half + cell;
            for (number, &to) in four(cell, half, side).iter().enumerate() {
                let mut to = map.row_mut(to);
                let values = to.iter_mut().zip(error.row(row)).zip(which.row(row));
                for ((to, &error), &which) in values {
                    *to = if usize::from(which) == number { error } else { 0.0 };
                }
            }
        }
    });
    map
}

/// The cells that cell number `cell` of maps of half the side covers.
fn four(cell: usize, half: usize, side: usize) -> [usize; 4] {
    let (picture, cell) = (cell / (half * half), cell % (half * half));
    let first = (picture * side + 2 * (cell / half)) * side + 2 * (cell % half);
    [first, first + 1, first + side, first + side + 1]
}

/// Rows of features, of which `start..` are `[channels, side · side]`, as maps `[cells, channels]`.
pub(crate) fn cells(x: ArrayView2<f32>, start: usize, side: usize, mut to: ArrayViewMut2<f32>) {
    let size = side * side;
    let pictures = to.axis_chunks_iter_mut(Axis(0), size).into_par_iter();
    pictures.zip(x.axis_iter(Axis(0))).for_each(|(mut map, x)| {
        for (channel, mut column) in map.columns_mut().into_iter().enumerate() {
            column.assign(&part(x, start + channel * size, size));
        }
    });
}

/// Maps as rows of features `[channels, side · side]`.
pub(crate) fn rows(map: ArrayView2<f32>, side: usize) -> Array2<f32> {
    let (size, channels) = (side * side, map.ncols());
    let mut rows = Array2::zeros((map.nrows() / size, channels * size));
    let own = rows.axis_iter_mut(Axis(0)).into_par_iter();
    own.zip(map.axis_chunks_iter(Axis(0), size)).for_each(|(mut row, map)| {
        for (channel, column) in map.columns().into_iter().enumerate() {
            let from = channel * size;
            row.slice_axis_mut(Axis(0), (from..from + size).into()).assign(&column);
        }
    });
    rows
}

fn part(x: ArrayView1<'_, f32>, start: usize, length: usize) -> ArrayView1<'_, f32> {
    x.slice_axis_move(Axis(0), (start..start + length).into())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Two pictures of 3 × 3 cells with one channel.
    fn map() -> Array2<f32> {
        Array2::from_shape_fn((18, 1), |(cell, _)| cell as f32 + 1.0)
    }

    #[test]
    fn a_window_ends_at_the_border_of_its_picture() {
        let mut columns = Array2::ones((0, 0));
        windows(map().view(), 3, &mut columns);
        assert_eq!(columns.row(0), array![0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 4.0, 5.0]);
        assert_eq!(columns.row(4), array![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(columns.row(9), array![0.0, 0.0, 0.0, 0.0, 10.0, 11.0, 0.0, 13.0, 14.0]);
        assert_eq!(columns.row(17), array![14.0, 15.0, 0.0, 17.0, 18.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_was_in_the_way_is_overwritten() {
        let mut first = Array2::zeros((0, 0));
        windows(map().view(), 3, &mut first);
        let mut again = Array2::from_elem(first.dim(), 7.0);
        windows(map().view(), 3, &mut again);
        assert_eq!(first, again);
    }

    /// The sum of `windows(a)` · b is that of a · `sum_windows(b)`, for all a and b.
    #[test]
    fn sums_are_the_transpose_of_windows() {
        let a = Array2::from_shape_fn((32, 3), |(i, j)| ((i * 7 + j * 5) % 11) as f32 - 5.0);
        let b = Array2::from_shape_fn((32, 27), |(i, j)| ((i * 3 + j * 8) % 13) as f32 - 6.0);
        let (mut there, mut back) = (Array2::zeros((0, 0)), Array2::zeros((32, 3)));
        windows(a.view(), 4, &mut there);
        sum_windows(b.view(), 4, &mut back.view_mut());
        let (one, other) = ((&there * &b).sum(), (&a * &back).sum());
        assert!((one - other).abs() < 1e-3, "{one} {other}");
    }

    #[test]
    fn the_largest_of_four_is_taken_and_gets_the_derivative() {
        let map = array![[1.0], [5.0], [2.0], [3.0], [4.0], [0.0], [9.0], [9.0], [9.0]];
        let (largest, which) = pool(map.view(), 3);
        assert_eq!((largest, which.clone()), (array![[5.0]], array![[1]]));
        let back = spread(array![[0.5]].view(), &which, 3);
        assert_eq!(back.column(0), array![0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let (largest, which) = pool(Array2::from_elem((8, 2), 1.0).view(), 2);
        assert_eq!((largest.dim(), which.sum()), ((2, 2), 0));
    }

    #[test]
    fn rows_become_maps_and_rows_again() {
        let x = Array2::from_shape_fn((2, 11), |(i, j)| (10 * i + j) as f32);
        let mut map = Array2::zeros((8, 2));
        cells(x.view(), 3, 2, map.view_mut());
        assert_eq!(map.row(0), array![3.0, 7.0]);
        assert_eq!(map.row(7), array![16.0, 20.0]);
        assert_eq!(rows(map.view(), 2), x.slice_axis(Axis(1), (3..11).into()));
    }
}
