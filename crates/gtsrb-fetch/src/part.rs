//! `NAME.part`: the bytes that are there so far, and beside it whose they are.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use signs::archives::Archive;
use stage::{Error, Result};

/// Whose bytes a part holds.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Where they came from.
    pub url: String,
    /// The server's name for this version of the file: a strong `ETag` or a `Last-Modified`.
    pub version: Option<String>,
}

/// A file that isn't whole yet.
pub struct Part {
    path: PathBuf,
    notes: PathBuf,
    most: u64,
}

impl Part {
    /// The part of `archive` in `folder`, whether there is one or not.
    pub fn of(folder: &Path, archive: &Archive) -> Self {
        let path = |ending| folder.join(format!("{}{ending}", archive.name));
        Self { path: path(".part"), notes: path(".part.json"), most: archive.bytes }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes from `url` are there, and of which version. What can't be continued counts
    /// as nothing.
    ///
    /// # Errors
    /// [`Create`](stage::Fault::Create) where something else has the part's name.
    pub fn state(&self, url: &str) -> Result<(u64, Option<String>)> {
        let size = match self.path.symlink_metadata() {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => {
                let path = self.path.display();
                return Err(Error::create(format!("{path} is no plain file: remove it")));
            }
            Err(_) => 0,
        };
        let notes = fs::read(&self.notes).ok();
        match notes.and_then(|notes| serde_json::from_slice::<Origin>(&notes).ok()) {
            Some(origin) if origin.url == url && size <= self.most => Ok((size, origin.version)),
            _ => Ok((0, None)),
        }
    }

    /// Opens the part behind its first `offset` bytes; what is there behind them goes away.
    pub fn open(&self, offset: u64) -> Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        options
            .open(&self.path)
            .and_then(|file| file.set_len(offset).map(|()| file))
            .map_err(|e| Error::write(&self.path, &e))
    }

    /// Starts anew: whose bytes come now.
    pub fn start(&self, origin: &Origin) -> Result<File> {
        // In this order: a part never has the notes of another version.
        self.remove()?;
        let notes = serde_json::to_vec(origin)
            .map_err(|e| Error::internal(format!("notes of a download: {e}")))?;
        fs::write(&self.notes, notes).map_err(|e| Error::write(&self.notes, &e))?;
        self.open(0)
    }

    /// Removes what is there.
    pub fn remove(&self) -> Result<()> {
        for path in [&self.path, &self.notes] {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::write(path, &e));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
