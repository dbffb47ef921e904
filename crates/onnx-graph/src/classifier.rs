//! The two files that a trained head becomes.

use crate::proto::{ModelProto, TensorProto};
use crate::shapes::declared;
use crate::{
    Builder, Element, Error, Result, Size, attribute, cut, graph, metadata, resize, set_metadata,
};

/// The operator set of a head on its own.
const OPSET: i64 = 18;

/// The key of a classifier's metadata that names the tensor with the resized pictures, uint8
/// `[n, size, size, 3]`.
const RESIZED: &str = "resized";

/// A linear layer: W x + b.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// W, `[outputs, inputs]`, row by row.
    pub weights: &'a [f32],
    /// b, `[outputs]`.
    pub bias: &'a [f32],
}

/// Maps in an embedding: where they begin, how many there are, and cells of a side.
pub type Maps = (usize, usize, usize);

/// A 3 × 3 convolution with max(0, ·), and then the largest of each 2 × 2 cells. It takes what the
/// level before gives and some maps of the embedding, whose side is the same.
#[derive(Clone, Debug)]
pub struct Level<'a> {
    /// The maps of the embedding that it takes.
    pub joining: Vec<Maps>,
    /// `[outputs, inputs, 3, 3]`, row by row.
    pub kernel: Vec<f32>,
    /// `[outputs]`.
    pub bias: &'a [f32],
}

/// Convolutions over the maps of an embedding, of which `mean` is subtracted first and which is
/// multiplied by `factor`.
#[derive(Clone, Debug)]
pub struct Tower<'a> {
    /// `[dims]`.
    pub mean: &'a [f32],
    /// `[dims]`.
    pub factor: Vec<f32>,
    /// The first takes maps of the embedding alone.
    pub levels: Vec<Level<'a>>,
    /// Numbers that come out.
    pub outputs: usize,
}

/// A head: linear layers with max(0, ·) between them give logits; probabilities =
/// softmax(logits / temperature).
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// What there is before the layers.
    pub tower: Option<&'a Tower<'a>>,
    /// At least one; the first takes the embedding or what the tower gives, the last gives the
    /// logits.
    pub layers: &'a [Layer<'a>],
    /// Divides the logits before the softmax; positive.
    pub temperature: f32,
}

/// `head.onnx`: `embedding` float32 `[n, dims]` → `logits` and `probabilities`, float32
/// `[n, classes]`. An error if the head's lengths don't fit each other.
pub fn head_model(head: &Head, metadata: &[(&str, &str)]) -> Result<ModelProto> {
    let inputs = || head.layers.first().map_or(0, |l| l.weights.len() / l.bias.len().max(1));
    let dims = head.tower.map_or_else(inputs, |tower| tower.mean.len());
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
    let mut b = Builder::extend(cut(backbone, &["embedding"])?)?;
    b.input("picture", Element::U8, &any_size());
    let resized = resize::pillow_bilinear(&mut b, "picture", size);
    b.replace_input("image", &resized);
    b.rename_input("picture", "image");
    let logits = append(&mut b, head, "embedding", dims)?;
    let label = vec![attribute::int("axis", 1), attribute::int("keepdims", 0)];
    let label = b.node("ArgMax", &[&logits], "label", label);
    b.output(&label, "label", Element::I64, &[Size::Open("n")]);
    let mut model = finish(b, metadata)?;
    set_metadata(&mut model, RESIZED, &resized);
    Ok(model)
}

/// The backbone in a `classifier` that [`classifier_model`] made, for pictures that are `size` ×
/// `size` already: `image` uint8 `[n, size, size, 3]` → `embedding` float32 `[n, dims]`, by the
/// same nodes. An error if it is no such classifier.
pub fn backbone_of(classifier: &ModelProto, size: usize, dims: usize) -> Result<ModelProto> {
    let resized = metadata(classifier, RESIZED).ok_or_else(|| {
        Error::Mismatch("this is no classifier of ours: it doesn't say where it resizes".into())
    })?;
    let side = Size::Fixed(size);
    let mut b = Builder::extend(classifier.clone())?;
    b.clear_outputs();
    b.input("pixels", Element::U8, &[Size::Open("n"), side, side, Size::Fixed(3)]);
    b.redirect(resized, "pixels", "pixels");
    let mut b = Builder::extend(cut(&b.finish()?, &["embedding"])?)?;
    b.rename_input("pixels", "image");
    b.output("embedding", "embedding", Element::F32, &[Size::Open("n"), Size::Fixed(dims)]);
    b.finish()
}

fn any_size() -> [Size; 4] {
    [Size::Open("n"), Size::Open("h"), Size::Open("w"), Size::Fixed(3)]
}

/// The backbone's picture size and the length of its embedding.
pub(crate) fn sizes(backbone: &ModelProto) -> Result<(usize, usize)> {
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
    if !(head.temperature.is_finite() && head.temperature > 0.0) {
        let message = format!("the temperature must be positive, it is {}", head.temperature);
        return Err(Error::Mismatch(message));
    }
    let Some((last, hidden)) = head.layers.split_last() else {
        return Err(Error::Mismatch("a head without layers".into()));
    };
    let (mut values, mut inputs) = match head.tower {
        Some(tower) => (climb(b, tower, embedding, dims)?, tower.outputs),
        None => (embedding.to_owned(), dims),
    };
    for (index, layer) in hidden.iter().enumerate() {
        let prefix = format!("head_hidden{index}");
        values = linear(b, layer, (&values, inputs), (&prefix, &format!("{prefix}_sums")))?;
        values = b.node("Relu", &[&values], &prefix, vec![]);
        inputs = layer.bias.len();
    }
    let logits = linear(b, last, (&values, inputs), ("head", "logits"))?;
    let classes = last.bias.len();
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

/// Adds the convolutions behind `embedding`; returns the name of what they give, a row a picture.
fn climb(b: &mut Builder, tower: &Tower, embedding: &str, dims: usize) -> Result<String> {
    if tower.mean.len() != dims || tower.factor.len() != dims {
        return Err(Error::Mismatch(format!(
            "convolutions of {} numbers don't fit embeddings of {dims}",
            tower.mean.len()
        )));
    }
    let mean = b.initializer("head_mean", TensorProto::f32(&[dims], tower.mean));
    let factor = b.initializer("head_factor", TensorProto::f32(&[dims], &tower.factor));
    let centred = b.node("Sub", &[embedding, &mean], "head_centred", vec![]);
    let scaled = b.node("Mul", &[&centred, &factor], "head_scaled", vec![]);
    let mut map: Option<String> = None;
    for level in &tower.levels {
        let joining: Vec<String> =
            level.joining.iter().map(|&maps| cut_out(b, &scaled, maps)).collect();
        let parts: Vec<&str> = map.iter().chain(&joining).map(String::as_str).collect();
        let input = match parts[..] {
            [one] => one.to_owned(),
            _ => b.node("Concat", &parts, "head_maps", vec![attribute::int("axis", 1)]),
        };
        let outputs = level.bias.len();
        let inputs = level.kernel.len() / (9 * outputs.max(1));
        let kernel = TensorProto::f32(&[outputs, inputs, 3, 3], &level.kernel);
        let kernel = b.initializer("head_kernel", kernel);
        let bias = b.initializer("head_kernel_bias", TensorProto::f32(&[outputs], level.bias));
        let shape =
            vec![attribute::ints("kernel_shape", &[3, 3]), attribute::ints("pads", &[1; 4])];
        let sums = b.node("Conv", &[&input, &kernel, &bias], "head_convolution", shape);
        let rectified = b.node("Relu", &[&sums], "head_rectified", vec![]);
        let window =
            vec![attribute::ints("kernel_shape", &[2, 2]), attribute::ints("strides", &[2, 2])];
        map = Some(b.node("MaxPool", &[&rectified], "head_pooled", window));
    }
    let map = map.ok_or_else(|| Error::Mismatch("a tower without levels".into()))?;
    Ok(b.node("Flatten", &[&map], "head_flat", vec![attribute::int("axis", 1)]))
}

/// Maps of the embedding as `[n, channels, side, side]`.
fn cut_out(b: &mut Builder, embedding: &str, (start, channels, side): Maps) -> String {
    let end = start + channels * side * side;
    let [start, end, axis] = [start, end, 1].map(|v| TensorProto::i64(&[1], &[v as i64]));
    let ends = [("head_start", start), ("head_end", end), ("head_axis", axis)];
    let [start, end, axis] = ends.map(|(name, tensor)| b.initializer(name, tensor));
    let row = b.node("Slice", &[embedding, &start, &end, &axis], "head_part", vec![]);
    let shape = TensorProto::i64(&[4], &[0, channels as i64, side as i64, side as i64]);
    let shape = b.initializer("head_part_shape", shape);
    b.node("Reshape", &[&row, &shape], "head_map", vec![])
}

/// Adds one layer behind `tensor`, which holds `inputs` numbers a row; returns its output's
/// name. The names are those of the layer's constants, to which an end is added, and of its
/// output.
fn linear(
    b: &mut Builder,
    layer: &Layer,
    (tensor, inputs): (&str, usize),
    (prefix, output): (&str, &str),
) -> Result<String> {
    let outputs = layer.bias.len();
    if outputs == 0 || inputs == 0 || layer.weights.len() != outputs * inputs {
        return Err(Error::Mismatch(format!(
            "a layer with {} weights and {outputs} biases doesn't fit rows of {inputs} numbers",
            layer.weights.len()
        )));
    }
    let weights = TensorProto::f32(&[outputs, inputs], layer.weights);
    let weights = b.initializer(&format!("{prefix}_weights"), weights);
    let bias = TensorProto::f32(&[outputs], layer.bias);
    let bias = b.initializer(&format!("{prefix}_bias"), bias);
    let gemm = vec![attribute::int("transB", 1)];
    Ok(b.node("Gemm", &[tensor, &weights, &bias], output, gemm))
}

fn finish(b: Builder, metadata: &[(&str, &str)]) -> Result<ModelProto> {
    let mut model = b.finish()?;
    for (key, value) in metadata {
        set_metadata(&mut model, key, value);
    }
    Ok(model)
}
