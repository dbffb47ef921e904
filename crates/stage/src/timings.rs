//! `timings.json`: seconds and peak resident bytes of each stage of a run. It is written
//! beside the artifacts and is part of none, because equal work takes unequal time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::replace::replace;

const FILE: &str = "timings.json";

#[derive(Serialize, Deserialize)]
struct Timing {
    seconds: f64,
    peak_resident_bytes: u64,
}

/// Records a stage that did work. It is information only, so that failing to write it
/// warns and no more.
pub(crate) fn record(run: &Path, stage: &str, elapsed: Duration) {
    let path = run.join(FILE);
    let mut timings: BTreeMap<String, Timing> = std::fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let seconds = (elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
    let timing = Timing { seconds, peak_resident_bytes: peak_resident_bytes() };
    timings.insert(stage.to_owned(), timing);
    let written = serde_json::to_vec_pretty(&timings)
        .map_err(std::io::Error::other)
        .and_then(|json| replace(run, FILE, json));
    if let Err(error) = written {
        tracing::warn!("cannot write {}: {error}", path.display());
    }
}

/// The most memory this process has had, where the system tells (Linux), else 0.
pub(crate) fn peak_resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_added_to_those_there() {
        let dir = tempfile::tempdir().unwrap();
        record(dir.path(), "ingest", Duration::from_millis(1500));
        record(dir.path(), "train", Duration::from_secs(2));
        let text = std::fs::read_to_string(dir.path().join("timings.json")).unwrap();
        let timings: BTreeMap<String, Timing> = serde_json::from_str(&text).unwrap();
        assert_eq!(timings.len(), 2);
        assert!((timings["ingest"].seconds - 1.5).abs() < 1e-9);
        assert!(timings["ingest"].peak_resident_bytes > 0 || !cfg!(target_os = "linux"));
    }
}
