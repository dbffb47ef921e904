//! Flags that every stage takes, and settings: a section of the pipeline's TOML file with
//! the flags that were given laid over it.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::location::STORE_TIMEOUT;
use crate::{Error, LogFormat, Result, local};

/// The sections that a pipeline's file may have, in the order of the stages.
pub(crate) const SECTIONS: [&str; 6] =
    ["sample", "ingest", "backbone", "extract", "train", "evaluate"];

/// Where help lists these flags. Said of each: what follows them in a stage is the stage's own.
const HEADING: &str = "Common options";

/// Flags that every stage takes.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct Common {
    /// The pipeline's file
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING)]
    pub config: Option<PathBuf>,
    /// The run's folder or URL [default: the pipeline's name, in `$RUNS_DIR` or `runs`]
    #[arg(long, value_name = "DIR", global = true, help_heading = HEADING)]
    pub run: Option<PathBuf>,
    /// Worker threads [default: one a core]
    #[arg(long, value_name = "N", global = true, help_heading = HEADING)]
    pub threads: Option<NonZeroUsize>,
    /// Check settings and say what would be done, but do nothing
    #[arg(long, global = true, help_heading = HEADING)]
    pub dry_run: bool,
    /// Exit with 99 instead of 0 when everything was up to date
    #[arg(long, global = true, help_heading = HEADING)]
    pub skip_code: bool,
    /// Print a JSON summary as the last line of standard output
    #[arg(long, global = true, help_heading = HEADING)]
    pub json: bool,
    /// Log warnings and errors only, and show no progress
    #[arg(long, global = true, help_heading = HEADING)]
    pub quiet: bool,
    /// How log lines are written to standard error
    #[arg(long, value_enum, default_value_t, global = true, help_heading = HEADING)]
    pub log_format: LogFormat,
    /// How long an object store may fail on end before the stage gives up
    #[arg(long, value_name = "SECONDS", env = "STORE_TIMEOUT", default_value_t = STORE_TIMEOUT, global = true, help_heading = HEADING)]
    pub store_timeout: u64,
}

impl Common {
    /// The folder of this run: `--run`, or `$RUNS_DIR` (default `runs`) and the name of the
    /// pipeline's file; for a URL, its mirror.
    ///
    /// # Errors
    /// [`Usage`](crate::Fault::Usage) where none is given, or a URL that can't be used.
    pub fn run_dir(&self) -> Result<PathBuf> {
        if let Some(run) = &self.run {
            return local(run);
        }
        let name = self.config.as_deref().and_then(Path::file_stem).ok_or_else(|| {
            Error::usage("no run folder: give --config pipelines/NAME.toml, or --run DIR")
        })?;
        Ok(runs_dir()?.join(name))
    }

    /// How many worker threads to use: `--threads`, or one a core.
    #[must_use]
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.threads.unwrap_or_else(cores).get()
    }

    /// Runs `work` with [`Common::threads`] threads for everything that it does in parallel.
    ///
    /// # Errors
    /// Those of `work`; [`Io`](crate::Fault::Io) where so many threads can't be started.
    pub fn in_threads<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads())
            .build()
            .map_err(|e| Error::thread(&e))?
            .install(work)
    }

    /// The settings of `section`: defaults, then the pipeline's file, then `flags`.
    ///
    /// # Errors
    /// [`Config`](crate::Fault::Config) on an unknown key or section or a value of the wrong
    /// type, [`Missing`](crate::Fault::Missing) without the file.
    pub fn settings<S: DeserializeOwned>(
        &self,
        section: &str,
        flags: &impl Serialize,
    ) -> Result<S> {
        let mut table = match &self.config {
            Some(path) => read_section(path, section)?,
            None => Table::new(),
        };
        // What TOML can't hold, such as integers from 2^63, a file couldn't say either.
        let flags = Table::try_from(flags)
            .map_err(|e| Error::usage(format!("a flag's value is out of range: {e}")))?;
        table.extend(flags);
        let place = match &self.config {
            Some(path) => format!("{}, section [{section}]", path.display()),
            None => "the command line".to_owned(),
        };
        Value::Table(table)
            .try_into()
            .map_err(|e: toml::de::Error| Error::config(format!("{place}: {}", one_line(&e))))
    }
}

/// Where pipelines have their runs: `$RUNS_DIR`, or `runs`; for a URL, its mirror.
///
/// # Errors
/// [`Usage`](crate::Fault::Usage) for a URL that can't be used.
pub fn runs_dir() -> Result<PathBuf> {
    local(&folder_from_environment("RUNS_DIR").unwrap_or_else(|| "runs".into()))
}

/// The root of what can be made or fetched again: `$CACHE_DIR`, or `cache`.
#[must_use]
pub fn cache_dir() -> PathBuf {
    folder_from_environment("CACHE_DIR").unwrap_or_else(|| "cache".into())
}

/// Where what set-up fetches under `name` may lie, in the order to look: `downloads` in
/// [`cache_dir`], and `lib` beside the folder of the executable, as a distribution has it.
#[must_use]
pub fn setup_dirs(name: &str) -> Vec<PathBuf> {
    let fetched = cache_dir().join("downloads").join(name);
    // Through a link to the executable its own folder is found.
    let executable = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
    let home = executable.as_deref().and_then(Path::parent).and_then(Path::parent);
    let shipped = home.map(|home| home.join("lib").join(name));
    std::iter::once(fetched).chain(shipped).collect()
}

/// The embedding cache: `$EMBEDDINGS_DIR`, or `embeddings` in [`cache_dir`]; for a URL, its
/// mirror.
///
/// # Errors
/// [`Usage`](crate::Fault::Usage) for a URL that can't be used.
pub fn embeddings_dir() -> Result<PathBuf> {
    let named = folder_from_environment("EMBEDDINGS_DIR");
    named.map_or_else(|| Ok(cache_dir().join("embeddings")), |named| local(&named))
}

fn folder_from_environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(Into::into)
}

fn read_section(path: &Path, section: &str) -> Result<Table> {
    let invalid = |reason: &dyn Display| {
        let reason = reason.to_string();
        Error::config(format!("{}: not valid TOML: {}", path.display(), reason.trim_end()))
    };
    let bytes = std::fs::read(path).map_err(|e| Error::read(path, &e))?;
    let text = String::from_utf8(bytes).map_err(|e| invalid(&e))?;
    let mut file: Table = text.parse().map_err(|e: toml::de::Error| invalid(&e))?;
    if let Some(unknown) = file.keys().find(|key| !SECTIONS.contains(&key.as_str())) {
        return Err(Error::config(format!(
            "{}: unknown section [{unknown}]; known are {}",
            path.display(),
            SECTIONS.join(", ")
        )));
    }
    match file.remove(section) {
        None => Ok(Table::new()),
        Some(Value::Table(table)) => Ok(table),
        Some(_) => Err(Error::config(format!(
            "{}: {section} must be a section, [{section}]",
            path.display()
        ))),
    }
}

/// A TOML error without its drawing of the source: the table it came from was merged.
fn one_line(error: &toml::de::Error) -> String {
    error.message().trim_end().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;
    use std::io::Write as _;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        size: u32,
        name: String,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self { size: 96, name: "a".into() }
        }
    }

    #[derive(Serialize, Default)]
    struct Flags {
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u32>,
    }

    fn config(text: impl AsRef<[u8]>) -> (tempfile::NamedTempFile, Common) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_ref()).unwrap();
        let common = Common { config: Some(file.path().to_owned()), ..Common::default() };
        (file, common)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let (_file, common) = config("[extract]\nsize = 64\nname = \"b\"\n[train]\nother = 1\n");
        let from_file: Settings = common.settings("extract", &Flags::default()).unwrap();
        assert_eq!(from_file, Settings { size: 64, name: "b".into() });
        let with_flag: Settings = common.settings("extract", &Flags { size: Some(32) }).unwrap();
        assert_eq!(with_flag.size, 32);
        let defaults: Settings = Common::default().settings("extract", &Flags::default()).unwrap();
        assert_eq!(defaults, Settings::default());
    }

    #[test]
    fn mistakes_are_configuration_errors_that_name_the_key() {
        for (text, named) in [
            ("[extract]\nsise = 64\n", "sise"),
            ("[extrac]\nsize = 64\n", "extrac"),
            ("[extract]\nsize = \"big\"\n", "big"),
            ("extract = 3\n", "extract"),
            ("[extract\n", "TOML"),
        ] {
            let (_file, common) = config(text);
            let error = common.settings::<Settings>("extract", &Flags::default()).unwrap_err();
            assert_eq!(error.fault(), Fault::Config, "{text}");
            assert!(error.to_string().contains(named), "{error}");
        }
        let (_file, common) = config(b"[extract] # \xff\n");
        let error = common.settings::<Settings>("extract", &Flags::default()).unwrap_err();
        assert_eq!(error.fault(), Fault::Config, "{error}");
    }

    #[test]
    fn the_run_is_named_after_the_file() {
        let common = Common { config: Some("pipelines/gtsrb.toml".into()), ..Common::default() };
        assert!(common.run_dir().unwrap().ends_with("gtsrb"));
        assert_eq!(Common::default().run_dir().unwrap_err().fault(), Fault::Usage);
    }
}
