//! Test images that are all but training images: the closest pairs across the splits.
//!
//! Comparing all features of all pairs would take minutes. The nearest by the principal
//! directions alone are looked for first, and those most alike are compared in full.

use std::collections::BTreeMap;

use artifact::embeddings::Row;
use baseline::neighbours;
use ndarray::ArrayView1;
use stage::Result;

use crate::sources::Sources;
use crate::space::Space;

/// Training images that are looked at for each test image.
const CANDIDATES: usize = 8;

/// Pairs that are compared in full.
const COMPARED: usize = 2000;

/// Tracks that say how far two neighbouring frames usually are.
const TRACKS: usize = 300;

/// A test image and a training image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Row of the test image.
    pub test: usize,
    /// Row of the training image.
    pub train: usize,
    /// 1 less the cosine of the angle between their standardised embeddings: 0 to 2.
    pub distance: f64,
}

/// The closest pairs across the splits.
pub struct Near {
    /// The closest first, each test image once.
    pub pairs: Vec<Pair>,
    /// Median distance of two neighbouring frames of one training track, where tracks are known.
    pub usual: Option<f64>,
}

impl Near {
    /// The `count` closest pairs that aren't the `same` picture (of a row of the test images and
    /// one of the training images).
    pub fn of(
        sources: &Sources,
        space: &Space,
        count: usize,
        same: impl Fn(usize, usize) -> bool,
    ) -> Result<Self> {
        let mut pairs = candidates(space, same);
        let frames = neighbouring_frames(&space.rows);
        let wanted = pairs.iter().map(|pair| pair.train);
        let mut rows: Vec<usize> = wanted.chain(frames.iter().flatten().copied()).collect();
        rows.sort_unstable();
        rows.dedup();
        let features = space.train_features(sources, &rows)?;
        let place: BTreeMap<usize, usize> = rows.iter().enumerate().map(|(i, &r)| (r, i)).collect();
        let train = |row: usize| features.row(place[&row]);
        for pair in &mut pairs {
            pair.distance = distance(space.features.row(pair.test), train(pair.train));
        }
        let usual = frames.iter().map(|&[a, b]| distance(train(a), train(b))).collect();
        Ok(Self { pairs: closest(pairs, count), usual: median(usual) })
    }
}

/// The pairs that are most alike along the principal directions.
fn candidates(space: &Space, same: impl Fn(usize, usize) -> bool) -> Vec<Pair> {
    let all: Vec<usize> = (0..space.train.nrows()).collect();
    let found = neighbours(space.train.view(), &all, space.test.view(), CANDIDATES);
    let mut pairs: Vec<Pair> = Vec::new();
    for (row, found) in found.into_iter().enumerate() {
        for other in found.into_iter().filter(|&other| !same(row, other)) {
            let distance = distance(space.test.row(row), space.train.row(other));
            pairs.push(Pair { test: row, train: other, distance });
        }
    }
    sort(&mut pairs);
    pairs.truncate(COMPARED);
    pairs
}

fn sort(pairs: &mut [Pair]) {
    let key = |pair: &Pair| (pair.test, pair.train);
    pairs.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(key(a).cmp(&key(b))));
}

/// The `count` closest of `pairs`, each test image once.
fn closest(mut pairs: Vec<Pair>, count: usize) -> Vec<Pair> {
    sort(&mut pairs);
    let mut seen = std::collections::BTreeSet::new();
    pairs.retain(|pair| seen.insert(pair.test));
    pairs.truncate(count);
    pairs
}

fn product(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Cosine distance; 1 where one has no direction.
fn distance(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    let lengths = (product(a, a) * product(b, b)).sqrt();
    if lengths > 0.0 { 1.0 - product(a, b) / lengths } else { 1.0 }
}

/// A frame's place in its track, and its row.
type Frame = (Option<i32>, usize);

/// The two frames in the middle of each of at most [`TRACKS`] tracks, evenly chosen.
fn neighbouring_frames(rows: &[Row]) -> Vec<[usize; 2]> {
    let mut tracks: BTreeMap<(i64, &str), Vec<Frame>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        if let Some(track) = &row.track {
            tracks.entry((row.label, track)).or_default().push((row.frame, index));
        }
    }
    let middle = |mut frames: Vec<Frame>| {
        frames.sort_unstable();
        let second = frames.len() / 2;
        Some([frames[second.checked_sub(1)?].1, frames[second].1])
    };
    let pairs: Vec<[usize; 2]> = tracks.into_values().filter_map(middle).collect();
    let step = pairs.len().div_ceil(TRACKS).max(1);
    pairs.into_iter().step_by(step).collect()
}

/// The value in the middle, the upper one of two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use artifact::Hash;
    use ndarray::array;

    use super::*;

    #[test]
    fn distances_are_of_directions() {
        let x = array![[1.0_f32, 0.0], [5.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [0.0, 0.0]];
        let wanted = [0.0, 0.0, 1.0, 2.0, 1.0];
        for (other, wanted) in x.rows().into_iter().zip(wanted) {
            assert!((distance(x.row(0), other) - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn each_test_image_is_listed_once_with_its_nearest() {
        let pair = |test, train, distance| Pair { test, train, distance };
        let pairs = vec![pair(0, 1, 0.5), pair(1, 1, 0.4), pair(0, 2, 0.3), pair(2, 9, 0.9)];
        assert_eq!(closest(pairs, 2), [pair(0, 2, 0.3), pair(1, 1, 0.4)]);
    }

    #[test]
    fn frames_beside_each_other_are_of_one_track_and_in_order() {
        let row = |label, track: Option<&str>, frame| Row {
            key: Hash::of(b""),
            path: String::new(),
            label,
            track: track.map(str::to_owned),
            frame: Some(frame),
        };
        let rows = [
            row(0, Some("a"), 2),
            row(1, Some("a"), 0),
            row(0, Some("a"), 0),
            row(0, Some("a"), 1),
            row(1, None, 1),
            row(1, None, 2),
        ];
        assert_eq!(neighbouring_frames(&rows), [[2, 3]]);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
