//! The test images' signs as one small picture of tiles, for a page to cut them out of.

use artifact::images::{Image, ImageSet, Split};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, crop_imm, resize};
use image::{ExtendedColorType, RgbImage};
use rayon::prelude::*;
use stage::{Error, Result};

use crate::gallery::base64;
use crate::survey::{damaged, decode, sign};

/// Pixels a side of a tile: enough to read a sign.
pub const SIDE: u32 = 28;

/// Most tiles, about 4 MB in Base64; of more images every second, third … has one.
const MOST: usize = 13_000;

/// Of 100. The tiles are seen enlarged, next to numbers that say what they are.
const QUALITY: u8 = 40;

/// Tiles of the test images, row by row.
pub struct Sprite {
    /// The picture as a `data:` address.
    pub address: String,
    /// Tiles in a row.
    pub columns: usize,
    /// How many images there are for a tile: image `i` has tile `i / every` if that is whole.
    pub every: usize,
}

impl Sprite {
    /// The signs of the test images, each stretched to a square.
    pub fn of(images: &ImageSet) -> Result<Self> {
        let count = images.count(Split::Test) as usize;
        let every = count.div_ceil(MOST).max(1);
        let mut tiles: Vec<RgbImage> = Vec::new();
        let mut first = 0;
        for batch in images.batches(Split::Test) {
            stage::check_interrupt()?;
            let batch = batch?;
            let shown = (0..batch.len()).into_par_iter().filter(|row| (first + row) % every == 0);
            let of_batch: Result<Vec<RgbImage>> = shown.map(|row| tile(&batch[row])).collect();
            tiles.extend(of_batch?);
            first += batch.len();
        }
        let columns = (tiles.len() as f64).sqrt().ceil() as usize;
        Ok(Self { address: address(&tiles, columns)?, columns, every })
    }
}

/// What is in the sign's box.
fn tile(image: &Image) -> Result<RgbImage> {
    let picture = decode(image)?;
    let (width, height) = (picture.width(), picture.height());
    let corners = sign(image.roi, width, height);
    let full = RgbImage::from_raw(width, height, picture.into_rgb())
        .ok_or_else(|| damaged(image, &"odd size"))?;
    let [x1, y1, x2, y2] = corners.map(|corner| corner as u32);
    let sign = crop_imm(&full, x1, y1, x2 - x1, y2 - y1).to_image();
    Ok(resize(&sign, SIDE, SIDE, FilterType::Triangle))
}

/// The tiles in rows of `columns`, as a JPEG file in a `data:` address.
fn address(tiles: &[RgbImage], columns: usize) -> Result<String> {
    let side = SIDE as usize;
    let (width, height) = (columns * side, tiles.len().div_ceil(columns.max(1)) * side);
    let mut pixels = vec![0; width * height * 3];
    for (index, tile) in tiles.iter().enumerate() {
        let (left, top) = (index % columns * side, index / columns * side);
        for (line, row) in tile.as_raw().chunks_exact(3 * side).enumerate() {
            let at = 3 * ((top + line) * width + left);
            pixels[at..at + row.len()].copy_from_slice(row);
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(&pixels, width as u32, height as u32, ExtendedColorType::Rgb8)
        .map_err(|e| Error::internal(format!("report.html: small pictures: {e}")))?;
    Ok(format!("data:image/jpeg;base64,{}", base64(&jpeg)))
}

#[cfg(test)]
mod tests {
    use picture::Picture;

    use super::*;

    #[test]
    fn tiles_lie_row_by_row() {
        let tile = |grey: u8| RgbImage::from_pixel(SIDE, SIDE, image::Rgb([grey; 3]));
        let tiles = [tile(0), tile(100), tile(200)];
        let address = address(&tiles, 2).unwrap();
        let text = address.strip_prefix("data:image/jpeg;base64,").unwrap();
        let picture = Picture::decode(&decoded(text)).unwrap();
        assert_eq!((picture.width(), picture.height()), (56, 56));
        let grey = |x: usize, y: usize| i32::from(picture.rgb()[3 * (56 * y + x)]);
        for (x, y, wanted) in [(14, 14, 0), (42, 14, 100), (14, 42, 200), (42, 42, 0)] {
            assert!((grey(x, y) - wanted).abs() < 4);
        }
    }

    /// Base64 back to bytes.
    fn decoded(text: &str) -> Vec<u8> {
        let digit = |c: u8| match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let digits: Vec<u8> = text.trim_end_matches('=').bytes().map(digit).collect();
        let byte = |at: usize| {
            let bit = |bit: usize| digits[(8 * at + bit) / 6] >> (5 - (8 * at + bit) % 6) & 1;
            (0..8).fold(0, |byte, place| byte << 1 | bit(place))
        };
        (0..digits.len() * 6 / 8).map(byte).collect()
    }
}
