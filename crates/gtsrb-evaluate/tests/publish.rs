//! `gtsrb-evaluate publish` through its binary, on synthetic runs.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Command, Output as Ended};

use artifact::Manifest;
use fixture::{Fixture, Shape, manifest};
use serde_json::Value;

/// A run that was evaluated; `slant` makes its head worse.
fn evaluated(slant: f32) -> Fixture {
    let fixture = Fixture::new(&Shape { slant, ..Shape::default() });
    assert!(fixture.evaluate(&[]).status.success());
    fixture
}

fn publish(run: &Path, to: &Path, flags: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gtsrb-evaluate"));
    command.env_clear().args(["publish", "--json", "--skip-code", "--run"]);
    command.arg(run).arg("--to").arg(to).args(flags).output().unwrap()
}

/// The release that `current` points to, after a run with exit code `code`.
fn published(output: &Ended, code: i32, to: &Path) -> Option<PathBuf> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().filter(|l| l.starts_with("error:")).count(), usize::from(code == 65));
    std::fs::read_link(to.join("current")).ok()
}

#[test]
fn a_good_model_is_published_and_a_worse_one_is_not() {
    let (good, bad) = (evaluated(0.1), evaluated(0.6));
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("models");
    let planned = publish(&good.run(), &to, &["--dry-run"]);
    assert_eq!(published(&planned, 0, &to), None);
    assert!(!to.exists(), "a look leaves nothing");
    let high = publish(&good.run(), &to, &["--at-least", "0.99"]);
    assert_eq!(published(&high, 65, &to), None);
    assert!(String::from_utf8_lossy(&high.stderr).contains("92.86 % is below 99.00 %"));

    let done = publish(&good.run(), &to, &["--at-least", "0.9"]);
    let first = published(&done, 0, &to).unwrap();
    let line = String::from_utf8(done.stdout).unwrap().lines().last().unwrap().to_owned();
    let said: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(said["summary"]["release"], to.join(&first).to_str().unwrap());
    assert_eq!(said["summary"]["top1"], good.metrics()["top1"]);
    assert_eq!(published(&publish(&good.run(), &to, &[]), 99, &to), Some(first.clone()));

    for flags in [&[][..], &["--dry-run"]] {
        let refused = publish(&bad.run(), &to, flags);
        assert_eq!(published(&refused, 65, &to), Some(first.clone()));
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert!(stderr.contains("lower bound of the published model's"), "{stderr}");
    }
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 3, "lock, link and one release");
}

#[test]
fn a_release_is_a_run_that_can_predict() {
    let run = evaluated(0.1);
    let dir = tempfile::tempdir().unwrap();
    let name = published(&publish(&run.run(), dir.path(), &[]), 0, dir.path()).unwrap();
    let release = dir.path().join(name);
    let (there, here) = (release.join("model"), run.run().join("model"));
    let model = Manifest::read(&there, "x").unwrap();
    assert_eq!(model, Manifest::read(&here, "x").unwrap());
    for file in model.outputs.keys() {
        model.verify(&there, file).unwrap();
    }
    let mut names: Vec<String> = std::fs::read_dir(&release)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    let wanted = ["MODEL_CARD.md", "manifest.json", "metrics.json", "model", "report.html"];
    assert_eq!(names, wanted, "nothing that serving and the next gate don't need");
    let all = manifest(&release);
    assert_eq!(all.work.inputs["model"], manifest(&run.run()).work.inputs["model"]);
    for file in all.outputs.keys() {
        all.verify(&release, file).unwrap();
    }
    assert_eq!(std::fs::read(release.join("metrics.json")).unwrap(), run.read("metrics.json"));
    // Damaged, it is made anew.
    std::fs::write(release.join("model/head.safetensors"), "x").unwrap();
    published(&publish(&run.run(), dir.path(), &[]), 0, dir.path());
    all.verify(&release, "model/head.safetensors").unwrap();
}

#[test]
fn a_run_that_changed_is_not_published() {
    let run = evaluated(0.1);
    let dir = tempfile::tempdir().unwrap();
    run.write("runs/tiny/model/head.safetensors", "x");
    assert_eq!(published(&publish(&run.run(), dir.path(), &[]), 65, dir.path()), None);
    let mut other = manifest(&run.run().join("model"));
    other.outputs.remove("oof.parquet");
    let path = run.run().join("model/manifest.json");
    std::fs::write(&path, serde_json::to_vec(&other).unwrap()).unwrap();
    let refused = publish(&run.run(), dir.path(), &[]);
    assert_eq!(published(&refused, 65, dir.path()), None);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("changed since it was evaluated"));
    std::fs::remove_file(run.run().join("manifest.json")).unwrap();
    assert_eq!(publish(&run.run(), dir.path(), &[]).status.code(), Some(66));
}
