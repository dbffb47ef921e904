//! The binary on a tiny run: training by mini-batches.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and say that they skip"
)]

#[allow(dead_code, reason = "no file of tests needs all of it")]
mod run;

use artifact::head::Head;
use run::{Plan, Run, code, errors, has_runtime, train};
use serde_json::Value;

#[test]
fn a_hidden_layer_gives_the_same_files() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let flags = ["--hidden", "8", "--dropout", "0.2"];
    let (summary, _) = trained(&run, &flags);
    assert!(summary["validation_accuracy"].as_f64().unwrap() > 0.9, "{summary}");
    let head = Head::read(&run.dir().join("model/head.safetensors")).unwrap();
    let shapes: Vec<_> = head.network.layers().iter().map(|l| l.weights.dim()).collect();
    assert_eq!(shapes, [(8, run::DIMS), (3, 8)]);
    let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
    assert_eq!((&training["solver"], &training["recipe"]["hidden"]), (&"sgd".into(), &8.into()));
    let again = run.train(&[&flags[..], &["--skip-code"]].concat());
    assert_eq!(code(&again), 99, "{}", errors(&again));
}

/// What is exported is compared with what was trained before it gets its name.
#[test]
fn convolutions_give_the_same_files() {
    if !has_runtime() {
        return;
    }
    for more in [&["--hidden", "8", "--members", "2"][..], &[]] {
        let run = Run::new(&Plan::default());
        let flags = [&["--convolutions", "6,5", "--dropout", "0.1"], more].concat();
        let (summary, _) = trained(&run, &flags);
        assert!(summary["validation_accuracy"].as_f64().unwrap() > 0.9, "{summary}");
        let head = Head::read(&run.dir().join("model/head.safetensors")).unwrap();
        let members = if more.is_empty() { 1 } else { 2 };
        let shapes: Vec<_> =
            head.network.tower().unwrap().convolutions().iter().map(|c| c.weights.dim()).collect();
        assert_eq!(shapes, [(6 * members, 27), (5 * members, 54 * members)]);
        let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
        assert_eq!(training["recipe"]["levels"]["channels"], serde_json::json!([6, 5]));
    }
}

#[test]
fn convolutions_that_grids_do_not_fit_are_refused() {
    let run = Run::new(&Plan::default());
    for (channels, reason) in [("4,4,4", "[train] convolutions: 3 convolutions"), ("0", "holds 0")]
    {
        let ran = run.train(&["--convolutions", channels]);
        assert_eq!(code(&ran), 78, "{}", errors(&ran));
        assert!(errors(&ran).contains(reason), "{}", errors(&ran));
    }
}

/// Every network is one at the end of its schedule, and the last training repeats the one that was
/// judged.
#[test]
fn both_trainings_go_through_the_same_schedule() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan { tracks: vec![3; 3], ..Plan::default() });
    let (summary, _) = trained(&run, &["--solver", "sgd", "--learning-rate", "0.5"]);
    let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
    let length = |curve: &Value| curve.as_array().unwrap().len();
    let (epochs, course) = (training["epochs"].as_u64().unwrap(), &training["course"]);
    assert_eq!(length(&course["curve"]) as u64, epochs);
    assert_eq!(length(&training["losses"]) as u64, epochs);
    // At such a rate there is nothing to gain from as many epochs as are asked for.
    let given_up = training["given_up"].as_array().unwrap();
    assert_eq!(given_up[0]["epochs"], 40);
    assert_eq!(given_up.last().unwrap()["best"], epochs);
    let made: usize = given_up.iter().map(|course| length(&course["curve"])).sum();
    assert_eq!(summary["epochs"].as_u64().unwrap() as usize, made + 2 * epochs as usize);
}

/// The summary of a training by these flags, and what it says besides.
fn trained(run: &Run, flags: &[&str]) -> (Value, String) {
    let ran = run.train(&[flags, &["--json"]].concat());
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let text = String::from_utf8(ran.stdout.clone()).unwrap();
    let json: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    (json["summary"].clone(), errors(&ran))
}

#[test]
fn both_optimizers_learn() {
    if !has_runtime() {
        return;
    }
    for optimizer in ["adamw", "momentum"] {
        let run = Run::new(&Plan::default());
        let (summary, _) = trained(&run, &["--solver", "sgd", "--optimizer", optimizer]);
        assert!(summary["validation_accuracy"].as_f64().unwrap() > 0.9, "{summary}");
        let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
        assert_eq!(training["recipe"]["optimizer"], optimizer);
    }
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
    let flags = ["--solver", "sgd", "--memory", "10000", "--learning-rate", "0.02"];
    let (summary, log) = trained(&Run::new(&Plan::default()), &flags);
    assert!(log.contains("read in blocks"), "{log}");
    assert!(summary["validation_accuracy"].as_f64().unwrap() > 0.9, "{summary}");
}

#[test]
fn epochs_take_the_next_view() {
    if !has_runtime() {
        return;
    }
    let head = |augmented| {
        let run = Run::new(&Plan { augmented, ..Plan::default() });
        trained(&run, &["--hidden", "8", "--epochs", "3"]);
        run.model("head.safetensors")
    };
    assert!(head(2) != head(1) && head(1) != head(0));

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
