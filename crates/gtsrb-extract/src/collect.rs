//! Embeddings into the cache, in the order that they come in, a part at a time.

use artifact::embeddings::{Cache, NewPart, Storage, Writer, part_rows};
use ndarray::{ArrayView2, Axis};
use stage::{Error, Result};

use crate::pipeline::Embeddings;

/// Writes embeddings to a part as they come, and adds it when there are enough.
pub struct Collector<'a> {
    cache: &'a mut Cache,
    writer: &'a Writer,
    storage: Storage,
    dims: usize,
    part: Option<NewPart>,
}

impl<'a> Collector<'a> {
    /// Collects into `cache`, which `writer` holds.
    pub fn new(cache: &'a mut Cache, writer: &'a Writer, storage: Storage, dims: usize) -> Self {
        Self { cache, writer, storage, dims, part: None }
    }

    /// Takes embeddings. Where a part ends doesn't depend on how many come at once.
    pub fn take(&mut self, found: &Embeddings) -> Result<()> {
        let most = part_rows(self.dims);
        let mut rows = ArrayView2::from_shape((found.keys.len(), self.dims), &found.values)
            .map_err(|e| Error::internal(format!("a batch of embeddings: {e}")))?;
        let mut keys = &found.keys[..];
        while !keys.is_empty() {
            let part = match &mut self.part {
                Some(part) => part,
                none => none.insert(self.cache.new_part(self.writer, self.storage, self.dims)?),
            };
            let room = keys.len().min(most - part.rows());
            let (first, others) = rows.split_at(Axis(0), room);
            part.write(&keys[..room], first)?;
            (keys, rows) = (&keys[room..], others);
            if part.rows() == most {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Adds the part that there is, if any.
    pub fn flush(&mut self) -> Result<()> {
        self.part.take().map_or(Ok(()), |part| self.cache.add_part(part).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::Hash;

    /// The names of the parts, which are hashes of their bytes, when `counts` rows come at once.
    fn parts(counts: &[usize]) -> Vec<String> {
        let dims = 1 << 20; // 16 rows make a part
        let root = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(root.path(), Hash::of(b"view")).unwrap();
        let writer = Cache::lock(root.path(), Hash::of(b"view")).unwrap();
        let mut collector = Collector::new(&mut cache, &writer, Storage::F16, dims);
        let mut next = 0_u8;
        for &count in counts {
            let rows = next..next + count as u8;
            next = rows.end;
            let values = rows.clone().flat_map(|row| vec![f32::from(row); dims]).collect();
            let keys = rows.map(|row| Hash::of(&[row])).collect();
            collector.take(&Embeddings { keys, values }).unwrap();
        }
        collector.flush().unwrap();
        let folder = root.path().join(Hash::of(b"view").to_string());
        let files = std::fs::read_dir(folder).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("part-")).collect();
        names.sort();
        names
    }

    #[test]
    fn parts_do_not_depend_on_how_many_rows_come_at_once() {
        let expected = parts(&[16, 4]);
        assert_eq!(expected.len(), 2);
        assert_eq!(parts(&[20]), expected);
        assert_eq!(parts(&[7, 7, 6]), expected);
    }
}
