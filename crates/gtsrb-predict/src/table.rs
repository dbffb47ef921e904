//! Predictions as a Parquet file that is there whole or not at all.

use std::path::{Path, PathBuf};

use artifact::{FileWriter, PredictionWriter, Predictions};
use ndarray::{ArrayView1, ArrayView2};
use stage::{Error, Result};

/// Rows written at a time.
const ROWS: usize = 1024;

/// Columns `path`, `predicted` and `probabilities`, as in a run's `predictions.parquet`.
pub struct Table {
    target: PathBuf,
    writer: PredictionWriter<FileWriter>,
    classes: usize,
    paths: Vec<String>,
    predicted: Vec<usize>,
    probabilities: Vec<f32>,
}

impl Table {
    /// Starts the file that will be `target`, under another name in the same folder.
    ///
    /// # Errors
    /// [`Create`](stage::Fault::Create) where it can't be written.
    pub fn create(target: &Path, classes: usize) -> Result<Self> {
        let writer = PredictionWriter::new(FileWriter::at(target)?, classes)
            .map_err(|e| e.context(target.display()))?;
        Ok(Self {
            target: target.to_owned(),
            writer,
            classes,
            paths: Vec::new(),
            predicted: Vec::new(),
            probabilities: Vec::new(),
        })
    }

    /// Adds a picture with its probabilities, `[classes]`.
    pub fn add(&mut self, path: &Path, label: usize, of: ArrayView1<'_, f32>) -> Result<()> {
        self.paths.push(path.display().to_string());
        self.predicted.push(label);
        self.probabilities.extend(of);
        if self.paths.len() < ROWS { Ok(()) } else { self.write() }
    }

    /// Completes the file and gives it its name.
    pub fn finish(mut self) -> Result<()> {
        self.write()?;
        let target = &self.target;
        let file = self.writer.finish().map_err(|e| e.context(target.display()))?;
        file.keep(target)
    }

    /// Writes what was added since the last time.
    fn write(&mut self) -> Result<()> {
        let shape = (self.paths.len(), self.classes);
        let probabilities = ArrayView2::from_shape(shape, &self.probabilities)
            .map_err(|e| Error::internal(format!("predictions: {e}")))?;
        let paths: Vec<&str> = self.paths.iter().map(String::as_str).collect();
        let predicted = &self.predicted;
        let rows =
            Predictions { paths: &paths, labels: None, predicted, probabilities, folds: None };
        self.writer.write(&rows).map_err(|e| e.context(self.target.display()))?;
        self.paths.clear();
        self.predicted.clear();
        self.probabilities.clear();
        Ok(())
    }
}
