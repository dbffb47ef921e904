//! Quantised graphs: what is in them, and what can't be quantised.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use onnx_graph::proto::{ModelProto, NodeProto, TensorProto};
use onnx_graph::quantise::{Calibration, HIGHS, LOWS};
use onnx_graph::{
    Builder, Element, Error, Size, attribute, graph, metadata, set_metadata, shapes, write,
};

/// Bytes → normalised → Conv → Clip → Conv, and their sum behind a Relu: two channels, 4 x 4.
fn model() -> ModelProto {
    let mut b = Builder::new("small", 18);
    b.input(
        "image",
        Element::U8,
        &[Size::Open("n"), Size::Fixed(2), Size::Fixed(4), Size::Fixed(4)],
    );
    let scale = b.initializer("pixel_scale", TensorProto::f32(&[], &[0.5]));
    let zero = b.initializer("pixel_zero", TensorProto::byte(127));
    let x = b.node("DequantizeLinear", &["image", &scale, &zero], "x", vec![]);
    let kernel = b.initializer("first", TensorProto::f32(&[2, 2, 1, 1], &[1.0, -2.0, 0.5, 0.25]));
    let bias = b.initializer("first_bias", TensorProto::f32(&[2], &[0.125, -0.5]));
    let first = b.node("Conv", &[&x, &kernel, &bias], "first_conv", vec![]);
    let low = b.initializer("low", TensorProto::f32(&[], &[0.0]));
    let high = b.initializer("high", TensorProto::f32(&[], &[6.0]));
    let clipped = b.node("Clip", &[&first, &low, &high], "clipped", vec![]);
    let kernel = b.initializer("second", TensorProto::f32(&[2, 2, 1, 1], &[3.0, 0.0, 0.0, 0.0]));
    let second = b.node("Conv", &[&clipped, &kernel], "second_conv", vec![]);
    let sum = b.node("Add", &[&second, &clipped], "sum", vec![]);
    let relu = b.node("Relu", &[&sum], "relu", vec![]);
    let flat = b.node("Flatten", &[&relu], "flat", vec![attribute::int("axis", 1)]);
    b.output(&flat, "embedding", Element::F32, &[Size::Open("n"), Size::Fixed(32)]);
    b.finish().unwrap()
}

fn quantised(model: &ModelProto) -> ModelProto {
    let mut calibration = Calibration::new(model).unwrap();
    let count = graph(&calibration.observer().unwrap()).unwrap().output.len();
    assert_eq!(count, 2);
    calibration.take(&[0.0, -3.0, 0.0], &[5.0, 2.0, 4.0]).unwrap();
    calibration.take(&[0.0, -1.0, 0.0], &[6.0, 1.0, 2.0]).unwrap();
    calibration.finish().unwrap()
}

fn nodes<'a>(model: &'a ModelProto, op: &str) -> Vec<&'a NodeProto> {
    graph(model).unwrap().node.iter().filter(|n| n.op_type == op).collect()
}

fn initializer<'a>(model: &'a ModelProto, name: &str) -> &'a TensorProto {
    graph(model).unwrap().initializer.iter().find(|t| t.name == name).unwrap()
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    tensor.raw_data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn convolutions_and_sums_stand_between_bytes() {
    let mut model = model();
    set_metadata(&mut model, "size", "4");
    let quantised = quantised(&model);
    assert_eq!(metadata(&quantised, "size"), Some("4"));
    let (before, after) = (graph(&model).unwrap(), graph(&quantised).unwrap());
    assert_eq!((&before.input, &before.output), (&after.input, &after.output));
    // The activation functions are the bytes' ranges now; bytes of the input are used as they are.
    assert!(nodes(&quantised, "Clip").is_empty() && nodes(&quantised, "Relu").is_empty());
    let made: Vec<&str> =
        nodes(&quantised, "QuantizeLinear").iter().map(|n| n.input[0].as_str()).collect();
    assert_eq!(made, ["clipped", "second_conv", "relu"]);
    assert_eq!(floats(initializer(&quantised, "clipped_scale")), [6.0 / 255.0]);
    assert_eq!(floats(initializer(&quantised, "second_conv_scale")), [5.0 / 255.0]);
    assert_eq!(initializer(&quantised, "second_conv_zero").raw_data, [153]);
    assert_eq!(initializer(&quantised, "relu_zero").raw_data, [0]);
    for op in ["Conv", "Add", "Flatten"] {
        for node in nodes(&quantised, op) {
            assert!(node.input.iter().all(|i| i.ends_with("_rounded") || i == "x"), "{node:?}");
        }
    }
}

#[test]
fn weights_are_int8_by_channel_and_biases_int32() {
    let quantised = quantised(&model());
    let kernel = initializer(&quantised, "first_integers");
    assert_eq!((kernel.data_type, &kernel.dims[..]), (Element::I8 as i32, &[2, 2, 1, 1][..]));
    let kernel: Vec<i8> = kernel.raw_data.iter().map(|b| b.cast_signed()).collect();
    assert_eq!(kernel, [64, -127, 127, 64]);
    let scales = floats(initializer(&quantised, "first_scale"));
    assert_eq!(scales, [2.0 / 127.0, 0.5 / 127.0]);
    // A bias counts in steps of input times kernel: the input's is 0.5.
    let bias = initializer(&quantised, "first_bias_integers");
    let bias: Vec<i32> =
        bias.raw_data.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect();
    assert_eq!(bias, [16, -254]);
    assert_eq!(
        floats(initializer(&quantised, "first_bias_scale")),
        scales.iter().map(|s| s * 0.5).collect::<Vec<_>>()
    );
    // A channel without weights, and no float kernel left behind.
    assert_eq!(floats(initializer(&quantised, "second_scale")), [3.0 / 127.0, 1.0]);
    assert!(graph(&quantised).unwrap().initializer.iter().all(|t| t.name != "first"));
}

#[test]
fn shapes_and_bytes_stay_the_same() {
    let model = model();
    let quantised = quantised(&model);
    let known = shapes::infer(&quantised, &[("image", &[3, 2, 4, 4])]).unwrap();
    assert_eq!(known.shape("embedding"), Some(&[3, 32][..]));
    assert_eq!(known.element("embedding"), Some(Element::F32));
    assert_eq!(known.element("clipped_bytes"), Some(Element::U8));
    assert_eq!(onnx_graph::read(&write(&quantised)).unwrap(), quantised);
    assert_eq!(write(&quantised), write(&self::quantised(&model)));
}

#[test]
fn batch_norms_are_folded_first() {
    let mut b = Builder::new("normed", 18);
    b.input("x", Element::F32, &[Size::Open("n"), Size::Fixed(1), Size::Fixed(4), Size::Fixed(4)]);
    let kernel = b.initializer("kernel", TensorProto::f32(&[2, 1, 1, 1], &[1.0, 2.0]));
    let conv = b.node("Conv", &["x", &kernel], "conv", vec![]);
    let part =
        |name: &str, b: &mut Builder, v: [f32; 2]| b.initializer(name, TensorProto::f32(&[2], &v));
    let gamma = part("gamma", &mut b, [3.0, 1.0]);
    let beta = part("beta", &mut b, [0.5, 0.0]);
    let mean = part("mean", &mut b, [2.0, -1.0]);
    let variance = part("variance", &mut b, [8.0, 0.0]);
    let epsilon = onnx_graph::proto::AttributeProto {
        name: "epsilon".into(),
        r#type: 1,
        f: Some(1.0),
        ..Default::default()
    };
    let norm = [&conv, &gamma, &beta, &mean, &variance].map(String::as_str);
    let norm = b.node("BatchNormalization", &norm, "norm", vec![epsilon]);
    let flat = b.node("Flatten", &[&norm], "flat", vec![attribute::int("axis", 1)]);
    b.output(&flat, "y", Element::F32, &[Size::Open("n"), Size::Fixed(32)]);
    let model = b.finish().unwrap();

    let mut calibration = Calibration::new(&model).unwrap();
    let observer = calibration.observer().unwrap();
    assert!(nodes(&observer, "BatchNormalization").is_empty());
    // γ w / √(σ² + ε) = 3 · 1 / 3 and 1 · 2 / 1; (0 − μ) γ / √(σ² + ε) + β = −1.5 and 1.
    assert_eq!(floats(initializer(&observer, "kernel_folded")), [1.0, 2.0]);
    assert_eq!(floats(initializer(&observer, "kernel_bias")), [-1.5, 1.0]);
    // The input isn't bytes, so it becomes bytes.
    calibration.take(&[-1.0, -2.0], &[1.0, 2.0]).unwrap();
    let quantised = calibration.finish().unwrap();
    assert_eq!(nodes(&quantised, "QuantizeLinear").len(), 2);
    assert_eq!(nodes(&quantised, "Conv")[0].output, ["norm"]);
}

#[test]
fn what_cannot_be_quantised() {
    let none = |change: &dyn Fn(&mut ModelProto)| {
        let mut model = model();
        change(&mut model);
        Calibration::new(&model).err().unwrap()
    };
    let old = none(&|m| m.opset_import[0].version = 12);
    assert_eq!(old, Error::TooOld { found: 12, oldest: 13 });
    let without = none(&|m| {
        for node in &mut m.graph.as_mut().unwrap().node {
            if node.op_type == "Conv" {
                node.op_type = "ConvTranspose".into();
            }
        }
    });
    assert!(without.to_string().contains("no convolution"), "{without}");
}

#[test]
fn observations_must_fit() {
    let mut calibration = Calibration::new(&model()).unwrap();
    let observer = calibration.observer().unwrap();
    let names: Vec<&str> =
        graph(&observer).unwrap().output.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, [LOWS, HIGHS]);
    assert!(calibration.take(&[0.0], &[1.0]).is_err());
    let infinite = calibration.take(&[0.0; 3], &[1.0, f32::INFINITY, 1.0]).unwrap_err();
    assert!(infinite.to_string().contains("second_conv"), "{infinite}");
}
