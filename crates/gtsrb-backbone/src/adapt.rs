//! Any ONNX image model as a network that takes pictures as bytes.

use std::collections::HashSet;

use onnx_graph::proto::{ModelProto, NodeProto, TensorProto, ValueInfoProto};
use onnx_graph::{Builder, Element, Size, attribute, graph, shapes};
use stage::{Error, Result};

use crate::args::{Layout, Settings};
use crate::network::{IMAGE, Network, unusable};

/// `ImageNet`'s mean and standard deviation on the scale 0 to 1, with which torchvision, timm
/// and most others train.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];

/// Puts layout and normalisation in front of the model.
pub fn network(model: ModelProto, settings: &Settings) -> Result<Network> {
    let input = image_input(&model)?.clone();
    let layout = layout(&input, settings)?;
    check_size(&input, layout, settings.size)?;
    let element = shapes::element(&input);
    let scaling = Scaling::new(element, settings)?;
    let graph = graph(&model).map_err(unusable)?;
    let output = graph.output.first().map(|o| o.name.clone());
    let output = output.ok_or_else(|| Error::data("the model has no output"))?;
    let layers = layers(&graph.node, &input.name);
    let features = features(&graph.node, &layers, &output).to_owned();

    let mut b = Builder::extend(model).map_err(unusable)?;
    let pixels = Size::Fixed(settings.size);
    b.clear_outputs();
    let moved = b.input(IMAGE, Element::U8, &[Size::Open("n"), pixels, pixels, Size::Fixed(3)]);
    let name = |tensor: &str| match &moved {
        Some(moved) if tensor == IMAGE => moved.clone(),
        _ => tensor.to_owned(),
    };
    let prepared = prepare(&mut b, layout, &scaling, element);
    b.replace_input(&name(&input.name), &prepared);
    let model = b.finish().map_err(unusable)?;
    Ok(Network {
        model,
        layers: layers.iter().map(|l| name(l)).collect(),
        features: name(&features),
        logits: name(&output),
        normalisation: scaling.words,
        size: settings.size,
    })
}

/// The inputs that aren't weights; old files list those as well.
pub fn inputs(model: &ModelProto) -> impl Iterator<Item = &ValueInfoProto> {
    model.graph.iter().flat_map(|graph| {
        let weight = |name: &str| graph.initializer.iter().any(|t| t.name == name);
        graph.input.iter().filter(move |i| !weight(&i.name))
    })
}

/// The one input that isn't a weight.
pub fn image_input(model: &ModelProto) -> Result<&ValueInfoProto> {
    let inputs: Vec<&ValueInfoProto> = inputs(model).collect();
    match inputs[..] {
        [input] => Ok(input),
        _ => Err(Error::data(format!(
            "the model has {} inputs ({}); wanted is one, the picture",
            inputs.len(),
            inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The layout that the settings or the input's shape say.
fn layout(input: &ValueInfoProto, settings: &Settings) -> Result<Layout> {
    let dims = shapes::declared(input);
    let channels = |at: usize| dims.as_ref().and_then(|d| d.get(at).copied().flatten());
    let colours = |d: &Option<usize>| d.is_none_or(|d| d == 3);
    let is_picture = |d: &[Option<usize>]| d.len() == 4 && (colours(&d[1]) || colours(&d[3]));
    if let Some(dims) = dims.as_ref().filter(|d| !is_picture(d)) {
        return Err(Error::data(format!(
            "the input {} has the shape {}; wanted is a picture, [n, 3, h, w] or [n, h, w, 3]",
            input.name,
            show(dims)
        )));
    }
    let found = match (channels(1), channels(3)) {
        (Some(3), last) if last != Some(3) => Some(Layout::Nchw),
        (first, Some(3)) if first != Some(3) => Some(Layout::Nhwc),
        _ => None,
    };
    match (settings.layout, found) {
        (Some(asked), Some(found)) if asked != found => Err(Error::config(format!(
            "backbone.layout says {asked:?}, but the input {} has the shape {}",
            input.name,
            show(&dims.unwrap_or_default())
        ))),
        (Some(layout), _) | (None, Some(layout)) => Ok(layout),
        // The usual one. Should it be wrong, the first convolution meets `size` colours instead
        // of three, which is an error.
        (None, None) => {
            tracing::info!(
                "the shape of the input {} doesn't tell where the colours are: assumed is \
                 layout nchw, colours first",
                input.name
            );
            Ok(Layout::Nchw)
        }
    }
}

/// Dimensions as people write them, `?` for open ones.
pub fn show(dims: &[Option<usize>]) -> String {
    let dims: Vec<String> =
        dims.iter().map(|d| d.map_or_else(|| "?".into(), |d| d.to_string())).collect();
    format!("[{}]", dims.join(", "))
}

/// The side that the model fixes, if it does.
pub fn fixed_side(input: &ValueInfoProto) -> Option<usize> {
    let dims = shapes::declared(input)?;
    match dims[..] {
        [_, Some(3), Some(h), Some(w)] | [_, Some(h), Some(w), Some(3)] if h == w => Some(h),
        _ => None,
    }
}

fn check_size(input: &ValueInfoProto, layout: Layout, size: usize) -> Result<()> {
    let dims = shapes::declared(input).unwrap_or_default();
    let sides = match layout {
        Layout::Nchw => dims.get(2..4),
        Layout::Nhwc => dims.get(1..3),
    };
    if sides.unwrap_or_default().iter().flatten().all(|&d| d == size) {
        return Ok(());
    }
    Err(Error::data(format!(
        "the input {} has the shape {}, but backbone.size is {size}; set the size to the \
         model's, or export the model with open height and width",
        input.name,
        show(&dims)
    )))
}

/// From bytes to what the model was trained on: (x − mean) · scale per colour.
struct Scaling {
    /// Mean and scale in bytes; `None` if the model takes bytes.
    bytes: Option<([f32; 3], [f32; 3])>,
    words: String,
}

impl Scaling {
    fn new(element: Option<Element>, settings: &Settings) -> Result<Self> {
        let given = settings.mean.is_some() || settings.std.is_some() || settings.range.is_some();
        match element {
            Some(Element::U8) if given => Err(Error::config(
                "the model takes bytes and normalises them itself; leave backbone.mean, std and \
                 range away",
            )),
            Some(Element::U8) => Ok(Self { bytes: None, words: "inside the model".into() }),
            Some(e) if e.is_float() && e != Element::Bf16 => Self::of_floats(settings),
            other => Err(Error::data(format!(
                "the model's input is {}; wanted is float32, float16, float64 or uint8",
                other.map_or("of an unknown type", Element::name)
            ))),
        }
    }

    fn of_floats(settings: &Settings) -> Result<Self> {
        let range = settings.range.unwrap_or(1.0);
        if !(range.is_finite() && range > 0.0) {
            return Err(Error::config(format!("backbone.range is {range}, must be positive")));
        }
        // On another scale than 0 to 1 the published numbers are multiplied alike.
        let mean = colours("mean", settings.mean.as_deref(), MEAN.map(|m| m * range))?;
        let std = colours("std", settings.std.as_deref(), STD.map(|s| s * range))?;
        if std.iter().any(|&s| s <= 0.0) {
            return Err(Error::config(format!("backbone.std is {std:?}, must be positive")));
        }
        if settings.mean.is_none() && settings.std.is_none() {
            tracing::info!(
                "no mean and std given: ImageNet's are used (a model that normalises floats \
                 itself needs mean 0,0,0 and std 1,1,1)"
            );
        }
        let bytes =
            (mean.map(|m| (m * 255.0 / range) as f32), std.map(|s| (range / 255.0 / s) as f32));
        let words = format!("(x * {range} / 255 - {mean:?}) / {std:?}, RGB");
        Ok(Self { bytes: Some(bytes), words })
    }
}

fn colours(name: &str, given: Option<&[f64]>, default: [f64; 3]) -> Result<[f64; 3]> {
    let Some(given) = given else {
        return Ok(default);
    };
    <[f64; 3]>::try_from(given).ok().filter(|c| c.iter().all(|v| v.is_finite())).ok_or_else(|| {
        let count = given.len();
        Error::config(format!("backbone.{name} has {count} numbers, wanted are three: R,G,B"))
    })
}

/// Adds the nodes from `image` to the model's former input; returns the last one's output.
fn prepare(b: &mut Builder, layout: Layout, scaling: &Scaling, element: Option<Element>) -> String {
    let mut x = IMAGE.to_owned();
    let mut dims = vec![3];
    if layout == Layout::Nchw {
        let order = vec![attribute::ints("perm", &[0, 3, 1, 2])];
        x = b.node("Transpose", &[&x], "planes", order);
        dims.extend([1, 1]);
    }
    let cast = |element: Element| vec![attribute::int("to", element as i64)];
    if let Some((mean, scale)) = &scaling.bytes {
        x = b.node("Cast", &[&x], "pixels", cast(Element::F32));
        let mean = b.initializer("pixel_mean", TensorProto::f32(&dims, mean));
        x = b.node("Sub", &[&x, &mean], "pixels_centred", vec![]);
        let scale = b.initializer("pixel_scale", TensorProto::f32(&dims, scale));
        x = b.node("Mul", &[&x, &scale], "pixels_normalised", vec![]);
    }
    match element {
        Some(e) if e != Element::U8 && e != Element::F32 => {
            b.node("Cast", &[&x], "pixels_cast", cast(e))
        }
        // A name of its own even where nothing is to be done.
        _ if x == IMAGE => b.node("Identity", &[&x], "pixels", vec![]),
        _ => x,
    }
}

/// The tensors that depend on the picture, in order; the others are constants, however the
/// exporter wrote them.
fn layers(nodes: &[NodeProto], input: &str) -> Vec<String> {
    let mut known = HashSet::from([input]);
    let mut layers = Vec::new();
    for node in nodes {
        if node.input.iter().any(|i| known.contains(i.as_str())) {
            let outputs = node.output.iter().filter(|o| !o.is_empty());
            known.extend(outputs.clone().map(String::as_str));
            layers.extend(outputs.cloned());
        }
    }
    layers
}

/// What the classifier reads: the layer that the last product with constant weights takes, if
/// only trivial steps lead from there to the output. A model without one is tapped at its
/// output.
fn features<'a>(nodes: &'a [NodeProto], layers: &[String], output: &'a str) -> &'a str {
    const TRIVIAL: [&str; 11] = [
        "Add",
        "Softmax",
        "LogSoftmax",
        "Sigmoid",
        "Identity",
        "Cast",
        "Reshape",
        "Flatten",
        "Squeeze",
        "QuantizeLinear",
        "DequantizeLinear",
    ];
    let layers: HashSet<&str> = layers.iter().map(String::as_str).collect();
    let mut tensor = output;
    while let Some(node) = nodes.iter().find(|n| n.output.first().is_some_and(|o| o == tensor)) {
        let mut inputs = node.input.iter().map(String::as_str).filter(|i| layers.contains(i));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            break;
        };
        match node.op_type.as_str() {
            "Gemm" | "MatMul" => return input,
            op if TRIVIAL.contains(&op) => tensor = input,
            _ => break,
        }
    }
    output
}
