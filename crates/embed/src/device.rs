//! Which provider computes.

use ort::ep::{CUDA, ExecutionProvider as _};
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use crate::{Kernels, Provider, Runtime, placement};

/// Where the user wants to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// An NVIDIA GPU where the library and the machine have one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU or nothing.
    Cuda,
}

impl Device {
    /// Where the model in `onnx`, whose input has the shape `shape`, will run.
    ///
    /// # Errors
    /// [`Unavailable`](stage::Fault::Unavailable) when CUDA is demanded and the library has
    /// none. That the device works and does the work is shown when a pipeline is opened on it;
    /// for [`Auto`](Self::Auto), which promises what works, that is tried here.
    pub fn choose(self, onnx: &[u8], kernels: Kernels, shape: &[usize]) -> Result<Provider> {
        let runtime = Runtime::load()?;
        let compiled_in = CUDA::is_available().unwrap_or(false);
        match self {
            Self::Cpu => Ok(Provider::Cpu),
            Self::Cuda if compiled_in => Ok(Provider::Cuda),
            Self::Cuda => Err(Error::unavailable(format!(
                "CUDA is asked for, but the ONNX Runtime library {} (version {}) is built without \
                 it; run `make setup DEVICE=cuda`, or use --device cpu",
                runtime.path().display(),
                runtime.version()
            ))),
            Self::Auto if !compiled_in => Ok(Provider::Cpu),
            Self::Auto => match placement(onnx, Provider::Cuda, kernels, shape) {
                Ok(_) => Ok(Provider::Cuda),
                Err(error) => {
                    tracing::warn!("using the processor: {error}");
                    Ok(Provider::Cpu)
                }
            },
        }
    }
}
