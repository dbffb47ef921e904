//! From the rows of tables to pictures: what the official and Kaggle's layout share.

use std::collections::{BTreeMap, BTreeSet};

use artifact::Hash;
use stage::Result;

use super::{Item, Listing, is_picture, sign_names};
use crate::args::Layout;
use crate::bad::Bad;
use crate::table::{Row, parse};
use crate::tree::Tree;

/// The pictures of one part, train or test, as its tables name them.
#[derive(Default)]
pub struct Rows {
    items: BTreeMap<String, Item>,
    named: BTreeSet<String>,
    doubtful: BTreeSet<String>,
    bad: Vec<Bad>,
    tables: Vec<(String, Hash)>,
    repeated: u64,
}

/// The picture of a row.
pub struct Found {
    /// Its path in the source.
    pub key: String,
    /// The path to store.
    pub path: String,
    /// The class that its folder says.
    pub class: Option<i64>,
}

impl Rows {
    /// Reads the table at `key`, to be called `name`; `find` looks for the picture of a row,
    /// and its error is why there is none.
    pub fn read(
        &mut self,
        tree: &Tree,
        (key, name): (&str, &str),
        file_column: &str,
        find: impl Fn(&Row) -> std::result::Result<Found, Bad>,
    ) -> Result<()> {
        let bytes = tree.read(key)?;
        let table = parse(&tree.shown(key), &bytes, file_column)?;
        self.tables.push((name.to_owned(), Hash::of(&bytes)));
        self.bad.extend(table.bad.into_iter().map(|bad| {
            let line = bad.path.rsplit(':').next().unwrap_or_default().to_owned();
            Bad { path: format!("{name}:{line}"), ..bad }
        }));
        for row in table.rows {
            match find(&row) {
                Ok(found) => self.add(name, &row, found),
                Err(bad) => self.bad.push(bad),
            }
        }
        Ok(())
    }

    fn add(&mut self, table: &str, row: &Row, Found { key, path, class }: Found) {
        self.named.insert(key.clone());
        if let Some(reason) = wrong_class(row.class, class) {
            self.bad.push(Bad::new(path, format!("{table}:{}: {reason}", row.line)));
            return;
        }
        let (track, frame) = track(row.class, &path);
        let (roi, size) = (Some(row.roi), Some(row.size));
        let item = Item { key, path: path.clone(), label: row.class, roi, size, track, frame };
        match self.items.get(&path) {
            None => {
                self.items.insert(path, item);
            }
            Some(earlier) if same(earlier, &item) => self.repeated += 1,
            Some(_) => {
                self.bad.push(Bad::new(
                    &path,
                    format!("{table}:{}: differs from an earlier row", row.line),
                ));
                self.doubtful.insert(path);
            }
        }
    }

    /// The pictures that have one clear row.
    fn finish(&mut self) -> Vec<Item> {
        let items = std::mem::take(&mut self.items).into_values();
        items.filter(|item| !self.doubtful.contains(&item.path)).collect()
    }
}

/// Puts both parts together. `unlisted` are the pictures in the source's picture folders, of
/// which those that no row named are kept.
pub fn listing(layout: Layout, mut train: Rows, mut test: Rows, pictures: Vec<String>) -> Listing {
    let named = |key: &String| train.named.contains(key) || test.named.contains(key);
    let unlisted = pictures.into_iter().filter(|key| is_picture(key) && !named(key)).collect();
    let (train_items, test_items) = (train.finish(), test.finish());
    Listing {
        layout,
        classes: sign_names(),
        train: train_items,
        test: Some(test_items),
        bad: [train.bad, test.bad].concat(),
        tables: [train.tables, test.tables].concat(),
        repeated_rows: train.repeated + test.repeated,
        unlisted,
    }
}

/// Why a row's class can't be, beside the one that the picture's folder says.
fn wrong_class(class: i64, folder: Option<i64>) -> Option<String> {
    let last = signs::CLASSES as i64 - 1;
    if !(0..=last).contains(&class) {
        return Some(format!("ClassId {class} is not 0 to {last}"));
    }
    let other = folder.filter(|&folder| folder != class)?;
    Some(format!("ClassId {class} in the folder of class {other}"))
}

fn same(a: &Item, b: &Item) -> bool {
    (a.label, a.roi, a.size) == (b.label, b.roi, b.size)
}

/// Track and frame from a name: the official `TTTTT_FFFFF`, Kaggle's `CCCCC_TTTTT_FFFFF`.
/// Every class counts its tracks from 0, so that the class belongs to the track's name.
fn track(class: i64, path: &str) -> (Option<String>, Option<i32>) {
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let numbers: Option<Vec<i32>> = stem.split('_').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[track, frame] | &[_, track, frame]) => {
            (Some(format!("{class:05}_{track:05}")), Some(frame))
        }
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::track;

    #[test]
    fn tracks_and_frames_come_from_names() {
        let known = (Some("00020_00001".to_owned()), Some(29));
        assert_eq!(track(20, "a/00001_00029.ppm"), known);
        assert_eq!(track(20, "Train/20/00020_00001_00029.png"), known);
        for other in ["Test/00000.png", "a/IMG_1.jpg", "a/1_2_3_4.png", ""] {
            assert_eq!(track(20, other), (None, None), "{other}");
        }
    }
}
