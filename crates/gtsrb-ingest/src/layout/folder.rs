//! One folder a class, with any names; perhaps under `train/`, `val/` and `test/`.
//!
//! Classes are the folders' names sorted by bytes; pictures may lie deeper. There is no
//! table, so that the sign's box is the whole picture, and tracks are unknown.
//!
//! Training keeps pictures out to choose by on its own. So those of a folder `val` are the test
//! where there is no other, and else are learned from.

use std::collections::BTreeSet;
use std::path::Path;

use stage::{Error, Result};

use super::{Item, Listing, is_picture};
use crate::args::Layout;
use crate::bad::{Bad, shown};
use crate::tree::Tree;

/// Lists the source.
pub fn list(tree: &Tree) -> Result<Listing> {
    let (pictures, others): (Vec<_>, Vec<_>) = tree.paths().partition(|path| is_picture(path));
    if let Some(first) = others.first() {
        let (count, first) = (others.len(), tree.shown(first));
        tracing::warn!("{count} files without a picture's ending are left out, such as {first}");
    }
    let (train, test) = parts(tree.root(), &pictures)?;
    let classes: Vec<String> = classes(&train)?.into_iter().map(str::to_owned).collect();
    if classes.len() < 2 {
        return Err(too_few(tree, &train, &classes));
    }
    warn_of_empty(tree, &train, &classes);
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
///
/// # Errors
/// If a part for training stands beside folders that are no parts: to take them for classes
/// would teach to tell parts apart. If there are parts, but none for training.
fn parts<'a>(root: &Path, pictures: &[&'a str]) -> Result<(Part<'a>, Option<Part<'a>>)> {
    let (mut train, mut validation, mut test) = (Vec::new(), Vec::new(), Vec::new());
    let mut other = None;
    for &key in pictures {
        let (folder, path) = key.split_once('/').unwrap_or(("", key));
        match folder.to_ascii_lowercase().as_str() {
            "test" | "testing" => test.push((key, path)),
            "val" | "valid" | "validation" => validation.push((key, path)),
            // Pictures that lie loose belong to no class, wherever they are counted.
            "train" | "training" | "" => train.push((key, path)),
            _ => other = other.or(Some(folder)),
        }
    }
    let deep = |path: &str| path.contains('/');
    let refuse = |what: String| Err(Error::data(format!("{}: {what}", root.display())));
    if let Some(other) = other {
        if train.iter().any(|(_, path)| deep(path))
            && train.iter().all(|(key, path)| deep(path) || !deep(key))
        {
            return refuse(format!(
                "the folder {} is beside train, but the parts are train, val and test alone; \
                 rename it or move it away",
                shown(other)
            ));
        }
        return Ok((pictures.iter().map(|&p| (p, p)).collect(), None));
    }
    if train.is_empty() && !(validation.is_empty() && test.is_empty()) {
        return refuse("there are pictures to test with, but no folder train beside them".into());
    }
    Ok(two_of_three(train, validation, test))
}

/// What becomes of the pictures of `val`.
fn two_of_three<'a>(
    mut train: Part<'a>,
    validation: Part<'a>,
    test: Part<'a>,
) -> (Part<'a>, Option<Part<'a>>) {
    match (validation.is_empty(), test.is_empty()) {
        (true, true) => (train, None),
        (true, false) => (train, Some(test)),
        (false, true) => {
            tracing::info!("there is no folder test: the pictures of the folder val are the test");
            (train, Some(validation))
        }
        (false, false) => {
            tracing::info!("the folder val is learned from: training keeps pictures out by itself");
            train.extend(validation);
            (train, Some(test))
        }
    }
}

/// Says which folders could be classes, but hold no pictures.
fn warn_of_empty(tree: &Tree, train: &Part<'_>, classes: &[String]) {
    let in_parts = train.iter().any(|(key, path)| key != path);
    let names: BTreeSet<&str> = tree
        .folders()
        .filter_map(|folder| match folder.split_once('/') {
            Some((_, below)) => Some(below).filter(|_| in_parts),
            None => Some(folder).filter(|_| !in_parts),
        })
        .filter(|name| !name.contains('/'))
        .collect();
    let mut empty = names.into_iter().filter(|name| !classes.iter().any(|class| class == name));
    if let Some(first) = empty.next() {
        tracing::warn!(
            "{} folders hold no PNG or JPEG pictures and are no classes, such as {}",
            1 + empty.count(),
            shown(first)
        );
    }
}

/// The first file that is an archive.
fn archive(tree: &Tree) -> Option<&str> {
    const ENDINGS: [&str; 8] = ["zip", "tar", "gz", "tgz", "bz2", "xz", "7z", "rar"];
    tree.paths().find(|path| {
        let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
    })
}

/// Why there is nothing to tell apart, and what to do.
fn too_few(tree: &Tree, train: &Part<'_>, classes: &[String]) -> Error {
    let deep = train.iter().any(|(_, path)| path.matches('/').count() > 1);
    let (found, hint) = match classes {
        [only] if deep => {
            let only = shown(only);
            let hint = format!("; if the folders in {only} are the classes, give that folder");
            (format!("{only} is the only folder with pictures"), hint)
        }
        [only] => (format!("{} is the only folder with pictures", shown(only)), String::new()),
        _ if train.is_empty() => {
            let hint = archive(tree).map_or_else(String::new, |archive| {
                format!("; if they are in {}, unpack it first", shown(archive))
            });
            ("no PNG or JPEG pictures".to_owned(), hint)
        }
        _ => {
            let hint = "; if they are one class, give the folder above".to_owned();
            (format!("{} pictures, but in no folder of a class", train.len()), hint)
        }
    };
    Error::data(format!(
        "{}: {found}; arrange them as CLASS/picture.jpg, one folder a class, two at least{hint}",
        tree.root().display()
    ))
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
        let parts = |pictures: &[&'static str]| parts(Path::new("x"), pictures);
        let (train, test) = parts(&["Train/a/1.png", "test/a/2.png"]).unwrap();
        assert_eq!(train, [("Train/a/1.png", "a/1.png")]);
        assert_eq!(test, Some(vec![("test/a/2.png", "a/2.png")]));
        let (train, test) = parts(&["loose.png", "test/a/2.png", "train/a/1.png"]).unwrap();
        assert_eq!((train.len(), test.map(|part| part.len())), (2, Some(1)));
        let (train, test) = parts(&["train/1.png", "bus/2.png"]).unwrap();
        assert_eq!((train.len(), test), (2, None));
        assert_eq!(classes(&train).unwrap().into_iter().collect::<Vec<_>>(), ["bus", "train"]);
        let error = parts(&["test/a/1.png", "train/a/1.png", "more/a/1.png"]).unwrap_err();
        assert!(error.to_string().contains("the folder more is beside train"), "{error}");
        let error = parts(&["test/a/1.png", "val/a/1.png"]).unwrap_err();
        assert!(error.to_string().contains("no folder train"), "{error}");
        let (train, test) = parts(&["training/a/1.png", "Val/a/2.png"]).unwrap();
        assert_eq!(train, [("training/a/1.png", "a/1.png")]);
        assert_eq!(test, Some(vec![("Val/a/2.png", "a/2.png")]));
        let all = parts(&["testing/a/1.png", "training/a/2.png", "valid/a/3.png"]).unwrap();
        assert_eq!((all.0.len(), all.1.map(|part| part.len())), (2, Some(1)));
        let (train, test) = parts(&["train/a/1.png"]).unwrap();
        assert_eq!((train, test), (vec![("train/a/1.png", "a/1.png")], None));
    }
}
