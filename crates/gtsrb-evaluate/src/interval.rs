//! 95 % intervals: how far a number could be off because the test set is finite.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::metrics::{Interval, Scored};

/// Bootstrap resamples per interval.
pub const RESAMPLES: u64 = 1000;

/// The 97.5th percentile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Seed of the resampling: fixed, so that the same predictions give the same bytes.
const SEED: u64 = 0x6774_7372_6200_0095;

/// Wilson's score interval of `hits` out of `all` (Wilson 1927); `all` is not zero.
#[must_use]
pub fn wilson(hits: u64, all: u64) -> Interval {
    let n = all as f64;
    let p = hits as f64 / n;
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At 0 and at 1 the bound is exact; rounding must not push it past the value.
    let low = if hits == 0 { 0.0 } else { centre - half };
    let high = if hits == all { 1.0 } else { centre + half };
    [low, high]
}

/// Percentile bootstrap over images (Efron 1979), moved by its own bias: the
/// calibration error of a resample is larger than the sample's on average, and
/// without the move its interval would lie above the value. Bounded to
/// `[0, largest]`.
pub fn bootstrap(
    scored: &[Scored],
    statistic: impl Fn(&[Scored]) -> f64 + Sync,
    largest: f64,
) -> Interval {
    let value = statistic(scored);
    let mut resampled: Vec<f64> =
        (0..RESAMPLES).into_par_iter().map(|i| statistic(&resample(scored, i))).collect();
    resampled.sort_by(f64::total_cmp);
    let bias = resampled.iter().sum::<f64>() / RESAMPLES as f64 - value;
    let bound = |share: f64| (percentile(&resampled, share) - bias).clamp(0.0, largest);
    [bound(0.025), bound(0.975)]
}

/// As many images as in `scored`, drawn with replacement; resample `index` is the
/// same on every machine and for every thread count.
fn resample(scored: &[Scored], index: u64) -> Vec<Scored> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    random.set_stream(index);
    let count = u64::try_from(scored.len()).unwrap_or(u64::MAX);
    scored.iter().map(|_| scored[random.random_range(0..count) as usize]).collect()
}

/// Linear interpolation between order statistics, the default of `numpy.percentile`.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + part * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_equals_the_published_example() {
        // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
        let [low, high] = wilson(81, 263);
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5);
    }

    #[test]
    fn wilson_stays_inside_at_the_ends() {
        assert_eq!(wilson(0, 10)[0].to_bits(), 0.0_f64.to_bits());
        assert_eq!(wilson(10, 10)[1].to_bits(), 1.0_f64.to_bits());
        assert!(wilson(10, 10)[0] > 0.7);
    }

    #[test]
    fn percentile_interpolates() {
        assert!((percentile(&[0.0, 1.0, 2.0, 3.0], 0.5) - 1.5).abs() < 1e-12);
        assert!((percentile(&[1.0, 2.0], 0.025) - 1.025).abs() < 1e-12);
    }
}
