//! What schedulers start: with cron's bare environment, one at a time, quiet where all went well.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use end_to_end::{Place, SMALL, json, ready, root, succeed, texts, variable};

/// A nightly run as cron starts it: by `sh`, in another folder, with hardly a variable.
fn nightly(place: &Place, at_least: &str) -> Output {
    let mut command = Command::new("/bin/sh");
    command.env_clear().current_dir("/").stdin(Stdio::null());
    command.envs([("HOME", "/"), ("LOGNAME", "nobody"), ("SHELL", "/bin/sh")]);
    command.env("PATH", "/usr/bin:/bin");
    command.env("RUNS_DIR", place.path().join("runs")).env("CACHE_DIR", place.path().join("cache"));
    for name in ["ORT_DYLIB_PATH", "BACKBONE_WEIGHTS"] {
        command.env(name, variable(name).unwrap());
    }
    let script = root().join("pipelines/cron/nightly");
    let [config, data, models] = ["night.toml", "runs/sample/data", "models"];
    let quoted = |path: &Path| format!("'{}'", path.display());
    let words = [config, data, models].map(|name| quoted(&place.path().join(name)));
    let line = format!("{} {} {at_least}", quoted(&script), words.join(" "));
    command.arg("-c").arg(line).output().unwrap()
}

fn ended(output: &Output, code: i32) -> String {
    let (stdout, stderr) = texts(output);
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    assert_eq!(stdout, "");
    stderr
}

#[test]
fn a_nightly_run_is_quiet_and_publishes_what_is_good_enough() {
    if !ready() {
        return;
    }
    let place = Place::new();
    // Draws the pictures.
    succeed(&mut place.make(&[&place.config("sample", SMALL)]));
    place.config("night", SMALL);
    let logs = place.run("night").join("logs");
    let current = place.path().join("models/current");
    std::fs::create_dir_all(&logs).unwrap();
    for day in 1..=20 {
        std::fs::write(logs.join(format!("2020-01-{day:02}T021700.log")), "").unwrap();
    }
    std::fs::write(logs.join("mine.log"), "").unwrap();

    assert_eq!(ended(&nightly(&place, ""), 0), "");
    let first = std::fs::read_link(&current).unwrap();
    let metrics = |run: &Path| json(&run.join("metrics.json"));
    assert_eq!(metrics(&current), metrics(&place.run("night")));
    // Fourteen logs, this script's lock, and what isn't its own.
    assert_eq!(std::fs::read_dir(&logs).unwrap().count(), 16);
    assert!(!logs.join("2020-01-07T021700.log").exists());
    assert!(logs.join("2020-01-08T021700.log").exists());

    check_what_watchers_read(&place.run("night"));

    assert_eq!(ended(&nightly(&place, "0.1"), 0), "");
    let refused = ended(&nightly(&place, "1"), 65);
    assert!(refused.contains("which --at-least asks for"), "{refused}");
    assert_eq!(std::fs::read_link(&current).unwrap(), first);

    let mut other = Command::new("flock");
    let mut other = other.arg(logs.join(".lock")).args(["sh", "-c", "echo; exec cat"]);
    other = other.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut other = other.spawn().unwrap();
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let busy = ended(&nightly(&place, ""), 75);
    assert!(busy.contains("still goes on"), "{busy}");
    drop(other.stdin.take());
    other.wait().unwrap();
    assert_eq!(ended(&nightly(&place, ""), 0), "");
}

fn check_what_watchers_read(run: &Path) {
    let Some(python) = variable("ORACLE_PYTHON") else { return };
    let mut oracle = Command::new(python);
    oracle.arg(root().join("tests/oracles/watched.py")).arg(run);
    oracle.args(["ingest", "backbone", "extract", "train", "evaluate", "evaluate.publish"]);
    succeed(&mut oracle);
}

#[test]
fn systemd_takes_the_units() {
    let found = Command::new("systemd-analyze").arg("--version").output();
    if found.is_err() {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = root().join("pipelines/cron/nightly");
    for unit in ["classifier@.service", "classifier@.timer"] {
        let text = std::fs::read_to_string(root().join("pipelines/systemd").join(unit)).unwrap();
        let here =
            text.replace("/srv/classifiers/pipelines/cron/nightly", script.to_str().unwrap());
        std::fs::write(dir.path().join(unit), here).unwrap();
    }
    let units = ["classifier@gtsrb.service", "classifier@gtsrb.timer"];
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).args(units);
    let output = verify.env("SYSTEMD_UNIT_PATH", format!("{}:", dir.path().display()));
    let (_, stderr) = texts(&output.current_dir(dir.path()).output().unwrap());
    assert!(!stderr.contains("classifier@"), "{stderr}");
    let code = output.status().unwrap().code();
    assert_eq!(code, Some(0), "{stderr}");
}
