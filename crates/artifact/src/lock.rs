//! Locks of the operating system on files. A crash releases them, so none is ever stale.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use stage::{Error, Fault, Result, check_interrupt};

/// Who else may hold a lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody.
    Alone,
    /// Others who share it.
    Together,
}

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
    kind: Kind,
}

impl Lock {
    /// Takes the lock on the file `path`, which is made if it isn't there.
    ///
    /// # Errors
    /// [`Busy`](stage::Fault::Busy) if others hold it, [`Create`](stage::Fault::Create) if it
    /// can't be made, [`Config`](stage::Fault::Config) on a file system without locks.
    pub(crate) fn take(path: &Path, kind: Kind) -> Result<Self> {
        loop {
            check_interrupt()?;
            let lock = Self::attempt(path, kind)?;
            // Whoever removed the file in between lets others lock a new one.
            if lock.is_at_its_path() {
                lock.sign();
                return Ok(lock);
            }
        }
    }

    /// [`Lock::take`], but waits for others for as long as `patience`.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub(crate) fn wait(path: &Path, kind: Kind, patience: Duration) -> Result<Self> {
        let started = Instant::now();
        loop {
            match Self::take(path, kind) {
                Err(e) if e.fault() == Fault::Busy && started.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                taken => return taken,
            }
        }
    }

    fn attempt(path: &Path, kind: Kind) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .open(path)
            .map_err(|e| Error::write(path, &e))?;
        let attempt = match kind {
            Kind::Alone => file.try_lock(),
            Kind::Together => file.try_lock_shared(),
        };
        match attempt {
            Ok(()) => Ok(Self { path: path.to_owned(), file, kind }),
            Err(TryLockError::WouldBlock) => Err(busy(path)),
            Err(TryLockError::Error(e)) => Err(Error::config(format!(
                "cannot lock {}: {e}; a file system without locks can't hold it: set RUNS_DIR or \
                 CACHE_DIR to a folder on a local disk",
                path.display()
            ))),
        }
    }

    /// Makes sure that the lock still keeps others out: where somebody removed its file, takes
    /// it anew.
    ///
    /// # Errors
    /// [`Busy`](stage::Fault::Busy) if another process holds it by now.
    pub(crate) fn keep(&mut self) -> Result<()> {
        if !self.is_at_its_path() {
            *self = Self::take(&self.path, self.kind).map_err(|e| {
                e.context(format!("{} was removed in the middle of the work", self.path.display()))
            })?;
        }
        Ok(())
    }

    /// Sets the time of the lock's file; information, so that failing is no error.
    pub(crate) fn set_time(&self, time: SystemTime) {
        let _ = self.file.set_modified(time);
    }

    /// Names the holder, for people only: the truth is the operating system's lock. Those who
    /// share it take away the name of one who held it alone before.
    fn sign(&self) {
        let mut file = &self.file;
        let _ = match self.kind {
            Kind::Alone => {
                file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()))
            }
            Kind::Together if file.metadata().is_ok_and(|file| file.len() > 0) => file.set_len(0),
            Kind::Together => Ok(()),
        };
    }

    #[cfg(unix)]
    fn is_at_its_path(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let (Ok(held), Ok(there)) = (self.file.metadata(), fs::metadata(&self.path)) else {
            return false;
        };
        (held.dev(), held.ino()) == (there.dev(), there.ino())
    }

    #[cfg(not(unix))]
    fn is_at_its_path(&self) -> bool {
        // Open files can't be removed there.
        true
    }
}

fn busy(path: &Path) -> Error {
    let text = fs::read_to_string(path).unwrap_or_default();
    let holder = text
        .lines()
        .next()
        .map(|name| format!("another process ({name}): try again when it has ended"));
    let holder = holder.unwrap_or_else(|| "other processes: try again when they have ended".into());
    Error::busy(format!("{} is held by {holder}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_or_many_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let code = |kind| Lock::take(&path, kind).err().map(|e| e.fault().code());
        let alone = Lock::take(&path, Kind::Alone).unwrap();
        assert_eq!((code(Kind::Alone), code(Kind::Together)), (Some(75), Some(75)));
        drop(alone);
        let _first = Lock::take(&path, Kind::Together).unwrap();
        assert_eq!((code(Kind::Alone), code(Kind::Together)), (Some(75), None));
        let error = Lock::take(&path, Kind::Alone).unwrap_err().to_string();
        assert!(error.contains("other processes"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_removed_lock_is_taken_anew_unless_another_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let mut first = Lock::take(&path, Kind::Alone).unwrap();
        fs::remove_file(&path).unwrap();
        first.keep().unwrap();
        assert!(Lock::take(&path, Kind::Alone).is_err());
        fs::remove_file(&path).unwrap();
        let second = Lock::take(&path, Kind::Alone).unwrap();
        let error = first.keep().unwrap_err();
        assert_eq!(error.fault().code(), 75);
        assert!(error.to_string().contains("removed"), "{error}");
        drop(second);
        first.keep().unwrap();
    }
}
