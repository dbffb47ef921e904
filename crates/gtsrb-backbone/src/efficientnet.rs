//! EfficientNet-Lite as a graph, from the tensors of its state dict.
//!
//! Tan and Le, 2019, in the Lite variant: no squeeze-and-excitation, `ReLU6`.
//! Widths, kernels, expansions and the number of blocks are read off the tensors' shapes, so
//! Lite0 to Lite4 are the same code. Each batch norm is folded into its convolution in double
//! precision. Padding is TensorFlow's SAME, which with stride 2 depends on the size's parity.

use onnx_graph::proto::{AttributeProto, TensorProto};
use onnx_graph::{Builder, Element, Size, attribute};

use crate::network::{IMAGE, Network};
use crate::weights::{StateDict, StateDictError};

/// What a batch norm adds to its variance.
const EPSILON: f64 = 1e-3;
const OPSET: i64 = 18;
/// Strides of the first block of each stage; a stage is a run of blocks of one width.
const STAGE_STRIDES: [i64; 7] = [1, 2, 2, 2, 1, 2, 1];

/// The network for pictures of `size` pixels a side.
///
/// # Errors
/// [`Data`](stage::Fault::Data) if tensors are missing or don't fit each other.
pub fn network(weights: &StateDict, size: usize) -> stage::Result<Network> {
    build(weights, size).map_err(|e| stage::Error::data(format!("no EfficientNet-Lite: {e}")))
}

type Result<T> = std::result::Result<T, StateDictError>;

fn build(weights: &StateDict, size: usize) -> Result<Network> {
    let mut b = Builder::new("efficientnet-lite", OPSET);
    let pixels = Size::Fixed(size);
    let shape = [Size::Open("n"), pixels, pixels, Size::Fixed(3)];
    b.input(IMAGE, Element::U8, &shape);
    let x = normalise(&mut b);
    let mut net = Net { b, weights };
    let mut maps = vec![net.convolve(&x, 3, &Convolution::new("_conv_stem", "_bn0", 2), "stem")?];
    for block in blocks(weights)? {
        maps.push(net.block(&maps[maps.len() - 1], &block)?);
    }
    let last = &maps[maps.len() - 1];
    let head = Convolution::new("_conv_head", "_bn1", 1);
    let head = net.convolve(&last.name, last.channels, &head, "head")?;
    let (features, logits) = net.classifier(&head)?;
    maps.push(head);
    Ok(Network {
        model: net.b.finish().map_err(|e| StateDictError::Content(e.to_string()))?,
        layers: maps.into_iter().map(|m| m.name).collect(),
        features,
        logits,
        normalisation: "(x - 127) / 128, RGB".into(),
        size,
    })
}

/// (x − 127) / 128 and colours first, exactly and in two nodes.
fn normalise(b: &mut Builder) -> String {
    let order = vec![attribute::ints("perm", &[0, 3, 1, 2])];
    let planes = b.node("Transpose", &[IMAGE], "planes", order);
    let scale = b.initializer("pixel_scale", TensorProto::f32(&[], &[1.0 / 128.0]));
    let zero = b.initializer("pixel_zero", TensorProto::byte(127));
    b.node("DequantizeLinear", &[&planes, &scale, &zero], "normalised", vec![])
}

/// One inverted residual block.
struct Block {
    number: usize,
    stride: i64,
}

/// The blocks in order, with the stride that the stage gives to its first one.
fn blocks(weights: &StateDict) -> Result<Vec<Block>> {
    let count = weights
        .names()
        .filter(|n| n.starts_with("_blocks.") && n.ends_with("._project_conv.weight"))
        .count();
    let (mut blocks, mut stage, mut width) = (Vec::new(), None, 0);
    for number in 0..count {
        let project = format!("_blocks.{number}._project_conv.weight");
        let out = weights.shape(&project)?.first().copied().unwrap_or(0);
        let first = out != width;
        if first {
            stage = Some(stage.map_or(0, |s: usize| s + 1));
            width = out;
        }
        let stride = stage.and_then(|s| STAGE_STRIDES.get(s)).copied();
        let stride = stride.ok_or_else(|| StateDictError::Content("more than 7 stages".into()))?;
        blocks.push(Block { number, stride: if first { stride } else { 1 } });
    }
    if stage == Some(STAGE_STRIDES.len() - 1) {
        return Ok(blocks);
    }
    let stages = stage.map_or(0, |s| s + 1);
    Err(StateDictError::Content(format!("its {count} blocks form {stages} stages instead of 7")))
}

/// The tensors of a convolution and of the batch norm behind it, and how it is used.
struct Convolution {
    weights: String,
    norm: String,
    stride: i64,
    depthwise: bool,
    relu6: bool,
}

impl Convolution {
    fn new(weights: &str, norm: &str, stride: i64) -> Self {
        let (weights, norm) = (format!("{weights}.weight"), norm.to_owned());
        Self { weights, norm, stride, depthwise: false, relu6: true }
    }
}

/// A map on its way through the network.
struct Map {
    name: String,
    channels: usize,
}

struct Net<'a> {
    b: Builder,
    weights: &'a StateDict,
}

impl Net<'_> {
    /// Expansion where there is one, depthwise convolution, projection, and the way around them
    /// where the shapes agree.
    fn block(&mut self, x: &Map, block: &Block) -> Result<Map> {
        let name = format!("block{}", block.number);
        let conv = |conv: &str, norm: &str, stride| {
            let part = |part: &str| format!("_blocks.{}.{part}", block.number);
            Convolution::new(&part(conv), &part(norm), stride)
        };
        let expand = conv("_expand_conv", "_bn0", 1);
        let mut inner = Map { name: x.name.clone(), channels: x.channels };
        if self.weights.shape(&expand.weights).is_ok() {
            inner = self.convolve(&x.name, x.channels, &expand, &format!("{name}_expand"))?;
        }
        let mut depthwise = conv("_depthwise_conv", "_bn1", block.stride);
        depthwise.depthwise = true;
        let wish = format!("{name}_depthwise");
        inner = self.convolve(&inner.name, inner.channels, &depthwise, &wish)?;
        let mut project = conv("_project_conv", "_bn2", 1);
        project.relu6 = false;
        let out = self.weights.shape(&project.weights)?.first().copied();
        let residual = block.stride == 1 && out == Some(x.channels);
        let wish = if residual { format!("{name}_project") } else { name.clone() };
        let projected = self.convolve(&inner.name, inner.channels, &project, &wish)?;
        if !residual {
            return Ok(projected);
        }
        let sum = self.b.node("Add", &[&projected.name, &x.name], &name, vec![]);
        Ok(Map { name: sum, ..projected })
    }

    /// Adds a convolution with its batch norm folded in and, if wanted, `ReLU6`.
    fn convolve(&mut self, x: &str, inputs: usize, conv: &Convolution, wish: &str) -> Result<Map> {
        let shape = self.weights.shape(&conv.weights)?.to_vec();
        let group = if conv.depthwise { inputs } else { 1 };
        let kernel = match *shape {
            [out, inner, h, w] if inner * group == inputs && h == w && out > 0 && h > 0 => h,
            _ => {
                let wanted = format!("[out, {}, k, k]", inputs / group.max(1));
                let name = conv.weights.clone();
                return Err(StateDictError::Shape { name, found: shape, wanted });
            }
        };
        let (folded, bias) = self.fold(conv, shape[0])?;
        let b = &mut self.b;
        let folded = b.initializer(&format!("{wish}_weight"), TensorProto::f32(&shape, &folded));
        let bias = b.initializer(&format!("{wish}_bias"), TensorProto::f32(&shape[..1], &bias));
        let attributes = conv_attributes(kernel as i64, conv.stride, group as i64);
        let conv_wish = if conv.relu6 { format!("{wish}_conv") } else { wish.to_owned() };
        let mut name = b.node("Conv", &[x, &folded, &bias], &conv_wish, attributes);
        if conv.relu6 {
            let low = b.initializer(&format!("{wish}_low"), TensorProto::f32(&[], &[0.0]));
            let high = b.initializer(&format!("{wish}_high"), TensorProto::f32(&[], &[6.0]));
            name = b.node("Clip", &[&name, &low, &high], wish, vec![]);
        }
        Ok(Map { name, channels: shape[0] })
    }

    /// Kernel and bias of a convolution and the batch norm γ (y − μ) / √(σ² + ε) + β in one.
    fn fold(&self, conv: &Convolution, channels: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let norm = |part: &str| self.vector(&format!("{}.{part}", conv.norm), channels);
        let (gamma, beta) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        let kernel = self.weights.floats(&conv.weights)?;
        let each = kernel.len() / channels;
        let (mut folded, mut bias) = (Vec::with_capacity(kernel.len()), Vec::new());
        for (c, kernel) in kernel.chunks_exact(each).enumerate() {
            let scale = f64::from(gamma[c]) / (f64::from(variance[c]) + EPSILON).sqrt();
            folded.extend(kernel.iter().map(|&k| (f64::from(k) * scale) as f32));
            bias.push((f64::from(beta[c]) - f64::from(mean[c]) * scale) as f32);
        }
        Ok((folded, bias))
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        let found = self.weights.shape(name)?;
        if found == [length] {
            return self.weights.floats(name);
        }
        let (name, found) = (name.to_owned(), found.to_vec());
        Err(StateDictError::Shape { name, found, wanted: format!("[{length}]") })
    }

    /// The global average and `ImageNet`'s classifier: names of its input and its output.
    fn classifier(&mut self, head: &Map) -> Result<(String, String)> {
        let shape = self.weights.shape("_fc.weight")?.to_vec();
        let &[classes, inputs] = shape.as_slice() else {
            let wanted = format!("[classes, {}]", head.channels);
            return Err(StateDictError::Shape { name: "_fc.weight".into(), found: shape, wanted });
        };
        if inputs != head.channels || classes == 0 {
            let wanted = format!("[classes, {}]", head.channels);
            return Err(StateDictError::Shape { name: "_fc.weight".into(), found: shape, wanted });
        }
        let (weights, bias) =
            (self.weights.floats("_fc.weight")?, self.vector("_fc.bias", classes)?);
        let b = &mut self.b;
        let mean = b.node("GlobalAveragePool", &[&head.name], "head_mean", vec![]);
        let features = b.node("Flatten", &[&mean], "features", vec![attribute::int("axis", 1)]);
        let weights = b.initializer("fc_weight", TensorProto::f32(&shape, &weights));
        let bias = b.initializer("fc_bias", TensorProto::f32(&[classes], &bias));
        let gemm = vec![attribute::int("transB", 1)];
        let logits = b.node("Gemm", &[&features, &weights, &bias], "logits", gemm);
        Ok((features, logits))
    }
}

fn conv_attributes(kernel: i64, stride: i64, group: i64) -> Vec<AttributeProto> {
    vec![
        attribute::ints("kernel_shape", &[kernel, kernel]),
        attribute::ints("strides", &[stride, stride]),
        attribute::string("auto_pad", "SAME_UPPER"),
        attribute::int("group", group),
    ]
}
