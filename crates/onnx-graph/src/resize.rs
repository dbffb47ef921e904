//! Resizing pictures inside a graph, equal to Pillow's `BILINEAR`.
//!
//! ONNX's own `Resize` with antialiasing differs from Pillow by up to 18 grey levels in the
//! outer rows (its windows reach past the border). Pillow's algorithm is a product with a
//! matrix of weights per axis, in fixed point with 22 bits and rounded to bytes after each
//! axis, which double precision carries exactly; so that is what is built here. The result is
//! Pillow's bit for bit, except for pictures clearly taller than wide that are shrunk, where
//! newer releases of Pillow take the other axis first and single pixels are one level off.

use crate::classifier::sizes;
use crate::proto::{AttributeProto, ModelProto, TensorProto};
use crate::{Builder, Element, Result, Size, attribute};

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
    both_axes(b, image, &columns, &rows, &constants)
}

/// A backbone (`image` uint8 `[n, size, size, 3]` -> `embedding`) with a resize in front of it:
/// its `image` is uint8 `[n, side + 1, side, 3]`, slots that hold pictures of different sizes,
/// none larger than `side`. A slot's first row tells the picture's size: its first pixel the
/// height and its second the width, low byte first, third byte unused. The picture begins at
/// the left of the second row; what is beside it and below doesn't matter.
///
/// An error if the model is no backbone.
pub fn in_front(backbone: &ModelProto, side: usize) -> Result<ModelProto> {
    let (size, dims) = sizes(backbone)?;
    let mut b = Builder::extend(crate::cut(backbone, &["embedding"])?)?;
    let shape = [Size::Open("n"), Size::Fixed(side + 1), Size::Fixed(side), Size::Fixed(3)];
    b.input("slots", Element::U8, &shape);
    let resized = slots(&mut b, "slots", side, size);
    b.replace_input("image", &resized);
    b.rename_input("slots", "image");
    b.output("embedding", "embedding", Element::F32, &[Size::Open("n"), Size::Fixed(dims)]);
    b.finish()
}

/// Adds nodes that resize the pictures in `slots` as [`in_front`] has them to uint8
/// `[n, size, size, 3]`; returns the result's name.
fn slots(b: &mut Builder, slots: &str, side: usize, size: usize) -> String {
    let constants = Constants::new(b, size);
    let header = slice(b, slots, 1, [0, 1], "header");
    let picture = slice(b, slots, 1, [1, side as i64 + 1], "picture");
    let bytes = b.initializer("bytes", TensorProto::f64(&[3], &[1.0, 256.0, 0.0]));
    let pixels: Vec<f64> = (0..side).map(|i| i as f64 + 0.5).collect();
    let pixels = b.initializer("pixels", TensorProto::f64(&[side], &pixels));
    let mut axis = |place: i64, name: &str| {
        let wish = |part: &str| format!("{name}_{part}");
        let length = slice(b, &header, 2, [place, place + 1], &wish("bytes"));
        let length = b.node("Cast", &[&length], &wish("bytes_f64"), to(Element::F64));
        let length = b.node("Mul", &[&length, &bytes], &wish("parts"), vec![]);
        let length = b.node("ReduceSum", &[&length, &constants.last_axis], &wish("sum"), vec![]);
        // A batch may be padded with empty slots.
        let length = b.node("Max", &[&length, &constants.one], &wish("length"), vec![]);
        let triangle = triangles(b, &length, &pixels, &constants, name);
        // Where the picture ends, so do its weights.
        let inside = b.node("Less", &[&pixels, &length], &wish("is_inside"), vec![]);
        let inside = b.node("Cast", &[&inside], &wish("inside"), to(Element::F64));
        let triangle = b.node("Mul", &[&triangle, &inside], &wish("triangle_inside"), vec![]);
        normalised(b, &triangle, &constants, name)
    };
    let (rows, columns) = (axis(0, "rows"), axis(1, "columns"));
    let columns = b.node("Transpose", &[&columns], "columns_t", perm(&[0, 1, 3, 2]));
    both_axes(b, &picture, &columns, &rows, &constants)
}

/// Adds the products of `image`, uint8 `[n, h, w, 3]`, with both axes' weights, rounded after
/// each; `columns` is `[.., w, size]` and `rows` `[.., size, h]`.
fn both_axes(b: &mut Builder, image: &str, columns: &str, rows: &str, c: &Constants) -> String {
    let planes = b.node("Transpose", &[image], "planes_u8", perm(&[0, 3, 1, 2]));
    let planes = b.node("Cast", &[&planes], "planes", to(Element::F64));
    let wide = b.node("MatMul", &[&planes, columns], "wide_fixed", vec![]);
    let wide = to_bytes(b, &wide, c, "wide");
    let small = b.node("MatMul", &[rows, &wide], "small_fixed", vec![]);
    let small = to_bytes(b, &small, c, "small");
    let small = b.node("Cast", &[&small], "small_u8", to(Element::U8));
    b.node("Transpose", &[&small], "resized", perm(&[0, 2, 3, 1]))
}

/// Indices `from..to` of one axis.
fn slice(b: &mut Builder, tensor: &str, axis: i64, [from, to]: [i64; 2], wish: &str) -> String {
    let mut constant = |part: &str, value| {
        b.initializer(&format!("{wish}_{part}"), TensorProto::i64(&[1], &[value]))
    };
    let (from, to, axis) = (constant("from", from), constant("to", to), constant("axis", axis));
    b.node("Slice", &[tensor, &from, &to, &axis], wish, vec![])
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
    let pixels = b.node("Range", &[&c.half, &length, &c.one], &wish("pixels"), vec![]);
    let triangle = triangles(b, &length, &pixels, c, name);
    normalised(b, &triangle, c, name)
}

/// For each centre of the output's pixels the triangle around it at the input's `pixels`.
fn triangles(b: &mut Builder, length: &str, pixels: &str, c: &Constants, name: &str) -> String {
    let wish = |part: &str| format!("{name}_{part}");
    let scale = b.node("Div", &[length, &c.size], &wish("scale"), vec![]);
    let radius = b.node("Max", &[&scale, &c.one], &wish("radius"), vec![]);
    let centres = b.node("Mul", &[&c.centres, &scale], &wish("centres"), vec![]);
    let offset = b.node("Sub", &[pixels, &centres], &wish("offset"), vec![]);
    let distance = b.node("Abs", &[&offset], &wish("distance"), vec![]);
    let distance = b.node("Div", &[&distance, &radius], &wish("distance_in_radii"), vec![]);
    let slope = b.node("Sub", &[&c.one, &distance], &wish("slope"), vec![]);
    b.node("Relu", &[&slope], &wish("triangle"), vec![])
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
