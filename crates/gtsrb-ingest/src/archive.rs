//! Zip archives, read in place: entries are streamed to memory, nothing is unpacked.
//!
//! Archives come from anywhere, so that nothing in them is believed: names, counts and sizes
//! are bounded before and while reading, and the checksum of every entry is verified.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stage::{Error, Result};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::args::Settings;
use crate::bad::shown;
use crate::tree::MAX_FILE;

/// Bytes of an entry's own header before its name, which ends with the length of the name and that
/// of extra fields (PKWARE's APPNOTE, 4.3.7).
const LOCAL_HEADER: usize = 30;

/// An open archive; reading takes `&self`, so that threads share it.
pub struct Archive {
    path: PathBuf,
    file: Shared,
    zip: ZipArchive<Shared>,
}

impl Archive {
    /// Opens the archive at `path` and lists its files, as (index, name), if they keep to the
    /// limits of `settings`.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) for damage and for what only attackers do: names that
    /// lead elsewhere, names that occur twice, links, entries that overlap.
    pub fn open(path: &Path, settings: &Settings) -> Result<(Self, Vec<(usize, String)>)> {
        let damaged = |e: ZipError| fault(&path.display().to_string(), e);
        let file = Shared::open(path)?;
        let mut zip = ZipArchive::new(file.clone()).map_err(damaged)?;
        let refuse = |reason: &str| Err(Error::data(format!("{}: {reason}", path.display())));
        if zip.len() > settings.max_members {
            return refuse(&format!("{} entries are too many; see --max-members", zip.len()));
        }
        if zip.has_duplicate_names() {
            return refuse("two entries have the same name; fetch the archive again");
        }
        if zip.has_overlapping_files().map_err(damaged)? {
            return refuse("entries overlap; fetch the archive again");
        }
        let mut entries = Vec::with_capacity(zip.len());
        let mut total = 0_u64;
        for index in 0..zip.len() {
            let entry = zip.by_index_data(index).map_err(damaged)?;
            let name = entry.name().map_err(damaged)?.into_owned();
            if !is_safe(&name) || entry.is_symlink() {
                return refuse(&format!("entry {} leads elsewhere", shown(&name)));
            }
            if !entry.is_dir() {
                entries.push((index, name));
            }
            // Reading holds every entry to the size that it announces.
            total = total.saturating_add(entry.size());
        }
        if total > settings.max_bytes {
            return refuse(&format!("{total} bytes unpacked are too many; see --max-bytes"));
        }
        Ok((Self { path: path.to_owned(), file, zip }, entries))
    }

    /// The archive's own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of entry `index`, called `name`, with its checksum verified.
    pub fn read(&self, index: usize, name: &str) -> Result<Vec<u8>> {
        let place = format!("{}: {}", self.path.display(), shown(name));
        let mut zip = self.zip.clone(); // shares the directory and the file
        let entry = zip.by_index(index).map_err(|e| fault(&place, e))?;
        let headed = self.file.heads(entry.header_start(), entry.name_raw());
        if !headed.map_err(|e| fault(&place, ZipError::Io(e)))? {
            return Err(Error::data(format!("{place}: it is called otherwise in its own header")));
        }
        let size = entry.size();
        if size > MAX_FILE {
            return Err(Error::data(format!("{place}: {size} bytes, at most {MAX_FILE} are read")));
        }
        // What the header says is neither reserved nor trusted.
        let mut bytes = Vec::with_capacity(size.min(1 << 20) as usize);
        entry.take(size + 1).read_to_end(&mut bytes).map_err(|e| fault(&place, ZipError::Io(e)))?;
        if bytes.len() as u64 != size {
            return Err(Error::data(format!("{place}: its size is not the announced one")));
        }
        Ok(bytes)
    }
}

/// Whether a name stays below the folder that it would be unpacked in.
fn is_safe(name: &str) -> bool {
    let plain = !name.contains(['\\', ':', '\0']);
    let mut parts = name.strip_suffix('/').unwrap_or(name).split('/');
    plain && parts.all(|part| !matches!(part, "" | "." | ".."))
}

/// Wrong bytes are the data's fault; what the operating system reports is not.
fn fault(place: &str, error: ZipError) -> Error {
    match error {
        ZipError::Io(e) if e.raw_os_error().is_some() => {
            Error::io(format!("cannot read {place}: {e}"))
        }
        e => Error::data(format!("{place}: {e}; fetch the archive again")),
    }
}

/// A file that many readers share, each with its own position.
#[derive(Clone)]
struct Shared {
    file: Arc<File>,
    size: u64,
    position: u64,
}

impl Shared {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::read(path, &e))?;
        let size = file.metadata().map_err(|e| Error::read(path, &e))?.len();
        Ok(Self { file: Arc::new(file), size, position: 0 })
    }

    /// Whether the header at `start`, which the directory doesn't repeat, has the `name` given there.
    fn heads(&self, start: u64, name: &[u8]) -> io::Result<bool> {
        let mut header = vec![0; LOCAL_HEADER + name.len()];
        self.file.read_exact_at(&mut header, start)?;
        let length = u16::from_le_bytes([header[26], header[27]]);
        Ok(usize::from(length) == name.len() && header[LOCAL_HEADER..] == *name)
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Shared {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match target {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::Current(offset) => (self.position, offset),
            SeekFrom::End(offset) => (self.size, offset),
        };
        self.position = base
            .checked_add_signed(offset)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::is_safe;

    #[test]
    fn names_that_lead_elsewhere_are_seen() {
        for name in ["a.ppm", "GTSRB/Final_Test/Images/00000.ppm", "GTSRB/"] {
            assert!(is_safe(name), "{name}");
        }
        for name in ["../a", "a/../../b", "/etc/passwd", "C:\\a", "a\\b", "a//b", "./a", ""] {
            assert!(!is_safe(name), "{name}");
        }
    }
}
