//! The views that a cache holds, as seen by those who tidy it up.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;
use stage::{Error, Result};

use super::{checked, folder, part};
use crate::file::{TEMPORARY, temporary};
use crate::lock::Kind;
use crate::place;
use crate::{Hash, lock::Lock};

/// The file in a view's folder that says for people which view it is.
const ABOUT: &str = "view.json";

/// One view's folder.
#[derive(Clone, Debug)]
pub struct ViewFolder {
    /// The view.
    pub view: Hash,
    /// How many parts there are.
    pub parts: usize,
    /// Embeddings in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Parts that can't be read.
    pub unreadable: usize,
    /// When a stage last read or wrote it.
    pub last_use: Option<SystemTime>,
    /// What the view consists of, where a writer noted it.
    pub about: Option<Value>,
}

/// The views in the cache under `root`, by name. What else is there is left alone.
pub fn views(root: &Path) -> Result<Vec<ViewFolder>> {
    let entries = match fs::read_dir(root) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| Error::read(root, &e))?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(|e| Error::read(root, &e))?.file_name();
        names.extend(name.to_str().and_then(|name| name.parse::<Hash>().ok()));
    }
    names.into_iter().map(|view| look_at(root, view)).collect()
}

fn look_at(root: &Path, view: Hash) -> Result<ViewFolder> {
    let dir = folder::of(root, view);
    let (mut rows, mut bytes, mut unreadable, mut newest) = (0, 0, 0, None);
    let parts = part::list(&dir)?;
    for path in &parts {
        let metadata = fs::metadata(path).map_err(|e| Error::read(path, &e))?;
        bytes += metadata.len();
        newest = newest.max(metadata.modified().ok());
        match part::rows(path) {
            Ok(count) => rows += count,
            Err(_) => unreadable += 1,
        }
    }
    let last_use = folder::last_use(&dir).or(newest);
    let about = about(&dir, view);
    Ok(ViewFolder { view, parts: parts.len(), rows, bytes, unreadable, last_use, about })
}

/// Notes what `view` consists of, for people: `parameters`, whose hash is the view, and
/// `backbone`, what is known of it. Nothing depends on it, so that a failure is no error.
pub fn describe(root: &Path, view: Hash, parameters: &Value, backbone: &Value) {
    let dir = folder::of(root, view);
    if about(&dir, view).is_some() {
        return;
    }
    let text =
        format!("{:#}\n", serde_json::json!({ "parameters": parameters, "backbone": backbone }));
    let temporary = temporary(&dir, ABOUT);
    let written =
        fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, dir.join(ABOUT)));
    if let Err(error) = written {
        tracing::debug!("{}: not described: {error}", dir.display());
    }
}

/// What was noted of `view`, if it is true.
fn about(dir: &Path, view: Hash) -> Option<Value> {
    let about: Value = serde_json::from_slice(&fs::read(dir.join(ABOUT)).ok()?).ok()?;
    (Hash::of(about.get("parameters")?.to_string().as_bytes()) == view).then_some(about)
}

/// Removes `view` from the cache under `root`, unless it is `needed`, which is asked when nobody
/// can begin or end a use of it any more. Gives whether it was removed.
///
/// # Errors
/// [`Busy`](stage::Fault::Busy) while anybody reads or writes it: then all of it stays.
pub fn remove(root: &Path, view: Hash, needed: impl FnOnce() -> Result<bool>) -> Result<bool> {
    let dir = folder::of(root, view);
    let _writer = Lock::take(&dir.join(folder::LOCK), Kind::Alone)?;
    let _all = folder::take_from_all(&dir)?;
    if needed()? {
        return Ok(false);
    }
    for path in ours(&dir)? {
        place::remove(&path)?;
    }
    for name in [folder::USED, folder::LOCK] {
        place::remove(&dir.join(name))?;
    }
    // It stays where somebody put a file of their own.
    let _ = fs::remove_dir(&dir);
    Ok(true)
}

/// Every file of ours in a view's folder but the locks.
fn ours(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = part::list(dir)?;
    files.extend([checked::FILE, ABOUT].map(|name| dir.join(name)));
    for entry in fs::read_dir(dir).map_err(|e| Error::read(dir, &e))? {
        let entry = entry.map_err(|e| Error::read(dir, &e))?;
        let plain = entry.file_type().is_ok_and(|kind| !kind.is_dir());
        if plain && entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embeddings::{Cache, Storage};
    use ndarray::Array2;
    use serde_json::json;

    #[test]
    fn a_view_is_seen_and_removed_unless_it_is_in_use() {
        let root = tempfile::tempdir().unwrap();
        let parameters = json!({ "size": 96 });
        let view = Hash::of(parameters.to_string().as_bytes());
        let writer = Cache::lock(root.path(), view).unwrap();
        let mut cache = Cache::open(root.path(), view).unwrap();
        let keys = [Hash::of(b"a"), Hash::of(b"b")];
        cache.append(&writer, &keys, Storage::F16, Array2::zeros((2, 8)).view()).unwrap();
        describe(root.path(), view, &parameters, &json!({ "backbone": "net" }));
        fs::create_dir(root.path().join("mine")).unwrap();
        let seen = views(root.path()).unwrap();
        assert_eq!((seen.len(), seen[0].view, seen[0].parts, seen[0].rows), (1, view, 1, 2));
        assert_eq!(seen[0].about.as_ref().unwrap()["backbone"]["backbone"], "net");
        assert!(seen[0].last_use.is_some() && seen[0].bytes > 0 && seen[0].unreadable == 0);

        let try_to = |needed| remove(root.path(), view, || Ok(needed));
        assert_eq!(try_to(false).unwrap_err().fault().code(), 75);
        drop(writer);
        assert_eq!(try_to(false).unwrap_err().fault().code(), 75);
        drop(cache);
        assert!(!try_to(true).unwrap());
        Cache::open(root.path(), view).unwrap().gather(&keys, 8).unwrap();
        assert!(try_to(false).unwrap());
        assert!(views(root.path()).unwrap().is_empty());
        assert!(root.path().join("mine").exists() && !root.path().join(view.to_string()).exists());
    }
}
