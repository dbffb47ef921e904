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

/// CUDA can't be used, and why, without the pages of C++ around it.
pub(crate) fn unavailable(error: &ort::Error) -> Error {
    let message = error.message();
    let failure = message.find("CUDA failure").map(|at| &message[at..]);
    let cause = message.split_once("with error:").map(|(_, cause)| cause);
    let detail = first_line(failure.or(cause).unwrap_or(message));
    // After the reason come places in C++.
    let detail = detail.split(" ; ").next().unwrap_or(detail);
    let remedy = if detail.contains("out of memory") || detail.contains("BFCArena") {
        "a smaller batch needs less"
    } else if detail.contains("libcuda.so") {
        "that library comes with NVIDIA's driver"
    } else if detail.contains("cannot open shared object file") {
        "run `make setup DEVICE=cuda` for NVIDIA's libraries"
    } else if detail.contains("graph capture") {
        "leave cuda_graph out for this backbone"
    } else {
        "check the driver (nvidia-smi)"
    };
    Error::unavailable(format!(
        "CUDA is asked for but cannot be used: {detail}; {remedy}, or use --device cpu"
    ))
}

/// Whether opening or running a model failed because of the device and not because of the model.
pub(crate) fn is_device_error(error: &ort::Error) -> bool {
    let message = error.message();
    let marks = ["CUDA failure", "CUDNN", "CUBLAS", "libcu", "graph capture", "BFCArena"];
    marks.iter().any(|mark| message.contains(mark))
}

/// What ONNX Runtime's CUDA provider needs, in the order in which they need each other, and
/// where NVIDIA's wheels have it.
const LIBRARIES: [(&str, &str); 7] = [
    ("cu13/lib", "libcudart.so.13"),
    ("cu13/lib", "libcublasLt.so.13"),
    ("cu13/lib", "libcublas.so.13"),
    ("cu13/lib", "libnvrtc.so.13"),
    ("cu13/lib", "libcurand.so.10"),
    ("cu13/lib", "libcufft.so.12"),
    ("cudnn/lib", "libcudnn.so.9"),
];

/// Loads the CUDA libraries that lie beside the runtime's library or in its Python environment;
/// what lies in neither is the system's.
fn preload(library: &Path) {
    for (folder, name) in LIBRARIES {
        let Some(path) = places(library, folder, name).into_iter().flatten().find(|p| p.exists())
        else {
            continue;
        };
        if let Err(error) = ort::util::preload_dylib(&path) {
            tracing::debug!("{}: {error}", path.display());
        }
    }
}

/// Beside `FOLDER/libonnxruntime.so.N`, and in `site-packages/nvidia` for
/// `site-packages/onnxruntime/capi/libonnxruntime.so.N`.
fn places(library: &Path, folder: &str, name: &str) -> [Option<PathBuf>; 2] {
    let beside = library.parent().map(|place| place.join(name));
    let wheels = library.ancestors().nth(3).map(|site| site.join("nvidia"));
    [beside, wheels.map(|wheels| wheels.join(folder).join(name))]
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
        let told = error.to_string();
        assert!(told.contains("used: CUDA failure 2: out of memory; a smaller batch"), "{told}");
        for (said, remedy) in [
            ("with error: libcuda.so.1: cannot open shared object file: No such file", "driver"),
            ("with error: libcublasLt.so.13: cannot open shared object file", "make setup"),
            ("This session cannot use the graph capture feature as requested", "cuda_graph"),
        ] {
            let error = ort::Error::new(format!("/onnxruntime/provider_bridge.cc:1 {said}\nmore"));
            assert!(is_device_error(&error), "{said}");
            let told = unavailable(&error).to_string();
            assert!(told.contains(remedy) && !told.contains("more"), "{told}");
        }
        assert!(!is_device_error(&ort::Error::new("Got invalid dimensions for input: image")));
    }
}
