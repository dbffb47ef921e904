//! One folder a class, with any names; perhaps under `train/` and `test/`.
//!
//! Classes are the folders' names sorted by bytes; pictures may lie deeper. There is no
//! table, so that the sign's box is the whole picture, and tracks are unknown.

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
        return Err(too_few(tree.root(), &train, &classes));
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
///
/// # Errors
/// If a part `train` stands beside other folders than `test`: to take them for classes would
/// teach to tell parts apart.
fn parts<'a>(root: &Path, pictures: &[&'a str]) -> Result<(Part<'a>, Option<Part<'a>>)> {
    let (mut train, mut test, mut other) = (Vec::new(), Vec::new(), None);
    for &key in pictures {
        let (folder, path) = key.split_once('/').unwrap_or(("", key));
        match folder.to_ascii_lowercase().as_str() {
            "test" => test.push((key, path)),
            // Pictures that lie loose belong to no class, wherever they are counted.
            "train" | "" => train.push((key, path)),
            _ => other = other.or(Some(folder)),
        }
    }
    let Some(other) = other else {
        return Ok((train, (!test.is_empty()).then_some(test)));
    };
    let deep = |path: &str| path.contains('/');
    if train.iter().any(|(_, path)| deep(path))
        && train.iter().all(|(key, path)| deep(path) || !deep(key))
    {
        return Err(Error::data(format!(
            "{}: the folder {} is beside train, but the parts are train and test alone; rename \
             it or move it away",
            root.display(),
            shown(other)
        )));
    }
    Ok((pictures.iter().map(|&p| (p, p)).collect(), None))
}

/// Why there is nothing to tell apart, and what to do.
fn too_few(root: &Path, train: &Part<'_>, classes: &[String]) -> Error {
    let deep = train.iter().any(|(_, path)| path.matches('/').count() > 1);
    let (found, hint) = match classes {
        [only] if deep => {
            let only = shown(only);
            let hint = format!("; if the folders in {only} are the classes, give that folder");
            (format!("{only} is the only folder with pictures"), hint)
        }
        [only] => (format!("{} is the only folder with pictures", shown(only)), String::new()),
        _ if train.is_empty() => ("no PNG or JPEG pictures".to_owned(), String::new()),
        _ => (format!("{} pictures, but in no folder of a class", train.len()), String::new()),
    };
    Error::data(format!(
        "{}: {found}; arrange them as CLASS/picture.jpg, one folder a class, two at least{hint}",
        root.display()
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
        let error = parts(&["test/a/1.png", "train/a/1.png", "val/a/1.png"]).unwrap_err();
        assert!(error.to_string().contains("the folder val is beside train"), "{error}");
        let (train, test) = parts(&["train/a/1.png"]).unwrap();
        assert_eq!((train, test), (vec![("train/a/1.png", "a/1.png")], None));
    }
}
