//! Trying again, for so long and no longer, and stopping at once for a signal.

use std::pin::pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use object_store::Error as Cause;
use rand::Rng as _;
use stage::{Error, Result, check_interrupt};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::error::{explain, is_passing};

/// The first pause before trying again, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// How often a waiting process looks for signals.
const TICK: Duration = Duration::from_millis(100);

/// After this time without success the log says so.
const LONG: Duration = Duration::from_secs(20);

/// How an operation ended.
pub(crate) enum Failure {
    /// The store said so; what it means depends on what was asked.
    Store(Cause),
    /// A signal, or the time is up.
    Ours(Error),
}

impl Failure {
    /// The error for a person; `url` is the object's.
    pub fn explain(self, url: &str) -> Error {
        match self {
            Self::Store(cause) => explain(&cause, url),
            Self::Ours(error) => error,
        }
    }
}

/// How long operations are tried again.
#[derive(Clone, Copy)]
pub(crate) struct Patience(Duration);

impl Patience {
    pub fn new(longest: Duration) -> Self {
        Self(longest)
    }

    /// Runs `work` until it succeeds, fails for good, or the time is up. It must be something
    /// that may be done twice.
    pub async fn insist<T>(
        self,
        url: &str,
        work: impl AsyncFn() -> object_store::Result<T>,
    ) -> std::result::Result<T, Failure> {
        let started = Instant::now();
        let [mut pause, longest] = PAUSES;
        loop {
            match self.watch(started, url, work()).await? {
                Ok(done) => return Ok(done),
                Err(cause) if is_passing(&cause) && started.elapsed() < self.0 => {
                    tracing::debug!("{url}: trying again: {cause}");
                    // Many who failed together must not come back together.
                    let share = rand::rng().random_range(0.5..1.5);
                    let waited = self.watch(started, url, sleep(pause.mul_f64(share))).await;
                    waited?;
                    pause = (pause * 2).min(longest);
                }
                Err(cause) => return Err(Failure::Store(cause)),
            }
        }
    }

    /// Waits for `work`, but no longer than allowed since `started` and not after a signal.
    pub async fn watch<T>(
        self,
        started: Instant,
        url: &str,
        work: impl Future<Output = T>,
    ) -> std::result::Result<T, Failure> {
        let (mut work, mut told) = (pin!(work), false);
        loop {
            if let Ok(done) = timeout(TICK, &mut work).await {
                return Ok(done);
            }
            check_interrupt().map_err(Failure::Ours)?;
            if !told && started.elapsed() > LONG {
                tracing::warn!("{url}: no success in {} seconds; trying on", LONG.as_secs());
                told = true;
            }
            if started.elapsed() > self.0 + TICK {
                return Err(Failure::Ours(Error::unavailable(format!(
                    "{url}: no success in {} seconds (--store-timeout); is the store up?",
                    self.0.as_secs()
                ))));
            }
        }
    }
}

/// Runs `work` to its end on this thread; connections live in threads of their own.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> Result<T> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let start =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match RUNTIME.get_or_init(start) {
        Ok(runtime) => Ok(runtime.block_on(work)),
        Err(e) => Err(Error::io(format!("cannot start threads for an object store: {e}"))),
    }
}
