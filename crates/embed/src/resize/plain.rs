//! The same resampling in its simplest form, to compare with.

use super::{BITS, HALF, to_byte};

/// What one target pixel is made of: the first source pixel and the weights from there on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Resamples `[height, width, 3]` pixels to `[size, size, 3]`.
pub(super) fn resize(pixels: &[u8], width: usize, height: usize, size: usize) -> Vec<u8> {
    // As each pass rounds, their order shows. This is Pillow's, told from what it gives.
    if height > size && height + size > 2 * width {
        across(&down(pixels, width, height, size), width, size)
    } else {
        down(&across(pixels, width, size), size, height, size)
    }
}

/// Resamples rows of `width` pixels to rows of `size`.
fn across(pixels: &[u8], width: usize, size: usize) -> Vec<u8> {
    let columns = taps(width, size);
    let mut out = Vec::with_capacity(pixels.len() / width * size);
    for source in pixels.chunks_exact(width * 3) {
        for taps in &columns {
            let mut sums = [HALF; 3];
            for (source, weight) in source[taps.first * 3..].chunks_exact(3).zip(&taps.weights) {
                for (sum, &value) in sums.iter_mut().zip(source) {
                    *sum += i32::from(value) * weight;
                }
            }
            out.extend(sums.map(to_byte));
        }
    }
    out
}

/// Resamples `height` rows of `width` pixels to `size` rows.
fn down(pixels: &[u8], width: usize, height: usize, size: usize) -> Vec<u8> {
    let row = width * 3;
    let mut sums = vec![0; row];
    let mut out = Vec::with_capacity(size * row);
    for taps in taps(height, size) {
        sums.fill(HALF);
        for (source, weight) in pixels[taps.first * row..].chunks_exact(row).zip(&taps.weights) {
            for (sum, &value) in sums.iter_mut().zip(source) {
                *sum += i32::from(value) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    out
}

/// The taps of each of `to` target pixels over `from` source pixels.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let tap = |target: usize| {
        let center = (target as f64 + 0.5) * scale;
        // Truncation of what is below zero is zero, as wanted.
        let first = (center - reach + 0.5) as usize;
        let end = ((center + reach + 0.5) as usize).min(from);
        let triangle =
            |x: usize| (1.0 - ((x as f64 - center + 0.5) * (1.0 / reach)).abs()).max(0.0);
        let weights: Vec<f64> = (first..end).map(triangle).collect();
        let total: f64 = weights.iter().sum();
        let fixed = |weight: f64| (weight / total * f64::from(1 << BITS) + 0.5) as i32;
        Taps { first, weights: weights.into_iter().map(fixed).collect() }
    };
    (0..to).map(tap).collect()
}
