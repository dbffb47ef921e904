//! A file that is written under a temporary name and then takes its own.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use stage::{Error, Result};

use crate::place::{folder_of, place_all};
use crate::{FileRecord, Hash};

/// How temporary names begin; the holder of the lock may remove all of them.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// What is hashed and written at a time, in bytes: hashing is fast on long runs only.
const BUFFER: usize = 1 << 18;

/// A temporary name in `dir` for what will be `name`, unlike any other writer's.
pub(crate) fn temporary(dir: &Path, name: &str) -> PathBuf {
    let unique = RandomState::new().build_hasher().finish();
    dir.join(format!("{TEMPORARY}{unique:016x}-{}", name.replace('/', "-")))
}

/// A temporary file, removed when dropped unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing to remove; a leftover is swept by the next writer.
        let _ = fs::remove_file(&self.0);
    }
}

/// A file being written under a temporary name; hashes what passes.
pub struct FileWriter {
    name: String,
    temporary: Temporary,
    file: BufWriter<Hashed>,
}

struct Hashed {
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for FileWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer).map_err(|e| self.named(&e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|e| self.named(&e))
    }
}

impl FileWriter {
    /// Starts a file in `dir` that will be `name`, under a temporary name of its own: two
    /// writers never share one, even where somebody removed the file that locks one of them
    /// out.
    pub(crate) fn create(dir: &Path, name: &str) -> Result<Self> {
        let temporary = temporary(dir, name);
        // New, as a link planted at this name must not be written through.
        let file = File::create_new(&temporary).map_err(|e| Error::write(&temporary, &e))?;
        let file = Hashed { file, hasher: blake3::Hasher::new(), bytes: 0 };
        let file = BufWriter::with_capacity(BUFFER, file);
        Ok(Self { name: name.to_owned(), temporary: Temporary(temporary), file })
    }

    /// Starts a file of no artifact beside `path`, which [`FileWriter::keep`] will call it.
    ///
    /// # Errors
    /// [`Create`](stage::Fault::Create) where it can't be written.
    pub fn at(path: &Path) -> Result<Self> {
        if path.file_name().is_none() {
            let path = path.display();
            return Err(Error::create(format!("{path} is no name that a file can be given")));
        }
        // Not named after the path, whose name may be as long as one can be.
        Self::create(folder_of(path), "file").map_err(|e| e.context(path.display()))
    }

    /// Completes a file of no artifact and calls it `path`.
    ///
    /// # Errors
    /// [`Io`](stage::Fault::Io) where it can't be written.
    pub fn keep(self, path: &Path) -> Result<()> {
        place_all([(&self.finish(None)?, path.to_owned())])
    }

    /// Names the file, for callers that have the error from a library.
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), Error::write(&self.temporary.0, error))
    }

    /// Flushes and syncs; the file then waits for its commit.
    ///
    /// # Errors
    /// [`Io`](stage::Fault::Io) where it can't be written.
    pub fn finish(mut self, rows: Option<u64>) -> Result<Staged> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().file.sync_all())
            .map_err(|e| Error::io(self.named(&e).to_string()))?;
        let Hashed { hasher, bytes, .. } = self.file.get_ref();
        let record = FileRecord { hash: Hash(hasher.finalize().into()), bytes: *bytes, rows };
        Ok(Staged { name: self.name, temporary: self.temporary, record })
    }
}

/// A whole file that waits for its commit.
pub struct Staged {
    name: String,
    temporary: Temporary,
    record: FileRecord,
}

impl Staged {
    /// What it will be called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the manifest will say of it.
    #[must_use]
    pub fn record(&self) -> &FileRecord {
        &self.record
    }

    /// Where its bytes are until the commit, to be checked before it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.temporary.0
    }

    /// That nobody removed it: then what is there must stay as it is.
    pub(crate) fn check(&self) -> Result<()> {
        let path = &self.temporary.0;
        fs::symlink_metadata(path).map_err(|e| {
            Error::io(format!("{} was lost before it was used: {e}; run again", path.display()))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_no_artifact_may_have_the_longest_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x".repeat(255));
        let mut file = FileWriter::at(&path).unwrap();
        file.write_all(b"first").unwrap();
        file.keep(&path).unwrap();
        // What isn't kept leaves what is there.
        FileWriter::at(&path).unwrap().write_all(b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(FileWriter::at(Path::new("/")).err().unwrap().fault().code(), 73);
    }
}
