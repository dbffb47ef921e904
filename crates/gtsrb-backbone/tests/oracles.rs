//! Backbones run by ONNX Runtime against `PyTorch`'s golden files and labelled pictures.

#![allow(clippy::print_stdout, reason = "a skipped test says so")]
#![allow(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod tool;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tool::{backbone, oracles, text};

const RESNET_TAPS: &str = "/layer1/layer1.0/relu_1/Relu_output_0:4,\
    /layer3/layer3.0/relu_1/Relu_output_0:3,/Flatten_output_0:1";

/// A variable that `make test` sets, or a line that says that the test is skipped.
fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|v| !v.is_empty());
    if value.is_none() {
        println!("skipped: {name} is not set (make test sets it)");
    }
    value.map(PathBuf::from)
}

fn python(script: &str, arguments: &[&Path]) -> Option<String> {
    let output = Command::new(variable("ORACLE_PYTHON")?)
        .arg(oracles().join(script))
        .args(arguments)
        .output()
        .unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{script}: {said}");
    Some(said)
}

/// Builds the backbone and compares all its numbers with `PyTorch`'s.
fn equals_golden(name: &str, weights: &Path, size: &str, taps: &str) {
    let run = tempfile::tempdir().unwrap();
    let output = backbone(run.path())
        .args(["--weights".as_ref(), weights.as_os_str()])
        .args(["--size", size, "--taps", taps])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let model = run.path().join("backbone/backbone.onnx");
    let golden = oracles().join(format!("golden/{name}.npz"));
    python("backbone_golden.py", &[&model, &golden]);
}

fn exported(name: &str, taps: &str) {
    equals_golden(name, &oracles().join(format!("fixtures/{name}.onnx")), "64", taps);
}

#[test]
fn every_layer_of_lite0_equals_pytorch() {
    let Some(weights) = variable("BACKBONE_WEIGHTS") else {
        return;
    };
    let taps = "stem:48,block0:48,block1:24,block2:24,block3:12,block4:12,block5:6,block6:6,\
                block7:6,block8:6,block9:6,block10:6,block11:3,block12:3,block13:3,block14:3,\
                block15:3,head:3";
    equals_golden("lite0-96", &weights, "96", taps);
}

#[test]
fn odd_sizes_and_uneven_grids_equal_pytorch() {
    let Some(weights) = variable("BACKBONE_WEIGHTS") else {
        return;
    };
    let taps = "stem:7,block2:5,block4:6,block7:4,block10:5,block15:2,head:1";
    equals_golden("lite0-75", &weights, "75", taps);
}

#[test]
fn mobilenet_equals_pytorch() {
    exported("mobilenet_v2", "add_80:5,add_267:2,view:1");
}

#[test]
fn resnet_with_a_fixed_batch_equals_pytorch() {
    exported("resnet", RESNET_TAPS);
}

#[test]
fn vision_transformer_equals_pytorch() {
    exported("vit", "add_2:4,add_4:3,layer_norm_4:cls,select_6:1");
}

#[test]
fn a_model_that_takes_bytes_equals_pytorch() {
    exported("bytes", "relu_4:3");
}

#[test]
fn colours_last_and_another_range_equal_pytorch() {
    use onnx_graph::{Builder, Element, Size, attribute};
    let resnet = std::fs::read(oracles().join("fixtures/resnet.onnx")).unwrap();
    let mut b = Builder::extend(onnx_graph::read(&resnet).unwrap()).unwrap();
    // The input has the very name that the backbone's input will have.
    let shape = [1, 64, 64, 3].map(Size::Fixed);
    b.input("image", Element::F32, &shape);
    let order = vec![attribute::ints("perm", &[0, 3, 1, 2])];
    let planes = b.node("Transpose", &["image"], "image_planes", order);
    b.replace_input("input", &planes);
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("colours_last.onnx");
    std::fs::write(&model, onnx_graph::write(&b.finish().unwrap())).unwrap();
    let output = backbone(dir.path())
        .args(["--weights".as_ref(), model.as_os_str()])
        .args(["--size", "64", "--range", "255", "--taps", RESNET_TAPS])
        .args(["--mean", "123.675,116.28,103.53", "--std", "58.395,57.12,57.375"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let model = dir.path().join("backbone/backbone.onnx");
    python("backbone_golden.py", &[&model, &oracles().join("golden/resnet.npz")]);
}

#[test]
fn the_default_tap_is_what_the_classifier_reads() {
    for (name, features) in
        [("mobilenet_v2", "view"), ("resnet", "/Flatten_output_0"), ("vit", "select_6")]
    {
        let run = tempfile::tempdir().unwrap();
        let model = oracles().join(format!("fixtures/{name}.onnx"));
        let output = backbone(run.path())
            .args(["--weights".as_ref(), model.as_os_str()])
            .args(["--size", "64", "--json"])
            .output()
            .unwrap();
        assert!(text(&output).contains(&format!("\"taps\":\"{features}:1\"")), "{}", text(&output));
    }
}

#[test]
fn described_shapes_are_those_that_run() {
    for name in ["mobilenet_v2", "resnet", "vit", "bytes"] {
        let model = oracles().join(format!("fixtures/{name}.onnx"));
        let output = Command::new(env!("CARGO_BIN_EXE_gtsrb-backbone"))
            .args(["describe".as_ref(), model.as_os_str()])
            .arg("--json")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let json = said.lines().last().unwrap();
        let Some(python) = variable("ORACLE_PYTHON") else {
            return;
        };
        let mut child = Command::new(python)
            .args([oracles().join("onnx_shapes.py"), model])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(json.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}: {}", text(&output));
    }
}

#[test]
fn labelled_pictures_are_recognised() {
    let (Some(weights), Some(pictures)) = (variable("BACKBONE_WEIGHTS"), variable("FOOLBOX_DATA"))
    else {
        return;
    };
    let run = tempfile::tempdir().unwrap();
    let output = backbone(run.path())
        .args(["--weights".as_ref(), weights.as_os_str()])
        .args(["--size", "224", "--taps", "head:1", "--top"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let model = run.path().join("backbone/backbone.onnx");
    let Some(said) = python("imagenet_top1.py", &[&model, &pictures]) else {
        return;
    };
    let last = said.lines().rfind(|l| l.contains(" of ")).unwrap_or_default();
    let mut numbers = last.split(" of ").map(|n| n.trim().parse::<u32>().unwrap());
    let (right, all) = (numbers.next().unwrap(), numbers.next().unwrap());
    assert!(all == 20 && right >= 18, "{said}");
}
