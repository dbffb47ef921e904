//! What documents show works: `tests/documents/run.py` runs their commands in a fresh folder.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::process::Command;

use end_to_end::{ready, root, texts, variable};

/// Runs every command of a document.
fn works(document: &str) {
    let Some(python) = variable("ORACLE_PYTHON").filter(|_| ready()) else { return };
    let mut run = Command::new(python);
    run.arg(root().join("tests/documents/run.py")).arg(document);
    let output = run.output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
}

#[test]
fn the_tutorial_works() {
    works("docs/tutorial.md");
}

#[test]
fn other_tools_read_what_is_at_rest() {
    works("docs/tools.md");
}

#[test]
fn figures_of_the_recipe_are_those_of_their_pages() {
    let read = |page: &str| std::fs::read_to_string(root().join("docs").join(page)).unwrap();
    let measured = read("accuracy.md") + &read("training.md");
    let recipe = read("from-keras.md");
    let figures = recipe.match_indices(" %").map(|(at, _)| {
        let number = recipe[..at].rsplit(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap();
        format!("{number} %")
    });
    let figures: Vec<String> = figures.filter(|figure| figure != "99.9 %").collect();
    assert!(figures.len() > 5, "{figures:?}");
    for figure in figures {
        assert!(measured.contains(&figure), "{figure} is on no page that is named");
    }
}
