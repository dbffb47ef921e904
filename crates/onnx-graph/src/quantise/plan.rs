//! What of a graph is quantised.

use std::collections::{HashMap, HashSet};

use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::tensor::floats;
use crate::{Element, Error, Result, read};

/// Which operators compute with bytes, and which tensors become bytes for them.
pub struct Plan {
    /// Activations to quantise, in the order of computation.
    pub tensors: Vec<String>,
    /// The scales of inputs that come from bytes already.
    pub bytes: HashMap<String, f32>,
    /// The convolutions to quantise.
    pub convolutions: Vec<Convolution>,
    /// Outputs of activation functions that the range of a byte stands for.
    absorbed: HashSet<String>,
}

/// A convolution with constant weights.
pub struct Convolution {
    /// What it reads.
    pub input: String,
    /// What it makes, the activation function behind it included.
    pub output: String,
    /// `[out, in / group, …]`, float32.
    pub kernel: TensorProto,
    /// `[out]`, float32.
    pub bias: Option<TensorProto>,
}

/// Plans a graph: every convolution with constant weights, and every sum of two tensors that
/// are bytes then anyway.
pub fn plan(graph: &GraphProto) -> Result<Plan> {
    let facts = Facts::of(graph);
    let mut plan = Plan {
        tensors: Vec::new(),
        bytes: HashMap::new(),
        convolutions: Vec::new(),
        absorbed: HashSet::new(),
    };
    for node in &graph.node {
        let quantised = match node.op_type.as_str() {
            _ if !read::is_onnx(&node.domain) => false,
            "Conv" => plan.convolution(node, &facts)?,
            "Add" => {
                node.input.len() == 2 && node.input.iter().all(|input| plan.tensors.contains(input))
            }
            _ => false,
        };
        if quantised {
            let output = facts.activated(node)?;
            if output != node.output[0] {
                plan.absorbed.insert(output.clone());
            }
            plan.add(output);
        }
    }
    Ok(plan)
}

impl Plan {
    fn add(&mut self, tensor: String) {
        if !self.tensors.contains(&tensor) {
            self.tensors.push(tensor);
        }
    }

    /// Plans a convolution if its weights are constant.
    fn convolution(&mut self, node: &NodeProto, facts: &Facts) -> Result<bool> {
        let constant = |at: usize| node.input.get(at).and_then(|name| facts.float(name));
        let wants_bias = node.input.get(2).is_some_and(|name| !name.is_empty());
        let (Some(kernel), Some(input), [_]) = (constant(1), node.input.first(), &node.output[..])
        else {
            return Ok(false);
        };
        let bias = constant(2).cloned();
        if wants_bias != bias.is_some() {
            return Ok(false);
        }
        match facts.scale_of_bytes(input)? {
            Some(scale) => {
                self.bytes.insert(input.clone(), scale);
            }
            None => self.add(input.clone()),
        }
        self.convolutions.push(Convolution {
            input: input.clone(),
            output: facts.activated(node)?,
            kernel: kernel.clone(),
            bias,
        });
        Ok(true)
    }

    /// The model without the activation functions that the range of a byte stands for: values
    /// below its lowest and above its highest saturate.
    pub fn absorb(&self, mut model: ModelProto) -> Result<ModelProto> {
        let graph = model.graph.as_mut();
        let graph = graph.ok_or_else(|| Error::NotOnnx("it has no graph".into()))?;
        let absorbed = |node: &NodeProto| node.output.iter().any(|o| self.absorbed.contains(o));
        let (gone, kept) = std::mem::take(&mut graph.node).into_iter().partition(absorbed);
        graph.node = kept;
        let gone: Vec<NodeProto> = gone;
        for function in &gone {
            let maker = graph.node.iter_mut().find(|node| node.output.contains(&function.input[0]));
            if let Some(maker) = maker {
                maker.output.clone_from(&function.output);
            }
        }
        Ok(model)
    }
}

/// What planning asks of a graph.
struct Facts<'a> {
    graph: &'a GraphProto,
    constants: HashMap<&'a str, &'a TensorProto>,
    users: HashMap<&'a str, Vec<&'a NodeProto>>,
    makers: HashMap<&'a str, &'a NodeProto>,
}

impl<'a> Facts<'a> {
    fn of(graph: &'a GraphProto) -> Self {
        let mut users: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        let mut makers = HashMap::new();
        for node in &graph.node {
            for name in read::needs(node) {
                users.entry(name).or_default().push(node);
            }
            makers.extend(node.output.iter().map(|output| (output.as_str(), node)));
        }
        let constants = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
        Self { graph, constants, users, makers }
    }

    /// The constant float32 tensor of this name.
    fn float(&self, name: &str) -> Option<&'a TensorProto> {
        let tensor = self.constants.get(name).copied()?;
        (tensor.data_type == Element::F32 as i32).then_some(tensor)
    }

    /// The scale of a tensor that is made of bytes by a single constant scale.
    fn scale_of_bytes(&self, tensor: &str) -> Result<Option<f32>> {
        let maker = self.makers.get(tensor).filter(|n| n.op_type == "DequantizeLinear");
        let scale = maker.and_then(|n| n.input.get(1)).and_then(|name| self.float(name));
        let zero = maker.and_then(|n| n.input.get(2)).and_then(|name| self.constants.get(&**name));
        match (scale, zero) {
            (Some(scale), Some(zero)) if zero.data_type == Element::U8 as i32 => {
                let scales = floats(scale)?;
                Ok((scales.len() == 1).then(|| scales[0]))
            }
            _ => Ok(None),
        }
    }

    /// What a node makes, or what the only user of that makes of it if a byte's range can
    /// stand for that user: `Relu`, and `Clip` from 0.
    fn activated(&self, node: &NodeProto) -> Result<String> {
        let output = &node.output[0];
        let only = match self.users.get(output.as_str()).map(Vec::as_slice) {
            Some([only]) if !self.graph.output.iter().any(|o| o.name == *output) => *only,
            _ => return Ok(output.clone()),
        };
        let from_zero = match only.op_type.as_str() {
            _ if !read::is_onnx(&only.domain) => false,
            "Relu" => true,
            "Clip" => self.clips_at_zero(only)?,
            _ => false,
        };
        Ok(if from_zero { only.output[0].clone() } else { output.clone() })
    }

    fn clips_at_zero(&self, clip: &NodeProto) -> Result<bool> {
        let low = clip.input.get(1).and_then(|name| self.float(name));
        let high = clip.input.get(2).filter(|name| !name.is_empty());
        let known = high.is_none_or(|name| self.float(name).is_some());
        Ok(known && low.map(floats).transpose()?.is_some_and(|low| low == [0.0]))
    }
}
