//! ONNX Runtime's library: found and checked by us before `ort` touches it, because `ort`
//! panics where a library is missing or too old.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;
use stage::{Error, Result};

/// Names a library file and wins over every other place.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// ONNX Runtime, loaded; one a process.
pub struct Runtime {
    environment: Environment,
    path: PathBuf,
    version: String,
}

static LOADED: OnceLock<Runtime> = OnceLock::new();
/// Held while loading: a second environment in one process is an error.
static LOADING: Mutex<()> = Mutex::new(());

impl Runtime {
    /// The process's runtime; the first call finds, checks and loads the library.
    ///
    /// Looked for in this order: the file that `$ORT_DYLIB_PATH` names (and then nowhere
    /// else), the folders `onnxruntime-gpu`, where there are any, and `onnxruntime` of
    /// [`stage::setup_dirs`].
    ///
    /// # Errors
    /// [`Unavailable`](stage::Fault::Unavailable), with every path tried and what was wrong
    /// there, the version wanted and the remedy.
    pub fn load() -> Result<&'static Self> {
        let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = LOADED.get() {
            return Ok(runtime);
        }
        let runtime = Self::find()?;
        tracing::debug!("ONNX Runtime {} at {}", runtime.version, runtime.path.display());
        Ok(LOADED.get_or_init(|| runtime))
    }

    /// The library's version and build, such as `1.31+6af1a93`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The library's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    fn find() -> Result<Self> {
        let mut tried = Vec::new();
        for place in places() {
            match place.and_then(|path| Self::open(&path)) {
                Ok(runtime) => return Ok(runtime),
                Err(reason) => tried.push(format!("\n  {reason}")),
            }
        }
        Err(Error::unavailable(format!(
            "no usable ONNX Runtime library (wanted: 1.{} or newer); tried:{}\n\
             run `make setup`, or set {VARIABLE} to the library's file",
            ort::MINOR_VERSION,
            tried.concat()
        )))
    }

    /// Loads the library at `path`; the error says what is wrong with it.
    fn open(path: &Path) -> std::result::Result<Self, String> {
        let says = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
        // Through a link ONNX Runtime would look for its providers in the link's folder.
        let path = path.canonicalize().map_err(|e| says(&e))?;
        let builder = ort::init_from(&path).map_err(|e| says(&reason(&e)))?;
        let environment = builder
            .with_name("embed")
            .with_telemetry(false)
            .with_logger(Arc::new(|level, _, _, _, message| match level {
                LogLevel::Verbose | LogLevel::Info => tracing::trace!("onnxruntime: {message}"),
                _ => tracing::debug!("onnxruntime: {message}"),
            }))
            .build()
            .map_err(|e| says(&e))?;
        let minor = ort::util::probe(&path).map_or_else(|| "?".into(), |minor| minor.to_string());
        let version = format!("1.{minor}{}", commit(ort::info()));
        Ok(Self { environment, path, version })
    }
}

/// Why a library can't be loaded, without its path.
fn reason(error: &LoadDynamicError) -> String {
    match error {
        LoadDynamicError::Dlopen { error, .. } => {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            format!("cannot be loaded ({cause})")
        }
        LoadDynamicError::MissingApi { .. } => "is not ONNX Runtime".to_owned(),
        LoadDynamicError::BadVersion { version_str, .. } => {
            format!("is too old (version {version_str})")
        }
        LoadDynamicError::InvalidVersionString => error.to_string(),
    }
}

/// `+` and the commit of a build, from ONNX Runtime's own description of it.
fn commit(info: &str) -> String {
    let after = info.split("git-commit-id=").nth(1).unwrap_or_default();
    let id: String = after.chars().take_while(char::is_ascii_alphanumeric).collect();
    if id.is_empty() { id } else { format!("+{id}") }
}

/// The files to try, in order; where a folder holds none, what to say about it.
fn places() -> Vec<std::result::Result<PathBuf, String>> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return vec![Ok(path.into())];
    }
    // It computes on the processor as well, and is only there if somebody wanted it.
    let gpu = stage::setup_dirs("onnxruntime-gpu").into_iter().filter(|folder| folder.is_dir());
    gpu.chain(stage::setup_dirs("onnxruntime")).flat_map(|folder| libraries(&folder)).collect()
}

/// The libraries of one folder, the newest version first.
fn libraries(folder: &Path) -> Vec<std::result::Result<PathBuf, String>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_library(path)).collect();
    found.sort_by_key(|path| std::cmp::Reverse(version_numbers(path)));
    if found.is_empty() {
        return vec![Err(format!("{}: no {}", folder.display(), library_name()))];
    }
    found.into_iter().map(Ok).collect()
}

fn library_name() -> &'static str {
    if cfg!(target_os = "macos") { "libonnxruntime.*.dylib" } else { "libonnxruntime.so.*" }
}

fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if cfg!(target_os = "macos") {
        name.starts_with("libonnxruntime.") && name.ends_with(".dylib")
    } else {
        name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so.")
    }
}

/// `libonnxruntime.so.1.31.1` → `[1, 31, 1]`.
fn version_numbers(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_library_of_a_folder_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let names = if cfg!(target_os = "macos") {
            ["libonnxruntime.1.9.0.dylib", "libonnxruntime.1.31.1.dylib"]
        } else {
            ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.31.1"]
        };
        for name in names.iter().chain(&["libonnxruntime_providers_shared.so", "readme"]) {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let found: Vec<PathBuf> = libraries(folder.path()).into_iter().flatten().collect();
        assert_eq!(found, [folder.path().join(names[1]), folder.path().join(names[0])]);
        let none = libraries(&folder.path().join("none"));
        assert!(none[0].as_ref().unwrap_err().contains("none: no libonnxruntime"));
    }

    #[test]
    fn the_commit_is_read_from_the_build_description() {
        let info = "ORT Build Info: git-branch=HEAD, git-commit-id=6af1a93, build type=Release";
        assert_eq!(commit(info), "+6af1a93");
        assert_eq!(commit("something else"), "");
    }
}
