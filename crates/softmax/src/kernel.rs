//! The two matrix products of an evaluation, over one block of rows.
//!
//! Features are `x` `[rows, features]`; weights, logits, residuals and gradients have one row
//! of [`padded`] classes each, so that a row is a whole number of registers:
//!
//! ```text
//! logits:   z[r] += Σ x[r, d] · w[d]     over d
//! gradient: g[d] += Σ x[r, d] · e[r]     over r
//! ```
//!
//! A tile of rows of the result stays in registers while the sum runs; features are read where
//! they are, one number spread over a register at a time, and never copied. Each instruction
//! set adds in its own order, which moves the last bits of a sum; on one machine the order is
//! always the same.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "functions of instruction sets found at run time can't be called otherwise, nor \
                  their registers loaded and stored; each use is a line"
    )
)]

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

/// Classes are padded to a multiple of this: one AVX-512 register, two of AVX2.
const LANES: usize = 16;

/// Features whose weights stay in the L1 cache while all rows of a block pass.
#[cfg(any(target_arch = "x86_64", test))]
const PANEL: usize = 256;

/// Length of a row of `classes` weights.
pub(crate) fn padded(classes: usize) -> usize {
    classes.next_multiple_of(LANES)
}

/// The instructions that the products are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever ndarray does: any machine, and what the others are tested against.
    Portable,
}

impl Kernel {
    /// All that this machine can run, the fastest first.
    pub fn available() -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(Self::Avx2);
            }
        }
        kernels.push(Self::Portable);
        kernels
    }

    /// Sets `z` `[rows, padded]` to `x w`, with `x` `[rows, features]` in standard layout and `w`
    /// `[features, padded]`.
    pub fn logits(self, x: ArrayView2<'_, f32>, w: &[f32], z: &mut [f32]) {
        let (rows, features) = x.dim();
        match (self, x.as_slice()) {
            // SAFETY: `available` names these only where the machine has the instructions.
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, Some(x)) => unsafe { avx512::logits(x, features, w, z) },
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, Some(x)) => unsafe { avx2::logits(x, features, w, z) },
            _ => general_mat_mul(1.0, &x, &matrix(w, features), 0.0, &mut matrix_mut(z, rows)),
        }
    }

    /// Adds `xᵀ e` to `g` `[features, padded]`, with `x` as above and `e` `[rows, padded]`.
    pub fn gradient(self, x: ArrayView2<'_, f32>, e: &[f32], g: &mut [f32]) {
        let (rows, features) = x.dim();
        match (self, x.as_slice()) {
            // SAFETY: `available` names these only where the machine has the instructions.
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, Some(x)) => unsafe { avx512::gradient(x, features, e, g) },
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, Some(x)) => unsafe { avx2::gradient(x, features, e, g) },
            _ => general_mat_mul(1.0, &x.t(), &matrix(e, rows), 1.0, &mut matrix_mut(g, features)),
        }
    }
}

/// `flat` as `[rows, ..]`.
fn matrix(flat: &[f32], rows: usize) -> ArrayView2<'_, f32> {
    #[expect(clippy::expect_used, reason = "the caller's slices hold whole rows")]
    ArrayView2::from_shape((rows, flat.len() / rows), flat).expect("whole rows")
}

fn matrix_mut(flat: &mut [f32], rows: usize) -> ArrayViewMut2<'_, f32> {
    let width = flat.len() / rows;
    #[expect(clippy::expect_used, reason = "the caller's slices hold whole rows")]
    ArrayViewMut2::from_shape((rows, width), flat).expect("whole rows")
}

/// The products in one instruction set. `$tile` rows of `$wide` registers, at most, are summed
/// in registers: as many as the set has, less those that hold the factors.
#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    ($name:ident, $feature:literal, $register:ident, $lanes:literal, $tile:literal, $wide:literal,
     $zero:ident, $spread:ident, $fma:ident, $load:ident, $store:ident) => {
        mod $name {
            use std::arch::x86_64::{$fma, $load, $register, $spread, $store, $zero};

            use super::PANEL;

            #[target_feature(enable = $feature)]
            pub fn logits(x: &[f32], features: usize, w: &[f32], z: &mut [f32]) {
                let width = w.len() / features;
                z.fill(0.0);
                for start in (0..features).step_by(PANEL) {
                    let end = features.min(start + PANEL);
                    let w = &w[start * width..end * width];
                    let (x_tiles, x_rest) = x.split_at(x.len() - x.len() % ($tile * features));
                    let (z_tiles, z_rest) = z.split_at_mut(x_tiles.len() / features * width);
                    let tiles = x_tiles.chunks_exact($tile * features);
                    for (x, z) in tiles.zip(z_tiles.chunks_exact_mut($tile * width)) {
                        columns!(add_logits, $tile, $wide, $lanes, width, x, features, start, w, z);
                    }
                    let rest = x_rest.chunks_exact(features);
                    for (x, z) in rest.zip(z_rest.chunks_exact_mut(width)) {
                        columns!(add_logits, 1, $wide, $lanes, width, x, features, start, w, z);
                    }
                }
            }

            #[target_feature(enable = $feature)]
            pub fn gradient(x: &[f32], features: usize, e: &[f32], g: &mut [f32]) {
                let width = g.len() / features;
                let whole = features - features % $tile;
                let (g_tiles, g_rest) = g.split_at_mut(whole * width);
                for (index, g) in g_tiles.chunks_exact_mut($tile * width).enumerate() {
                    let first = $tile * index;
                    columns!(add_gradient, $tile, $wide, $lanes, width, x, features, first, e, g);
                }
                for (index, g) in g_rest.chunks_exact_mut(width).enumerate() {
                    let first = whole + index;
                    columns!(add_gradient, 1, $wide, $lanes, width, x, features, first, e, g);
                }
            }

            /// z[r] += Σ x[r, start + k] w[k] for R rows, V registers from `column`.
            #[target_feature(enable = $feature)]
            fn add_logits<const R: usize, const V: usize>(
                x: &[f32],
                features: usize,
                start: usize,
                w: &[f32],
                z: &mut [f32],
                column: usize,
            ) {
                let width = z.len() / R;
                let mut sums = load_tile::<R, V>(z, width, column);
                let length = w.len() / width;
                let rows: [&[f32]; R] =
                    std::array::from_fn(|r| &x[r * features + start..][..length]);
                for (k, w) in w.chunks_exact(width).enumerate() {
                    let w = load_row::<V>(w, column);
                    for r in 0..R {
                        let x = $spread(rows[r][k]);
                        for v in 0..V {
                            sums[r][v] = $fma(x, w[v], sums[r][v]);
                        }
                    }
                }
                store_tile(&sums, z, width, column);
            }

            /// g[i] += Σ x[r, first + i] e[r] for R features, V registers from `column`.
            #[target_feature(enable = $feature)]
            fn add_gradient<const R: usize, const V: usize>(
                x: &[f32],
                features: usize,
                first: usize,
                e: &[f32],
                g: &mut [f32],
                column: usize,
            ) {
                let width = g.len() / R;
                let mut sums = load_tile::<R, V>(g, width, column);
                for (x, e) in x.chunks_exact(features).zip(e.chunks_exact(width)) {
                    let (x, e) = (&x[first..first + R], load_row::<V>(e, column));
                    for i in 0..R {
                        let x = $spread(x[i]);
                        for v in 0..V {
                            sums[i][v] = $fma(x, e[v], sums[i][v]);
                        }
                    }
                }
                store_tile(&sums, g, width, column);
            }

            #[target_feature(enable = $feature)]
            fn load_row<const V: usize>(row: &[f32], column: usize) -> [$register; V] {
                let from: &[[f32; $lanes]] = row[column..][..V * $lanes].as_chunks().0;
                // SAFETY: an array of as many numbers as the register has is read.
                std::array::from_fn(|v| unsafe { $load(from[v].as_ptr()) })
            }

            #[target_feature(enable = $feature)]
            fn load_tile<const R: usize, const V: usize>(
                from: &[f32],
                width: usize,
                column: usize,
            ) -> [[$register; V]; R] {
                let mut tile = [[$zero(); V]; R];
                for (to, from) in tile.iter_mut().zip(from.chunks_exact(width)) {
                    *to = load_row(from, column);
                }
                tile
            }

            #[target_feature(enable = $feature)]
            fn store_tile<const R: usize, const V: usize>(
                tile: &[[$register; V]; R],
                to: &mut [f32],
                width: usize,
                column: usize,
            ) {
                for (from, to) in tile.iter().zip(to.chunks_exact_mut(width)) {
                    let to: &mut [[f32; $lanes]] = to[column..][..V * $lanes].as_chunks_mut().0;
                    for (from, to) in from.iter().zip(to) {
                        // SAFETY: an array of as many numbers as the register has is written.
                        unsafe { $store(to.as_mut_ptr(), *from) };
                    }
                }
            }
        }
    };
}

/// Calls `$add` for all columns of a tile: `$wide` registers at a time, then what is left.
#[cfg(target_arch = "x86_64")]
macro_rules! columns {
    ($add:ident, $tile:literal, $wide:literal, $lanes:literal, $width:ident,
     $($argument:expr),+) => {{
        let mut column = 0;
        while column + $wide * $lanes <= $width {
            $add::<$tile, $wide>($($argument),+, column);
            column += $wide * $lanes;
        }
        while column < $width {
            $add::<$tile, 1>($($argument),+, column);
            column += $lanes;
        }
    }};
}

#[cfg(target_arch = "x86_64")]
kernel!(
    avx512,
    "avx512f",
    __m512,
    16,
    8,
    3,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps
);
#[cfg(target_arch = "x86_64")]
kernel!(
    avx2,
    "avx2,fma",
    __m256,
    8,
    6,
    2,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps
);

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each instruction set agrees with ndarray's products, tails of rows, features and
        /// classes included.
        #[test]
        fn all_instruction_sets_agree(
            rows in 1_usize..40,
            features in prop_oneof![1_usize..40, PANEL - 9..PANEL + 9],
            classes in 1_usize..120,
        ) {
            let width = padded(classes);
            let number = |row: usize, column: usize| ((row * 31 + column * 17) % 23) as f32 - 11.0;
            let x = Array2::from_shape_fn((rows, features), |(r, d)| number(r, d));
            let table = |rows: usize, offset: usize| -> Vec<f32> {
                (0..rows * width).map(|at| number(at / width + offset, at % width)).collect()
            };
            let (w, e, before) = (table(features, 3), table(rows, 5), table(features, 7));
            // Whole numbers this small are summed exactly in any order.
            let run = |kernel: Kernel| {
                let (mut z, mut g) = (vec![f32::NAN; rows * width], before.clone());
                kernel.logits(x.view(), &w, &mut z);
                kernel.gradient(x.view(), &e, &mut g);
                (z, g)
            };
            // ndarray doesn't read what it overwrites, NaN included.
            let expected = run(Kernel::Portable);
            for kernel in Kernel::available() {
                prop_assert!(run(kernel) == expected, "{kernel:?}");
            }
        }
    }
}
