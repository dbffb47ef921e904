//! Embeddings that are too many for memory, read in blocks.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::FixedSizeListArray;
use arrow_schema::{DataType, Field};
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayViewMut2};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;
use stage::{Error, Result};

use super::part::{copy_row, require_whole};
use super::{Cache, Key, STAGE};
use crate::table::{column, damaged};

/// Rows of a part that a thread reads together where all are wanted in memory.
const GATHERED: usize = 512;

/// The embeddings of some keys, in blocks of rows that lie together in one part of the cache.
/// A block is read on its own, by any thread, and knows which keys its rows belong to.
///
/// The blocks follow the parts, and with them the order in which the cache was filled.
pub struct Blocks<'a> {
    cache: &'a Cache,
    /// Of each part that is read, its footer and the place of its pages.
    metadata: Vec<Option<ArrowReaderMetadata>>,
    list: Vec<Block>,
}

/// Some rows of a part.
struct Block {
    part: usize,
    /// The rows in the part, ascending.
    rows: Vec<usize>,
    /// Of each row, which key it belongs to.
    keys: Vec<usize>,
}

impl Cache {
    /// The embeddings of `keys` in blocks of at most `rows` rows. Every part that they are in is
    /// verified.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) if one isn't there, [`Data`](stage::Fault::Data) if a
    /// part is damaged or has other dimensions.
    pub fn blocks(&self, keys: &[Key], dims: usize, rows: usize) -> Result<Blocks<'_>> {
        let wanted = self.wanted(keys)?;
        let (mut metadata, mut blocks) = (Vec::new(), Vec::new());
        for (part, mut wanted) in wanted.into_iter().enumerate() {
            let path = &self.parts[part];
            metadata.push(if wanted.is_empty() { None } else { Some(open(path, dims)?) });
            wanted.sort_unstable();
            // By place in the part, so that a block is one stretch of it.
            blocks.extend(wanted.chunk_by(|a, b| a.0 / rows == b.0 / rows).map(|chunk| Block {
                part,
                rows: chunk.iter().map(|&(row, _)| row).collect(),
                keys: chunk.iter().map(|&(_, key)| key).collect(),
            }));
        }
        Ok(Blocks { cache: self, metadata, list: blocks })
    }

    /// The embeddings of `keys`, shape `[keys, dims]`, in their order.
    ///
    /// # Errors
    /// As [`Cache::blocks`] and [`Blocks::read`].
    pub fn gather(&self, keys: &[Key], dims: usize) -> Result<Array2<f32>> {
        let blocks = self.blocks(keys, dims, GATHERED)?;
        let mut matrix = Array2::zeros((keys.len(), dims));
        let mut rows: Vec<Option<&mut [f32]>> = in_rows(matrix.view_mut()).map(Some).collect();
        let mut of_block = |block: usize| {
            let keys = blocks.keys(block).iter();
            (block, keys.filter_map(|&key| rows[key].take()).collect())
        };
        let work: Vec<(usize, Vec<&mut [f32]>)> = (0..blocks.len()).map(&mut of_block).collect();
        work.into_par_iter()
            .try_for_each(|(block, rows)| blocks.read_rows(block, rows.into_iter()))?;
        Ok(matrix)
    }
}

/// The rows of a matrix in standard order.
fn in_rows(matrix: ArrayViewMut2<'_, f32>) -> impl Iterator<Item = &mut [f32]> {
    let dims = matrix.ncols().max(1);
    matrix.into_slice().unwrap_or_default().chunks_exact_mut(dims)
}

/// Verifies a part and reads its footer.
fn open(part: &PathBuf, dims: usize) -> Result<ArrowReaderMetadata> {
    require_whole(part)?;
    let file = File::open(part).map_err(|e| Error::read(part, &e))?;
    // The index of pages lets a reader start in the middle.
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let metadata =
        ArrowReaderMetadata::load(&file, options).map_err(|e| damaged(part, &e, STAGE))?;
    let found = metadata.schema().field_with_name("embedding").map(Field::data_type);
    match found {
        Ok(DataType::FixedSizeList(_, found)) if *found as usize == dims => Ok(metadata),
        other => Err(damaged(part, format!("no embeddings of {dims} numbers: {other:?}"), STAGE)),
    }
}

impl Blocks<'_> {
    /// How many blocks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Which keys the rows of `block` belong to, as places in the list that was asked for.
    #[must_use]
    pub fn keys(&self, block: usize) -> &[usize] {
        &self.list[block].keys
    }

    /// Reads `block` to `to`, shape `[rows of the block, dims]` in standard order.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) or [`Io`](stage::Fault::Io) if the part can't be read.
    pub fn read(&self, block: usize, to: ArrayViewMut2<'_, f32>) -> Result<()> {
        self.read_rows(block, in_rows(to))
    }

    /// Reads `block` to as many rows of [`Self::read`]'s length.
    fn read_rows<'t>(&self, block: usize, to: impl Iterator<Item = &'t mut [f32]>) -> Result<()> {
        let Block { part, rows, .. } = &self.list[block];
        let Some(metadata) = &self.metadata[*part] else {
            return Err(Error::internal("a block of a part that isn't read"));
        };
        read(&self.cache.parts[*part], metadata.clone(), rows, to)
    }
}

/// Copies `rows`, ascending, of `part`.
fn read<'t>(
    part: &Path,
    metadata: ArrowReaderMetadata,
    rows: &[usize],
    to: impl Iterator<Item = &'t mut [f32]>,
) -> Result<()> {
    let wrong = |e: String| damaged(part, e, STAGE);
    let file = File::open(part).map_err(|e| Error::read(part, &e))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["embedding"]);
    let count = builder.metadata().file_metadata().num_rows() as usize;
    let stretches = rows.chunk_by(|a, b| b - a <= 1);
    let stretches = stretches.map(|stretch| stretch[0]..stretch[stretch.len() - 1] + 1);
    let reader = builder
        .with_projection(mask)
        .with_row_selection(RowSelection::from_consecutive_ranges(stretches, count))
        .with_batch_size(rows.len())
        .build()
        .map_err(|e| wrong(e.to_string()))?;
    // Each once, as the reader gives them.
    let mut found = rows.chunk_by(|a, b| a == b).map(|same| same[0]);
    let mut pairs = rows.iter().zip(to).peekable();
    for batch in reader {
        let batch = batch.map_err(|e| wrong(e.to_string()))?;
        let list: &FixedSizeListArray = column(&batch, "embedding").map_err(wrong)?;
        for (place, found) in (0..batch.num_rows()).zip(&mut found) {
            while let Some((_, to)) = pairs.next_if(|(row, _)| **row == found) {
                copy_row(list, place, to).map_err(|e| wrong(e.to_owned()))?;
            }
        }
    }
    match pairs.next() {
        Some(_) => Err(wrong("it ends too soon".into())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};

    use super::*;
    use crate::Hash;
    use crate::embeddings::Storage;

    const DIMS: usize = 700;

    fn key(index: usize) -> Key {
        Hash::of(&index.to_le_bytes())
    }

    /// Tells rows apart and is the same number in half precision.
    fn value((row, column): (usize, usize)) -> f32 {
        let place = if column % 2 == 0 { row % 64 } else { row / 64 };
        place as f32 + (column % 8) as f32 / 8.0
    }

    #[test]
    fn blocks_hold_each_key_once_with_its_embedding() {
        let (root, view) = (tempfile::tempdir().unwrap(), Hash::of(b"view"));
        for storage in [Storage::F16, Storage::F32] {
            let view = Hash::of(format!("{view}{storage:?}").as_bytes());
            let mut cache = Cache::open(root.path(), view).unwrap();
            let writer = Cache::lock(root.path(), view).unwrap();
            let x = Array2::from_shape_fn((1500, DIMS), value);
            let all: Vec<Key> = (0..1500).map(key).collect();
            for range in [0..1100, 1100..1500] {
                let (keys, rows) = (&all[range.clone()], range.clone().collect::<Vec<_>>());
                cache.append(&writer, keys, storage, x.select(Axis(0), &rows).view()).unwrap();
            }
            // Every third, in another order than the parts', one of them twice.
            let mut wanted: Vec<usize> = (0..1500).filter(|index| index % 3 == 1).collect();
            wanted.reverse();
            wanted.push(4);
            let keys: Vec<Key> = wanted.iter().map(|&index| key(index)).collect();
            let blocks = cache.blocks(&keys, DIMS, 256).unwrap();
            assert_eq!(blocks.len(), 5 + 2);
            let mut seen = vec![0; keys.len()];
            for block in 0..blocks.len() {
                let places = blocks.keys(block);
                let mut found = Array2::zeros((places.len(), DIMS));
                blocks.read(block, found.view_mut()).unwrap();
                for (&place, found) in places.iter().zip(found.rows()) {
                    seen[place] += 1;
                    assert_eq!(found, x.row(wanted[place]));
                }
            }
            assert!(seen.iter().all(|&seen| seen == 1));
            assert!(cache.blocks(&[Hash::of(b"?")], DIMS, 256).is_err());
            assert!(cache.blocks(&keys, DIMS + 1, 256).is_err());
        }
    }
}
