//! A network with weights drawn at random instead of learned ones.

use std::collections::HashMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::{Element, Error, Result, attribute, graph, read};

/// Replaces the weights of all convolutions and matrix products by uniform numbers with the
/// variance 2 / (numbers in a sum), which keeps a signal's size through rectifiers (He et al.,
/// 2015), and their biases by zeros. An error for a model without such weights of its own in
/// float32.
pub fn randomise(model: &mut ModelProto, seed: u64) -> Result<()> {
    let roles = roles(graph(model)?);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let tensors = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    let mut drawn = 0;
    for tensor in tensors.filter(|t| Element::from_code(t.data_type) == Some(Element::F32)) {
        let Some(role) = roles.get(&tensor.name) else { continue };
        let shape = tensor.shape()?;
        let limit = match role {
            Role::Weights(summed) => (6.0 / summed(&shape).max(1) as f32).sqrt(),
            Role::Bias => 0.0,
        };
        let mut draw = || limit * random.random_range(-1.0..1.0f32);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw()).collect();
        let name = std::mem::take(&mut tensor.name);
        *tensor = TensorProto { name, ..TensorProto::f32(&shape, &values) };
        drawn += usize::from(limit > 0.0);
    }
    if drawn == 0 {
        return Err(Error::Mismatch(
            "no convolution or matrix product has float32 weights to draw anew".into(),
        ));
    }
    Ok(())
}

/// What a tensor is to the node that reads it.
enum Role {
    /// Weights of this shape, of which so many are summed for one number of the output.
    Weights(fn(&[usize]) -> usize),
    Bias,
}

/// The roles of tensors by their names.
fn roles(graph: &GraphProto) -> HashMap<String, Role> {
    let mut roles = HashMap::new();
    for node in graph.node.iter().filter(|node| read::is_onnx(&node.domain)) {
        let Some(summed) = summed(node) else { continue };
        if let Some(weights) = node.input.get(1) {
            roles.insert(weights.clone(), Role::Weights(summed));
        }
        if let Some(bias) = node.input.get(2) {
            roles.insert(bias.clone(), Role::Bias);
        }
    }
    roles
}

/// How a node's weights are laid out.
fn summed(node: &NodeProto) -> Option<fn(&[usize]) -> usize> {
    match node.op_type.as_str() {
        "Conv" => Some(|shape| shape.iter().skip(1).product()),
        "Gemm" if attribute::int_or(node, "transB", 0) != 0 => {
            Some(|shape| shape.get(1).copied().unwrap_or(1))
        }
        "Gemm" | "MatMul" => Some(|shape| shape.iter().rev().nth(1).copied().unwrap_or(1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Size};

    fn model() -> ModelProto {
        let mut b = Builder::new("test", 18);
        b.input("x", Element::F32, &[Size::Open("n"), Size::Fixed(3)]);
        let weights = b.initializer("weights", TensorProto::f32(&[500, 3], &[1.0; 1500]));
        let bias = b.initializer("bias", TensorProto::f32(&[500], &[1.0; 500]));
        let trans = vec![attribute::int("transB", 1)];
        let y = b.node("Gemm", &["x", &weights, &bias], "y", trans);
        let two = b.initializer("two", TensorProto::f32(&[], &[2.0]));
        b.node("Mul", &[&y, &two], "z", vec![]);
        b.finish().unwrap()
    }

    fn values(model: &ModelProto, name: &str) -> Vec<f32> {
        let tensors = &graph(model).unwrap().initializer;
        crate::tensor::floats(tensors.iter().find(|t| t.name == name).unwrap()).unwrap()
    }

    #[test]
    fn weights_keep_a_signals_size_and_nothing_else_changes() {
        let (mut one, mut other) = (model(), model());
        randomise(&mut one, 1).unwrap();
        randomise(&mut other, 2).unwrap();
        let weights = values(&one, "weights");
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / 1500.0;
        assert!((variance - 2.0 / 3.0).abs() < 0.05, "{variance}");
        assert!(weights.iter().sum::<f32>().abs() / 1500.0 < 0.05);
        assert_eq!(values(&one, "bias"), [0.0; 500]);
        assert_eq!(values(&one, "two"), [2.0]);
        assert_ne!(weights, values(&other, "weights"));
        let mut again = model();
        randomise(&mut again, 1).unwrap();
        assert_eq!(again, one);
    }

    #[test]
    fn a_model_without_weights_is_refused() {
        let mut b = Builder::new("test", 18);
        b.input("x", Element::F32, &[Size::Open("n"), Size::Fixed(3)]);
        b.node("Relu", &["x"], "y", vec![]);
        assert!(randomise(&mut b.finish().unwrap(), 1).is_err());
    }
}
