//! Models of users that are written in other ways than the fixtures.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod tool;

use std::path::Path;

use onnx_graph::proto::ModelProto;
use onnx_graph::{Builder, Element, Size};
use tool::{backbone, oracles, text};

fn resnet() -> ModelProto {
    onnx_graph::read(&std::fs::read(oracles().join("fixtures/resnet.onnx")).unwrap()).unwrap()
}

/// The exit status and what was said when this model becomes a backbone.
fn adapt(run: &Path, model: &ModelProto, more: &[&str]) -> (Option<i32>, String) {
    let path = run.join("model.onnx");
    std::fs::write(&path, onnx_graph::write(model)).unwrap();
    let output = backbone(run)
        .args(["--weights".as_ref(), path.as_os_str()])
        .args(["--size", "64", "--json"])
        .args(more)
        .output()
        .unwrap();
    (output.status.code(), text(&output))
}

/// The same model with an input of another declared shape.
fn with_input(shape: &[Size]) -> ModelProto {
    let mut b = Builder::extend(resnet()).unwrap();
    b.input("picture", Element::F32, shape);
    b.replace_input("input", "picture");
    b.finish().unwrap()
}

#[test]
fn both_outputs_are_there_whatever_the_model_calls_its_own() {
    for name in ["embedding", "logits", "row_embedding"] {
        let mut b = Builder::extend(resnet()).unwrap();
        b.clear_outputs();
        b.output("scores", name, Element::F32, &[Size::Fixed(1), Size::Fixed(10)]);
        let model = b.finish().unwrap();
        for more in [&["--top"][..], &["--top", "--taps", &format!("{name}:1")]] {
            let run = tempfile::tempdir().unwrap();
            let (code, said) = adapt(run.path(), &model, more);
            assert_eq!(code, Some(0), "{said}");
            let written = std::fs::read(run.path().join("backbone/backbone.onnx")).unwrap();
            let written = onnx_graph::read(&written).unwrap();
            let outputs = &written.graph.as_ref().unwrap().output;
            let names: Vec<&str> = outputs.iter().map(|o| o.name.as_str()).collect();
            assert_eq!(names, ["embedding", "logits"], "{name} {more:?}");
        }
    }
}

#[test]
fn constants_are_no_layers_however_they_are_written() {
    let run = tempfile::tempdir().unwrap();
    let mut model = resnet();
    let is_gemm = |n: &&onnx_graph::proto::NodeProto| n.op_type == "Gemm";
    let weights = model.graph.iter().flat_map(|g| &g.node).find(is_gemm).unwrap().input[1].clone();
    let mut b = Builder::extend(model).unwrap();
    let same = b.node("Identity", &[&weights], "same_weights", vec![]);
    model = b.finish().unwrap();
    let mut nodes = model.graph.iter_mut().flat_map(|g| &mut g.node);
    nodes.find(|n| n.op_type == "Gemm").unwrap().input[1] = same;
    let (code, said) = adapt(run.path(), &model, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\"taps\":\"/Flatten_output_0:1\""), "{said}");
    let (code, said) = adapt(run.path(), &model, &["--taps", "same_weights"]);
    assert_eq!(code, Some(78), "{said}");
}

#[test]
fn an_input_without_sizes_has_its_colours_first() {
    let run = tempfile::tempdir().unwrap();
    let open = with_input(&["n", "c", "h", "w"].map(Size::Open));
    let (code, said) = adapt(run.path(), &open, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("assumed is layout nchw"), "{said}");
    let (code, said) = adapt(run.path(), &open, &["--layout", "nhwc"]);
    assert_eq!(code, Some(65), "{said}");
}

#[test]
fn an_input_of_one_colour_is_no_picture() {
    let run = tempfile::tempdir().unwrap();
    let grey = with_input(&[1, 1, 64, 64].map(Size::Fixed));
    for more in [&[][..], &["--layout", "nchw"]] {
        let (code, said) = adapt(run.path(), &grey, more);
        assert_eq!(code, Some(65), "{said}");
        assert!(said.contains("[1, 1, 64, 64]; wanted is a picture"), "{said}");
    }
}

/// Fails where the same weights make another backbone: then raise the number in `VERSION` of
/// `lib.rs`, so that nobody takes the old one as up to date, and write both here.
#[test]
fn another_backbone_has_another_revision() {
    let run = tempfile::tempdir().unwrap();
    let (code, said) = adapt(run.path(), &resnet(), &["--taps", "every"]);
    assert_eq!(code, Some(0), "{said}");
    let read = |name: &str| std::fs::read(run.path().join("backbone").join(name)).unwrap();
    let mut model = onnx_graph::read(&read("backbone.onnx")).unwrap();
    // The release's number is no part of what is computed.
    model.producer_version.clear();
    let manifest: serde_json::Value = serde_json::from_slice(&read("manifest.json")).unwrap();
    let version = manifest["work"]["version"].as_str().unwrap();
    let made = artifact::Hash::of(&onnx_graph::write(&model)).to_string();
    assert_eq!((version.rsplit('+').next(), &made[..16]), (Some("1"), "7c21e4afd9d043a6"));
}
