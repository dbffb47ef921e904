//! A link that changes its target in one step.

use std::path::Path;

use stage::{Error, Result};

use crate::file::temporary;
use crate::place::{folder_of, remove, sync_folder};

/// Points the link at `path` to `target`, a name in the same folder. Whoever opens the link
/// finds the old target or the new one, also after a crash.
///
/// # Errors
/// [`Create`](stage::Fault::Create) if the link can't be made or something else has its name.
pub fn switch(path: &Path, target: &str) -> Result<()> {
    if std::fs::symlink_metadata(path).is_ok_and(|there| !there.is_symlink()) {
        return Err(Error::create(format!(
            "{} is no link: remove it or choose another folder",
            path.display()
        )));
    }
    let dir = folder_of(path);
    let fresh = temporary(dir, "link");
    let made = link(target, &fresh).and_then(|()| std::fs::rename(&fresh, path));
    made.map_err(|e| {
        // The link that couldn't be renamed; the error to tell is the first one.
        let _ = remove(&fresh);
        Error::write(path, &e)
    })?;
    sync_folder(dir)
}

#[cfg(unix)]
fn link(target: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn link(target: &str, path: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_dir(target, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_link_is_switched_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("current");
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), name).unwrap();
            switch(&link, name).unwrap();
            assert_eq!(std::fs::read(&link).unwrap(), name.as_bytes());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
        assert_eq!(switch(&dir.path().join("a"), "b").unwrap_err().fault().code(), 73);
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"a");
    }
}
