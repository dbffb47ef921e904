//! Antialiased bilinear resampling, equal to Pillow's to the last bit.
//!
//! The filter is a triangle as wide as the larger of a source and a target pixel. Weights are
//! fixed-point numbers of 22 bits and each of the two passes, across and down, rounds to
//! 8 bits: that is Pillow's arithmetic for 8-bit pictures, so that Python code that crops and
//! resizes with Pillow sees the pixels that we see.
//!
//! `tests::plain` is the same in its simplest form; here loops are shaped for vector
//! instructions, which takes a tenth of the time.
#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the vectors of its caller"
)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Fraction bits of a weight: 32, less 8 for the pixel and 2 for sums.
const BITS: u32 = 32 - 8 - 2;
/// One half, for rounding.
const HALF: i32 = 1 << (BITS - 1);

/// Rows that are resampled across together: whole vectors, and few enough for the cache.
const STRIP: usize = 32;

/// Pixels of a larger picture, row by row.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// From the first pixel on.
    pub pixels: &'a [u8],
    /// Bytes from row to row.
    pub stride: usize,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
}

/// Resamples what is seen of a picture to `out`, `[size, size, 3]`.
pub(crate) fn resize(seen: Seen<'_>, size: usize, out: &mut [u8]) {
    resize_to(seen, [size; 2], out);
}

/// Resamples what is seen of a picture to `out`, `[height, width, 3]` for `[width, height]`.
pub(crate) fn resize_to(seen: Seen<'_>, target: [usize; 2], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "there is no safe way to use what a processor may lack")]
        // SAFETY: this processor has AVX2, and nothing else is asked of the caller.
        return unsafe { resize_avx2(seen, target, out) };
    }
    resize_inline(seen, target, out);
}

/// The same code, compiled for vectors of 32 bytes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn resize_avx2(seen: Seen<'_>, target: [usize; 2], out: &mut [u8]) {
    resize_inline(seen, target, out);
}

#[inline(always)]
fn resize_inline(seen: Seen<'_>, [to_width, to_height]: [usize; 2], out: &mut [u8]) {
    let Seen { pixels, stride, width, height } = seen;
    let rows = pixels.chunks(stride).take(height).map(|row| &row[..width * 3]);
    // As each pass rounds, their order shows. This is Pillow's for squares, told from what it
    // gives.
    if height > to_height && height + to_height > 2 * width {
        let mut between = vec![0; to_height * width * 3];
        down(rows, &Taps::of(height, to_height), &mut between);
        across(between.chunks_exact(width * 3), &Taps::of(width, to_width), out);
    } else {
        let mut between = vec![0; height * to_width * 3];
        across(rows, &Taps::of(width, to_width), &mut between);
        down(between.chunks_exact(to_width * 3), &Taps::of(height, to_height), out);
    }
}

/// What target pixels are made of: each of equally many neighbours.
struct Taps {
    /// How many source pixels make a target pixel.
    count: usize,
    /// For each target pixel the first source pixel.
    first: Vec<usize>,
    /// `[target, count]`; zero where a pixel needs fewer.
    weights: Vec<i32>,
}

/// Pairs of lengths whose taps a thread remembers: more than signs have, fewer than photographs.
const REMEMBERED: usize = 256;

thread_local! {
    static TAPS: RefCell<HashMap<[usize; 2], Rc<Taps>>> = RefCell::default();
}

impl Taps {
    /// [`Taps::new`], remembered: making them takes a quarter of the time of a small picture.
    fn of(from: usize, to: usize) -> Rc<Self> {
        TAPS.with_borrow_mut(|known| {
            if known.len() == REMEMBERED && !known.contains_key(&[from, to]) {
                known.clear();
            }
            Rc::clone(known.entry([from, to]).or_insert_with(|| Self::new(from, to).into()))
        })
    }

    /// The taps of each of `to` target pixels over `from` source pixels.
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let reach = scale.max(1.0);
        let ends = |target: usize| {
            let center = (target as f64 + 0.5) * scale;
            // Truncation of what is below zero is zero, as wanted.
            let first = (center - reach + 0.5) as usize;
            (center, first, ((center + reach + 0.5) as usize).min(from))
        };
        let count = (0..to).map(ends).map(|(_, first, end)| end - first).max().unwrap_or(0);
        let (mut firsts, mut weights) = (Vec::with_capacity(to), vec![0; to * count]);
        let mut triangle = vec![0.0; count];
        for (target, weights) in weights.chunks_exact_mut(count).enumerate() {
            let (center, first, end) = ends(target);
            let triangle = &mut triangle[..end - first];
            for (x, weight) in (first..end).zip(triangle.iter_mut()) {
                *weight = (1.0 - ((x as f64 - center + 0.5) * (1.0 / reach)).abs()).max(0.0);
            }
            let total: f64 = triangle.iter().sum();
            // Zeros in front keep all taps inside the source.
            let start = first.min(from - count);
            for (fixed, weight) in weights[first - start..].iter_mut().zip(triangle) {
                *fixed = (*weight / total * f64::from(1 << BITS) + 0.5) as i32;
            }
            firsts.push(start);
        }
        Self { count, first: firsts, weights }
    }

    /// For each target pixel the first source pixel and the weights from there on.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.first.iter().copied().zip(self.weights.chunks_exact(self.count))
    }
}

/// Resamples `rows` to rows of as many pixels as there are `taps`.
///
/// For that they are turned into columns, which are resampled as rows are: a pixel's three
/// numbers would fill no vector, those of a whole column do.
#[inline(always)]
fn across<'a>(rows: impl Iterator<Item = &'a [u8]>, taps: &Taps, out: &mut [u8]) {
    let rows: Vec<&[[u8; 3]]> = rows.map(|row| row.as_chunks().0).collect();
    let (width, target) = (rows.first().map_or(0, |row| row.len()), taps.first.len());
    let (mut from, mut to) = (vec![0; STRIP * width * 3], vec![0; STRIP * target * 3]);
    for (rows, out) in rows.chunks(STRIP).zip(out.chunks_mut(STRIP * target * 3)) {
        let height = rows.len() * 3;
        let (from, to) = (&mut from[..width * height], &mut to[..target * height]);
        turn(rows, from);
        down(from.chunks_exact(height), taps, to);
        let columns: Vec<_> = to.chunks_exact(height).map(|column| column.as_chunks().0).collect();
        turn(&columns, out);
    }
}

/// Writes rows of pixels as columns.
#[inline(always)]
fn turn(rows: &[&[[u8; 3]]], out: &mut [u8]) {
    for (x, column) in out.chunks_exact_mut(rows.len() * 3).enumerate() {
        for (pixel, row) in column.as_chunks_mut().0.iter_mut().zip(rows) {
            *pixel = row[x];
        }
    }
}

/// Resamples `rows` to as many rows as there are `taps`.
#[inline(always)]
fn down<'a>(rows: impl Iterator<Item = &'a [u8]>, taps: &Taps, out: &mut [u8]) {
    let rows: Vec<&[u8]> = rows.collect();
    let row = rows.first().map_or(0, |row| row.len());
    let mut sums = vec![0; row];
    for ((first, weights), out) in taps.iter().zip(out.chunks_exact_mut(row)) {
        if let (&[one, two], &[left, right]) = (&rows[first..][..weights.len()], weights) {
            for ((out, &one), &two) in out.iter_mut().zip(one).zip(two) {
                *out = to_byte(HALF + i32::from(one) * left + i32::from(two) * right);
            }
            continue;
        }
        sums.fill(HALF);
        for (source, weight) in rows[first..].iter().zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(*source) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = to_byte(sum);
        }
    }
}

/// Weights sum to one, up to their rounding: the clamp hardly ever acts.
#[inline(always)]
fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod plain;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for (from, to) in [(1, 1), (1, 7), (7, 1), (25, 96), (266, 96), (97, 96), (3, 224)] {
            for (first, weights) in Taps::new(from, to).iter() {
                let sum: i32 = weights.iter().sum();
                assert!((sum - (1 << BITS)).abs() <= weights.len() as i32);
                assert!(first + weights.len() <= from);
            }
        }
    }

    #[test]
    fn halving_and_doubling_by_hand() {
        // Four columns to two: a triangle two pixels wide, cut at the border:
        // (3 a + 3 b + c) / 7 of the first three.
        let row = [0, 70, 140, 210].map(|value| [value; 3]).concat();
        let mut out = [0; 6];
        across(std::iter::once(&row[..]), &Taps::new(4, 2), &mut out);
        assert_eq!(out, *[[50; 3], [160; 3]].concat());
        // Two rows to four: 1, 3/4, 1/4, 0 of the first.
        let mut out = [0; 12];
        down([&[0; 3][..], &[100; 3]].into_iter(), &Taps::new(2, 4), &mut out);
        assert_eq!(out, *[[0; 3], [25; 3], [75; 3], [100; 3]].concat());
    }

    #[test]
    fn it_equals_its_simplest_form() {
        let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
        let sides = [1, 2, 3, 7, 25, 48, 95, 96, 97, 141, 266];
        for (width, height) in sides.iter().flat_map(|&w| sides.map(|h| (w, h))) {
            // A picture that is wider than what is seen of it.
            let stride = width * 3 + 12;
            let pixels: Vec<u8> = (0..stride * height - 12).map(noise).collect();
            let rows = pixels.chunks(stride).map(|row| &row[..width * 3]);
            let alone: Vec<u8> = rows.flatten().copied().collect();
            for size in [1, 5, 32, 96] {
                let expected = plain::resize(&alone, width, height, size);
                let mut out = vec![0; size * size * 3];
                let seen = Seen { pixels: &pixels, stride, width, height };
                resize(seen, size, &mut out);
                assert!(out == expected, "{width} x {height} to {size}");
                out.fill(0);
                resize_inline(seen, [size; 2], &mut out);
                assert!(out == expected, "{width} x {height} to {size}");
            }
        }
    }
}
