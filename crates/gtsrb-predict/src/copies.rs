//! The pictures to label in folders of their best guesses, as `gtsrb-ingest` reads them: who moves
//! those that are in a wrong one has labelled them.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Component, Path};

use artifact::{FileWriter, Hash};
use stage::{Error, Result};

use crate::label_next::Candidate;

/// Refuses a folder that holds something: what was labelled before must not be mixed with guesses.
///
/// # Errors
/// [`Create`](stage::Fault::Create) if `to` isn't empty or no folder.
pub fn require_empty(to: &Path) -> Result<()> {
    match std::fs::read_dir(to).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Error::create(format!("{} is not empty: give a new folder", to.display())))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::write(to, &e)),
    }
}

/// Copies `chosen` to `to/CLASS/`, where they are named after their content, too, so that no two
/// meet. Gives each one's path in `to`.
///
/// # Errors
/// What reading and writing say.
pub fn copy(chosen: &[Candidate], classes: &[String], to: &Path) -> Result<Vec<String>> {
    chosen.iter().map(|candidate| copy_one(candidate, classes, to)).collect()
}

fn copy_one(candidate: &Candidate, classes: &[String], to: &Path) -> Result<String> {
    let from = &candidate.path;
    let bytes = std::fs::read(from).map_err(|e| Error::read(from, &e))?;
    let folder = folder_of(candidate.label, &classes[candidate.label]);
    let hash = Hash::of(&bytes).to_string();
    let name = from.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    let path = format!("{folder}/{}-{name}", &hash[..8]);
    let target = to.join(&path);
    let failed = |e| Error::write(&target, &e);
    std::fs::create_dir_all(to.join(&folder)).map_err(failed)?;
    let mut file = FileWriter::at(&target)?;
    file.write_all(&bytes).map_err(failed)?;
    file.keep(&target)?;
    Ok(path)
}

/// The class's name, or its number where no folder can have that name.
fn folder_of(label: usize, name: &str) -> String {
    let mut parts = Path::new(name).components();
    let is_plain = matches!(parts.next(), Some(Component::Normal(part)) if part == name)
        && parts.next().is_none()
        && !name.starts_with('.')
        && !name.contains(char::is_control);
    if is_plain { name.to_owned() } else { label.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_folders() {
        assert_eq!(folder_of(3, "Bus, école"), "Bus, école");
        for name in ["", ".", "..", ".git", "a/b", "/a", "a/", "20 km/h", "a\nb", "\0"] {
            assert_eq!(folder_of(3, name), "3", "{name:?}");
        }
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        require_empty(dir.path()).unwrap();
        require_empty(&dir.path().join("new")).unwrap();
        std::fs::write(dir.path().join("a"), "").unwrap();
        let error = require_empty(dir.path()).unwrap_err();
        assert_eq!(error.fault(), stage::Fault::Create);
        assert_eq!(require_empty(&dir.path().join("a")).unwrap_err().fault(), error.fault());
    }
}
