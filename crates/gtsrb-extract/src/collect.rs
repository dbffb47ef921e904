//! Embeddings into the cache, in the order that they come in, a part at a time.

use artifact::embeddings::{Cache, Key, Storage, Writer, part_rows};
use ndarray::ArrayView2;
use stage::{Error, Result};

use crate::pipeline::Embeddings;

/// Appends a part whenever there is enough for one.
pub struct Collector<'a> {
    cache: &'a mut Cache,
    writer: &'a Writer,
    storage: Storage,
    dims: usize,
    keys: Vec<Key>,
    values: Vec<f32>,
}

impl<'a> Collector<'a> {
    /// Collects into `cache`, which `writer` holds.
    pub fn new(cache: &'a mut Cache, writer: &'a Writer, storage: Storage, dims: usize) -> Self {
        Self { cache, writer, storage, dims, keys: Vec::new(), values: Vec::new() }
    }

    /// Takes a batch.
    pub fn take(&mut self, batch: Embeddings) -> Result<()> {
        self.keys.extend(batch.keys);
        self.values.extend(batch.values);
        if self.keys.len() >= part_rows(self.dims) {
            self.flush()?;
        }
        Ok(())
    }

    /// Appends what is there, if anything.
    pub fn flush(&mut self) -> Result<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let rows = ArrayView2::from_shape((self.keys.len(), self.dims), &self.values)
            .map_err(|e| Error::internal(format!("a part of embeddings: {e}")))?;
        self.cache.append(self.writer, &self.keys, self.storage, rows)?;
        self.keys.clear();
        self.values.clear();
        Ok(())
    }
}
