//! The binary tries a tiny model on its golden file.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and say that they skip"
)]

#[expect(dead_code, reason = "other tests use the rest")]
mod run;

use artifact::golden::Golden;
use run::{Run, code, errors, has_runtime, lines};

fn files(run: &Run) -> [(&'static str, Vec<u8>); 3] {
    ["head.safetensors", "classifier.onnx", "golden.safetensors"]
        .map(|name| (name, std::fs::read(run.model().join(name)).unwrap()))
}

/// Writes the golden file anew, as if the model had said something else.
fn change(run: &Run, change: impl FnOnce(&mut Golden)) {
    let [head, whole, _] = files(run);
    let mut golden = run::golden(&whole.1);
    change(&mut golden);
    let golden = golden.to_bytes().unwrap();
    run.commit(&[(head.0, &head.1), (whole.0, &whole.1), ("golden.safetensors", &golden)]);
}

#[test]
fn a_model_that_says_what_it_should_passes() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    let ran = run.command(&["selftest"]).output().unwrap();
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    assert!(lines(&ran)[0].contains("1 pictures"), "{:?}", lines(&ran));
    let ran = run.command(&["selftest", "--json"]).output().unwrap();
    let said: serde_json::Value = serde_json::from_str(lines(&ran).last().unwrap()).unwrap();
    assert!(said["summary"]["classifier_off"].as_f64().unwrap() < 1e-4, "{said}");
}

#[test]
fn a_runtime_that_says_something_else_is_found() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    change(&run, |golden| golden.logits[(0, 1)] += 0.2);
    let ran = run.command(&["selftest"]).output().unwrap();
    assert_eq!(code(&ran), 69);
    let log = errors(&ran);
    assert!(log.contains("a.png") && log.contains("class 1"), "{log}");
    // Too little to matter.
    change(&run, |golden| golden.logits[(0, 1)] += 0.1);
    assert_eq!(code(&run.command(&["selftest"]).output().unwrap()), 0);
}

#[test]
fn other_models_and_damaged_files_are_found() {
    let run = Run::new();
    change(&run, |golden| golden.about.classifier = artifact::Hash::of(b"another"));
    let ran = run.command(&["selftest"]).output().unwrap();
    assert_eq!(code(&ran), 65);
    assert!(errors(&ran).contains("another classifier.onnx"), "{}", errors(&ran));
    for name in ["classifier.onnx", "golden.safetensors"] {
        let run = Run::new();
        let path = run.model().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let ran = run.command(&["selftest"]).output().unwrap();
        assert_eq!(code(&ran), 65);
        assert!(errors(&ran).contains(name), "{}", errors(&ran));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(code(&run.command(&["selftest"]).output().unwrap()), 66);
    }
}
