//! Facts about the German Traffic Sign Recognition Benchmark (GTSRB): its 43 classes, their
//! names and groups, the layout of its files and the sizes of its known sets.
//!
//! Nothing here reads or writes a file; whoever does takes names and counts from here, so
//! that a writer and a reader cannot disagree.

pub mod archives;
pub mod counts;
pub mod layout;

/// Number of classes.
pub const CLASSES: usize = 43;

/// English names of the classes, by class id.
pub const CLASS_NAMES: [&str; CLASSES] = [
    "Speed limit (20km/h)",
    "Speed limit (30km/h)",
    "Speed limit (50km/h)",
    "Speed limit (60km/h)",
    "Speed limit (70km/h)",
    "Speed limit (80km/h)",
    "End of speed limit (80km/h)",
    "Speed limit (100km/h)",
    "Speed limit (120km/h)",
    "No passing",
    "No passing for vehicles over 3.5 metric tons",
    "Right-of-way at the next intersection",
    "Priority road",
    "Yield",
    "Stop",
    "No vehicles",
    "Vehicles over 3.5 metric tons prohibited",
    "No entry",
    "General caution",
    "Dangerous curve to the left",
    "Dangerous curve to the right",
    "Double curve",
    "Bumpy road",
    "Slippery road",
    "Road narrows on the right",
    "Road work",
    "Traffic signals",
    "Pedestrians",
    "Children crossing",
    "Bicycles crossing",
    "Beware of ice/snow",
    "Wild animals crossing",
    "End of all speed and passing limits",
    "Turn right ahead",
    "Turn left ahead",
    "Ahead only",
    "Go straight or right",
    "Go straight or left",
    "Keep right",
    "Keep left",
    "Roundabout mandatory",
    "End of no passing",
    "End of no passing by vehicles over 3.5 metric tons",
];

/// The six groups in which the GTSRB paper (Stallkamp et al., "Man vs. computer", Neural
/// Networks 32, 2012) reports its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Red ring with a number.
    SpeedLimits,
    /// Red ring without a number.
    OtherProhibitions,
    /// Grey or black with diagonal stripes: the end of a prohibition.
    Derestriction,
    /// Blue disc with white arrows.
    Mandatory,
    /// Triangle standing on its side, red border.
    Danger,
    /// Signs with a shape or face of their own: priority road, yield, stop, no entry.
    Unique,
}

impl Group {
    /// Every group, in the paper's order.
    pub const ALL: [Self; 6] = [
        Self::SpeedLimits,
        Self::OtherProhibitions,
        Self::Derestriction,
        Self::Mandatory,
        Self::Danger,
        Self::Unique,
    ];

    /// The group's name as a person reads it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SpeedLimits => "speed limits",
            Self::OtherProhibitions => "other prohibitions",
            Self::Derestriction => "derestriction",
            Self::Mandatory => "mandatory",
            Self::Danger => "danger",
            Self::Unique => "unique",
        }
    }
}

/// The group of a class; `None` for an id that is no GTSRB class.
#[must_use]
pub const fn group(class: u8) -> Option<Group> {
    Some(match class {
        0..=5 | 7 | 8 => Group::SpeedLimits,
        9 | 10 | 15 | 16 => Group::OtherProhibitions,
        6 | 32 | 41 | 42 => Group::Derestriction,
        33..=40 => Group::Mandatory,
        11 | 18..=31 => Group::Danger,
        12 | 13 | 14 | 17 => Group::Unique,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_group_and_its_own_name() {
        let names: std::collections::BTreeSet<_> = CLASS_NAMES.iter().collect();
        assert_eq!(names.len(), CLASSES);
        let mut sizes = [0; 6];
        for class in 0..CLASSES as u8 {
            sizes[group(class).unwrap() as usize] += 1;
        }
        assert_eq!(sizes, [8, 4, 4, 8, 15, 4]);
        assert_eq!(group(43), None);
    }
}
