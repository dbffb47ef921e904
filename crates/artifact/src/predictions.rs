//! Predictions at rest: `path`, `label` where it is known, `predicted`, `probabilities`, and for
//! what was kept out of training `fold`.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use ndarray::ArrayView2;
use parquet::arrow::ArrowWriter;
use stage::{Error, Result};

use crate::table::{element, properties, unwritten};

/// Rows of a row group: what a writer holds in memory.
const GROUP_ROWS: usize = 16_384;

/// What a model says of some images, a row an image.
pub struct Predictions<'a> {
    /// Paths of the images.
    pub paths: &'a [&'a str],
    /// Their classes.
    pub labels: Option<&'a [usize]>,
    /// The classes that the model gives them.
    pub predicted: &'a [usize],
    /// Its probabilities `[images, classes]`.
    pub probabilities: ArrayView2<'a, f32>,
    /// In which turn an image was kept out of training, counted from 0.
    pub folds: Option<&'a [usize]>,
}

impl Predictions<'_> {
    /// Writes them in the order given. Same rows, same bytes.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write<W: Write + Send>(&self, sink: W) -> Result<()> {
        let mut writer = PredictionWriter { writer: open(sink, self.schema())? };
        writer.write(self)?;
        writer.finish().map(drop)
    }

    fn schema(&self) -> Arc<Schema> {
        let width = self.probabilities.ncols();
        schema(width, self.labels.is_some(), self.folds.is_some())
    }

    fn batch(&self) -> std::result::Result<RecordBatch, ArrowError> {
        let flat = Float32Array::from_iter_values(self.probabilities.iter().copied());
        let width = self.probabilities.ncols() as i32;
        let lists =
            FixedSizeListArray::try_new(element(DataType::Float32), width, Arc::new(flat), None)?;
        let indices = |of: &[usize]| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(of.iter().map(|&index| index as i64)))
        };
        let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(self.paths))];
        columns.extend(self.labels.map(indices));
        columns.extend([indices(self.predicted), Arc::new(lists)]);
        if let Some(folds) = self.folds {
            let folds = folds.iter().map(|&fold| fold as i32);
            columns.push(Arc::new(Int32Array::from_iter_values(folds)));
        }
        RecordBatch::try_new(self.schema(), columns)
    }
}

/// Writes predictions of pictures whose classes nobody knows, as they come.
pub struct PredictionWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> PredictionWriter<W> {
    /// Starts a file of predictions with `classes` probabilities each.
    ///
    /// # Errors
    /// What the sink says.
    pub fn new(sink: W, classes: usize) -> Result<Self> {
        Ok(Self { writer: open(sink, schema(classes, false, false))? })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// What the sink says; [`Internal`](stage::Fault::Internal) if their columns are others than
    /// those of the file, or of different lengths.
    pub fn write(&mut self, rows: &Predictions<'_>) -> Result<()> {
        let batch = rows.batch().map_err(|e| Error::internal(format!("predictions: {e}")))?;
        self.writer.write(&batch).map_err(|e| unwritten(&e))
    }

    /// Completes the file; gives the sink back.
    ///
    /// # Errors
    /// What the sink says.
    pub fn finish(self) -> Result<W> {
        self.writer.into_inner().map_err(|e| unwritten(&e))
    }
}

fn open<W: Write + Send>(sink: W, schema: Arc<Schema>) -> Result<ArrowWriter<W>> {
    let properties = properties(&[]).set_max_row_group_row_count(Some(GROUP_ROWS)).build();
    ArrowWriter::try_new(sink, schema, Some(properties)).map_err(|e| unwritten(&e))
}

/// The columns, of which `label` and `fold` aren't always there.
fn schema(classes: usize, labelled: bool, folded: bool) -> Arc<Schema> {
    let field = |name, kind| Field::new(name, kind, false);
    let mut fields = vec![field("path", DataType::Utf8)];
    fields.extend(labelled.then(|| field("label", DataType::Int64)));
    fields.push(field("predicted", DataType::Int64));
    fields.push(field(
        "probabilities",
        DataType::FixedSizeList(element(DataType::Float32), classes as i32),
    ));
    fields.extend(folded.then(|| field("fold", DataType::Int32)));
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn bytes_repeat_and_rows_must_match() {
        let probabilities = array![[0.25_f32, 0.75], [1.0, 0.0]];
        let write = |labels: &[usize]| {
            let mut out = Vec::new();
            let predictions = Predictions {
                paths: &["a", "b"],
                labels: Some(labels),
                predicted: &[1, 0],
                probabilities: probabilities.view(),
                folds: Some(&[0, 1]),
            };
            predictions.write(&mut out).map(|()| out)
        };
        assert_eq!(write(&[0, 0]).unwrap(), write(&[0, 0]).unwrap());
        assert!(write(&[0]).is_err());
    }
}
