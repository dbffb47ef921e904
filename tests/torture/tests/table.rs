//! `docs/reliability.md` is held to what it says: every row names tests that there are, or why
//! there is none.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rows of the table.
const ROWS: usize = 80;

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The names of all tests of the workspace.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["crates", "tests"] {
        sources(&torture::root().join(folder), &mut files);
    }
    let texts = files.iter().map(|path| fs::read_to_string(path).unwrap());
    let mut names = BTreeSet::new();
    for text in texts {
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            is_test |= line == "#[test]";
            if let Some(name) = line.strip_prefix("fn ").filter(|_| is_test) {
                names.insert(name.split('(').next().unwrap().to_owned());
                is_test = false;
            }
        }
    }
    names
}

/// The names in backticks.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_row_names_its_tests() {
    let text = fs::read_to_string(torture::root().join("docs/reliability.md")).unwrap();
    let tests = tests();
    let mut rows = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !cells[0].starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        for name in named(cells[2]) {
            assert!(tests.contains(name), "there is no test {name}: {line}");
        }
        // Exit codes have no outcome but themselves.
        let reason = cells.get(3).and_then(|outcome| outcome.strip_prefix("skipped: "));
        assert!(named(cells[2]).next().is_some() || reason.is_some(), "no test: {line}");
        if cells.len() == 4 {
            rows.insert(cells[0].parse::<usize>().unwrap());
        }
    }
    assert!(rows.iter().copied().eq(1..=ROWS), "rows: {rows:?}");
}
