//! Where the nodes of a graph really ran.

use std::collections::BTreeMap;

use serde::Deserialize;
use stage::{Error, Result};

use crate::model::Compute;
use crate::{Input, Kernels, Model, Provider};

/// Operators whose work decides the speed, before and after the runtime's fusions.
const HEAVY: [&str; 6] = ["Conv", "Gemm", "MatMul", "Attention", "LSTM", "Einsum"];

/// How many nodes each provider ran, by operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Placement(pub BTreeMap<String, BTreeMap<String, u32>>);

/// Runs the model once, `shape` being its input's, with the runtime's own profiler on, and
/// reads which provider ran each node. This is a record of what happened, not of a plan.
///
/// # Errors
/// As [`Model::load`]; [`Unavailable`](stage::Fault::Unavailable) when `provider` is CUDA and
/// a convolution or matrix product ran elsewhere.
pub fn placement(
    onnx: &[u8],
    provider: Provider,
    kernels: Kernels,
    shape: &[usize],
) -> Result<Placement> {
    let folder = tempfile::tempdir()
        .map_err(|e| Error::create(format!("no temporary folder for a profile: {e}")))?;
    let prefix = folder.path().join("profile");
    let compute = Compute { provider, kernels, graph: false };
    let mut model = Model::load_with(onnx, compute, |o| Ok(o.with_profiling(&prefix)?))?;
    let zeros = vec![0; shape.iter().product()];
    model.run(Input::U8 { shape, data: &zeros })?;
    let file = model
        .session()
        .end_profiling()
        .map_err(|e| Error::internal(format!("the profile cannot be read: {e}")))?;
    let text = std::fs::read_to_string(&file).map_err(|e| Error::read(file.as_ref(), &e))?;
    let placement = Placement::parse(&text)?;
    if provider == Provider::Cuda {
        placement.check("CUDAExecutionProvider")?;
    }
    Ok(placement)
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Args,
}

#[derive(Deserialize, Default)]
struct Args {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    op_name: String,
}

impl Placement {
    /// Reads the profiler's events; those named `…_kernel_time` are nodes that ran.
    fn parse(profile: &str) -> Result<Self> {
        let events: Vec<Event> = serde_json::from_str(profile)
            .map_err(|e| Error::internal(format!("the profile cannot be read: {e}")))?;
        let mut placement = Self::default();
        for event in events.into_iter().filter(|event| event.name.ends_with("_kernel_time")) {
            let operators = placement.0.entry(event.args.provider).or_default();
            *operators.entry(event.args.op_name).or_default() += 1;
        }
        Ok(placement)
    }

    /// All heavy operators ran on `provider`, and there was something to run.
    fn check(&self, provider: &str) -> Result<()> {
        let heavy = |op: &str| HEAVY.iter().any(|name| op.contains(name));
        let astray = self
            .0
            .iter()
            .filter(|(name, _)| *name != provider)
            .find_map(|(name, ops)| ops.keys().find(|op| heavy(op)).map(|op| (name, op)));
        match astray {
            Some((name, op)) => Err(Error::unavailable(format!(
                "CUDA is asked for, but {op} ran on {name}; use --device cpu, or a backbone that \
                 ONNX Runtime runs on CUDA"
            ))),
            None if self.0.contains_key(provider) => Ok(()),
            None => Err(Error::unavailable("CUDA is asked for, but no node ran on it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(provider: &str) -> Placement {
        let event = |name: &str, op: &str, provider: &str| {
            format!(
                r#"{{"cat":"Node","name":"{name}","args":{{"op_name":"{op}","provider":"{provider}"}}}}"#
            )
        };
        let events = [
            r#"{"cat":"Session","name":"model_run","args":{}}"#.to_owned(),
            event("conv1_kernel_time", "FusedConv", provider),
            event("conv2_kernel_time", "FusedConv", "CUDAExecutionProvider"),
            event("shape_kernel_time", "Shape", "CPUExecutionProvider"),
            event("conv1_fence_before", "FusedConv", "CPUExecutionProvider"),
        ];
        Placement::parse(&format!("[{}]", events.join(","))).unwrap()
    }

    #[test]
    fn light_nodes_may_run_on_the_processor() {
        let placement = profile("CUDAExecutionProvider");
        placement.check("CUDAExecutionProvider").unwrap();
        assert_eq!(placement.0["CUDAExecutionProvider"]["FusedConv"], 2);
        assert_eq!(placement.0["CPUExecutionProvider"]["Shape"], 1);
    }

    #[test]
    fn a_heavy_node_elsewhere_is_unavailable() {
        let error = profile("CPUExecutionProvider").check("CUDAExecutionProvider").unwrap_err();
        assert_eq!(error.fault(), stage::Fault::Unavailable);
        assert!(error.to_string().contains("FusedConv ran on CPUExecutionProvider"), "{error}");
        assert!(Placement::default().check("CUDAExecutionProvider").is_err());
    }
}
