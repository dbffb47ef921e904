//! Writing one part of the cache: a Parquet file {`key`, `embedding`}.
//!
//! The column of embeddings is laid out here and only framed by the `parquet` crate, which
//! makes an object of 32 bytes of every half that it is given: that alone took a sixth of an
//! extraction's processor time. Without compression and without nulls a page is its levels,
//! a few bytes for each row, and the numbers as they are in memory.

use std::borrow::Cow;
use std::io::Write;

use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use half::f16;
use half::vec::HalfFloatVecExt as _;
use ndarray::ArrayView2;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{
    SerializedFileWriter, SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite,
};
use parquet::schema::types::ColumnDescPtr;

use super::{Key, Storage};
use crate::table;

type Result<T> = std::result::Result<T, ParquetError>;

/// Embeddings of a row group, in bytes: it is made, hashed and written while it is in the
/// processor's cache.
const GROUP_BYTES: usize = 2 << 20;

/// Writes the rows of a part as they come.
pub(super) struct Pages<W: Write + Send> {
    file: SerializedFileWriter<W>,
    storage: Storage,
    dims: usize,
    /// Rows of a row group; the last one may have fewer.
    group: usize,
    /// Of all rows that came,
    keys: Vec<Key>,
    /// how many of them are in row groups that were written,
    written: usize,
    /// and the others' embeddings as they will stand in the file.
    numbers: Vec<u8>,
}

impl<W: Write + Send> Pages<W> {
    /// Starts a part on `sink` for embeddings of `dims` numbers. `metadata` goes into the footer.
    pub(super) fn new(
        sink: W,
        metadata: &[(&str, String)],
        storage: Storage,
        dims: usize,
    ) -> Result<Self> {
        let schema = schema(storage, dims);
        let mut properties = properties(metadata);
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let columns = ArrowSchemaConverter::new().convert(&schema)?;
        let file = SerializedFileWriter::new(sink, columns.root_schema_ptr(), properties.into())?;
        let group = (GROUP_BYTES / (width(storage) * dims).max(1)).max(1);
        Ok(Self { file, storage, dims, group, keys: Vec::new(), written: 0, numbers: Vec::new() })
    }

    /// Adds the `embeddings`, `[keys, dims]`, of `keys`.
    pub(super) fn write(&mut self, keys: &[Key], embeddings: ArrayView2<f32>) -> Result<()> {
        for (key, row) in keys.iter().zip(embeddings.rows()) {
            // Rows of a matrix in standard order are slices; others are copied.
            let row = row.as_slice().map_or_else(|| Cow::from(row.to_vec()), Cow::from);
            self.keys.push(*key);
            add_numbers(&mut self.numbers, &row, self.storage);
            if self.keys.len() == self.written + self.group {
                self.write_group()?;
            }
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        let descriptor = self.file.schema_descr().column(1);
        let keys = &self.keys[self.written..];
        let mut group = self.file.next_row_group()?;
        write_keys(&mut group, keys)?;
        let column = Column::encode(descriptor, keys.len(), self.dims, &self.numbers)?;
        group.append_column(&column.bytes, column.close)?;
        group.close()?;
        self.written = self.keys.len();
        self.numbers.clear();
        Ok(())
    }

    /// How many rows came.
    pub(super) fn rows(&self) -> usize {
        self.keys.len()
    }

    /// Writes the footer; gives the sink back, and the keys of all rows.
    pub(super) fn finish(mut self) -> Result<(W, Vec<Key>)> {
        if self.written < self.keys.len() {
            self.write_group()?;
        }
        Ok((self.file.into_inner()?, self.keys))
    }
}

/// Bytes of a number.
pub(super) fn width(storage: Storage) -> usize {
    match storage {
        Storage::F16 => 2,
        Storage::F32 => 4,
    }
}

/// As Arrow sees the file: no column holds nulls.
fn schema(storage: Storage, dims: usize) -> Schema {
    let kind = match storage {
        Storage::F16 => DataType::Float16,
        Storage::F32 => DataType::Float32,
    };
    let element = table::element(kind);
    Schema::new(vec![
        Field::new("key", DataType::FixedSizeBinary(32), false),
        Field::new("embedding", DataType::FixedSizeList(element, dims as i32), false),
    ])
}

/// Nothing is compressed, for embeddings and hashes don't shrink.
fn properties(metadata: &[(&str, String)]) -> WriterProperties {
    table::properties(metadata)
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build()
}

fn write_keys<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    keys: &[Key],
) -> Result<()> {
    let keys: Vec<_> = keys.iter().map(|key| FixedLenByteArray::from(key.0.to_vec())).collect();
    let mut column = group
        .next_column()?
        .ok_or_else(|| ParquetError::General("a part has no column of keys".to_owned()))?;
    column.typed::<FixedLenByteArrayType>().write_batch(&keys, None, None)?;
    column.close()
}

/// The embeddings of a row group as they stand in the file: one page.
struct Column {
    bytes: Bytes,
    close: ColumnCloseResult,
}

impl Column {
    fn encode(descriptor: ColumnDescPtr, rows: usize, dims: usize, numbers: &[u8]) -> Result<Self> {
        let page = page(rows, dims, numbers);
        let length = page.len();
        let page = Page::DataPage {
            buf: page.into(),
            num_values: (rows * dims) as u32,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let mut sink = TrackedWrite::new(Vec::with_capacity(length + 64));
        SerializedPageWriter::new(&mut sink).write_page(CompressedPage::new(page, length))?;
        let bytes = Bytes::from(sink.into_inner()?);
        let metadata = ColumnChunkMetaData::builder(descriptor)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
            .set_compression(Compression::UNCOMPRESSED)
            .set_num_values((rows * dims) as i64)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(bytes.len() as i64)
            .set_data_page_offset(0)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(Self { bytes, close })
    }
}

/// A data page of `rows` lists of `dims` numbers: repetition levels, definition levels, numbers.
fn page(rows: usize, dims: usize, numbers: &[u8]) -> Vec<u8> {
    let mut page = Vec::with_capacity(numbers.len() + 16 * rows + 64);
    // A row starts with level 0 and goes on with level 1.
    add_levels(&mut page, |levels| {
        for _ in 0..rows {
            add_run(levels, 1, 0);
            add_run(levels, dims - 1, 1);
        }
    });
    // No list is empty.
    add_levels(&mut page, |levels| add_run(levels, rows * dims, 1));
    page.extend_from_slice(numbers);
    page
}

/// Adds the numbers of a row as they stand in the file.
fn add_numbers(bytes: &mut Vec<u8>, row: &[f32], storage: Storage) {
    match storage {
        Storage::F32 => {
            let row: Vec<[u8; 4]> = row.iter().map(|number| number.to_le_bytes()).collect();
            bytes.extend_from_slice(row.as_flattened());
        }
        Storage::F16 => {
            let row = Vec::<f16>::from_f32_slice(row);
            let row: Vec<[u8; 2]> = row.iter().map(|number| number.to_le_bytes()).collect();
            bytes.extend_from_slice(row.as_flattened());
        }
    }
}

/// Levels preceded by their length in bytes.
fn add_levels(page: &mut Vec<u8>, add: impl FnOnce(&mut Vec<u8>)) {
    let mut levels = Vec::new();
    add(&mut levels);
    page.extend((levels.len() as u32).to_le_bytes());
    page.extend(levels);
}

/// A run of `count` times `level` in Parquet's run-length encoding: twice the count as a
/// variable-length integer, then the level.
fn add_run(levels: &mut Vec<u8>, count: usize, level: u8) {
    if count == 0 {
        return;
    }
    let mut header = count << 1;
    while header >= 0x80 {
        levels.push(header as u8 | 0x80);
        header >>= 7;
    }
    levels.push(header as u8);
    levels.push(level);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hash;
    use arrow_array::types::{Float16Type, Float32Type};
    use arrow_array::{Array, cast::AsArray as _};
    use ndarray::{Array2, Axis};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn written(keys: &[Key], storage: Storage, rows: ArrayView2<f32>) -> Bytes {
        let metadata = [("view", "x".to_owned())];
        let mut pages = Pages::new(Vec::new(), &metadata, storage, rows.ncols()).unwrap();
        // A part's bytes don't depend on how many rows come at once.
        for (keys, rows) in keys.chunks(7).zip(rows.axis_chunks_iter(Axis(0), 7)) {
            pages.write(keys, rows).unwrap();
        }
        pages.finish().unwrap().0.into()
    }

    #[test]
    fn any_reader_of_parquet_finds_keys_and_rows() {
        // One dimension; a page that is not full; several row groups, the last of one row.
        for (rows, dims) in [(1, 1), (3, 2), (243, 4320)] {
            let keys: Vec<Key> = (0..rows).map(|row: usize| Hash::of(&row.to_le_bytes())).collect();
            let value = |(row, column): (usize, usize)| row as f32 - 0.25 * column as f32;
            let embeddings = Array2::from_shape_fn((rows, dims), value);
            for storage in [Storage::F16, Storage::F32] {
                let file = written(&keys, storage, embeddings.view());
                let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
                let reader = reader.with_batch_size(rows).build().unwrap();
                let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
                let batch =
                    arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap();
                assert_eq!(
                    *batch.schema(),
                    schema(storage, dims).with_metadata(batch.schema().metadata.clone())
                );
                let found: Vec<_> = batch
                    .column(0)
                    .as_fixed_size_binary()
                    .iter()
                    .flatten()
                    .map(<[u8]>::to_vec)
                    .collect();
                assert_eq!(found, keys.iter().map(|key| key.0.to_vec()).collect::<Vec<_>>());
                let list = batch.column(1).as_fixed_size_list();
                assert_eq!((list.len(), list.null_count()), (rows, 0));
                let values: Vec<f32> = match storage {
                    Storage::F16 => list
                        .values()
                        .as_primitive::<Float16Type>()
                        .values()
                        .iter()
                        .map(|v| v.to_f32())
                        .collect(),
                    Storage::F32 => list.values().as_primitive::<Float32Type>().values().to_vec(),
                };
                let rounded = |value: f32| match storage {
                    Storage::F16 => f16::from_f32(value).to_f32(),
                    Storage::F32 => value,
                };
                assert!(values == embeddings.iter().map(|&v| rounded(v)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_view_that_is_not_contiguous_is_written_by_rows() {
        let keys = [Hash::of(b"a"), Hash::of(b"b")];
        let rows = Array2::from_shape_fn((2, 8), |(row, column)| (row * 8 + column) as f32);
        let turned = rows.t().as_standard_layout().to_owned();
        let expected = written(&keys, Storage::F16, rows.view());
        assert_eq!(written(&keys, Storage::F16, turned.t()), expected);
    }
}
