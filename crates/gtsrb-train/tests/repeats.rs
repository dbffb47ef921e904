//! Equal work gives equal bytes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and say that they skip"
)]

#[allow(dead_code, reason = "no file of tests needs all of it")]
mod run;

use run::{FILES, Plan, Run, code, errors, has_runtime};

/// Checks that the flags give the same model whatever the number of threads, and each time.
fn repeats(plan: &Plan, flags: &[&str]) {
    let bytes = ["1", "2", "2"].map(|threads| {
        let run = Run::new(plan);
        let ran = run.train(&[flags, &["--threads", threads]].concat());
        assert_eq!(code(&ran), 0, "{}", errors(&ran));
        FILES.map(|file| run.model(file))
    });
    assert!(bytes[0] == bytes[1], "threads change {flags:?}");
    assert!(bytes[1] == bytes[2], "{flags:?} doesn't repeat itself");
}

#[test]
fn a_path_of_penalties() {
    if has_runtime() {
        repeats(&Plan::default(), &[]);
    }
}

#[test]
fn mini_batches_from_memory() {
    if has_runtime() {
        repeats(&Plan::default(), &["--solver", "sgd"]);
        repeats(&Plan::default(), &["--solver", "sgd", "--optimizer", "momentum"]);
        repeats(&Plan::default(), &["--hidden", "8", "--dropout", "0.2"]);
        repeats(&Plan::default(), &["--convolutions", "6,5", "--hidden", "8", "--members", "2"]);
    }
}

#[test]
fn mini_batches_from_disk() {
    if has_runtime() {
        let views = Plan { augmented: 2, ..Plan::default() };
        repeats(&Plan::default(), &["--solver", "sgd", "--memory", "10000"]);
        repeats(&Plan::default(), &["--hidden", "8", "--memory", "10000"]);
        repeats(&views, &["--hidden", "8", "--members", "2", "--epochs", "3"]);
    }
}
