//! Which images are kept out of training to choose the penalty.
//!
//! Frames of one track show the same physical sign and are near-copies, so a track is never
//! divided. Each class gives its share of tracks. Which ones is decided by a hash of seed,
//! class and track, not by their order: a track that is added later doesn't move the others.

use std::collections::BTreeSet;

use artifact::Hash;
use artifact::embeddings::Row;
use serde::Serialize;
use stage::{Error, Result};

/// Rows with those of the training part first.
pub struct Split {
    /// All rows: training part, then validation part, each in the order of the images.
    pub rows: Vec<Row>,
    /// Rows of the training part.
    pub train: usize,
    /// The numbers of both parts.
    pub counts: Counts,
    /// Classes that are not in the validation part, although they have images.
    pub unvalidated: Vec<usize>,
}

/// How much is on each side.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Counts {
    /// Share of each class's tracks asked for.
    pub validation: f64,
    /// The seed.
    pub seed: u64,
    /// Tracks of the training part; an image without a track is one of its own.
    pub train_tracks: usize,
    /// Tracks of the validation part.
    pub validation_tracks: usize,
    /// Images of the training part.
    pub train_images: usize,
    /// Images of the validation part.
    pub validation_images: usize,
}

impl Split {
    /// Splits `rows`, whose labels are below `classes`.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) if no class has two tracks.
    pub fn new(rows: Vec<Row>, classes: usize, validation: f64, seed: u64) -> Result<Self> {
        let tracks: BTreeSet<Track<'_>> = rows.iter().map(track_of).collect();
        let (kept_out, unvalidated) = keep_out(&tracks, classes, validation, seed);
        if kept_out.is_empty() {
            return Err(Error::data(
                "no class has two tracks (or two pictures without a track), so none can be kept \
                 out to choose the penalty: add pictures of other signs of a class",
            ));
        }
        let (all, validation_tracks) = (tracks.len(), kept_out.len());
        let out: Vec<bool> = rows.iter().map(|row| kept_out.contains(&track_of(row))).collect();
        let train = out.iter().filter(|&&out| !out).count();
        let counts = Counts {
            validation,
            seed,
            train_tracks: all - validation_tracks,
            validation_tracks,
            train_images: train,
            validation_images: rows.len() - train,
        };
        let mut rows: Vec<(bool, Row)> = out.into_iter().zip(rows).collect();
        rows.sort_by_key(|(out, _)| *out);
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        Ok(Self { rows, train, counts, unvalidated })
    }
}

/// Label and name of a track.
type Track<'a> = (i64, &'a str);

/// The track, or the picture where it has none.
fn track_of(row: &Row) -> Track<'_> {
    (row.label, row.track.as_deref().unwrap_or(&row.path))
}

/// The tracks of the validation part, and the classes of which none could be spared.
fn keep_out<'a>(
    tracks: &BTreeSet<Track<'a>>,
    classes: usize,
    validation: f64,
    seed: u64,
) -> (BTreeSet<Track<'a>>, Vec<usize>) {
    let mut of_class = vec![Vec::new(); classes];
    for &(label, track) in tracks {
        let rank = Hash::of(format!("{seed}/{label}/{track}").as_bytes());
        of_class[label as usize].push((rank, (label, track)));
    }
    let (mut kept_out, mut unvalidated) = (BTreeSet::new(), Vec::new());
    for (label, tracks) in of_class.iter_mut().enumerate() {
        tracks.sort_unstable();
        let share = (tracks.len() as f64 * validation).round() as usize;
        // At least one on each side; a single track is needed for training.
        let count = share.max(1).min(tracks.len().saturating_sub(1));
        kept_out.extend(tracks.iter().take(count).map(|&(_, track)| track));
        if tracks.len() == 1 {
            unvalidated.push(label);
        }
    }
    (kept_out, unvalidated)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn tracks_stay_whole_and_each_class_gives_its_share() {
        let split = Split::new(tracked(10), 4, 0.2, 1).unwrap();
        let (train, validation) = split.rows.split_at(split.train);
        for label in 0..4 {
            assert_eq!(validation.iter().filter(|row| row.label == label).count(), 6);
        }
        let places = |rows: &[Row]| -> BTreeSet<_> {
            rows.iter().map(|row| (row.label, row.track.clone())).collect()
        };
        assert!(places(train).is_disjoint(&places(validation)));
        assert_eq!((split.counts.train_tracks, split.counts.validation_tracks), (32, 8));
        assert_eq!((split.counts.train_images, split.counts.validation_images), (96, 24));
    }

    #[test]
    fn the_seed_decides_and_more_tracks_do_not_reshuffle() {
        let validation = |rows, seed| -> Vec<String> {
            let split = Split::new(rows, 4, 0.2, seed).unwrap();
            split.rows[split.train..].iter().map(|row| row.path.clone()).collect()
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
        let split = Split::new(rows, 5, 0.2, 1).unwrap();
        assert_eq!(split.unvalidated, [2]);
        assert!(split.rows[split.train..].iter().all(|row| row.label != 2));
    }

    #[test]
    fn images_without_tracks_are_split_one_by_one() {
        let rows = (0..20).map(|frame| row(i64::from(frame % 2), None, frame)).collect();
        let split = Split::new(rows, 2, 0.3, 1).unwrap();
        assert_eq!(split.counts.validation_images, 6);
    }

    #[test]
    fn nothing_to_keep_out_is_an_error() {
        let error = Split::new(tracked(1), 4, 0.2, 1).err().unwrap();
        assert_eq!(error.fault(), stage::Fault::Data);
    }
}
