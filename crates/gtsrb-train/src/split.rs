//! Which images are kept out of training to choose the penalty.
//!
//! Frames of one track show the same physical sign and are near-copies, so a track is never
//! divided. Each class gives its share of tracks: once (a single split), or all of them in
//! turns (cross-validation). Which ones is decided by a hash of seed, class and track, not by
//! their order: a track that is added later doesn't reshuffle the others.

use std::collections::{BTreeMap, BTreeSet};

use artifact::Hash;
use artifact::embeddings::Row;
use serde::Serialize;
use stage::{Error, Result};

use crate::settings::Settings;

/// All training images and when each is kept out.
pub struct Split {
    /// The images in their order.
    pub rows: Vec<Row>,
    /// For each image the turn in which it is kept out; `None` if it never is.
    pub turns: Vec<Option<usize>>,
    /// Number of turns: 1, or the folds of cross-validation.
    pub folds: usize,
    /// The numbers.
    pub counts: Counts,
    /// Classes of which nothing is ever kept out, although they have images.
    pub unvalidated: Vec<usize>,
}

/// How much is on each side.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Counts {
    /// Share of each class's tracks that is kept out at a time.
    pub validation: f64,
    /// Times that tracks are kept out: 1 is a single split.
    pub folds: usize,
    /// The seed.
    pub seed: u64,
    /// All tracks; an image without a track is one of its own.
    pub tracks: usize,
    /// All images.
    pub images: usize,
    /// Tracks of the first turn's training part.
    pub train_tracks: usize,
    /// Tracks that are kept out, each once.
    pub validation_tracks: usize,
    /// Images of the first turn's training part.
    pub train_images: usize,
    /// Images that are kept out, each once.
    pub validation_images: usize,
}

impl Counts {
    /// Whether images come in tracks of several.
    pub fn has_tracks(&self) -> bool {
        self.tracks < self.images
    }

    /// What is kept out, in words.
    pub fn unit(&self) -> &'static str {
        unit(self.tracks, self.images)
    }

    /// Of images that are kept out in `turns`; `out` has the turn of each track that is.
    fn new(
        settings: &Settings,
        turns: &[Option<usize>],
        tracks: usize,
        out: &BTreeMap<Track, usize>,
    ) -> Self {
        let first = |turn: &&usize| **turn == 0;
        Self {
            validation: settings.folds.map_or(settings.validation, |k| (k as f64).recip()),
            folds: settings.folds.unwrap_or(1),
            seed: settings.seed,
            tracks,
            images: turns.len(),
            train_tracks: tracks - out.values().filter(first).count(),
            validation_tracks: out.len(),
            train_images: turns.len() - turns.iter().flatten().filter(first).count(),
            validation_images: turns.iter().flatten().count(),
        }
    }
}

/// Label and name of a track.
pub type Track = (i64, String);

/// The images of one turn, those of its training part first.
pub struct Part {
    /// Indices into [`Split::rows`].
    pub order: Vec<usize>,
    /// How many of them are trained on.
    pub train: usize,
}

/// What `images` in so many `tracks` are called, of which some are kept out.
fn unit(tracks: usize, images: usize) -> &'static str {
    if tracks < images { "tracks" } else { "pictures" }
}

impl Split {
    /// Splits `rows`, whose labels are below `classes`. Tracks in `learned` are never kept out.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) if no class has two tracks.
    pub fn new(
        rows: Vec<Row>,
        classes: usize,
        settings: &Settings,
        learned: &BTreeSet<Track>,
    ) -> Result<Self> {
        let ranked = ranked(&rows, classes, settings.seed);
        let out = match settings.folds {
            None => keep_out(&ranked, settings.validation, learned),
            Some(folds) => deal(&ranked, folds),
        };
        let tracks = ranked.iter().map(Vec::len).sum();
        let unit = unit(tracks, rows.len());
        if out.is_empty() {
            return Err(Error::data(format!(
                "no class has two {unit}, so none can be kept out to choose by: add pictures of \
                 other objects of a class"
            )));
        }
        let folds = settings.folds.unwrap_or(1);
        if out.len() < folds {
            return Err(Error::data(format!(
                "there are {} {unit} to keep out, too few for folds = {folds}",
                out.len()
            )));
        }
        let turns: Vec<_> = rows.iter().map(|row| out.get(&track_of(row)).copied()).collect();
        let counts = Counts::new(settings, &turns, tracks, &out);
        let validated: BTreeSet<i64> = out.keys().map(|track| track.0).collect();
        let unvalidated = (0..classes)
            .filter(|&class| !ranked[class].is_empty() && !validated.contains(&(class as i64)))
            .collect();
        Ok(Self { rows, turns, folds, counts, unvalidated })
    }

    /// The images of turn `turn`.
    pub fn part(&self, turn: usize) -> Part {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&index| self.turns[index] == Some(turn));
        let train = self.turns.iter().filter(|&&other| other != Some(turn)).count();
        Part { order, train }
    }
}

/// The track, or the picture where it has none.
pub fn track_of(row: &Row) -> Track {
    (row.label, row.track.as_ref().unwrap_or(&row.path).clone())
}

/// The tracks of each class in the order that `seed` gives them.
pub fn ranked(rows: &[Row], classes: usize, seed: u64) -> Vec<Vec<Track>> {
    let mut of_class = vec![BTreeMap::new(); classes];
    for (label, track) in rows.iter().map(track_of) {
        let rank = Hash::of(format!("{seed}/{label}/{track}").as_bytes());
        of_class[label as usize].insert((rank, track.clone()), (label, track));
    }
    of_class.into_iter().map(|tracks| tracks.into_values().collect()).collect()
}

/// The first `validation` of each class's tracks that aren't in `learned`, at least one on each
/// side; a single track is needed for training.
fn keep_out(
    ranked: &[Vec<Track>],
    validation: f64,
    learned: &BTreeSet<Track>,
) -> BTreeMap<Track, usize> {
    let of_class = |tracks: &Vec<Track>| -> Vec<Track> {
        let share = (tracks.len() as f64 * validation).round() as usize;
        let count = share.max(1).min(tracks.len().saturating_sub(1));
        let free = tracks.iter().filter(|track| !learned.contains(track));
        free.take(count).cloned().collect()
    };
    ranked.iter().flat_map(of_class).map(|track| (track, 0)).collect()
}

/// Every track of classes with two or more, dealt to `folds` turns like cards, so that all
/// turns have equally many and each class is spread evenly.
fn deal(ranked: &[Vec<Track>], folds: usize) -> BTreeMap<Track, usize> {
    let dealt = ranked.iter().filter(|tracks| tracks.len() > 1).flatten();
    dealt.enumerate().map(|(card, track)| (track.clone(), card % folds)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(label: i64, track: Option<&str>, frame: i32) -> Row {
        let path = format!("{label}/{track:?}/{frame}.png");
        let track = track.map(str::to_owned);
        Row { key: Hash::of(path.as_bytes()), path, label, track, frame: Some(frame) }
    }

    /// `tracks` tracks of 3 frames for each of 4 classes.
    fn tracked(tracks: usize) -> Vec<Row> {
        (0..4)
            .flat_map(|label| (0..tracks).map(move |track| (label, track)))
            .flat_map(|(label, track)| {
                (0..3).map(move |frame| row(label, Some(&format!("{track:05}")), frame))
            })
            .collect()
    }

    fn split(rows: Vec<Row>, classes: usize, seed: u64) -> Split {
        Split::new(rows, classes, &Settings { seed, ..Settings::default() }, &BTreeSet::new())
            .unwrap()
    }

    fn folded(rows: Vec<Row>, folds: usize) -> Split {
        Split::new(
            rows,
            4,
            &Settings { folds: Some(folds), ..Settings::default() },
            &BTreeSet::new(),
        )
        .unwrap()
    }

    #[test]
    fn a_set_without_tracks_reads_of_pictures() {
        let refused = |rows| {
            let split = Split::new(rows, 4, &Settings::default(), &BTreeSet::new());
            split.err().map(|e| e.to_string()).unwrap_or_default()
        };
        let single = refused((0..4).map(|label| row(label, None, 0)).collect());
        assert!(single.contains("two pictures") && !single.contains("track"), "{single}");
        assert!(refused(tracked(1)).contains("two tracks"));
    }

    /// Training part and validation part of a turn.
    fn sides(split: &Split, turn: usize) -> (Vec<&Row>, Vec<&Row>) {
        let part = split.part(turn);
        let mut rows: Vec<&Row> = part.order.iter().map(|&index| &split.rows[index]).collect();
        let validation = rows.split_off(part.train);
        (rows, validation)
    }

    fn tracks<'a>(rows: impl IntoIterator<Item = &'a Row>) -> BTreeSet<Track> {
        rows.into_iter().map(track_of).collect()
    }

    #[test]
    fn tracks_stay_whole_and_each_class_gives_its_share() {
        let split = split(tracked(10), 4, 1);
        let (train, validation) = sides(&split, 0);
        for label in 0..4 {
            assert_eq!(validation.iter().filter(|row| row.label == label).count(), 6);
        }
        assert!(tracks(train).is_disjoint(&tracks(validation)));
        assert_eq!((split.counts.train_tracks, split.counts.validation_tracks), (32, 8));
        assert_eq!((split.counts.train_images, split.counts.validation_images), (96, 24));
    }

    #[test]
    fn each_track_is_kept_out_in_one_fold() {
        let split = folded(tracked(7), 3);
        let mut seen = BTreeSet::new();
        for turn in 0..3 {
            let (train, validation) = sides(&split, turn);
            let (train, validation) = (tracks(train), tracks(validation));
            assert!(train.is_disjoint(&validation));
            assert_eq!(train.len() + validation.len(), 28);
            for label in 0..4 {
                assert!(validation.iter().filter(|track| track.0 == label).count() >= 2);
            }
            assert!(seen.is_disjoint(&validation));
            seen.extend(validation);
        }
        assert_eq!(seen.len(), 28);
        assert_eq!((split.counts.validation_images, split.counts.images), (84, 84));
    }

    #[test]
    fn the_seed_decides_and_more_tracks_do_not_reshuffle() {
        let validation = |rows, seed| -> Vec<String> {
            let split = split(rows, 4, seed);
            sides(&split, 0).1.into_iter().map(|row| row.path.clone()).collect()
        };
        let first = validation(tracked(10), 1);
        assert_eq!(first, validation(tracked(10), 1));
        assert_ne!(first, validation(tracked(10), 2));
        let more = validation(tracked(12), 1);
        assert!(first.iter().filter(|path| more.contains(path)).count() >= first.len() / 2);
    }

    #[test]
    fn a_single_track_stays_in_training() {
        let mut rows = tracked(3);
        rows.retain(|row| row.label != 2 || row.track.as_deref() == Some("00000"));
        for split in [split(rows.clone(), 5, 1), folded(rows, 2)] {
            assert_eq!(split.unvalidated, [2]);
            assert!(sides(&split, 0).1.iter().all(|row| row.label != 2));
        }
    }

    #[test]
    fn what_a_warm_start_has_learned_is_not_kept_out() {
        let cold = split(tracked(10), 4, 1);
        let learned: BTreeSet<Track> =
            tracks(sides(&cold, 0).1).into_iter().filter(|track| track.0 != 3).collect();
        let warm = Split::new(tracked(10), 4, &Settings::default(), &learned).unwrap();
        let out = tracks(sides(&warm, 0).1);
        assert_eq!(out.len(), 8);
        assert!(out.is_disjoint(&learned));
    }

    #[test]
    fn images_without_tracks_are_split_one_by_one() {
        let rows = (0..20).map(|frame| row(i64::from(frame % 2), None, frame)).collect();
        let settings = Settings { validation: 0.3, ..Settings::default() };
        let split = Split::new(rows, 2, &settings, &BTreeSet::new()).unwrap();
        assert_eq!(split.counts.validation_images, 6);
    }

    #[test]
    fn nothing_to_keep_out_is_an_error() {
        let error =
            Split::new(tracked(1), 4, &Settings::default(), &BTreeSet::new()).err().unwrap();
        assert_eq!(error.fault(), stage::Fault::Data);
    }

    proptest! {
        #[test]
        fn no_track_is_ever_torn(
            frames in prop::collection::vec((0i64..4, 1i32..5), 2..40),
            validation in 0.05f64..0.9,
            folds in prop::option::of(2usize..6),
            seed: u64,
        ) {
            let rows: Vec<Row> = frames
                .iter()
                .enumerate()
                .flat_map(|(track, &(label, count))| {
                    (0..count).map(move |frame| row(label, Some(&track.to_string()), frame))
                })
                .collect();
            let settings = Settings { validation, folds, seed, ..Settings::default() };
            let Ok(split) = Split::new(rows, 4, &settings, &BTreeSet::new()) else {
                // Then no class has two tracks, or there are fewer than folds.
                let labels: BTreeSet<_> = frames.iter().map(|(label, _)| label).collect();
                prop_assert!(labels.len() == frames.len() || folds.is_some());
                return Ok(());
            };
            for turn in 0..split.folds {
                let (train, validation) = sides(&split, turn);
                prop_assert_eq!(train.len() + validation.len(), split.rows.len());
                prop_assert!(tracks(train).is_disjoint(&tracks(validation)));
            }
        }
    }
}
