//! The binary on a tiny run.

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
    assert!(path[0]["curve"].as_array().unwrap().len() > 1);
    assert!(training["losses"].as_array().unwrap().len() > 1);
    assert!(!training["diagnosis"].as_array().unwrap().is_empty());

    let before = FILES.map(|file| run.model(file));
    let again = run.train(&["--skip-code"]);
    assert_eq!(code(&again), 99, "{}", errors(&again));
    assert_eq!(before, FILES.map(|file| run.model(file)));
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
fn folds_keep_every_picture_out_once() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let ran = run.train(&["--folds", "3", "--rule", "one-se"]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
    assert_eq!(training["split"]["folds"], 3);
    assert_eq!(training["split"]["validation_images"], 90);
    let chosen = training["path"].as_array().unwrap().iter();
    let mut chosen = chosen.filter(|trial| trial["lambda"] == training["lambda"]);
    assert_eq!(chosen.next().unwrap()["folds"].as_array().unwrap().len(), 3);
    assert!(training["choice"].as_str().unwrap().contains("one standard error"));
    let manifest: Value = serde_json::from_slice(&run.model("manifest.json")).unwrap();
    assert_eq!(manifest["outputs"]["oof.parquet"]["rows"], 90);

    let few = run.train(&["--folds", "19"]);
    assert_eq!(code(&few), 65);
    assert!(errors(&few).contains("18 tracks"), "{}", errors(&few));
}

/// All pictures are told apart under any penalty, so that a weak one has nothing to offer: the
/// default path goes on to stronger ones than it starts with; given ones are kept to.
#[test]
fn few_pictures_are_offered_strong_penalties() {
    if !has_runtime() {
        return;
    }
    let lambdas = |flags: &[&str]| -> Vec<f64> {
        let run = Run::new(&Plan::default());
        let flags = [&["--rule", "one-se"], flags].concat();
        assert_eq!(code(&run.train(&flags)), 0);
        let training: Value = serde_json::from_slice(&run.model("training.json")).unwrap();
        let path = training["path"].as_array().unwrap().iter();
        path.map(|trial| trial["lambda"].as_f64().unwrap()).collect()
    };
    assert!(lambdas(&[])[0] > 0.1);
    assert!((lambdas(&["--lambdas", "0.1,0.01"])[0] - 0.1).abs() < 1e-12);
}

#[test]
fn small_classes_can_count_more_and_labels_less() {
    if !has_runtime() {
        return;
    }
    let plan = || Plan { classes: 3, tracks: vec![8, 3, 3], ..Plan::default() };
    let head = |flags: &[&str]| {
        let run = Run::new(&plan());
        let ran = run.train(flags);
        assert_eq!(code(&ran), 0, "{}", errors(&ran));
        Head::read(&run.dir().join("model/head.safetensors")).unwrap().network.layers()[0]
            .bias
            .clone()
    };
    let plain = head(&["--lambdas", "0.1"]);
    for flags in [
        ["--class-weights", "balanced"],
        ["--class-weights", "effective-number"],
        ["--label-smoothing", "0.1"],
        ["--precise", "true"],
    ] {
        assert_ne!(head(&[&["--lambdas", "0.1"], &flags[..]].concat()), plain, "{flags:?}");
    }
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
    let run = Run::new(&Plan { classes: 4, tracks: vec![4, 1, 4, 0], ..Plan::default() });
    let ran = run.train(&[]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    assert!(errors(&ran).contains("sign 1 has a single track"), "{}", errors(&ran));
    assert!(errors(&ran).contains("sign 3 has no training image"), "{}", errors(&ran));
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
        ("[train]\nfolds = 1\n", "folds"),
        ("[train]\nlabel_smoothing = 1.0\n", "label_smoothing"),
        ("[train]\nclass_weights = \"equal\"\n", "equal"),
        ("[train]\ntolerance = 0.0\n", "tolerance"),
        ("[train]\nmax_iterations = 0\n", "max_iterations"),
        ("[train]\nsolver = \"lbfgs\"\nhidden = 8\n", "hidden"),
        ("[train]\nhidden = 8\nfolds = 3\n", "folds"),
        ("[train]\nhidden = 8\ndropout = 1.0\n", "dropout"),
        ("[train]\nepochs = 0\n", "epochs"),
        ("[train]\nlearning_rate = -1.0\n", "learning_rate"),
        ("[train]\nmemory = 0\n", "memory"),
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

fn json(run: &Run, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(run.dir().join(file)).unwrap()).unwrap()
}

#[test]
fn a_learning_curve_is_measured_on_what_was_kept_out() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let early = run.train(&["curve"]);
    assert_eq!(code(&early), 66);
    assert!(errors(&early).contains("gtsrb-train"), "{}", errors(&early));
    assert_eq!(code(&run.train(&[])), 0);
    let timings = std::fs::read(run.dir().join("timings.json")).unwrap();

    let ran = run.train(&["curve", "--seeds", "2"]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let curve = json(&run, "curve/curve.json");
    assert_eq!(
        (&curve["counted"], &curve["measured_on"]),
        (&"tracks".into(), &"validation".into())
    );
    assert_eq!(curve["lambda"], json(&run, "model/training.json")["lambda"]);
    let points = curve["points"].as_array().unwrap();
    // Five of each class's six tracks are trained on; all of them are drawn once.
    let sizes: Vec<_> = points.iter().map(|point| point["size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [1, 2, 4, 5]);
    let images: Vec<_> = points.iter().map(|point| point["images"].as_f64().unwrap()).collect();
    assert_eq!(images, [15.0, 30.0, 60.0, 75.0]);
    assert_eq!(points[1]["accuracies"].as_array().unwrap().len(), 2);
    assert_eq!(points[3]["accuracies"].as_array().unwrap().len(), 1);
    let svg = std::fs::read_to_string(run.dir().join("curve/curve.svg")).unwrap();
    assert!(svg.contains("tracks a class"));
    assert!(std::fs::read(run.dir().join("curve/curve.png")).unwrap().starts_with(b"\x89PNG"));

    assert_eq!(code(&run.train(&["curve", "--seeds", "2", "--skip-code"])), 99);
    assert_eq!(std::fs::read(run.dir().join("timings.json")).unwrap(), timings);
}

#[test]
fn shots_are_pictures_of_different_tracks_measured_on_the_test() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan { test: true, ..Plan::default() });
    let ran = run.train(&["shots", "--shots", "8,1", "--seeds", "2"]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let shots = json(&run, "shots/shots.json");
    assert_eq!((&shots["counted"], &shots["measured_on"]), (&"shots".into(), &"test".into()));
    assert_eq!(
        (&shots["points"][0]["images"], &shots["points"][1]["images"]),
        (&3.0.into(), &24.0.into())
    );
    assert_eq!(code(&run.train(&["shots", "--shots", "0"])), 64);
}

#[test]
fn baselines_are_measured_beside_the_head() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    let ran = run.train(&["baselines", "--json"]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let baselines = json(&run, "baselines/baselines.json");
    assert_eq!(baselines["validation_images"], 15);
    assert!(baselines["nearest_mean"].as_f64().unwrap() > 0.9);
    assert_eq!(baselines["neighbours"].as_array().unwrap().len(), 3);
}

#[test]
fn a_warm_start_knows_what_was_added() {
    if !has_runtime() {
        return;
    }
    let earlier = Run::new(&Plan::default());
    let later = Run::new(&Plan { classes: 4, tracks: vec![7, 6, 6, 5], ..Plan::default() });
    let flags = ["--warm-start", earlier.dir().to_str().unwrap()].map(str::to_owned);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let none = later.train(&flags);
    assert_eq!(code(&none), 66, "{}", errors(&none));

    assert_eq!(code(&earlier.train(&[])), 0);
    let ran = later.train(&flags);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let training = json(&later, "model/training.json");
    let change = &training["warm_start"];
    assert_eq!(change["classes_added"], serde_json::json!(["sign 3"]));
    assert_eq!((&change["images_added"], &change["images_compared"]), (&30.into(), &15.into()));
    assert!(change["earlier_accuracy"].as_f64().unwrap() > 0.9);
    assert_eq!(code(&later.train(&[&flags[..], &["--skip-code"]].concat())), 99);
    assert_eq!(code(&later.train(&[&flags[..], &["--folds", "2"]].concat())), 78);

    // Another earlier model is another input.
    assert_eq!(code(&earlier.train(&["--seed", "7"])), 0);
    assert_eq!(code(&later.train(&[&flags[..], &["--skip-code"]].concat())), 0);
}
