//! Which parts were found whole, and what their files looked like then: a part whose size and
//! time are still those isn't hashed again before it counts as there. Whoever reads
//! embeddings hashes the part anyway; a part that fails is made to look changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::file;

/// The file's name in a view's folder. It is outside of everything hashed, and losing it costs
/// time, no more.
pub(super) const FILE: &str = ".checked";

/// What a file looks like without being read.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Debug)]
struct Look {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl Look {
    fn of(file: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(file).ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self { bytes: metadata.len(), modified: modified.as_nanos() as u64 })
    }
}

/// The parts of a view that were found whole.
pub(super) struct Checked {
    dir: PathBuf,
    looks: BTreeMap<String, Look>,
}

impl Checked {
    /// What is recorded in `dir`; nothing where that can't be read.
    pub(super) fn read(dir: &Path) -> Self {
        let bytes = std::fs::read(dir.join(FILE)).unwrap_or_default();
        let looks = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { dir: dir.to_owned(), looks }
    }

    /// Whether `part` is as it was when it was found whole.
    pub(super) fn knows(&self, part: &Path) -> bool {
        Look::of(part).is_some_and(|look| self.looks.get(&name(part)) == Some(&look))
    }

    /// Runs `check` on `part` and remembers it if it is whole.
    pub(super) fn check<E>(
        &mut self,
        part: &Path,
        check: impl FnOnce(&Path) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let before = Look::of(part);
        let whole = check(part)?;
        if let Some(look) = before.filter(|_| whole) {
            self.looks.insert(name(part), look);
        }
        Ok(whole)
    }

    /// Writes the record, with what others wrote into it since and without parts that are
    /// gone.
    pub(super) fn save(&mut self) {
        for (name, look) in Self::read(&self.dir).looks {
            self.looks.entry(name).or_insert(look);
        }
        self.looks.retain(|name, _| self.dir.join(name).exists());
        let temporary = file::temporary(&self.dir, "checked");
        let written = serde_json::to_vec_pretty(&self.looks)
            .map_err(std::io::Error::other)
            .and_then(|json| std::fs::write(&temporary, json))
            .and_then(|()| std::fs::rename(&temporary, self.dir.join(FILE)));
        if let Err(error) = written {
            tracing::debug!("{}: not recorded: {error}", self.dir.display());
        }
    }
}

fn name(part: &Path) -> String {
    part.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
