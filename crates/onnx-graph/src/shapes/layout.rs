//! What moves, joins and cuts tensors, and the tensors that nodes make from nothing.

use super::{Call, Inferred, Stop, Value, algebra, axes, axis, elements, wrong};
use crate::{Element, attribute};

/// The node's outputs, if it is an operator of this family.
pub(super) fn call(call: &Call) -> Option<Inferred<Vec<Value>>> {
    let shape = match call.node.op_type.as_str() {
        "Reshape" => reshape(call),
        "Flatten" => flatten(call),
        "Transpose" => transpose(call),
        "Squeeze" => squeeze(call),
        "Unsqueeze" => unsqueeze(call),
        "Concat" => concat(call),
        "Slice" => slice(call),
        "Gather" => gather(call),
        "Expand" => expand(call),
        "Tile" => tile(call),
        "Pad" => pad(call),
        "Split" => return Some(split(call)),
        "Shape" => return Some(shape_of(call).map(|v| vec![v])),
        "Size" => return Some(Value::new(Some(Element::I64), vec![]).map(|v| vec![v])),
        "Constant" => return Some(constant(call).map(|v| vec![v])),
        "ConstantOfShape" => return Some(constant_of_shape(call).map(|v| vec![v])),
        "Range" => return Some(range(call).map(|v| vec![v])),
        _ => return None,
    };
    Some(shape.and_then(|s| Value::new(call.element(0), s)).map(|v| vec![v]))
}

fn dim(value: i64) -> Inferred<usize> {
    usize::try_from(value).or_else(|_| wrong(format!("a dimension of {value}")))
}

fn reshape(call: &Call) -> Inferred<Vec<usize>> {
    let x = call.shape(0)?;
    let wanted = call.integers(1)?;
    let copies_zero = call.int("allowzero", 0) == 0;
    let mut shape = Vec::with_capacity(wanted.len());
    for (i, &d) in wanted.iter().enumerate() {
        shape.push(match d {
            -1 => 1,
            0 if copies_zero => *x.get(i).ok_or(Stop::Unknown)?,
            d => dim(d)?,
        });
    }
    let (have, rest) = (elements(x)?, elements(&shape)?);
    if let Some(open) = wanted.iter().position(|&d| d == -1) {
        if rest == 0 {
            return Err(Stop::Unknown);
        }
        shape[open] = have / rest;
    }
    if elements(&shape)? == have {
        return Ok(shape);
    }
    wrong(format!("a tensor of shape {x:?} can't take the shape {wanted:?}"))
}

fn flatten(call: &Call) -> Inferred<Vec<usize>> {
    let x = call.shape(0)?;
    let at = call.int("axis", 1);
    let at = if at == x.len() as i64 { x.len() } else { axis(at, x.len())? };
    Ok(vec![elements(&x[..at])?, elements(&x[at..])?])
}

fn transpose(call: &Call) -> Inferred<Vec<usize>> {
    let x = call.shape(0)?;
    Ok(order(call, x)?.iter().map(|&p| x[p]).collect())
}

/// Which axis of a tensor of shape `x` comes where after a `Transpose`.
pub(super) fn order(call: &Call, x: &[usize]) -> Inferred<Vec<usize>> {
    let Some(perm) = attribute::ints_of(call.node, "perm") else {
        return Ok((0..x.len()).rev().collect());
    };
    let perm = axes(perm, x.len())?;
    let mut seen = perm.clone();
    seen.sort_unstable();
    if !seen.iter().copied().eq(0..x.len()) {
        return wrong(format!("the order {perm:?} for a tensor of shape {x:?}"));
    }
    Ok(perm)
}

fn squeeze(call: &Call) -> Inferred<Vec<usize>> {
    let x = call.shape(0)?;
    let gone = match call.list("axes", 1)? {
        Some(list) => axes(&list, x.len())?,
        None => (0..x.len()).filter(|&i| x[i] == 1).collect(),
    };
    if gone.iter().any(|&i| x[i] != 1) {
        return wrong(format!("axes {gone:?} of the shape {x:?} aren't all 1"));
    }
    Ok((0..x.len()).filter(|i| !gone.contains(i)).map(|i| x[i]).collect())
}

fn unsqueeze(call: &Call) -> Inferred<Vec<usize>> {
    let x = call.shape(0)?;
    let list = call.list("axes", 1)?.ok_or(Stop::Unknown)?;
    let new = axes(&list, x.len() + list.len())?;
    let mut old = x.iter();
    let rank = x.len() + list.len();
    Ok((0..rank)
        .map(|i| if new.contains(&i) { 1 } else { old.next().copied().unwrap_or(1) })
        .collect())
}

fn concat(call: &Call) -> Inferred<Vec<usize>> {
    let mut shape = call.shape(0)?.to_vec();
    let at = call.axis(0, shape.len())?;
    for i in 1..call.inputs.len() {
        let next = call.shape(i)?;
        let fits = next.len() == shape.len()
            && next.iter().zip(&shape).enumerate().all(|(j, (a, b))| j == at || a == b);
        if !fits {
            return wrong(format!("{shape:?} and {next:?} can't be joined along axis {at}"));
        }
        shape[at] += next[at];
    }
    Ok(shape)
}

fn split(call: &Call) -> Inferred<Vec<Value>> {
    let x = call.shape(0)?;
    let at = call.axis(0, x.len())?;
    let parts = call.node.output.len().max(1);
    let sizes = if let Some(list) = call.list("split", 1)? {
        list.iter().map(|&d| dim(d)).collect::<Inferred<Vec<usize>>>()?
    } else {
        let each = x[at].div_ceil(parts);
        (0..parts).map(|i| each.min(x[at].saturating_sub(i * each))).collect()
    };
    if sizes.len() != parts || sizes.iter().copied().fold(0, usize::saturating_add) != x[at] {
        return wrong(format!("{} can't be split into {sizes:?} for {parts} outputs", x[at]));
    }
    sizes
        .iter()
        .map(|&size| {
            let mut shape = x.to_vec();
            shape[at] = size;
            Value::new(call.element(0), shape)
        })
        .collect()
}

/// Start, step and length of the slice along each axis of a tensor of shape `x`.
pub(super) fn slices(call: &Call, x: &[usize]) -> Inferred<Vec<(i64, i64, usize)>> {
    let (starts, ends) = (call.integers(1)?, call.integers(2)?);
    let along = match call.list("axes", 3)? {
        Some(list) => axes(&list, x.len())?,
        None => (0..starts.len()).collect(),
    };
    let steps = if call.given(4) { call.integers(4)?.to_vec() } else { vec![1; starts.len()] };
    let mut slices: Vec<(i64, i64, usize)> = x.iter().map(|&d| (0, 1, d)).collect();
    for (i, &at) in along.iter().enumerate() {
        let (Some(&start), Some(&end), Some(&step)) = (starts.get(i), ends.get(i), steps.get(i))
        else {
            return wrong("starts, ends, axes and steps have different lengths");
        };
        let slot = slices.get_mut(at).ok_or(Stop::Unknown)?;
        *slot = slice_of(x[at] as i64, start, end, step)?;
    }
    Ok(slices)
}

/// numpy's rule for `start:end:step` on an axis of `size`.
fn slice_of(size: i64, start: i64, end: i64, step: i64) -> Inferred<(i64, i64, usize)> {
    if size == 0 {
        return Ok((0, step, 0));
    }
    let from_end = |i: i64| if i < 0 { i.saturating_add(size) } else { i };
    let (start, length) = match step {
        0 => return wrong("a step of 0"),
        1.. => {
            let (start, end) = (from_end(start).clamp(0, size), from_end(end).clamp(0, size));
            (start, i128::from(end) - i128::from(start))
        }
        _ => {
            let start = from_end(start).clamp(0, size - 1);
            let end = from_end(end).clamp(-1, size - 1);
            (start, i128::from(start) - i128::from(end))
        }
    };
    let step_size = i128::from(step).abs();
    let length = if length <= 0 { 0 } else { (length + step_size - 1) / step_size };
    Ok((start, step, length as usize))
}

fn slice(call: &Call) -> Inferred<Vec<usize>> {
    Ok(slices(call, call.shape(0)?)?.into_iter().map(|(_, _, length)| length).collect())
}

fn gather(call: &Call) -> Inferred<Vec<usize>> {
    let (x, indices) = (call.shape(0)?, call.shape(1)?);
    let at = call.axis(0, x.len())?;
    Ok([&x[..at], indices, &x[at + 1..]].concat())
}

fn expand(call: &Call) -> Inferred<Vec<usize>> {
    let wanted = call.integers(1)?.iter().map(|&d| dim(d)).collect::<Inferred<Vec<usize>>>()?;
    algebra::broadcast(call.shape(0)?, &wanted)
}

fn tile(call: &Call) -> Inferred<Vec<usize>> {
    let (x, repeats) = (call.shape(0)?, call.integers(1)?);
    if repeats.len() != x.len() {
        return wrong(format!("{} repeats for the shape {x:?}", repeats.len()));
    }
    let pairs = x.iter().zip(repeats);
    pairs.map(|(&d, &r)| d.checked_mul(dim(r)?).ok_or(Stop::Unknown)).collect()
}

fn pad(call: &Call) -> Inferred<Vec<usize>> {
    let x = call.shape(0)?;
    let pads = call.list("pads", 1)?.ok_or(Stop::Unknown)?;
    let along =
        if call.given(3) { axes(call.integers(3)?, x.len())? } else { (0..x.len()).collect() };
    if pads.len() != 2 * along.len() {
        return wrong(format!("{} pads for {} axes", pads.len(), along.len()));
    }
    let mut shape = x.to_vec();
    for (i, &at) in along.iter().enumerate() {
        let sum = x[at] as i128 + i128::from(pads[i]) + i128::from(pads[i + along.len()]);
        shape[at] = usize::try_from(sum).map_err(|_| Stop::Unknown)?;
    }
    Ok(shape)
}

fn shape_of(call: &Call) -> Inferred<Value> {
    let x = call.shape(0)?;
    let rank = x.len() as i64;
    let bound = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
    let (start, end) = (bound(call.int("start", 0)), bound(call.int("end", rank)));
    let dims: Vec<i64> = x[start..end.max(start)].iter().map(|&d| d as i64).collect();
    Ok(Value::folded(Element::I64, vec![dims.len()], dims))
}

fn constant(call: &Call) -> Inferred<Value> {
    if let Some(tensor) = attribute::find(call.node, "value").and_then(|a| a.t.as_ref()) {
        return Value::of(tensor).or_else(|e| wrong(e.to_string()));
    }
    if let Some(a) = attribute::find(call.node, "value_int") {
        return Ok(Value::folded(Element::I64, vec![], vec![a.i.unwrap_or(0)]));
    }
    if let Some(a) = attribute::find(call.node, "value_ints") {
        return Ok(Value::folded(Element::I64, vec![a.ints.len()], a.ints.clone()));
    }
    if attribute::find(call.node, "value_float").is_some() {
        return Value::new(Some(Element::F32), vec![]);
    }
    let floats = attribute::find(call.node, "value_floats").ok_or(Stop::Unknown)?;
    Value::new(Some(Element::F32), vec![floats.floats.len()])
}

fn constant_of_shape(call: &Call) -> Inferred<Value> {
    let shape = call.integers(0)?.iter().map(|&d| dim(d)).collect::<Inferred<Vec<usize>>>()?;
    let fill = attribute::find(call.node, "value").and_then(|a| a.t.as_ref());
    let Some(fill) = fill else {
        return Value::new(Some(Element::F32), shape);
    };
    let fill = Value::of(fill).or_else(|e| wrong(e.to_string()))?;
    let count = elements(&shape)?;
    let mut value = Value::new(fill.element, shape)?;
    if count <= super::FOLDED {
        value.integers = fill.integers.and_then(|v| v.first().map(|&v| vec![v; count]));
    }
    Ok(value)
}

fn range(call: &Call) -> Inferred<Value> {
    let one = |i| call.integers(i)?.first().copied().ok_or(Stop::Unknown);
    let (start, limit, step) = (one(0)?, one(1)?, one(2)?);
    if step == 0 {
        return wrong("a step of 0");
    }
    let span = (i128::from(limit) - i128::from(start)).signum() * i128::from(step).signum();
    let distance = (i128::from(limit) - i128::from(start)).unsigned_abs();
    let count = if span <= 0 { 0 } else { distance.div_ceil(i128::from(step).unsigned_abs()) };
    let count = usize::try_from(count).map_err(|_| Stop::Unknown)?;
    let element = call.element(0).unwrap_or(Element::I64);
    if count > super::FOLDED {
        return Value::new(Some(element), vec![count]);
    }
    let values = (0..count as i64).map(|i| start.wrapping_add(i.wrapping_mul(step))).collect();
    Ok(Value::folded(element, vec![count], values))
}
