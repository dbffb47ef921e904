//! Reading, cutting and inferring on models that `PyTorch` exported.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::path::PathBuf;

use onnx_graph::proto::{
    AttributeProto, FunctionProto, ModelProto, NodeProto, SparseTensorProto,
    StringStringEntryProto, TensorProto,
};
use onnx_graph::{Error, count, cut, graph, read, shapes, write};

fn fixture(name: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    std::fs::read(root.join("../../tests/oracles/fixtures").join(name)).unwrap()
}

const MODELS: [&str; 4] = ["mobilenet_v2.onnx", "resnet.onnx", "vit.onnx", "bytes.onnx"];

#[test]
fn what_is_read_is_written() {
    for name in MODELS {
        let model = read(&fixture(name)).unwrap();
        let again = read(&write(&model)).unwrap();
        assert_eq!(model, again, "{name}");
        assert_eq!(write(&model), write(&again), "{name}");
        // Nothing was dropped: what differs are bytes of encoding, not of content.
        let (before, after) = (fixture(name).len(), write(&model).len());
        assert!(after * 100 > before * 99, "{name}: {before} {after}");
    }
}

#[test]
fn no_field_of_the_format_is_dropped() {
    use prost::Message as _;
    // Every field is set in this file; one that isn't declared would be missing in the length.
    let bytes = fixture("every_field.onnx");
    let model = ModelProto::decode(bytes.as_slice()).unwrap();
    assert_eq!(model.encoded_len(), bytes.len());
    assert_eq!(ModelProto::decode(write(&model).as_slice()), Ok(model));
}

#[test]
fn bad_files_have_their_own_errors() {
    assert_eq!(read(&[]), Err(Error::Empty));
    assert!(matches!(read(b"PK\x03\x04 no model"), Err(Error::NotOnnx(_))));
    assert!(matches!(read(&[0xff; 64]), Err(Error::NotOnnx(_))));
    let good = read(&fixture("resnet.onnx")).unwrap();
    let broken = |change: &dyn Fn(&mut ModelProto)| {
        let mut model = good.clone();
        change(&mut model);
        read(&write(&model)).unwrap_err()
    };
    let nodes = |m: &mut ModelProto, change: &dyn Fn(&mut Vec<NodeProto>)| {
        change(&mut m.graph.as_mut().unwrap().node);
    };
    let too_new = broken(&|m| m.opset_import[0].version = 99);
    assert!(too_new.to_string().contains("opset 99"), "{too_new}");
    assert!(matches!(broken(&|m| m.opset_import[0].version = 7), Error::TooOld { .. }));
    assert!(matches!(broken(&|m| m.ir_version = 99), Error::TooNew { .. }));
    assert!(matches!(broken(&|m| m.graph = None), Error::NotOnnx(_)));
    let external = broken(&|m| {
        let tensor = &mut m.graph.as_mut().unwrap().initializer[0];
        tensor.external_data.push(StringStringEntryProto::default());
    });
    assert!(matches!(external, Error::ExternalData { .. }));
    let elsewhere = || Some(TensorProto { data_location: 1, ..Default::default() });
    let sparse = SparseTensorProto { values: elsewhere(), ..Default::default() };
    let external = broken(&|m| m.graph.as_mut().unwrap().sparse_initializer.push(sparse.clone()));
    assert!(matches!(external, Error::ExternalData { .. }));
    let attribute = AttributeProto { t: elsewhere(), ..Default::default() };
    let constant = NodeProto { attribute: vec![attribute], ..Default::default() };
    let function = FunctionProto { node: vec![constant], ..Default::default() };
    let external = broken(&|m| m.functions.push(function.clone()));
    assert!(matches!(external, Error::ExternalData { .. }));
    let missing = broken(&|m| nodes(m, &|n| n[3].input[0] = "nowhere".into()));
    assert!(missing.to_string().contains("nowhere"), "{missing}");
    let twice = broken(&|m| nodes(m, &|n| n[1].output = n[0].output.clone()));
    assert!(matches!(twice, Error::MadeTwice { .. }));
    let circle = broken(&|m| nodes(m, &|n| n[0].input[0] = n[5].output[0].clone()));
    assert!(matches!(circle, Error::Circle { .. }), "{circle}");
}

#[test]
fn nodes_out_of_order_are_put_in_order() {
    let model = read(&fixture("resnet.onnx")).unwrap();
    let mut reversed = model.clone();
    reversed.graph.as_mut().unwrap().node.reverse();
    let sorted = read(&write(&reversed)).unwrap();
    let output = |m: &ModelProto| {
        let shapes = shapes::infer(m, &[("input", &[1, 3, 64, 64])]).unwrap();
        shapes.shape("scores").map(<[usize]>::to_vec)
    };
    assert_eq!(output(&sorted), Some(vec![1, 10]));
    assert_eq!(output(&sorted), output(&model));
}

#[test]
fn a_cut_keeps_what_is_needed_and_nothing_else() {
    let model = read(&fixture("resnet.onnx")).unwrap();
    let tap = "/layer1/layer1.0/relu_1/Relu_output_0";
    let part = cut(&model, &[tap]).unwrap();
    let (old, new) = (graph(&model).unwrap(), graph(&part).unwrap());
    assert!(new.node.len() * 3 < old.node.len());
    for tensor in &new.initializer {
        assert!(new.node.iter().any(|n| n.input.contains(&tensor.name)), "{}", tensor.name);
    }
    let shapes = shapes::infer(&part, &[("input", &[2, 3, 64, 64])]).unwrap();
    assert_eq!(shapes.shape(tap), Some(&[2, 8, 16, 16][..]));
    assert!(count(&part, &shapes).unwrap().macs.unwrap() > 0);
    assert!(matches!(cut(&model, &["nowhere"]), Err(Error::MissingTensor { .. })));
}

#[test]
fn other_sizes_than_the_exported_one_contradict_the_graph() {
    let model = read(&fixture("vit.onnx")).unwrap();
    let error = shapes::infer(&model, &[("input", &[1, 3, 96, 96])]).err().unwrap();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
}

/// `PyTorch` writes its pads, last axis first, as rows that are turned round by nodes.
#[test]
fn pads_that_nodes_turn_round_are_followed() {
    use onnx_graph::{Builder, Element, Size, attribute};
    let mut b = Builder::new("pads", 18);
    b.input("x", Element::F32, &[1, 3, 8, 8].map(Size::Fixed));
    let mut integers =
        |name: &str, values: &[i64]| b.initializer(name, TensorProto::i64(&[values.len()], values));
    let (pads, pairs) = (integers("pads", &[1, 2, 3, 4, 0, 0, 0, 0]), integers("pairs", &[-1, 2]));
    let (last, first) = (integers("last", &[-1]), integers("first", &[i64::MIN + 1]));
    let (axis, back) = (integers("axis", &[0]), integers("back", &[-1]));
    let rows = b.node("Reshape", &[&pads, &pairs], "rows", vec![]);
    let turned = b.node("Slice", &[&rows, &last, &first, &axis, &back], "turned", vec![]);
    let order = vec![attribute::ints("perm", &[1, 0])];
    let columns = b.node("Transpose", &[&turned], "columns", order);
    let pads = b.node("Reshape", &[&columns, &last], "onnx_pads", vec![]);
    let padded = b.node("Pad", &["x", &pads], "padded", vec![]);
    let shapes = shapes::infer(&b.finish().unwrap(), &[("x", &[1, 3, 8, 8])]).unwrap();
    assert_eq!(shapes.shape(&padded), Some(&[1, 3, 8 + 3 + 4, 8 + 1 + 2][..]));
}

#[test]
fn an_unknown_operator_gives_an_unknown_shape() {
    let mut model = read(&fixture("resnet.onnx")).unwrap();
    model.graph.as_mut().unwrap().node[1].op_type = "Surprise".into();
    let shapes = shapes::infer(&model, &[("input", &[1, 3, 64, 64])]).unwrap();
    assert_eq!(shapes.shape("scores"), None);
    assert!(shapes.lost("scores").unwrap().starts_with("the Surprise node"));
    assert_eq!(shapes.lost("input"), None);
    assert_eq!(count(&model, &shapes).unwrap().macs, None);
}

/// Numbers that look random and are the same everywhere (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let mut numbers = Numbers(42);
    let mut read_anyway = 0;
    for name in ["vit.onnx", "bytes.onnx"] {
        // Damage structure rather than weights: shorten the long tensors first.
        let mut model = read(&fixture(name)).unwrap();
        for tensor in &mut model.graph.as_mut().unwrap().initializer {
            if tensor.raw_data.len() > 256 {
                tensor.raw_data.truncate(8);
            }
        }
        let good = write(&model);
        for _ in 0..3000 {
            let mut bytes = good.clone();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(bytes.len());
                bytes[at] = numbers.below(256) as u8;
            }
            if numbers.below(8) == 0 {
                bytes.truncate(numbers.below(bytes.len()));
            }
            let Ok(model) = read(&bytes) else { continue };
            read_anyway += 1;
            let graph = graph(&model).unwrap();
            let input = graph.input.first().map_or("", |i| i.name.as_str());
            if let Ok(shapes) = shapes::infer(&model, &[(input, &[1, 3, 64, 64])]) {
                count(&model, &shapes).ok();
            }
            let output = graph.output.first().map_or("", |o| o.name.as_str());
            cut(&model, &[output]).ok();
        }
    }
    assert!(read_anyway > 500, "{read_anyway}");
}
