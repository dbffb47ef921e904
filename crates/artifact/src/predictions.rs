//! Predictions at rest: `path`, `label`, `predicted`, `probabilities`, and for what was kept
//! out of training `fold`.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use ndarray::Array2;
use parquet::arrow::ArrowWriter;
use stage::{Error, Result};

use crate::table::{properties, unwritten};

/// What a model says of some images, a row an image.
pub struct Predictions<'a> {
    /// Paths of the images.
    pub paths: &'a [&'a str],
    /// Their classes.
    pub labels: &'a [usize],
    /// The classes that the model gives them.
    pub predicted: &'a [usize],
    /// Its probabilities `[images, classes]`.
    pub probabilities: &'a Array2<f32>,
    /// In which turn an image was kept out of training, counted from 0.
    pub folds: Option<&'a [usize]>,
}

impl Predictions<'_> {
    /// Writes them in the order given. Same rows, same bytes.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write<W: Write + Send>(&self, sink: W) -> Result<()> {
        let batch = self.batch().map_err(|e| Error::internal(format!("predictions: {e}")))?;
        let properties = properties(&[]).build();
        let mut writer = ArrowWriter::try_new(sink, batch.schema(), Some(properties))
            .map_err(|e| unwritten(&e))?;
        writer.write(&batch).map_err(|e| unwritten(&e))?;
        writer.close().map_err(|e| unwritten(&e))?;
        Ok(())
    }

    fn batch(&self) -> arrow::error::Result<RecordBatch> {
        let item = Arc::new(Field::new("element", DataType::Float32, false));
        let width = self.probabilities.ncols() as i32;
        let flat = Float32Array::from_iter_values(self.probabilities.iter().copied());
        let lists = FixedSizeListArray::try_new(item.clone(), width, Arc::new(flat), None)?;
        let indices = |of: &[usize]| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(of.iter().map(|&index| index as i64)))
        };
        let mut fields = vec![
            Field::new("path", DataType::Utf8, false),
            Field::new("label", DataType::Int64, false),
            Field::new("predicted", DataType::Int64, false),
            Field::new("probabilities", DataType::FixedSizeList(item, width), false),
        ];
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(self.paths)),
            indices(self.labels),
            indices(self.predicted),
            Arc::new(lists),
        ];
        if let Some(folds) = self.folds {
            fields.push(Field::new("fold", DataType::Int32, false));
            let folds = folds.iter().map(|&fold| fold as i32);
            columns.push(Arc::new(Int32Array::from_iter_values(folds)));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }
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
                labels,
                predicted: &[1, 0],
                probabilities: &probabilities,
                folds: Some(&[0, 1]),
            };
            predictions.write(&mut out).map(|()| out)
        };
        assert_eq!(write(&[0, 0]).unwrap(), write(&[0, 0]).unwrap());
        assert!(write(&[0]).is_err());
    }
}
