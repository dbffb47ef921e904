//! Pictures: encoded bytes to RGB and back.
//!
//! Every tool decodes with [`Picture::decode`], so that a picture has the same
//! pixels, size and hash wherever it is looked at. The rules:
//!
//! - The format is told by the content, never by the file's name: PNG, JPEG or
//!   binary PPM (`P6`, 8 bits).
//! - Grey becomes RGB with three equal channels; alpha is dropped; 16 bits are
//!   scaled to 8; gamma and colour profiles are not applied.
//! - The EXIF orientation is applied, as browsers, Pillow-based loaders and
//!   Hugging Face `datasets` do; width and height are those after it.
//! - A picture that is cut short is an error, also where a lenient decoder would
//!   fill the rest with grey.
//! - Sizes are checked before memory is reserved: see [`MAX_SIDE`] and [`MAX_PIXELS`].

mod error;
mod format;
mod jpeg;
mod ppm;

use std::io::Cursor;

use image::codecs::{jpeg::JpegDecoder, png};
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, Limits, RgbImage};

pub use error::{Error, Result};
pub use format::Format;

/// The longest side of a picture that is decoded, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// The largest picture that is decoded, in pixels: 50 megapixels, a phone's best.
pub const MAX_PIXELS: u64 = 50_000_000;
/// What a decoder may reserve for one picture, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// A decoded picture: 8-bit RGB, row by row from the top, no padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// Takes `rgb`, `[height, width, 3]` bytes; `None` if the length is not that.
    #[must_use]
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Option<Self> {
        let wanted = u64::from(width) * u64::from(height) * 3;
        (rgb.len() as u64 == wanted).then_some(Self { width, height, rgb })
    }

    /// Decodes PNG, JPEG or PPM by content.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        match Format::of(bytes)? {
            Format::Ppm => ppm::decode(bytes),
            Format::Png => {
                from_decoder(png::PngDecoder::with_limits(Cursor::new(bytes), limits())?)
            }
            Format::Jpeg => {
                jpeg::check_complete(bytes)?;
                from_decoder(JpegDecoder::new(Cursor::new(bytes))?)
            }
        }
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, `[height, width, 3]`.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels, given away.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// BLAKE3 over width and height (little-endian `u32`) and the pixels: equal
    /// for equal pictures, whatever file format they came in.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.width.to_le_bytes());
        hasher.update(&self.height.to_le_bytes());
        hasher.update(&self.rgb);
        *hasher.finalize().as_bytes()
    }

    /// Encodes as PNG, fast and always to the same bytes.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.rgb.len() / 2 + 128);
        png::PngEncoder::new_with_quality(
            &mut bytes,
            png::CompressionType::Fast,
            png::FilterType::Adaptive,
        )
        .write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)?;
        Ok(bytes)
    }

    /// Encodes as binary PPM (`P6`), the format of the official GTSRB archives.
    #[must_use]
    pub fn to_ppm(&self) -> Vec<u8> {
        let mut bytes = format!("P6\n{} {}\n255\n", self.width, self.height).into_bytes();
        bytes.extend_from_slice(&self.rgb);
        bytes
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

/// Refuses sizes that no picture of a sign has, before anything is reserved.
fn check_size(width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::Damaged(format!("its size is {width}x{height}")));
    }
    let pixels = u64::from(width) * u64::from(height);
    if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        return Err(Error::TooLarge { width, height });
    }
    Ok(())
}

fn from_decoder(mut decoder: impl ImageDecoder) -> Result<Picture> {
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    decoder.set_limits(limits())?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(from_rgb(image.into_rgb8()))
}

fn from_rgb(image: RgbImage) -> Picture {
    let (width, height) = image.dimensions();
    Picture { width, height, rgb: image.into_raw() }
}

#[cfg(test)]
mod tests;
