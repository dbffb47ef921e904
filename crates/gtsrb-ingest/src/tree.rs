//! What a source consists of: files under a folder, or entries of archives in it, all by
//! their path relative to the source.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use artifact::{Hash, HashBuilder};
use stage::{Error, Result, check_interrupt};

use crate::archive::Archive;
use crate::args::Settings;

/// The largest file that is read, in bytes: more than any picture or table needs.
pub const MAX_FILE: u64 = 64 << 20;
/// The deepest nesting of folders that is looked into.
const MAX_DEPTH: usize = 16;
/// What systems and tools leave behind; so do names that begin with a dot.
const JUNK: [&str; 5] = ["Thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "__MACOSX"];

/// Where a file's bytes are.
enum Place {
    File { path: PathBuf, size: u64 },
    Entry { archive: usize, index: usize },
}

/// The files of a source, in the order of their paths' bytes.
pub struct Tree {
    root: PathBuf,
    files: BTreeMap<String, Place>,
    folders: Vec<String>,
    archives: Vec<Archive>,
    stamp: HashBuilder,
}

impl Tree {
    /// Lists the files under `root`. Links to folders are not followed; junk is left out.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) without the folder or behind a dangling link,
    /// [`Data`](stage::Fault::Data) for pipes, devices and names that are not UTF-8.
    pub fn open(root: &Path) -> Result<Self> {
        let canonical = fs::canonicalize(root).map_err(|e| {
            let error = Error::read(root, &e);
            Error::new(
                error.fault(),
                format!("{error}; give the folder with the pictures or the zip archives"),
            )
        })?;
        if !canonical.is_dir() {
            return Err(Error::data(format!(
                "{} is not a folder; give the folder with the pictures or the archives of GTSRB, \
                 and unpack other archives first",
                root.display()
            )));
        }
        let stamp = HashBuilder::default().field(canonical.as_os_str().as_encoded_bytes());
        let mut tree = Self {
            root: root.to_owned(),
            files: BTreeMap::new(),
            folders: Vec::new(),
            archives: Vec::new(),
            stamp,
        };
        tree.walk(root, "", 0)?;
        Ok(tree)
    }

    /// The source folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A hash over place, size and times of all files: equal means that nothing was touched.
    pub fn stamp(&self) -> Hash {
        self.stamp.finish()
    }

    /// All paths, sorted by bytes.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// All folders on disk, empty ones too.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(String::as_str)
    }

    /// Whether `path` is there.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Adds the entries of the archive `name`, if the source has it.
    pub fn mount(&mut self, name: &str, settings: &Settings) -> Result<()> {
        if !self.has(name) {
            return Ok(());
        }
        let (archive, entries) = Archive::open(&self.root.join(name), settings)?;
        for (index, path) in entries {
            let place = Place::Entry { archive: self.archives.len(), index };
            self.files.entry(path).or_insert(place);
        }
        self.archives.push(archive);
        Ok(())
    }

    /// For messages: where `path` really is.
    pub fn shown(&self, path: &str) -> String {
        let place = match self.files.get(path) {
            Some(Place::Entry { archive, .. }) => {
                format!("{}: {path}", self.archives[*archive].path().display())
            }
            _ => self.root.join(path).display().to_string(),
        };
        crate::bad::shown(&place)
    }

    /// The bytes of `path`.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) if the bytes are wrong or too many, others if they
    /// could not be read.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        match self.files.get(path) {
            None => Err(Error::missing(format!("{} is not there", self.shown(path)))),
            Some(Place::Entry { archive, index }) => self.archives[*archive].read(*index, path),
            Some(Place::File { path, size }) => read_file(path, *size),
        }
    }

    fn walk(&mut self, dir: &Path, prefix: &str, depth: usize) -> Result<()> {
        check_interrupt()?;
        if depth > MAX_DEPTH {
            return Err(Error::data(format!(
                "{} is nested more than {MAX_DEPTH} folders deep",
                crate::bad::shown(prefix)
            )));
        }
        // The order is fixed, for the stamp depends on it.
        let mut entries = fs::read_dir(dir)
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .map_err(|e| Error::read(dir, &e))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                Error::data(format!("{}: a name that is not UTF-8; rename it", path.display()))
            })?;
            if name.starts_with('.') || JUNK.contains(&name) {
                continue;
            }
            let kind = entry.file_type().map_err(|e| Error::read(&path, &e))?;
            let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            if kind.is_dir() {
                self.walk(&path, &key, depth + 1)?;
                self.folders.push(key);
            } else {
                self.add(path, key, kind.is_symlink())?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, key: String, link: bool) -> Result<()> {
        let metadata = fs::metadata(&path).map_err(|e| Error::read(&path, &e))?;
        if metadata.is_dir() {
            tracing::warn!("{}: a link to a folder, not followed", crate::bad::shown(&key));
            return Ok(());
        }
        if !metadata.is_file() {
            let what = if link { "a link to a pipe or device" } else { "a pipe, socket or device" };
            return Err(Error::data(format!("{} is {what}; remove it", path.display())));
        }
        self.add_stamp(&key, &metadata);
        self.files.insert(key, Place::File { path, size: metadata.len() });
        Ok(())
    }

    fn add_stamp(&mut self, key: &str, metadata: &Metadata) {
        self.stamp.add(key);
        for number in [
            metadata.len() as i64,
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ] {
            self.stamp.add(number.to_le_bytes());
        }
    }
}

fn read_file(path: &Path, size: u64) -> Result<Vec<u8>> {
    if size > MAX_FILE {
        return Err(Error::data(format!("{size} bytes are too many, at most {MAX_FILE} are read")));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|e| Error::read(path, &e))?;
    if bytes.len() as u64 != size {
        return Err(Error::busy(format!("{} changed while it was read", path.display())));
    }
    Ok(bytes)
}
