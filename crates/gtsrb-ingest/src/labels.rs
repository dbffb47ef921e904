//! Corrections of labels: a table that gives some pictures another class, or leaves them out.
//!
//! The file is CSV with the columns `path` and `label`, others are ignored, so that what
//! `gtsrb-evaluate` writes as `report/labels-to-check.csv` can be applied once a person has gone
//! through it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifact::Hash;
use stage::{Error, Result};

use crate::bad::shown;
use crate::layout::{Item, Listing};

/// The label that leaves a picture out.
const EXCLUDE: &str = "exclude";

/// Corrections, as the file has them.
pub struct Labels {
    file: PathBuf,
    /// Of the file's content.
    pub hash: Hash,
    /// What each picture's label shall be.
    wanted: BTreeMap<String, String>,
}

impl Labels {
    /// Reads `file`. A row without a label changes nothing.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where there is none, [`Data`](stage::Fault::Data) if it is
    /// no such table or gives a picture two labels.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).map_err(|e| Error::read(file, &e))?;
        let wrong = |reason: String| Error::data(format!("{}: {reason}", file.display()));
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::Reader::from_reader(text);
        let header = reader.headers().map_err(|e| wrong(e.to_string()))?;
        let column = |name: &str| {
            let found = header.iter().position(|column| column == name);
            found.ok_or_else(|| wrong(format!("no column {name}; it needs path and label")))
        };
        let (path, label) = (column("path")?, column("label")?);
        let mut wanted: BTreeMap<String, String> = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(|e| wrong(e.to_string()))?;
            let (path, label) = (unquoted(&record[path]), record[label].trim());
            if label.is_empty() {
                continue;
            }
            let earlier = wanted.insert(path.to_owned(), label.to_owned());
            if let Some(earlier) = earlier.filter(|earlier| earlier != label) {
                let path = shown(path);
                let reason = format!("{path} gets the labels {earlier} and {label}: keep one");
                return Err(wrong(reason));
            }
        }
        Ok(Self { file: file.to_owned(), hash: Hash::of(&bytes), wanted })
    }

    /// Applies the corrections to what a source lists.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) naming the first path that isn't listed, or the first label
    /// that is no class.
    pub fn apply(&self, listing: &mut Listing) -> Result<()> {
        let mut left = self.resolve(&listing.classes)?;
        let (mut changed, before) =
            (0, listing.train.len() + listing.test.iter().flatten().count());
        let mut correct = |item: &mut Item| match left.remove(item.path.as_str()) {
            None => true,
            Some(None) => false,
            Some(Some(label)) => {
                changed += usize::from(item.label != label);
                item.label = label;
                true
            }
        };
        listing.train.retain_mut(&mut correct);
        if let Some(test) = &mut listing.test {
            test.retain_mut(&mut correct);
        }
        if let Some(path) = left.keys().next() {
            return Err(Error::data(format!(
                "{}: {} of the pictures that it names aren't in the source, the first is {}",
                self.file.display(),
                left.len(),
                shown(path)
            )));
        }
        let excluded = before - listing.train.len() - listing.test.iter().flatten().count();
        let file = self.file.display();
        tracing::info!("{file}: {changed} pictures get another class, {excluded} are left out");
        listing.tables.push(("labels".to_owned(), self.hash));
        Ok(())
    }

    /// For each path its class, `None` to leave it out. A class is named by number or name.
    fn resolve(&self, classes: &[String]) -> Result<BTreeMap<&str, Option<i64>>> {
        let class = |label: &str| {
            let number = label.parse().ok().filter(|number| (0..classes.len()).contains(number));
            let found = number.or_else(|| classes.iter().position(|name| name == label));
            found.map(|class| class as i64)
        };
        let rows = self.wanted.iter();
        rows.map(|(path, label)| match class(label) {
            Some(class) => Ok((path.as_str(), Some(class))),
            None if label == EXCLUDE => Ok((path.as_str(), None)),
            None => Err(Error::data(format!(
                "{}: {} is given the label {}, which is no class: give a number below {}, a \
                 class's name, or {EXCLUDE}",
                self.file.display(),
                shown(path),
                shown(label),
                classes.len()
            ))),
        })
        .collect()
    }
}

/// A path without the apostrophe that keeps spreadsheets from taking it for a formula.
fn unquoted(path: &str) -> &str {
    let formula = |rest: &&str| rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    path.strip_prefix('\'').filter(formula).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::Fault;

    fn read(text: &str) -> Result<Labels> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("labels.csv");
        std::fs::write(&file, text).unwrap();
        Labels::read(&file)
    }

    #[test]
    fn labels_are_numbers_names_or_exclude() {
        let labels = read(
            "\u{feff}label,note,path\r\n1,x,a.png\r\nstop,,\"b,\"\"c.png\"\r\nexclude,,'=d\r\n,,e\r\n",
        )
        .unwrap();
        let classes = ["yield", "stop"].map(str::to_owned);
        let found: Vec<_> = labels.resolve(&classes).unwrap().into_iter().collect();
        assert_eq!(found, [("=d", None), ("a.png", Some(1)), ("b,\"c.png", Some(1))]);
        assert_eq!(labels.resolve(&classes[..1]).unwrap_err().fault(), Fault::Data);
    }

    #[test]
    fn odd_tables_are_refused() {
        for (text, word) in [
            ("path,class\na,1\n", "no column label"),
            ("path,label\na,1\na,2\n", "keep one"),
            ("path,label\na\n", "record 1"),
        ] {
            let error = read(text).err().unwrap();
            assert_eq!(error.fault(), Fault::Data);
            assert!(error.to_string().contains(word), "{error}");
        }
        let missing = Labels::read(Path::new("/nowhere/x.csv")).err().unwrap();
        assert_eq!(missing.fault(), Fault::Missing);
    }
}
