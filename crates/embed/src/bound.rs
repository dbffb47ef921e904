//! One model on one thread with an input and an output of fixed shape, whose memory stays.
//!
//! On a GPU that memory is pinned, so that copies need no detour and go on beside the work of
//! another session. On the processor the same code runs on ordinary memory.

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{HasSelectedOutputs, IoBinding, OutputSelector, RunOptions, Session};
use ort::value::{Tensor, TensorElementType, ValueType};
use stage::{Error, Result};

use crate::model::{Compute, failed, internal, session};
use crate::{Provider, View};

/// The name of a backbone's output.
const EMBEDDING: &str = "embedding";
/// The name of the open dimension of our backbones.
const BATCH: &str = "n";

/// A backbone that takes batches of one shape.
pub struct Bound {
    session: Session,
    name: String,
    input: Tensor<u8>,
    transfer: Transfer,
    dims: usize,
}

/// How pixels get to the device and embeddings back.
enum Transfer {
    /// The runtime does both within a run; the output's memory is among the options.
    Run(RunOptions<HasSelectedOutputs>),
    /// We do: a recorded graph reads and writes what it read and wrote when it was recorded.
    Graph(Box<Replay>),
}

struct Replay {
    binding: IoBinding,
    /// Both on the device.
    input: Tensor<u8>,
    output: Tensor<f32>,
    /// For us to read.
    result: Tensor<f32>,
}

impl Bound {
    /// Opens the backbone that `view` names; it takes uint8 of `shape` (the batch first) and
    /// gives `dims` numbers a picture. On the processor it computes with `threads`, which
    /// changes no bit. With `graph`, a GPU's kernels are recorded by the first
    /// run and replayed by others, which saves their launches; all runs must then be on one
    /// thread.
    ///
    /// # Errors
    /// As [`Model::load`](crate::Model::load); [`Data`](stage::Fault::Data) when the model
    /// gives something else.
    pub fn open(
        onnx: &[u8],
        view: &View,
        shape: [usize; 4],
        dims: usize,
        threads: usize,
        graph: bool,
    ) -> Result<Self> {
        let (provider, batch) = (view.provider, shape[0]);
        let compute = Compute { provider, kernels: view.kernels, graph };
        let session = session(onnx, compute, |options| match provider {
            Provider::Cpu => Ok(options.with_intra_threads(threads)?),
            // Shapes that are known need no nodes that compute them on the processor.
            Provider::Cuda => Ok(options.with_dimension_override(BATCH, batch as i64)?),
        })?;
        let name = check(&session, dims)?;
        let input =
            Tensor::new(&host(&session, provider, MemoryType::CPUInput)?, shape).map_err(failed)?;
        let host = host(&session, provider, MemoryType::CPUOutput)?;
        let result = Tensor::new(&host, [batch, dims]).map_err(failed)?;
        let transfer = if graph {
            let replay = Replay::new(&session, provider, &name, shape, result);
            Transfer::Graph(Box::new(replay.map_err(failed)?))
        } else {
            let output = OutputSelector::no_default().with(EMBEDDING);
            let output = output.preallocate(EMBEDDING, result);
            Transfer::Run(RunOptions::new().map_err(failed)?.with_outputs(output))
        };
        Ok(Self { session, name, input, transfer, dims })
    }

    /// The embeddings of the first `count` pictures, `[count, dims]`. Fewer `pixels` than a
    /// batch has are filled up with zeros.
    ///
    /// # Errors
    /// As [`Bound::infer`].
    pub fn run(&mut self, pixels: &[u8], count: usize) -> Result<Vec<f32>> {
        let (head, rest) = self
            .input()
            .split_at_mut_checked(pixels.len())
            .ok_or_else(|| Error::internal("more pixels than a batch has"))?;
        head.copy_from_slice(pixels);
        rest.fill(0);
        let mut embeddings = Vec::with_capacity(count * self.dims);
        self.infer(count, &mut embeddings)?;
        Ok(embeddings)
    }

    /// How many numbers it gives for a picture.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The pixels that the model infers from: those of the last time, to be written over.
    pub fn input(&mut self) -> &mut [u8] {
        self.input.extract_tensor_mut().1
    }

    /// Adds the embeddings of the first `count` pictures of the [`input`](Self::input),
    /// `[count, dims]`, to `embeddings`.
    ///
    /// # Errors
    /// [`Unavailable`](stage::Fault::Unavailable) when a GPU fails or its memory is too small,
    /// [`Data`](stage::Fault::Data) when the model can't run.
    pub fn infer(&mut self, count: usize, embeddings: &mut Vec<f32>) -> Result<()> {
        let wanted = count * self.dims;
        match &mut self.transfer {
            Transfer::Run(options) => {
                let inputs = ort::inputs![self.name.as_str() => &self.input];
                let outputs = self.session.run_with_options(inputs, options).map_err(failed)?;
                let (_, values) = outputs[EMBEDDING].try_extract_tensor::<f32>().map_err(failed)?;
                embeddings.extend_from_slice(&values[..wanted]);
            }
            Transfer::Graph(replay) => {
                replay.run(&mut self.session, &self.input).map_err(failed)?;
                embeddings.extend_from_slice(&replay.result.extract_tensor().1[..wanted]);
            }
        }
        Ok(())
    }
}

impl Replay {
    fn new(
        session: &Session,
        provider: Provider,
        name: &str,
        shape: [usize; 4],
        result: Tensor<f32>,
    ) -> ort::Result<Self> {
        let device = match provider {
            Provider::Cpu => Allocator::default(),
            Provider::Cuda => Allocator::new(
                session,
                MemoryInfo::new(
                    AllocationDevice::CUDA,
                    0,
                    AllocatorType::Device,
                    MemoryType::Default,
                )?,
            )?,
        };
        let input = Tensor::new(&device, shape)?;
        let mut output = Tensor::new(&device, result.shape().to_vec())?;
        let mut binding = session.create_binding()?;
        binding.bind_input(name, &input)?;
        binding.bind_output(EMBEDDING, &mut output)?;
        Ok(Self { binding, input, output, result })
    }

    fn run(&mut self, session: &mut Session, pixels: &Tensor<u8>) -> ort::Result<()> {
        pixels.copy_into(&mut self.input)?;
        session.run_binding(&self.binding)?;
        self.output.copy_into(&mut self.result)
    }
}

/// Memory that we write and read and that the device copies from and to without a detour.
fn host(session: &Session, provider: Provider, kind: MemoryType) -> Result<Allocator> {
    if provider == Provider::Cpu {
        return Ok(Allocator::default());
    }
    MemoryInfo::new(AllocationDevice::CUDA_PINNED, 0, AllocatorType::Device, kind)
        .and_then(|pinned| Allocator::new(session, pinned))
        .map_err(|e| internal(&e))
}

/// The name of the only input; an error unless the output is `embedding`, float32 `[n, dims]`.
fn check(session: &Session, dims: usize) -> Result<String> {
    let [input] = session.inputs() else {
        return Err(Error::data(format!(
            "a backbone with one input is wanted, this one has {}",
            session.inputs().len()
        )));
    };
    let found = session.outputs().iter().find(|output| output.name() == EMBEDDING);
    let fits = found.is_some_and(|output| match output.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => {
            matches!(shape[..], [_, last] if last == dims as i64 || last < 0)
        }
        _ => false,
    });
    if fits {
        return Ok(input.name().to_owned());
    }
    let found = found.map_or_else(|| "nothing".to_owned(), |output| output.dtype().to_string());
    Err(Error::data(format!(
        "the backbone gives {found} as {EMBEDDING:?}, not float32 [n, {dims}]; run gtsrb-backbone \
         again"
    )))
}
