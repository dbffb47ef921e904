//! Why a picture could not be decoded.

use crate::{MAX_PIXELS, MAX_SIDE};

/// Why a picture could not be decoded. Messages are fragments that follow a
/// file's name and a colon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The content is of a format that is known, but not read.
    #[error("{0} is not supported; convert it to PNG or JPEG")]
    Unsupported(&'static str),
    /// The content is no picture that we know.
    #[error("not a picture (neither PNG, JPEG nor PPM)")]
    Unknown,
    /// More pixels than any picture that makes sense here.
    #[error(
        "{width}x{height} pixels are too many (at most {MAX_SIDE} a side and {MAX_PIXELS} in all); scale it down"
    )]
    TooLarge {
        /// Width in pixels, as the header claims.
        width: u32,
        /// Height in pixels, as the header claims.
        height: u32,
    },
    /// The header is right, but what follows isn't.
    #[error("damaged: {0}")]
    Damaged(String),
}

/// A picture's result.
pub type Result<T> = std::result::Result<T, Error>;

impl From<image::ImageError> for Error {
    fn from(error: image::ImageError) -> Self {
        Self::Damaged(error.to_string())
    }
}
