//! Matrix products of small blocks, by the fastest instructions that the processor has.
#![expect(unsafe_code, reason = "`gemm` takes pointers; the one use says why it is sound")]

use gemm::{Parallelism, gemm};
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};

/// Outputs that one task computes for all rows of a batch.
const BLOCK_OUTPUTS: usize = 256;

/// Rows that one task computes where there are few outputs.
const BLOCK_ROWS: usize = 64;

/// a · b into `to`, by this thread alone.
///
/// # Panics
/// If shapes don't fit.
pub(crate) fn multiply(a: ArrayView2<f32>, b: ArrayView2<f32>, mut to: ArrayViewMut2<f32>) {
    let ((rows, depth), (depth_of_b, columns)) = (a.dim(), b.dim());
    assert_eq!((depth, (rows, columns)), (depth_of_b, to.dim()), "shapes of a product");
    let strides = |strides: &[isize]| (strides[0], strides[1]);
    let (of_a, of_b, of_to) = (strides(a.strides()), strides(b.strides()), strides(to.strides()));
    // SAFETY: shapes agree, each pointer has the strides of its own view, and `to` is borrowed
    // alone. What is in it isn't read.
    unsafe {
        gemm(
            rows,
            columns,
            depth,
            to.as_mut_ptr(),
            of_to.1,
            of_to.0,
            false,
            a.as_ptr(),
            of_a.1,
            of_a.0,
            b.as_ptr(),
            of_b.1,
            of_b.0,
            0.0,
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
pub(crate) fn product(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Array2<f32> {
    let mut result = Array2::zeros((a.nrows(), b.ncols()));
    if b.ncols() > BLOCK_OUTPUTS / 2 {
        result
            .axis_chunks_iter_mut(Axis(1), BLOCK_OUTPUTS)
            .into_par_iter()
            .zip(b.axis_chunks_iter(Axis(1), BLOCK_OUTPUTS))
            .for_each(|(result, b)| multiply(a, b, result));
    } else {
        result
            .axis_chunks_iter_mut(Axis(0), BLOCK_ROWS)
            .into_par_iter()
            .zip(a.axis_chunks_iter(Axis(0), BLOCK_ROWS))
            .for_each(|(result, a)| multiply(a, b, result));
    }
    result
}

#[cfg(test)]
mod tests {
    use ndarray::s;

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
            assert_eq!(product(b.view(), a.t()), b.dot(&a.t()));
        }
        let nothing = product(Array2::zeros((2, 0)).view(), Array2::zeros((0, 3)).view());
        assert_eq!(nothing, Array2::<f32>::zeros((2, 3)));
    }
}
