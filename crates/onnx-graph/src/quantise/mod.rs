//! Static quantisation: convolutions and the sums between them compute with bytes.
//!
//! The model stays plain ONNX: `QuantizeLinear` and `DequantizeLinear` stand around every
//! quantised operator (QDQ), and the runtime fuses them to integer kernels. Activations are
//! uint8 with one scale a tensor, weights int8 with one scale an output channel and no zero
//! point: the only combination for which x86 has fast instructions. Everything else, such as
//! products with a classifier's weights, stays float32.
//!
//! Nothing here runs a model. The caller runs [`Calibration::observer`] on typical inputs,
//! gives what comes out to [`Calibration::take`] and gets the result of
//! [`Calibration::finish`].

mod batch_norm;
mod numbers;
mod plan;
mod wide;

use crate::proto::{ModelProto, TensorProto};
use crate::tensor::floats;
use crate::{Builder, Element, Error, Result, Size, attribute, cut, graph};

pub use numbers::{Channels, Scale};
use plan::{Plan, plan};
pub use wide::widen;

/// The observer's output with the smallest value of each tensor.
pub const LOWS: &str = "lows";
/// The observer's output with the largest value of each tensor.
pub const HIGHS: &str = "highs";

/// The oldest operator set in which weights have one scale a channel.
const OLDEST_OPSET: i64 = 13;

/// A model on its way to bytes: the ranges of its tensors are being collected.
pub struct Calibration {
    /// The model with its batch norms folded into the convolutions.
    model: ModelProto,
    plan: Plan,
    /// Lowest and highest value so far of each tensor of the plan.
    ranges: Vec<(f32, f32)>,
}

impl Calibration {
    /// Plans the quantisation of a float32 model. An error if there is nothing to quantise.
    pub fn new(model: &ModelProto) -> Result<Self> {
        let opset = model.opset_import.iter().find(|o| crate::read::is_onnx(&o.domain));
        let found = opset.map_or(0, |o| o.version);
        if found < OLDEST_OPSET {
            return Err(Error::TooOld { found, oldest: OLDEST_OPSET });
        }
        let model = batch_norm::fold(model)?;
        let plan = plan(graph(&model)?)?;
        if plan.convolutions.is_empty() {
            let message = "the model has no convolution with constant float32 weights: there is \
                           nothing to quantise";
            return Err(Error::Mismatch(message.into()));
        }
        let ranges = vec![(0.0, 0.0); plan.tensors.len()];
        Ok(Self { model, plan, ranges })
    }

    /// The model to run on typical inputs: it takes what the original takes, and its outputs
    /// [`LOWS`] and [`HIGHS`], float32 `[tensors]`, are for [`Calibration::take`].
    pub fn observer(&self) -> Result<ModelProto> {
        let tensors: Vec<&str> = self.plan.tensors.iter().map(String::as_str).collect();
        let mut b = Builder::extend(cut(&self.model, &tensors)?)?;
        let one = b.initializer("one_number", TensorProto::i64(&[1], &[1]));
        for (reduce, name) in [("ReduceMin", LOWS), ("ReduceMax", HIGHS)] {
            let numbers: Vec<String> = tensors
                .iter()
                .map(|tensor| {
                    let whole = vec![attribute::int("keepdims", 0)];
                    let number = b.node(reduce, &[tensor], "extreme", whole);
                    b.node("Reshape", &[&number, &one], "extreme_row", vec![])
                })
                .collect();
            let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
            let axis = vec![attribute::int("axis", 0)];
            let row = b.node("Concat", &numbers, &format!("{name}_row"), axis);
            b.output(&row, name, Element::F32, &[Size::Fixed(tensors.len())]);
        }
        b.finish()
    }

    /// Widens the ranges by what the observer gave for one batch.
    pub fn take(&mut self, lows: &[f32], highs: &[f32]) -> Result<()> {
        if lows.len() != self.ranges.len() || highs.len() != self.ranges.len() {
            let message = format!(
                "{} and {} numbers observed, wanted are {}",
                lows.len(),
                highs.len(),
                self.ranges.len()
            );
            return Err(Error::Mismatch(message));
        }
        for (at, (&low, &high)) in lows.iter().zip(highs).enumerate() {
            if !(low.is_finite() && high.is_finite()) {
                let tensor = &self.plan.tensors[at];
                let message = format!("{tensor} has values that aren't finite: {low} to {high}");
                return Err(Error::Mismatch(message));
            }
            let range = &mut self.ranges[at];
            *range = (range.0.min(low), range.1.max(high));
        }
        Ok(())
    }

    /// The quantised model, with the inputs, outputs and metadata of the original.
    pub fn finish(self) -> Result<ModelProto> {
        let outputs = graph(&self.model)?.output.clone();
        let mut b = Builder::extend(self.plan.absorb(self.model)?)?;
        let mut scales = self.plan.bytes.clone();
        for (tensor, &(low, high)) in self.plan.tensors.iter().zip(&self.ranges) {
            let scale = Scale::of(low, high);
            activation(&mut b, tensor, scale);
            scales.insert(tensor.clone(), scale.scale);
        }
        for convolution in &self.plan.convolutions {
            // The plan holds each convolution's input, as a tensor or as bytes.
            let input = scales.get(&convolution.input).copied().unwrap_or(1.0);
            weights(&mut b, convolution, input)?;
        }
        only_needed(&b.finish()?, outputs)
    }
}

/// Puts `tensor` through bytes: whoever used it uses what comes out.
fn activation(b: &mut Builder, tensor: &str, scale: Scale) {
    let step = b.initializer(&format!("{tensor}_scale"), TensorProto::f32(&[], &[scale.scale]));
    let zero = b.initializer(&format!("{tensor}_zero"), TensorProto::byte(scale.zero));
    let name = format!("{tensor}_bytes");
    let bytes = b.node("QuantizeLinear", &[tensor, &step, &zero], &name, vec![]);
    let name = format!("{tensor}_rounded");
    let rounded = b.node("DequantizeLinear", &[&bytes, &step, &zero], &name, vec![]);
    b.redirect(tensor, &rounded, &bytes);
}

/// Replaces kernel and bias of a convolution whose input has the scale `input` by integers.
fn weights(b: &mut Builder, convolution: &plan::Convolution, input: f32) -> Result<()> {
    let plan::Convolution { output, kernel, bias, .. } = convolution;
    let (shape, values) = (kernel.shape()?, floats(kernel)?);
    let bias_values = bias.as_ref().map(floats).transpose()?;
    let channels = shape.first().copied().unwrap_or(0);
    let integers = Channels::of(&values, channels, bias_values.as_deref(), input);

    let scale = TensorProto::f32(&[channels], &integers.scales);
    let zero = TensorProto::i8(&[channels], &vec![0; channels]);
    let bytes = TensorProto::i8(&shape, &integers.kernel);
    let rounded = constant(b, &kernel.name, bytes, scale, zero);
    b.feed(output, 1, &rounded);
    if let Some(bias) = bias {
        let steps: Vec<f32> = integers.scales.iter().map(|scale| scale * input).collect();
        let scale = TensorProto::f32(&[channels], &steps);
        let zero = TensorProto::i32(&[channels], &vec![0; channels]);
        let integers = TensorProto::i32(&[channels], &integers.bias);
        let rounded = constant(b, &bias.name, integers, scale, zero);
        b.feed(output, 2, &rounded);
    }
    Ok(())
}

/// Adds a constant as integers, one scale a channel; returns the name of its float values.
fn constant(
    b: &mut Builder,
    name: &str,
    integers: TensorProto,
    scale: TensorProto,
    zero: TensorProto,
) -> String {
    let integers = b.initializer(&format!("{name}_integers"), integers);
    let scale = b.initializer(&format!("{name}_scale"), scale);
    let zero = b.initializer(&format!("{name}_zero"), zero);
    let name = format!("{name}_rounded");
    let axis = vec![attribute::int("axis", 0)];
    b.node("DequantizeLinear", &[&integers, &scale, &zero], &name, axis)
}

/// The model without the float weights that nothing uses any more.
fn only_needed(
    model: &ModelProto,
    outputs: Vec<crate::proto::ValueInfoProto>,
) -> Result<ModelProto> {
    let names: Vec<&str> = outputs.iter().map(|o| o.name.as_str()).collect();
    let mut needed = cut(model, &names)?;
    if let Some(graph) = &mut needed.graph {
        graph.output = outputs;
    }
    Ok(needed)
}
