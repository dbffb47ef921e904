//! One ONNX model on one thread.

use std::path::Path;

use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType};
use stage::{Error, Result};

use crate::{Kernels, Provider, Runtime, cuda};

/// A model with a single input, in a session of one thread.
///
/// Throughput comes from several models on several threads, not from threads in one: that
/// scales linearly, survives busy neighbours and changes no bit.
pub struct Model {
    session: Session,
}

/// Where and how a session computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compute {
    pub provider: Provider,
    /// On a GPU.
    pub kernels: Kernels,
    /// On a GPU: kernels are recorded once and replayed.
    pub graph: bool,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// Its element type: `uint8`, `float32`, `int64`, or what the runtime calls others.
    pub kind: String,
    /// Its dimensions, -1 where any size is taken.
    pub shape: Vec<i64>,
}

/// Values for a model's input, row by row.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Pixels.
    U8 {
        /// Dimensions; their product is the length of `data`.
        shape: &'a [usize],
        /// Elements in C order.
        data: &'a [u8],
    },
    /// Anything else.
    F32 {
        /// Dimensions; their product is the length of `data`.
        shape: &'a [usize],
        /// Elements in C order.
        data: &'a [f32],
    },
}

impl Model {
    /// Opens the model in the bytes of an ONNX file.
    ///
    /// # Errors
    /// [`Unavailable`](stage::Fault::Unavailable) without the runtime or the provider,
    /// [`Data`](stage::Fault::Data) when the bytes are no model that it can run.
    pub fn load(onnx: &[u8], provider: Provider) -> Result<Self> {
        let compute = Compute { provider, kernels: Kernels::default(), graph: false };
        Self::load_with(onnx, compute, Ok)
    }

    /// Opens the model in the file `path`.
    ///
    /// # Errors
    /// As [`Model::load`], and [`Missing`](stage::Fault::Missing); they name the path.
    pub fn open(path: &Path, provider: Provider) -> Result<Self> {
        let onnx = std::fs::read(path).map_err(|e| Error::read(path, &e))?;
        Self::load(&onnx, provider).map_err(|e| e.context(path.display()))
    }

    /// [`Model::load`] with more session options.
    pub(crate) fn load_with(
        onnx: &[u8],
        compute: Compute,
        options: impl FnOnce(SessionBuilder) -> ort::Result<SessionBuilder>,
    ) -> Result<Self> {
        Ok(Self { session: session(onnx, compute, options)? })
    }

    /// The model's inputs.
    #[must_use]
    pub fn inputs(&self) -> Vec<Port> {
        self.session.inputs().iter().map(Port::of).collect()
    }

    /// The model's outputs.
    #[must_use]
    pub fn outputs(&self) -> Vec<Port> {
        self.session.outputs().iter().map(Port::of).collect()
    }

    /// A value of the model's own metadata.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<String> {
        self.session.metadata().ok()?.custom(key)
    }

    /// Computes all outputs for the model's single input.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) when the input has the wrong type or shape,
    /// [`Unavailable`](stage::Fault::Unavailable) when a GPU fails or its memory is too small.
    pub fn run(&mut self, input: Input<'_>) -> Result<Outputs> {
        let name = match self.session.inputs() {
            [input] => input.name().to_owned(),
            inputs => {
                return Err(Error::data(format!(
                    "a model with one input is wanted, this one has {}",
                    inputs.len()
                )));
            }
        };
        let value: SessionInputValue<'_> = match input {
            Input::U8 { shape, data } => {
                TensorRef::from_array_view((dimensions(shape), data)).map_err(failed)?.into()
            }
            Input::F32 { shape, data } => {
                TensorRef::from_array_view((dimensions(shape), data)).map_err(failed)?.into()
            }
        };
        let outputs = self.session.run(vec![(name, value)]).map_err(failed)?;
        let values = outputs.into_iter().map(|(name, value)| Value::of(name, value));
        Ok(Outputs { values: values.collect() })
    }

    pub(crate) fn session(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// What a model computed, by name.
pub struct Outputs {
    values: Vec<Value>,
}

struct Value {
    name: String,
    tensor: DynValue,
    shape: Vec<usize>,
}

impl Value {
    fn of(name: &str, tensor: DynValue) -> Self {
        let shape = match tensor.dtype() {
            ValueType::Tensor { shape, .. } => shape.iter().map(|&side| side as usize).collect(),
            _ => Vec::new(),
        };
        Self { name: name.to_owned(), tensor, shape }
    }
}

impl Outputs {
    /// Shape and elements of the float32 output `name`.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) when there is none of this name and type.
    pub fn f32(&self, name: &str) -> Result<(&[usize], &[f32])> {
        self.tensor(name)
    }

    /// Shape and elements of the int64 output `name`.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) when there is none of this name and type.
    pub fn i64(&self, name: &str) -> Result<(&[usize], &[i64])> {
        self.tensor(name)
    }

    fn tensor<T: ort::value::PrimitiveTensorElementType>(
        &self,
        name: &str,
    ) -> Result<(&[usize], &[T])> {
        let value = self.values.iter().find(|value| value.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.values.iter().map(|v| v.name.as_str()).collect();
            Error::data(format!("the model has no output `{name}`, only {}", names.join(", ")))
        })?;
        let (_, data) = value
            .tensor
            .try_extract_tensor()
            .map_err(|e| Error::data(format!("output `{name}`: {}", first_line(e.message()))))?;
        Ok((&value.shape, data))
    }
}

impl Port {
    fn of(outlet: &Outlet) -> Self {
        let (kind, shape) = match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => (element(*ty), shape.to_vec()),
            other => (format!("{other:?}"), Vec::new()),
        };
        Self { name: outlet.name().to_owned(), kind, shape }
    }
}

fn element(kind: TensorElementType) -> String {
    match kind {
        TensorElementType::Uint8 => "uint8".to_owned(),
        TensorElementType::Float32 => "float32".to_owned(),
        TensorElementType::Int64 => "int64".to_owned(),
        other => other.to_string(),
    }
}

/// A session of the model in the bytes of an ONNX file.
pub(crate) fn session(
    onnx: &[u8],
    compute: Compute,
    options: impl FnOnce(SessionBuilder) -> ort::Result<SessionBuilder>,
) -> Result<Session> {
    let runtime = Runtime::load()?;
    let builder = plain_options(runtime).and_then(options).map_err(|e| internal(&e))?;
    let mut builder = match compute.provider {
        Provider::Cpu => builder,
        Provider::Cuda => cuda::register(builder, runtime, compute.kernels, compute.graph)?,
    };
    builder.commit_from_memory(onnx).map_err(|e| match compute.provider {
        Provider::Cuda if cuda::is_device_error(&e) => cuda::unavailable(&e),
        _ => Error::data(format!("not a usable ONNX model: {}", first_line(e.message()))),
    })
}

/// Why a model that was opened doesn't run.
pub(crate) fn failed(error: ort::Error) -> Error {
    if cuda::is_device_error(&error) {
        return cuda::unavailable(&error);
    }
    Error::data(format!("the model cannot run: {}", first_line(error.message())))
}

/// One thread that doesn't spin, and all optimisations: lower levels are four times slower.
fn plain_options(runtime: &Runtime) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(runtime.environment())?
        .with_intra_threads(1)?
        .with_intra_op_spinning(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?)
}

fn dimensions(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&side| side as i64).collect()
}

pub(crate) fn internal(error: &ort::Error) -> Error {
    Error::internal(format!("ONNX Runtime: {}", first_line(error.message())))
}

/// ONNX Runtime's messages go on with lines of C++ places.
pub(crate) fn first_line(message: &str) -> &str {
    message.trim().lines().next().unwrap_or_default()
}
