//! The test images' signs as one small picture of tiles, for a page to cut them out of.

use artifact::images::{Image, ImageSet, Split};
use image::RgbImage;
use image::imageops::{FilterType, crop_imm, resize};
use rayon::prelude::*;
use stage::Result;

use crate::gallery::jpeg;
use crate::survey::{damaged, decode, sign};

/// Pixels a side of a tile: enough to read a sign.
pub const SIDE: u32 = 28;

/// Most bytes of the picture's address, so that the page stays below 10 MB: where tiles are hard to
/// compress, fewer images have one.
const MOST_BYTES: usize = 4_000_000;

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
    /// The signs of every `every`th test image, each stretched to a square.
    pub fn of(images: &ImageSet, every: usize) -> Result<Self> {
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
        let mut sprite = Self::within(tiles, MOST_BYTES)?;
        sprite.every *= every;
        Ok(sprite)
    }

    /// All of `tiles`, or every second, fourth … of them, so that the address has at most `bytes`.
    fn within(mut tiles: Vec<RgbImage>, bytes: usize) -> Result<Self> {
        let mut every = 1;
        loop {
            let columns = (tiles.len() as f64).sqrt().ceil() as usize;
            let address = address(&tiles, columns)?;
            if address.len() <= bytes || tiles.len() <= 1 {
                return Ok(Self { address, columns, every });
            }
            tiles = tiles.into_iter().step_by(2).collect();
            every *= 2;
        }
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
    jpeg(&pixels, width as u32, height as u32, QUALITY)
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

    #[test]
    fn tiles_are_left_out_until_the_rest_has_room() {
        let noise = |seed: u32| {
            RgbImage::from_fn(SIDE, SIDE, |x, y| {
                let value = (seed + x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
                image::Rgb([(value >> 24) as u8; 3])
            })
        };
        let tiles: Vec<RgbImage> = (0..9).map(noise).collect();
        let all = Sprite::within(tiles.clone(), usize::MAX).unwrap();
        assert_eq!((all.columns, all.every), (3, 1));
        let some = Sprite::within(tiles.clone(), all.address.len() - 1).unwrap();
        assert_eq!((some.columns, some.every), (3, 2));
        let third: Vec<RgbImage> = tiles.iter().step_by(4).cloned().collect();
        let few = Sprite::within(tiles.clone(), some.address.len() - 1).unwrap();
        assert_eq!((few.address, few.every), (address(&third, 2).unwrap(), 4));
        assert_eq!(Sprite::within(tiles, 0).unwrap().columns, 1);
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
