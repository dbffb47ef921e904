//! The wrongly classified test pictures, the most confident first.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use artifact::embeddings::Row;
use artifact::images::{Image, ImageSet, Split};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, RgbImage};
use ndarray::ArrayView1;
use picture::Picture;
use rayon::prelude::*;
use stage::{Error, Result};

use crate::evaluation::Evaluation;
use crate::metrics::Scored;
use crate::survey::{damaged, decode};

/// Longest side of a picture in the report, in pixels.
const SIDE: u32 = 96;

/// Most bytes of a picture in the report. It shows about 600 at most: with the map's, they stay
/// below 10 MB.
const MOST_BYTES: usize = 4500;

/// Of 100: for pictures that are larger without loss.
const QUALITY: u8 = 80;

/// One wrongly classified picture.
pub struct Mistake {
    /// Path of the picture in its source.
    pub path: String,
    /// Labels and probabilities.
    pub scored: Scored,
    /// The five most probable classes with their probabilities, the best first.
    pub top: Vec<(usize, f32)>,
    /// The picture as a `data:` address.
    pub picture: String,
}

/// The `count` mistakes with the highest confidence.
pub fn gallery(images: &ImageSet, evaluation: &Evaluation, count: usize) -> Result<Vec<Mistake>> {
    let Evaluation { rows, scored, probabilities, .. } = evaluation;
    let chosen = worst(scored, count);
    let mut pictures = load(images, Split::Test, rows, &chosen)?;
    let mistake = |&row: &usize| {
        let picture = pictures.remove(&row)?;
        let (path, top) = (rows[row].path.clone(), first_five(probabilities.row(row)));
        Some(Mistake { path, scored: scored[row], top, picture })
    };
    Ok(chosen.iter().filter_map(mistake).collect())
}

/// The five most probable classes; of equal ones the lower number first.
fn first_five(probabilities: ArrayView1<'_, f32>) -> Vec<(usize, f32)> {
    let mut classes: Vec<(usize, f32)> = probabilities.iter().copied().enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    classes.truncate(5);
    classes
}

/// Rows of the wrong answers, most confident first.
fn worst(scored: &[Scored], count: usize) -> Vec<usize> {
    surest(scored, |scored| !scored.correct(), count)
}

/// Rows of the `count` answers `of` a kind with the highest confidence, earlier rows first among
/// equals.
pub fn surest(scored: &[Scored], of: impl Fn(&Scored) -> bool, count: usize) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..scored.len()).filter(|i| of(&scored[*i])).collect();
    rows.sort_by(|a, b| scored[*b].confidence.total_cmp(&scored[*a].confidence).then(a.cmp(b)));
    rows.truncate(count);
    rows
}

/// The pictures of the rows `chosen` of `split`, no row twice, as `data:` addresses; `rows` is what
/// the index says of all. No other picture is read.
pub fn load(
    images: &ImageSet,
    split: Split,
    rows: &[Row],
    chosen: &[usize],
) -> Result<BTreeMap<usize, String>> {
    stage::check_interrupt()?;
    let mut chosen = chosen.to_vec();
    chosen.sort_unstable();
    let keys = chosen.iter().map(|&row| (row, rows[row].key)).collect();
    let found: Vec<_> = images.pick(split, keys).collect::<Result<_>>()?;
    let addresses: Vec<String> =
        found.par_iter().map(|(_, image)| address(image)).collect::<Result<_>>()?;
    Ok(chosen.into_iter().zip(addresses).collect())
}

/// The picture, made small and without anything but its pixels, as a `data:` address.
fn address(image: &Image) -> Result<String> {
    let odd = || damaged(image, &"odd size");
    let mut small = thumbnail(decode(image)?, SIDE).ok_or_else(odd)?;
    let png = small.to_png().map_err(|e| damaged(image, &e))?;
    if png.len() <= MOST_BYTES {
        return Ok(format!("data:image/png;base64,{}", base64(&png)));
    }
    loop {
        let (width, height) = (small.width(), small.height());
        let address = jpeg(small.rgb(), width, height, QUALITY)?;
        if address.len() <= MOST_BYTES / 3 * 4 || width.max(height) == 1 {
            return Ok(address);
        }
        small = thumbnail(small, width.max(height) / 2).ok_or_else(odd)?;
    }
}

/// Pixels as a JPEG file in a `data:` address.
pub fn jpeg(rgb: &[u8], width: u32, height: u32, quality: u8) -> Result<String> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, quality)
        .encode(rgb, width, height, ExtendedColorType::Rgb8)
        .map_err(|e| Error::internal(format!("report.html: a picture as JPEG: {e}")))?;
    Ok(format!("data:image/jpeg;base64,{}", base64(&jpeg)))
}

/// At most `most` pixels a side, never larger than it was.
fn thumbnail(picture: Picture, most: u32) -> Option<Picture> {
    let (width, height) = (picture.width(), picture.height());
    let longest = width.max(height);
    if longest <= most {
        return Some(picture);
    }
    let scale = |side: u32| (side * most / longest).max(1);
    let full = RgbImage::from_raw(width, height, picture.into_rgb())?;
    let small = resize(&full, scale(width), scale(height), FilterType::Triangle);
    Picture::new(small.width(), small.height(), small.into_raw())
}

/// Base64 with padding (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let sextet = (word >> (18 - 6 * digit) & 63) as usize;
            let c = if digit > chunk.len() { '=' } else { char::from(DIGITS[sextet]) };
            // Writing to a String cannot fail.
            out.write_char(c).ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use artifact::Hash;
    use artifact::images::Roi;

    use super::*;

    #[test]
    fn base64_of_the_standard_s_examples() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, wanted) in pairs {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn thumbnails_shrink_and_never_grow() {
        let size = |w: u32, h: u32| {
            let picture = Picture::new(w, h, vec![7; (w * h * 3) as usize]).unwrap();
            let small = thumbnail(picture, SIDE).unwrap();
            (small.width(), small.height())
        };
        assert_eq!(size(30, 20), (30, 20));
        assert_eq!(size(192, 96), (96, 48));
        assert_eq!(size(2000, 3), (96, 1));
    }

    #[test]
    fn no_picture_takes_much_room() {
        for (width, height) in [(20, 20), (96, 96), (900, 700), (3000, 1)] {
            let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 21) as u8;
            let rgb = (0..width * height * 3).map(noise).collect();
            let picture = Picture::new(width, height, rgb).unwrap();
            let image = Image {
                bytes: picture.to_png().unwrap(),
                path: "noise.png".into(),
                label: 0,
                roi: Roi { x1: 0, y1: 0, x2: 9, y2: 9 },
                width: width as i32,
                height: height as i32,
                track: None,
                frame: None,
                pixels: Hash(picture.hash()),
            };
            let address = address(&image).unwrap();
            assert!(address.len() <= 6050 && address.len() > 100, "{}", address.len());
        }
    }

    #[test]
    fn worst_mistakes_come_first() {
        let one = |predicted, confidence| Scored {
            label: 0,
            predicted,
            rank: predicted,
            confidence,
            loss: 0.0,
        };
        let scored = [one(1, 0.5), one(0, 0.99), one(1, 0.9), one(2, 0.9)];
        assert_eq!(worst(&scored, 2), [2, 3]);
        assert_eq!(worst(&scored, 9), [2, 3, 0]);
    }
}
