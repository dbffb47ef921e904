//! Pictures for a device that resizes them itself: each in a slot of one size.

use artifact::embeddings::Key;
use artifact::images::{Image, Roi};
use picture::Picture;
use stage::{Error, Result};

use crate::augment::Change;
use crate::{Augmentation, Framing, Resize};

/// The side of a slot, or the backbone's size where that is larger. Nearly all traffic signs
/// fit; a larger slot costs memory traffic for each picture.
const SIDE: usize = 128;

/// Puts pictures into a backbone's input, `bytes` long each.
///
/// With [`Resize::Cpu`] that is the picture as the backbone sees it. With [`Resize::Device`] it
/// is a slot as [`onnx_graph::resize::in_front`] wants it.
#[derive(Clone, Copy, Debug)]
pub struct Framer {
    framing: Framing,
    /// Of a slot.
    side: Option<usize>,
    augmentation: Option<Augmentation>,
}

impl Framer {
    /// A framer for pictures that `resize` resizes.
    #[must_use]
    pub fn new(framing: Framing, resize: Resize) -> Self {
        let side = match resize {
            Resize::Cpu => None,
            Resize::Device => Some(framing.size.max(SIDE)),
        };
        Self { framing, side, augmentation: None }
    }

    /// The same framer for an augmented view, if it is one.
    #[must_use]
    pub fn augmented(self, augmentation: Option<Augmentation>) -> Self {
        Self { augmentation, ..self }
    }

    /// The backbone's input for a batch of `count` pictures.
    #[must_use]
    pub fn shape(&self, count: usize) -> [usize; 4] {
        match self.side {
            None => [count, self.framing.size, self.framing.size, 3],
            Some(side) => [count, side + 1, side, 3],
        }
    }

    /// The side of a slot, where pictures are put into slots.
    pub(crate) fn side(&self) -> Option<usize> {
        self.side
    }

    /// Decodes `image`, whose key is `key`, and puts it into `out`, which holds one picture of
    /// [`shape`](Self::shape), whatever it held before.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data), naming the image's path.
    pub fn frame(&self, image: &Image, key: &Key, out: &mut [u8]) -> Result<()> {
        Picture::decode(&image.bytes)
            .map_err(|e| Error::data(e.to_string()))
            .and_then(|picture| match self.augmentation {
                None => self.frame_picture(&picture, Some(&image.roi), out),
                Some(augmentation) => self.change(&picture, &image.roi, augmentation.of(key), out),
            })
            .map_err(|e| e.context(&image.path))
    }

    /// Puts `picture`, changed, into `out`.
    fn change(&self, picture: &Picture, roi: &Roi, change: Change, out: &mut [u8]) -> Result<()> {
        let size = self.framing.size;
        let corners = self.framing.corners(picture, Some(roi))?;
        match self.side {
            None => change.frame(picture, corners, size, out),
            Some(side) => {
                let mut small = vec![0; size * size * 3];
                change.frame(picture, corners, size, &mut small);
                fill(out, side, size, size, small.chunks_exact(size * 3));
            }
        }
        Ok(())
    }

    /// Puts a decoded picture, or its `roi`, into `out`, as it is: what isn't stored has no key
    /// to be changed by.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) when the ROI is outside the picture.
    pub fn frame_picture(
        &self,
        picture: &Picture,
        roi: Option<&Roi>,
        out: &mut [u8],
    ) -> Result<()> {
        let Some(side) = self.side else {
            return self.framing.frame_picture(picture, roi, out);
        };
        let (size, row) = (self.framing.size, picture.width() as usize * 3);
        let [x1, y1, x2, y2] = self.framing.corners(picture, roi)?.map(|at| at as usize);
        let (width, height) = (x2 - x1, y2 - y1);
        // The device takes the rows first. Pillow takes the columns first where a picture is
        // shrunk that is clearly taller than wide, and as each pass rounds, that shows.
        let columns_first = height > size && height + size > 2 * width;
        if width.max(height) > side || columns_first {
            // Resizing it to its own size changes nothing.
            let mut small = vec![0; size * size * 3];
            self.framing.frame_picture(picture, roi, &mut small)?;
            fill(out, side, size, size, small.chunks_exact(size * 3));
        } else {
            let rows = picture.rgb().chunks_exact(row).take(y2).skip(y1);
            fill(out, side, width, height, rows.map(|row| &row[x1 * 3..x2 * 3]));
        }
        Ok(())
    }
}

/// Writes the sizes and the rows of a picture into a slot.
fn fill<'a>(
    slot: &mut [u8],
    side: usize,
    width: usize,
    height: usize,
    rows: impl Iterator<Item = &'a [u8]>,
) {
    slot.fill(0);
    let bytes = |length: usize| [length as u8, (length >> 8) as u8, 0];
    let (header, places) = slot.split_at_mut(side * 3);
    header[..6].copy_from_slice(&[bytes(height), bytes(width)].concat());
    for (place, row) in places.chunks_exact_mut(side * 3).zip(rows) {
        place[..row.len()].copy_from_slice(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Crop;

    #[test]
    fn a_slot_tells_the_size_and_holds_the_crop() {
        let framing = Framing { crop: Crop::Roi, margin: 0.0, size: 2 };
        let framer = Framer::new(framing, Resize::Device);
        assert_eq!(framer.shape(5), [5, 129, 128, 3]);
        let value = |i: usize| (i % 251) as u8;
        let picture = Picture::new(300, 4, (0..300 * 4 * 3).map(value).collect()).unwrap();
        let roi = Roi { x1: 7, y1: 1, x2: 9, y2: 2 }; // 3 x 2
        let mut out = vec![0; 129 * 128 * 3];
        framer.frame_picture(&picture, Some(&roi), &mut out).unwrap();
        assert_eq!(out[..6], [2, 0, 0, 3, 0, 0]);
        let pixel = |x: usize, y: usize| (y * 300 + x) * 3;
        for y in 0..2 {
            let row = &out[(y + 1) * 128 * 3..][..128 * 3];
            assert_eq!(row[..9], picture.rgb()[pixel(7, y + 1)..pixel(10, y + 1)]);
            assert!(row[9..].iter().all(|&byte| byte == 0));
        }
        // Too wide for a slot: it comes as the backbone sees it.
        let (mut out, mut wanted) = (vec![0; 129 * 128 * 3], vec![0; 12]);
        framer.frame_picture(&picture, None, &mut out).unwrap();
        framing.frame_picture(&picture, None, &mut wanted).unwrap();
        assert_eq!(out[..6], [2, 0, 0, 2, 0, 0]);
        assert_eq!(out[128 * 3..][..6], wanted[..6]);
        assert_eq!(out[2 * 128 * 3..][..6], wanted[6..]);
    }
}
