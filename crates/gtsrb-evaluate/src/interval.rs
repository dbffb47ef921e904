//! 95 % intervals: how far a number could be off because the test set is finite.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::metrics::Interval;

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

/// What is drawn as a whole when test images are resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Each image for itself.
    Image,
    /// All images of a track: they resemble each other, so that ten of them say less than ten
    /// images of ten signs.
    Track,
}

/// Test images that are drawn together.
#[derive(Debug, Clone)]
pub struct Units {
    kind: Unit,
    /// The unit of each image, `[images]`.
    of: Vec<usize>,
    count: usize,
}

impl Units {
    /// Tracks where every image has one, else images; takes class and track of each.
    #[must_use]
    pub fn of<'a>(images: impl ExactSizeIterator<Item = (i64, Option<&'a str>)>) -> Self {
        let count = images.len();
        let mut numbers = BTreeMap::new();
        let mut tracks = Vec::with_capacity(count);
        for (label, track) in images {
            let Some(track) = track else {
                return Self::images(count);
            };
            let next = numbers.len();
            tracks.push(*numbers.entry((label, track)).or_insert(next));
        }
        Self { kind: Unit::Track, of: tracks, count: numbers.len() }
    }

    /// As many units as images.
    #[must_use]
    pub fn images(count: usize) -> Self {
        Self { kind: Unit::Image, of: (0..count).collect(), count }
    }

    /// What a unit is.
    #[must_use]
    pub fn kind(&self) -> Unit {
        self.kind
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count as u64
    }

    /// Percentile bootstrap over units (Efron 1979) of `N` statistics at once, each moved by its
    /// own bias: the calibration error of a resample is larger than the sample's on average, and
    /// without the move its interval would lie above the value.
    ///
    /// `statistics` takes how often each image counts, `[images]`. Resamples are the same on
    /// every machine and for every number of threads.
    pub fn bootstrap<const N: usize>(
        &self,
        statistics: impl Fn(&[u32]) -> [f64; N] + Sync,
    ) -> [Interval; N] {
        let values = statistics(&vec![1; self.of.len()]);
        let buffers = || (vec![0_u32; self.count], vec![0_u32; self.of.len()]);
        let resampled: Vec<[f64; N]> = (0..RESAMPLES)
            .into_par_iter()
            .map_init(buffers, |(drawn, weights), index| {
                self.draw(index, drawn);
                for (weight, unit) in weights.iter_mut().zip(&self.of) {
                    *weight = drawn[*unit];
                }
                statistics(weights)
            })
            .collect();
        std::array::from_fn(|n| {
            let mut column: Vec<f64> = resampled.iter().map(|values| values[n]).collect();
            column.sort_by(f64::total_cmp);
            let value = values[n];
            let bias = column.iter().sum::<f64>() / RESAMPLES as f64 - value;
            // Where nearly all resamples are alike, as those of a handful of images may be, the
            // move alone would leave the value outside.
            let [low, high] = [0.025, 0.975].map(|share| percentile(&column, share) - bias);
            [low.min(value), high.max(value)]
        })
    }

    /// How often resample `index`, as many units as there are drawn with replacement, holds
    /// each, into `drawn` `[units]`.
    fn draw(&self, index: u64, drawn: &mut [u32]) {
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        random.set_stream(index);
        drawn.fill(0);
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        for _ in 0..count {
            drawn[random.random_range(0..count) as usize] += 1;
        }
    }
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
    fn tracks_are_units_where_all_are_known() {
        let known = [(0, Some("a")), (1, Some("a")), (0, Some("a")), (1, Some("b"))];
        let units = Units::of(known.into_iter());
        assert_eq!((units.kind(), units.count(), &units.of), (Unit::Track, 3, &vec![0, 1, 0, 2]));
        let units = Units::of([(0, Some("a")), (0, None)].into_iter());
        assert_eq!((units.kind(), units.count()), (Unit::Image, 2));
    }

    #[test]
    fn images_that_stand_together_make_intervals_wider() {
        let hits: Vec<u32> = (0..400).map(|i| u32::from(i / 10 % 2 == 0)).collect();
        let share = |weights: &[u32]| {
            let hit: u32 = weights.iter().zip(&hits).map(|(w, h)| w * h).sum();
            [f64::from(hit) / f64::from(weights.iter().sum::<u32>())]
        };
        let tracks: Vec<String> = (0..400).map(|i| format!("{}", i / 10)).collect();
        let rows = tracks.iter().map(|track| (0, Some(track.as_str())));
        let width = |units: Units| {
            let [[low, high]] = units.bootstrap(share);
            high - low
        };
        let (alone, together) = (width(Units::images(400)), width(Units::of(rows)));
        // sqrt(10) times, ten images a track that are all right or all wrong.
        assert!((together / alone / 10_f64.sqrt() - 1.0).abs() < 0.15, "{alone} {together}");
        // And as wide as the normal approximation says.
        assert!((alone / (2.0 * Z * 0.025) - 1.0).abs() < 0.1, "{alone}");
    }

    #[test]
    fn percentile_interpolates() {
        assert!((percentile(&[0.0, 1.0, 2.0, 3.0], 0.5) - 1.5).abs() < 1e-12);
        assert!((percentile(&[1.0, 2.0], 0.025) - 1.025).abs() < 1e-12);
    }
}
