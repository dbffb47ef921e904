//! `gtsrb-evaluate compare` through its binary, on synthetic runs.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod fixture;

use std::process::{Command, Output};

use artifact::Hash;
use fixture::{Fixture, Shape, manifest, view};
use serde_json::Value;

/// A run that was evaluated.
fn evaluated(shape: &Shape) -> Fixture {
    let fixture = Fixture::new(shape);
    assert!(fixture.evaluate(&[]).status.success());
    fixture
}

fn compare(a: &Fixture, b: &Fixture, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gtsrb-evaluate"))
        .env_clear()
        .arg("compare")
        .args([a.run(), b.run()])
        .args(flags)
        .output()
        .unwrap()
}

fn refused(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no {word} in {stderr}");
    }
}

#[test]
fn the_worse_run_is_named_and_every_number_is_scipy_s() {
    let a = evaluated(&Shape::default());
    let b = evaluated(&Shape { slant: 0.6, ..Shape::default() });
    let output = compare(&a, &b, &["--json", "--threads", "1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(": A is better (McNemar's exact test, p = "), "{text}");
    let json: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(json["summary"]["test_images"], 700);
    let threads = compare(&a, &b, &["--json", "--threads", "3"]);
    assert_eq!(String::from_utf8(threads.stdout).unwrap(), text);

    let Some(python) = std::env::var_os("ORACLE_PYTHON") else {
        println!("skipped: ORACLE_PYTHON is not set (make test sets it)");
        return;
    };
    let said = a.write("compared.json", &json["summary"].to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/compare_scipy.py");
    let ran = Command::new(python).arg(script).args([a.run(), b.run(), said]).output().unwrap();
    let stdout = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && stdout.ends_with("numbers agree\n"), "{ran:?}");
}

#[test]
fn a_run_against_itself_shows_no_difference_and_writes_nothing() {
    let fixture = evaluated(&Shape::default());
    let before = (manifest(&fixture.run()), fixture.metrics());
    let output = compare(&fixture, &fixture, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("only A right 0, only B right 0: no difference is shown"), "{text}");
    assert_eq!((manifest(&fixture.run()), fixture.metrics()), before);
}

#[test]
fn only_equal_test_sets_are_compared() {
    let a = evaluated(&Shape::default());
    let fewer = evaluated(&Shape { images: 699, ..Shape::default() });
    refused(&compare(&a, &fewer, &[]), 65, &["700 and 699", "same test set"]);
    let names = (0..8).map(|i| format!("other {i}")).collect();
    let renamed = evaluated(&Shape { classes: names, ..Shape::default() });
    refused(&compare(&a, &renamed, &[]), 65, &["other classes"]);
    // Pictures count, not the names of their files.
    let moved = evaluated(&Shape { folder: "Elsewhere", ..Shape::default() });
    assert!(compare(&a, &moved, &[]).status.success());
}

#[test]
fn runs_must_have_been_evaluated_as_they_are() {
    let a = evaluated(&Shape::default());
    let fresh = Fixture::new(&Shape::default());
    refused(&compare(&a, &fresh, &[]), 66, &["gtsrb-evaluate"]);
    let changed = evaluated(&Shape::default());
    changed.images(&Shape { images: 9, head_view: Hash::of(b"x"), ..Shape::default() });
    refused(&compare(&a, &changed, &[]), 65, &["other images", "gtsrb-evaluate"]);
    let damaged = evaluated(&Shape { head_view: view(), ..Shape::default() });
    std::fs::write(damaged.run().join("predictions.parquet"), "x").unwrap();
    refused(&compare(&a, &damaged, &[]), 65, &["predictions.parquet", "gtsrb-evaluate"]);
}
