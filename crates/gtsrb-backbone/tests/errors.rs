//! What users get wrong, and what stays as it was.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod tool;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tool::{backbone, oracles, text};

/// Runs the tool; it must end with `code` and say all of `words`.
fn says(run: &Path, arguments: &[&OsStr], code: i32, words: &[&str]) {
    let output = backbone(run)
        .args(arguments)
        .env_remove("BACKBONE_WEIGHTS")
        .env("CACHE_DIR", run.join("no-cache"))
        .output()
        .unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

fn fixture(name: &str) -> PathBuf {
    oracles().join("fixtures").join(name)
}

fn args<'a>(weights: &'a Path, more: &[&'a str]) -> Vec<&'a OsStr> {
    let more = more.iter().map(|a| OsStr::new(*a));
    [OsStr::new("--weights"), weights.as_os_str()].into_iter().chain(more).collect()
}

#[test]
fn weights_that_are_not_there() {
    let run = tempfile::tempdir().unwrap();
    says(run.path(), &[], 66, &["make setup", "BACKBONE_WEIGHTS"]);
    says(run.path(), &args(Path::new("resnet99"), &[]), 66, &["resnet99", "known is"]);
    let gone = run.path().join("gone.onnx");
    says(run.path(), &args(&gone, &[]), 66, &["gone.onnx"]);
}

#[test]
fn weights_that_are_damaged() {
    let run = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = run.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let small = fs::read(fixture("small.pth")).unwrap();
    let onnx = fs::read(fixture("vit.onnx")).unwrap();
    for (name, bytes, word) in [
        ("efficientnet-lite0-57934424.pth", &small[..], "published"),
        ("half.pth", &small[..small.len() / 2], "half.pth"),
        ("more.pth", &[&small[..], b"x"].concat(), "left over"),
        ("zip.pth", b"PK\x03\x04....", "export the model to ONNX"),
        ("text.pth", b"what is this", "instruction 0x77"),
        ("empty.pth", b"", "empty"),
        ("empty.onnx", b"", "empty"),
        ("half.onnx", &onnx[..onnx.len() / 2], "no ONNX model"),
        ("text.onnx", b"hello", "no ONNX model"),
        ("other.pth", &small, "_conv_stem.weight"),
    ] {
        says(run.path(), &args(&file(name, bytes), &[]), 65, &[word, name]);
    }
    assert!(!run.path().join("backbone/backbone.onnx").exists());
}

#[test]
fn settings_that_do_not_fit_leave_the_earlier_backbone_alone() {
    let run = tempfile::tempdir().unwrap();
    let resnet = fixture("resnet.onnx");
    let with = |more: &[&'static str]| -> Vec<&OsStr> { args(&resnet, more) };
    says(run.path(), &with(&["--size", "64"]), 0, &["64 numbers a picture"]);
    let file = run.path().join("backbone/backbone.onnx");
    let before = fs::read(&file).unwrap();

    says(run.path(), &with(&["--size", "96"]), 65, &["[1, 3, 64, 64]", "96"]);
    let tap = ["--size", "64", "--taps", "relu_1:2"];
    says(run.path(), &with(&tap), 78, &["relu_1", "/layer1/layer1.0/relu_1/Relu_output_0"]);
    let cells = ["--size", "64", "--taps", "/Flatten_output_0:2"];
    says(run.path(), &with(&cells), 78, &["[1, 64]", "2x2 cells"]);
    let no_cells = ["--size", "64", "--taps", "/Flatten_output_0:0"];
    says(run.path(), &with(&no_cells), 78, &["1 to 64", "/Flatten_output_0:0:GRID"]);
    says(run.path(), &with(&["--size", "4"]), 78, &["8 to 2048"]);
    says(run.path(), &with(&["--size", "64", "--mean", "0.5"]), 78, &["R,G,B"]);
    says(run.path(), &with(&["--size", "64", "--std", "1,0,1"]), 78, &["positive"]);
    says(run.path(), &with(&["--size", "64", "--layout", "nhwc"]), 78, &["layout"]);
    let bytes = fixture("bytes.onnx");
    let mean = args(&bytes, &["--size", "64", "--mean", "0,0,0"]);
    says(run.path(), &mean, 78, &["takes bytes"]);
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn descriptions_have_the_same_limits() {
    let resnet = fixture("resnet.onnx");
    for (size, code, word) in [("0", 78, "8 to 2048"), ("96", 65, "[1, 3, 64, 64]")] {
        let mut describe = Command::new(env!("CARGO_BIN_EXE_gtsrb-backbone"));
        let output = describe.arg("describe").arg(&resnet).args(["--size", size]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(word), "{}", text(&output));
    }
}

#[test]
fn equal_work_is_done_once_and_gives_equal_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let vit = fixture("vit.onnx");
    let size = ["--size", "64", "--skip-code"];
    says(one.path(), &args(&vit, &["--size", "64", "--dry-run"]), 0, &["would write"]);
    assert!(!one.path().join("backbone").exists());
    says(one.path(), &args(&vit, &size), 0, &["32 numbers a picture"]);
    says(one.path(), &args(&vit, &size), 99, &["32 numbers a picture"]);
    says(two.path(), &args(&vit, &size), 0, &[]);
    for name in ["backbone.onnx", "manifest.json"] {
        let read = |run: &Path| fs::read(run.join("backbone").join(name)).unwrap();
        assert_eq!(read(one.path()), read(two.path()), "{name}");
    }
}

#[test]
fn a_batch_that_is_built_in_is_an_error() {
    use onnx_graph::proto::TensorProto;
    let run = tempfile::tempdir().unwrap();
    let mut model = onnx_graph::read(&fs::read(fixture("resnet.onnx")).unwrap()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let shape = TensorProto { name: "one_row".into(), ..TensorProto::i64(&[2], &[1, -1]) };
    graph.initializer.push(shape);
    let flatten = graph.node.iter_mut().find(|n| n.op_type == "Flatten");
    let flatten = flatten.unwrap();
    flatten.op_type = "Reshape".into();
    flatten.input.push("one_row".into());
    flatten.attribute.clear();
    let path = run.path().join("fixed.onnx");
    fs::write(&path, onnx_graph::write(&model)).unwrap();
    let default = args(&path, &["--size", "64"]);
    says(run.path(), &default, 65, &["one picture at a time", "open batch"]);
    // Before the reshape every batch is good.
    let earlier = ["--size", "64", "--taps", "/layer4/layer4.0/relu_1/Relu_output_0:2"];
    says(run.path(), &args(&path, &earlier), 0, &["256 numbers a picture"]);
}

#[test]
fn an_operator_that_is_not_known_is_named_with_its_remedy() {
    let run = tempfile::tempdir().unwrap();
    let mut model = onnx_graph::read(&fs::read(fixture("resnet.onnx")).unwrap()).unwrap();
    let mut nodes = model.graph.iter_mut().flat_map(|graph| &mut graph.node);
    nodes.find(|node| node.op_type == "Flatten").unwrap().op_type = "Surprise".into();
    let path = run.path().join("surprise.onnx");
    fs::write(&path, onnx_graph::write(&model)).unwrap();
    let default = args(&path, &["--size", "64"]);
    says(run.path(), &default, 65, &["what the Surprise node", "tap a layer before it"]);
    let earlier = ["--size", "64", "--taps", "/layer4/layer4.0/relu_1/Relu_output_0:2"];
    says(run.path(), &args(&path, &earlier), 0, &["256 numbers a picture"]);
}

#[test]
fn int8_needs_images_and_convolutions() {
    use onnx_graph::{Builder, Element, Size, attribute, proto::TensorProto};
    let run = tempfile::tempdir().unwrap();
    let resnet = fixture("resnet.onnx");
    let int8 = ["--size", "64", "--precision", "int8"];
    says(run.path(), &args(&resnet, &int8), 66, &["images/manifest.json", "run gtsrb-ingest"]);
    says(run.path(), &args(&resnet, &["--precision", "int4"]), 64, &["int8"]);
    assert!(!run.path().join("backbone/backbone.onnx").exists());

    let mut b = Builder::new("linear", 18);
    b.input("x", Element::F32, &[Size::Open("n"), Size::Fixed(3), Size::Fixed(8), Size::Fixed(8)]);
    let flat = b.node("Flatten", &["x"], "flat", vec![attribute::int("axis", 1)]);
    let weights = b.initializer("w", TensorProto::f32(&[192, 2], &[0.5; 384]));
    let y = b.node("MatMul", &[&flat, &weights], "y", vec![]);
    b.output(&y, "logits", Element::F32, &[Size::Open("n"), Size::Fixed(2)]);
    let path = run.path().join("linear.onnx");
    fs::write(&path, onnx_graph::write(&b.finish().unwrap())).unwrap();
    let linear = args(&path, &["--size", "8", "--precision", "int8"]);
    says(run.path(), &linear, 65, &["linear", "no convolution"]);
}
