//! How a stage ends, and the function that every `main` is made of.

use std::any::Any;
use std::env::consts::{ARCH, OS};
use std::fmt::Display;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use clap::error::ErrorKind;
use serde::Serialize;
use serde_json::json;

use crate::job::Job;
use crate::{Common, Error, Fault, Result, location, log, progress, signals, timings};

/// The exit code for "up to date" with `--skip-code`.
const CURRENT_CODE: u8 = 99;

/// How a stage ended well.
#[derive(Debug)]
pub enum Outcome<S> {
    /// It did its work.
    Done(S),
    /// Its outputs were up to date.
    Current(S),
    /// It was asked to look and not to make: no timing is recorded.
    Checked(S),
    /// `--dry-run`: what it would do.
    Planned(String),
}

impl<S> Outcome<S> {
    /// The same end with another summary.
    pub fn map<T>(self, change: impl FnOnce(S) -> T) -> Outcome<T> {
        match self {
            Self::Done(summary) => Outcome::Done(change(summary)),
            Self::Current(summary) => Outcome::Current(change(summary)),
            Self::Checked(summary) => Outcome::Checked(change(summary)),
            Self::Planned(plan) => Outcome::Planned(plan),
        }
    }
}

/// Parses the command line, runs the stage, prints its summary or its error, and gives the
/// exit code. `commit` is that of the binary, where its build was told it.
pub fn main<A, S>(name: &str, commit: Option<&str>, run: fn(&A) -> Result<Outcome<S>>) -> ExitCode
where
    A: clap::Parser + AsRef<Common>,
    S: Serialize + Display,
{
    let args = match parse::<A>(version(commit)) {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let common = args.as_ref();
    keep_others_from_writing();
    log::start(common.log_format, common.quiet);
    if common.quiet {
        progress::silence();
    }
    location::set_store_timeout(common.store_timeout);
    let (began, started) = (SystemTime::now(), Instant::now());
    let outcome = signals::listen().and_then(|()| guarded(|| run(&args)));
    if let (Ok(Outcome::Done(_)), Ok(dir)) = (&outcome, common.run_dir()) {
        timings::record(&dir, name, started.elapsed());
    }
    if let Some(job) = Job::of(name, common, (began, started.elapsed()), &outcome) {
        job.tell();
    }
    if let Ok(Outcome::Current(_)) = &outcome {
        tracing::info!("{name}: up to date");
    }
    match outcome.and_then(|outcome| report(common, outcome)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            fail(name, common.log_format, &error);
            ExitCode::from(error.fault().code())
        }
    }
}

/// What `--version` says after the name.
fn version(commit: Option<&str>) -> String {
    let commit = commit.filter(|commit| !commit.is_empty());
    let commit = commit.map_or_else(String::new, |commit| format!("commit {commit}, "));
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{} ({commit}{ARCH} {OS}, {profile})", env!("CARGO_PKG_VERSION"))
}

fn parse<A: clap::Parser>(version: String) -> std::result::Result<A, clap::Error> {
    // clap keeps borrowed text alone, and this is one for the whole process.
    let command = A::command().version(&*version.leak());
    let mut matches = command.try_get_matches()?;
    A::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut A::command()))
}

/// No file of ours is for everybody to write, however careless the caller's mask is.
fn keep_others_from_writing() {
    #[cfg(unix)]
    {
        use rustix::fs::Mode;
        let mask = rustix::process::umask(Mode::WOTH);
        rustix::process::umask(mask | Mode::WOTH);
    }
}

/// Runs `run`; a panic, ours or a library's, becomes an error like others.
fn guarded<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::set_hook(Box::new(|info| tracing::debug!("{info}")));
    std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        Err(Error::internal(format!("{}; please report this", panic_text(payload.as_ref()))))
    })
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("unknown panic")
}

/// clap's own messages, with our exit code; `--help` and `--version` are no errors.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to do where the message itself can't be printed.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(Fault::Usage.code()),
    }
}

/// Prints the result to standard output. A reader that has gone away is no error.
fn report<S: Serialize + Display>(common: &Common, outcome: Outcome<S>) -> Result<u8> {
    let text = match &outcome {
        Outcome::Done(summary) | Outcome::Current(summary) | Outcome::Checked(summary) => {
            summary.to_string()
        }
        Outcome::Planned(plan) => plan.clone(),
    };
    // A tool whose standard output is data says nothing there.
    if !text.is_empty() {
        print(&text)?;
    }
    if common.json {
        print(&json(&outcome).to_string())?;
    }
    let current = matches!(outcome, Outcome::Current(_));
    Ok(if current && common.skip_code { CURRENT_CODE } else { 0 })
}

fn json<S: Serialize>(outcome: &Outcome<S>) -> serde_json::Value {
    match outcome {
        Outcome::Done(summary) => json!({ "state": "done", "summary": summary }),
        Outcome::Current(summary) => json!({ "state": "current", "summary": summary }),
        Outcome::Checked(summary) => json!({ "state": "checked", "summary": summary }),
        Outcome::Planned(plan) => json!({ "state": "planned", "summary": plan }),
    }
}

fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// One `error:` line on standard error.
fn fail(name: &str, format: log::LogFormat, error: &Error) {
    match format {
        log::LogFormat::Json => {
            tracing::error!(stage = name, code = error.fault().code(), "{error}");
        }
        log::LogFormat::Text => {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "error: {name}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_tells_the_commit_where_it_is_known() {
        let known = version(Some("1a2b3c4"));
        assert!(known.starts_with("0.1.0 (commit 1a2b3c4, ") && known.contains(OS), "{known}");
        assert_eq!(version(None), known.replace("commit 1a2b3c4, ", ""));
        assert_eq!(version(Some("")), version(None));
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        let error = guarded::<()>(|| panic!("boom {}", 3)).unwrap_err();
        assert_eq!(error.fault(), Fault::Internal);
        assert!(error.to_string().contains("boom 3"));
    }
}
