//! Matrix products by the fastest instructions that the processor has.

#![expect(unsafe_code, reason = "`gemm` takes pointers; the one use says why it is sound")]

use gemm::{Parallelism, gemm};
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};

/// Outputs that one task computes for all rows of a batch.
const BLOCK_OUTPUTS: usize = 256;

/// Rows that one task computes where there are few outputs.
const BLOCK_ROWS: usize = 64;

/// Rows of which a product by rows has a multiple: below, `gemm` sums in other orders for other
/// shapes.
const ALIKE: usize = 2 * BLOCK_ROWS;

/// a · b into `to`, by this thread alone.
///
/// # Panics
/// If shapes don't fit.
pub fn multiply(a: ArrayView2<f32>, b: ArrayView2<f32>, to: ArrayViewMut2<f32>) {
    multiply_onto(a, b, to, 0.0);
}

/// Adds a · b to `to`, by this thread alone.
///
/// # Panics
/// If shapes don't fit.
pub fn multiply_add(a: ArrayView2<f32>, b: ArrayView2<f32>, to: ArrayViewMut2<f32>) {
    multiply_onto(a, b, to, 1.0);
}

/// a · b + `share` · `to` into `to`.
fn multiply_onto(a: ArrayView2<f32>, b: ArrayView2<f32>, mut to: ArrayViewMut2<f32>, share: f32) {
    let ((rows, depth), (depth_of_b, columns)) = (a.dim(), b.dim());
    assert_eq!((depth, (rows, columns)), (depth_of_b, to.dim()), "shapes of a product");
    let strides = |strides: &[isize]| (strides[0], strides[1]);
    let (of_a, of_b, of_to) = (strides(a.strides()), strides(b.strides()), strides(to.strides()));
    // SAFETY: shapes agree, each pointer has the strides of its own view, and `to` is borrowed
    // alone.
    unsafe {
        gemm(
            rows,
            columns,
            depth,
            to.as_mut_ptr(),
            of_to.1,
            of_to.0,
            share != 0.0,
            a.as_ptr(),
            of_a.1,
            of_a.0,
            b.as_ptr(),
            of_b.1,
            of_b.0,
            share,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// a · b, where each task computes a part of the result that doesn't depend on the number of
/// threads.
///
/// # Panics
/// If shapes don't fit.
#[must_use]
pub fn product(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Array2<f32> {
    let mut result = Array2::zeros((a.nrows(), b.ncols()));
    if b.ncols() <= BLOCK_OUTPUTS / 2 {
        let parts = result.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS).into_par_iter();
        parts
            .zip(a.axis_chunks_iter(Axis(0), BLOCK_ROWS))
            .for_each(|(part, a)| multiply(a, b, part));
    } else {
        let parts = result.axis_chunks_iter_mut(Axis(1), BLOCK_OUTPUTS).into_par_iter();
        parts
            .zip(b.axis_chunks_iter(Axis(1), BLOCK_OUTPUTS))
            .for_each(|(part, b)| multiply(a, b, part));
    }
    result
}

/// a · b as [`product`], where no bit of a row depends on how many others there are or what they
/// hold.
///
/// # Panics
/// If shapes don't fit.
#[must_use]
pub fn product_by_rows(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Array2<f32> {
    let rows = a.nrows();
    let padded = rows.next_multiple_of(ALIKE);
    if padded == rows {
        return product(a, b);
    }
    let mut all = Array2::zeros((padded, a.ncols()));
    all.slice_mut(s![..rows, ..]).assign(&a);
    product(all.view(), b).slice_move(s![..rows, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers this small are summed exactly in any order.
    #[test]
    fn it_equals_ndarrays_whatever_the_strides() {
        let number = |(row, column)| ((row * 31 + column * 17) % 23) as f32 - 11.0;
        for (rows, depth, columns) in [(1, 1, 1), (70, 33, 3), (5, 300, 700), (256, 64, 130)] {
            let a = Array2::from_shape_fn((rows, 2 * depth), number);
            let b = Array2::from_shape_fn((columns, depth), number);
            let a = a.slice(s![.., depth..]);
            assert_eq!(product(a, b.t()), a.dot(&b.t()));
            let mut twice = product(a, b.t());
            multiply_add(a, b.t(), twice.view_mut());
            assert_eq!(twice, 2.0 * a.dot(&b.t()));
            assert_eq!(product(b.view(), a.t()), b.dot(&a.t()));
        }
        let nothing = product(Array2::zeros((2, 0)).view(), Array2::zeros((0, 3)).view());
        assert_eq!(nothing, Array2::<f32>::zeros((2, 3)));
    }

    #[test]
    fn rows_do_not_depend_on_their_company() {
        let number = |(row, column)| 1.0 / (1.0 + (row * 31 + column * 17) as f32 % 23.0);
        for (depth, columns) in [(1, 1), (2, 3), (700, 3), (1500, 43), (3000, 300)] {
            let (a, b) = (
                Array2::from_shape_fn((700, depth), number),
                Array2::from_shape_fn((columns, depth), number),
            );
            let all = product_by_rows(a.view(), b.t());
            for rows in [0..1, 0..2, 3..77, 65..129, 5..134, 100..700] {
                let part = s![rows, ..];
                assert_eq!(product_by_rows(a.slice(part), b.t()), all.slice(part));
            }
        }
    }
}
