//! Telling formats apart by their first bytes.

use crate::error::{Error, Result};

/// The formats that are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG, baseline or progressive.
    Jpeg,
    /// Binary portable pixmap, `P6`.
    Ppm,
}

/// First bytes of formats that people have, but that are not decoded here.
const UNSUPPORTED: [(usize, &[u8], &str); 17] = [
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\0\0\x01\0", "ICO"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"P1", "plain PBM (P1)"),
    (0, b"P3", "plain PPM (P3)"),
    (0, b"P4", "PBM (P4)"),
    (0, b"P5", "PGM (P5)"),
];

impl Format {
    /// The format of `bytes`, told by the first of them.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Err(Error::Empty);
        }
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Ok(Self::Png);
        }
        if bytes.starts_with(b"\xff\xd8\xff") {
            return Ok(Self::Jpeg);
        }
        if bytes.starts_with(b"P6") {
            return Ok(Self::Ppm);
        }
        let known = UNSUPPORTED
            .iter()
            .find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
        Err(known.map_or(Error::Unknown, |(_, _, name)| Error::Unsupported(name)))
    }
}
