//! What all Parquet files of ours have in common.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use stage::{Error, Result};

/// Writer properties whose result depends on the rows alone: the library's version isn't
/// written, and metadata keep the order given.
#[must_use]
pub fn properties(metadata: &[(&str, String)]) -> WriterPropertiesBuilder {
    let metadata = metadata.iter().map(|(k, v)| KeyValue::new((*k).to_owned(), v.clone()));
    WriterProperties::builder()
        .set_created_by("gtsrb".to_owned())
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(metadata.collect()))
}

/// What lists of embeddings and probabilities hold.
pub(crate) fn element(kind: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", kind, false))
}

/// Opens a Parquet file for reading in batches of `rows`.
pub(crate) fn reader(path: &Path, rows: usize, stage: &str) -> Result<ParquetRecordBatchReader> {
    let file = File::open(path).map_err(|e| Error::read(path, &e))?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(rows).build())
        .map_err(|e| damaged(path, &e, stage))
}

/// A Parquet file that can't be read as it should.
pub(crate) fn damaged(path: &Path, reason: impl std::fmt::Display, stage: &str) -> Error {
    Error::data(format!("{} is damaged ({reason}): run {stage} again", path.display()))
}

/// A failed write of Parquet; what the sink says names the file.
pub(crate) fn unwritten(error: &ParquetError) -> Error {
    match error {
        ParquetError::External(reason) => Error::io(reason.to_string()),
        other => Error::io(format!("cannot write Parquet: {other}")),
    }
}

/// Column `name` of `batch` as an array of type `A`.
pub(crate) fn column<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &str,
) -> std::result::Result<&'a A, String> {
    batch
        .column_by_name(name)
        .ok_or_else(|| format!("column {name} is missing"))?
        .as_any()
        .downcast_ref()
        .ok_or_else(|| format!("column {name} has another type"))
}
