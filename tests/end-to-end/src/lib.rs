//! Runs whole pipelines by `make`, as a user does, each in folders of its own.
//!
//! The variables that `make test` sets name the runtime, the weights and the Python with the
//! oracles; nothing is downloaded here.

#![expect(clippy::unwrap_used, reason = "a test that can't start has failed")]
#![expect(clippy::missing_panics_doc, reason = "test support panics by design")]
#![expect(clippy::must_use_candidate, reason = "callers choose what they look at")]

pub mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use artifact::Hash;
use serde_json::Value;
use tempfile::TempDir;

/// The value of a variable that `make test` sets; says that the test is skipped without it.
pub fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|v| !v.is_empty());
    if value.is_none() {
        eprintln!("skipped: {name} is not set (make test sets it)");
    }
    value
}

/// The sample pipeline with few pictures.
pub const SMALL: &str = include_str!("../../small.toml");

/// Whether the variables are set without which no pipeline runs.
pub fn ready() -> bool {
    ["ORT_DYLIB_PATH", "BACKBONE_WEIGHTS"].iter().all(|name| variable(name).is_some())
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Folders for runs and cache.
pub struct Place {
    dir: TempDir,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// New, empty ones; their path holds a space.
    pub fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("end to end ").tempdir().unwrap() }
    }

    /// The folder that holds them.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of a run.
    pub fn run(&self, pipeline: &str) -> PathBuf {
        self.path().join("runs").join(pipeline)
    }

    /// A `make` command in the repository with runs and cache in here.
    pub fn make(&self, arguments: &[&str]) -> Command {
        let mut make = Command::new("make");
        make.args(["--no-print-directory", "all"]).args(arguments);
        make.current_dir(root()).stdin(Stdio::null());
        // What an outer make passes on would change this one.
        for variable in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "GTSRB", "DATA"] {
            make.env_remove(variable);
        }
        make.env("RUNS_DIR", self.path().join("runs")).env("CACHE_DIR", self.path().join("cache"));
        make
    }

    /// Writes a pipeline's file and gives the argument that makes `make` use it.
    pub fn config(&self, pipeline: &str, text: &str) -> String {
        let path = self.path().join(format!("{pipeline}.toml"));
        std::fs::write(&path, text).unwrap();
        format!("CONFIG={}", path.display())
    }
}

/// Standard output and error of a command that must succeed.
pub fn succeed(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// Standard output and error as text.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Files and folders that tell how a run went and when.
const TOLD: [&str; 5] = ["timings.json", "lineage.jsonl", "prometheus", ".lock", "source.stat"];

/// Content hashes of every file under `dir`, what tells times and locks aside.
pub fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Hash> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if TOLD.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let hash = Hash::of_file(&path).unwrap();
                files.insert(path.strip_prefix(dir).unwrap().to_owned(), hash);
            }
        }
    }
    files
}

/// A JSON file.
pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
