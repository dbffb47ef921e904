//! Pictures that are there more than once, told by the hash of their pixels.

use std::collections::{BTreeMap, HashMap, HashSet};

use artifact::Hash;

use crate::bad::{Bad, shown};
use crate::check::Checked;

/// Takes pictures out that are there under two of `classes`, and says so for each.
pub fn take_contradictions(parts: &mut [&mut Vec<Checked>], classes: &[String]) -> Vec<Bad> {
    let class = |label: i64| shown(&classes[label as usize]);
    let mut first: HashMap<Hash, (i64, String)> = HashMap::new();
    let mut contradicted: HashMap<Hash, [(i64, String); 2]> = HashMap::new();
    for picture in parts.iter().flat_map(|part| part.iter()) {
        let this = (picture.item.label, picture.item.path.clone());
        let earlier = first.entry(picture.pixels).or_insert_with(|| this.clone());
        if earlier.0 != this.0 {
            let pair = [earlier.clone(), this];
            contradicted.entry(picture.pixels).or_insert(pair);
        }
    }
    let mut bad = Vec::new();
    for part in parts {
        part.retain(|picture| match contradicted.get(&picture.pixels) {
            None => true,
            Some([one, two]) => {
                let (label, path) = if one.0 == picture.item.label { two } else { one };
                let reason = format!(
                    "of class {}, but the same picture is in class {}: {}",
                    class(picture.item.label),
                    class(*label),
                    shown(path)
                );
                bad.push(Bad::new(&picture.item.path, reason));
                false
            }
        });
    }
    bad
}

/// Counts pictures that equal an earlier one in their part, and test pictures that equal a
/// training picture.
pub fn count(train: &[Checked], test: &[Checked]) -> BTreeMap<String, u64> {
    let distinct = |part: &[Checked]| part.iter().map(|p| p.pixels).collect::<HashSet<_>>();
    let (in_train, in_test) = (distinct(train), distinct(test));
    let across = test.iter().filter(|p| in_train.contains(&p.pixels)).count();
    [
        ("duplicates_within_train", train.len() - in_train.len()),
        ("duplicates_within_test", test.len() - in_test.len()),
        ("duplicates_across_splits", across),
    ]
    .map(|(name, n)| (name.to_owned(), n as u64))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::tests::checked;

    #[test]
    fn one_picture_in_two_classes_is_taken_out() {
        let mut train = vec![checked(0, "a", 1), checked(0, "b", 2), checked(0, "c", 1)];
        let mut test = vec![checked(1, "d", 1), checked(1, "e", 3)];
        let bad = take_contradictions(&mut [&mut train, &mut test], &["cat".into(), "dog".into()]);
        assert_eq!(bad.iter().map(|b| b.path.as_str()).collect::<Vec<_>>(), ["a", "c", "d"]);
        assert!(
            bad[0].reason.contains("of class cat, but the same picture is in class dog: d"),
            "{}",
            bad[0].reason
        );
        assert!(bad[2].reason.contains("class cat: a"), "{}", bad[2].reason);
        assert_eq!((train.len(), test.len()), (1, 1));
    }

    #[test]
    fn repetitions_are_counted() {
        let train = [checked(0, "a", 1), checked(0, "b", 1), checked(0, "c", 1)];
        let test = [checked(0, "d", 1), checked(0, "e", 2), checked(0, "f", 2)];
        let counts = count(&train, &test);
        assert_eq!(counts["duplicates_within_train"], 2);
        assert_eq!(counts["duplicates_within_test"], 1);
        assert_eq!(counts["duplicates_across_splits"], 1);
    }
}
