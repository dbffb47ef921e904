//! Kaggle's layout: `Train.csv` and `Test.csv`, whose column `Path` names pictures such as
//! `Train/20/00020_00000_00000.png` and `Test/00000.png`, perhaps behind a prefix from the
//! machine where it was written.

use stage::{Error, Result};

use super::Listing;
use super::rows::{Found, Rows, listing};
use crate::args::Layout;
use crate::bad::Bad;
use crate::table::Row;
use crate::tree::Tree;

/// The tables, and the folders with their pictures.
const PARTS: [(&str, &str); 2] = [("Train.csv", "Train/"), ("Test.csv", "Test/")];

/// Whether the source has this layout.
pub fn is_here(tree: &Tree) -> bool {
    tree.has(PARTS[0].0)
}

/// Lists the source.
pub fn list(tree: &Tree) -> Result<Listing> {
    let [train, test] = PARTS.map(|(table, _)| read(tree, table));
    let pictures = tree
        .paths()
        .filter(|path| PARTS.iter().any(|(_, folder)| path.starts_with(folder)))
        .map(str::to_owned)
        .collect();
    Ok(listing(Layout::Kaggle, train?, test?, pictures))
}

fn read(tree: &Tree, table: &str) -> Result<Rows> {
    if !tree.has(table) {
        return Err(Error::missing(format!(
            "{} is not there; Kaggle's layout has Train.csv, Test.csv, Train/ and Test/",
            tree.shown(table)
        )));
    }
    let mut rows = Rows::default();
    rows.read(tree, (table, table), "Path", |row| find(tree, table, row))?;
    Ok(rows)
}

/// The picture of a row: the longest end of its path, a folder at least, that is there.
fn find(tree: &Tree, table: &str, row: &Row) -> std::result::Result<Found, Bad> {
    let path = row.file.replace('\\', "/");
    let mut end = path.trim_start_matches('/');
    while end.contains('/') {
        if tree.has(end) {
            return Ok(Found { key: end.to_owned(), path: end.to_owned(), class: None });
        }
        end = end.split_once('/').map_or("", |(_, rest)| rest);
    }
    Err(Bad::missing(path, format!("not there, but {table}:{} names it", row.line)))
}
