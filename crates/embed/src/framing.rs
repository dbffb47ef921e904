//! From a picture to the pixels that a backbone sees: crop and resize.

use artifact::images::{Image, Roi};
use picture::Picture;
use stage::{Error, Result};

use crate::Crop;
use crate::resize::{Seen, resize};

/// How a picture becomes a backbone's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Framing {
    /// Which part of the picture.
    pub crop: Crop,
    /// Share of the ROI's side added on each side of it.
    pub margin: f64,
    /// Height and width of the result, in pixels.
    pub size: usize,
}

impl Framing {
    /// Decodes, crops and resizes `image` into `out`: `[size, size, 3]`, RGB.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data), naming the image's path.
    pub fn frame(&self, image: &Image, out: &mut [u8]) -> Result<()> {
        Picture::decode(&image.bytes)
            .map_err(|e| Error::data(e.to_string()))
            .and_then(|picture| self.frame_picture(&picture, Some(&image.roi), out))
            .map_err(|e| e.context(&image.path))
    }

    /// Crops and resizes a decoded picture into `out`, which has `size * size * 3` bytes;
    /// without a `roi`, all of it.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) when the ROI is outside the picture.
    pub fn frame_picture(
        &self,
        picture: &Picture,
        roi: Option<&Roi>,
        out: &mut [u8],
    ) -> Result<()> {
        let corners = self.corners(picture, roi)?;
        let [x1, y1, x2, y2] = corners.map(|corner| corner as usize);
        let stride = picture.width() as usize * 3;
        let pixels = &picture.rgb()[y1 * stride + x1 * 3..];
        let seen = Seen { pixels, stride, width: x2 - x1, height: y2 - y1 };
        resize(seen, self.size, out);
        Ok(())
    }

    /// What is seen of a picture, `[x1, y1, x2, y2)`.
    pub(crate) fn corners(&self, picture: &Picture, roi: Option<&Roi>) -> Result<[u32; 4]> {
        let (width, height) = (picture.width(), picture.height());
        match roi {
            Some(roi) => box_of(self.crop, self.margin, roi, width, height),
            None => Ok([0, 0, width, height]),
        }
    }
}

/// The part of a `width` × `height` picture that is seen: `[x1, y1, x2, y2)`, the ROI with
/// its margin (rounded to pixels), clipped to the picture.
///
/// # Errors
/// [`Data`](stage::Fault::Data) when nothing of it is inside the picture.
pub fn box_of(crop: Crop, margin: f64, roi: &Roi, width: u32, height: u32) -> Result<[u32; 4]> {
    if crop == Crop::Full {
        return Ok([0, 0, width, height]);
    }
    let side = |first: i32, last: i32, limit: u32| {
        let (first, end) = (i64::from(first), i64::from(last) + 1);
        let added = (margin * (end - first) as f64).round() as i64;
        let inside = |at: i64| at.clamp(0, i64::from(limit)) as u32;
        (inside(first - added), inside(end + added))
    };
    let (x1, x2) = side(roi.x1, roi.x2, width);
    let (y1, y2) = side(roi.y1, roi.y2, height);
    if x1 >= x2 || y1 >= y2 {
        return Err(Error::data(format!(
            "ROI {} {} {} {} is outside the {width} x {height} picture",
            roi.x1, roi.y1, roi.x2, roi.y2
        )));
    }
    Ok([x1, y1, x2, y2])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 x 2 pixels with values that tell column, row and channel.
    fn small() -> Picture {
        let value = |i: u32| (i % 3 + i / 3 % 3 * 10 + i / 9 * 100) as u8;
        Picture::new(3, 2, (0..18).map(value).collect()).unwrap()
    }

    #[test]
    fn a_crop_keeps_rows_columns_and_channels() {
        // Resized to its own size, a crop is itself.
        let framing = Framing { crop: Crop::Roi, margin: 0.0, size: 2 };
        let roi = Roi { x1: 1, y1: 0, x2: 2, y2: 1 };
        let mut out = [0; 12];
        framing.frame_picture(&small(), Some(&roi), &mut out).unwrap();
        assert_eq!(out, [10, 11, 12, 20, 21, 22, 110, 111, 112, 120, 121, 122]);
    }

    #[test]
    fn the_margin_grows_the_roi_and_stops_at_the_border() {
        let roi = Roi { x1: 10, y1: 5, x2: 29, y2: 14 }; // 20 x 10
        let of = |crop, margin| box_of(crop, margin, &roi, 40, 30).unwrap();
        assert_eq!(of(Crop::Roi, 0.0), [10, 5, 30, 15]);
        assert_eq!(of(Crop::Roi, 0.1), [8, 4, 32, 16]);
        assert_eq!(of(Crop::Roi, 0.6), [0, 0, 40, 21]);
        assert_eq!(of(Crop::Full, 0.6), [0, 0, 40, 30]);
        let outside = Roi { x1: 50, y1: 5, x2: 60, y2: 14 };
        assert!(box_of(Crop::Roi, 0.0, &outside, 40, 30).is_err());
    }

    #[test]
    fn one_pixel_fills_the_target() {
        let framing = Framing { crop: Crop::Roi, margin: 0.0, size: 2 };
        let mut out = [0; 12];
        let roi = Roi { x1: 2, y1: 1, x2: 2, y2: 1 };
        framing.frame_picture(&small(), Some(&roi), &mut out).unwrap();
        assert_eq!(out, [120, 121, 122].repeat(4).as_slice());
    }

    #[test]
    fn a_damaged_image_is_named() {
        let image = Image {
            bytes: b"\x89PNG\r\n\x1a\nrest".to_vec(),
            path: "Train/1/x.png".into(),
            label: 1,
            roi: Roi { x1: 0, y1: 0, x2: 0, y2: 0 },
            width: 1,
            height: 1,
            track: None,
            frame: None,
            pixels: artifact::Hash::of(b""),
        };
        let framing = Framing { crop: Crop::Roi, margin: 0.0, size: 2 };
        let error = framing.frame(&image, &mut [0; 12]).unwrap_err();
        assert_eq!(error.fault(), stage::Fault::Data);
        assert!(error.to_string().starts_with("Train/1/x.png: "), "{error}");
    }
}
