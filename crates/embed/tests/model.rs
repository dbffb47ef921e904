//! Models on the real ONNX Runtime.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test's helpers"
)]

use embed::{Device, Input, Kernels, Model, Port, Provider, Runtime, placement};
use stage::Fault;

/// 16 pixels to 64 numbers; see `tests/oracles/tiny_backbone.py`.
const TINY: &[u8] = include_bytes!("../../gtsrb-extract/tests/fixtures/tiny.onnx");
const PICTURE: usize = 16 * 16 * 3;

fn runtime() -> bool {
    let set = std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty());
    if !set {
        println!("skipped: ORT_DYLIB_PATH is not set (make test sets it)");
    }
    set
}

/// Noise that differs from picture to picture.
fn pictures(count: usize) -> Vec<u8> {
    let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
    (0..count * PICTURE).map(noise).collect()
}

fn embed(model: &mut Model, batch: usize, data: &[u8]) -> Vec<f32> {
    let outputs = model.run(Input::U8 { shape: &[batch, 16, 16, 3], data }).unwrap();
    let (shape, values) = outputs.f32("embedding").unwrap();
    assert_eq!(shape, [batch, 64]);
    values.to_vec()
}

#[test]
fn a_model_tells_its_ports_and_metadata() {
    if !runtime() {
        return;
    }
    let model = Model::load(TINY, Provider::Cpu).unwrap();
    let port = |name: &str, kind: &str, shape: &[i64]| Port {
        name: name.into(),
        kind: kind.into(),
        shape: shape.into(),
    };
    assert_eq!(model.inputs(), [port("image", "uint8", &[-1, 16, 16, 3])]);
    assert_eq!(model.outputs(), [port("embedding", "float32", &[-1, 64])]);
    assert_eq!(model.metadata("backbone").as_deref(), Some("tiny"));
    assert_eq!(model.metadata("other"), None);
    let runtime = Runtime::load().unwrap();
    assert!(runtime.version().starts_with("1."), "{}", runtime.version());
    assert!(runtime.path().is_absolute());
}

#[test]
fn an_embedding_does_not_depend_on_its_neighbours() {
    if !runtime() {
        return;
    }
    let mut model = Model::load(TINY, Provider::Cpu).unwrap();
    let data = pictures(8);
    let together = embed(&mut model, 8, &data);
    for place in 0..8 {
        let alone = &data[place * PICTURE..][..PICTURE];
        let mut padded = alone.to_vec();
        padded.resize(8 * PICTURE, 0);
        let expected = &together[place * 64..][..64];
        assert_eq!(&embed(&mut model, 8, &padded)[..64], expected);
        assert_eq!(embed(&mut model, 1, alone), expected);
    }
}

#[test]
fn wrong_models_inputs_and_outputs_are_data_errors() {
    if !runtime() {
        return;
    }
    for bytes in [&b"no model"[..], &TINY[..TINY.len() / 2], b""] {
        let error = Model::load(bytes, Provider::Cpu).err().unwrap();
        assert_eq!(error.fault(), Fault::Data, "{error}");
    }
    let mut model = Model::load(TINY, Provider::Cpu).unwrap();
    let wrong = [
        Input::U8 { shape: &[1, 8, 8, 3], data: &[0; 192] },
        Input::U8 { shape: &[2, 16, 16, 3], data: &[0; PICTURE] },
        Input::F32 { shape: &[1, 16, 16, 3], data: &[0.0; PICTURE] },
    ];
    for input in wrong {
        let error = model.run(input).err().unwrap();
        assert_eq!(error.fault(), Fault::Data);
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let outputs = model.run(Input::U8 { shape: &[1, 16, 16, 3], data: &pictures(1) }).unwrap();
    let message = outputs.f32("label").unwrap_err().to_string();
    assert!(message.contains("label") && message.contains("embedding"), "{message}");
    assert!(outputs.i64("embedding").is_err());
}

#[test]
fn the_placement_of_nodes_is_what_ran() {
    if !runtime() {
        return;
    }
    let nodes = placement(TINY, Provider::Cpu, Kernels::default(), &[2, 16, 16, 3]).unwrap();
    assert_eq!(nodes.0.keys().collect::<Vec<_>>(), ["CPUExecutionProvider"]);
    let operators = &nodes.0["CPUExecutionProvider"];
    assert!(operators.keys().any(|operator| operator.contains("Conv")), "{operators:?}");
}

#[test]
fn cuda_is_never_taken_in_silence() {
    if !runtime() {
        return;
    }
    let choose = |device: Device| device.choose(TINY, Kernels::default(), &[2, 16, 16, 3]);
    // On a machine with a GPU and its library there is nothing to refuse.
    if let Err(error) = choose(Device::Cuda) {
        assert_eq!(error.fault(), Fault::Unavailable);
        assert_eq!(choose(Device::Auto).unwrap(), Provider::Cpu);
        let error = Model::load(TINY, Provider::Cuda).err().unwrap();
        assert_eq!(error.fault(), Fault::Unavailable, "{error}");
        assert!(error.to_string().contains("--device cpu"), "{error}");
    }
    assert_eq!(choose(Device::Cpu).unwrap(), Provider::Cpu);
}
