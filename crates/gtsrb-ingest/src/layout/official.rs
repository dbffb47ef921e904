//! The official layout, as folders or inside the official zip archives:
//!
//! ```text
//! GTSRB/Final_Training/Images/CCCCC/TTTTT_FFFFF.ppm, GT-CCCCC.csv
//! GTSRB/Final_Test/Images/NNNNN.ppm
//! GT-final_test.csv
//! ```
//! It is found wherever below the source it begins. The smaller set of the IJCNN 2011
//! competition has `GTSRB/Training/CCCCC` instead of `GTSRB/Final_Training/Images/CCCCC`.

use std::collections::BTreeMap;

use signs::layout::{
    TEST_ARCHIVE, TEST_DIR, TEST_TRUTH, TEST_TRUTH_ARCHIVE, TRAIN_ARCHIVE, TRAIN_DIR,
};
use stage::{Error, Result};

use super::rows::{Found, Rows, listing};
use super::{Listing, is_picture};
use crate::args::{Layout, Settings};
use crate::bad::Bad;
use crate::tree::Tree;

/// Where the training classes' folders begin, and what is stored for that.
const TRAIN: [(&str, &str); 2] =
    [("Final_Training/Images/", TRAIN_DIR), ("Training/", "GTSRB/Training")];
/// Where the test pictures begin.
const TEST: &str = "Final_Test/Images/";
/// The column that names the picture.
const FILE: &str = "Filename";

/// Paths behind a marker, with their keys in the source.
type Part = BTreeMap<String, String>;

/// Whether the source has this layout.
pub fn is_here(tree: &Tree) -> bool {
    let (final_part, competition_part) = (TRAIN[0].0, TRAIN[1].0);
    let is_table = |path: &str| path.contains("/GT-");
    let archives = [TRAIN_ARCHIVE, TEST_ARCHIVE];
    archives.iter().any(|name| tree.has(name))
        || tree.paths().any(|path| {
            [final_part, TEST].iter().any(|marker| behind(path, marker).is_some())
                || behind(path, competition_part).is_some_and(|p| is_train(p) && is_table(p))
        })
}

/// Lists the source.
pub fn list(tree: &mut Tree, settings: &Settings) -> Result<Listing> {
    if train_part(tree)?.0.is_empty() {
        tree.mount(TRAIN_ARCHIVE, settings)?;
    }
    if part(tree, TEST)?.keys().all(|path| !is_picture(path)) {
        tree.mount(TEST_ARCHIVE, settings)?;
    }
    if truth(tree).is_none() {
        tree.mount(TEST_TRUTH_ARCHIVE, settings)?;
    }
    let (train, dir) = train_part(tree)?;
    let test = part(tree, TEST)?;
    let pictures = train.values().chain(test.values()).cloned().collect();
    Ok(listing(Layout::Official, read_train(tree, &train, dir)?, read_test(tree, &test)?, pictures))
}

/// What follows `marker` in `path`, where the marker is whole folders.
fn behind<'a>(path: &'a str, marker: &str) -> Option<&'a str> {
    let at = path.find(marker)?;
    let whole = at == 0 || path.as_bytes()[at - 1] == b'/';
    whole.then(|| &path[at + marker.len()..])
}

/// Whether it is a file in a class's folder.
fn is_train(path: &str) -> bool {
    path.split_once('/')
        .is_some_and(|(class, name)| class_number(class).is_some() && !name.contains('/'))
}

fn class_number(folder: &str) -> Option<i64> {
    let digits = !folder.is_empty() && folder.bytes().all(|b| b.is_ascii_digit());
    if digits { folder.parse().ok() } else { None }
}

/// The files behind `marker`, which must begin in one place only.
fn part(tree: &Tree, marker: &str) -> Result<Part> {
    let mut part = Part::new();
    for key in tree.paths() {
        let Some(path) = behind(key, marker) else {
            continue;
        };
        if let Some(earlier) = part.insert(path.to_owned(), key.to_owned()) {
            return Err(Error::data(format!(
                "{path} is there twice: {} and {}; give the folder of one of them",
                tree.shown(&earlier),
                tree.shown(key)
            )));
        }
    }
    Ok(part)
}

/// The training part, and the folder that is stored for it.
fn train_part(tree: &Tree) -> Result<(Part, &'static str)> {
    for (marker, dir) in TRAIN {
        let mut part = part(tree, marker)?;
        if marker == TRAIN[1].0 {
            part.retain(|path, _| is_train(path));
        }
        if !part.is_empty() {
            return Ok((part, dir));
        }
    }
    Ok((Part::new(), TRAIN[0].1))
}

/// The table of the test pictures with their classes.
fn truth(tree: &Tree) -> Option<String> {
    let found = tree.paths().find(|path| path.rsplit('/').next() == Some(TEST_TRUTH));
    found.map(str::to_owned)
}

fn read_train(tree: &Tree, part: &Part, dir: &str) -> Result<Rows> {
    let mut folders: Vec<&str> =
        part.keys().filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect();
    folders.dedup();
    if folders.is_empty() {
        return Err(Error::missing(format!(
            "{}: no training pictures: neither {TRAIN_DIR} nor {TRAIN_ARCHIVE} is there",
            tree.root().display()
        )));
    }
    let strange: Vec<_> = folders.iter().filter(|f| class_number(f).is_none()).collect();
    if !strange.is_empty() {
        return Err(Error::data(format!(
            "{}: folders of classes must be numbers such as 00007, not {strange:?}",
            tree.root().join(dir).display()
        )));
    }
    let mut rows = Rows::default();
    for folder in folders {
        read_class(tree, part, dir, folder, &mut rows)?;
    }
    Ok(rows)
}

fn read_class(tree: &Tree, part: &Part, dir: &str, folder: &str, rows: &mut Rows) -> Result<()> {
    let table = format!("{folder}/GT-{folder}.csv");
    let name = format!("{dir}/{table}");
    let Some(key) = part.get(&table) else {
        return Err(Error::missing(format!("{name} is not there; fetch {TRAIN_ARCHIVE} again")));
    };
    rows.read(tree, (key, &name), FILE, |row| {
        let path = format!("{dir}/{folder}/{}", row.file);
        match part.get(&format!("{folder}/{}", row.file)) {
            Some(key) => Ok(Found { key: key.clone(), path, class: class_number(folder) }),
            None => Err(Bad::missing(path, format!("not there, but {name}:{} names it", row.line))),
        }
    })
}

fn read_test(tree: &Tree, part: &Part) -> Result<Rows> {
    let root = tree.root().display();
    if part.keys().all(|path| !is_picture(path)) {
        return Err(Error::missing(format!(
            "{root}: no test pictures: neither {TEST_DIR} nor {TEST_ARCHIVE} is there"
        )));
    }
    let Some(key) = truth(tree) else {
        return Err(Error::missing(format!(
            "{root}: the classes of the test pictures are missing: fetch {TEST_TRUTH}, which is \
             in {TEST_TRUTH_ARCHIVE}, and put it there"
        )));
    };
    let mut rows = Rows::default();
    rows.read(tree, (&key, TEST_TRUTH), FILE, |row| {
        let path = format!("{TEST_DIR}/{}", row.file);
        match part.get(&row.file) {
            Some(key) => Ok(Found { key: key.clone(), path, class: None }),
            None => Err(Bad::missing(
                path,
                format!("not there, but {TEST_TRUTH}:{} names it", row.line),
            )),
        }
    })?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_whole_folders() {
        assert_eq!(behind("GTSRB/Final_Training/Images/00000/a", TRAIN[0].0), Some("00000/a"));
        assert_eq!(behind("Final_Training/Images/00000/a", TRAIN[0].0), Some("00000/a"));
        assert_eq!(behind("GTSRB/Final_Training/00000/a", TRAIN[1].0), None);
        assert_eq!(behind("gtsrb/GTSRB/Training/00000/a", TRAIN[1].0), Some("00000/a"));
    }

    #[test]
    fn class_folders_are_numbers() {
        assert_eq!((class_number("00007"), class_number("7")), (Some(7), Some(7)));
        for folder in ["", " 7", "-1", "７", "7a"] {
            assert_eq!(class_number(folder), None, "{folder}");
        }
    }
}
