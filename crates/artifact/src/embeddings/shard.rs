//! A share of a run's embeddings, for several processes or machines to compute at once.

use std::fmt::{self, Display};
use std::str::FromStr;

use super::Key;

/// Share `index` of `count`, from 1. Which key belongs to which share depends on nothing but
/// the key and `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// All shares of `count`.
    pub fn all(count: u32) -> impl Iterator<Item = Self> {
        (1..=count).map(move |index| Self { index, count })
    }

    /// Whether `key` belongs to this share.
    #[must_use]
    pub fn has(&self, key: &Key) -> bool {
        // A hash is uniform in every bit.
        let [a, b, c, d, ..] = key.0;
        u32::from_be_bytes([a, b, c, d]) % self.count == self.index - 1
    }
}

impl Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('/')
            .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)))
            .filter(|&(index, count)| (1..=count).contains(&index))
            .map(|(index, count)| Self { index, count })
            .ok_or_else(|| "wanted is I/N with 1 <= I <= N, such as 2/8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hash;

    #[test]
    fn every_key_belongs_to_one_shard() {
        for count in [1, 2, 7] {
            let shards: Vec<Shard> = Shard::all(count).collect();
            let mut sizes = vec![0; shards.len()];
            for number in 0..700_u32 {
                let key = Hash::of(&number.to_le_bytes());
                let of: Vec<_> = shards.iter().filter(|shard| shard.has(&key)).collect();
                assert_eq!(of.len(), 1);
                sizes[of[0].index as usize - 1] += 1;
            }
            assert!(sizes.iter().all(|&size| size > 500 / count), "{sizes:?}");
        }
    }

    #[test]
    fn text_round_trip() {
        assert_eq!("2/8".parse::<Shard>().unwrap().to_string(), "2/8");
        for wrong in ["0/8", "9/8", "1/0", "2", "a/b", "1/2/3", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
