//! The binary on a tiny run: training by mini-batches.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and say that they skip"
)]

mod run;

use artifact::head::Head;
use run::{FILES, Plan, Run, code, errors, has_runtime};
use serde_json::Value;

#[test]
fn a_hidden_layer_gives_the_same_files() {
    if !has_runtime() {
        return;
    }
    let bytes = ["1", "2"].map(|threads| {
        let run = Run::new(&Plan::default());
        let ran = run.train(&["--hidden", "8", "--dropout", "0.2", "--threads", threads, "--json"]);
        assert_eq!(code(&ran), 0, "{}", errors(&ran));
        let text = String::from_utf8(ran.stdout).unwrap();
        let json: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert!(json["summary"]["validation_accuracy"].as_f64().unwrap() > 0.9, "{text}");
        let head = Head::read(&run.dir().join("model/head.safetensors")).unwrap();
        let shapes: Vec<_> = head.network.layers().iter().map(|l| l.weights.dim()).collect();
        assert_eq!(shapes, [(8, run::DIMS), (3, 8)]);
        let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
        let epochs = training["epochs"].as_u64().unwrap() as usize;
        assert_eq!(training["losses"].as_array().unwrap().len(), epochs);
        assert_eq!(
            (&training["solver"], &training["recipe"]["hidden"]),
            (&"sgd".into(), &8.into())
        );
        let again = run.train(&["--hidden", "8", "--dropout", "0.2", "--skip-code"]);
        assert_eq!(code(&again), 99, "{}", errors(&again));
        FILES.map(|file| run.model(file))
    });
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn a_training_that_diverges_names_the_learning_rate() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let ran = run.train(&["--solver", "sgd", "--learning-rate", "1e38"]);
    assert_eq!(code(&ran), 78, "{}", errors(&ran));
    assert!(errors(&ran).contains("learning_rate"), "{}", errors(&ran));
    assert!(!run.dir().join("model/manifest.json").exists());
}

#[test]
fn embeddings_beyond_the_memory_are_read_in_blocks() {
    if !has_runtime() {
        return;
    }
    let flags = ["--solver", "sgd", "--memory", "10000", "--learning-rate", "0.02", "--json"];
    let bytes = ["1", "2"].map(|threads| {
        let run = Run::new(&Plan::default());
        let ran = run.train(&[&flags[..], &["--threads", threads]].concat());
        assert_eq!(code(&ran), 0, "{}", errors(&ran));
        assert!(errors(&ran).contains("read in blocks"), "{}", errors(&ran));
        let text = String::from_utf8(ran.stdout).unwrap();
        let json: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert!(json["summary"]["validation_accuracy"].as_f64().unwrap() > 0.9, "{text}");
        FILES.map(|file| run.model(file))
    });
    assert!(bytes[0] == bytes[1]);
    let run = Run::new(&Plan { poison: Some((7, f32::NAN)), ..Plan::default() });
    let ran = run.train(&flags);
    assert_eq!(code(&ran), 65);
    assert!(errors(&ran).contains("0/00001_00002.png"), "{}", errors(&ran));
}
