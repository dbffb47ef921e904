//! Batch norms folded into the convolutions before them.

use std::collections::HashMap;

use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::tensor::floats;
use crate::{Builder, Error, Result, attribute, read};

/// ONNX's default.
const EPSILON: f32 = 1e-5;

/// Kernel, bias and batch norm in one: names and new values.
struct Folded {
    convolution: NodeProto,
    kernel: TensorProto,
    bias: TensorProto,
    /// The batch norm's output.
    output: String,
}

/// The model with every batch norm γ (y − μ) / √(σ² + ε) + β that is the only user of a
/// convolution with constant weights folded into it.
pub fn fold(model: &ModelProto) -> Result<ModelProto> {
    let graph = crate::graph(model)?;
    let constants: HashMap<&str, &TensorProto> =
        graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut folded = Vec::new();
    for norm in graph.node.iter().filter(|n| n.op_type == "BatchNormalization") {
        if let Some(convolution) = convolution_before(graph, norm) {
            folded.extend(fold_one(convolution, norm, &constants)?);
        }
    }
    if folded.is_empty() {
        return Ok(model.clone());
    }
    let mut model = model.clone();
    let graph = model.graph.as_mut();
    let graph = graph.ok_or_else(|| Error::NotOnnx("it has no graph".into()))?;
    let gone = |n: &NodeProto| {
        folded.iter().any(|f| n.output.contains(&f.output) || n.output == f.convolution.output)
    };
    graph.node.retain(|node| !gone(node));
    let mut b = Builder::extend(model)?;
    for Folded { convolution, kernel, bias, output } in folded {
        let name = &convolution.input[1];
        let kernel = b.initializer(&format!("{name}_folded"), kernel);
        let bias = b.initializer(&format!("{name}_bias"), bias);
        b.add(NodeProto {
            input: vec![convolution.input[0].clone(), kernel, bias],
            output: vec![output],
            ..convolution
        });
    }
    b.finish()
}

/// The convolution that only `norm` reads.
fn convolution_before<'a>(graph: &'a GraphProto, norm: &NodeProto) -> Option<&'a NodeProto> {
    let input = norm.input.first()?;
    let users = graph.node.iter().filter(|n| read::needs(n).contains(&input.as_str())).count();
    let is_output = graph.output.iter().any(|o| o.name == *input);
    let maker = graph.node.iter().find(|n| n.op_type == "Conv" && n.output.contains(input))?;
    (users == 1 && !is_output).then_some(maker)
}

/// Kernel and bias of both; `None` where one of them isn't constant.
fn fold_one(
    convolution: &NodeProto,
    norm: &NodeProto,
    constants: &HashMap<&str, &TensorProto>,
) -> Result<Option<Folded>> {
    let constant = |node: &NodeProto, at: usize| {
        node.input.get(at).and_then(|name| constants.get(name.as_str()).copied())
    };
    let parts: Option<Vec<&TensorProto>> = (1..5).map(|at| constant(norm, at)).collect();
    let has_bias = convolution.input.get(2).is_some_and(|name| !name.is_empty());
    let bias = constant(convolution, 2);
    let (Some(kernel), Some(parts), true) =
        (constant(convolution, 1), parts, has_bias == bias.is_some())
    else {
        return Ok(None);
    };
    let channels = kernel.shape()?.first().copied().unwrap_or(0);
    let parts: Vec<Vec<f32>> =
        parts.into_iter().map(|part| vector(part, channels)).collect::<Result<_>>()?;
    let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|part: usize| &parts[part]);
    let before = bias.map_or_else(|| Ok(vec![0.0; channels]), |bias| vector(bias, channels))?;

    let epsilon = attribute::find(norm, "epsilon").and_then(|a| a.f).unwrap_or(EPSILON);
    let factor =
        |c: usize| f64::from(gamma[c]) / (f64::from(variance[c]) + f64::from(epsilon)).sqrt();
    let shifted = |c: usize| {
        let centred = f64::from(before[c]) - f64::from(mean[c]);
        (centred * factor(c) + f64::from(beta[c])) as f32
    };
    let bias: Vec<f32> = (0..channels).map(shifted).collect();
    Ok(Some(Folded {
        convolution: convolution.clone(),
        kernel: scaled(kernel, channels, factor)?,
        bias: TensorProto::f32(&[channels], &bias),
        output: norm.output[0].clone(),
    }))
}

/// The kernel with the weights of output channel c multiplied by `factor(c)`.
fn scaled(
    kernel: &TensorProto,
    channels: usize,
    factor: impl Fn(usize) -> f64,
) -> Result<TensorProto> {
    let mut values = floats(kernel)?;
    let each = (values.len() / channels.max(1)).max(1);
    for (c, weights) in values.chunks_exact_mut(each).enumerate() {
        for weight in weights {
            *weight = (f64::from(*weight) * factor(c)) as f32;
        }
    }
    Ok(TensorProto::f32(&kernel.shape()?, &values))
}

/// The numbers of a tensor of that length.
fn vector(tensor: &TensorProto, length: usize) -> Result<Vec<f32>> {
    let values = floats(tensor)?;
    if values.len() == length {
        return Ok(values);
    }
    let (tensor, found) = (tensor.name.clone(), values.len());
    Err(Error::TensorLength { tensor, found, wanted: length })
}
