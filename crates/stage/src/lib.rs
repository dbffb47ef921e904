//! The contract of every command line here: settings from one TOML file and flags,
//! errors with documented exit codes, logging, progress, signals, timings,
//! and what schedulers and monitors read.
//!
//! A stage is a function `run(&Args) -> Result<Outcome<Summary>>`; [`main`] does the rest.

mod common;
mod error;
mod gauges;
mod job;
mod lineage;
mod location;
mod log;
mod outcome;
mod progress;
mod replace;
mod signals;
mod timings;

pub use common::{Common, cache_dir, embeddings_dir, runs_dir, setup_dirs};
pub use error::{Error, Fault, Result};
pub use location::{local, store_timeout, url_of};
pub use log::LogFormat;
pub use outcome::{Outcome, main};
pub use progress::Progress;
pub use signals::check_interrupt;
