//! From a layer's map to one row of numbers a picture.

use crate::proto::TensorProto;
use crate::{Builder, Element, Error, Result, attribute};

/// What is taken of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// g×g cells that cover the map, each the mean of its window.
    Grid(usize),
    /// The class token of a transformer's layer.
    ClassToken,
}

/// How the numbers of a layer lie in its tensor; the batch comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// `[n, c]`: one vector a picture.
    Vector { channels: usize },
    /// `[n, tokens, c]`: a square of tokens, perhaps after a class token.
    Tokens { side: usize, class: bool, channels: usize },
    /// `[n, c, h, w]`.
    Map { channels: usize, height: usize, width: usize },
    /// `[n, h, w, c]`, where height and width agree and differ from the third number.
    MapChannelsLast { height: usize, width: usize, channels: usize },
}

/// The layout that the shape of a layer (batch included) tells.
fn layout(shape: &[usize]) -> Option<Layout> {
    match *shape {
        [_, channels] => Some(Layout::Vector { channels }),
        [_, tokens, channels] => {
            let side = tokens.isqrt();
            let class = side * side + 1 == tokens;
            (side > 0 && (class || side * side == tokens)).then_some(Layout::Tokens {
                side,
                class,
                channels,
            })
        }
        [_, height, width, channels] if height == width && width != channels => {
            Some(Layout::MapChannelsLast { height, width, channels })
        }
        [_, channels, height, width] => Some(Layout::Map { channels, height, width }),
        _ => None,
    }
}

/// Cells a side of the finest grid that a layer of this shape (batch included) has, or `None` if
/// it can't be tapped.
#[must_use]
pub fn side(shape: &[usize]) -> Option<usize> {
    match layout(shape)? {
        Layout::Vector { .. } => Some(1),
        Layout::Tokens { side, .. } => Some(side),
        Layout::Map { height, width, .. } | Layout::MapChannelsLast { height, width, .. } => {
            Some(height.min(width))
        }
    }
}

/// The length of the row that `part` of a layer of this shape (batch included) becomes, or
/// `None` if the layer has no such part.
#[must_use]
pub fn length(shape: &[usize], part: Part) -> Option<usize> {
    let cells = match part {
        Part::Grid(g) => g.checked_mul(g)?,
        Part::ClassToken => 1,
    };
    if cells == 0 || shape.iter().skip(1).any(|&d| d == 0) {
        return None;
    }
    let (Layout::Tokens { channels, .. }
    | Layout::Vector { channels }
    | Layout::Map { channels, .. }
    | Layout::MapChannelsLast { channels, .. }) = layout(shape)?;
    let has_part = match (layout(shape)?, part) {
        (Layout::Vector { .. }, part) => part == Part::Grid(1),
        (Layout::Tokens { class, .. }, Part::ClassToken) => class,
        (_, part) => part != Part::ClassToken,
    };
    if !has_part {
        return None;
    }
    channels.checked_mul(cells)
}

/// Adds the nodes that turn `tensor`, a layer of this shape (batch included) and type, into
/// float32 `[n, length]`: cells flattened as `[channels, g, g]`. Returns the result's name and
/// length. The windows are those of `PyTorch`'s adaptive average pooling: cell i of g covers
/// floor(i·h/g) up to ceil((i+1)·h/g).
pub fn pool(
    b: &mut Builder,
    tensor: &str,
    shape: &[usize],
    element: Option<Element>,
    part: Part,
) -> Result<(String, usize)> {
    let unfit = || {
        let wanted = match part {
            Part::Grid(1) => "a vector, a map or a square of tokens".into(),
            Part::Grid(g) => format!("a map or a square of tokens, to pool it to {g}x{g} cells"),
            Part::ClassToken => "a class token followed by a square of tokens".into(),
        };
        Error::Mismatch(format!("{tensor} has the shape {shape:?}; wanted: {wanted}"))
    };
    let (length, layout) = length(shape, part).zip(layout(shape)).ok_or_else(unfit)?;
    let tensor = if element == Some(Element::F32) {
        tensor.to_owned()
    } else {
        let to = vec![attribute::int("to", Element::F32 as i64)];
        b.node("Cast", &[tensor], "layer_f32", to)
    };
    let row = match (layout, part) {
        (Layout::Vector { .. }, _) => tensor,
        (_, Part::ClassToken) => class_token(b, &tensor),
        (_, Part::Grid(g)) => {
            let (map, height, width) = map(b, &tensor, layout);
            let cells = cells(b, &map, height, width, g);
            b.node("Flatten", &[&cells], "row", vec![attribute::int("axis", 1)])
        }
    };
    Ok((row, length))
}

fn class_token(b: &mut Builder, tokens: &str) -> String {
    let first = b.initializer("first_token", TensorProto::i64(&[], &[0]));
    b.node("Gather", &[tokens, &first], "class_token", vec![attribute::int("axis", 1)])
}

/// The layer as `[n, c, h, w]`, with its height and width.
fn map(b: &mut Builder, tensor: &str, layout: Layout) -> (String, usize, usize) {
    let order = |axes: &[i64]| vec![attribute::ints("perm", axes)];
    match layout {
        Layout::Map { height, width, .. } => (tensor.to_owned(), height, width),
        Layout::MapChannelsLast { height, width, .. } => {
            (b.node("Transpose", &[tensor], "map", order(&[0, 3, 1, 2])), height, width)
        }
        Layout::Vector { channels } => {
            let shape =
                b.initializer("map_shape", TensorProto::i64(&[4], &[0, channels as i64, 1, 1]));
            (b.node("Reshape", &[tensor, &shape], "map", vec![]), 1, 1)
        }
        Layout::Tokens { side, class, channels } => {
            let mut tokens = tensor.to_owned();
            if class {
                let mut ends = |name, v| b.initializer(name, TensorProto::i64(&[1], &[v]));
                let (start, end) = (ends("after_class", 1), ends("tokens_end", i64::MAX));
                let axis = ends("tokens_axis", 1);
                tokens = b.node("Slice", &[&tokens, &start, &end, &axis], "tokens", vec![]);
            }
            let planes = b.node("Transpose", &[&tokens], "token_planes", order(&[0, 2, 1]));
            let side_i = side as i64;
            let shape = TensorProto::i64(&[4], &[0, channels as i64, side_i, side_i]);
            let shape = b.initializer("map_shape", shape);
            (b.node("Reshape", &[&planes, &shape], "map", vec![]), side, side)
        }
    }
}

/// The map `[n, c, h, w]` pooled to `[n, c, g, g]`.
fn cells(b: &mut Builder, map: &str, height: usize, width: usize, g: usize) -> String {
    if (height, width) == (g, g) {
        return map.to_owned();
    }
    if g == 1 {
        return b.node("GlobalAveragePool", &[map], "cells", vec![]);
    }
    if height.is_multiple_of(g) && width.is_multiple_of(g) {
        let window = [(height / g) as i64, (width / g) as i64];
        let window =
            vec![attribute::ints("kernel_shape", &window), attribute::ints("strides", &window)];
        return b.node("AveragePool", &[map], "cells", window);
    }
    let rows = TensorProto::f32(&[g, height], &windows(height, g));
    let rows = b.initializer("pool_rows", rows);
    let columns = windows(width, g);
    let transposed: Vec<f32> = (0..width * g).map(|i| columns[(i % g) * width + i / g]).collect();
    let columns = b.initializer("pool_columns", TensorProto::f32(&[width, g], &transposed));
    let narrow = b.node("MatMul", &[map, &columns], "cells_wide", vec![]);
    b.node("MatMul", &[&rows, &narrow], "cells", vec![])
}

/// The matrix `[g, size]` of means over the windows of one axis.
fn windows(size: usize, g: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; g * size];
    for i in 0..g {
        let (start, end) = (i * size / g, ((i + 1) * size).div_ceil(g));
        matrix[i * size + start..i * size + end].fill(1.0 / (end - start) as f32);
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_pytorchs() {
        // torch.nn.functional.adaptive_avg_pool1d(torch.arange(5.), 3): windows 0..2, 1..4, 3..5.
        let third = 1.0 / 3.0;
        let wanted =
            [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, third, third, third, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5];
        assert_eq!(windows(5, 3), wanted);
        // More cells than numbers: numbers are repeated.
        assert_eq!(windows(2, 3), [1.0, 0.0, 0.5, 0.5, 0.0, 1.0]);
    }

    #[test]
    fn a_layers_shape_tells_its_layout() {
        assert_eq!(length(&[1, 40, 12, 12], Part::Grid(6)), Some(40 * 36));
        assert_eq!(length(&[1, 12, 12, 40], Part::Grid(2)), Some(40 * 4));
        assert_eq!(length(&[1, 50, 32], Part::Grid(7)), Some(32 * 49));
        assert_eq!(length(&[1, 49, 32], Part::Grid(1)), Some(32));
        assert_eq!(length(&[1, 50, 32], Part::ClassToken), Some(32));
        assert_eq!(length(&[1, 49, 32], Part::ClassToken), None);
        assert_eq!(length(&[1, 51, 32], Part::Grid(1)), None);
        assert_eq!(length(&[1, 1280], Part::Grid(1)), Some(1280));
        assert_eq!(length(&[1, 1280], Part::Grid(2)), None);
        assert_eq!(length(&[1, 40, 12, 12], Part::Grid(0)), None);
        assert_eq!(length(&[7], Part::Grid(1)), None);
        assert_eq!(side(&[1, 40, 12, 10]), Some(10));
        assert_eq!(side(&[1, 50, 32]), Some(7));
        assert_eq!(side(&[1, 1280]), Some(1));
        assert_eq!(side(&[7]), None);
    }
}
