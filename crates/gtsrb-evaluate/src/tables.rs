//! The predictions as tables: a Parquet file for tools, a CSV file to hand in, and how often each
//! class is taken for each.

use std::collections::HashSet;
use std::io::Write;

use artifact::{Predictions, harmless};
use ndarray::Array2;
use stage::{Error, Result};

use crate::metrics::{Metrics, Scored};

/// Writes `predictions.parquet`.
pub fn write_parquet<W: Write + Send>(
    sink: W,
    paths: &[&str],
    scored: &[Scored],
    probabilities: &Array2<f32>,
) -> Result<()> {
    let labels: Vec<usize> = scored.iter().map(|s| s.label).collect();
    let predicted: Vec<usize> = scored.iter().map(|s| s.predicted).collect();
    Predictions {
        paths,
        labels: Some(&labels),
        predicted: &predicted,
        probabilities: probabilities.view(),
        folds: None,
    }
    .write(sink)
}

/// Writes the answer sheet: `Filename;ClassId`, `;` and CRLF as in the official
/// ground truth. The name is the file's own, as there, or its whole path where two
/// images share a name. A name that a spreadsheet would run as a formula gets an
/// apostrophe in front.
pub fn write_submission(sink: impl Write, paths: &[&str], scored: &[Scored]) -> Result<()> {
    let failed = |e: csv::Error| Error::io(format!("submission.csv: {e}"));
    let mut writer = csv::WriterBuilder::new()
        .delimiter(b';')
        .terminator(csv::Terminator::CRLF)
        .from_writer(sink);
    writer.write_record(["Filename", "ClassId"]).map_err(failed)?;
    for (name, s) in names(paths).into_iter().zip(scored) {
        writer.write_record([harmless(name), s.predicted.to_string()]).map_err(failed)?;
    }
    writer.flush().map_err(|e| Error::io(format!("submission.csv: {e}")))
}

/// Writes the confusion matrix: a row for each true class, a column for each predicted one, with
/// the classes' names in the first column and in the first row.
pub fn write_confusion(sink: impl Write, metrics: &Metrics) -> Result<()> {
    let failed = |e: csv::Error| Error::io(format!("confusion.csv: {e}"));
    let mut writer = csv::Writer::from_writer(sink);
    let names = || metrics.classes.iter().map(|class| harmless(&class.name));
    let head = std::iter::once("true class".to_owned()).chain(names());
    writer.write_record(head).map_err(failed)?;
    for (name, counts) in names().zip(&metrics.confusion_true_by_predicted) {
        let row = std::iter::once(name).chain(counts.iter().map(u64::to_string));
        writer.write_record(row).map_err(failed)?;
    }
    writer.flush().map_err(|e| Error::io(format!("confusion.csv: {e}")))
}

/// File names where all differ, else the paths.
fn names<'a>(paths: &[&'a str]) -> Vec<&'a str> {
    let short: Vec<&str> = paths.iter().map(|p| p.rsplit('/').next().unwrap_or(p)).collect();
    let distinct: HashSet<&str> = short.iter().copied().collect();
    if distinct.len() == paths.len() { short } else { paths.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(predicted: &[usize]) -> Vec<Scored> {
        let one = |&p| Scored { label: 0, predicted: p, rank: 0, confidence: 1.0, loss: 0.0 };
        predicted.iter().map(one).collect()
    }

    fn csv_of(paths: &[&str], predicted: &[usize]) -> String {
        let mut out = Vec::new();
        write_submission(&mut out, paths, &scored(predicted)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn submission_has_the_official_form() {
        let text = csv_of(&["Test/00000.png", "Test/00001.png"], &[16, 1]);
        assert_eq!(text, "Filename;ClassId\r\n00000.png;16\r\n00001.png;1\r\n");
    }

    #[test]
    fn equal_names_keep_their_folders() {
        let text = csv_of(&["a/1.jpg", "b/1.jpg"], &[0, 1]);
        assert_eq!(text, "Filename;ClassId\r\na/1.jpg;0\r\nb/1.jpg;1\r\n");
    }

    #[test]
    fn formulas_are_defused_and_separators_quoted() {
        let text = csv_of(&["=HYPERLINK(\"x\").png", "a;b.png", "-1.png"], &[0, 1, 2]);
        let rows: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(rows, ["\"'=HYPERLINK(\"\"x\"\").png\";0", "\"a;b.png\";1", "'-1.png;2"]);
    }
}
