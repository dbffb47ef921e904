//! Conversion of a graph to 16-bit floats, its inputs and outputs aside.
//!
//! Everything from the first convolution or matrix product on computes in float16; what comes
//! before it, the normalisation of pixels, stays float32. `Cast` nodes stand at the borders.
//!
//! Constants are rounded to the nearest float16. Those beyond its range become its largest
//! number: open bounds and masks mean "very large" anyway. Those below half of its smallest
//! number, 6e-8, become 0. An activation beyond the range becomes infinite, which shows in the
//! output.

use std::collections::{HashMap, HashSet};

use half::f16;

use crate::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use crate::shapes::{self, Shapes};
use crate::tensor::floats;
use crate::{Builder, Element, Error, Result, attribute, cut, graph, read};

/// Operators with which the network proper begins.
const BEGINS: [&str; 5] = ["Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum"];

/// Operators with inputs or outputs that are float32 by definition.
const KEPT: [&str; 5] =
    ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Resize", "Range"];

/// The model in float16, with the inputs, outputs and metadata of the original. Open
/// dimensions of its inputs may be of any size. An error where a node has graphs inside.
pub fn to_f16(model: &ModelProto) -> Result<ModelProto> {
    let old = graph(model)?;
    let nested = |n: &&NodeProto| n.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty());
    if let Some(node) = old.node.iter().find(nested) {
        let message = format!("{} has graphs inside: it has no float16", read::title(node));
        return Err(Error::Mismatch(message));
    }
    let mut conversion = Conversion {
        halved: Halved::of(old),
        known: inferred(model)?,
        constants: old.initializer.iter().map(|t| (t.name.as_str(), t)).collect(),
        crossed: HashMap::new(),
        b: Builder::extend(model.clone())?,
    };
    conversion.b.clear_nodes();
    conversion.b.clear_outputs();
    for node in &old.node {
        conversion.add(node)?;
    }
    conversion.finish(old)
}

/// What is known when every open dimension is 1.
fn inferred(model: &ModelProto) -> Result<Shapes> {
    let inputs: Vec<(&str, Vec<usize>)> = graph(model)?
        .input
        .iter()
        .filter_map(|input| {
            let dims = shapes::declared(input)?;
            Some((input.name.as_str(), dims.into_iter().map(|d| d.unwrap_or(1)).collect()))
        })
        .collect();
    let inputs: Vec<(&str, &[usize])> = inputs.iter().map(|(n, d)| (*n, d.as_slice())).collect();
    shapes::infer(model, &inputs)
}

/// The tensors that nodes in float16 make.
struct Halved<'a>(HashSet<&'a str>);

impl<'a> Halved<'a> {
    fn of(graph: &'a GraphProto) -> Self {
        let mut of_picture: HashSet<&str> = graph.input.iter().map(|i| i.name.as_str()).collect();
        let (mut network, mut halved) = (HashSet::new(), HashSet::new());
        for node in &graph.node {
            let reads = |tensors: &HashSet<&str>| {
                node.input.iter().any(|input| tensors.contains(input.as_str()))
            };
            let (sees_picture, op) = (reads(&of_picture), node.op_type.as_str());
            let inside = reads(&network) || (sees_picture && BEGINS.contains(&op));
            let outputs = node.output.iter().map(String::as_str);
            if read::is_onnx(&node.domain) && !KEPT.contains(&op) && (inside || !sees_picture) {
                halved.extend(outputs.clone());
            }
            if sees_picture {
                of_picture.extend(outputs.clone());
            }
            if inside {
                network.extend(outputs);
            }
        }
        Self(halved)
    }

    fn makes(&self, node: &NodeProto) -> bool {
        node.output.iter().any(|output| self.0.contains(output.as_str()))
    }
}

struct Conversion<'a> {
    halved: Halved<'a>,
    known: Shapes,
    constants: HashMap<&'a str, &'a TensorProto>,
    /// The other side's name of each tensor that has crossed a border.
    crossed: HashMap<(String, Element), String>,
    b: Builder,
}

impl Conversion<'_> {
    fn add(&mut self, node: &NodeProto) -> Result<()> {
        let half = self.halved.makes(node);
        let mut node = node.clone();
        for input in &mut node.input {
            *input = self.read(input, half)?;
        }
        if half {
            node.attribute = node.attribute.iter().map(half_attribute).collect::<Result<_>>()?;
            if node.op_type == "ConstantOfShape" && node.attribute.is_empty() {
                node.attribute.push(tensor_attribute(TensorProto::f16(&[1], &[0.0])));
            }
        }
        self.b.add(node);
        Ok(())
    }

    /// The name under which a node in float16 or not reads `tensor`.
    fn read(&mut self, tensor: &str, half: bool) -> Result<String> {
        let wanted = if half { Element::F16 } else { Element::F32 };
        let crossing = (tensor.to_owned(), wanted);
        if let Some(name) = self.crossed.get(&crossing) {
            return Ok(name.clone());
        }
        let name = match self.constants.get(tensor) {
            Some(constant) if half && constant.data_type == Element::F32 as i32 => {
                let rounded = TensorProto::f16(&constant.shape()?, &floats(constant)?);
                self.b.initializer(&format!("{tensor}_f16"), rounded)
            }
            Some(_) => tensor.to_owned(),
            None if tensor.is_empty() || !self.is_float(tensor) => tensor.to_owned(),
            None if self.halved.0.contains(tensor) == half => tensor.to_owned(),
            None => {
                let to = vec![attribute::int("to", wanted as i64)];
                self.b.node("Cast", &[tensor], &format!("{tensor}_{}", wanted.name()), to)
            }
        };
        self.crossed.insert(crossing, name.clone());
        Ok(name)
    }

    /// Whether the original tensor is float32; what isn't known mostly is.
    fn is_float(&self, tensor: &str) -> bool {
        self.known.element(tensor).is_none_or(|element| element == Element::F32)
    }

    /// Gives the outputs their former names and types, and drops what nothing uses.
    fn finish(mut self, old: &GraphProto) -> Result<ModelProto> {
        for output in &old.output {
            let tensor = self.read(&output.name, false)?;
            self.b.output(&tensor, &output.name, Element::F32, &[]);
        }
        let model = self.b.finish()?;
        let names: Vec<&str> = old.output.iter().map(|o| o.name.as_str()).collect();
        let mut model = cut(&model, &names)?;
        if let Some(graph) = &mut model.graph {
            graph.output.clone_from(&old.output);
        }
        Ok(model)
    }
}

/// An attribute of a node that is now in float16: tensors are rounded, and a type to make is
/// float16 instead of float32.
fn half_attribute(attribute: &AttributeProto) -> Result<AttributeProto> {
    let floats_of = |values: &[f32], dims: &[usize]| TensorProto::f16(dims, values);
    match (attribute.name.as_str(), &attribute.t) {
        ("to" | "dtype", _) if attribute.i == Some(Element::F32 as i64) => {
            Ok(attribute::int(&attribute.name, Element::F16 as i64))
        }
        ("value", Some(tensor)) if tensor.data_type == Element::F32 as i32 => {
            Ok(tensor_attribute(floats_of(&floats(tensor)?, &tensor.shape()?)))
        }
        ("value_float", _) => Ok(tensor_attribute(floats_of(&[attribute.f.unwrap_or(0.0)], &[]))),
        ("value_floats", _) => {
            let values = &attribute.floats;
            Ok(tensor_attribute(floats_of(values, &[values.len()])))
        }
        _ => Ok(attribute.clone()),
    }
}

/// The attribute `value`.
fn tensor_attribute(tensor: TensorProto) -> AttributeProto {
    const TENSOR: i32 = 4;
    AttributeProto { name: "value".into(), r#type: TENSOR, t: Some(tensor), ..Default::default() }
}

/// The float16 nearest to `value`, the largest one beyond the range.
pub(crate) fn nearest(value: f32) -> f16 {
    let rounded = f16::from_f32(value);
    if rounded.is_infinite() { f16::MAX.copysign(rounded) } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_rounded_and_stay_finite() {
        let smallest = 2.0f32.powi(-24);
        for (value, expected) in [
            (1.0, 1.0),
            (-6.0, -6.0),
            (2049.0, 2048.0),
            (65_519.0, 65_504.0),
            (65_520.0, 65_504.0),
            (f32::MAX, 65_504.0),
            (f32::NEG_INFINITY, -65_504.0),
            // The smallest subnormal number, half of it, and a little more than that.
            (smallest, smallest),
            (smallest / 2.0, 0.0),
            (smallest * 0.51, smallest),
        ] {
            assert_eq!(nearest(value).to_f32().to_bits(), f32::to_bits(expected), "{value}");
        }
    }
}
