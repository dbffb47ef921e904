//! Reading with checks, and writing.

use std::collections::{BTreeSet, HashMap, HashSet};

use prost::Message;

use crate::proto::{
    GraphProto, ModelProto, NodeProto, SparseTensorProto, StringStringEntryProto, TensorProto,
};
use crate::{Error, Result};

/// The newest operator set that ONNX Runtime 1.31 runs.
const NEWEST_OPSET: i64 = 26;
/// The oldest operator set in which the nodes that this crate adds mean what they should.
const OLDEST_OPSET: i64 = 13;
const NEWEST_IR: i64 = 13;

/// Reads a model and checks what the rest of this crate relies on: versions that it knows, all
/// values in this file, every name made once and before it is used. Nodes that are merely out
/// of order are put in order.
pub fn read(bytes: &[u8]) -> Result<ModelProto> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let mut model = ModelProto::decode(bytes).map_err(|e| Error::NotOnnx(e.to_string()))?;
    check_versions(&model)?;
    let Some(graph) = &mut model.graph else {
        return Err(Error::NotOnnx("it has no graph".into()));
    };
    check_graph(graph)?;
    model.functions.iter().try_for_each(|f| check_nodes(&f.node))?;
    sort(graph)?;
    Ok(model)
}

/// The bytes of an `.onnx` file; equal models give equal bytes.
#[must_use]
pub fn write(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// The model's graph.
pub fn graph(model: &ModelProto) -> Result<&GraphProto> {
    model.graph.as_ref().ok_or_else(|| Error::NotOnnx("it has no graph".into()))
}

/// The value of `key` in the model's metadata.
#[must_use]
pub fn metadata<'a>(model: &'a ModelProto, key: &str) -> Option<&'a str> {
    model.metadata_props.iter().find(|p| p.key == key).map(|p| p.value.as_str())
}

/// Sets `key` in the model's metadata.
pub fn set_metadata(model: &mut ModelProto, key: &str, value: &str) {
    model.metadata_props.retain(|p| p.key != key);
    let entry = StringStringEntryProto { key: key.into(), value: value.into() };
    model.metadata_props.push(entry);
}

fn check_versions(model: &ModelProto) -> Result<()> {
    let opset = model
        .opset_import
        .iter()
        .find(|o| is_onnx(&o.domain))
        .ok_or_else(|| Error::NotOnnx("it names no operator set".into()))?
        .version;
    if opset > NEWEST_OPSET {
        return Err(Error::TooNew { what: "opset", found: opset, newest: NEWEST_OPSET });
    }
    if opset < OLDEST_OPSET {
        return Err(Error::TooOld { found: opset, oldest: OLDEST_OPSET });
    }
    if model.ir_version > NEWEST_IR {
        let found = model.ir_version;
        return Err(Error::TooNew { what: "IR version", found, newest: NEWEST_IR });
    }
    Ok(())
}

/// Is it the domain of ONNX's own operators?
pub(crate) fn is_onnx(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Every tensor with values of its own: weights, and what nodes hold, here and in graphs
/// inside nodes.
fn check_graph(graph: &GraphProto) -> Result<()> {
    let sparse = graph.sparse_initializer.iter().flat_map(parts);
    graph.initializer.iter().chain(sparse).try_for_each(check_tensor)?;
    check_nodes(&graph.node)
}

fn check_nodes(nodes: &[NodeProto]) -> Result<()> {
    for attribute in nodes.iter().flat_map(|n| &n.attribute) {
        let sparse = attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors);
        let tensors = attribute.t.iter().chain(&attribute.tensors).chain(sparse.flat_map(parts));
        tensors.into_iter().try_for_each(check_tensor)?;
    }
    nodes.iter().flat_map(subgraphs).try_for_each(check_graph)
}

fn parts(sparse: &SparseTensorProto) -> impl Iterator<Item = &TensorProto> {
    sparse.values.iter().chain(&sparse.indices)
}

fn check_tensor(tensor: &TensorProto) -> Result<()> {
    const EXTERNAL: i32 = 1;
    if tensor.data_location == EXTERNAL || !tensor.external_data.is_empty() {
        return Err(Error::ExternalData { tensor: tensor.name.clone() });
    }
    tensor.shape().map(|_| ())
}

/// The graphs inside a node (branches of `If`, bodies of `Loop` and `Scan`).
fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs))
}

/// All tensors that a node needs: its inputs, and what the graphs inside it take from outside.
pub(crate) fn needs(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> =
        node.input.iter().map(String::as_str).filter(|n| !n.is_empty()).collect();
    for inner in subgraphs(node) {
        let made: HashSet<&str> = made(inner).collect();
        let used = inner.node.iter().flat_map(needs).chain(names_of_outputs(inner));
        names.extend(used.filter(|n| !made.contains(n)));
    }
    names
}

fn names_of_outputs(graph: &GraphProto) -> impl Iterator<Item = &str> {
    graph.output.iter().map(|o| o.name.as_str())
}

/// The names that a graph gives from outside its nodes.
pub(crate) fn given(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let sparse = graph.sparse_initializer.iter().filter_map(|s| s.values.as_ref());
    let initializers = graph.initializer.iter().chain(sparse).map(|t| t.name.as_str());
    graph.input.iter().map(|i| i.name.as_str()).chain(initializers)
}

fn made(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let outputs = graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str));
    given(graph).chain(outputs.filter(|o| !o.is_empty()))
}

/// How messages name a node.
pub(crate) fn title(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
    format!("the {} node {:?}", node.op_type, name.map_or("", String::as_str))
}

/// Puts the nodes in an order in which each comes after what it needs; nodes that are in such
/// an order already stay where they are.
pub(crate) fn sort(graph: &mut GraphProto) -> Result<()> {
    let order = order(graph)?;
    let mut nodes: Vec<Option<NodeProto>> =
        std::mem::take(&mut graph.node).into_iter().map(Some).collect();
    graph.node = order.into_iter().filter_map(|i| nodes[i].take()).collect();
    Ok(())
}

fn order(graph: &GraphProto) -> Result<Vec<usize>> {
    let makers = makers(graph)?;
    let given: HashSet<&str> = given(graph).collect();
    let mut waiting = vec![0usize; graph.node.len()];
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    for (i, node) in graph.node.iter().enumerate() {
        for name in needs(node) {
            if let Some(&maker) = makers.get(name) {
                waiting[i] += 1;
                users[maker].push(i);
            } else if !given.contains(name) {
                return Err(Error::MissingTensor { user: title(node), tensor: name.into() });
            }
        }
    }
    for name in names_of_outputs(graph) {
        if !given.contains(name) && !makers.contains_key(name) {
            return Err(Error::MissingTensor { user: "the output".into(), tensor: name.into() });
        }
    }
    release(graph, waiting, &users)
}

/// The order in which nodes become ready, given how many others each waits for and who waits
/// for it. The ready node that comes first in the file is taken first.
fn release(
    graph: &GraphProto,
    mut waiting: Vec<usize>,
    users: &[Vec<usize>],
) -> Result<Vec<usize>> {
    let mut ready: BTreeSet<usize> = (0..waiting.len()).filter(|&i| waiting[i] == 0).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(i) = ready.pop_first() {
        order.push(i);
        for &user in &users[i] {
            waiting[user] -= 1;
            if waiting[user] == 0 {
                ready.insert(user);
            }
        }
    }
    match waiting.iter().position(|&w| w > 0) {
        Some(i) => Err(Error::Circle { node: title(&graph.node[i]) }),
        None => Ok(order),
    }
}

/// Which node makes which tensor; an error if two do.
fn makers(graph: &GraphProto) -> Result<HashMap<&str, usize>> {
    let given: HashSet<&str> = given(graph).collect();
    let mut makers = HashMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().map(String::as_str).filter(|n| !n.is_empty()) {
            if given.contains(name) || makers.insert(name, i).is_some() {
                return Err(Error::MadeTwice { tensor: name.into() });
            }
        }
    }
    Ok(makers)
}
