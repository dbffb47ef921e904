//! Giving files that were written whole their names, and taking away those that no longer count.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use stage::{Error, Result};

use crate::manifest::FILE;
use crate::{Manifest, Staged};

/// Puts `files` and the manifest that names them in the place of the artifact in `dir`. Files of
/// `manifest` that aren't among `files` are there already.
pub(crate) fn exchange(
    dir: &Path,
    manifest: &Manifest,
    files: &[Staged],
    staged_manifest: &Staged,
) -> Result<()> {
    withdraw(dir, &manifest.work.tool, |name| manifest.outputs.contains_key(name))?;
    place_all(files.iter().map(|file| (file, dir.join(file.name()))))?;
    place_all([(staged_manifest, dir.join(FILE))])
}

/// Removes the manifest of the artifact in `dir`, and its files but those to `keep`.
pub(crate) fn withdraw(dir: &Path, tool: &str, keep: impl Fn(&str) -> bool) -> Result<()> {
    let earlier = Manifest::in_folder(dir, tool).ok();
    remove(&dir.join(FILE))?;
    let outputs = earlier.iter().flat_map(|manifest| manifest.outputs.keys());
    outputs.filter(|name| !keep(name)).try_for_each(|name| remove(&dir.join(name)))
}

/// Renames files to their targets, in or under the folder that they were made in, then syncs
/// each folder once.
pub(crate) fn place_all<'a>(files: impl IntoIterator<Item = (&'a Staged, PathBuf)>) -> Result<()> {
    let mut folders = BTreeSet::new();
    for (file, target) in files {
        let folder = folder_of(&target).to_owned();
        if !folders.contains(&folder) {
            fs::create_dir_all(&folder).map_err(|e| Error::write(&folder, &e))?;
            folders.insert(folder);
        }
        fs::rename(file.path(), &target).map_err(|e| Error::write(&target, &e))?;
    }
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

/// The folder that holds `path`: of a name alone, the one that we are in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

pub(crate) fn sync_folder(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(|e| Error::write(dir, &e))
}

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::write(path, &e)),
        _ => Ok(()),
    }
}
