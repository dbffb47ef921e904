//! Antialiased bilinear resampling, equal to Pillow's to the last bit.
//!
//! The filter is a triangle as wide as the larger of a source and a target pixel. Weights are
//! fixed-point numbers of 22 bits and each of the two passes, across and down, rounds to
//! 8 bits: that is Pillow's arithmetic for 8-bit pictures, so that Python code that crops and
//! resizes with Pillow sees the pixels that we see.

/// Fraction bits of a weight: 32, less 8 for the pixel and 2 for sums.
const BITS: u32 = 32 - 8 - 2;
/// One half, for rounding.
const HALF: i32 = 1 << (BITS - 1);

/// What one target pixel is made of: the first source pixel and the weights from there on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Resamples `[height, width, 3]` pixels to `[size, size, 3]`.
pub(crate) fn resize(pixels: &[u8], width: usize, height: usize, size: usize) -> Vec<u8> {
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

/// Weights sum to one, up to their rounding: the clamp hardly ever acts.
fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for (from, to) in [(1, 1), (1, 7), (7, 1), (25, 96), (266, 96), (97, 96), (3, 224)] {
            for taps in taps(from, to) {
                let sum: i32 = taps.weights.iter().sum();
                assert!((sum - (1 << BITS)).abs() <= taps.weights.len() as i32);
                assert!(taps.first + taps.weights.len() <= from);
            }
        }
    }

    #[test]
    fn halving_and_doubling_by_hand() {
        // Four columns to two: a triangle two pixels wide, cut at the border:
        // (3 a + 3 b + c) / 7 of the first three.
        let row = [0, 70, 140, 210].map(|value| [value; 3]).concat();
        assert_eq!(across(&row, 4, 2), [[50; 3], [160; 3]].concat());
        // Two rows to four: 1, 3/4, 1/4, 0 of the first.
        let column = [[0; 3], [100; 3]].concat();
        assert_eq!(down(&column, 1, 2, 4), [[0; 3], [25; 3], [75; 3], [100; 3]].concat());
    }
}
