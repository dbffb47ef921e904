//! Local folders that mirror an artifact in an object store.
//!
//! In the store a file's object has the content's hash in its name, so that it never changes, and
//! `manifest.json` says which objects there are. A new artifact's objects are added first; then the
//! manifest is replaced, if it still is the one that was read before. Objects of earlier manifests
//! stay, for those who still read them.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use stage::{Error, Result};
use store::{Store, Version, each};

use crate::lock::{Kind, Lock};
use crate::manifest::FILE;
use crate::place::{exchange, place_all, withdraw};
use crate::{FileRecord, FileWriter, Hash, Manifest, Staged};

/// The folders that this process has brought up to date: what it reads stays as it was then.
static FRESH: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// How often a damaged answer is asked for again.
const TRIES: usize = 3;

/// Brings `dir` up to date, if it is a mirror and this process hasn't done it before.
///
/// # Errors
/// Those of the store; [`Busy`](stage::Fault::Busy) while another process holds the folder too long.
pub(crate) fn refresh(dir: &Path) -> Result<()> {
    match Mirror::of(dir)? {
        Some(mirror) if !fresh(|fresh| fresh.contains(dir)) => {
            std::fs::create_dir_all(dir).map_err(|e| Error::write(dir, &e))?;
            let _alone = Lock::wait(&dir.join(".lock"), Kind::Alone, stage::store_timeout())?;
            mirror.pull().map(drop)
        }
        _ => Ok(()),
    }
}

fn fresh<T>(with: impl FnOnce(&mut HashSet<PathBuf>) -> T) -> T {
    with(&mut FRESH.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A folder here and the one that it mirrors.
pub(crate) struct Mirror {
    pub(crate) dir: PathBuf,
    pub(crate) store: Store,
}

impl Mirror {
    /// What `dir` mirrors; nothing if it is a folder like others.
    pub fn of(dir: &Path) -> Result<Option<Self>> {
        let open = |url: String| Ok(Self::new(dir, Store::open(&url)?));
        stage::url_of(dir).map(open).transpose()
    }

    pub fn new(dir: &Path, store: Store) -> Self {
        Self { dir: dir.to_owned(), store }
    }

    /// Makes the artifact here the same as the one in the store; whoever calls it holds the
    /// folder's lock. Files that are here with the right content aren't fetched. Gives which
    /// manifest it was.
    pub fn pull(&self) -> Result<Option<Version>> {
        let found = self.store.get(FILE)?;
        match &found {
            None => withdraw(&self.dir, "", |_| false)?,
            Some((bytes, _)) => match Manifest::parse(bytes, &self.store.url_of(FILE), "") {
                Ok(manifest) => self.take_over(&manifest, bytes)?,
                // It is told where it is read; for writers it is no more than not up to date.
                Err(_) => self.place_manifest(bytes)?,
            },
        }
        fresh(|fresh| fresh.insert(self.dir.clone()));
        Ok(found.map(|(_, version)| version))
    }

    fn take_over(&self, manifest: &Manifest, bytes: &[u8]) -> Result<()> {
        let mut lacking = Vec::new();
        for (name, record) in &manifest.outputs {
            if !manifest.holds(&self.dir, name)? {
                lacking.push((name, record));
            }
        }
        let same = std::fs::read(self.dir.join(FILE)).is_ok_and(|there| there == bytes);
        if same && lacking.is_empty() {
            return Ok(());
        }
        let files = each(&lacking, |(name, record)| self.fetch(name, record))?;
        exchange(&self.dir, manifest, &files, &self.stage(FILE, bytes)?)
    }

    pub(crate) fn stage(&self, name: &str, bytes: &[u8]) -> Result<Staged> {
        let mut file = FileWriter::create(&self.dir, name)?;
        file.write_all(bytes).map_err(|e| Error::io(e.to_string()))?;
        file.finish(None)
    }

    fn place_manifest(&self, bytes: &[u8]) -> Result<()> {
        place_all([(&self.stage(FILE, bytes)?, self.dir.join(FILE))])
    }

    /// Fetches a file and compares it with its record.
    fn fetch(&self, name: &str, record: &FileRecord) -> Result<Staged> {
        let object = object(name, &record.hash);
        fetch(&self.store, &object, record.bytes, &self.dir, name, |hash| *hash == record.hash)
    }

    /// Adds `files` to the store and makes `manifest` the one that counts, in the place of the
    /// one that was `expected`.
    pub fn push(
        &self,
        files: &[Staged],
        manifest: &[u8],
        expected: Option<&Version>,
    ) -> Result<()> {
        each(files, |file| self.store.add(&object(file.name(), &file.record().hash), file.path()))?;
        self.store.replace(FILE, manifest, expected)
    }
}

/// The name of the object with the content of file `name`: its hash before the extension.
fn object(name: &str, hash: &Hash) -> String {
    let path = Path::new(name);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) => path.with_extension(format!("{hash}.{extension}")),
        None => path.with_extension(hash.to_string()),
    }
    .to_string_lossy()
    .into_owned()
}

/// Fetches `object` of `bytes` bytes into `dir`, where it will be `name`, and checks its hash.
///
/// # Errors
/// [`Data`](stage::Fault::Data) if it is another than it should be, however often it is asked for.
pub(crate) fn fetch(
    store: &Store,
    object: &str,
    bytes: u64,
    dir: &Path,
    name: &str,
    right: impl Fn(&Hash) -> bool,
) -> Result<Staged> {
    for _ in 0..TRIES {
        let mut file = FileWriter::create(dir, name)?;
        store.read(object, bytes, |piece| {
            file.write_all(piece).map_err(|e| Error::io(e.to_string()))
        })?;
        let file = file.finish(None)?;
        if right(&file.record().hash) {
            return Ok(file);
        }
        tracing::warn!("{} came damaged", store.url_of(object));
    }
    Err(Error::data(format!(
        "{} is damaged: remove it and what names it, and run the stage that wrote it again",
        store.url_of(object)
    )))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Output, Work};
    use serde_json::json;

    fn open(dir: &Path, store: &Store) -> Output {
        Output::of(dir, Some(Mirror::new(dir, store.clone()))).unwrap()
    }

    fn commit(output: Output, value: u8, names: &[&str]) -> Result<Manifest> {
        let files = names.iter().map(|name| output.write(name, &[value; 3]).unwrap()).collect();
        let work = Work {
            tool: "t".into(),
            version: "1".into(),
            parameters: json!(value),
            inputs: BTreeMap::new(),
        };
        output.commit(work, files, BTreeMap::new(), BTreeMap::new())
    }

    fn pull(dir: &Path, store: &Store) {
        Mirror::new(dir, store.clone()).pull().unwrap();
    }

    #[test]
    fn what_one_commits_another_pulls() {
        let (store, dir) = (Store::in_memory(), tempfile::tempdir().unwrap());
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        let first = commit(open(&a, &store), 1, &["x.bin", "deep/y"]).unwrap();
        drop(open(&b, &store));
        assert_eq!(Manifest::in_folder(&b, "t").unwrap(), first);
        assert_eq!(std::fs::read(b.join("deep/y")).unwrap(), [1; 3]);
        // A damaged copy and a lost one are fetched again, and an old one goes.
        std::fs::write(b.join("x.bin"), "abc").unwrap();
        std::fs::remove_file(b.join("deep/y")).unwrap();
        pull(&b, &store);
        assert!(first.intact(&b).unwrap());
        let second = commit(open(&b, &store), 2, &["x.bin"]).unwrap();
        pull(&a, &store);
        assert!(second.intact(&a).unwrap() && !a.join("deep/y").exists());
    }

    #[test]
    fn of_two_writers_the_second_loses_and_changes_nothing() {
        let (store, dir) = (Store::in_memory(), tempfile::tempdir().unwrap());
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        for value in [1, 3] {
            let outputs = (open(&a, &store), open(&b, &store));
            let before = Manifest::in_folder(&b, "t").ok();
            commit(outputs.0, value, &["x"]).unwrap();
            let lost = commit(outputs.1, value + 1, &["x"]).unwrap_err();
            assert_eq!(lost.fault().code(), 75, "{lost}");
            assert_eq!(Manifest::in_folder(&b, "t").ok(), before);
            pull(&b, &store);
            assert_eq!(std::fs::read(b.join("x")).unwrap(), [value; 3]);
        }
    }

    #[test]
    fn what_the_store_lacks_or_has_damaged_is_told() {
        let (store, dir) = (Store::in_memory(), tempfile::tempdir().unwrap());
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        let manifest = commit(open(&a, &store), 1, &["x.bin"]).unwrap();
        assert_eq!(object("x.bin", &Hash([0; 32])), format!("x.{}.bin", "00".repeat(32)));
        let mut wrong = manifest.clone();
        wrong
            .outputs
            .insert("x.bin".into(), FileRecord { hash: Hash([7; 32]), bytes: 3, rows: None });
        let (_, version) = store.get(FILE).unwrap().unwrap();
        store.replace(FILE, &serde_json::to_vec(&wrong).unwrap(), Some(&version)).unwrap();
        std::fs::create_dir_all(&b).unwrap();
        let pull = |dir: &Path| Mirror::new(dir, store.clone()).pull();
        assert_eq!(pull(&b).unwrap_err().fault().code(), 66);
        let damaged = dir.path().join("damaged");
        std::fs::write(&damaged, "abc").unwrap();
        store.add(&object("x.bin", &Hash([7; 32])), &damaged).unwrap();
        assert_eq!(pull(&b).unwrap_err().fault().code(), 65);
        assert!(!b.join("x.bin").exists());
        // A manifest that can't be read is no more than not up to date.
        let (_, version) = store.get(FILE).unwrap().unwrap();
        store.replace(FILE, b"{", Some(&version)).unwrap();
        let output = open(&b, &store);
        assert_eq!(Manifest::in_folder(&b, "t").unwrap_err().fault().code(), 65);
        commit(output, 5, &["x.bin"]).unwrap();
        pull(&a).unwrap();
        assert_eq!(std::fs::read(a.join("x.bin")).unwrap(), [5; 3]);
    }

    #[test]
    fn a_listing_is_followed() {
        let (store, dir) = (Store::in_memory(), tempfile::tempdir().unwrap());
        let (file, mirror) = (dir.path().join("file"), dir.path().join("mirror"));
        std::fs::create_dir_all(&mirror).unwrap();
        let mirror = Mirror::new(&mirror, store.clone());
        assert_eq!(mirror.pull_listing().unwrap_err().fault().code(), 66);
        for name in ["a.png", "deep/b.png"] {
            std::fs::write(&file, name).unwrap();
            store.add(name, &file).unwrap();
        }
        mirror.pull_listing().unwrap();
        assert_eq!(std::fs::read_to_string(mirror.dir.join("deep/b.png")).unwrap(), "deep/b.png");
        std::fs::remove_file(mirror.dir.join("a.png")).unwrap();
        mirror.pull_listing().unwrap();
        assert!(mirror.dir.join("a.png").exists());
    }
}
