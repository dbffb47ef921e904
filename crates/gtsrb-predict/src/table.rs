//! Predictions as a Parquet file that is there whole or not at all.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use ndarray::ArrayView1;
use parquet::arrow::ArrowWriter;
use stage::{Error, Result};
use tempfile::NamedTempFile;

/// Rows written at a time.
const ROWS: usize = 1024;

/// Columns `path`, `predicted` and `probabilities`, as in a run's `predictions.parquet`.
pub struct Table {
    target: PathBuf,
    schema: Arc<Schema>,
    writer: ArrowWriter<NamedTempFile>,
    paths: Vec<String>,
    predicted: Vec<i64>,
    probabilities: Vec<f32>,
}

impl Table {
    /// Starts the file that will be `target`, under another name in the same folder.
    ///
    /// # Errors
    /// [`Create`](stage::Fault::Create) where it can't be written.
    pub fn create(target: &Path, classes: usize) -> Result<Self> {
        let folder = match target.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".tmp-")
            // What the user's mask leaves of it.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(|e| Error::write(target, &e))?;
        let schema = schema(classes);
        let properties = artifact::properties(&[]).set_max_row_group_row_count(Some(16 * ROWS));
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties.build()))
            .map_err(|e| failed(target, &e))?;
        Ok(Self {
            target: target.to_owned(),
            schema,
            writer,
            paths: Vec::new(),
            predicted: Vec::new(),
            probabilities: Vec::new(),
        })
    }

    /// Adds a picture with its probabilities, `[classes]`.
    pub fn add(&mut self, path: &Path, label: usize, of: ArrayView1<'_, f32>) -> Result<()> {
        self.paths.push(path.display().to_string());
        self.predicted.push(label as i64);
        self.probabilities.extend(of);
        if self.paths.len() < ROWS { Ok(()) } else { self.write() }
    }

    /// Completes the file and gives it its name.
    pub fn finish(mut self) -> Result<()> {
        self.write()?;
        let target = &self.target;
        let file = self.writer.into_inner().map_err(|e| failed(target, &e))?;
        file.as_file().sync_all().map_err(|e| Error::write(target, &e))?;
        file.persist(target).map_err(|e| Error::write(target, &e.error))?;
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let batch = self.batch().map_err(|e| failed(&self.target, &e))?;
        self.writer.write(&batch).map_err(|e| failed(&self.target, &e))
    }

    /// What was added since the last batch.
    fn batch(&mut self) -> arrow::error::Result<RecordBatch> {
        let DataType::FixedSizeList(item, classes) = self.schema.field(2).data_type() else {
            return Err(arrow::error::ArrowError::SchemaError("probabilities".to_owned()));
        };
        let flat = Float32Array::from(std::mem::take(&mut self.probabilities));
        let lists = FixedSizeListArray::try_new(item.clone(), *classes, Arc::new(flat), None)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(std::mem::take(&mut self.paths))),
            Arc::new(Int64Array::from(std::mem::take(&mut self.predicted))),
            Arc::new(lists),
        ];
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

fn schema(classes: usize) -> Arc<Schema> {
    let item = Arc::new(Field::new("element", DataType::Float32, false));
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("predicted", DataType::Int64, false),
        Field::new("probabilities", DataType::FixedSizeList(item, classes as i32), false),
    ]))
}

fn failed(target: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::io(format!("cannot write {}: {error}", target.display()))
}
