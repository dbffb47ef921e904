//! Writing an artifact so that it is there whole or not at all.
//!
//! One process at a time may write a folder: it holds an exclusive lock of the operating
//! system on the folder's `.lock`, which a crash releases. Files are written under temporary
//! names in the same folder, synced, and renamed together at the end, the manifest last. The
//! old manifest goes first, so that a folder between two states counts as not made.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use stage::{Error, Result};
use store::Version;

use crate::file::TEMPORARY;
use crate::lock::{Kind, Lock};
use crate::manifest::{FILE, FORMAT};
use crate::mirror::Mirror;
use crate::place::{exchange, remove};
use crate::{FileWriter, Manifest, Staged, Work};

/// A folder that this process alone may write.
pub struct Output {
    dir: PathBuf,
    lock: Lock,
    /// Where the folder is one: what the store held when it was opened.
    mirror: Option<(Mirror, Option<Version>)>,
}

impl Output {
    /// Makes `dir` if it isn't there, locks it, and sweeps what dead writers left.
    ///
    /// # Errors
    /// [`Create`](stage::Fault::Create) if it can't be written, [`Busy`](stage::Fault::Busy) if
    /// another process holds it.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::of(dir, Mirror::of(dir)?)
    }

    /// [`Output::open`] of a folder that is this mirror, if it is one.
    pub(crate) fn of(dir: &Path, mirror: Option<Mirror>) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|e| Error::write(dir, &e))?;
        let lock = Lock::take(&dir.join(".lock"), Kind::Alone)?;
        sweep(dir)?;
        let mirror = mirror.map(|mirror| mirror.pull().map(|version| (mirror, version)));
        Ok(Self { dir: dir.to_owned(), lock, mirror: mirror.transpose()? })
    }

    /// The manifest that is there, if it describes `work` and every file is as it says.
    pub fn current(&self, work: &Work) -> Result<Option<Manifest>> {
        // A missing, damaged or foreign manifest means that the work isn't done, no more.
        let Ok(manifest) = Manifest::in_folder(&self.dir, &work.tool) else {
            return Ok(None);
        };
        // As it would be read: JSON's parser rounds the last bit of a few numbers.
        let read = serde_json::to_vec(work).and_then(|json| serde_json::from_slice::<Work>(&json));
        let same = read.is_ok_and(|work| manifest.work == work);
        Ok((same && manifest.intact(&self.dir)?).then_some(manifest))
    }

    /// A new file that will be `name` (`/` for subfolders) when it is committed.
    pub fn create(&self, name: &str) -> Result<FileWriter> {
        FileWriter::create(&self.dir, name)
    }

    /// Writes a small file whole.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<Staged> {
        let mut file = self.create(name)?;
        file.write_all(bytes).map_err(|e| Error::io(e.to_string()))?;
        file.finish(None)
    }

    /// Gives `files` their names, removes those of the earlier artifact that are no longer
    /// part of it, and writes the manifest.
    ///
    /// # Errors
    /// [`Busy`](stage::Fault::Busy) if somebody removed the lock's file in the meantime and
    /// another process writes the folder, or if another machine wrote to the store.
    pub fn commit(
        mut self,
        work: Work,
        files: Vec<Staged>,
        counters: BTreeMap<String, u64>,
        facts: BTreeMap<String, Value>,
    ) -> Result<Manifest> {
        let outputs = files.iter().map(|f| (f.name().to_owned(), f.record().clone())).collect();
        let manifest = Manifest { format: FORMAT, work, outputs, counters, facts };
        let mut json = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| Error::internal(format!("cannot write a manifest: {e}")))?;
        json.push(b'\n');
        self.lock.keep()?;
        let staged_manifest = self.write(FILE, &json)?;
        files.iter().try_for_each(Staged::check)?;
        if let Some((mirror, version)) = &self.mirror {
            mirror.push(&files, &json, version.as_ref())?;
        }
        exchange(&self.dir, &manifest, &files, &staged_manifest)?;
        Ok(manifest)
    }
}

/// Removes temporary files of writers that died from `dir`; the caller's lock says that none
/// lives. A folder of such a name isn't ours.
pub(crate) fn sweep(dir: &Path) -> Result<()> {
    let cannot = |e: io::Error| Error::read(dir, &e);
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        if ours && !entry.file_type().map_err(cannot)?.is_dir() {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn work(value: i32) -> Work {
        Work {
            tool: "t".into(),
            version: "1".into(),
            parameters: json!({ "value": value }),
            inputs: BTreeMap::new(),
        }
    }

    fn commit(dir: &Path, value: i32, names: &[&str]) -> Manifest {
        let output = Output::open(dir).unwrap();
        let files = names.iter().map(|n| output.write(n, n.as_bytes()).unwrap()).collect();
        output.commit(work(value), files, BTreeMap::new(), BTreeMap::new()).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n != ".lock")
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_commit_replaces_the_earlier_artifact() {
        let dir = tempfile::tempdir().unwrap();
        commit(dir.path(), 1, &["a", "b"]);
        let second = commit(dir.path(), 2, &["b", "c"]);
        assert_eq!(names(dir.path()), ["b", "c", "manifest.json"]);
        assert_eq!(Manifest::read(dir.path(), "t").unwrap(), second);
        let output = Output::open(dir.path()).unwrap();
        assert_eq!(output.current(&work(2)).unwrap(), Some(second));
        assert_eq!(output.current(&work(1)).unwrap(), None);
    }

    #[test]
    fn damage_means_not_current() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = commit(dir.path(), 1, &["a"]);
        fs::write(dir.path().join("a"), "b").unwrap();
        assert_eq!(manifest.verify(dir.path(), "a").unwrap_err().fault().code(), 65);
        assert!(Output::open(dir.path()).unwrap().current(&work(1)).unwrap().is_none());
        fs::remove_file(dir.path().join("a")).unwrap();
        assert!(Output::open(dir.path()).unwrap().current(&work(1)).unwrap().is_none());
    }

    #[test]
    fn a_manifest_cut_anywhere_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        commit(dir.path(), 1, &["a"]);
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() - 1 {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(Manifest::read(dir.path(), "t").unwrap_err().fault().code(), 65);
        }
        let newer = String::from_utf8(whole).unwrap().replace("\"format\": 1", "\"format\": 2");
        fs::write(&path, newer).unwrap();
        let error = Manifest::read(dir.path(), "t").unwrap_err().to_string();
        assert!(error.contains("format 2"), "{error}");
        fs::remove_file(&path).unwrap();
        assert_eq!(Manifest::read(dir.path(), "t").unwrap_err().fault().code(), 66);
    }

    #[test]
    fn an_uncommitted_file_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        commit(dir.path(), 1, &["a"]);
        let output = Output::open(dir.path()).unwrap();
        drop(output.write("a", b"new").unwrap());
        drop(output.create("deep/b").unwrap());
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"a");
        fs::write(dir.path().join(".tmp-old"), "x").unwrap();
        fs::create_dir(dir.path().join(".tmp-folder")).unwrap();
        drop(output);
        Output::open(dir.path()).unwrap();
        assert_eq!(names(dir.path()), [".tmp-folder", "a", "manifest.json"]);
    }

    #[test]
    fn names_that_leave_the_folder_are_damage() {
        let outside = tempfile::tempdir().unwrap();
        let dir = outside.path().join("artifact");
        fs::write(outside.path().join("mine"), "x").unwrap();
        commit(&dir, 1, &["a"]);
        let manifest = fs::read_to_string(dir.join(FILE)).unwrap();
        fs::write(dir.join(FILE), manifest.replace("\"a\"", "\"../mine\"")).unwrap();
        assert_eq!(Manifest::read(&dir, "t").unwrap_err().fault().code(), 65);
        commit(&dir, 2, &["b"]);
        assert!(outside.path().join("mine").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_at_a_temporary_name_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "x").unwrap();
        std::os::unix::fs::symlink("mine", dir.path().join(".tmp-a")).unwrap();
        commit(dir.path(), 1, &["a"]);
        assert_eq!(fs::read(dir.path().join("mine")).unwrap(), b"x");
        assert_eq!(names(dir.path()), ["a", "manifest.json", "mine"]);
    }

    #[test]
    fn one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Output::open(dir.path()).unwrap();
        let error = Output::open(dir.path()).err().unwrap();
        assert_eq!(error.fault().code(), 75);
        drop(first);
        Output::open(dir.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_removed_lock_lets_one_of_two_commit() {
        let dir = tempfile::tempdir().unwrap();
        commit(dir.path(), 1, &["a"]);
        let first = Output::open(dir.path()).unwrap();
        let staged = first.write("b", b"b").unwrap();
        fs::remove_file(dir.path().join(".lock")).unwrap();
        let second = Output::open(dir.path()).unwrap();
        let staged = [(first, vec![staged], 75), (second, vec![], 0)];
        for (output, files, code) in staged {
            assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"a");
            let result = output.commit(work(2), files, BTreeMap::new(), BTreeMap::new());
            assert_eq!(result.err().map_or(0, |e| e.fault().code()), code);
        }
        let first = Output::open(dir.path()).unwrap();
        let staged = first.write("b", b"b").unwrap();
        fs::remove_file(staged.path()).unwrap();
        let error = first.commit(work(3), vec![staged], BTreeMap::new(), BTreeMap::new());
        assert_eq!(error.unwrap_err().fault().code(), 74);
        assert_eq!(names(dir.path()), ["manifest.json"]);
    }
}
