//! Mirrors of folders that aren't artifacts: pictures that somebody put into an object store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use stage::{Error, Result};
use store::{Object, each};

use crate::lock::{Kind, Lock};
use crate::manifest::FILE;
use crate::mirror::{Mirror, fetch, refresh};
use crate::place::{place_all, remove};

/// What was fetched of a folder that has no manifest, by name: the store's tag of its content.
type Fetched = BTreeMap<String, String>;

/// The record of it, in the mirror's folder.
const FETCHED: &str = ".fetched.json";

/// Brings a folder of anybody's objects up to date: an artifact by its manifest, others by the
/// store's listing. A local folder stays as it is.
///
/// # Errors
/// Those of the store; [`Missing`](stage::Fault::Missing) where nothing is there.
pub fn fetch_folder(dir: &Path) -> Result<()> {
    let Some(mirror) = Mirror::of(dir)? else { return Ok(()) };
    refresh(dir)?;
    if dir.join(FILE).exists() {
        return Ok(());
    }
    let _alone = Lock::wait(&dir.join(".lock"), Kind::Alone, stage::store_timeout())?;
    mirror.pull_listing()
}

/// The mirrors of the folders in the store's folder that `dir` mirrors, by name.
///
/// # Errors
/// Those of the store; [`Usage`](stage::Fault::Usage) if `dir` mirrors none.
pub fn folders_in_store(dir: &Path) -> Result<Vec<PathBuf>> {
    let mirror = Mirror::of(dir)?
        .ok_or_else(|| Error::usage(format!("{} is in no object store", dir.display())))?;
    let objects = mirror.store.list()?;
    let names: BTreeSet<&str> =
        objects.iter().filter_map(|object| Some(object.name.split_once('/')?.0)).collect();
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

impl Mirror {
    pub(crate) fn pull_listing(&self) -> Result<()> {
        let listed = self.store.list()?;
        if listed.is_empty() {
            return Err(Error::missing(format!("{} holds nothing", self.store.url())));
        }
        let record = self.dir.join(FETCHED);
        let earlier: Fetched = std::fs::read(&record)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let there = |object: &&Object| {
            let size = std::fs::metadata(self.dir.join(&object.name)).map(|file| file.len());
            earlier.get(&object.name) == Some(&object.tag) && size.ok() == Some(object.bytes)
        };
        let lacking: Vec<&Object> = listed.iter().filter(|object| !there(object)).collect();
        // Whatever happens from here on, nothing half-done counts as fetched.
        remove(&record)?;
        each(&lacking, |object| {
            let Object { name, bytes, .. } = object;
            let staged = fetch(&self.store, name, *bytes, &self.dir, name, |_| true)?;
            place_all([(&staged, self.dir.join(name))])
        })?;
        let now: Fetched = listed.into_iter().map(|object| (object.name, object.tag)).collect();
        let gone = earlier.keys().filter(|name| !now.contains_key(*name));
        gone.into_iter().try_for_each(|name| remove(&self.dir.join(name)))?;
        let json = serde_json::to_vec(&now)
            .map_err(|e| Error::internal(format!("cannot write {FETCHED}: {e}")))?;
        place_all([(&self.stage(FETCHED, &json)?, record)])
    }
}
