//! Element by element, products and reductions.

use super::{Call, Inferred, Stop, Value, axes, wrong};
use crate::Element;
use crate::attribute;

/// The node's outputs, if it is an operator of this family.
pub(super) fn call(call: &Call) -> Option<Inferred<Vec<Value>>> {
    let op = call.node.op_type.as_str();
    let made = match op {
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Min" | "Max" | "Sum" | "Mean" => {
            broadcast_all(call, 0).and_then(|s| Value::new(call.element(0), s))
        }
        "And" | "Or" | "Xor" | "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" => {
            broadcast_all(call, 0).and_then(|s| Value::new(Some(Element::Bool), s))
        }
        "Where" => broadcast_all(call, 0).and_then(|s| Value::new(call.element(1), s)),
        "Gemm" => gemm(call),
        "MatMul" => matmul(call),
        "ArgMax" | "ArgMin" => arg(call),
        "Cast" => same(call, to(call)),
        "DequantizeLinear" => same(call, call.element(1)),
        "QuantizeLinear" => same(call, call.element(2).or(Some(Element::U8))),
        "Not" | "IsNaN" | "IsInf" => same(call, Some(Element::Bool)),
        _ if op.starts_with("Reduce") => reduce(call),
        _ if SAME.contains(&op) => same(call, call.element(0)),
        _ => return None,
    };
    Some(made.map(|v| vec![v]))
}

/// Operators whose first output looks like their first input.
const SAME: &[&str] = &[
    "Abs",
    "BatchNormalization",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "CumSum",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Mish",
    "Neg",
    "PRelu",
    "RMSNormalization",
    "Reciprocal",
    "Relu",
    "Round",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Trilu",
];

fn same(call: &Call, element: Option<Element>) -> Inferred<Value> {
    Value::new(element, call.shape(0)?.to_vec())
}

fn to(call: &Call) -> Option<Element> {
    i32::try_from(call.int("to", 0)).ok().and_then(Element::from_code)
}

fn broadcast_all(call: &Call, from: usize) -> Inferred<Vec<usize>> {
    let mut shape = call.shape(from)?.to_vec();
    for i in from + 1..call.inputs.len() {
        shape = broadcast(&shape, call.shape(i)?)?;
    }
    Ok(shape)
}

/// The common shape of two tensors under numpy's rules.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Inferred<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| {
        if i + s.len() < rank { 1 } else { s[i + s.len() - rank] }
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (1, d) | (d, 1) => Ok(d),
            (d, e) if d == e => Ok(d),
            _ => wrong(format!("the shapes {a:?} and {b:?} don't go together")),
        })
        .collect()
}

fn gemm(call: &Call) -> Inferred<Value> {
    let (a, b) = (call.shape(0)?, call.shape(1)?);
    let (&[a0, a1], &[b0, b1]) = (a, b) else {
        return wrong(format!("{a:?} times {b:?}: both must have two dimensions"));
    };
    let (rows, inner) = if call.int("transA", 0) == 0 { (a0, a1) } else { (a1, a0) };
    let (depth, columns) = if call.int("transB", 0) == 0 { (b0, b1) } else { (b1, b0) };
    if inner != depth {
        return wrong(format!("{inner} columns meet {depth} rows"));
    }
    Value::new(call.element(0), vec![rows, columns])
}

fn matmul(call: &Call) -> Inferred<Value> {
    let (a, b) = (call.shape(0)?, call.shape(1)?);
    let (Some((&inner, a_rest)), false) = (a.split_last(), b.is_empty()) else {
        return wrong(format!("{a:?} times {b:?}"));
    };
    let (a_batch, rows) = match a_rest.split_last() {
        Some((&rows, batch)) => (batch, Some(rows)),
        None => (&[][..], None),
    };
    let (b_batch, depth, columns) = match *b {
        [depth] => (&[][..], depth, None),
        [ref batch @ .., depth, columns] => (batch, depth, Some(columns)),
        [] => return Err(Stop::Unknown),
    };
    if inner != depth {
        return wrong(format!("{a:?} times {b:?}: {inner} columns meet {depth} rows"));
    }
    let mut shape = broadcast(a_batch, b_batch)?;
    shape.extend(rows.into_iter().chain(columns));
    Value::new(call.element(0), shape)
}

fn reduce(call: &Call) -> Inferred<Value> {
    let x = call.shape(0)?;
    let list = call.list("axes", 1)?.unwrap_or_default();
    let keep = call.int("keepdims", 1) != 0;
    let reduced = if list.is_empty() {
        if call.int("noop_with_empty_axes", 0) != 0 {
            return same(call, call.element(0));
        }
        (0..x.len()).collect()
    } else {
        axes(&list, x.len())?
    };
    Value::new(call.element(0), without(x, &reduced, keep))
}

fn arg(call: &Call) -> Inferred<Value> {
    let x = call.shape(0)?;
    let axis = call.axis(0, x.len())?;
    let keep = attribute::int_or(call.node, "keepdims", 1) != 0;
    Value::new(Some(Element::I64), without(x, &[axis], keep))
}

fn without(x: &[usize], reduced: &[usize], keep: bool) -> Vec<usize> {
    let dims = x.iter().enumerate();
    dims.filter_map(|(i, &d)| match (reduced.contains(&i), keep) {
        (true, true) => Some(1),
        (true, false) => None,
        (false, _) => Some(d),
    })
    .collect()
}
