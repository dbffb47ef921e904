//! Cutting a graph down to what some of its tensors need.

use std::collections::HashSet;

use crate::proto::{GraphProto, ModelProto, NodeProto};
use crate::read::{is_onnx, needs};
use crate::{Error, Result, graph};

/// The part of the model that makes `tensors`: its graph has no outputs yet, and only the
/// nodes, initializers and inputs that are needed. ONNX Runtime computes everything that is in
/// a file, wanted or not, so what isn't needed must go.
pub fn cut(model: &ModelProto, tensors: &[&str]) -> Result<ModelProto> {
    let old = graph(model)?;
    let (node, needed) = needed_by(old, tensors);
    let made: HashSet<&str> = crate::read::given(old)
        .chain(node.iter().flat_map(|n| n.output.iter().map(String::as_str)))
        .collect();
    if let Some(missing) = tensors.iter().find(|t| !made.contains(*t)) {
        return Err(Error::MissingTensor { user: "the cut".into(), tensor: (*missing).into() });
    }
    let mut model = shell(model);
    let uses_functions = node.iter().any(|n| !is_onnx(&n.domain));
    if !uses_functions {
        model.functions.clear();
        model.opset_import.retain(|o| is_onnx(&o.domain));
    }
    if let Some(new) = &mut model.graph {
        new.name.clone_from(&old.name);
        new.node = node;
        new.initializer = keep(&old.initializer, |t| needed.contains(&t.name));
        new.sparse_initializer = keep(&old.sparse_initializer, |s| {
            s.values.as_ref().is_some_and(|v| needed.contains(&v.name))
        });
        new.input = keep(&old.input, |i| {
            needed.contains(&i.name) && !old.initializer.iter().any(|t| t.name == i.name)
        });
    }
    Ok(model)
}

/// The nodes that `tensors` need, in order, and the names of all tensors on the way.
fn needed_by(graph: &GraphProto, tensors: &[&str]) -> (Vec<NodeProto>, HashSet<String>) {
    let mut needed: HashSet<String> = tensors.iter().map(|&t| t.into()).collect();
    let mut nodes = Vec::new();
    // Nodes are in order, so going backwards meets every user before its maker.
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|o| needed.contains(o)) {
            needed.extend(needs(node).into_iter().map(String::from));
            nodes.push(node.clone());
        }
    }
    nodes.reverse();
    (nodes, needed)
}

/// The model without its graph's contents and without what belongs to training.
fn shell(model: &ModelProto) -> ModelProto {
    ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        producer_name: model.producer_name.clone(),
        producer_version: model.producer_version.clone(),
        domain: model.domain.clone(),
        model_version: model.model_version,
        doc_string: model.doc_string.clone(),
        graph: Some(GraphProto::default()),
        metadata_props: model.metadata_props.clone(),
        training_info: Vec::new(),
        functions: model.functions.clone(),
        configuration: Vec::new(),
    }
}

fn keep<T: Clone>(items: &[T], wanted: impl Fn(&T) -> bool) -> Vec<T> {
    items.iter().filter(|i| wanted(i)).cloned().collect()
}
