//! Sizes of the known sets, to say which one somebody has.

use crate::CLASSES;

/// Training pictures a class of the final set; counted in its published tables.
pub const FINAL_TRAIN: [u64; CLASSES] = [
    210, 2220, 2250, 1410, 1980, 1860, 420, 1440, 1410, 1470, 2010, 1320, 2100, 2160, 780, 630,
    420, 1110, 1200, 210, 360, 330, 390, 510, 270, 1500, 600, 240, 540, 270, 450, 780, 240, 689,
    420, 1200, 390, 210, 2070, 300, 360, 240, 240,
];

/// Training pictures a class of the smaller set of the IJCNN 2011 online competition, which is
/// a part of the final set. These are the commonly quoted counts, not counted by us; they agree
/// with the published total of 26,640, each is whole tracks of 30, and none is above its
/// count in the final set.
pub const IJCNN_TRAIN: [u64; CLASSES] = [
    150, 1500, 1500, 960, 1320, 1260, 300, 960, 960, 990, 1350, 900, 1410, 1440, 540, 420, 300,
    750, 810, 150, 240, 240, 270, 360, 180, 1020, 420, 180, 360, 180, 300, 540, 180, 480, 300, 810,
    270, 150, 1380, 210, 240, 180, 180,
];

/// Test pictures of the final set.
pub const FINAL_TEST_TOTAL: u64 = 12_630;

/// A published training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainingSet {
    /// The final set, 39,209 pictures: the one to use and to compare with.
    Final,
    /// The IJCNN competition's set, 26,640 pictures, which many papers use unknowingly.
    Ijcnn,
}

impl TrainingSet {
    /// The set with these counts a class; `None` if it is neither.
    #[must_use]
    pub fn recognise(counts: &[u64]) -> Option<Self> {
        if counts == FINAL_TRAIN {
            Some(Self::Final)
        } else if counts == IJCNN_TRAIN {
            Some(Self::Ijcnn)
        } else {
            None
        }
    }

    /// Number of training pictures.
    #[must_use]
    pub fn total(self) -> u64 {
        match self {
            Self::Final => FINAL_TRAIN.iter().sum(),
            Self::Ijcnn => IJCNN_TRAIN.iter().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_to_the_published_totals() {
        assert_eq!(TrainingSet::Final.total(), 39_209);
        assert_eq!(TrainingSet::Ijcnn.total(), 26_640);
    }

    #[test]
    fn the_competition_set_is_whole_tracks_of_the_final_set() {
        for (part, whole) in IJCNN_TRAIN.iter().zip(FINAL_TRAIN) {
            assert!(part % 30 == 0 && *part < whole);
        }
    }

    #[test]
    fn sets_are_recognised_by_their_counts() {
        assert_eq!(TrainingSet::recognise(&FINAL_TRAIN), Some(TrainingSet::Final));
        assert_eq!(TrainingSet::recognise(&IJCNN_TRAIN), Some(TrainingSet::Ijcnn));
        assert_eq!(TrainingSet::recognise(&FINAL_TRAIN[..42]), None);
    }
}
