//! A few of many.

/// Places of `count` of so many `rows`, or of all, evenly spread.
pub fn spread(count: usize, rows: usize) -> impl Iterator<Item = usize> {
    let count = count.min(rows);
    (0..count).map(move |index| index * rows / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_far_from_each_other() {
        assert_eq!(spread(4, 64).collect::<Vec<_>>(), [0, 16, 32, 48]);
        assert_eq!(spread(4, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(4, 0).count(), 0);
    }
}
