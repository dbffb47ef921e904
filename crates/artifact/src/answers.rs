//! Predictions read back: what a model said of labelled images.

use std::path::Path;

use arrow_array::{Array, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray};
use ndarray::Array2;
use stage::Result;

use crate::table::{self, column, damaged};

/// Rows read at a time.
const BATCH_ROWS: usize = 4096;

/// A table of predictions, a row an image, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// Paths of the images.
    pub paths: Vec<String>,
    /// Their classes, each below the number of columns of `probabilities`.
    pub labels: Vec<usize>,
    /// Probabilities, `[images, classes]`, all of them numbers.
    pub probabilities: Array2<f32>,
}

impl Answers {
    /// Reads the file at `path`, which `stage` (a binary's name) writes.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where there is none,
    /// [`Data`](stage::Fault::Data) if it holds no predictions.
    pub fn read(path: &Path, stage: &str) -> Result<Self> {
        let (mut paths, mut labels, mut values, mut classes) = (vec![], vec![], vec![], 0);
        for batch in table::reader(path, BATCH_ROWS, stage)? {
            let batch = batch.map_err(|e| damaged(path, &e, stage))?;
            let bad = |reason: String| damaged(path, reason, stage);
            classes = add(&batch, &mut paths, &mut labels, &mut values).map_err(bad)?;
        }
        if let Some(label) = labels.iter().find(|label| **label >= classes) {
            let reason = format!("class {label}, where there are {classes}");
            return Err(damaged(path, reason, stage));
        }
        if values.iter().any(|p: &f32| !p.is_finite()) {
            return Err(damaged(path, "probabilities hold NaN or infinity", stage));
        }
        let probabilities = Array2::from_shape_vec((labels.len(), classes), values)
            .map_err(|e| damaged(path, e, stage))?;
        Ok(Self { paths, labels, probabilities })
    }
}

/// Adds the rows of `batch`; gives the number of classes.
fn add(
    batch: &RecordBatch,
    paths: &mut Vec<String>,
    labels: &mut Vec<usize>,
    values: &mut Vec<f32>,
) -> std::result::Result<usize, String> {
    let path: &StringArray = column(batch, "path")?;
    let label: &Int64Array = column(batch, "label")?;
    let lists: &FixedSizeListArray = column(batch, "probabilities")?;
    let flat = lists.values().as_any().downcast_ref::<Float32Array>();
    let flat = flat.ok_or("column probabilities has another type")?;
    if path.null_count() + label.null_count() + lists.null_count() + flat.null_count() > 0 {
        return Err("it holds nulls".to_owned());
    }
    paths.extend(path.iter().flatten().map(str::to_owned));
    for &label in label.values() {
        labels.push(usize::try_from(label).map_err(|_| format!("class {label}"))?);
    }
    let width = lists.value_length() as usize;
    values.extend_from_slice(flat.values());
    Ok(width)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::ArrayRef;
    use arrow_schema::DataType;
    use ndarray::array;
    use parquet::arrow::ArrowWriter;
    use stage::Fault;

    use super::*;

    fn write(path: &Path, labels: &[i64], values: &[f32]) {
        let item = table::element(DataType::Float32);
        let flat = Arc::new(Float32Array::from(values.to_vec()));
        let lists = FixedSizeListArray::try_new(item, 2, flat, None).unwrap();
        let paths: Vec<String> = (0..labels.len()).map(|i| format!("{i}.png")).collect();
        let columns: [(&str, ArrayRef); 3] = [
            ("path", Arc::new(StringArray::from(paths))),
            ("label", Arc::new(Int64Array::from(labels.to_vec()))),
            ("probabilities", Arc::new(lists)),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = std::fs::File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn rows_come_back_over_batches() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        write(&path, &[0, 1], &[0.25, 0.75, 1.0, 0.0]);
        let answers = Answers::read(&path, "x").unwrap();
        assert_eq!(answers.paths, ["0.png", "1.png"]);
        assert_eq!(answers.labels, [0, 1]);
        assert_eq!(answers.probabilities, array![[0.25, 0.75], [1.0, 0.0]]);
        let rows = 2 * BATCH_ROWS + 1;
        let values: Vec<f32> = (0..2 * rows).map(|i| i as f32).collect();
        write(&path, &vec![0; rows], &values);
        let answers = Answers::read(&path, "x").unwrap();
        assert!(answers.probabilities.iter().eq(&values));
    }

    #[test]
    fn odd_tables_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        for (labels, values) in
            [([0, 2], [0.5; 4]), ([0, -1], [0.5; 4]), ([0, 1], [0.5, 0.5, f32::NAN, 0.5])]
        {
            write(&path, &labels, &values);
            assert_eq!(Answers::read(&path, "x").unwrap_err().fault(), Fault::Data);
        }
        std::fs::write(&path, "no table").unwrap();
        assert_eq!(Answers::read(&path, "x").unwrap_err().fault(), Fault::Data);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Answers::read(&path, "x").unwrap_err().fault(), Fault::Missing);
    }
}
