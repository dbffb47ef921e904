//! The binary on embeddings that can't be trained on.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers may panic and say that they skip"
)]

#[allow(dead_code, reason = "no file of tests needs all of it")]
mod run;

use run::{DIMS, Plan, Run, code, errors, has_runtime};

/// Each way to train, and to read: all at once or in blocks.
const WAYS: [&[&str]; 5] = [
    &[],
    &["--folds", "3"],
    &["--solver", "sgd"],
    &["--hidden", "8"],
    &["--solver", "sgd", "--memory", "10000"],
];

/// Checks that the flags end with `expected`, one error that names all of `named`, and no model.
fn refused(plan: &Plan, flags: &[&str], expected: i32, named: &[&str]) {
    let run = Run::new(plan);
    let ran = run.train(&[flags, &["--quiet"]].concat());
    let text = errors(&ran);
    assert_eq!(code(&ran), expected, "{flags:?}: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{flags:?}: {text}");
    for name in named {
        assert!(text.contains(name), "{flags:?} doesn't name {name}: {text}");
    }
    assert!(!run.dir().join("model/manifest.json").exists());
}

#[test]
fn numbers_that_are_none_are_refused_by_picture() {
    if !has_runtime() {
        return;
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let plan = Plan { poison: Some((7, value)), ..Plan::default() };
        for flags in WAYS {
            refused(&plan, flags, 65, &["0/00001_00002.png"]);
        }
    }
    // Of the six tracks of a class, one is kept out.
    for track in 0..6 {
        let plan = Plan { poison: Some((5 * track + 3, f32::NAN)), ..Plan::default() };
        for flags in WAYS {
            refused(&plan, flags, 65, &[&format!("0/{track:05}_00003.png")]);
        }
    }
}

#[test]
fn parts_with_other_dimensions_than_the_run_are_named() {
    if !has_runtime() {
        return;
    }
    let plan = Plan { dims: DIMS + 1, ..Plan::default() };
    for flags in WAYS {
        refused(&plan, flags, 65, &["part-", &DIMS.to_string(), &(DIMS + 1).to_string()]);
    }
}

#[test]
fn one_class_cannot_be_trained_on() {
    if !has_runtime() {
        return;
    }
    let plan = Plan { classes: 2, tracks: vec![4, 0], ..Plan::default() };
    for flags in WAYS {
        refused(&plan, flags, 65, &["sign 0", "20"]);
    }
}

#[test]
fn a_class_that_only_test_images_are_of_is_refused() {
    if !has_runtime() {
        return;
    }
    let plan = Plan { test: true, untrained: Some(1), ..Plan::default() };
    for flags in WAYS {
        refused(&plan, flags, 65, &["sign 1", "1/00000_00000.png", "and 26 more"]);
    }
}

#[test]
fn parts_without_pictures_are_refused() {
    if !has_runtime() {
        return;
    }
    let none = Plan { tracks: vec![0; 3], ..Plan::default() };
    let single = Plan { tracks: vec![1; 3], ..Plan::default() };
    for flags in WAYS {
        refused(&none, flags, 65, &["no training images", "gtsrb-ingest"]);
        refused(&single, flags, 65, &["no class has two tracks"]);
    }
    let untested = Run::new(&Plan::default());
    let ran = untested.train(&["shots"]);
    assert_eq!(code(&ran), 65);
    assert!(errors(&ran).contains("test images"), "{}", errors(&ran));
}
