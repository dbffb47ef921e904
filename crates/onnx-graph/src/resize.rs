//! Resizing pictures inside a graph, equal to Pillow's `BILINEAR`.
//!
//! ONNX's own `Resize` with antialiasing differs from Pillow by up to 18 grey levels in the
//! outer rows (its windows reach past the border). Pillow's algorithm is a product with a
//! matrix of weights per axis, in fixed point with 22 bits and rounded to bytes after each
//! axis, which double precision carries exactly; so that is what is built here. The result is
//! Pillow's bit for bit, except for pictures clearly taller than wide that are shrunk, where
//! newer releases of Pillow take the other axis first and single pixels are one level off.

use crate::proto::{AttributeProto, TensorProto};
use crate::{Builder, Element, attribute};

/// Bits behind the point of Pillow's weights (`PRECISION_BITS` of its `Resample.c`).
const FIXED: f64 = (1u64 << 22) as f64;

/// Adds nodes that resize `image`, uint8 `[n, h, w, 3]` of any height and width, to uint8
/// `[n, size, size, 3]`, and returns the result's name.
pub fn pillow_bilinear(b: &mut Builder, image: &str, size: usize) -> String {
    let shape = b.node("Shape", &[image], "image_shape", vec![]);
    let constants = Constants::new(b, size);
    let columns = weights(b, &shape, 2, &constants, "columns");
    let columns = b.node("Transpose", &[&columns], "columns_t", perm(&[1, 0]));
    let rows = weights(b, &shape, 1, &constants, "rows");
    let planes = b.node("Transpose", &[image], "planes_u8", perm(&[0, 3, 1, 2]));
    let planes = b.node("Cast", &[&planes], "planes", to(Element::F64));
    let wide = b.node("MatMul", &[&planes, &columns], "wide_fixed", vec![]);
    let wide = to_bytes(b, &wide, &constants, "wide");
    let small = b.node("MatMul", &[&rows, &wide], "small_fixed", vec![]);
    let small = to_bytes(b, &small, &constants, "small");
    let small = b.node("Cast", &[&small], "small_u8", to(Element::U8));
    b.node("Transpose", &[&small], "resized", perm(&[0, 2, 3, 1]))
}

fn perm(axes: &[i64]) -> Vec<AttributeProto> {
    vec![attribute::ints("perm", axes)]
}

fn to(element: Element) -> Vec<AttributeProto> {
    vec![attribute::int("to", element as i64)]
}

/// Names of the constants that both axes use.
struct Constants {
    half: String,
    one: String,
    size: String,
    fixed: String,
    last_axis: String,
    centres: String,
}

impl Constants {
    fn new(b: &mut Builder, size: usize) -> Self {
        let mut scalar = |name, value| b.initializer(name, TensorProto::f64(&[], &[value]));
        let (half, one) = (scalar("half", 0.5), scalar("one", 1.0));
        let (size_name, fixed) = (scalar("size", size as f64), scalar("fixed", FIXED));
        let last_axis = b.initializer("last_axis", TensorProto::i64(&[1], &[-1]));
        let centres: Vec<f64> = (0..size).map(|i| i as f64 + 0.5).collect();
        let centres = b.initializer("centres", TensorProto::f64(&[size, 1], &centres));
        Self { half, one, size: size_name, fixed, last_axis, centres }
    }
}

/// The matrix `[size, length]` of one axis, in fixed point: triangles of radius
/// max(length / size, 1) around the centres of the output's pixels, each row with sum 1.
fn weights(b: &mut Builder, shape: &str, axis: i64, c: &Constants, name: &str) -> String {
    let wish = |part: &str| format!("{name}_{part}");
    let axis = b.initializer(&wish("axis"), TensorProto::i64(&[], &[axis]));
    let length = b.node("Gather", &[shape, &axis], &wish("length_i64"), vec![]);
    let length = b.node("Cast", &[&length], &wish("length"), to(Element::F64));
    let scale = b.node("Div", &[&length, &c.size], &wish("scale"), vec![]);
    let radius = b.node("Max", &[&scale, &c.one], &wish("radius"), vec![]);
    let centres = b.node("Mul", &[&c.centres, &scale], &wish("centres"), vec![]);
    let pixels = b.node("Range", &[&c.half, &length, &c.one], &wish("pixels"), vec![]);
    let offset = b.node("Sub", &[&pixels, &centres], &wish("offset"), vec![]);
    let distance = b.node("Abs", &[&offset], &wish("distance"), vec![]);
    let distance = b.node("Div", &[&distance, &radius], &wish("distance_in_radii"), vec![]);
    let slope = b.node("Sub", &[&c.one, &distance], &wish("slope"), vec![]);
    let triangle = b.node("Relu", &[&slope], &wish("triangle"), vec![]);
    normalised(b, &triangle, c, name)
}

/// Rows with sum 1 in fixed point.
fn normalised(b: &mut Builder, triangle: &str, c: &Constants, name: &str) -> String {
    let wish = |part: &str| format!("{name}_{part}");
    let sum = b.node("ReduceSum", &[triangle, &c.last_axis], &wish("sum"), vec![]);
    let weights = b.node("Div", &[triangle, &sum], &wish("weights"), vec![]);
    let weights = b.node("Mul", &[&weights, &c.fixed], &wish("weights_scaled"), vec![]);
    let weights = b.node("Add", &[&weights, &c.half], &wish("weights_half_up"), vec![]);
    b.node("Floor", &[&weights], &wish("weights_fixed"), vec![])
}

/// Fixed point to whole grey levels, halves upwards. The result can't leave 0..=255: weights
/// aren't negative, and their sum's rounding error is far below half a level.
fn to_bytes(b: &mut Builder, fixed: &str, c: &Constants, name: &str) -> String {
    let wish = |part: &str| format!("{name}_{part}");
    let level = b.node("Div", &[fixed, &c.fixed], &wish("level"), vec![]);
    let level = b.node("Add", &[&level, &c.half], &wish("half_up"), vec![]);
    b.node("Floor", &[&level], name, vec![])
}
