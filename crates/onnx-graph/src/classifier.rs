//! The two files that a trained linear head becomes.

use crate::proto::{ModelProto, TensorProto};
use crate::shapes::declared;
use crate::{Builder, Element, Error, Result, Size, attribute, graph, resize, set_metadata};

/// The operator set of a head on its own.
const OPSET: i64 = 18;

/// A linear head: logits = W x + b, probabilities = softmax(logits / temperature).
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// W, `[classes, dims]`, row by row.
    pub weights: &'a [f32],
    /// b, `[classes]`.
    pub bias: &'a [f32],
    /// Divides the logits before the softmax; positive.
    pub temperature: f32,
}

/// `head.onnx`: `embedding` float32 `[n, dims]` → `logits` and `probabilities`, float32
/// `[n, classes]`. An error if the head's lengths don't fit each other.
pub fn head_model(head: &Head, metadata: &[(&str, &str)]) -> Result<ModelProto> {
    let classes = head.bias.len().max(1);
    let dims = head.weights.len() / classes;
    let mut b = Builder::new("head", OPSET);
    b.input("embedding", Element::F32, &[Size::Open("n"), Size::Fixed(dims)]);
    append(&mut b, head, "embedding", dims)?;
    finish(b, metadata)
}

/// `classifier.onnx`: `image` uint8 `[n, h, w, 3]` of any height and width → `logits` and
/// `probabilities`, float32 `[n, classes]`, and `label`, int64 `[n]`.
///
/// `backbone` has the input `image`, uint8 `[n, size, size, 3]`, and the output `embedding`,
/// float32 `[n, dims]`. Its metadata is kept and `metadata` laid over it. An error if the
/// backbone is no such model or the head has other dimensions.
pub fn classifier_model(
    backbone: &ModelProto,
    head: &Head,
    metadata: &[(&str, &str)],
) -> Result<ModelProto> {
    let (size, dims) = sizes(backbone)?;
    let mut b = Builder::extend(crate::cut(backbone, &["embedding"])?)?;
    b.input("picture", Element::U8, &any_size());
    let resized = resize::pillow_bilinear(&mut b, "picture", size);
    b.replace_input("image", &resized);
    b.rename_input("picture", "image");
    let logits = append(&mut b, head, "embedding", dims)?;
    let label = vec![attribute::int("axis", 1), attribute::int("keepdims", 0)];
    let label = b.node("ArgMax", &[&logits], "label", label);
    b.output(&label, "label", Element::I64, &[Size::Open("n")]);
    finish(b, metadata)
}

fn any_size() -> [Size; 4] {
    [Size::Open("n"), Size::Open("h"), Size::Open("w"), Size::Fixed(3)]
}

/// The backbone's picture size and the length of its embedding.
fn sizes(backbone: &ModelProto) -> Result<(usize, usize)> {
    let graph = graph(backbone)?;
    let image = graph.input.iter().find(|i| i.name == "image").and_then(declared);
    let embedding = graph.output.iter().find(|o| o.name == "embedding").and_then(declared);
    match (image.as_deref(), embedding.as_deref()) {
        (Some([_, Some(h), Some(w), Some(3)]), Some([_, Some(dims)])) if h == w => Ok((*h, *dims)),
        _ => Err(Error::Mismatch(
            "this is no backbone: it must have the input image, uint8 [n, size, size, 3], \
             and the output embedding, float32 [n, dims]"
                .into(),
        )),
    }
}

/// Adds the head behind `embedding` with its two outputs; returns the logits' name.
fn append(b: &mut Builder, head: &Head, embedding: &str, dims: usize) -> Result<String> {
    let classes = head.bias.len();
    if classes == 0 || dims == 0 || head.weights.len() != classes * dims {
        return Err(Error::Mismatch(format!(
            "a head with {} weights and {classes} biases doesn't fit embeddings of {dims} numbers",
            head.weights.len()
        )));
    }
    if !(head.temperature.is_finite() && head.temperature > 0.0) {
        let message = format!("the temperature must be positive, it is {}", head.temperature);
        return Err(Error::Mismatch(message));
    }
    let weights = b.initializer("head_weights", TensorProto::f32(&[classes, dims], head.weights));
    let bias = b.initializer("head_bias", TensorProto::f32(&[classes], head.bias));
    let gemm = vec![attribute::int("transB", 1)];
    let logits = b.node("Gemm", &[embedding, &weights, &bias], "logits", gemm);
    let shape = [Size::Open("n"), Size::Fixed(classes)];
    b.output(&logits, "logits", Element::F32, &shape);
    let temperature = TensorProto::f32(&[], &[head.temperature]);
    let temperature = b.initializer("temperature", temperature);
    let scaled = b.node("Div", &["logits", &temperature], "logits_scaled", vec![]);
    let softmax = vec![attribute::int("axis", 1)];
    let probabilities = b.node("Softmax", &[&scaled], "probabilities", softmax);
    b.output(&probabilities, "probabilities", Element::F32, &shape);
    Ok("logits".into())
}

fn finish(b: Builder, metadata: &[(&str, &str)]) -> Result<ModelProto> {
    let mut model = b.finish()?;
    for (key, value) in metadata {
        set_metadata(&mut model, key, value);
    }
    Ok(model)
}
