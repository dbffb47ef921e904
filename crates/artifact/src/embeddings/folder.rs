//! The folder of a view: who may write it, and who uses it.
//!
//! Two locks keep its parts safe. `.lock` is for writers: one alone, or several that compute
//! different shares. `.used` is held by everyone who has the cache open, together; whoever
//! removes parts takes it alone. Its time says when the view was last used.

use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::Once;
use std::time::{Duration, SystemTime};

use stage::{Error, Fault, Result};

use super::Shard;
use crate::file::TEMPORARY;
use crate::lock::{Kind, Lock};
use crate::output::sweep;
use crate::{FileWriter, Hash};

/// Names the lock of writers.
pub(super) const LOCK: &str = ".lock";

/// Names the lock of everyone, whose time is that of the last use.
pub(super) const USED: &str = ".used";

/// How long removing parts may keep others waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder of `view` in the cache under `root`.
pub(super) fn of(root: &Path, view: Hash) -> PathBuf {
    root.join(view.to_string())
}

/// Says once if everybody may write the folder `dir`: a part is held to its own name, and whoever
/// may add parts decides what embeddings are.
#[cfg(unix)]
pub(super) fn warn_of_everybody(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    static SAID: Once = Once::new();
    if std::fs::metadata(dir).is_ok_and(|about| about.permissions().mode() & 0o002 != 0) {
        let dir = dir.display();
        SAID.call_once(|| {
            tracing::warn!(
                "everybody may write {dir}, and so decide what embeddings are: chmod o-w it"
            );
        });
    }
}

#[cfg(not(unix))]
pub(super) fn warn_of_everybody(_dir: &Path) {}

/// Says that the view in `dir` is in use, until the lock is dropped. None where there is no
/// such folder, or where it can't be written, or where the file system has no locks: then
/// nobody can take parts away either.
pub(super) fn use_it(dir: &Path) -> Result<Option<Lock>> {
    match Lock::wait(&dir.join(USED), Kind::Together, PATIENCE) {
        Ok(lock) => Ok(Some(lock)),
        Err(e) if matches!(e.fault(), Fault::Create | Fault::Config | Fault::Io) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Takes the view in `dir` from everyone, to remove parts.
///
/// # Errors
/// [`Busy`](Fault::Busy) while somebody has it open.
pub(super) fn take_from_all(dir: &Path) -> Result<Lock> {
    Lock::take(&dir.join(USED), Kind::Alone)
}

/// When the view in `dir` was last used, if that is known.
pub(super) fn last_use(dir: &Path) -> Option<SystemTime> {
    std::fs::metadata(dir.join(USED)).and_then(|file| file.modified()).ok()
}

/// The right to add parts to a view's folder.
///
/// Parts are immutable and have names of their own, so that several writers do each other no
/// harm. What the locks prevent is computing the same twice.
pub struct Writer {
    dir: PathBuf,
    _all: Lock,
    _shard: Option<Lock>,
}

impl Writer {
    pub(super) fn alone(dir: &Path) -> Result<Self> {
        let writer = Self::take(dir, Kind::Alone, None)?;
        sweep(dir)?;
        Ok(writer)
    }

    pub(super) fn beside_others(dir: &Path, shard: Option<Shard>) -> Result<Self> {
        Self::take(dir, Kind::Together, shard)
    }

    fn take(dir: &Path, kind: Kind, shard: Option<Shard>) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| Error::write(dir, &e))?;
        let all = Lock::take(&dir.join(LOCK), kind)?;
        // A temporary name: the next writer alone sweeps it away.
        let name =
            |shard: Shard| format!("{TEMPORARY}{}.lock", shard.to_string().replace('/', "-of-"));
        let shard = shard.map(|shard| Lock::take(&dir.join(name(shard)), Kind::Alone));
        Ok(Self { dir: dir.to_owned(), _all: all, _shard: shard.transpose()? })
    }

    /// Starts a file that will be `name`.
    pub(super) fn create(&self, name: &str) -> Result<FileWriter> {
        FileWriter::create(&self.dir, name)
    }
}
