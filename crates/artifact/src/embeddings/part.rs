//! The format of a part: an immutable Parquet file {`key`, `embedding`}, named after the hash
//! of its bytes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use arrow_array::{Array, FixedSizeBinaryArray, FixedSizeListArray, Float16Array, Float32Array};
use arrow_schema::{DataType, Field, Schema};
use half::slice::HalfFloatSliceExt as _;
use ndarray::ArrayView2;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{ChunkReader, FileReader as _, SerializedFileReader};
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use super::pages::{Pages, width};
use super::{Key, STAGE, to_key};
use crate::table::{column, damaged, unwritten};
use crate::{FileWriter, Hash, Staged};

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

/// What a part says of itself.
pub(super) struct Content {
    /// Its rows' keys in order.
    pub keys: Vec<Key>,
    /// Numbers in an embedding.
    pub dims: usize,
    /// How they are stored.
    pub storage: Storage,
}

/// A part that is being written; nobody else sees it before it is
/// [added](super::Cache::add_part).
pub struct NewPart(Pages<FileWriter>);

impl NewPart {
    pub(super) fn new(sink: FileWriter, view: Hash, storage: Storage, dims: usize) -> Result<Self> {
        let metadata = [(VIEW, view.to_string())];
        Pages::new(sink, &metadata, storage, dims).map(Self).map_err(|e| unwritten(&e))
    }

    /// Adds embeddings, shape `[keys, dims]`, which are stored as they are, without statistics.
    ///
    /// # Errors
    /// [`Io`](stage::Fault::Io) where they can't be written.
    pub fn write(&mut self, keys: &[Key], embeddings: ArrayView2<f32>) -> Result<()> {
        self.0.write(keys, embeddings).map_err(|e| unwritten(&e))
    }

    /// How many embeddings it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.rows()
    }

    /// The whole file, and its rows' keys.
    pub(super) fn finish(self) -> Result<(Staged, Vec<Key>)> {
        let (file, keys) = self.0.finish().map_err(|e| unwritten(&e))?;
        Ok((file.finish(Some(keys.len() as u64))?, keys))
    }
}

/// Whether a part's bytes are what its name says.
pub(super) fn is_whole(part: &Path) -> Result<bool> {
    let said = part.file_name().unwrap_or_default().to_string_lossy();
    Ok(name(Hash::of_file(part)?) == said)
}

/// The name of the part whose bytes have this hash.
pub(super) fn name(hash: Hash) -> String {
    format!("part-{hash}.parquet")
}

/// Whether `name` is one of a part.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with("part-") && name.ends_with(".parquet")
}

/// The parts of a view's folder by name; foreign and temporary files are left alone, and so
/// is what is no plain file: to open a pipe would wait for ever.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>> {
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
        if plain && is_name(&name) {
            parts.push(entry.path());
        }
    }
    parts.sort();
    Ok(parts)
}

/// How many rows a part says that it has.
pub(super) fn rows(part: &Path) -> Result<u64> {
    let file = std::fs::File::open(part).map_err(|e| Error::read(part, &e))?;
    let reader = SerializedFileReader::new(file).map_err(|e| damaged(part, &e, STAGE))?;
    Ok(reader.metadata().file_metadata().num_rows() as u64)
}

/// Reads the keys of a part of `view`, and no embedding.
///
/// # Errors
/// [`Data`](stage::Fault::Data) if it can't be read or belongs to another view.
pub(super) fn content(part: &Path, view: Hash) -> Result<Content> {
    let file = std::fs::File::open(part).map_err(|e| Error::read(part, &e))?;
    content_of(file, part, view)
}

/// [`content`] of the part that `reader` reads; `part` is for messages.
pub(super) fn content_of(
    reader: impl ChunkReader + 'static,
    part: &Path,
    view: Hash,
) -> Result<Content> {
    let bytes = reader.len();
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(reader).map_err(|e| damaged(part, &e, STAGE))?;
    let about = builder.metadata().file_metadata().key_value_metadata();
    let known = about.into_iter().flatten().find(|entry| entry.key == VIEW);
    if known.and_then(|entry| entry.value.as_ref()) != Some(&view.to_string()) {
        return Err(damaged(part, "it is not of this view", STAGE));
    }
    let (dims, storage) = kind(builder.schema()).map_err(|e| damaged(part, e, STAGE))?;
    believable(builder.metadata(), bytes, dims * width(storage))
        .map_err(|e| damaged(part, e, STAGE))?;
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
    Ok(Content { keys, dims, storage })
}

/// Refuses a part of `bytes` bytes that unpacks to more, where an embedding has `embedding` bytes:
/// ours are as large as what is in them.
fn believable(
    about: &ParquetMetaData,
    bytes: u64,
    embedding: usize,
) -> std::result::Result<(), &'static str> {
    let mut rows = 0_u64;
    for group in about.row_groups() {
        rows = rows.saturating_add(u64::try_from(group.num_rows()).unwrap_or(u64::MAX));
        if group.columns().iter().any(|column| column.compression() != Compression::UNCOMPRESSED) {
            return Err("it is compressed, as no part is");
        }
        if !group.columns().iter().all(|column| is_inside(column, bytes)) {
            return Err("a column of it lies outside of the file");
        }
    }
    let row = (size_of::<Key>() + embedding) as u64;
    if rows.saturating_mul(row) > bytes {
        return Err("it claims more rows than it has bytes for");
    }
    Ok(())
}

/// Whether a column is where a file of `bytes` bytes can have one; Parquet's reader takes that for
/// granted.
fn is_inside(column: &ColumnChunkMetaData, bytes: u64) -> bool {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let end = start.checked_add(column.compressed_size());
    start >= 0 && end.is_some_and(|end| start <= end && end as u64 <= bytes)
}

/// Dimensions and storage of a part's embeddings.
fn kind(schema: &Schema) -> std::result::Result<(usize, Storage), &'static str> {
    match schema.field_with_name("embedding").map(Field::data_type) {
        Ok(DataType::FixedSizeList(element, dims)) => match element.data_type() {
            DataType::Float16 => Ok((*dims as usize, Storage::F16)),
            DataType::Float32 => Ok((*dims as usize, Storage::F32)),
            _ => Err("embeddings are neither f16 nor f32"),
        },
        _ => Err("column embedding is missing or no list of one size"),
    }
}

/// Verifies a part before it is read.
pub(super) fn require_whole(part: &Path) -> Result<()> {
    if is_whole(part)? {
        return Ok(());
    }
    distrust(part);
    Err(damaged(part, "its bytes are not what its name says", STAGE))
}

/// Makes a part look changed, so that the next writer hashes it and computes its embeddings
/// again. Where that isn't allowed, neither is mending it.
pub(super) fn distrust(part: &Path) {
    let _ = std::fs::File::open(part).and_then(|file| file.set_modified(SystemTime::now()));
}

pub(super) fn copy_row(
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
    use std::sync::Arc;

    use super::*;
    use crate::table;
    use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};

    /// A part of `rows` rows that are all the same, packed as well as Parquet can.
    fn packed(dir: &Path, rows: usize, compression: Compression) -> PathBuf {
        let (path, keys) = (dir.join(name(Hash::of(b"x"))), vec![Hash::of(b"key"); rows]);
        let element = table::element(DataType::Float32);
        let numbers = Arc::new(Float32Array::from(vec![0.5; 8 * rows]));
        let embeddings = FixedSizeListArray::new(Arc::clone(&element), 8, numbers, None);
        let keys = super::super::keys_array(keys.into_iter()).unwrap();
        let schema = Arc::new(Schema::new(vec![
            Field::new("key", DataType::FixedSizeBinary(32), false),
            Field::new("embedding", DataType::FixedSizeList(element, 8), false),
        ]));
        let metadata = [(VIEW, Hash::of(b"view").to_string())];
        let properties = table::properties(&metadata).set_compression(compression).build();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).unwrap();
        let columns = vec![keys, Arc::new(embeddings) as _];
        writer.write(&arrow_array::RecordBatch::try_new(schema, columns).unwrap()).unwrap();
        writer.close().unwrap();
        path
    }

    #[test]
    fn parts_that_claim_too_much_are_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let read = |rows, compression| {
            let part = packed(dir.path(), rows, compression);
            content(&part, Hash::of(b"view")).map(|content| content.keys.len())
        };
        assert_eq!(read(3, Compression::UNCOMPRESSED).unwrap(), 3);
        for (rows, compression) in [(500_000, Compression::UNCOMPRESSED), (3, Compression::SNAPPY)]
        {
            assert_eq!(read(rows, compression).unwrap_err().fault().code(), 65);
        }
    }

    #[test]
    fn columns_outside_of_the_file_are_damage() {
        let schema = Schema::new(vec![Field::new("key", DataType::FixedSizeBinary(32), false)]);
        let columns = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let inside = |start, length| {
            let column = ColumnChunkMetaData::builder(columns.column(0))
                .set_data_page_offset(start)
                .set_total_compressed_size(length);
            is_inside(&column.build().unwrap(), 100)
        };
        assert!(inside(4, 96) && inside(4, 0));
        for (start, length) in [(-1, 50), (4, -2), (4, 97), (101, 0), (i64::MAX, i64::MAX)] {
            assert!(!inside(start, length), "{length} bytes from {start}");
        }
    }
}
