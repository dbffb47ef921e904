//! The binary on a tiny run.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and say that they skip"
)]

mod run;

use artifact::head::Head;
use run::{Plan, Run, code, errors, has_runtime};
use serde_json::Value;

const FILES: [&str; 5] =
    ["head.safetensors", "head.onnx", "classifier.onnx", "training.json", "manifest.json"];

#[test]
fn a_run_is_trained_recorded_and_then_up_to_date() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let ran = run.train(&["--json"]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let text = String::from_utf8(ran.stdout).unwrap();
    let json: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&json["state"], &json["summary"]["images"]), (&"done".into(), &90.into()));
    assert!(json["summary"]["validation_accuracy"].as_f64().unwrap() > 0.9);

    let head = Head::read(&run.dir().join("model/head.safetensors")).unwrap();
    assert_eq!((head.network.classes(), head.network.features()), (3, run::DIMS));
    assert!(head.temperature > 0.0);

    let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
    assert_eq!(training["split"]["validation_tracks"], 3);
    assert_eq!(training["split"]["train_images"], 75);
    assert_eq!(training["classes"][0]["validation"], 5);
    let path = training["path"].as_array().unwrap();
    assert!(path.iter().any(|trial| trial["lambda"] == training["lambda"]));
    assert!(path[0]["validation_curve"].as_array().unwrap().len() > 1);
    assert!(training["losses"].as_array().unwrap().len() > 1);
    assert!(!training["diagnosis"].as_array().unwrap().is_empty());

    let before = FILES.map(|file| run.model(file));
    let again = run.train(&["--skip-code"]);
    assert_eq!(code(&again), 99, "{}", errors(&again));
    assert_eq!(before, FILES.map(|file| run.model(file)));
}

#[test]
fn thread_counts_give_the_same_bytes() {
    if !has_runtime() {
        return;
    }
    let bytes = ["1", "2"].map(|threads| {
        let run = Run::new(&Plan::default());
        let ran = run.train(&["--threads", threads]);
        assert_eq!(code(&ran), 0, "{}", errors(&ran));
        FILES.map(|file| run.model(file))
    });
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn settings_decide_and_change_the_model() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let flags = ["--lambdas", "1e-2,1e-1", "--seed", "4", "--validation", "0.5"];
    assert_eq!(code(&run.train(&flags)), 0);
    let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
    assert_eq!(training["path"][0]["lambda"], 0.1);
    assert_eq!(training["split"]["validation_tracks"], 9);
    let other = run.train(&["--skip-code"]);
    assert_eq!(code(&other), 0, "{}", errors(&other));
}

#[test]
fn a_fit_cut_short_is_used_with_a_warning() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let ran = run.train(&["--max-iterations", "1"]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    assert!(errors(&ran).contains("not converged after 1 iterations"), "{}", errors(&ran));
}

#[test]
fn a_seed_that_the_settings_cannot_hold_is_a_usage_error() {
    let root = tempfile::tempdir().unwrap();
    let flags = ["--seed", "18446744073709551615"];
    assert_eq!(code(&run::train(&root.path().join("runs/none"), root.path(), &flags)), 64);
}

#[test]
fn a_single_track_stays_in_training_with_a_warning() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan { classes: 4, tracks: vec![4, 1, 4, 0], poison: None });
    let ran = run.train(&[]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    assert!(errors(&ran).contains("sign 1 has a single track"), "{}", errors(&ran));
    assert!(errors(&ran).contains("sign 3 has no training image"), "{}", errors(&ran));
}

#[test]
fn numbers_that_are_none_are_refused_by_picture() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan { poison: Some((7, f32::NAN)), ..Plan::default() });
    let ran = run.train(&[]);
    assert_eq!(code(&ran), 65);
    assert!(errors(&ran).contains("0/00001_00002.png"), "{}", errors(&ran));
    assert!(!run.dir().join("model/manifest.json").exists());
}

#[test]
fn one_class_cannot_be_trained_on() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan { classes: 2, tracks: vec![4, 0], poison: None });
    let ran = run.train(&[]);
    assert_eq!(code(&ran), 65);
    assert!(errors(&ran).contains("sign 0"), "{}", errors(&ran));
}

#[test]
fn missing_embeddings_name_the_stage_to_run() {
    let root = tempfile::tempdir().unwrap();
    let ran = run::train(&root.path().join("runs/none"), root.path(), &[]);
    assert_eq!(code(&ran), 66);
    assert!(errors(&ran).contains("gtsrb-extract"), "{}", errors(&ran));
}

#[test]
fn wrong_settings_are_configuration_errors() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("tiny.toml");
    for (text, named) in [
        ("[train]\nlamdas = [1]\n", "lamdas"),
        ("[train]\nlambdas = []\n", "lambdas"),
        ("[train]\nlambdas = [0.1, -1.0]\n", "-1"),
        ("[train]\nvalidation = 1.5\n", "validation"),
        ("[train]\ntolerance = 0.0\n", "tolerance"),
        ("[train]\nmax_iterations = 0\n", "max_iterations"),
    ] {
        std::fs::write(&config, text).unwrap();
        let flags = ["--config", config.to_str().unwrap()];
        let ran = run::train(&root.path().join("runs/tiny"), root.path(), &flags);
        assert_eq!(code(&ran), 78, "{text}");
        assert!(errors(&ran).contains(named), "{}", errors(&ran));
    }
}

#[test]
fn embeddings_of_other_images_are_refused() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let path = run.dir().join("images/manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let hash = Run::new(&Plan { tracks: vec![5; 3], ..Plan::default() });
    std::fs::write(&path, std::fs::read(hash.dir().join("images/manifest.json")).unwrap()).unwrap();
    let ran = run.train(&[]);
    assert_eq!(code(&ran), 65);
    assert!(errors(&ran).contains("run gtsrb-extract again"), "{}", errors(&ran));
    std::fs::write(&path, text).unwrap();
    assert_eq!(code(&run.train(&["--dry-run"])), 0);
    assert!(!run.dir().join("model").exists());
}
