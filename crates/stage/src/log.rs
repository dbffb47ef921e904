//! Log lines on standard error, for people or for machines.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines are written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; called once, by [`crate::main`].
pub(crate) fn start(format: LogFormat, quiet: bool) {
    let level = if quiet { Level::WARN } else { Level::INFO };
    let builder = fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false)
        // It would tell standard error that standard error is gone, and panic over it.
        .log_internal_errors(false);
    match format {
        LogFormat::Json => {
            builder.json().flatten_event(true).finish().with(filter_fn(concerns_us)).init();
        }
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            let builder = builder.without_time().with_ansi(colours);
            builder.finish().with(filter_fn(concerns_us)).init();
        }
    }
}

/// The client of object stores has a line for every request that it tries again.
fn concerns_us(about: &Metadata<'_>) -> bool {
    *about.level() <= Level::WARN || !about.target().starts_with("object_store")
}
