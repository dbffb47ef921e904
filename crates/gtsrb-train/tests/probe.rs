//! `gtsrb-train probe` on a tiny run, whose backbone gives three maps of 4 × 4 cells.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and say that they skip"
)]

#[allow(dead_code, reason = "no file of tests needs all of it")]
mod run;

use run::{Plan, Run, code, errors, has_runtime};
use serde_json::Value;

fn probe(run: &Run, more: &[&str]) -> std::process::Output {
    let backbones = run.dir().to_str().unwrap().to_owned();
    run.train(&[&["probe", "--backbones", &backbones], more].concat())
}

#[test]
fn every_grid_is_tried_and_the_best_within_the_budget_named() {
    if !has_runtime() {
        return;
    }
    let run = Run::new(&Plan::default());
    // 48 numbers are 96 bytes.
    let ran = probe(&run, &["--budget", "30", "--skip-code"]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.contains("the best within 30 bytes a picture: size = 4"), "{said}");
    let file = run.dir().join("probe/probe.json");
    let found: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let candidates = found["candidates"].as_array().unwrap();
    let taps: Vec<_> = candidates.iter().map(|one| one["taps"][0].as_str().unwrap()).collect();
    assert_eq!(taps, ["planes:4", "planes:2", "planes:1"]);
    assert!(candidates.iter().all(|one| one["seconds"].as_f64().unwrap() > 0.0));
    assert!(candidates[0]["accuracy"].as_f64().unwrap() > 0.9, "{found}");
    let best = &candidates[found["best"].as_u64().unwrap() as usize];
    assert!(best["bytes"].as_u64().unwrap() <= 30);
    for picture in ["probe.svg", "probe.png"] {
        assert!(run.dir().join("probe").join(picture).exists());
    }
    let again = probe(&run, &["--budget", "30", "--skip-code"]);
    assert_eq!(code(&again), 99, "{}", errors(&again));
}

#[test]
fn a_folder_without_a_backbone_is_named() {
    let run = Run::new(&Plan::default());
    let nothing = run.root.path().join("nothing");
    let ran = run.train(&["probe", "--backbones", nothing.to_str().unwrap()]);
    assert_eq!(code(&ran), 66, "{}", errors(&ran));
    assert!(errors(&ran).contains("nothing/backbone"), "{}", errors(&ran));
}
