//! Stored pictures that written models are tried on.

use std::collections::HashMap;

use artifact::embeddings::{Key, key};
use artifact::golden::Pixels;
use artifact::images::{Image, Split as Part};
use embed::{Framing, box_of};
use picture::Picture;
use stage::{Error, Result, check_interrupt};

use crate::data::Inputs;
use crate::spread::spread;
use crate::train::Probe;

/// Pictures of the golden file.
const GOLDEN: usize = 4;

/// The longest side of a picture in the golden file, in pixels; of larger ones the file has what
/// the backbone sees, so that it stays small.
const LONGEST: usize = 256;

/// The probe's pictures.
pub struct Stored {
    /// As the backbone sees them, `[rows, size, size, 3]`.
    pub frames: Vec<u8>,
    /// Some of them as a user of the classifier has them, each with its place in the probe.
    pub golden: Vec<(usize, Pixels)>,
}

impl Stored {
    /// Reads and frames them.
    ///
    /// # Errors
    /// [`Data`](stage::Fault::Data) if they aren't those of the embeddings.
    pub fn read(inputs: &Inputs, probe: &Probe) -> Result<Self> {
        let framing = inputs.view.framing();
        let bytes = framing.size * framing.size * 3;
        let mut stored = Self { frames: vec![0; probe.rows.len() * bytes], golden: Vec::new() };
        let chosen: Vec<usize> = spread(GOLDEN, probe.rows.len()).collect();
        let mut places: HashMap<Key, Vec<usize>> = HashMap::new();
        for (place, row) in probe.rows.iter().enumerate() {
            places.entry(row.key).or_default().push(place);
        }
        for images in inputs.images.batches(Part::Train) {
            check_interrupt()?;
            for image in images? {
                for place in places.remove(&key(&image)).unwrap_or_default() {
                    let frame = &mut stored.frames[place * bytes..(place + 1) * bytes];
                    framing.frame(&image, frame)?;
                    if chosen.contains(&place) {
                        stored.golden.push((place, seen(&image, &framing, frame)?));
                    }
                }
            }
            if places.is_empty() {
                stored.golden.sort_by_key(|(place, _)| *place);
                return Ok(stored);
            }
        }
        Err(Error::data("the images of some embeddings are gone: run gtsrb-extract again"))
    }
}

/// What is seen of `image`, in its own resolution unless it is too large; `frame` is what the
/// backbone sees of it.
fn seen(image: &Image, framing: &Framing, frame: &[u8]) -> Result<Pixels> {
    let named = |e: Error| e.context(&image.path);
    let picture = Picture::decode(&image.bytes).map_err(|e| named(Error::data(e.to_string())))?;
    let (width, height) = (picture.width(), picture.height());
    let corners = box_of(framing.crop, framing.margin, &image.roi, width, height);
    let [x1, y1, x2, y2] = corners.map_err(named)?.map(|corner| corner as usize);
    let size = framing.size;
    if (x2 - x1).max(y2 - y1) > LONGEST {
        return Ok(Pixels { height: size, width: size, rgb: frame.to_vec() });
    }
    let rows = picture.rgb().chunks_exact(width as usize * 3).take(y2).skip(y1);
    let rgb = rows.flat_map(|row| &row[x1 * 3..x2 * 3]).copied().collect();
    Ok(Pixels { height: y2 - y1, width: x2 - x1, rgb })
}

#[cfg(test)]
mod tests {
    use artifact::images::Roi;
    use embed::Crop;

    use super::*;

    /// A PNG whose pixels tell row and column.
    fn image(width: u32, height: u32, roi: Roi) -> Image {
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 7]));
        let picture = Picture::new(width, height, rgb.collect()).unwrap();
        Image {
            bytes: picture.to_png().unwrap(),
            path: "a.png".to_owned(),
            label: 0,
            roi,
            width: width as i32,
            height: height as i32,
            track: None,
            frame: None,
            pixels: artifact::Hash(picture.hash()),
        }
    }

    #[test]
    fn small_pictures_keep_their_resolution_and_large_ones_become_frames() {
        let framing = Framing { crop: Crop::Roi, margin: 0.0, size: 1 };
        let small = image(9, 7, Roi { x1: 2, y1: 3, x2: 3, y2: 5 });
        let pixels = seen(&small, &framing, &[0; 3]).unwrap();
        assert_eq!((pixels.width, pixels.height), (2, 3));
        assert_eq!(pixels.rgb, [2, 3, 7, 3, 3, 7, 2, 4, 7, 3, 4, 7, 2, 5, 7, 3, 5, 7]);
        let large = image(257, 2, Roi { x1: 0, y1: 0, x2: 256, y2: 1 });
        let pixels = seen(&large, &framing, &[1, 2, 3]).unwrap();
        assert_eq!(pixels, Pixels { height: 1, width: 1, rgb: vec![1, 2, 3] });
    }
}
