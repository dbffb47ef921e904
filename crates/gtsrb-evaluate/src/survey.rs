//! What the pictures themselves are like: size, brightness and sharpness of every sign.

use std::fmt::Display;

use artifact::Hash;
use artifact::images::{Image, ImageSet, Roi, Split};
use picture::Picture;
use rayon::prelude::*;
use stage::{Error, Result};

/// One picture, looked at within its sign's box.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Path of the picture.
    pub path: String,
    /// Its class.
    pub label: usize,
    /// The longer side of the box, in pixels.
    pub side: u32,
    /// Mean luma (BT.601), 0 to 255.
    pub brightness: f64,
    /// Variance of the Laplacian of luma, low where nothing has a sharp edge (Pech-Pacheco et
    /// al. 2000).
    pub sharpness: f64,
    /// Hash of the whole picture's pixels.
    pub pixels: Hash,
}

/// Looks at every picture of `split`, in row order.
pub fn survey(images: &ImageSet, split: Split) -> Result<Vec<Look>> {
    let mut looks = Vec::new();
    for batch in images.batches(split) {
        stage::check_interrupt()?;
        let batch: Result<Vec<Look>> = batch?.par_iter().map(look).collect();
        looks.extend(batch?);
    }
    Ok(looks)
}

fn look(image: &Image) -> Result<Look> {
    let picture = decode(image)?;
    let luma = Luma::of(&picture, image);
    Ok(Look {
        path: image.path.clone(),
        label: usize::try_from(image.label).unwrap_or(usize::MAX),
        side: luma.width.max(luma.height) as u32,
        brightness: luma.mean(),
        sharpness: luma.sharpness(),
        pixels: image.pixels,
    })
}

/// A stored picture.
pub fn decode(image: &Image) -> Result<Picture> {
    Picture::decode(&image.bytes).map_err(|e| damaged(image, &e))
}

/// Why a stored picture can't be used.
pub fn damaged(image: &Image, reason: &dyn Display) -> Error {
    Error::data(format!("images: {}: {reason}: run gtsrb-ingest again", image.path))
}

/// The luma of a sign's box, row by row.
struct Luma {
    width: usize,
    height: usize,
    values: Vec<f64>,
}

/// The sign's box as `[left, top, right, bottom]`, the last two exclusive: clipped to a picture of
/// `width` x `height`, all of it where nothing is left.
pub fn sign(roi: Roi, width: u32, height: u32) -> [i32; 4] {
    let (right, bottom) = (width as i32, height as i32);
    let inside = |low: i32, high: i32, end: i32| (low.clamp(0, end), (high + 1).clamp(0, end));
    let ((x1, x2), (y1, y2)) = (inside(roi.x1, roi.x2, right), inside(roi.y1, roi.y2, bottom));
    let empty = x1 >= x2 || y1 >= y2;
    if empty { [0, 0, right, bottom] } else { [x1, y1, x2, y2] }
}

impl Luma {
    fn of(picture: &Picture, image: &Image) -> Self {
        let [x1, y1, x2, y2] = sign(image.roi, picture.width(), picture.height());
        let (width, height) = ((x2 - x1) as usize, (y2 - y1) as usize);
        let mut values = Vec::with_capacity(width * height);
        let lines = picture.rgb().chunks_exact(3 * picture.width() as usize);
        for line in lines.skip(y1 as usize).take(height) {
            let (pixels, _) = line[3 * x1 as usize..3 * x2 as usize].as_chunks();
            values.extend(pixels.iter().copied().map(luma));
        }
        Self { width, height, values }
    }

    fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// Variance of the sum of the four neighbours less four times the pixel, inside; 0 where
    /// nothing is inside.
    fn sharpness(&self) -> f64 {
        if self.width < 3 || self.height < 3 {
            return 0.0;
        }
        let at = |x: usize, y: usize| self.values[y * self.width + x];
        let (mut sum, mut squares) = (0.0, 0.0);
        for y in 1..self.height - 1 {
            for x in 1..self.width - 1 {
                let around = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1);
                let laplacian = around - 4.0 * at(x, y);
                sum += laplacian;
                squares += laplacian * laplacian;
            }
        }
        let n = ((self.width - 2) * (self.height - 2)) as f64;
        (squares / n - (sum / n).powi(2)).max(0.0)
    }
}

fn luma(rgb: [u8; 3]) -> f64 {
    let [r, g, b] = rgb.map(f64::from);
    0.299 * r + 0.587 * g + 0.114 * b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: u32, height: u32, roi: [i32; 4], pixel: impl Fn(u32, u32) -> u8) -> Image {
        let place = |i: u32| (i % width, i / width);
        let values = (0..width * height).flat_map(|i| {
            let (x, y) = place(i);
            [pixel(x, y); 3]
        });
        let picture = Picture::new(width, height, values.collect()).unwrap();
        let [x1, y1, x2, y2] = roi;
        Image {
            bytes: picture.to_png().unwrap(),
            path: "a.png".into(),
            label: 0,
            roi: Roi { x1, y1, x2, y2 },
            width: width as i32,
            height: height as i32,
            track: None,
            frame: None,
            pixels: Hash(picture.hash()),
        }
    }

    #[test]
    fn only_the_box_counts() {
        let look = look(&image(8, 5, [2, 1, 6, 3], |x, y| {
            if (2..=6).contains(&x) && (1..=3).contains(&y) { 100 } else { 0 }
        }))
        .unwrap();
        assert_eq!(look.side, 5);
        assert!((look.brightness - 100.0).abs() < 1e-9 && look.sharpness < 1e-9);
    }

    #[test]
    fn sharpness_by_hand_and_boxes_outside() {
        // One bright pixel in the middle of three by three: one value, without variance.
        let dot = |x, y| u8::from(x == 1 && y == 1) * 90;
        let one = look(&image(3, 3, [0, 0, 2, 2], dot)).unwrap();
        assert!((one.brightness - 10.0).abs() < 1e-9 && one.sharpness < 1e-6);
        // Two values, -360 and 90: their variance is 225².
        let two = look(&image(4, 3, [0, 0, 3, 2], dot)).unwrap();
        assert!((two.sharpness - 225.0_f64.powi(2)).abs() < 1e-6);
        let outside = look(&image(4, 3, [9, 9, 12, 12], dot)).unwrap();
        assert_eq!((outside.side, outside.sharpness.to_bits()), (4, two.sharpness.to_bits()));
        assert_eq!(look(&image(2, 9, [0, 0, 1, 8], dot)).unwrap().sharpness.to_bits(), 0);
    }
}
