//! `manifest.json`: what made an artifact and what it consists of. It holds no clock and no
//! absolute path, so that equal work gives equal bytes.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stage::{Error, Fault, Result};

use crate::{Hash, HashBuilder, mirror};

/// The version of the manifest's own layout.
pub const FORMAT: u32 = 1;

/// The file's name in an artifact's folder.
pub(crate) const FILE: &str = "manifest.json";

/// Far above any manifest of ours; a bound on what a damaged folder makes us read.
const MOST_BYTES: u64 = 64 << 20;

/// What a stage records as its version: its release's, and how often what it makes of the same
/// inputs and settings has changed, such as `0.1.0+2`. Raising the number makes all that the
/// stage made before out of date.
#[macro_export]
macro_rules! version {
    ($revision:literal) => {
        concat!(env!("CARGO_PKG_VERSION"), "+", $revision)
    };
}

/// What decides the bytes of an artifact.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// The binary's name.
    pub tool: String,
    /// The binary's version: [`version!`](crate::version).
    pub version: String,
    /// Settings that shape the outputs.
    pub parameters: Value,
    /// Content hashes of what was read, by name.
    pub inputs: BTreeMap<String, Hash>,
}

/// One file of an artifact.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Of the file's bytes.
    pub hash: Hash,
    /// The file's size.
    pub bytes: u64,
    /// Rows, where the file is a table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rows: Option<u64>,
}

/// An artifact's description.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// What decided the bytes.
    pub work: Work,
    /// The files, by their name in the folder.
    pub outputs: BTreeMap<String, FileRecord>,
    /// Numbers worth knowing: rows skipped, duplicates, cache hits.
    pub counters: BTreeMap<String, u64>,
    /// What readers need besides: class names, dimensions, device.
    pub facts: BTreeMap<String, Value>,
}

/// Read before the rest, to tell a newer layout from a damaged file.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Manifest {
    /// The manifest in `dir`, which `stage` (a binary's name) writes.
    ///
    /// # Errors
    /// [`Missing`](Fault::Missing) where there is none, [`Data`](Fault::Data) if it is damaged
    /// or from a newer release; those of a store if `dir` mirrors a folder there.
    pub fn read(dir: &Path, stage: &str) -> Result<Self> {
        mirror::refresh(dir)?;
        Self::in_folder(dir, stage)
    }

    /// [`Manifest::read`] of a folder that was brought up to date.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub(crate) fn in_folder(dir: &Path, stage: &str) -> Result<Self> {
        let path = dir.join(FILE);
        let metadata = std::fs::metadata(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::missing(format!("{} is not there: run {stage} first", place(&path)))
            }
            _ => Error::read(&path, &e),
        })?;
        if !metadata.is_file() || metadata.len() > MOST_BYTES {
            return Err(damaged(&place(&path), "no file of a manifest's size", stage));
        }
        let bytes = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
        Self::parse(&bytes, &place(&path), stage)
    }

    /// The manifest at `place` that consists of `bytes`.
    ///
    /// # Errors
    /// [`Data`](Fault::Data) as [`Manifest::read`].
    pub(crate) fn parse(bytes: &[u8], place: &str, stage: &str) -> Result<Self> {
        let damaged = |reason: &str| damaged(place, reason, stage);
        let version: Version =
            serde_json::from_slice(bytes).map_err(|e| damaged(&e.to_string()))?;
        if version.format != FORMAT {
            return Err(Error::data(format!(
                "{place} has format {}, this release reads {FORMAT}: use the release that wrote \
                 it, or run {stage} again",
                version.format
            )));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| damaged(&e.to_string()))?;
        match manifest.outputs.keys().find(|name| !stays_inside(name)) {
            Some(name) => Err(damaged(&format!("{name:?} names no file in its folder"))),
            None => Ok(manifest),
        }
    }

    /// What the next stage records as its input: names and hashes of all files.
    #[must_use]
    pub fn content(&self) -> Hash {
        let mut hash = HashBuilder::default();
        for (name, record) in &self.outputs {
            hash.add(name);
            hash.add(record.hash.0);
        }
        hash.finish()
    }

    /// Checks that file `name` in `dir` has its recorded size and hash.
    ///
    /// # Errors
    /// [`Data`](Fault::Data), naming the stage to run again, if not.
    pub fn verify(&self, dir: &Path, name: &str) -> Result<()> {
        let path = dir.join(name);
        let again = format!("run {} again", self.work.tool);
        let record = self.outputs.get(name).ok_or_else(|| {
            Error::data(format!("{} is not in its manifest: {again}", path.display()))
        })?;
        let found = match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() != record.bytes => None,
            _ => Some(Hash::of_file(&path).map_err(|e| match e.fault() {
                Fault::Missing => Error::missing(format!("{e}: {again}")),
                _ => e,
            })?),
        };
        if found == Some(record.hash) {
            return Ok(());
        }
        Err(Error::data(format!("{} differs from its manifest: {again}", path.display())))
    }

    /// Whether file `name` in `dir` is as recorded.
    ///
    /// # Errors
    /// Only where it can't be read at all.
    pub(crate) fn holds(&self, dir: &Path, name: &str) -> Result<bool> {
        match self.verify(dir, name) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.fault(), Fault::Data | Fault::Missing) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether every file in `dir` is as recorded.
    ///
    /// # Errors
    /// Only where a file can't be read at all.
    pub(crate) fn intact(&self, dir: &Path) -> Result<bool> {
        for name in self.outputs.keys() {
            if !self.holds(dir, name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The file at `path` for messages: its URL where it is a mirror's.
fn place(path: &Path) -> String {
    stage::url_of(path).unwrap_or_else(|| path.display().to_string())
}

fn damaged(place: &str, reason: &str, stage: &str) -> Error {
    Error::data(format!("{place} is damaged ({reason}): run {stage} again"))
}

/// Whether `name` is a path that can't leave the folder that it starts from: what an earlier
/// manifest names is removed.
fn stays_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}
