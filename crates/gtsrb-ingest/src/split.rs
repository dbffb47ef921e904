//! A test part for sources that have none.

use std::collections::BTreeMap;

use artifact::{Hash, HashBuilder};

use crate::check::Checked;

/// Takes `share` of each class out of `pictures`, as exactly as can be while equal pictures
/// stay on one side; each class keeps one for training.
///
/// Which pictures are taken depends on their pixels and `seed` alone: renaming one or adding
/// another hardly changes the others' side.
pub fn split(pictures: Vec<Checked>, share: f64, seed: u64) -> (Vec<Checked>, Vec<Checked>) {
    let mut classes: BTreeMap<i64, BTreeMap<Hash, Vec<Checked>>> = BTreeMap::new();
    for picture in pictures {
        let rank =
            HashBuilder::default().field(seed.to_le_bytes()).field(picture.pixels.0).finish();
        classes.entry(picture.item.label).or_default().entry(rank).or_default().push(picture);
    }
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for groups in classes.into_values() {
        let total: usize = groups.values().map(Vec::len).sum();
        let wanted = ((total as f64 * share).round() as usize).clamp(1, total.max(2) - 1);
        let mut taken = 0;
        for group in groups.into_values() {
            let fits = taken + group.len() <= wanted && group.len() < total;
            let side = if fits { &mut test } else { &mut train };
            taken += if fits { group.len() } else { 0 };
            side.extend(group);
        }
    }
    (train, test)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use artifact::images::Roi;
    use proptest::prelude::*;

    use super::*;
    use crate::layout::Item;

    /// A picture of class `label` whose pixels are those of every other with this `content`.
    pub fn checked(label: i64, path: &str, content: u32) -> Checked {
        let (track, frame, roi, size) = (None, None, None, None);
        Checked {
            item: Item { key: path.into(), path: path.into(), label, roi, size, track, frame },
            roi: Roi { x1: 0, y1: 0, x2: 0, y2: 0 },
            width: 1,
            height: 1,
            pixels: Hash::of(&content.to_le_bytes()),
            bytes: Hash::of(&content.to_le_bytes()),
        }
    }

    fn paths(pictures: &[Checked]) -> BTreeSet<String> {
        pictures.iter().map(|p| p.item.path.clone()).collect()
    }

    #[test]
    fn eighty_pictures_of_two_classes() {
        let all: Vec<_> = (0..80).map(|n| checked(n / 40, &n.to_string(), n as u32)).collect();
        let (train, test) = split(all.clone(), 0.2, 1);
        assert_eq!((train.len(), test.len()), (64, 16));
        assert_eq!(test.iter().filter(|p| p.item.label == 0).count(), 8);
        assert_ne!(paths(&split(all, 0.2, 2).1), paths(&test));
    }

    #[test]
    fn a_class_keeps_one_for_training() {
        let (train, test) = split(vec![checked(0, "a", 1)], 0.9, 1);
        assert_eq!((train.len(), test.len()), (1, 0));
        let (train, test) = split(vec![checked(0, "a", 1), checked(0, "b", 2)], 0.9, 1);
        assert_eq!((train.len(), test.len()), (1, 1));
    }

    proptest! {
        #[test]
        fn shares_are_kept_and_no_group_is_torn(
            contents in prop::collection::vec((0i64..4, 0u32..60), 1..200),
            share in 0.05f64..0.95,
            seed: u64,
        ) {
            // The content tells the class, so that no picture is in two classes.
            let all: Vec<_> = contents
                .iter()
                .enumerate()
                .map(|(n, (label, content))| checked(*label, &n.to_string(), content * 4 + *label as u32))
                .collect();
            let (train, test) = split(all.clone(), share, seed);
            prop_assert_eq!(&paths(&train) | &paths(&test), paths(&all));
            let pixels = |part: &[Checked]| part.iter().map(|p| p.pixels).collect::<BTreeSet<_>>();
            prop_assert!(pixels(&train).is_disjoint(&pixels(&test)));
            for label in 0..4 {
                let of = |part: &[Checked]| part.iter().filter(|p| p.item.label == label).count();
                let (total, taken) = (of(&all), of(&test));
                prop_assert!(total == 0 || of(&train) > 0);
                prop_assert!(taken as f64 <= (total as f64 * share).round().max(1.0));
            }
            let mut backwards = all;
            backwards.reverse();
            prop_assert_eq!(paths(&split(backwards, share, seed).1), paths(&test));
        }

        #[test]
        fn distinct_pictures_are_split_exactly(count in 2usize..300, share in 0.05f64..0.95, seed: u64) {
            let all: Vec<_> = (0..count).map(|n| checked(0, &n.to_string(), n as u32)).collect();
            let wanted = ((count as f64 * share).round() as usize).clamp(1, count - 1);
            prop_assert_eq!(split(all, share, seed).1.len(), wanted);
        }
    }
}
