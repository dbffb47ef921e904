//! `make doctor`: each piece that is missing or wrong has a line with its remedy.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::process::Command;

use end_to_end::{Place, root, texts, variable};

/// The doctor's exit code and lines, with these variables.
fn doctor(python: &str, place: &Place, variables: &[(&str, &Path)]) -> (Option<i32>, String) {
    let mut command = Command::new(python);
    command.arg(root().join("setup/doctor.py"));
    for variable in ["ORT_DYLIB_PATH", "BACKBONE_WEIGHTS", "CC"] {
        command.env_remove(variable);
    }
    command.env("RUNS_DIR", place.path()).env("CACHE_DIR", place.path());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(stderr, "");
    (output.status.code(), stdout)
}

fn has(lines: &str, words: [&str; 3]) {
    let found = lines.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(found, "no line with {words:?}:\n{lines}");
}

#[test]
fn missing_tools_are_named_with_their_remedy() {
    let Some(python) = variable("ORACLE_PYTHON") else { return };
    let place = Place::new();
    let (code, lines) = doctor(&python, &place, &[("PATH", Path::new("/nowhere"))]);
    assert_eq!(code, Some(69), "{lines}");
    has(&lines, ["wrong  cargo:", "not found", "https://rustup.rs"]);
    has(&lines, ["wrong  C compiler:", "cc can't be run", "apt install gcc"]);
    has(&lines, ["later  onnxruntime:", "", "`make setup` fetches it"]);
    has(&lines, ["later  weights:", "", "`make setup` fetches it"]);
    has(&lines, ["ok     runs:", "", "GiB free"]);
}

#[test]
fn wrong_files_and_folders_are_named_with_their_remedy() {
    let Some(python) = variable("ORACLE_PYTHON") else { return };
    let place = Place::new();
    let text = place.path().join("text");
    std::fs::write(&text, "no library").unwrap();
    let weights = place.path().join("downloads/efficientnet-lite0");
    std::fs::create_dir_all(&weights).unwrap();
    std::fs::write(weights.join("efficientnet-lite0-57934424.pth"), "cut").unwrap();
    let variables = [("ORT_DYLIB_PATH", text.as_path()), ("RUNS_DIR", Path::new("/proc/none"))];
    let (code, lines) = doctor(&python, &place, &variables);
    assert_eq!(code, Some(69), "{lines}");
    has(&lines, ["wrong  onnxruntime:", "text is no ONNX Runtime", "or unset it"]);
    has(&lines, ["wrong  weights:", "57934424.pth is damaged", "`make setup`"]);
    has(&lines, ["wrong  runs:", "/proc can't be written to", "RUNS_DIR"]);
    let nowhere = [("BACKBONE_WEIGHTS", Path::new("/nowhere/x.pth"))];
    let (_, lines) = doctor(&python, &place, &nowhere);
    has(&lines, ["wrong  weights:", "/nowhere/x.pth, which isn't there", "unset BACKBONE_WEIGHTS"]);
}

#[test]
fn where_everything_is_there_nothing_is_wrong() {
    let (Some(python), Some(library)) = (variable("ORACLE_PYTHON"), variable("ORT_DYLIB_PATH"))
    else {
        return;
    };
    let place = Place::new();
    let variables = [("ORT_DYLIB_PATH", Path::new(&library))];
    let (code, lines) = doctor(&python, &place, &variables);
    assert_eq!(code, Some(0), "{lines}");
    has(&lines, ["ok     cargo: cargo 1.", "", ""]);
    has(&lines, ["ok     onnxruntime: 1.", "", &library]);
}
