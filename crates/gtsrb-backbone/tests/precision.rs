//! What int8 and f16 make of a graph, run by ONNX Runtime.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod tool;

use std::path::Path;
use std::process::Command;

use embed::{Input, Model, Provider};
use onnx_graph::proto::TensorProto;
use onnx_graph::quantise::{Calibration, HIGHS, LOWS, widen};
use onnx_graph::{Builder, Element, ModelProto, Size, attribute, graph, write};
use tool::{backbone, oracles, text};

/// Whether `variable` is set; says that the test is skipped without it.
fn is_set(variable: &str) -> bool {
    let set = std::env::var_os(variable).is_some_and(|v| !v.is_empty());
    if !set {
        eprintln!("skipped: {variable} is not set (make test sets it)");
    }
    set
}

/// Bytes that look like nothing.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A square of pictures, one convolution over their colours, and one more.
fn stem(size: usize, kernel: usize, stride: i64, padding: &str) -> ModelProto {
    let mut b = Builder::new("stem", 18);
    let side = Size::Fixed(size);
    b.input("image", Element::U8, &[Size::Open("n"), side, side, Size::Fixed(3)]);
    let order = vec![attribute::ints("perm", &[0, 3, 1, 2])];
    let planes = b.node("Transpose", &["image"], "planes", order);
    let scale = b.initializer("scale", TensorProto::f32(&[], &[1.0 / 128.0]));
    let zero = b.initializer("zero", TensorProto::byte(127));
    let x = b.node("DequantizeLinear", &[&planes, &scale, &zero], "x", vec![]);
    let weights = |b: &mut Builder, name: &str, shape: &[usize]| {
        let bytes = noise(shape.iter().product());
        let values: Vec<f32> = bytes.iter().map(|&v| f32::from(v) / 255.0 - 0.5).collect();
        b.initializer(name, TensorProto::f32(shape, &values))
    };
    let first = weights(&mut b, "first", &[5, 3, kernel, kernel]);
    let bias = weights(&mut b, "first_bias", &[5]);
    let pads = match padding {
        "same" => attribute::string("auto_pad", "SAME_UPPER"),
        pads => attribute::ints("pads", &[pads.parse().unwrap(); 4]),
    };
    let strides = attribute::ints("strides", &[stride, stride]);
    let y = b.node("Conv", &[&x, &first, &bias], "first_conv", vec![strides, pads]);
    let y = b.node("Relu", &[&y], "first_relu", vec![]);
    let second = weights(&mut b, "second", &[4, 5, 1, 1]);
    let y = b.node("Conv", &[&y, &second], "second_conv", vec![]);
    b.output(&y, "embedding", Element::F32, &[Size::Open("n")]);
    b.finish().unwrap()
}

fn embeddings(model: &ModelProto, shape: [usize; 4], data: &[u8]) -> Vec<f32> {
    let mut model = Model::load(&write(model), Provider::Cpu).unwrap();
    let outputs = model.run(Input::U8 { shape: &shape, data }).unwrap();
    outputs.f32("embedding").unwrap().1.to_vec()
}

#[test]
fn a_wide_first_convolution_changes_no_bit() {
    if !is_set("ORT_DYLIB_PATH") {
        return;
    }
    for (size, kernel, stride, padding) in
        [(96, 3, 2, "same"), (64, 7, 2, "3"), (24, 3, 1, "1"), (32, 5, 2, "same"), (48, 4, 4, "0")]
    {
        let model = stem(size, kernel, stride, padding);
        let shape = [2, size, size, 3];
        let pixels = noise(2 * size * size * 3);
        let mut calibration = Calibration::new(&model).unwrap();
        let observer = write(&calibration.observer().unwrap());
        let mut observer = Model::load(&observer, Provider::Cpu).unwrap();
        let seen = observer.run(Input::U8 { shape: &shape, data: &pixels }).unwrap();
        calibration.take(seen.f32(LOWS).unwrap().1, seen.f32(HIGHS).unwrap().1).unwrap();
        let narrow = calibration.finish().unwrap();
        let wide = widen(narrow.clone()).unwrap();
        let case = format!("{size} pixels, kernel {kernel}, stride {stride}, padding {padding}");
        assert!(graph(&wide).unwrap().node.iter().any(|n| n.op_type == "Reshape"), "{case}");
        let expected = embeddings(&narrow, shape, &pixels);
        assert_eq!(embeddings(&wide, shape, &pixels), expected, "{case}");
        // Bytes follow the floats: two thirds of a step at most for each of five inputs.
        let floats = embeddings(&model, shape, &pixels);
        let largest = floats.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let off = floats.iter().zip(&expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(off < 0.03 * largest, "{case}: {off} of {largest}");
    }
}

#[test]
fn what_cannot_be_widened_stays() {
    // An odd number of columns; a picture that isn't cut into whole strides.
    for (size, kernel, stride) in [(25, 3, 1), (33, 3, 2)] {
        let mut calibration = Calibration::new(&stem(size, kernel, stride, "same")).unwrap();
        calibration.take(&[0.0, -1.0], &[1.0, 1.0]).unwrap();
        let narrow = calibration.finish().unwrap();
        assert_eq!(widen(narrow.clone()).unwrap(), narrow, "{size}");
    }
}

/// Builds the backbone of `weights` in float32 and in float16 and lets Python compare them.
fn f16_agrees(weights: &Path, size: &str, taps: &str) {
    let run = tempfile::tempdir().unwrap();
    let build = |precision: &str| {
        let dir = run.path().join(precision);
        let output = backbone(&dir)
            .args(["--weights".as_ref(), weights.as_os_str()])
            .args(["--size", size, "--taps", taps, "--precision", precision])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains(precision), "{}", text(&output));
        dir.join("backbone/backbone.onnx")
    };
    let (whole, half) = (build("f32"), build("f16"));
    let output = Command::new(std::env::var_os("ORACLE_PYTHON").unwrap())
        .arg(oracles().join("backbone_f16.py"))
        .args([&whole, &half])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", weights.display(), text(&output));
    let describe = Command::new(env!("CARGO_BIN_EXE_gtsrb-backbone"))
        .arg("describe")
        .arg(&half)
        .output()
        .unwrap();
    assert!(text(&describe).contains("precision      float16"), "{}", text(&describe));
}

#[test]
fn float16_gives_the_same_embeddings() {
    if !is_set("ORACLE_PYTHON") || !is_set("BACKBONE_WEIGHTS") {
        return;
    }
    let lite0 = std::env::var_os("BACKBONE_WEIGHTS").unwrap();
    f16_agrees(Path::new(&lite0), "96", "block2:5,block7:6,head:1");
    let fixture = |name: &str| oracles().join("fixtures").join(name);
    f16_agrees(&fixture("mobilenet_v2.onnx"), "64", "add_80:5,view:1");
    f16_agrees(&fixture("resnet.onnx"), "64", "/layer3/layer3.0/relu_1/Relu_output_0:3");
    f16_agrees(&fixture("vit.onnx"), "64", "add_2:4,layer_norm_4:cls");
    f16_agrees(&fixture("bytes.onnx"), "64", "relu_4:3");
}
