//! Which GPU there is.

use std::process::Command;

use serde::Serialize;

use crate::Placement;

/// What NVIDIA's tool is called; it comes with the driver.
const TOOL: &str = "nvidia-smi";
/// What is said where it isn't there or says nothing.
const UNKNOWN: &str = "unknown";

/// A GPU, its driver, and what it did: a record beside the embeddings, which decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its name, such as `NVIDIA H200`.
    pub name: String,
    /// The driver's version.
    pub driver: String,
    /// How many nodes of the backbone each provider ran, by operator.
    pub nodes: Placement,
}

impl Gpu {
    /// The GPU that the process computes on: the first that `CUDA_VISIBLE_DEVICES` names, else
    /// the machine's first. What can't be told is `unknown`.
    pub(crate) fn of(nodes: Placement) -> Self {
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
        let mut command = Command::new(TOOL);
        command.args(["--query-gpu=name,driver_version", "--format=csv,noheader"]);
        if let Some(first) = visible.split(',').map(str::trim).find(|id| !id.is_empty()) {
            command.args(["--id", first]);
        }
        let said = command.output().ok().filter(|said| said.status.success());
        let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
        let (name, driver) = parse(said.as_deref().unwrap_or_default());
        Self { name, driver, nodes }
    }
}

/// Name and driver from the tool's first line, `NVIDIA H200, 580.65.06`.
fn parse(said: &str) -> (String, String) {
    let known = |text: &str| {
        let text = text.trim();
        if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() }
    };
    let line = said.lines().next().unwrap_or_default();
    let (name, driver) = line.rsplit_once(',').unwrap_or((line, ""));
    (known(name), known(driver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gpu_is_named_or_unknown() {
        let pair = |name: &str, driver: &str| (name.to_owned(), driver.to_owned());
        let two = "NVIDIA H200, 580.65.06\nNVIDIA T4, 580.65.06\n";
        assert_eq!(parse(two), pair("NVIDIA H200", "580.65.06"));
        assert_eq!(parse("A, B, 1.2\n"), pair("A, B", "1.2"));
        assert_eq!(parse("NVIDIA H200\n"), pair("NVIDIA H200", UNKNOWN));
        assert_eq!(parse(""), pair(UNKNOWN, UNKNOWN));
    }
}
