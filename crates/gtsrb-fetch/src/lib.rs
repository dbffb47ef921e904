//! `gtsrb-fetch`: the official archives of GTSRB, each in a thread of its own, resumed where they
//! stopped, and kept only if their published hash is right.
//!
//! Bytes arrive in `NAME.part`, which stays when something goes wrong; `NAME.part.json` says whose
//! bytes they are. A complete part is read once more while it is copied into the artifact, and
//! only the copy whose hash is right gets the archive's name.

mod answer;
mod args;
mod client;
mod part;
mod transfer;
mod verify;

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use artifact::{Output, Staged, Work};
use serde::Serialize;
use serde_json::json;
use signs::archives::{ARCHIVES, Archive};
use stage::{Error, Outcome, Progress, Result, check_interrupt};

pub use args::Args;
use args::Settings;
use client::Client;
use part::Part;
use transfer::Transfer;

/// The name in manifests and messages.
const TOOL: &str = "gtsrb-fetch";
/// Raise the number with every change of what this stage makes of the same inputs and settings.
const VERSION: &str = artifact::version!(1);
/// How often the main thread looks for signals.
const LOOK: Duration = Duration::from_millis(50);

/// What is there now.
#[derive(Serialize, Debug)]
pub struct Summary {
    /// How many archives.
    pub archives: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The folder they are in.
    pub folder: String,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { archives, bytes, folder } = self;
        write!(f, "{archives} archives, {bytes} bytes, in {folder}")
    }
}

/// Fetches the official archives.
///
/// # Errors
/// See the exit codes of [`stage::Fault`]; archives that were there before stay.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    fetch(args, &ARCHIVES)
}

/// Fetches `archives`, all or none.
///
/// # Errors
/// Like [`run`].
pub fn fetch(args: &Args, archives: &[Archive]) -> Result<Outcome<Summary>> {
    let settings = Settings::new(args)?;
    let summary = Summary {
        archives: archives.len(),
        bytes: archives.iter().map(|archive| archive.bytes).sum(),
        folder: settings.to.display().to_string(),
    };
    if args.common.dry_run {
        return Ok(Outcome::Planned(format!("would fetch {summary}")));
    }
    let output = Output::open(&settings.to)?;
    let work = work(archives);
    if output.current(&work)?.is_some() {
        return Ok(Outcome::Current(summary));
    }
    let client = Client::new(&settings);
    let progress = Progress::new("fetch", summary.bytes);
    let files = obtain_all(&client, &output, &settings.to, archives, &progress)?;
    output.commit(work, files, BTreeMap::new(), BTreeMap::new())?;
    archives.iter().try_for_each(|archive| Part::of(&settings.to, archive).remove())?;
    Ok(Outcome::Done(summary))
}

fn work(archives: &[Archive]) -> Work {
    let hashes: BTreeMap<_, _> = archives.iter().map(|a| (a.name, a.md5)).collect();
    Work {
        tool: TOOL.to_owned(),
        version: VERSION.to_owned(),
        parameters: json!({ "md5": hashes }),
        inputs: BTreeMap::new(),
    }
}

/// All archives at the same time; this thread meanwhile looks for signals.
fn obtain_all(
    client: &Client,
    output: &Output,
    folder: &Path,
    archives: &[Archive],
    progress: &Progress,
) -> Result<Vec<Staged>> {
    thread::scope(|scope| {
        let obtain = |archive| move || obtain(client, output, folder, archive, progress);
        let start = |archive| {
            let worker = thread::Builder::new().spawn_scoped(scope, obtain(archive));
            worker.map_err(|e| {
                client.cut();
                Error::thread(&e)
            })
        };
        let workers = archives.iter().map(start).collect::<Result<Vec<_>>>()?;
        let mut cut = false;
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            if !cut && check_interrupt().is_err() {
                client.cut();
                cut = true;
            }
            thread::sleep(LOOK);
        }
        workers
            .into_iter()
            .map(|worker| {
                worker.join().unwrap_or_else(|_| Err(Error::internal("a download panicked")))
            })
            .collect()
    })
}

/// One archive: what is there already, else from its server.
fn obtain(
    client: &Client,
    output: &Output,
    folder: &Path,
    archive: &Archive,
    progress: &Progress,
) -> Result<Staged> {
    if let Ok(staged) = verify::copy(output, &folder.join(archive.name), archive)? {
        progress.inc(archive.bytes);
        return Ok(staged);
    }
    let part = Part::of(folder, archive);
    let mut transfer = Transfer::new(client, archive, &part, progress);
    // Bytes of two answers may be spliced wrongly; those of one are what the server has.
    for _ in 0..2 {
        let spliced = transfer.complete()?;
        match verify::copy(output, part.path(), archive)? {
            Ok(staged) => return Ok(staged),
            Err(wrong) => {
                part.remove()?;
                if !spliced {
                    return Err(client.refuse(archive, &wrong));
                }
                tracing::warn!("{}: {wrong}; fetching it from its start", archive.name);
            }
        }
    }
    Err(client.refuse(archive, "its bytes change from answer to answer"))
}
