//! How many images and tracks of each class there are.

use std::collections::BTreeSet;

use artifact::embeddings::Row;

/// Images of one class in one split.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Amount {
    /// How many.
    pub images: u64,
    /// How many physical objects are known to be on them.
    pub tracks: u64,
}

/// Images of one class.
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    /// Name of the class.
    pub name: String,
    /// To train on.
    pub train: Amount,
    /// To test on.
    pub test: Amount,
}

/// Counts the rows of each of `classes`; labels of others count nowhere.
#[must_use]
pub fn balance(classes: &[String], train: &[Row], test: &[Row]) -> Vec<Balance> {
    let (train, test) = (amounts(classes.len(), train), amounts(classes.len(), test));
    let class = |((name, train), test): ((&String, Amount), Amount)| Balance {
        name: name.clone(),
        train,
        test,
    };
    classes.iter().zip(train).zip(test).map(class).collect()
}

fn amounts(classes: usize, rows: &[Row]) -> Vec<Amount> {
    let mut amounts = vec![Amount::default(); classes];
    let mut seen = BTreeSet::new();
    for row in rows {
        let class = usize::try_from(row.label).ok();
        if let Some(amount) = class.and_then(|class| amounts.get_mut(class)) {
            amount.images += 1;
            let track = row.track.as_deref();
            amount.tracks += u64::from(track.is_some_and(|t| seen.insert((row.label, t))));
        }
    }
    amounts
}

#[cfg(test)]
mod tests {
    use artifact::Hash;

    use super::*;

    #[test]
    fn a_track_is_of_one_class_and_counts_once() {
        let row = |label, track: Option<&str>| Row {
            key: Hash::of(b""),
            path: String::new(),
            label,
            track: track.map(str::to_owned),
            frame: None,
        };
        let train = [row(0, Some("a")), row(0, Some("a")), row(1, Some("a")), row(7, None)];
        let found = balance(&["x", "y"].map(str::to_owned), &train, &[row(1, None)]);
        let amount = |images, tracks| Amount { images, tracks };
        assert_eq!((found[0].train, found[0].test), (amount(2, 1), amount(0, 0)));
        assert_eq!((found[1].train, found[1].test), (amount(1, 1), amount(1, 0)));
    }
}
