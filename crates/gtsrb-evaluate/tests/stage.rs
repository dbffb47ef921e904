//! The stage through its binary, on synthetic runs.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod fixture;

use std::process::{Command, Output};

use artifact::{Answers, Hash};
use fixture::{Fixture, Shape, manifest, view};

const FILES: [&str; 21] = [
    "manifest.json",
    "MODEL_CARD.md",
    "confusion.csv",
    "metrics.json",
    "predictions.parquet",
    "report.html",
    "report/balance.png",
    "report/balance.svg",
    "report/certainty.png",
    "report/certainty.svg",
    "report/confusion.png",
    "report/confusion.svg",
    "report/curves.png",
    "report/curves.svg",
    "report/labels-to-check.csv",
    "report/map.csv",
    "report/map.png",
    "report/map.svg",
    "report/recall.png",
    "report/recall.svg",
    "submission.csv",
];

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    stdout(output)
}

/// Checks the exit code, one error line with all `words`, and that nothing was written.
fn refused(fixture: &Fixture, output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no {word} in {stderr}");
    }
    assert_eq!(stderr.lines().filter(|line| line.starts_with("error:")).count(), 1);
    assert!(!fixture.run().join("metrics.json").exists());
    assert!(!fixture.run().join("manifest.json").exists());
}

#[test]
fn writes_everything_and_says_where() {
    let fixture = Fixture::new(&Shape::default());
    let text = done(&fixture.evaluate(&[]));
    let lines: Vec<_> = text.lines().rev().collect();
    assert_eq!(lines[0], "report: runs/tiny/report.html");
    assert!(
        lines[1].starts_with("top-1 92.86 % (95 % interval ")
            && lines[1].ends_with("700 test images")
    );
    let outputs: Vec<_> = manifest(&fixture.run()).outputs.into_keys().collect();
    assert_eq!(outputs, FILES[1..]);
    let metrics = fixture.metrics();
    assert_eq!(metrics["test_images"], 700);
    assert_eq!(metrics["classes"][7]["recall"], serde_json::Value::Null);
    assert_eq!(metrics["confusion_true_by_predicted"][7], serde_json::json!(vec![0; 8]));
    let submission = String::from_utf8(fixture.read("submission.csv")).unwrap();
    assert!(submission.starts_with("Filename;ClassId\r\n00000.png;0\r\n00001.png;1\r\n"));
    assert_eq!(submission.lines().count(), 701);
    assert!(fixture.read("report.html").len() < 10_000_000);
}

#[test]
fn data_worth_a_look_is_listed() {
    let fixture = Fixture::new(&Shape::default());
    done(&fixture.evaluate(&[]));
    let csv = String::from_utf8(fixture.read("report/labels-to-check.csv")).unwrap();
    // The last training picture is labelled 6 and seems to be a 1; the first is in the test too.
    assert!(csv.contains("\nTest/train 13.png,1,6,train,labels in doubt,"), "{csv}");
    assert!(csv.contains("\nTest/train 0.png,exclude,0,train,test pictures in training,"));
    assert_eq!(csv.matches(",darkest,brightness 99.0\n").count(), 20);
    assert_eq!(csv.matches(",closest pairs across the splits,").count(), 20);
    assert_eq!(csv.matches(",training pictures far from their class,").count(), 14);
    let counters = manifest(&fixture.run()).counters;
    assert_eq!(counters["test_pictures_in_training"], 1);
    assert_eq!(csv.matches(",labels in doubt,").count() as u64, counters["labels_in_doubt"]);
    // Chosen on pictures kept out of training: from 1.0 on, all of them are right.
    let threshold = &fixture.metrics()["selective"]["threshold"];
    assert_eq!(threshold["confidence"], 1.0);
    assert_eq!(threshold["kept_out"]["coverage"], 11.0 / 14.0);
    assert_eq!(threshold["test"]["images"], 700);
    let page = String::from_utf8(fixture.read("report.html")).unwrap();
    assert!(page.contains("<h3>1 test pictures in training</h3>"));
    let matrix = String::from_utf8(fixture.read("confusion.csv")).unwrap();
    assert!(matrix.starts_with("true class,sign 0,sign 1,sign 2,"), "{matrix}");
    assert!(matrix.ends_with("\nsign 7,0,0,0,0,0,0,0,0\n"));
    let map = String::from_utf8(fixture.read("report/map.csv")).unwrap();
    assert_eq!(map.lines().next(), Some("path,x,y,label,predicted"));
    assert_eq!(map.lines().count(), 701);
}

#[test]
fn the_report_works_in_a_browser() {
    let Some(browser) = std::env::var_os("CHROMIUM") else {
        println!("skipped: CHROMIUM is not set (make test sets it where there is one)");
        return;
    };
    let fixture = Fixture::new(&Shape::default());
    done(&fixture.evaluate(&[]));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/browser/report.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(fixture.run().join("report.html")).env("CHROMIUM", browser);
    assert_eq!(done(&node.output().unwrap()), "the report works\n");
}

#[test]
fn a_wish_is_a_share_of_answers() {
    let fixture = Fixture::new(&Shape::default());
    let output = fixture.evaluate(&["--wished-accuracy", "1.5"]);
    refused(&fixture, &output, 78, &["wished_accuracy"]);
}

#[test]
fn second_run_is_current_and_a_repeated_one_gives_the_same_bytes() {
    let fixture = Fixture::new(&Shape::default());
    let first = done(&fixture.evaluate(&[]));
    let before = FILES.map(|name| fixture.read(name));
    assert_eq!(done(&fixture.evaluate(&[])), first);
    assert_eq!(fixture.evaluate(&["--skip-code"]).status.code(), Some(99));
    assert!(done(&fixture.evaluate(&["--json"])).contains(r#"{"state":"current""#));

    std::fs::remove_file(fixture.run().join("manifest.json")).unwrap();
    let again = done(&fixture.evaluate(&["--threads", "1", "--json"]));
    assert!(again.contains(r#""state":"done""#));
    assert!(before == FILES.map(|name| fixture.read(name)));
}

#[test]
fn a_changed_setting_or_damaged_result_is_made_again() {
    let fixture = Fixture::new(&Shape::default());
    done(&fixture.evaluate(&[]));
    let config = fixture.write("tiny.toml", "[evaluate]\ngallery = 0\n");
    done(&fixture.evaluate(&["--config", config.to_str().unwrap()]));
    let page = String::from_utf8(fixture.read("report.html")).unwrap();
    assert!(!page.contains("<img"));
    std::fs::write(fixture.run().join("metrics.json"), "{}").unwrap();
    done(&fixture.evaluate(&[]));
    assert_eq!(fixture.metrics()["test_images"], 700);
}

#[test]
fn dry_run_writes_nothing() {
    let fixture = Fixture::new(&Shape::default());
    assert!(done(&fixture.evaluate(&["--dry-run"])).contains("would classify 700 test images"));
    assert!(!fixture.run().join("metrics.json").exists());
}

#[test]
fn missing_inputs_name_the_stage_to_run() {
    let stages =
        [("images", "gtsrb-ingest"), ("embeddings", "gtsrb-extract"), ("model", "gtsrb-train")];
    for (folder, stage) in stages {
        let fixture = Fixture::new(&Shape::default());
        std::fs::remove_dir_all(fixture.run().join(folder)).unwrap();
        refused(&fixture, &fixture.evaluate(&[]), 66, &[folder, stage]);
    }
    let fixture = Fixture::new(&Shape::default());
    std::fs::remove_file(fixture.run().join("model/training.json")).unwrap();
    refused(&fixture, &fixture.evaluate(&[]), 66, &["training.json", "gtsrb-train"]);
}

#[test]
fn head_of_another_view_or_size_is_refused() {
    let other = Hash::of(b"other");
    let fixture = Fixture::new(&Shape { head_view: other, ..Shape::default() });
    let (wanted, found) = (view().to_string(), other.to_string());
    refused(&fixture, &fixture.evaluate(&[]), 65, &[&wanted, &found, "gtsrb-train"]);

    let fixture = Fixture::new(&Shape { head_dims: 11, ..Shape::default() });
    refused(&fixture, &fixture.evaluate(&[]), 65, &["dimensions 11", "have 8"]);
}

#[test]
fn damaged_inputs_are_refused() {
    for (file, stage) in [
        ("model/head.safetensors", "gtsrb-train"),
        ("model/oof.parquet", "gtsrb-train"),
        ("model/training.json", "gtsrb-train"),
        ("embeddings/test.parquet", "gtsrb-extract"),
        ("images/test-00000-of-00001.parquet", "gtsrb-ingest"),
    ] {
        let fixture = Fixture::new(&Shape::default());
        let path = fixture.run().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        refused(&fixture, &fixture.evaluate(&[]), 65, &[file, stage]);
    }
}

#[test]
fn embeddings_of_other_images_are_refused() {
    let fixture = Fixture::new(&Shape::default());
    fixture.images(&Shape { folder: "Other", images: 12, ..Shape::default() });
    refused(&fixture, &fixture.evaluate(&[]), 65, &["other images", "gtsrb-extract"]);
}

#[test]
fn a_set_without_test_images_is_refused() {
    let fixture = Fixture::new(&Shape { images: 0, ..Shape::default() });
    refused(&fixture, &fixture.evaluate(&[]), 65, &["no test images"]);
}

#[test]
fn numbers_that_are_none_are_refused_by_picture() {
    let fixture = Fixture::new(&Shape { poison: Some(7), ..Shape::default() });
    refused(&fixture, &fixture.evaluate(&[]), 65, &["00007.png", "gtsrb-extract"]);
}

#[test]
fn bad_settings_are_refused() {
    let fixture = Fixture::new(&Shape::default());
    let config = fixture.write("tiny.toml", "[evaluate]\ngalery = 3\n");
    let output = fixture.evaluate(&["--config", config.to_str().unwrap()]);
    refused(&fixture, &output, 78, &["tiny.toml", "galery", "gallery"]);
    refused(&fixture, &fixture.evaluate(&["--gallery", "5000"]), 78, &["gallery", "300"]);
    assert_eq!(fixture.evaluate(&["--no-such-flag"]).status.code(), Some(64));
}

#[test]
fn hostile_names_stay_text() {
    let classes =
        ["=1+1<img src=x onerror=alert(1)>", "\"><script>alert(1)</script>", "@a\n' onload='x"]
            .map(str::to_owned)
            .into_iter()
            .chain(["\t\u{202e}a,&b".to_owned()])
            .collect();
    let shape = Shape { head_dims: 4, classes, folder: "=cmd</script><img>", ..Shape::default() };
    let fixture = Fixture::new(&shape);
    done(&fixture.evaluate(&[]));
    let page = String::from_utf8(fixture.read("report.html")).unwrap();
    // One script, ours.
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("<img").count(), page.matches("src=\"data:image").count());
    assert!(page.matches("<img").count() > 10);
    let drawing = String::from_utf8(fixture.read("report/confusion.svg")).unwrap();
    assert!(!drawing.contains("<script") && !drawing.contains("<img"));
    // No cell is a formula to a spreadsheet, and none breaks its table.
    let tables = [("confusion.csv", b',', 5), ("report/labels-to-check.csv", b',', 6)];
    for (name, delimiter, columns) in tables.into_iter().chain([("submission.csv", b';', 2)]) {
        let bytes = fixture.read(name);
        let mut table = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(&bytes[..]);
        let mut rows = vec![table.headers().unwrap().clone()];
        rows.extend(table.records().map(Result::unwrap));
        assert!(rows.len() > 4 && rows.iter().all(|row| row.len() == columns), "{name}");
        let is_formula = |cell: &str| cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        assert!(!rows.iter().flatten().any(is_formula), "{name}");
    }
    // A program gets names as they are.
    let answers = Answers::read(&fixture.run().join("predictions.parquet"), "x").unwrap();
    assert_eq!(answers.paths[0], "=cmd</script><img>/00000.png");
}

#[test]
fn map_and_near_and_far_pictures_are_scikit_learn_s() {
    let Some(python) = std::env::var_os("ORACLE_PYTHON") else {
        println!("skipped: ORACLE_PYTHON is not set (make test sets it)");
        return;
    };
    let fixture = Fixture::new(&Shape::default());
    done(&fixture.evaluate(&[]));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/space_sklearn.py");
    let mut oracle = Command::new(python);
    oracle.arg(script).arg(fixture.run()).arg(fixture.cache());
    assert!(done(&oracle.output().unwrap()).ends_with("numbers agree\n"));
}

#[test]
fn every_number_is_scikit_learn_s() {
    let Some(python) = std::env::var_os("ORACLE_PYTHON") else {
        println!("skipped: ORACLE_PYTHON is not set (make test sets it)");
        return;
    };
    let fixture = Fixture::new(&Shape::default());
    done(&fixture.evaluate(&[]));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/metrics_sklearn.py");
    let output = Command::new(python).arg(script).arg(fixture.run()).output().unwrap();
    assert!(done(&output).ends_with("numbers agree\n"));
}
