//! CUDA: registered so that it never falls back to the processor without a word, and its
//! libraries taken from NVIDIA's Python wheels where the system has none.

use std::path::{Path, PathBuf};

use ort::ep::CUDA;
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::session::builder::SessionBuilder;
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use crate::Runtime;
use crate::model::first_line;

/// What a GPU may do to be faster that shows in the bits. Nothing of it by default: then it
/// computes in full f32, as the processor does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kernels {
    /// Convolutions and matrix products round their inputs to TF32, which keeps 10 bits behind
    /// the point instead of 23.
    pub tf32: bool,
    /// Convolutions keep channels last in memory, as tensor cores like it.
    pub nhwc: bool,
}

/// Adds the CUDA provider to a session's options. With `graph`, the session's kernels are
/// recorded once and replayed as one.
///
/// ONNX Runtime's own defaults are others: TF32 is on, and convolutions try all algorithms and
/// take the fastest of the moment, so that two runs can differ in their bits. By heuristic the
/// choice depends on the machine and the shapes alone.
pub(crate) fn register(
    builder: SessionBuilder,
    runtime: &Runtime,
    kernels: Kernels,
    graph: bool,
) -> Result<SessionBuilder> {
    preload(runtime.path());
    let provider = CUDA::default()
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .with_tf32(kernels.tf32)
        .with_prefer_nhwc(kernels.nhwc)
        .with_cuda_graph(graph);
    builder
        .with_execution_providers([provider.build().error_on_failure()])
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
    let marks = ["CUDA failure", "CUDNN", "CUBLAS", "libcu", "graph capture", "BFCArena"];
    marks.iter().any(|mark| message.contains(mark))
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
