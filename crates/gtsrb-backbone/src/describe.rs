//! What a model is: `gtsrb-backbone describe`.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use onnx_graph::proto::ValueInfoProto;
use onnx_graph::{Element, ModelProto, pool, shapes};
use serde::Serialize;
use stage::Result;

use crate::args::Settings;
use crate::network::{Network, unusable};
use crate::weights::{self, Content};
use crate::{adapt, network};

/// A model, described.
#[derive(Serialize, Debug)]
pub struct Description {
    /// The file's name.
    pub name: String,
    /// "`PyTorch` state dict" or "ONNX, opset N".
    pub format: String,
    /// Inputs as the file has them.
    pub inputs: Vec<String>,
    /// Outputs as the file has them.
    pub outputs: Vec<String>,
    /// The type of most of its weights.
    pub precision: String,
    /// Pixels of a side for the numbers below.
    pub size: usize,
    /// Numbers in floating-point tensors.
    pub parameters: u64,
    /// Multiply-accumulate operations for one picture, if all shapes are known.
    pub macs: Option<u64>,
    /// The normalisation.
    pub preprocessing: String,
    /// The layer that is tapped by default.
    pub default_tap: String,
    /// Layers that can be tapped, in the order of computation.
    pub layers: Vec<Layer>,
}

/// A layer that can be tapped.
#[derive(Serialize, Debug)]
pub struct Layer {
    /// Its name in `taps`.
    pub name: String,
    /// Its shape for one picture, without the batch.
    pub shape: Vec<usize>,
}

/// Describes the model in `file`, for pictures of `size` pixels a side.
pub fn describe(file: &Path, size: Option<usize>) -> Result<Description> {
    let weights = weights::read(file)?;
    let fixed = match &weights.content {
        Content::Onnx(model) => adapt::image_input(model).ok().and_then(adapt::fixed_side),
        Content::StateDict(_) => None,
    };
    let settings = Settings {
        size: size.or(fixed).unwrap_or(Settings::default().size),
        ..Settings::default()
    };
    settings.check()?;
    let (format, inputs, outputs) = declared(&weights.content);
    let precision = precision(&weights.content);
    let named = |e: stage::Error| e.context(file.display());
    let network = network::build(weights.content, &settings).map_err(named)?;
    let known = network.shapes(1).map_err(unusable).map_err(named)?;
    let whole = onnx_graph::cut(&network.model, &[&network.logits])
        .and_then(|whole| onnx_graph::count(&whole, &known))
        .map_err(unusable)
        .map_err(named)?;
    Ok(Description {
        name: weights.name,
        format,
        inputs,
        outputs,
        precision,
        size: settings.size,
        parameters: whole.parameters,
        macs: whole.macs,
        layers: layers(&network, &known),
        preprocessing: network.normalisation,
        default_tap: network.features,
    })
}

/// Format, inputs and outputs as the file has them.
fn declared(content: &Content) -> (String, Vec<String>, Vec<String>) {
    match content {
        Content::StateDict(_) => ("PyTorch state dict".into(), Vec::new(), Vec::new()),
        Content::Onnx(model) => {
            let opset = model.opset_import.iter().map(|o| o.version).max().unwrap_or(0);
            let outputs = model.graph.iter().flat_map(|g| &g.output).map(value).collect();
            (format!("ONNX, opset {opset}"), adapt::inputs(model).map(value).collect(), outputs)
        }
    }
}

/// The type that most of a model's numbers have.
fn precision(content: &Content) -> String {
    let Content::Onnx(model) = content else {
        return Element::F32.name().into();
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for tensor in model.graph.iter().flat_map(|g| &g.initializer) {
        let name = Element::from_code(tensor.data_type).map_or("unknown", Element::name);
        let numbers = tensor.shape().map_or(0, |shape| shape.iter().product());
        *counts.entry(name).or_default() += numbers;
    }
    let most = counts.into_iter().max_by_key(|&(_, numbers)| numbers);
    most.map_or("unknown", |(name, _)| name).into()
}

fn value(info: &ValueInfoProto) -> String {
    let element = shapes::element(info).map_or("unknown", Element::name);
    let dims = shapes::declared(info).map_or_else(|| "[...]".into(), |d| adapt::show(&d));
    format!("{} {element} {dims}", info.name)
}

/// The floating-point layers that have at least one part that can be taken.
pub fn layers(network: &Network, known: &shapes::Shapes) -> Vec<Layer> {
    let part = pool::Part::Grid(1);
    let tappable = network.layers.iter().filter_map(|name| {
        let shape = known.shape(name)?;
        known.element(name).filter(|e| e.is_float())?;
        let batched = shape.first() == Some(&1);
        (batched && pool::length(shape, part).is_some())
            .then(|| Layer { name: name.clone(), shape: shape[1..].to_vec() })
    });
    tappable.collect()
}

/// Millions, as people read them.
pub fn millions(n: u64) -> String {
    format!("{:.2} M", n as f64 / 1e6)
}

impl Display for Description {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, self.format)?;
        for input in &self.inputs {
            writeln!(f, "  input          {input}")?;
        }
        for output in &self.outputs {
            writeln!(f, "  output         {output}")?;
        }
        writeln!(f, "  preprocessing  {}", self.preprocessing)?;
        writeln!(f, "  precision      {}", self.precision)?;
        writeln!(f, "  parameters     {}", millions(self.parameters))?;
        let macs = self.macs.map_or_else(|| "unknown".into(), millions);
        writeln!(f, "  MACs           {macs} at {0}x{0} pixels", self.size)?;
        writeln!(f, "  default tap    {}", self.default_tap)?;
        write!(f, "  layers         {} can be tapped, with their shapes:", self.layers.len())?;
        let width = self.layers.iter().map(|l| l.name.len()).max().unwrap_or(0);
        for Layer { name, shape } in &self.layers {
            write!(f, "\n    {name:width$}  {shape:?}")?;
        }
        Ok(())
    }
}

/// Parameters and multiplications of a finished backbone.
pub fn count(model: &ModelProto, size: usize) -> Result<onnx_graph::Count> {
    shapes::infer(model, &[(network::IMAGE, &[1, size, size, 3])])
        .and_then(|known| onnx_graph::count(model, &known))
        .map_err(|e| stage::Error::internal(e.to_string()))
}
