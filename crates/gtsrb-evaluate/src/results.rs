//! The results as files, each complete before any gets its name.

use artifact::{Output, Staged};
use figure::png;
use rayon::prelude::*;
use stage::{Error, Result};

use crate::evaluation::Evaluation;
use crate::map::Map;
use crate::quality::Quality;
use crate::report::Figures;
use crate::tables::{write_confusion, write_parquet, write_submission};

/// All that is written.
pub struct Results<'a> {
    /// Test images and their numbers.
    pub evaluation: &'a Evaluation,
    /// What is odd about the data.
    pub quality: &'a Quality,
    /// The map of the test images.
    pub map: &'a Map,
    /// The pictures.
    pub figures: &'a Figures,
    /// The page.
    pub page: &'a str,
    /// The model card.
    pub card: &'a str,
}

impl Results<'_> {
    /// Writes every file of the evaluation, to be committed together.
    pub fn stage(&self, output: &Output) -> Result<Vec<Staged>> {
        let mut metrics = serde_json::to_vec_pretty(&self.evaluation.metrics)
            .map_err(|e| Error::internal(format!("metrics.json: {e}")))?;
        metrics.push(b'\n');
        let mut files = vec![
            output.write("metrics.json", &metrics)?,
            self.predictions(output)?,
            self.submission(output)?,
            output.write("report.html", self.page.as_bytes())?,
            output.write("MODEL_CARD.md", self.card.as_bytes())?,
            self.confusion(output)?,
            self.labels_to_check(output)?,
            self.map(output)?,
        ];
        let figures = self.figures.named();
        let pixels: Vec<Vec<u8>> =
            figures.par_iter().map(|(_, drawing)| png(drawing)).collect::<Result<_>>()?;
        for ((name, drawing), pixels) in figures.iter().zip(&pixels) {
            files.push(output.write(&format!("report/{name}.svg"), drawing.as_bytes())?);
            files.push(output.write(&format!("report/{name}.png"), pixels)?);
        }
        Ok(files)
    }

    fn paths(&self) -> Vec<&str> {
        self.evaluation.rows.iter().map(|row| row.path.as_str()).collect()
    }

    fn predictions(&self, output: &Output) -> Result<Staged> {
        let mut file = output.create("predictions.parquet")?;
        write_parquet(
            &mut file,
            &self.paths(),
            &self.evaluation.scored,
            &self.evaluation.probabilities,
        )?;
        file.finish(Some(self.evaluation.rows.len() as u64))
    }

    fn labels_to_check(&self, output: &Output) -> Result<Staged> {
        let mut file = output.create("report/labels-to-check.csv")?;
        self.quality.write_csv(&mut file)?;
        let rows: usize = self.quality.kinds.iter().map(|kind| kind.found.len()).sum();
        file.finish(Some(rows as u64))
    }

    fn confusion(&self, output: &Output) -> Result<Staged> {
        let mut file = output.create("confusion.csv")?;
        write_confusion(&mut file, &self.evaluation.metrics)?;
        file.finish(Some(self.evaluation.metrics.classes.len() as u64))
    }

    fn map(&self, output: &Output) -> Result<Staged> {
        let mut file = output.create("report/map.csv")?;
        self.map.write_csv(&mut file, &self.paths())?;
        file.finish(Some(self.evaluation.rows.len() as u64))
    }

    fn submission(&self, output: &Output) -> Result<Staged> {
        let mut file = output.create("submission.csv")?;
        write_submission(&mut file, &self.paths(), &self.evaluation.scored)?;
        file.finish(Some(self.evaluation.rows.len() as u64))
    }
}
