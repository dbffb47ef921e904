//! Many small parts into few: what a year of nightly additions leaves reads like one run's.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Serialize;
use stage::{Result, check_interrupt};

use super::part::{self, Content};
use super::{Cache, Key, Writer, folder, part_rows};
use crate::place::remove;

/// How many parts there were and are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Parts before.
    pub before: usize,
    /// Parts after.
    pub after: usize,
}

/// Parts that are to become fewer.
struct Small {
    parts: HashSet<PathBuf>,
    /// Keys that no other part holds, in the parts' order.
    keys: Vec<Key>,
    like: Content,
}

impl Cache {
    /// How many parts [`Cache::compact`] would bring together.
    pub fn small_parts(&self) -> Result<usize> {
        Ok(self.small()?.map_or(0, |small| small.parts.len()))
    }

    /// Brings the rows of small parts together in full ones and removes the small ones. No
    /// embedding changes a bit. Damaged parts stay for the next extraction to find.
    ///
    /// # Errors
    /// [`Busy`](stage::Fault::Busy) while others have the view open: then the new parts are
    /// there, the old ones too, and doing it again removes them.
    pub fn compact(&mut self, writer: &Writer) -> Result<Compacted> {
        self.forget_damaged()?;
        let before = self.parts.len();
        if let Some(Small { mut parts, keys, like }) = self.small()? {
            for keys in keys.chunks(part_rows(like.dims)) {
                check_interrupt()?;
                let rows = self.gather(keys, like.dims)?;
                let new = self.append(writer, keys, like.storage, rows.view())?;
                // Equal rows in an equal order make the part that there was.
                parts.remove(&new);
            }
            self.remove_parts(&parts)?;
        }
        Ok(Compacted { before, after: self.parts.len() })
    }

    /// The parts that are less than half full, if there are several.
    fn small(&self) -> Result<Option<Small>> {
        let mut small: Option<Small> = None;
        let mut large: HashSet<Key> = HashSet::new();
        for path in &self.parts {
            let content = part::content(path, self.view)?;
            if 2 * content.keys.len() >= part_rows(content.dims) {
                large.extend(content.keys);
                continue;
            }
            let like = Content { keys: Vec::new(), ..content };
            let small =
                small.get_or_insert(Small { parts: HashSet::new(), keys: Vec::new(), like });
            small.parts.insert(path.clone());
            small.keys.extend(content.keys);
        }
        let several = small.filter(|small| small.parts.len() > 1);
        Ok(several.map(|small| {
            let mut seen = large;
            let keys = small.keys.into_iter().filter(|key| seen.insert(*key)).collect();
            Small { keys, ..small }
        }))
    }

    fn remove_parts(&mut self, parts: &HashSet<PathBuf>) -> Result<()> {
        self.in_use = None;
        let alone = folder::take_from_all(&self.dir)?;
        parts.iter().try_for_each(|part| remove(part))?;
        drop(alone);
        self.in_use = folder::use_it(&self.dir)?;
        self.drop_parts(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hash;
    use crate::embeddings::Storage;
    use ndarray::Array2;

    fn rows(keys: &[Key]) -> Array2<f32> {
        Array2::from_shape_fn((keys.len(), 4), |(row, column)| {
            f32::from(keys[row].0[column]) / 256.0
        })
    }

    #[test]
    fn many_parts_become_one_with_the_same_rows() {
        let root = tempfile::tempdir().unwrap();
        let view = Hash::of(b"view");
        let writer = Cache::lock(root.path(), view).unwrap();
        let mut cache = Cache::open(root.path(), view).unwrap();
        let keys: Vec<Key> = (0..20_u8).map(|i| Hash::of(&[i])).collect();
        for some in keys.chunks(3) {
            cache.append(&writer, some, Storage::F16, rows(some).view()).unwrap();
        }
        // What two shares computed twice is kept once.
        cache.append(&writer, &keys[5..9], Storage::F16, rows(&keys[5..9]).view()).unwrap();
        assert_eq!(cache.small_parts().unwrap(), 8);
        let reader = Cache::open(root.path(), view).unwrap();
        assert_eq!(cache.compact(&writer).unwrap_err().fault().code(), 75);
        assert_eq!(reader.gather(&keys, 4).unwrap(), rows(&keys));
        drop(reader);
        let mut cache = Cache::open(root.path(), view).unwrap();
        assert_eq!(cache.compact(&writer).unwrap(), Compacted { before: 9, after: 1 });
        assert_eq!(cache.gather(&keys, 4).unwrap(), rows(&keys));
        let mut again = Cache::open(root.path(), view).unwrap();
        assert_eq!(again.gather(&keys, 4).unwrap(), rows(&keys));
        assert_eq!(again.compact(&writer).unwrap(), Compacted { before: 1, after: 1 });
    }
}
