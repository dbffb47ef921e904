//! Is a JPEG complete? Decoders fill what is missing with grey and call it a day.

use crate::error::{Error, Result};

/// Follows the segments to the end-of-image marker; whatever comes after it
/// (phones append previews and videos) is left alone.
pub fn check_complete(bytes: &[u8]) -> Result<()> {
    let mut at = 2;
    while let Some(marker) = next_marker(bytes, &mut at) {
        match marker {
            0xd9 => return Ok(()),
            // Stuffed zeros, restart markers and TEM carry no length.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => match bytes.get(at..at + 2) {
                Some(&[high, low]) => at += usize::from(u16::from_be_bytes([high, low])).max(2),
                _ => break,
            },
        }
    }
    Err(Error::Damaged("cut short, its end marker is missing".into()))
}

/// The byte after the next run of 0xff; `at` moves behind it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let found = *at + bytes.get(*at..)?.iter().position(|&b| b == 0xff)?;
    let code = found + bytes[found..].iter().position(|&b| b != 0xff)?;
    *at = code + 1;
    Some(bytes[code])
}
