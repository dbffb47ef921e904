//! The embeddings of one view, in immutable parts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, Float16Array, Float32Array,
    RecordBatch,
};
use arrow::datatypes::{DataType, Field, Schema};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use ndarray::{Array2, ArrayView2};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::EnabledStatistics;
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};
use stage::{Error, Fault, Result};

use super::{BATCH_ROWS, Key, STAGE, keys_array, to_key};
use crate::output::place_all;
use crate::table::{self, column, damaged, unwritten};
use crate::{FileWriter, Hash, Output};

/// Rows written at a time: the writer makes an object of 32 bytes of every half, so few at a
/// time stay in the processor's cache.
const WRITE_ROWS: usize = 64;

/// Where a part's metadata name its view, so that a part in a wrong folder isn't trusted.
const VIEW: &str = "view";

/// How embeddings are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Half precision, 11 bits of mantissa: half the bytes.
    #[default]
    F16,
    /// Single precision, as the backbone computes.
    F32,
}

/// Where an embedding is: part and row.
type Place = (usize, usize);

/// The embeddings of one view.
pub struct Cache {
    dir: PathBuf,
    view: Hash,
    parts: Vec<PathBuf>,
    places: HashMap<Key, Place>,
    damaged: Vec<PathBuf>,
}

impl Cache {
    /// Reads which keys the cache under `root` holds of `view`; an empty cache is no error.
    /// A part whose keys can't be read, or that belongs to another view, is damaged: its
    /// embeddings count as missing.
    pub fn open(root: &Path, view: Hash) -> Result<Self> {
        let dir = folder(root, view);
        let found = parts_in(&dir)?;
        let mut cache =
            Self { dir, view, parts: Vec::new(), places: HashMap::new(), damaged: Vec::new() };
        for part in found {
            match keys_of(&part, view) {
                Ok(keys) => cache.add(part, keys),
                Err(e) if e.fault() == Fault::Data => {
                    tracing::warn!("{e}");
                    cache.damaged.push(part);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(cache)
    }

    fn add(&mut self, part: PathBuf, keys: impl IntoIterator<Item = Key>) {
        let index = self.parts.len();
        self.places.extend(keys.into_iter().enumerate().map(|(row, key)| (key, (index, row))));
        self.parts.push(part);
    }

    /// Whether the embedding of `key` is there.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// Hashes every part and forgets what is in those whose bytes aren't what their name says.
    /// Gives how many parts are damaged in all.
    pub fn forget_damaged(&mut self) -> Result<usize> {
        for (index, part) in self.parts.iter().enumerate() {
            if !is_whole(part)? {
                tracing::warn!("{} is damaged", part.display());
                self.places.retain(|_, place| place.0 != index);
                self.damaged.push(part.clone());
            }
        }
        Ok(self.damaged.len())
    }

    /// Removes the damaged parts. The caller holds the folder through [`Cache::lock`].
    pub fn remove_damaged(&mut self, _writer: &Output) -> Result<()> {
        for part in self.damaged.drain(..) {
            std::fs::remove_file(&part).map_err(|e| Error::write(&part, &e))?;
        }
        Ok(())
    }

    /// Adds embeddings, shape `[keys, dims]`, as one new part: whole or not at all. The caller
    /// holds the folder through [`Cache::lock`].
    pub fn append(
        &mut self,
        writer: &Output,
        keys: &[Key],
        storage: Storage,
        embeddings: ArrayView2<f32>,
    ) -> Result<()> {
        let batch = part_batch(keys, storage, embeddings)?;
        let sink = writer.create("part")?;
        let file = write_part(sink, &batch, self.view).map_err(|e| unwritten(&e))?;
        let staged = file.finish(Some(keys.len() as u64))?;
        let part = self.dir.join(part_name(staged.record().hash));
        place_all([(&staged, part.clone())])?;
        self.add(part, keys.iter().copied());
        Ok(())
    }

    /// Takes the folder of `view` under `root` for writing; to be done before it is opened.
    ///
    /// # Errors
    /// [`Busy`](stage::Fault::Busy) if another process writes it,
    /// [`Create`](stage::Fault::Create) if it can't be written.
    pub fn lock(root: &Path, view: Hash) -> Result<Output> {
        Output::open(&folder(root, view))
    }

    /// The embeddings of `keys` in that order, shape `[keys, dims]`. Each part that is read is
    /// verified.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) if one isn't there, [`Data`](stage::Fault::Data) if
    /// a part is damaged.
    pub fn gather(&self, keys: &[Key], dims: usize) -> Result<Array2<f32>> {
        let mut wanted: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.parts.len()];
        for (target, key) in keys.iter().enumerate() {
            let (part, row) = self.places.get(key).ok_or_else(|| {
                Error::missing(format!(
                    "{} lacks embeddings of this run: run {STAGE} again",
                    self.dir.display()
                ))
            })?;
            wanted[*part].push((*row, target));
        }
        let mut matrix = Array2::zeros((keys.len(), dims));
        for (part, mut rows) in self.parts.iter().zip(wanted) {
            if !rows.is_empty() {
                rows.sort_unstable();
                copy_rows(part, &rows, &mut matrix)?;
            }
        }
        Ok(matrix)
    }
}

/// Writes a part; the embeddings are stored as they are, without statistics.
fn write_part(
    sink: FileWriter,
    batch: &RecordBatch,
    view: Hash,
) -> std::result::Result<FileWriter, ParquetError> {
    let elements = ColumnPath::new(["embedding", "list", "element"].map(String::from).into());
    let properties = table::properties(&[(VIEW, view.to_string())])
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_column_statistics_enabled(elements, EnabledStatistics::None)
        .build();
    let mut parquet = ArrowWriter::try_new(sink, batch.schema(), Some(properties))?;
    for start in (0..batch.num_rows()).step_by(WRITE_ROWS) {
        let rows = WRITE_ROWS.min(batch.num_rows() - start);
        parquet.write(&batch.slice(start, rows))?;
    }
    parquet.into_inner()
}

fn folder(root: &Path, view: Hash) -> PathBuf {
    root.join(view.to_string())
}

/// Whether a part's bytes are what its name says.
fn is_whole(part: &Path) -> Result<bool> {
    let name = part.file_name().unwrap_or_default().to_string_lossy();
    Ok(part_name(Hash::of_file(part)?) == name)
}

fn part_name(hash: Hash) -> String {
    format!("part-{hash}.parquet")
}

/// The parts of a view's folder by name; foreign and temporary files are left alone, and so
/// is what is no plain file: to open a pipe would wait for ever.
fn parts_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| Error::read(dir, &e))?,
    };
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::read(dir, &e))?;
        let plain = entry.file_type().map_err(|e| Error::read(dir, &e))?.is_file();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if plain && name.starts_with("part-") && name.ends_with(".parquet") {
            parts.push(entry.path());
        }
    }
    parts.sort();
    Ok(parts)
}

/// Reads the keys of a part of `view` and nothing else of it.
fn keys_of(part: &Path, view: Hash) -> Result<Vec<Key>> {
    let file = std::fs::File::open(part).map_err(|e| Error::read(part, &e))?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(part, &e, STAGE))?;
    let about = builder.metadata().file_metadata().key_value_metadata();
    let known = about.into_iter().flatten().find(|entry| entry.key == VIEW);
    if known.and_then(|entry| entry.value.as_ref()) != Some(&view.to_string()) {
        return Err(damaged(part, "it is not of this view", STAGE));
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["key"]);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(1 << 16)
        .build()
        .map_err(|e| damaged(part, &e, STAGE))?;
    let mut keys = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| damaged(part, &e, STAGE))?;
        let column: &FixedSizeBinaryArray =
            column(&batch, "key").map_err(|e| damaged(part, e, STAGE))?;
        let read: std::result::Result<Vec<_>, _> = column.iter().flatten().map(to_key).collect();
        keys.extend(read.map_err(|e| damaged(part, e, STAGE))?);
    }
    Ok(keys)
}

fn part_batch(keys: &[Key], storage: Storage, embeddings: ArrayView2<f32>) -> Result<RecordBatch> {
    let internal = |e| Error::internal(format!("cannot build a part: {e}"));
    let flat = embeddings.iter().copied();
    let (values, kind): (ArrayRef, _) = match storage {
        Storage::F32 => (Arc::new(flat.collect::<Float32Array>()), DataType::Float32),
        Storage::F16 => {
            let half = flat.map(f16::from_f32);
            (Arc::new(Float16Array::from_iter_values(half)), DataType::Float16)
        }
    };
    let element = Arc::new(Field::new("element", kind, false));
    let width = embeddings.ncols() as i32;
    let list = FixedSizeListArray::try_new(element, width, values, None).map_err(internal)?;
    let schema = Schema::new(vec![
        Field::new("key", DataType::FixedSizeBinary(32), false),
        Field::new("embedding", list.data_type().clone(), false),
    ]);
    RecordBatch::try_new(Arc::new(schema), vec![keys_array(keys.iter().copied())?, Arc::new(list)])
        .map_err(internal)
}

/// Copies rows of `part`, given as (row in the part, row in `matrix`) in ascending order.
fn copy_rows(part: &Path, rows: &[(usize, usize)], matrix: &mut Array2<f32>) -> Result<()> {
    if !is_whole(part)? {
        return Err(damaged(part, "its bytes are not what its name says", STAGE));
    }
    let mut rows = rows.iter().peekable();
    let mut start = 0;
    for batch in table::reader(part, BATCH_ROWS, STAGE)? {
        let batch = batch.map_err(|e| damaged(part, &e, STAGE))?;
        let end = start + batch.num_rows();
        let list: &FixedSizeListArray =
            column(&batch, "embedding").map_err(|e| damaged(part, e, STAGE))?;
        if list.value_length() as usize != matrix.ncols() {
            let found = list.value_length();
            let wanted = matrix.ncols();
            return Err(damaged(part, format!("{found} dimensions, not {wanted}"), STAGE));
        }
        while let Some((row, target)) = rows.next_if(|(row, _)| *row < end) {
            let mut target = matrix.row_mut(*target);
            // A row of a matrix in standard order is one slice.
            let target = target.as_slice_mut().unwrap_or_default();
            copy_row(list, row - start, target).map_err(|e| damaged(part, e, STAGE))?;
        }
        start = end;
    }
    Ok(())
}

fn copy_row(
    list: &FixedSizeListArray,
    row: usize,
    target: &mut [f32],
) -> std::result::Result<(), &'static str> {
    let start = row * target.len();
    let range = start..start + target.len();
    let values = list.values().as_any();
    if let Some(half) = values.downcast_ref::<Float16Array>() {
        half.values()[range].convert_to_f32_slice(target);
    } else if let Some(single) = values.downcast_ref::<Float32Array>() {
        target.copy_from_slice(&single.values()[range]);
    } else {
        return Err("embeddings are neither f16 nor f32");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn keys(n: u8) -> Vec<Key> {
        (0..n).map(|i| Hash::of(&[i])).collect()
    }

    #[test]
    fn parts_are_found_again_in_any_order() {
        let root = tempfile::tempdir().unwrap();
        let view = Hash::of(b"view");
        for storage in [Storage::F16, Storage::F32] {
            let mut cache = Cache::open(root.path(), view).unwrap();
            let writer = Cache::lock(root.path(), view).unwrap();
            let keys = keys(3);
            let first = array![[1.0, -2.0], [0.5, 0.25]];
            cache.append(&writer, &keys[..2], storage, first.view()).unwrap();
            cache.append(&writer, &keys[2..], storage, array![[3.0, 4.0]].view()).unwrap();
            let again = Cache::open(root.path(), view).unwrap();
            let order = [keys[2], keys[0], keys[2], keys[1]];
            let expected = array![[3.0, 4.0], [1.0, -2.0], [3.0, 4.0], [0.5, 0.25]];
            assert_eq!(again.gather(&order, 2).unwrap(), expected);
            assert_eq!(cache.gather(&order, 2).unwrap(), expected);
            assert!(again.gather(&[Hash::of(b"?")], 2).is_err());
            assert!(again.gather(&order, 3).is_err());
        }
        assert!(!Cache::open(root.path(), Hash::of(b"other")).unwrap().holds(&keys(1)[0]));
    }

    #[test]
    fn a_damaged_part_is_found_and_dropped() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(root.path(), Hash::of(b"v")).unwrap();
        let writer = Cache::lock(root.path(), cache.view).unwrap();
        let rows = Array2::from_elem((50, 8), 0.5);
        cache.append(&writer, &keys(50), Storage::F16, rows.view()).unwrap();
        let part = cache.parts[0].clone();
        let mut bytes = std::fs::read(&part).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&part, bytes).unwrap();
        assert_eq!(cache.gather(&keys(1), 8).unwrap_err().fault().code(), 65);
        assert_eq!(cache.forget_damaged().unwrap(), 1);
        assert!(!cache.holds(&keys(1)[0]));
        cache.remove_damaged(&writer).unwrap();
        assert!(!part.exists());
    }

    #[test]
    fn a_part_of_another_view_or_without_end_is_damaged() {
        let root = tempfile::tempdir().unwrap();
        let mut first = Cache::open(root.path(), Hash::of(b"first")).unwrap();
        let writer = Cache::lock(root.path(), first.view).unwrap();
        first.append(&writer, &keys(2), Storage::F32, Array2::zeros((2, 8)).view()).unwrap();
        let mut second = Cache::open(root.path(), Hash::of(b"second")).unwrap();
        let writer = Cache::lock(root.path(), second.view).unwrap();
        let name = first.parts[0].file_name().unwrap();
        std::fs::copy(&first.parts[0], second.dir.join(name)).unwrap();
        std::fs::write(second.dir.join("part-0.parquet"), "PAR1").unwrap();
        std::fs::create_dir(second.dir.join("part-1.parquet")).unwrap();
        second = Cache::open(root.path(), second.view).unwrap();
        assert!(!second.holds(&keys(1)[0]));
        assert_eq!(second.forget_damaged().unwrap(), 2);
        second.remove_damaged(&writer).unwrap();
        assert_eq!(parts_in(&second.dir).unwrap(), Vec::<PathBuf>::new());
    }
}
