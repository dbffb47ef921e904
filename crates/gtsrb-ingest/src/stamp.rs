//! `source.stat`, beside the manifest and no part of it: which untouched source the images
//! there came from, so that being up to date is found without reading the source.

use std::path::{Path, PathBuf};

use artifact::{Hash, HashBuilder, Manifest, Output};
use stage::Result;

use crate::args::Settings;
use crate::labels::Labels;
use crate::tree::Tree;
use crate::{TOOL, VERSION};

/// The stamp of one source read with one set of settings.
pub struct Stamp(Hash);

impl Stamp {
    /// The stamp of `tree`, read as `settings` say, with corrected `labels`.
    pub fn new(tree: &Tree, settings: &Settings, labels: Option<&Labels>) -> Self {
        let settings = serde_json::json!([
            settings.layout,
            settings.on_error,
            settings.store,
            settings.test.to_bits(),
            settings.seed,
            [settings.max_members as u64, settings.max_bytes, settings.max_pixels],
            labels.map(|labels| labels.hash)
        ]);
        let hash = HashBuilder::default().field(VERSION).field(settings.to_string());
        Self(hash.field(tree.stamp().0).finish())
    }

    /// The manifest in `dir`, if it came from this source and all its files are intact.
    pub fn current(&self, dir: &Path) -> Result<Option<Manifest>> {
        let Ok(manifest) = Manifest::read(dir, TOOL) else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(file(dir)).unwrap_or_default();
        if text != self.line(&manifest) {
            return Ok(None);
        }
        Output::open(dir)?.current(&manifest.work)
    }

    /// Notes that `manifest` in `dir` came from this source. A failure costs time later, no
    /// more.
    pub fn note(&self, dir: &Path, manifest: &Manifest) {
        let path = file(dir);
        if let Err(e) = std::fs::write(&path, self.line(manifest)) {
            tracing::warn!("cannot write {}: {e}", path.display());
        }
    }

    /// The manifest's hash is in it, so that a stamp never vouches for another's images.
    fn line(&self, manifest: &Manifest) -> String {
        format!("{} {}\n", self.0, manifest.content())
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("source.stat")
}
