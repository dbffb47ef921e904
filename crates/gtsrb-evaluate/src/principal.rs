//! Principal directions of many rows with many features: the few along which they vary most.
//!
//! Randomised subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4): some random
//! directions are multiplied by `xᵀx` and made orthogonal, again and again, and the best axes
//! within the space that they span are those of `xᵀx` in all but the last digits.

use matrix::{multiply, product};
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::eigen::eigen;

/// Directions beyond those that are wanted: what converges fast needs company.
const SPARE: usize = 8;

/// Multiplications by `xᵀx`. Each divides what is wrong with the first directions by their share
/// of the variance over that of the first direction left out.
const ROUNDS: usize = 4;

/// Rows that are multiplied by one task; fixed, so that sums don't depend on the thread count.
const BLOCK_ROWS: usize = 1024;

const SEED: u64 = 1;

/// The `count` directions `[count, features]` of length 1 along which the rows of the centred `x`
/// `[rows, features]` vary most, the first most of all; fewer where `x` has fewer dimensions. The
/// largest part of each is positive.
#[must_use]
pub fn principal(x: ArrayView2<'_, f32>, count: usize) -> Array2<f32> {
    let width = (count + SPARE).min(x.nrows()).min(x.ncols());
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let start = Array2::from_shape_simple_fn((width, x.ncols()), || random.random_range(-1.0..1.0));
    let mut basis = orthonormal(start);
    for _ in 0..ROUNDS {
        basis = orthonormal(times_gram(x, basis.view()));
    }
    best_axes(x, &basis, count)
}

/// `x dᵀ`, shape `[rows, directions]`: where the rows of `x` lie along the directions `d`
/// `[directions, features]`.
#[must_use]
pub fn project(x: ArrayView2<'_, f32>, directions: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut places = Array2::zeros((x.nrows(), directions.nrows()));
    let blocks = places.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS).into_par_iter();
    blocks
        .zip(x.axis_chunks_iter(Axis(0), BLOCK_ROWS))
        .for_each(|(places, x)| multiply(x, directions.t(), places));
    places
}

/// `d xᵀx`, shape `[directions, features]`, in f64 from the sums of blocks on.
fn times_gram(x: ArrayView2<'_, f32>, directions: ArrayView2<'_, f32>) -> Array2<f64> {
    let blocks: Vec<Array2<f32>> = x
        .axis_chunks_iter(Axis(0), BLOCK_ROWS)
        .into_par_iter()
        .map(|x| product(product(directions, x.t()).view(), x))
        .collect();
    let zeros = Array2::zeros(directions.dim());
    blocks.iter().fold(zeros, |sum, block| sum + block.mapv(f64::from))
}

/// Rows of length 1 at right angles to each other that span what the rows of `basis` do
/// (Gram-Schmidt, each row twice). Rows that add nothing are left out.
fn orthonormal(mut basis: Array2<f64>) -> Array2<f32> {
    let mut kept: Vec<usize> = Vec::new();
    for row in 0..basis.nrows() {
        let (done, mut rest) = basis.view_mut().split_at(Axis(0), row);
        let mut new = rest.row_mut(0);
        let before = new.dot(&new).sqrt();
        for _ in 0..2 {
            for &other in &kept {
                let other = done.row(other);
                let along = new.dot(&other);
                new.scaled_add(-along, &other);
            }
        }
        let length = new.dot(&new).sqrt();
        if length > 1e-10 * before {
            new /= length;
            kept.push(row);
        }
    }
    basis.select(Axis(0), &kept).mapv(|value| value as f32)
}

/// The `count` longest axes of `xᵀx` within the span of `basis` (Rayleigh-Ritz).
fn best_axes(x: ArrayView2<'_, f32>, basis: &Array2<f32>, count: usize) -> Array2<f32> {
    let places = project(x, basis.view()).mapv(f64::from);
    let (values, vectors) = eigen(places.t().dot(&places));
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order.truncate(count);
    let axes = vectors.select(Axis(1), &order).t().dot(&basis.mapv(f64::from));
    let mut axes = axes.mapv(|value| value as f32);
    for mut axis in axes.rows_mut() {
        let largest =
            axis.iter().copied().fold(0.0_f32, |a, b| if b.abs() > a.abs() { b } else { a });
        axis *= 1.0_f32.copysign(largest);
    }
    axes
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    /// Rows that vary by 9, 4, 1 … along known directions and hardly along all others.
    fn rows(count: usize, features: usize) -> (Array2<f32>, Array2<f32>) {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut noise = |shape| -> Array2<f64> {
            Array2::from_shape_simple_fn(shape, || random.random_range(-1.0..1.0))
        };
        let directions = orthonormal(noise((5, features)));
        let scale = Array1::from(vec![9.0_f32, 4.0, 2.0, 1.0, 0.5]);
        let along = orthonormal(noise((5, count))).reversed_axes() * &scale * (count as f32).sqrt();
        let x = along.dot(&directions) + noise((count, features)).mapv(|v| 1e-3 * v as f32);
        (x, directions)
    }

    #[test]
    fn known_directions_are_found_whatever_the_threads() {
        let (x, wanted) = rows(3000, 200);
        let found = principal(x.view(), 3);
        assert_eq!(found.dim(), (3, 200));
        for (found, wanted) in found.rows().into_iter().zip(wanted.rows()) {
            assert!((found.dot(&wanted).abs() - 1.0).abs() < 1e-5);
            let largest = found.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            assert!(largest.unwrap() > 0.0);
        }
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(alone.install(|| principal(x.view(), 3)), found);
    }

    #[test]
    fn there_are_no_more_directions_than_dimensions() {
        let line = array![[1.0_f32, 2.0, 0.0], [-1.0, -2.0, 0.0], [0.0, 0.0, 0.0]];
        let found = principal(line.view(), 64);
        assert!((found[[0, 0]] - 0.2_f32.sqrt()).abs() < 1e-6 && found.nrows() <= 3);
        let places = project(line.view(), found.view());
        assert!((places[[0, 0]] - 5.0_f32.sqrt()).abs() < 1e-6);
        assert_eq!(principal(Array2::zeros((4, 3)).view(), 2).nrows(), 0);
        assert_eq!(principal(Array2::zeros((0, 3)).view(), 2).nrows(), 0);
    }
}
