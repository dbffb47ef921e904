//! The binary on a tiny run: training by mini-batches.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and say that they skip"
)]

mod run;

use artifact::head::Head;
use run::{FILES, Plan, Run, code, errors, has_runtime, train};
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
fn momentum_gives_the_same_bytes_on_any_number_of_threads() {
    if !has_runtime() {
        return;
    }
    let bytes = ["1", "2"].map(|threads| {
        let run = Run::new(&Plan::default());
        let flags = ["--solver", "sgd", "--optimizer", "momentum"];
        let ran = run.train(&[&flags[..], &["--threads", threads]].concat());
        assert_eq!(code(&ran), 0, "{}", errors(&ran));
        let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
        assert_eq!(training["recipe"]["optimizer"], "momentum");
        assert!(training["course"]["validation_accuracy"].as_f64().unwrap() > 0.9, "{training}");
        FILES.map(|file| run.model(file))
    });
    assert!(bytes[0] == bytes[1]);
}

/// Its weight decay is no penalty: studies and starts that need one choose it.
#[test]
fn what_needs_a_penalty_does_not_take_the_weight_decay_for_one() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let sgd = ["--solver", "sgd", "--weight-decay", "0.25", "--learning-rate", "0.02"];
    assert_eq!(code(&run.train(&sgd)), 0);
    let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
    assert!(training.get("lambda").is_none() && training.get("path").is_none());
    assert_eq!(training["recipe"]["weight_decay"], 0.25);
    let ran = run.train(&["curve", "--tracks", "2", "--seeds", "1"]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));

    let curve = std::fs::read(run.dir().join("curve/curve.json")).unwrap();
    let curve: Value = serde_json::from_slice(&curve).unwrap();
    let warm = run.root.path().join("runs/warm");
    std::fs::create_dir_all(&warm).unwrap();
    for folder in ["images", "backbone", "embeddings"] {
        std::os::unix::fs::symlink(run.dir().join(folder), warm.join(folder)).unwrap();
    }
    let from = run.dir().display().to_string();
    let ran = train(&warm, run.root.path(), &["--warm-start", &from]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let bytes = std::fs::read(warm.join("model/training.json")).unwrap();
    let training: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(training["warm_start"]["earlier"]["solver"], "sgd");
    for lambda in [&curve["lambda"], &training["lambda"]] {
        let power = lambda.as_f64().unwrap().log10();
        assert!((power - power.round()).abs() < 1e-9, "{lambda} is none of those tried");
    }
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

#[test]
fn epochs_take_the_next_view() {
    if !has_runtime() {
        return;
    }
    let flags = ["--hidden", "8", "--members", "2", "--epochs", "3"];
    let head = |augmented, threads| {
        let run = Run::new(&Plan { augmented, ..Plan::default() });
        let ran = run.train(&[&flags[..], &["--threads", threads]].concat());
        assert_eq!(code(&ran), 0, "{}", errors(&ran));
        run.model("head.safetensors")
    };
    let views = head(2, "1");
    assert!(views == head(2, "2") && views != head(1, "1") && views != head(0, "1"));

    let run = Run::new(&Plan { augmented: 2, ..Plan::default() });
    let ran = run.train(&["--solver", "lbfgs"]);
    assert_eq!(code(&ran), 78, "{}", errors(&ran));
    assert!(errors(&ran).contains("augment = 0"), "{}", errors(&ran));
}

#[test]
fn members_are_one_head() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    assert_eq!(code(&run.train(&["--hidden", "8", "--members", "3"])), 0);
    let head = Head::read(&run.dir().join("model/head.safetensors")).unwrap();
    let shapes: Vec<_> = head.network.layers().iter().map(|l| l.weights.dim()).collect();
    assert_eq!(shapes, [(24, run::DIMS), (3, 24)]);
    for wrong in [["--members", "0"], ["--members", "2"]] {
        assert_eq!(code(&run.train(&wrong)), 78);
    }
}
