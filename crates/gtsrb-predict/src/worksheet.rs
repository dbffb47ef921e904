//! The list of pictures to label: CSV that a person corrects and `gtsrb-ingest --labels` reads, or
//! JSON.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use artifact::harmless;
use serde::Serialize;
use stage::{Error, Result};

use crate::label_next::Candidate;

/// A picture to label.
#[derive(Serialize)]
struct Row<'a> {
    /// As the ingest stage names it.
    path: String,
    /// The best guess, to be corrected.
    label: usize,
    name: &'a str,
    probability: f32,
    /// The next best guess.
    second: &'a str,
    /// How much less probable that is.
    margin: f32,
}

/// What `gtsrb-ingest` calls `chosen` where their folders are its source: paths in one of `given`
/// folders are relative to it.
pub fn names(chosen: &[Candidate], given: &[PathBuf]) -> Vec<String> {
    let name = |candidate: &Candidate| {
        let path = &candidate.path;
        let inside = given.iter().find_map(|folder| path.strip_prefix(folder).ok());
        let inside = inside.filter(|path| *path != Path::new(""));
        inside.unwrap_or(path).display().to_string()
    };
    chosen.iter().map(name).collect()
}

/// Prints `chosen`, which are called `names`.
///
/// # Errors
/// [`Io`](stage::Fault::Io) where standard output can't be written. A reader that has gone away
/// is no error.
pub fn print(
    chosen: &[Candidate],
    names: Vec<String>,
    classes: &[String],
    json: bool,
) -> Result<()> {
    let named = chosen.iter().zip(names);
    let rows: Vec<Row> = named.map(|(candidate, name)| row(candidate, name, classes)).collect();
    let text = if json { lines(&rows) } else { sheet(&rows) };
    let text = text.map_err(|e| Error::internal(format!("pictures to label: {e}")))?;
    match io::stdout().lock().write_all(&text) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

fn row<'a>(candidate: &Candidate, path: String, classes: &'a [String]) -> Row<'a> {
    Row {
        path,
        label: candidate.label,
        name: &classes[candidate.label],
        probability: candidate.probability,
        second: &classes[candidate.second],
        margin: candidate.margin,
    }
}

fn lines(rows: &[Row]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn sheet(rows: &[Row]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["path", "label", "name", "probability", "second", "margin"])?;
    for row in rows {
        let (label, digits) = (row.label.to_string(), |p: f32| format!("{p:.4}"));
        let (probability, margin) = (digits(row.probability), digits(row.margin));
        let [path, name, second] = [&row.path, row.name, row.second].map(harmless);
        writer.write_record([path, label, name, probability, second, margin])?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}
