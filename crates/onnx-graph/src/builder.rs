//! Adding to a graph.

use std::collections::HashSet;

use crate::proto::{
    AttributeProto, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto,
};
use crate::{Element, Error, Result};

/// The oldest IR version in which initializers need not be listed as inputs is 4; 8 belongs to
/// the operator sets that are written here.
const IR_VERSION: i64 = 8;

/// One dimension of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Always this.
    Fixed(usize),
    /// Any size; equal names are equal sizes.
    Open(&'static str),
}

/// A graph under construction. Names are unique: each adding function takes a wish and returns
/// the name that was given.
pub struct Builder {
    model: ModelProto,
    graph: GraphProto,
    names: HashSet<String>,
}

impl Builder {
    /// An empty graph in operator set `opset`.
    #[must_use]
    pub fn new(name: &str, opset: i64) -> Self {
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: opset }];
        let model = ModelProto { ir_version: IR_VERSION, opset_import, ..Default::default() };
        let graph = GraphProto { name: name.into(), ..Default::default() };
        Self { model, graph, names: HashSet::new() }
    }

    /// Goes on with a model that exists.
    pub fn extend(mut model: ModelProto) -> Result<Self> {
        let graph = model.graph.take().ok_or_else(|| Error::NotOnnx("it has no graph".into()))?;
        model.ir_version = model.ir_version.max(IR_VERSION);
        let names = crate::read::given(&graph)
            .chain(graph.node.iter().flat_map(crate::read::needs))
            .chain(graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str)))
            .chain(graph.node.iter().map(|n| n.name.as_str()))
            .map(String::from)
            .collect();
        Ok(Self { model, graph, names })
    }

    /// The finished model, its nodes in order; an error if the graph doesn't hold together.
    pub fn finish(mut self) -> Result<ModelProto> {
        crate::read::sort(&mut self.graph)?;
        self.model.graph = Some(self.graph);
        Ok(self.model)
    }

    /// A name that nothing has yet: the wish, or the wish with a number.
    fn unique(&mut self, wish: &str) -> String {
        let mut name = wish.to_owned();
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{wish}_{number}");
        }
        name
    }

    /// Adds a constant tensor.
    pub fn initializer(&mut self, wish: &str, mut tensor: TensorProto) -> String {
        let name = self.unique(wish);
        tensor.name.clone_from(&name);
        self.graph.initializer.push(tensor);
        name
    }

    /// Adds a node with one output, whose name is returned.
    pub fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        wish: &str,
        attribute: Vec<AttributeProto>,
    ) -> String {
        let output = self.unique(wish);
        self.graph.node.push(NodeProto {
            op_type: op.into(),
            name: output.clone(),
            input: inputs.iter().map(|&i| i.into()).collect(),
            output: vec![output.clone()],
            attribute,
            ..Default::default()
        });
        output
    }

    /// Adds a graph input with exactly this name. If another tensor had it, that tensor's new
    /// name is returned.
    pub fn input(&mut self, name: &str, element: Element, dims: &[Size]) -> Option<String> {
        let moved = self.free(name);
        self.names.insert(name.into());
        self.graph.input.push(value_info(name, element, dims));
        moved
    }

    /// Makes `tensor` a graph output with exactly this name.
    pub fn output(&mut self, tensor: &str, name: &str, element: Element, dims: &[Size]) {
        if tensor != name {
            self.free(name);
            self.rename(tensor, name);
        }
        self.graph.output.push(value_info(name, element, dims));
    }

    /// Adds a node as it is; its names must be free or known.
    pub(crate) fn add(&mut self, node: NodeProto) {
        self.names.extend(node.output.iter().cloned());
        self.graph.node.push(node);
    }

    /// Lets every node that uses `tensor` use `other`, but not the one that makes `except`.
    pub(crate) fn redirect(&mut self, tensor: &str, other: &str, except: &str) {
        for node in &mut self.graph.node {
            if node.output.iter().all(|output| output != except) {
                redirect_node(node, tensor, other);
            }
        }
    }

    /// Lets the node that makes `output` read `tensor` as its input number `at`, which it has.
    pub(crate) fn feed(&mut self, output: &str, at: usize, tensor: &str) {
        let maker = |node: &&mut NodeProto| node.output.iter().any(|o| o == output);
        let input = self.graph.node.iter_mut().find(maker).and_then(|n| n.input.get_mut(at));
        if let Some(input) = input {
            tensor.clone_into(input);
        }
    }

    /// Gives the node that makes `output` other attributes.
    pub(crate) fn configure(&mut self, output: &str, attributes: Vec<AttributeProto>) {
        if let Some(node) =
            self.graph.node.iter_mut().find(|n| n.output.iter().any(|o| o == output))
        {
            node.attribute = attributes;
        }
    }

    /// Takes all nodes away, to give others; their names stay taken.
    pub(crate) fn clear_nodes(&mut self) {
        self.graph.node.clear();
    }

    /// Takes all outputs away, to give others.
    pub fn clear_outputs(&mut self) {
        self.graph.output.clear();
    }

    /// Lets everything that uses the graph input `input` use `tensor`; the input goes.
    pub fn replace_input(&mut self, input: &str, tensor: &str) {
        self.graph.input.retain(|i| i.name != input);
        self.rename(input, tensor);
    }

    /// Gives a graph input another name.
    pub fn rename_input(&mut self, from: &str, to: &str) {
        self.free(to);
        self.rename(from, to);
    }

    /// Sees to it that nothing has this name; a tensor that had it gets the name returned.
    fn free(&mut self, name: &str) -> Option<String> {
        if !self.names.contains(name) {
            return None;
        }
        let other = self.unique(name);
        self.rename(name, &other);
        Some(other)
    }

    fn rename(&mut self, from: &str, to: &str) {
        self.names.remove(from);
        self.names.insert(to.into());
        rename_graph(&mut self.graph, from, to);
    }
}

fn rename_graph(graph: &mut GraphProto, from: &str, to: &str) {
    let infos = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
    let names = infos
        .map(|i| &mut i.name)
        .chain(graph.initializer.iter_mut().map(|t| &mut t.name))
        .filter(|n| n.as_str() == from);
    for name in names {
        to.clone_into(name);
    }
    for node in &mut graph.node {
        rename_node(node, from, to);
    }
}

fn rename_node(node: &mut NodeProto, from: &str, to: &str) {
    for name in node.input.iter_mut().chain(&mut node.output).filter(|n| n.as_str() == from) {
        to.clone_into(name);
    }
    for attribute in &mut node.attribute {
        for inner in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
            rename_graph(inner, from, to);
        }
    }
}

/// As [`rename_node`], for what the node reads.
fn redirect_node(node: &mut NodeProto, from: &str, to: &str) {
    for name in node.input.iter_mut().filter(|n| n.as_str() == from) {
        to.clone_into(name);
    }
    for attribute in &mut node.attribute {
        for inner in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
            inner.node.iter_mut().for_each(|node| redirect_node(node, from, to));
        }
    }
}

fn value_info(name: &str, element: Element, dims: &[Size]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|d| {
            let value = match d {
                Size::Fixed(d) => DimensionValue::DimValue(*d as i64),
                Size::Open(name) => DimensionValue::DimParam((*name).into()),
            };
            Dimension { value: Some(value), ..Default::default() }
        })
        .collect();
    let shape = Some(TensorShapeProto { dim });
    let value = Some(TypeValue::TensorType(TensorType { elem_type: element as i32, shape }));
    let r#type = Some(TypeProto { value, ..Default::default() });
    ValueInfoProto { name: name.into(), r#type, ..Default::default() }
}
