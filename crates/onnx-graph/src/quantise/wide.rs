//! The first convolution, over colours, made fit for integer matrix products.
//!
//! Integer convolutions collect the pixels under the kernel for each number of the output,
//! row by row of the kernel. With three colours these are a few bytes at a time, and
//! collecting them costs several times what multiplying them does. Here one place of the
//! convolution gives several neighbouring columns of the output as additional channels, and
//! takes neighbouring pixels as additional colours: fewer and longer rows are collected, for
//! the price of multiplying with zeros. The result is the same to the bit.

use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::shapes::declared;
use crate::tensor::integers;
use crate::{Builder, Error, Result, attribute, graph};

/// Columns of the output that one place may give, the best measured first.
const COLUMNS: [usize; 3] = [3, 4, 2];

/// The nodes from the picture to the first bytes after the convolution.
struct Stem<'a> {
    planes: &'a NodeProto,
    convolution: &'a NodeProto,
    bytes: &'a NodeProto,
}

/// How the convolution lies on the picture, and how the wide one will.
struct Plan {
    /// Colours, outputs, and height and width of the kernel.
    kernel: [usize; 4],
    /// Height and width of the picture.
    picture: [usize; 2],
    /// Rows and columns of the output.
    output: [usize; 2],
    /// Strides down and across.
    strides: [usize; 2],
    /// Padding before the first and after the last row.
    rows: [usize; 2],
    /// Columns of the output that one place gives.
    columns: usize,
    /// Groups of pixels under the wide kernel, and groups of padding on the left and right.
    groups: [usize; 3],
    /// Where the first pixel of the kernel lies in the first group.
    first: usize,
}

/// The quantised model with a wide first convolution, if it has one that can be widened: of
/// bytes `[n, height, width, 3]` whose planes only it reads.
pub fn widen(model: ModelProto) -> Result<ModelProto> {
    let graph = graph(&model)?;
    let found = stem(graph).and_then(|stem| plan(graph, &stem).map(|plan| (stem, plan)));
    let Some((stem, plan)) = found else {
        return Ok(model);
    };
    let names = [stem.planes, stem.convolution, stem.bytes].map(|node| node.output[0].clone());
    let outputs = graph.output.clone();
    let constants = Constants::of(graph, stem.convolution)?;
    let mut b = Builder::extend(model)?;
    let [planes, convolution, bytes] = names.each_ref().map(String::as_str);
    pair(&mut b, planes, &plan);
    constants.widen(&mut b, convolution, &plan)?;
    b.configure(convolution, plan.attributes());
    unfold(&mut b, bytes, &plan);
    super::only_needed(&b.finish()?, outputs)
}

/// Lets the planes be made of groups of pixels.
fn pair(b: &mut Builder, planes: &str, plan: &Plan) {
    let Plan { kernel: [_, colours, ..], picture: [height, width], strides, .. } = *plan;
    let group = strides[1];
    let shape = [0, height, width / group, colours * group].map(|side| side as i64);
    let shape = b.initializer("group_shape", TensorProto::i64(&[4], &shape));
    let groups = b.node("Reshape", &["image", &shape], "pixel_groups", vec![]);
    b.feed(planes, 0, &groups);
}

/// Puts the columns that are channels in their places.
fn unfold(b: &mut Builder, bytes: &str, plan: &Plan) {
    let order = |axes: &[i64]| vec![attribute::ints("perm", axes)];
    let Plan { kernel: [channels, ..], output: [height, width], .. } = *plan;
    let shape = [0, height, width, channels].map(|side| side as i64);
    let shape = b.initializer("column_shape", TensorProto::i64(&[4], &shape));
    let last = b.node("Transpose", &[bytes], &format!("{bytes}_wide"), order(&[0, 2, 3, 1]));
    let columns = b.node("Reshape", &[&last, &shape], &format!("{bytes}_columns"), vec![]);
    let name = format!("{bytes}_planes");
    let unfolded = b.node("Transpose", &[&columns], &name, order(&[0, 3, 1, 2]));
    b.redirect(bytes, &unfolded, &last);
}

/// The pattern that quantisation leaves at the picture's end.
fn stem(graph: &GraphProto) -> Option<Stem<'_>> {
    let only_user = |tensor: &str| {
        let mut users = graph.node.iter().filter(|n| n.input.iter().any(|i| i == tensor));
        users.next().filter(|_| users.next().is_none())
    };
    let is = |node: &NodeProto, op: &str| node.op_type == op;
    let planes = only_user("image").filter(|n| is(n, "Transpose"))?;
    let to_planes = attribute::ints_of(planes, "perm") == Some(&[0, 3, 1, 2]);
    let rounded = only_user(planes.output.first()?).filter(|n| is(n, "DequantizeLinear"))?;
    let convolution = only_user(rounded.output.first()?).filter(|n| is(n, "Conv"))?;
    let bytes = only_user(convolution.output.first()?).filter(|n| is(n, "QuantizeLinear"))?;
    let group = attribute::int_or(convolution, "group", 1);
    (to_planes && group == 1).then_some(Stem { planes, convolution, bytes })
}

/// The wide convolution's geometry, if there is one.
fn plan(graph: &GraphProto, stem: &Stem<'_>) -> Option<Plan> {
    let image = graph.input.iter().find(|i| i.name == "image").and_then(declared)?;
    let [_, Some(height), Some(width), Some(_)] = image[..] else {
        return None;
    };
    let kernel = integers_of(graph, stem.convolution, 1)?.shape().ok()?;
    let [channels, colours, down, across] = kernel[..] else {
        return None;
    };
    let list = |name: &str, default: [usize; 2]| match attribute::ints_of(stem.convolution, name) {
        Some(&[a, b]) => Some([usize::try_from(a).ok()?, usize::try_from(b).ok()?]),
        Some(_) => None,
        None => Some(default),
    };
    let strides = list("strides", [1, 1])?;
    if list("dilations", [1, 1])? != [1, 1] || strides.contains(&0) {
        return None;
    }
    let (rows, top) = axis(stem.convolution, 0, height, down, strides[0])?;
    let (columns, left) = axis(stem.convolution, 1, width, across, strides[1])?;
    let group = strides[1];
    let per_place = COLUMNS.into_iter().find(|&p| columns.is_multiple_of(p))?;
    let before = left[0].div_ceil(group);
    let first = before * group - left[0];
    let groups = (first + (per_place - 1) * group + across).div_ceil(group);
    // Where the last place ends, in groups, without what was put before the first.
    let end = (columns / per_place - 1) * per_place + groups - before;
    let after = end.checked_sub(width / group)?;
    width.is_multiple_of(group).then_some(Plan {
        kernel: [channels, colours, down, across],
        picture: [height, width],
        output: [rows, columns],
        strides,
        rows: top,
        columns: per_place,
        groups: [groups, before, after],
        first,
    })
}

/// Length of the output and padding before and after, along one axis of the picture.
fn axis(
    convolution: &NodeProto,
    at: usize,
    size: usize,
    kernel: usize,
    stride: usize,
) -> Option<(usize, [usize; 2])> {
    let padding = match attribute::string_or(convolution, "auto_pad", "NOTSET") {
        "SAME_UPPER" => {
            let total = ((size.div_ceil(stride) - 1) * stride + kernel).saturating_sub(size);
            [total / 2, total - total / 2]
        }
        "NOTSET" => match attribute::ints_of(convolution, "pads") {
            None => [0, 0],
            Some(pads) => {
                let pad = |at: usize| usize::try_from(*pads.get(at)?).ok();
                [pad(at)?, pad(at + 2)?]
            }
        },
        _ => return None,
    };
    let span = (size + padding[0] + padding[1]).checked_sub(kernel)?;
    Some((span / stride + 1, padding))
}

impl Plan {
    fn attributes(&self) -> Vec<crate::proto::AttributeProto> {
        let Self { kernel: [_, _, down, _], groups: [groups, left, right], .. } = *self;
        let list = |name: &str, values: &[usize]| {
            let values: Vec<i64> = values.iter().map(|&v| v as i64).collect();
            attribute::ints(name, &values)
        };
        vec![
            list("kernel_shape", &[down, groups]),
            // A place moves by as many groups as it gives columns: a group is a stride long.
            list("strides", &[self.strides[0], self.columns]),
            list("pads", &[self.rows[0], left, self.rows[1], right]),
            attribute::int("group", 1),
        ]
    }

    /// The kernel `[channels, colours, down, across]` as
    /// `[columns · channels, group · colours, down, groups]`.
    fn kernel(&self, old: &[i8]) -> Vec<i8> {
        let Self { kernel: [channels, colours, down, across], groups: [groups, ..], .. } = *self;
        let group = self.strides[1];
        let mut wide = vec![0; self.columns * channels * group * colours * down * groups];
        for (at, &weight) in old.iter().enumerate() {
            let (x, y) = (at % across, at / across % down);
            let colour = at / across / down % colours;
            let channel = at / across / down / colours;
            for column in 0..self.columns {
                let pixel = self.first + column * group + x;
                let output = column * channels + channel;
                let input = pixel % group * colours + colour;
                let place = (output * group * colours + input) * down + y;
                wide[place * groups + pixel / group] = weight;
            }
        }
        wide
    }
}

/// The tensor of integers that a `DequantizeLinear` in front of input `at` of `node` reads.
fn integers_of<'a>(graph: &'a GraphProto, node: &NodeProto, at: usize) -> Option<&'a TensorProto> {
    let rounded = maker(graph, node.input.get(at)?)?;
    constant(graph, rounded.input.first()?)
}

fn maker<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a NodeProto> {
    graph.node.iter().find(|n| n.op_type == "DequantizeLinear" && n.output[0] == *tensor)
}

fn constant<'a>(graph: &'a GraphProto, name: &str) -> Option<&'a TensorProto> {
    graph.initializer.iter().find(|t| t.name == name)
}

/// The convolution's kernel and bias: integers, scale and zero of each.
struct Constants(Vec<[TensorProto; 3]>);

impl Constants {
    fn of(graph: &GraphProto, convolution: &NodeProto) -> Result<Self> {
        let missing = || Error::Mismatch("the first convolution isn't quantised".into());
        let all = convolution.input.iter().skip(1).map(|input| {
            let maker = maker(graph, input).ok_or_else(missing)?;
            let part = |at: usize| {
                let name = maker.input.get(at).ok_or_else(missing)?;
                constant(graph, name).cloned().ok_or_else(missing)
            };
            Ok([part(0)?, part(1)?, part(2)?])
        });
        all.collect::<Result<_>>().map(Self)
    }

    /// Feeds the wide constants to the convolution.
    fn widen(&self, b: &mut Builder, convolution: &str, plan: &Plan) -> Result<()> {
        let [channels, colours, down, _] = plan.kernel;
        for (at, [whole, scale, zero]) in self.0.iter().enumerate() {
            let whole = if at == 0 {
                let old: Vec<i8> = integers(whole)?.into_iter().map(|v| v as i8).collect();
                let inputs = plan.strides[1] * colours;
                let shape = [plan.columns * channels, inputs, down, plan.groups[0]];
                TensorProto {
                    name: whole.name.clone(),
                    ..TensorProto::i8(&shape, &plan.kernel(&old))
                }
            } else {
                repeated(whole, plan.columns)
            };
            let [scale, zero] = [scale, zero].map(|t| repeated(t, plan.columns));
            let name = format!("{}_wide", whole.name);
            let rounded = super::constant(b, &name, whole, scale, zero);
            b.feed(convolution, at + 1, &rounded);
        }
        Ok(())
    }
}

/// A vector several times in a row.
fn repeated(vector: &TensorProto, times: usize) -> TensorProto {
    let dims = vector.dims.iter().map(|d| d * times as i64).collect();
    TensorProto { dims, raw_data: vector.raw_data.repeat(times), ..vector.clone() }
}
