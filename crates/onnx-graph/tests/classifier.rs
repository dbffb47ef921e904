//! The classifier's graph, run by Python's ONNX Runtime and compared with Pillow and numpy.

#![allow(clippy::print_stdout, reason = "a skipped test says so")]
#![allow(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use onnx_graph::classifier::{Head, Layer, backbone_of, classifier_model, head_model};
use onnx_graph::pool::{Part, pool};
use onnx_graph::proto::{ModelProto, TensorProto};
use onnx_graph::{Builder, Element, Size, attribute, metadata, resize, set_metadata, write};

const SIZE: usize = 24;
const GRID: usize = 4;
const CLASSES: usize = 5;
const DIMS: usize = 3 * GRID * GRID;

/// A backbone without layers: the picture's own cells, 0 to 1.
fn backbone() -> ModelProto {
    let mut b = Builder::new("cells", 18);
    let side = Size::Fixed(SIZE);
    b.input("image", Element::U8, &[Size::Open("n"), side, side, Size::Fixed(3)]);
    let order = vec![attribute::ints("perm", &[0, 3, 1, 2])];
    let planes = b.node("Transpose", &["image"], "planes", order);
    let to = vec![attribute::int("to", Element::F32 as i64)];
    let floats = b.node("Cast", &[&planes], "floats", to);
    let white = b.initializer("white", TensorProto::f32(&[], &[255.0]));
    let map = b.node("Div", &[&floats, &white], "map", vec![]);
    let shape = [1, 3, SIZE, SIZE];
    let (row, dims) = pool(&mut b, &map, &shape, Some(Element::F32), Part::Grid(GRID)).unwrap();
    assert_eq!(dims, DIMS);
    b.output(&row, "embedding", Element::F32, &[Size::Open("n"), Size::Fixed(dims)]);
    let mut model = b.finish().unwrap();
    set_metadata(&mut model, "backbone", "cells");
    model
}

/// Weights and biases that the oracle knows.
fn numbers(outputs: usize, inputs: usize) -> (Vec<f32>, Vec<f32>) {
    let weights =
        (0..outputs).flat_map(|c| (0..inputs).map(move |d| (c as f32 + d as f32 / 7.0).sin()));
    (weights.collect(), (0..outputs).map(|c| c as f32 / 10.0).collect())
}

fn layer((weights, bias): &(Vec<f32>, Vec<f32>)) -> Layer<'_> {
    Layer { weights, bias }
}

/// Runs an oracle, if there is a Python for it.
fn oracle(script: &str, arguments: &[&Path], more: &[&str]) {
    let Some(python) = std::env::var_os("ORACLE_PYTHON") else {
        println!("skipped: ORACLE_PYTHON is not set (make test sets it)");
        return;
    };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracles");
    let output =
        Command::new(python).arg(root.join(script)).args(arguments).args(more).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}{errors}");
}

#[test]
fn classifier_and_head_equal_pillow_and_numpy() {
    for widths in [&[DIMS, CLASSES][..], &[DIMS, 7, 6, CLASSES]] {
        let numbers: Vec<_> = widths.windows(2).map(|pair| numbers(pair[1], pair[0])).collect();
        let layers: Vec<_> = numbers.iter().map(layer).collect();
        check_with_oracle(&Head { tower: None, layers: &layers, temperature: 2.0 }, widths);
    }
}

fn check_with_oracle(head: &Head, widths: &[usize]) {
    let model = classifier_model(&backbone(), head, &[("classes", "[]")]).unwrap();
    assert_eq!(metadata(&model, "backbone"), Some("cells"));
    assert_eq!(metadata(&model, "classes"), Some("[]"));
    let dir = tempfile::tempdir().unwrap();
    let (whole, alone) = (dir.path().join("classifier.onnx"), dir.path().join("head.onnx"));
    std::fs::write(&whole, write(&model)).unwrap();
    std::fs::write(&alone, write(&head_model(head, &[]).unwrap())).unwrap();
    let numbers: Vec<_> = [SIZE, GRID].iter().chain(widths).map(usize::to_string).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    oracle("classifier_graph.py", &[&whole, &alone], &numbers);
}

#[test]
fn the_backbone_comes_back_out_of_a_classifier() {
    let numbers = numbers(CLASSES, DIMS);
    let head = Head { tower: None, layers: &[layer(&numbers)], temperature: 1.0 };
    let before = backbone();
    let after = backbone_of(&classifier_model(&before, &head, &[]).unwrap(), SIZE, DIMS).unwrap();
    let (before, after) = (before.graph.unwrap(), after.graph.unwrap());
    assert_eq!((&after.input, &after.output), (&before.input, &before.output));
    assert_eq!(after.node, before.node);
    assert_eq!(after.initializer, before.initializer);
    let error = backbone_of(&head_model(&head, &[]).unwrap(), SIZE, DIMS).unwrap_err();
    assert!(error.to_string().contains("no classifier"), "{error}");
}

#[test]
fn resizing_equals_pillow_within_one_level() {
    for size in [32, 96] {
        let mut b = Builder::new("resize", 13);
        let open = [Size::Open("n"), Size::Open("h"), Size::Open("w"), Size::Fixed(3)];
        b.input("image", Element::U8, &open);
        let small = resize::pillow_bilinear(&mut b, "image", size);
        let side = Size::Fixed(size);
        b.output(&small, "small", Element::U8, &[Size::Open("n"), side, side, Size::Fixed(3)]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resize.onnx");
        std::fs::write(&path, write(&b.finish().unwrap())).unwrap();
        oracle("resize_graph.py", &[&path], &[&size.to_string()]);
    }
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let (hidden, last) = (numbers(3, DIMS), numbers(CLASSES, 3));
    let layers = [layer(&hidden), layer(&last)];
    let head = Head { tower: None, layers: &layers, temperature: 1.0 };
    let short = Layer { weights: &hidden.0[1..], ..layers[0] };
    for odd in [&[short, layers[1]][..], &layers[1..], &[layers[0], layers[0]], &[]] {
        assert!(classifier_model(&backbone(), &Head { layers: odd, ..head }, &[]).is_err());
    }
    let empty = Layer { bias: &[], ..layers[0] };
    assert!(head_model(&Head { layers: &[empty], ..head }, &[]).is_err());
    for temperature in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(head_model(&Head { temperature, ..head }, &[]).is_err());
    }
    let no_backbone = head_model(&head, &[]).unwrap();
    let error = classifier_model(&no_backbone, &head, &[]).unwrap_err();
    assert!(error.to_string().contains("image"), "{error}");
}
