//! Embeddings into the cache, in the order that they come in, a part at a time.

use artifact::embeddings::{Cache, NewPart, Storage, Writer, part_rows};
use ndarray::ArrayView2;
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

    /// Takes a batch.
    pub fn take(&mut self, batch: &Embeddings) -> Result<()> {
        let rows = ArrayView2::from_shape((batch.keys.len(), self.dims), &batch.values)
            .map_err(|e| Error::internal(format!("a batch of embeddings: {e}")))?;
        let mut part = match self.part.take() {
            Some(part) => part,
            None => self.cache.new_part(self.writer, self.storage, self.dims)?,
        };
        part.write(&batch.keys, rows)?;
        let full = part.rows() >= part_rows(self.dims);
        self.part = Some(part);
        if full { self.flush() } else { Ok(()) }
    }

    /// Adds the part that there is, if any.
    pub fn flush(&mut self) -> Result<()> {
        self.part.take().map_or(Ok(()), |part| self.cache.add_part(part).map(drop))
    }
}
