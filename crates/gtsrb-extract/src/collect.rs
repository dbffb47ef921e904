//! Embeddings into the cache, in the order that they come in, a part at a time.

use artifact::Output;
use artifact::embeddings::{Cache, Key, Storage};
use ndarray::ArrayView2;
use stage::{Error, Result};

use crate::pipeline::Embeddings;

/// A part holds at most this many numbers: 64 MiB as f32, some seconds of work.
const PART_NUMBERS: usize = 16 << 20;
/// And at most this many rows.
const PART_ROWS: usize = 8192;

/// Appends a part whenever there is enough for one.
pub struct Collector<'a> {
    cache: &'a mut Cache,
    writer: &'a Output,
    storage: Storage,
    dims: usize,
    keys: Vec<Key>,
    values: Vec<f32>,
}

impl<'a> Collector<'a> {
    /// Collects into `cache`, which `writer` holds.
    pub fn new(cache: &'a mut Cache, writer: &'a Output, storage: Storage, dims: usize) -> Self {
        Self { cache, writer, storage, dims, keys: Vec::new(), values: Vec::new() }
    }

    /// Takes a batch.
    pub fn take(&mut self, batch: Embeddings) -> Result<()> {
        self.keys.extend(batch.keys);
        self.values.extend(batch.values);
        if self.keys.len() >= PART_ROWS || self.values.len() >= PART_NUMBERS {
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
