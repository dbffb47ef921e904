//! Shapes of tensors, inferred for concrete shapes of the inputs.
//!
//! Exported graphs compute shapes with nodes of their own, so small integer tensors are folded
//! along the way. What isn't known stays unknown: an operator outside this list, a value that
//! depends on data. What contradicts itself is an error that quotes both sides.

mod algebra;
mod fold;
mod layout;
mod spatial;

use std::collections::HashMap;

use crate::proto::{DimensionValue, ModelProto, NodeProto, TensorProto, TypeValue, ValueInfoProto};
use crate::tensor::integers;
use crate::{Element, Error, Result, attribute, graph, read};

/// Integer tensors of up to this many elements are folded; shapes are far shorter.
const FOLDED: usize = 4096;
/// No tensor of a model that anyone runs has more elements; larger ones are not followed, so
/// that sums and products below stay inside 64 bits.
const LARGEST: usize = 1 << 48;

/// What is known of one tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Value {
    element: Option<Element>,
    shape: Option<Vec<usize>>,
    /// The values of a small integer tensor.
    integers: Option<Vec<i64>>,
}

/// Why an operator's result isn't known.
enum Stop {
    /// It can't be told.
    Unknown,
    /// It contradicts itself.
    Wrong(String),
}

type Inferred<T> = std::result::Result<T, Stop>;

fn wrong<T>(message: impl Into<String>) -> Inferred<T> {
    Err(Stop::Wrong(message.into()))
}

impl Value {
    fn new(element: Option<Element>, shape: Vec<usize>) -> Inferred<Self> {
        elements(&shape)?;
        Ok(Self { element, shape: Some(shape), integers: None })
    }

    fn folded(element: Element, shape: Vec<usize>, values: Vec<i64>) -> Self {
        let integers = (values.len() <= FOLDED).then_some(values);
        Self { element: Some(element), shape: Some(shape), integers }
    }

    fn of(tensor: &TensorProto) -> Result<Self> {
        let shape = tensor.shape()?;
        let element = Element::from_code(tensor.data_type);
        if elements(&shape).is_err() {
            return Ok(Self { element, ..Self::default() });
        }
        let small = shape.iter().product::<usize>() <= FOLDED;
        let whole = element.is_some_and(|e| !e.is_float());
        let integers = if small && whole { Some(integers(tensor)?) } else { None };
        Ok(Self { element, shape: Some(shape), integers })
    }
}

/// The number of elements of a shape.
fn elements(shape: &[usize]) -> Inferred<usize> {
    let product = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    match product {
        Some(n) if n <= LARGEST => Ok(shape.iter().product()),
        _ => Err(Stop::Unknown),
    }
}

/// One node with what is known of its inputs.
struct Call<'a> {
    node: &'a NodeProto,
    inputs: Vec<Option<&'a Value>>,
}

impl<'a> Call<'a> {
    fn given(&self, i: usize) -> bool {
        self.node.input.get(i).is_some_and(|n| !n.is_empty())
    }

    fn shape(&self, i: usize) -> Inferred<&'a [usize]> {
        let value = self.inputs.get(i).copied().flatten();
        value.and_then(|v| v.shape.as_deref()).ok_or(Stop::Unknown)
    }

    fn element(&self, i: usize) -> Option<Element> {
        self.inputs.get(i).copied().flatten().and_then(|v| v.element)
    }

    fn integers(&self, i: usize) -> Inferred<&'a [i64]> {
        let value = self.inputs.get(i).copied().flatten();
        value.and_then(|v| v.integers.as_deref()).ok_or(Stop::Unknown)
    }

    /// A list of integers that old operator sets keep in an attribute and new ones in an input.
    fn list(&self, attribute: &str, input: usize) -> Inferred<Option<Vec<i64>>> {
        if self.given(input) {
            return self.integers(input).map(|v| Some(v.to_vec()));
        }
        Ok(attribute::ints_of(self.node, attribute).map(<[i64]>::to_vec))
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        attribute::int_or(self.node, name, default)
    }

    /// An integer attribute as an axis of a tensor of this rank.
    fn axis(&self, default: i64, rank: usize) -> Inferred<usize> {
        axis(self.int("axis", default), rank)
    }
}

/// An axis, counted from the end if negative.
fn axis(axis: i64, rank: usize) -> Inferred<usize> {
    let positive = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match positive.and_then(|a| usize::try_from(a).ok()) {
        Some(a) if a < rank => Ok(a),
        _ => wrong(format!("axis {axis} of a tensor with {rank} dimensions")),
    }
}

fn axes(list: &[i64], rank: usize) -> Inferred<Vec<usize>> {
    list.iter().map(|&a| axis(a, rank)).collect()
}

/// What is known of the tensors of a model.
pub struct Shapes {
    known: HashMap<String, Value>,
    /// For tensors of which nothing is known, the node with which that began.
    lost: HashMap<String, String>,
}

impl Shapes {
    /// The tensor's shape, if known.
    #[must_use]
    pub fn shape(&self, tensor: &str) -> Option<&[usize]> {
        self.known.get(tensor)?.shape.as_deref()
    }

    /// The type of the tensor's elements, if known.
    #[must_use]
    pub fn element(&self, tensor: &str) -> Option<Element> {
        self.known.get(tensor)?.element
    }

    /// The node after which nothing is known, on the way to a tensor whose shape isn't, in words.
    #[must_use]
    pub fn lost(&self, tensor: &str) -> Option<&str> {
        self.lost.get(tensor).map(String::as_str)
    }
}

/// The shapes of all tensors when the inputs have the shapes given. An error if nodes
/// contradict each other, as they do when a model was exported for other shapes.
pub fn infer(model: &ModelProto, inputs: &[(&str, &[usize])]) -> Result<Shapes> {
    let graph = graph(model)?;
    let mut known: HashMap<String, Value> = HashMap::new();
    let mut lost: HashMap<String, String> = HashMap::new();
    for input in &graph.input {
        let shape = inputs.iter().find(|(name, _)| *name == input.name);
        let shape = shape.map(|(_, shape)| shape.to_vec());
        let value = Value { element: element(input), shape, integers: None };
        known.insert(input.name.clone(), value);
    }
    for tensor in &graph.initializer {
        known.insert(tensor.name.clone(), Value::of(tensor)?);
    }
    for node in &graph.node {
        let inputs = node.input.iter().map(|n| known.get(n)).collect();
        let made = match call(&Call { node, inputs }) {
            Ok(made) => made,
            Err(Stop::Unknown) => {
                let before = node.input.iter().find_map(|input| lost.get(input));
                let began = before.cloned().unwrap_or_else(|| read::title(node));
                lost.extend(node.output.iter().map(|output| (output.clone(), began.clone())));
                continue;
            }
            Err(Stop::Wrong(message)) => {
                return Err(Error::Shape { node: read::title(node), message });
            }
        };
        for (name, value) in node.output.iter().zip(made) {
            known.insert(name.clone(), value);
        }
    }
    Ok(Shapes { known, lost })
}

fn call(call: &Call) -> Inferred<Vec<Value>> {
    if !read::is_onnx(&call.node.domain) {
        return Err(Stop::Unknown);
    }
    let made = spatial::call(call)
        .or_else(|| algebra::call(call))
        .or_else(|| layout::call(call))
        .unwrap_or(Err(Stop::Unknown))?;
    Ok(fold::call(call, made))
}

/// The dimensions that the file declares for an input or output, unknown ones as `None`.
#[must_use]
pub fn declared(info: &ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let Some(TypeValue::TensorType(tensor)) = info.r#type.as_ref()?.value.as_ref() else {
        return None;
    };
    let dims = tensor.shape.as_ref()?.dim.iter().map(|d| match d.value {
        Some(DimensionValue::DimValue(v)) => usize::try_from(v).ok(),
        _ => None,
    });
    Some(dims.collect())
}

/// The type of elements that the file declares for an input or output.
#[must_use]
pub fn element(info: &ValueInfoProto) -> Option<Element> {
    match info.r#type.as_ref()?.value.as_ref()? {
        TypeValue::TensorType(tensor) => Element::from_code(tensor.elem_type),
        _ => None,
    }
}
