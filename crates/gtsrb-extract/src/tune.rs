//! `--tune`: which sessions and threads are fastest on this machine, found by measuring for
//! some seconds and remembered under the cache folder. No result depends on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use artifact::HashBuilder;
use embed::{Effort, Provider, View};
use stage::{Error, Result};

use crate::backbone::Backbone;

/// For each candidate, twice.
const TIME: Duration = Duration::from_millis(500);
/// What is less than this much faster than the plain choice isn't: measurements vary.
const WORTH: f64 = 1.03;

/// What is remembered for this machine and model, or the plain choice.
pub fn remembered(backbone: &Backbone, view: &View, threads: usize) -> Effort {
    let path = place(backbone, view, threads);
    let found = std::fs::read(&path).ok().and_then(|json| serde_json::from_slice(&json).ok());
    // Whoever edits the file can't make the stage start hundreds of threads.
    let sound = |effort: &Effort| (1..=threads).contains(&effort.total());
    found.filter(sound).unwrap_or_else(|| Effort::plain(threads))
}

/// Measures and remembers.
///
/// # Errors
/// As [`Effort::measure`]; [`Create`](stage::Fault::Create) if the cache can't be written.
pub fn tune(backbone: &Backbone, view: &View, threads: usize) -> Result<()> {
    if view.provider != Provider::Cpu {
        return Err(Error::usage("--tune is for the processor: on a GPU nothing is to be chosen"));
    }
    let candidates = Effort::candidates(threads);
    let mut speeds = vec![0.0_f64; candidates.len()];
    // In rounds, so that a neighbour's work doesn't meet one candidate alone.
    for _ in 0..2 {
        for (effort, speed) in candidates.iter().zip(&mut speeds) {
            let found = effort.measure(&backbone.onnx, backbone.dims, view, TIME)?;
            *speed = speed.max(found);
        }
    }
    for (Effort { sessions, threads }, speed) in candidates.iter().zip(&speeds) {
        tracing::info!("{sessions} sessions of {threads} threads: {speed:.0} images/s");
    }
    let best = fastest(&candidates, &speeds);
    let Effort { sessions, threads: each } = best;
    tracing::info!("from now on {sessions} sessions of {each} threads for this model");
    remember(&place(backbone, view, threads), best)
}

/// The fastest; the first unless another is worth it.
fn fastest(candidates: &[Effort], speeds: &[f64]) -> Effort {
    let better = |best: usize, next: usize| {
        let worth = if best == 0 { WORTH } else { 1.0 };
        if speeds[next] > worth * speeds[best] { next } else { best }
    };
    candidates[(1..candidates.len()).fold(0, better)]
}

fn remember(path: &Path, effort: Effort) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| Error::write(folder, &e))?;
    let json = serde_json::json!(effort).to_string();
    let temporary = folder.join(format!(".tmp-{}", std::process::id()));
    std::fs::write(&temporary, json).map_err(|e| Error::write(&temporary, &e))?;
    std::fs::rename(&temporary, path).map_err(|e| Error::write(path, &e))
}

/// A file for each machine, model, batch and number of threads.
fn place(backbone: &Backbone, view: &View, threads: usize) -> PathBuf {
    let hash = HashBuilder::default()
        .field(processor())
        .field(backbone.hash.0)
        .field(&view.runtime)
        .field(view.batch.to_le_bytes())
        .field(threads.to_le_bytes())
        .finish();
    stage::cache_dir().join("tuning").join(format!("{hash}.json"))
}

/// The processor's name, where the system tells (Linux).
fn processor() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = about.lines().find_map(|line| line.strip_prefix("model name"));
    name.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_clearly_faster_replaces_the_plain_choice() {
        let candidates = Effort::candidates(2);
        assert_eq!(fastest(&candidates, &[100.0, 102.0, 50.0]), candidates[0]);
        assert_eq!(fastest(&candidates, &[100.0, 104.0, 105.0]), candidates[2]);
    }
}
