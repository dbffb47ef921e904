//! CUDA: chosen, registered so that it never falls back to the processor without a word,
//! and its libraries taken from NVIDIA's Python wheels where the system has none.

use std::path::{Path, PathBuf};

use ort::ep::{CUDA, ExecutionProvider as _};
use ort::session::builder::SessionBuilder;
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use crate::model::first_line;
use crate::{Model, Provider, Runtime};

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
    /// Where the model in `onnx` will run.
    ///
    /// # Errors
    /// [`Unavailable`](stage::Fault::Unavailable) when CUDA is demanded and the library has
    /// none. That the device works is shown when a model is opened on it, and that the work
    /// runs there by [`placement`](crate::placement()).
    pub fn choose(self, onnx: &[u8]) -> Result<Provider> {
        let runtime = Runtime::load()?;
        let compiled_in = CUDA::is_available().unwrap_or(false);
        match self {
            Self::Cpu => Ok(Provider::Cpu),
            Self::Cuda if compiled_in => Ok(Provider::Cuda),
            Self::Cuda => Err(Error::unavailable(format!(
                "CUDA is asked for, but the ONNX Runtime library {} (version {}) is built without \
                 it; set ORT_DYLIB_PATH to the library of the PyPI package onnxruntime-gpu, or use \
                 --device cpu",
                runtime.path().display(),
                runtime.version()
            ))),
            Self::Auto if !compiled_in => Ok(Provider::Cpu),
            Self::Auto => match Model::load(onnx, Provider::Cuda) {
                Ok(_) => Ok(Provider::Cuda),
                Err(error) => {
                    tracing::warn!("using the processor: {error}");
                    Ok(Provider::Cpu)
                }
            },
        }
    }
}

/// Adds the CUDA provider to a session's options, TF32 off so that convolutions compute in
/// full f32 as on the processor.
pub(crate) fn register(builder: SessionBuilder, runtime: &Runtime) -> Result<SessionBuilder> {
    preload(runtime.path());
    builder
        .with_execution_providers([CUDA::default().with_tf32(false).build().error_on_failure()])
        .map_err(|e| unavailable(&ort::Error::<()>::from(e)))
}

/// CUDA can't be used, and why, without the pages of C++ that follow.
pub(crate) fn unavailable(error: &ort::Error) -> Error {
    let message = error.message();
    let detail = ["CUDA failure", "with error:"]
        .iter()
        .find_map(|mark| message.find(mark).map(|at| &message[at..]))
        .unwrap_or(message);
    Error::unavailable(format!(
        "CUDA is asked for but cannot be used: {}; check the driver (nvidia-smi) and the CUDA \
         libraries, or use --device cpu",
        first_line(detail)
    ))
}

/// Whether opening or running a model failed because of the device and not because of the model.
pub(crate) fn is_device_error(error: &ort::Error) -> bool {
    let message = error.message();
    ["CUDA failure", "CUDNN", "CUBLAS", "libcu"].iter().any(|mark| message.contains(mark))
}

/// What ONNX Runtime's CUDA provider needs, in the order in which they need each other.
const LIBRARIES: [(&str, &str); 7] = [
    ("cu13/lib", "libcudart.so.13"),
    ("cu13/lib", "libcublasLt.so.13"),
    ("cu13/lib", "libcublas.so.13"),
    ("cu13/lib", "libnvrtc.so.13"),
    ("cu13/lib", "libcurand.so.10"),
    ("cu13/lib", "libcufft.so.12"),
    ("cudnn/lib", "libcudnn.so.9"),
];

/// Loads the CUDA libraries of the Python environment that the runtime's library lies in;
/// where that isn't one, the system's are used.
fn preload(library: &Path) {
    let Some(wheels) = nvidia_wheels(library) else {
        return;
    };
    for (folder, name) in LIBRARIES {
        let path = wheels.join(folder).join(name);
        if path.exists()
            && let Err(error) = ort::util::preload_dylib(&path)
        {
            tracing::debug!("{}: {error}", path.display());
        }
    }
}

/// `site-packages/onnxruntime/capi/libonnxruntime.so.N` → `site-packages/nvidia`, if it is
/// there.
fn nvidia_wheels(library: &Path) -> Option<PathBuf> {
    let wheels = library.ancestors().nth(3)?.join("nvidia");
    wheels.is_dir().then_some(wheels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gpu_is_a_fault_of_the_device() {
        let full = ort::Error::new(
            "Non-zero status code returned while running Conv node. Status Message: \
             CUDA failure 2: out of memory ; GPU=0",
        );
        assert!(is_device_error(&full));
        let error = unavailable(&full);
        assert_eq!(error.fault(), stage::Fault::Unavailable);
        assert!(error.to_string().contains("used: CUDA failure 2: out of memory"), "{error}");
        assert!(!is_device_error(&ort::Error::new("Got invalid dimensions for input: image")));
    }
}
