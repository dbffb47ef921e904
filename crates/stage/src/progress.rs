//! Progress on standard error: a bar on a terminal, else a log line now and then.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two log lines where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);

static QUIET: AtomicBool = AtomicBool::new(false);

/// Shows no progress from now on; called by [`crate::main`] for `--quiet`.
pub(crate) fn silence() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Counts work done; may be shared by threads.
pub struct Progress {
    label: &'static str,
    total: u64,
    done: AtomicU64,
    logged: Mutex<Instant>,
    bar: ProgressBar,
}

impl Progress {
    /// Starts to count towards `total`.
    #[must_use]
    pub fn new(label: &'static str, total: u64) -> Self {
        let visible = !QUIET.load(Ordering::Relaxed) && std::io::stderr().is_terminal();
        let bar = if visible { ProgressBar::new(total) } else { ProgressBar::hidden() };
        if let Ok(style) =
            ProgressStyle::with_template("{msg:8} {bar:40} {human_pos}/{human_len} {per_sec} {eta}")
        {
            bar.set_style(style);
        }
        bar.set_message(label);
        Self { label, total, done: AtomicU64::new(0), logged: Mutex::new(Instant::now()), bar }
    }

    /// Adds `n` pieces of work done.
    pub fn inc(&self, n: u64) {
        let done = self.done.fetch_add(n, Ordering::Relaxed) + n;
        self.bar.inc(n);
        if !self.bar.is_hidden() || QUIET.load(Ordering::Relaxed) {
            return;
        }
        // A thread that finds the clock taken has nothing to add.
        if let Ok(mut logged) = self.logged.try_lock()
            && logged.elapsed() >= LOG_EVERY
        {
            *logged = Instant::now();
            tracing::info!("{}: {done} of {}", self.label, self.total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
