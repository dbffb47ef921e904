//! The values of small integer tensors, from which exported graphs build their shapes.

use crate::Element;

use super::{Call, FOLDED, Value, elements, layout};

/// `made` with its values, where they can be told from the node's inputs.
pub(super) fn call(call: &Call, mut made: Vec<Value>) -> Vec<Value> {
    if let [value] = made.as_mut_slice()
        && value.integers.is_none()
        && value.element.is_some_and(|e| !e.is_float())
        && let Some(shape) = &value.shape
        && elements(shape).is_ok_and(|n| n <= FOLDED)
    {
        value.integers = values(call, shape).filter(|v| v.len() == shape.iter().product());
    }
    made
}

fn values(call: &Call, shape: &[usize]) -> Option<Vec<i64>> {
    let x = || call.integers(0).ok().map(<[i64]>::to_vec);
    match call.node.op_type.as_str() {
        "Cast" => cast(call, &x()?),
        "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => x(),
        "Concat" if shape.len() == 1 => {
            let parts = (0..call.inputs.len()).map(|i| call.integers(i).ok());
            parts.collect::<Option<Vec<_>>>().map(|parts| parts.concat())
        }
        "Gather" => gather(call),
        "Slice" => slice(call),
        "Transpose" => transpose(call),
        "Expand" => spread(call, 0, shape),
        "Where" => choose(call, shape),
        "ReduceProd" => Some(vec![x()?.iter().try_fold(1i64, |p, &v| p.checked_mul(v))?])
            .filter(|_| shape.iter().all(|&d| d == 1)),
        "Neg" => x()?.iter().map(|v| v.checked_neg()).collect(),
        "Not" => Some(x()?.iter().map(|&v| i64::from(v == 0)).collect()),
        op => {
            let (a, b) = (spread(call, 0, shape)?, spread(call, 1, shape)?);
            if call.inputs.len() != 2 {
                return None;
            }
            a.iter().zip(&b).map(|(&a, &b)| arithmetic(op, a, b)).collect()
        }
    }
}

/// Between integers; a float has no known values here.
fn cast(call: &Call, x: &[i64]) -> Option<Vec<i64>> {
    let to = i32::try_from(call.int("to", 0)).ok().and_then(Element::from_code)?;
    let convert = |&v: &i64| match to {
        Element::I64 => Some(v),
        Element::I32 => i32::try_from(v).ok().map(i64::from),
        Element::Bool => Some(i64::from(v != 0)),
        _ => None,
    };
    x.iter().map(convert).collect()
}

fn choose(call: &Call, shape: &[usize]) -> Option<Vec<i64>> {
    let condition = spread(call, 0, shape)?;
    let (yes, no) = (spread(call, 1, shape)?, spread(call, 2, shape)?);
    let pairs = condition.iter().zip(yes.into_iter().zip(no));
    Some(pairs.map(|(&c, (y, n))| if c != 0 { y } else { n }).collect())
}

fn arithmetic(op: &str, a: i64, b: i64) -> Option<i64> {
    match op {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        "Min" => Some(a.min(b)),
        "Max" => Some(a.max(b)),
        "Mod" => a.checked_rem_euclid(b).filter(|_| b > 0),
        "Equal" => Some(i64::from(a == b)),
        "Less" => Some(i64::from(a < b)),
        "Greater" => Some(i64::from(a > b)),
        "LessOrEqual" => Some(i64::from(a <= b)),
        "GreaterOrEqual" => Some(i64::from(a >= b)),
        "And" => Some(i64::from(a != 0 && b != 0)),
        "Or" => Some(i64::from(a != 0 || b != 0)),
        _ => None,
    }
}

/// The values of input `i`, if it is one number or has the result's shape already.
fn spread(call: &Call, i: usize, shape: &[usize]) -> Option<Vec<i64>> {
    let values = call.integers(i).ok()?;
    if let [one] = values {
        return Some(vec![*one; shape.iter().product()]);
    }
    (call.shape(i).ok()? == shape).then(|| values.to_vec())
}

fn gather(call: &Call) -> Option<Vec<i64>> {
    let (x, indices) = (call.integers(0).ok()?, call.integers(1).ok()?);
    if call.shape(0).ok()?.len() != 1 {
        return None;
    }
    let size = x.len() as i64;
    let at = |&i: &i64| x.get(usize::try_from(if i < 0 { i + size } else { i }).ok()?).copied();
    indices.iter().map(at).collect()
}

fn slice(call: &Call) -> Option<Vec<i64>> {
    let shape = call.shape(0).ok()?;
    let slices = layout::slices(call, shape).ok()?;
    let strides = strides(shape);
    // Only an axis of length one can have a step so large that its stride overflows, and there
    // the stride is never used.
    let starts = slices.iter().zip(&strides).map(|((start, ..), stride)| start * stride);
    let axes: Vec<(usize, i64)> = slices
        .iter()
        .zip(&strides)
        .map(|(&(_, step, length), stride)| (length, step.wrapping_mul(*stride)))
        .collect();
    walk(call.integers(0).ok()?, starts.sum(), &axes)
}

fn transpose(call: &Call) -> Option<Vec<i64>> {
    let shape = call.shape(0).ok()?;
    let strides = strides(shape);
    let axes: Vec<(usize, i64)> =
        layout::order(call, shape).ok()?.iter().map(|&p| (shape[p], strides[p])).collect();
    walk(call.integers(0).ok()?, 0, &axes)
}

/// How far apart neighbours along each axis are, row by row.
fn strides(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i] as i64;
    }
    strides
}

/// The values at start + Σ index · stride, row by row, for axes of (length, stride).
fn walk(x: &[i64], start: i64, axes: &[(usize, i64)]) -> Option<Vec<i64>> {
    let count: usize = axes.iter().map(|&(length, _)| length).product();
    (0..count)
        .map(|mut i| {
            let mut at = start;
            for &(length, stride) in axes.iter().rev() {
                at += (i % length) as i64 * stride;
                i /= length;
            }
            x.get(usize::try_from(at).ok()?).copied()
        })
        .collect()
}
