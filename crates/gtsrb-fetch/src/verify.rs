//! Is a file what was published? It is copied into the artifact while it is read.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use artifact::{Output, Staged};
use md5::{Digest as _, Md5};
use signs::archives::Archive;
use stage::{Error, Result, check_interrupt};

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// The file at `path` as a part of `output`; where it isn't `archive`, why not.
///
/// # Errors
/// [`Io`](stage::Fault::Io) where a device fails, [`Create`](stage::Fault::Create) where `output` can't be written.
pub fn copy(
    output: &Output,
    path: &Path,
    archive: &Archive,
) -> Result<std::result::Result<Staged, String>> {
    // A size tells most of what is wrong without reading anything.
    let size = path.symlink_metadata().map(|found| if found.is_file() { found.len() } else { 0 });
    match size {
        Ok(size) if size == archive.bytes => {}
        Ok(size) => return Ok(Err(wrong_size(size, archive))),
        Err(_) => return Ok(Err("it is not there".to_owned())),
    }
    let mut file = File::open(path).map_err(|e| Error::read(path, &e))?;
    let mut copy = output.create(archive.name)?;
    let (mut hash, mut buffer) = (Md5::new(), vec![0; BLOCK]);
    let mut start = Vec::new();
    loop {
        check_interrupt()?;
        let read = match file.read(&mut buffer).map_err(|e| Error::read(path, &e))? {
            0 => break,
            read => &buffer[..read],
        };
        if start.is_empty() {
            start = read.to_vec();
        }
        hash.update(read);
        copy.write_all(read).map_err(|e| Error::io(e.to_string()))?;
    }
    let found = format!("{:032x}", u128::from_be_bytes(hash.finalize().into()));
    if found == archive.md5 {
        return copy.finish(None).map(Ok);
    }
    let kind = kind_of(&start);
    Ok(Err(format!("its MD5 is {found}, the published one {}{kind}", archive.md5)))
}

/// What to say of `size` bytes.
pub fn wrong_size(size: u64, archive: &Archive) -> String {
    format!("it has {size} bytes, the published one {}", archive.bytes)
}

/// What a file that should be an archive rather looks like, to be put behind a reason.
pub fn kind_of(start: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(&start[..start.len().min(512)]).to_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        "; it looks like a web page (HTML)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn web_pages_are_recognised() {
        for page in ["<!DOCTYPE html><html>", "\n <html lang=\"en\">"] {
            assert!(kind_of(page.as_bytes()).contains("HTML"), "{page}");
        }
        assert_eq!(kind_of(b"PK\x03\x04"), "");
    }
}
