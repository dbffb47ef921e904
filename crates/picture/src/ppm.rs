//! Binary PPM (`P6`): `P6`, width, height, 255, one white-space byte, pixels.
//!
//! The length must be exact: a byte too few or too many is an error, for a PPM
//! has no checksum that could tell otherwise. Only a maximum of 255 is read.

use crate::error::{Error, Result};
use crate::{Picture, check_size};

/// A header of a few short numbers and comments; more is an attack.
const MAX_HEADER: usize = 1024;

/// Decodes a `P6` picture.
pub fn decode(bytes: &[u8]) -> Result<Picture> {
    let header = &bytes[..bytes.len().min(MAX_HEADER)];
    let (width, at) = number(header, 2)?;
    let (height, at) = number(header, at)?;
    let (maximum, at) = number(header, at)?;
    if maximum != 255 {
        return Err(Error::Damaged(format!("its maximum is {maximum}, not 255")));
    }
    if !header.get(at).is_some_and(u8::is_ascii_whitespace) {
        return Err(Error::Damaged("its header does not end".into()));
    }
    check_size(width, height)?;
    let pixels = &bytes[at + 1..];
    let wanted = width as usize * height as usize * 3;
    if pixels.len() != wanted {
        let found = pixels.len();
        return Err(Error::Damaged(format!("{found} bytes of pixels, not {wanted}")));
    }
    Ok(Picture { width, height, rgb: pixels.to_vec() })
}

/// The number after white space and comments from `at` on, and where it ends.
fn number(header: &[u8], mut at: usize) -> Result<(u32, usize)> {
    let start = at;
    loop {
        match header.get(at) {
            Some(b'#') => {
                let comment = header[at..].iter().take_while(|&&b| b != b'\n');
                at += comment.count();
            }
            Some(byte) if byte.is_ascii_whitespace() => at += 1,
            _ => break,
        }
    }
    let digits = header[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let text = std::str::from_utf8(&header[at..at + digits]).unwrap_or_default();
    match text.parse() {
        Ok(value) if at > start => Ok((value, at + digits)),
        _ => Err(Error::Damaged("its header is not `P6 width height 255`".into())),
    }
}
