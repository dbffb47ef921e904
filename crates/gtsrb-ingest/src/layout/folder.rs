//! One folder a class, with any names; perhaps under `train/` and `test/`.
//!
//! Classes are the folders' names sorted by bytes; pictures may lie deeper. There is no
//! table, so that the sign's box is the whole picture, and tracks are unknown.

use std::collections::BTreeSet;

use stage::{Error, Result};

use super::{Item, Listing, is_picture};
use crate::args::Layout;
use crate::bad::Bad;
use crate::tree::Tree;

/// Lists the source.
pub fn list(tree: &Tree) -> Result<Listing> {
    let pictures: Vec<&str> = tree.paths().filter(|path| is_picture(path)).collect();
    let (train, test) = parts(&pictures);
    let classes: Vec<String> = classes(&train)?.into_iter().map(str::to_owned).collect();
    if classes.len() < 2 {
        return Err(Error::data(format!(
            "{}: {} folders with pictures, but two classes are needed; arrange them as \
             CLASS/picture.jpg, one folder a class",
            tree.root().display(),
            classes.len()
        )));
    }
    let mut bad = Vec::new();
    let mut items = |part: &[(&str, &str)]| {
        let mut items = Vec::new();
        for (key, path) in part {
            match item(key, path, &classes) {
                Ok(item) => items.push(item),
                Err(problem) => bad.push(problem),
            }
        }
        items
    };
    let (train, test) = (items(&train), test.map(|test| items(&test)));
    Ok(Listing {
        layout: Layout::Folder,
        classes,
        train,
        test,
        bad,
        tables: Vec::new(),
        repeated_rows: 0,
        unlisted: Vec::new(),
    })
}

/// Keys with the part of them that begins with the class.
type Part<'a> = Vec<(&'a str, &'a str)>;

/// Train and test: by folders of these names if there is nothing else, or all in one.
fn parts<'a>(pictures: &[&'a str]) -> (Part<'a>, Option<Part<'a>>) {
    let top = |path: &'a str| path.split_once('/').unwrap_or(("", path));
    let is = |folder: &str, name: &str| folder.eq_ignore_ascii_case(name);
    let parted = pictures.iter().all(|p| is(top(p).0, "train") || is(top(p).0, "test"));
    if !parted {
        return (pictures.iter().map(|&p| (p, p)).collect(), None);
    }
    let part = |name: &str| -> Part<'a> {
        pictures.iter().filter(|p| is(top(p).0, name)).map(|&p| (p, top(p).1)).collect()
    };
    let test = part("test");
    (part("train"), (!test.is_empty()).then_some(test))
}

/// The folders' names in the order of their bytes.
fn classes<'a>(train: &Part<'a>) -> Result<BTreeSet<&'a str>> {
    let names: BTreeSet<_> =
        train.iter().filter_map(|(_, path)| path.split_once('/')).map(|(class, _)| class).collect();
    match names.iter().find(|name| name.chars().any(char::is_control)) {
        Some(name) => Err(Error::data(format!("the class {name:?} has control characters"))),
        None => Ok(names),
    }
}

fn item(key: &str, path: &str, classes: &[String]) -> std::result::Result<Item, Bad> {
    let Some((class, _)) = path.split_once('/') else {
        return Err(Bad::new(key, "not in the folder of a class"));
    };
    let label = classes
        .binary_search_by(|name| name.as_str().cmp(class))
        .map_err(|_| Bad::new(key, format!("class {class} has no training pictures")))?;
    Ok(Item {
        key: key.to_owned(),
        path: key.to_owned(),
        label: label as i64,
        roi: None,
        size: None,
        track: None,
        frame: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn train_and_test_folders_are_parts_only_if_alone() {
        let (train, test) = parts(&["Train/a/1.png", "test/a/2.png"]);
        assert_eq!(train, [("Train/a/1.png", "a/1.png")]);
        assert_eq!(test, Some(vec![("test/a/2.png", "a/2.png")]));
        let (train, test) = parts(&["train/1.png", "bus/2.png"]);
        assert_eq!((train.len(), test), (2, None));
        assert_eq!(classes(&train).unwrap().into_iter().collect::<Vec<_>>(), ["bus", "train"]);
        assert_eq!(parts(&["train/a/1.png"]), (vec![("train/a/1.png", "a/1.png")], None));
    }
}
