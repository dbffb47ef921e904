//! Which pictures there are, and the random streams that each is drawn from.

use signs::CLASSES;
use signs::layout::{TRACK_FRAMES, test_image, train_image};

use crate::args::Settings;
use crate::random::Random;

/// First parts of the paths of random streams; training and test share nothing.
const TRAIN: u64 = 0;
const TEST: u64 = 1;
const ORDER: u64 = 2;
/// Added to a track's stream number for what differs between its frames.
const FRAMES: u64 = 16;

/// One picture to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its name in the layout.
    pub name: String,
    pub class: u8,
    split: u64,
    track: u32,
    frame: u32,
}

impl Picture {
    /// The random stream of the picture's track: sign, road, light.
    pub fn scene(&self, seed: u32) -> Random {
        Random::new(seed.into(), [self.split, self.class.into(), self.track.into()])
    }

    /// The random stream of this picture alone.
    pub fn moment(&self, seed: u32) -> Random {
        let path = u64::from(self.class) << 32 | u64::from(self.track);
        Random::new(seed.into(), [FRAMES + self.split, path, self.frame.into()])
    }

    /// How much of the track has passed, 0 to 1.
    pub fn way(&self) -> f32 {
        self.frame as f32 / (TRACK_FRAMES - 1) as f32
    }
}

/// All training pictures, by class, track and frame.
pub fn training(settings: &Settings) -> Vec<Picture> {
    let mut pictures = Vec::new();
    for class in 0..CLASSES as u8 {
        for track in 0..settings.tracks {
            pictures.extend((0..TRACK_FRAMES).map(|frame| {
                let name = train_image(class, track, frame);
                Picture { name, class, split: TRAIN, track, frame }
            }));
        }
    }
    pictures
}

/// All test pictures in shuffled order, each of a track of its own.
pub fn test(settings: &Settings) -> Vec<Picture> {
    let mut random = Random::new(settings.seed.into(), [ORDER, 0, 0]);
    let classes = CLASSES as u32;
    let mut tracks: Vec<_> =
        (0..settings.test).map(|i| ((i % classes) as u8, i / classes)).collect();
    for last in (1..tracks.len()).rev() {
        tracks.swap(last, random.below(last as u32 + 1) as usize);
    }
    let mut picture = |(number, (class, track)): (usize, (u8, u32))| {
        let name = test_image(number as u32);
        Picture { name, class, split: TEST, track, frame: random.below(TRACK_FRAMES) }
    };
    tracks.into_iter().enumerate().map(&mut picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_pictures_are_spread_evenly_and_shuffled() {
        let pictures = test(&Settings { tracks: 1, test: 100, seed: 5 });
        let mut counts = [0; CLASSES];
        for picture in &pictures {
            counts[usize::from(picture.class)] += 1;
        }
        assert!(counts.iter().all(|count| (2..=3).contains(count)));
        assert!(pictures.windows(2).any(|pair| pair[0].class > pair[1].class));
        assert_ne!(pictures, test(&Settings { tracks: 1, test: 100, seed: 6 }));
    }

    #[test]
    fn no_two_pictures_share_a_stream() {
        let settings = Settings { tracks: 2, test: 90, seed: 5 };
        let all = [training(&settings), test(&settings)].concat();
        let streams: std::collections::BTreeSet<u32> =
            all.iter().map(|picture| picture.moment(5).bits()).collect();
        assert_eq!(streams.len(), all.len());
    }
}
