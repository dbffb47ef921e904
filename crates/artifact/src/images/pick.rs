//! Some images of a run, for those who know their places and keys: no other image's bytes are
//! read, and each is verified by its key instead of its whole file.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;
use stage::{Error, Result};

use super::{Image, ImageSet, STAGE, Split, from_batch};
use crate::Manifest;
use crate::embeddings::{Key, Row, key, read_index};
use crate::table::damaged;

/// Images read at a time.
const BATCH: usize = 64;

impl Split {
    /// The name of the split's table of keys.
    #[must_use]
    pub fn index(self) -> String {
        format!("index-{}.parquet", self.as_str())
    }
}

impl ImageSet {
    /// What ingest recorded of the images of `split` in order, keys included; None where an
    /// earlier release wrote them.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) if it is damaged.
    pub fn index(&self, split: Split) -> Result<Option<Vec<Row>>> {
        let name = split.index();
        if !self.manifest.outputs.contains_key(&name) {
            return Ok(None);
        }
        self.manifest
            .verify(&self.dir, &name)
            .and_then(|()| read_index(&self.dir.join(name), STAGE))
            .map(Some)
            .map_err(|e| self.blame(e))
    }

    /// The images of `split` at the places `rows` (ascending) with the keys that they must
    /// have, and these keys.
    #[must_use]
    pub fn pick(&self, split: Split, rows: Vec<(usize, Key)>) -> Pick<'_> {
        let mut rows = rows.into_iter().peekable();
        let (mut files, mut start) = (Vec::new(), 0);
        for name in self.files(split) {
            let end = start + self.manifest.outputs[name].rows.unwrap_or(0) as usize;
            let mut wanted = Vec::new();
            while let Some((row, key)) = rows.next_if(|(row, _)| *row < end) {
                wanted.push((row - start, key));
            }
            if !wanted.is_empty() {
                files.push((self.dir.join(name), end - start, wanted));
            }
            start = end;
        }
        Pick { set: self, files: files.into_iter(), open: None }
    }

    /// Says of a failed read that the images changed underfoot, if they did.
    pub(super) fn blame(&self, error: Error) -> Error {
        let wrong = matches!(error.fault(), stage::Fault::Data | stage::Fault::Missing);
        if wrong && Manifest::read(&self.dir, STAGE).ok().as_ref() != Some(&self.manifest) {
            return Error::busy(format!(
                "{} changed while it was read: run again when {STAGE} has ended",
                self.dir.display()
            ));
        }
        error
    }
}

/// A file, how many rows it has, and those that are wanted of it.
type Wanted = (PathBuf, usize, Vec<(usize, Key)>);

/// An iterator over some images.
pub struct Pick<'a> {
    set: &'a ImageSet,
    files: std::vec::IntoIter<Wanted>,
    open: Option<Reading>,
}

struct Reading {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    keys: std::vec::IntoIter<Key>,
    images: std::vec::IntoIter<Image>,
}

impl Reading {
    fn open((path, rows, wanted): Wanted) -> Result<Self> {
        let ranges = ranges(wanted.iter().map(|(row, _)| *row));
        let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), rows);
        let keys: Vec<Key> = wanted.into_iter().map(|(_, key)| key).collect();
        let batches = reader(&path, selection)?;
        Ok(Self { path, batches, keys: keys.into_iter(), images: Vec::new().into_iter() })
    }

    /// The next image, if there is one in this file.
    fn next(&mut self) -> Result<Option<(Key, Image)>> {
        let Some(wanted) = self.keys.next() else {
            return Ok(None);
        };
        let damaged = |reason: &str| damaged(&self.path, reason, STAGE);
        if self.images.len() == 0 {
            let batch = self.batches.next().ok_or_else(|| damaged("rows are missing"))?;
            let images = from_batch(&batch.map_err(|e| damaged(&e.to_string()))?);
            self.images = images.map_err(|e| damaged(&e))?.into_iter();
        }
        match self.images.next() {
            Some(image) if key(&image) == wanted => Ok(Some((wanted, image))),
            _ => Err(damaged("a picture is not the one that was recorded")),
        }
    }
}

fn reader(path: &Path, selection: RowSelection) -> Result<ParquetRecordBatchReader> {
    let file = File::open(path).map_err(|e| Error::read(path, &e))?;
    // With the places of pages, those without a wanted row aren't read.
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .and_then(|b| b.with_row_selection(selection).with_batch_size(BATCH).build())
        .map_err(|e| damaged(path, &e, STAGE))
}

/// Ascending numbers as ranges of those that follow each other.
fn ranges(rows: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => ranges.push(row..row + 1),
        }
    }
    ranges
}

impl Iterator for Pick<'_> {
    type Item = Result<(Key, Image)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(reading) = &mut self.open {
                match reading.next() {
                    Ok(None) => self.open = None,
                    found => return found.map_err(|e| self.set.blame(e)).transpose(),
                }
            }
            match Reading::open(self.files.next()?) {
                Ok(reading) => self.open = Some(reading),
                Err(e) => return Some(Err(self.set.blame(e))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(ranges([0, 1, 2, 5, 7, 8].into_iter()), [0..3, 5..6, 7..9]);
        assert!(ranges(std::iter::empty()).is_empty());
    }
}
