//! How large and how expensive a model is.

use crate::proto::{ModelProto, NodeProto};
use crate::shapes::Shapes;
use crate::{Element, Result, attribute, graph, read};

/// A model's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Numbers in floating-point and int8 tensors.
    pub parameters: u64,
    /// Multiply-accumulate operations of convolutions and matrix products for the shapes given;
    /// `None` if the shape of one of them isn't known.
    pub macs: Option<u64>,
}

/// Counts the parameters of a model and its multiplications for the shapes inferred.
pub fn count(model: &ModelProto, shapes: &Shapes) -> Result<Count> {
    let graph = graph(model)?;
    let mut parameters = 0u64;
    for tensor in &graph.initializer {
        let element = Element::from_code(tensor.data_type);
        if element.is_some_and(|e| e.is_float() || e == Element::I8) {
            parameters =
                parameters.saturating_add(tensor.shape()?.iter().product::<usize>() as u64);
        }
    }
    let macs = graph
        .node
        .iter()
        .try_fold(0u64, |sum, node| node_macs(node, shapes).map(|macs| sum.saturating_add(macs)));
    Ok(Count { parameters, macs })
}

/// Multiplications of one node, 0 for operators that aren't products.
fn node_macs(node: &NodeProto, shapes: &Shapes) -> Option<u64> {
    if !read::is_onnx(&node.domain) {
        return Some(0);
    }
    let input = |i: usize| shapes.shape(node.input.get(i)?);
    // The numbers that are summed up for one number of the output.
    let depth = match node.op_type.as_str() {
        "Conv" | "ConvInteger" => input(1)?.iter().skip(1).product(),
        "QLinearConv" => input(3)?.iter().skip(1).product(),
        "MatMul" => *input(0)?.last()?,
        "Gemm" => *input(0)?.get(usize::from(attribute::int_or(node, "transA", 0) == 0))?,
        "ConvTranspose" | "Einsum" | "Attention" | "MatMulInteger" | "QLinearMatMul" => {
            return None;
        }
        _ => return Some(0),
    };
    let output = shapes.shape(node.output.first()?)?;
    let outputs = output.iter().product::<usize>() as u64;
    Some(outputs.saturating_mul(depth as u64))
}
