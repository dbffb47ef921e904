//! Small files that others read while they are written.

use std::io;
use std::path::Path;

/// Writes `bytes` to `name` in `folder` in one step: whoever reads sees the old file or the new one.
pub(crate) fn replace(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let temporary = folder.join(format!(".{name}-{}.tmp", std::process::id()));
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, folder.join(name))
}
