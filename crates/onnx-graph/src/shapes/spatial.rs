//! Convolutions and pools.

use super::{Call, Inferred, Stop, Value, wrong};
use crate::Element;
use crate::attribute::{ints_of, string_or};

/// The node's outputs, if it is an operator of this family.
pub(super) fn call(call: &Call) -> Option<Inferred<Vec<Value>>> {
    let made = match call.node.op_type.as_str() {
        "Conv" => conv(call, 1),
        "ConvInteger" => conv(call, 1).map(|v| with_element(v, Element::I32)),
        "QLinearConv" => conv(call, 3),
        "MaxPool" | "AveragePool" | "LpPool" => pool(call),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => global_pool(call),
        _ => return None,
    };
    Some(made.map(|v| vec![v]))
}

fn with_element(value: Value, element: Element) -> Value {
    Value { element: Some(element), ..value }
}

/// `weights` is the number of the input that holds the kernel.
fn conv(call: &Call, weights: usize) -> Inferred<Value> {
    let (x, w) = (call.shape(0)?, call.shape(weights)?);
    if x.len() < 3 || x.len() != w.len() {
        return wrong(format!("a kernel of shape {w:?} for a map of shape {x:?}"));
    }
    let group = call.int("group", 1);
    if i128::from(group) * w[1] as i128 != x[1] as i128 {
        let message =
            format!("the map has {} channels, the kernel {w:?} in {group} groups needs", x[1]);
        return wrong(format!("{message} {}", i128::from(group) * w[1] as i128));
    }
    let mut shape = vec![x[0], w[0]];
    shape.extend(window(call, &x[2..], &w[2..])?);
    Value::new(call.element(0), shape)
}

fn pool(call: &Call) -> Inferred<Value> {
    let x = call.shape(0)?;
    let kernel = ints_of(call.node, "kernel_shape").ok_or(Stop::Unknown)?;
    let kernel: Vec<usize> = kernel.iter().filter_map(|&k| usize::try_from(k).ok()).collect();
    if x.len() < 3 || kernel.len() != x.len() - 2 {
        return wrong(format!("a window of shape {kernel:?} for a map of shape {x:?}"));
    }
    let mut shape = x[..2].to_vec();
    shape.extend(window(call, &x[2..], &kernel)?);
    Value::new(call.element(0), shape)
}

fn global_pool(call: &Call) -> Inferred<Value> {
    let x = call.shape(0)?;
    if x.len() < 3 {
        return wrong(format!("a map of shape {x:?}"));
    }
    let mut shape = x[..2].to_vec();
    shape.resize(x.len(), 1);
    Value::new(call.element(0), shape)
}

/// The size of the map that a window leaves, axis by axis, as the ONNX specification of `Conv`
/// and `AveragePool` has it.
fn window(call: &Call, input: &[usize], kernel: &[usize]) -> Inferred<Vec<usize>> {
    let n = input.len();
    let list = |name, default: i64, length| match ints_of(call.node, name) {
        Some(values) if values.len() == length => Ok(values.to_vec()),
        Some(values) => wrong(format!("{name} has {} values instead of {length}", values.len())),
        None => Ok(vec![default; length]),
    };
    let (strides, dilations) = (list("strides", 1, n)?, list("dilations", 1, n)?);
    let pads = list("pads", 0, 2 * n)?;
    let auto = string_or(call.node, "auto_pad", "NOTSET");
    let round_up = call.int("ceil_mode", 0) != 0;
    (0..n)
        .map(|i| {
            let window = Window {
                size: input[i] as i128,
                stride: i128::from(strides[i]),
                reach: i128::from(dilations[i]) * (kernel[i] as i128 - 1) + 1,
                before: i128::from(pads[i]),
                after: i128::from(pads[i + n]),
            };
            usize::try_from(window.steps(auto, round_up)? + 1).map_err(|_| Stop::Unknown)
        })
        .collect()
}

/// A window that moves along one axis.
struct Window {
    size: i128,
    stride: i128,
    reach: i128,
    before: i128,
    after: i128,
}

impl Window {
    /// How often it moves on.
    fn steps(&self, auto_pad: &str, round_up: bool) -> Inferred<i128> {
        let &Self { size, stride, reach, before, after } = self;
        if stride < 1 || reach < 1 {
            return wrong(format!("stride {stride} and a window of {reach}"));
        }
        if auto_pad.starts_with("SAME") {
            return Ok((size + stride - 1) / stride - 1);
        }
        let padded = if auto_pad == "VALID" { size } else { size + before + after };
        if padded < reach {
            return wrong(format!("a window of {reach} on a map of {padded}"));
        }
        if !round_up {
            return Ok((padded - reach) / stride);
        }
        // A last window that would begin behind the map and its first padding is dropped.
        let steps = (padded - reach + stride - 1) / stride;
        Ok(if steps * stride >= size + before { steps - 1 } else { steps })
    }
}
