//! Classifiers that nothing is fitted for: what a fitted one has to beat.
//!
//! Both compare directions: the similarity of two rows is the cosine of the angle between them.

use matrix::multiply;
use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Slice};

/// Rows to classify that are compared by one task.
const ROWS: usize = 128;

/// Known rows that they are compared with in one matrix product.
const KNOWN: usize = 2048;

/// Similarities that are passed over together where none is high enough.
const TOGETHER: usize = 64;

/// Class of each row of `x` `[rows, features]`: the one whose mean direction is nearest. The
/// mean of a class is that of its rows in `known` `[known, features]`, each scaled to length 1.
///
/// # Panics
/// If `labels` hasn't a label below `classes` for each known row, or the features differ.
#[must_use]
pub fn nearest_mean(
    known: ArrayView2<'_, f32>,
    labels: &[usize],
    classes: usize,
    x: ArrayView2<'_, f32>,
) -> Vec<usize> {
    assert_eq!(known.nrows(), labels.len(), "a label for each known row");
    let mut means = Array2::<f64>::zeros((classes, known.ncols()));
    for (row, &label) in known.rows().into_iter().zip(labels) {
        let scale = inverse_length(row);
        let mut mean = means.row_mut(label);
        mean.zip_mut_with(&row, |mean, &value| *mean += scale * f64::from(value));
    }
    // The mean's length doesn't matter; a class without rows is never the nearest.
    let means = means.mapv(|value| value as f32);
    let of_class: Vec<usize> = (0..classes).collect();
    let present: Vec<usize> = of_class.into_iter().filter(|class| labels.contains(class)).collect();
    let means = means.select(Axis(0), &present);
    let nearest = neighbours(means.view(), &present, x, 1);
    nearest.into_iter().map(|of_row| of_row[0]).collect()
}

/// Labels of the `count` rows of `known` `[known, features]` that are most similar to each row
/// of `x` `[rows, features]`, the most similar first, fewer where there are fewer; of equally
/// similar ones the earlier first.
///
/// # Panics
/// If `labels` hasn't a label for each known row, or the features differ.
#[must_use]
pub fn neighbours(
    known: ArrayView2<'_, f32>,
    labels: &[usize],
    x: ArrayView2<'_, f32>,
    count: usize,
) -> Vec<Vec<usize>> {
    assert_eq!(known.nrows(), labels.len(), "a label for each known row");
    let scales: Array1<f32> = known.rows().into_iter().map(|r| inverse_length(r) as f32).collect();
    let blocks = x.axis_chunks_iter(Axis(0), ROWS).into_par_iter();
    let found: Vec<Vec<Vec<usize>>> = blocks
        .map(|x| {
            let mut nearest = vec![Nearest::new(count); x.nrows()];
            let mut products = Array2::zeros((x.nrows(), KNOWN));
            let blocks = known.axis_chunks_iter(Axis(0), KNOWN);
            for (index, (block, scales)) in
                blocks.zip(scales.axis_chunks_iter(Axis(0), KNOWN)).enumerate()
            {
                let there = Slice::from(..block.nrows());
                let mut products = products.slice_axis_mut(Axis(1), there);
                multiply(x, block.t(), products.view_mut());
                products *= &scales;
                for (nearest, products) in nearest.iter_mut().zip(products.rows()) {
                    nearest.offer_all(products.as_slice().unwrap_or_default(), index * KNOWN);
                }
            }
            nearest.into_iter().map(|nearest| nearest.labels(labels)).collect()
        })
        .collect();
    found.into_iter().flatten().collect()
}

/// The class that most of the first `count` neighbours have; of equally frequent ones the
/// class that comes first.
#[must_use]
pub fn vote(neighbours: &[usize], count: usize) -> Option<usize> {
    let voters = &neighbours[..count.min(neighbours.len())];
    let votes = |class: usize| voters.iter().filter(|&&other| other == class).count();
    let best = voters.iter().map(|&class| votes(class)).max()?;
    voters.iter().copied().find(|&class| votes(class) == best)
}

/// The most similar rows so far, the most similar first.
#[derive(Clone)]
struct Nearest {
    count: usize,
    found: Vec<(f32, usize)>,
}

impl Nearest {
    fn new(count: usize) -> Self {
        Self { count, found: Vec::with_capacity(count + 1) }
    }

    /// Offers the rows from `first` on; looks closer only where some are among the nearest.
    fn offer_all(&mut self, similarities: &[f32], first: usize) {
        for (index, some) in similarities.chunks(TOGETHER).enumerate() {
            let limit = self.found.last().map_or(f32::NEG_INFINITY, |last| last.0);
            let full = self.found.len() == self.count;
            // Without a branch for each, so that the processor compares many at once.
            let most = some.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
            if full && most <= limit {
                continue;
            }
            for (offset, &similarity) in some.iter().enumerate() {
                self.offer(similarity, first + index * TOGETHER + offset);
            }
        }
    }

    fn offer(&mut self, similarity: f32, row: usize) {
        let full = self.found.len() == self.count;
        if full && self.found.last().is_none_or(|last| similarity <= last.0) {
            return;
        }
        let place = self.found.partition_point(|other| other.0 >= similarity);
        self.found.insert(place, (similarity, row));
        self.found.truncate(self.count);
    }

    fn labels(self, labels: &[usize]) -> Vec<usize> {
        self.found.into_iter().map(|(_, row)| labels[row]).collect()
    }
}

/// 1 / the Euclidean length; 0 for a row of zeros, which has no direction.
fn inverse_length(row: ArrayView1<'_, f32>) -> f64 {
    let square: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
    if square > 0.0 { square.sqrt().recip() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn directions_are_compared_and_not_lengths() {
        let known = array![[0.1_f32, 0.0], [0.0, 100.0], [1.0, 1.0]];
        let x = array![[50.0_f32, 1.0], [0.1, 0.2], [1.0, 40.0]];
        let found = neighbours(known.view(), &[7, 8, 9], x.view(), 2);
        assert_eq!(found, [[7, 9], [9, 8], [8, 9]]);
    }

    #[test]
    fn more_neighbours_than_rows_are_all_rows() {
        let known = array![[1.0_f32, 0.0], [0.0, 1.0]];
        let found = neighbours(known.view(), &[0, 1], array![[0.0_f32, 1.0]].view(), 5);
        assert_eq!(found, [[1, 0]]);
    }

    /// Against all distances, sorted, over several blocks of both sides.
    #[test]
    fn blocks_find_what_sorting_finds() {
        let number = |row: usize, column: usize| ((row * 37 + column * 61) % 101) as f32 - 50.0;
        let known = Array2::from_shape_fn((KNOWN + 77, 5), |(r, c)| number(r * r, c));
        let x = Array2::from_shape_fn((ROWS + 9, 5), |(r, c)| number(r, c * c));
        let labels: Vec<usize> = (0..known.nrows()).collect();
        let found = neighbours(known.view(), &labels, x.view(), 1);
        for (x, found) in x.rows().into_iter().zip(found) {
            let cosine = |row: usize| {
                let known = known.row(row).mapv(f64::from);
                let dot = known.dot(&x.mapv(f64::from));
                dot * inverse_length(known.mapv(|v| v as f32).view())
            };
            let best = (0..known.nrows()).map(cosine).fold(f64::NEG_INFINITY, f64::max);
            assert!((cosine(found[0]) - best).abs() < 1e-3);
        }
    }

    #[test]
    fn means_are_of_directions_and_classes_without_rows_are_never_nearest() {
        let known = array![[9.0_f32, 0.0], [0.0, 1.0], [-1.0, -1.0]];
        // Class 0 points to (1, 1), and would to (9, 1) if lengths counted.
        let x = array![[1.0_f32, 1.2], [-1.0, 0.1]];
        assert_eq!(nearest_mean(known.view(), &[0, 0, 2], 3, x.view()), [0, 2]);
    }

    #[test]
    fn ties_go_to_the_nearer_class() {
        assert_eq!(vote(&[3, 1, 1, 3, 2], 5), Some(3));
        assert_eq!(vote(&[3, 1, 1, 3, 2], 3), Some(1));
        assert_eq!(vote(&[3, 1, 1], 1), Some(3));
        assert_eq!(vote(&[], 1), None);
    }
}
