//! Every picture is decoded and compared with what the source says about it.

use artifact::Hash;
use artifact::images::Roi;
use picture::Picture;
use rayon::prelude::*;
use stage::{Error, Fault, Progress, Result, check_interrupt};

use crate::bad::Bad;
use crate::layout::Item;
use crate::tree::Tree;

/// A picture that can be used.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the source says.
    pub item: Item,
    /// The sign's box, inside the picture.
    pub roi: Roi,
    /// Pixels across.
    pub width: i32,
    /// Pixels down.
    pub height: i32,
    /// Of the decoded pixels.
    pub pixels: Hash,
    /// Of the file's bytes.
    pub bytes: Hash,
}

/// Checks `items`, of `most_pixels` at most, on all threads; a picture is in memory only while it is looked at.
///
/// # Errors
/// Only where reading itself fails; wrong pictures are returned apart.
pub fn check(
    tree: &Tree,
    items: &[Item],
    most_pixels: u64,
    progress: &Progress,
) -> Result<(Vec<Checked>, Vec<Bad>)> {
    let looked_at: Vec<_> = items
        .par_iter()
        .map(|item| {
            check_interrupt()?;
            let looked_at = look_at(tree, item, most_pixels);
            progress.inc(1);
            looked_at
        })
        .collect::<Result<_>>()?;
    let (mut good, mut bad) = (Vec::with_capacity(items.len()), Vec::new());
    for result in looked_at {
        match result {
            Ok(checked) => good.push(checked),
            Err(problem) => bad.push(problem),
        }
    }
    Ok((good, bad))
}

fn look_at(
    tree: &Tree,
    item: &Item,
    most_pixels: u64,
) -> Result<std::result::Result<Checked, Bad>> {
    let bytes = match tree.read(&item.key) {
        Ok(bytes) => bytes,
        Err(e) if e.fault() == Fault::Data => return Ok(Err(Bad::new(&item.path, e))),
        // It was there when the source was listed.
        Err(e) if e.fault() == Fault::Missing => return Err(Error::busy(e.to_string())),
        Err(e) => return Err(e),
    };
    Ok(compare(item, &bytes, most_pixels).map_err(|reason| Bad::new(&item.path, reason)))
}

fn compare(item: &Item, bytes: &[u8], most_pixels: u64) -> std::result::Result<Checked, String> {
    let picture = Picture::decode(bytes).map_err(|e| e.to_string())?;
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    if u64::from(picture.width()) * u64::from(picture.height()) > most_pixels {
        return Err(format!("{width}x{height} pixels are too many; see --max-pixels"));
    }
    if let Some((w, h)) = item.size
        && (w, h) != (width.into(), height.into())
    {
        return Err(format!("{width}x{height} pixels, but its table says {w}x{h}"));
    }
    let whole = Roi { x1: 0, y1: 0, x2: width - 1, y2: height - 1 };
    let roi = item.roi.unwrap_or(whole);
    let Roi { x1, y1, x2, y2 } = roi;
    let inside = x1 >= 0 && y1 >= 0 && x2 < width && y2 < height;
    if !inside || x1 > x2 || y1 > y2 {
        return Err(format!(
            "the ROI ({x1}, {y1})-({x2}, {y2}) is not inside {width}x{height} pixels"
        ));
    }
    let (pixels, bytes) = (Hash(picture.hash()), Hash::of(bytes));
    Ok(Checked { item: item.clone(), roi, width, height, pixels, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(roi: [i32; 4], size: (i64, i64)) -> Item {
        let [x1, y1, x2, y2] = roi;
        Item {
            key: "a".into(),
            path: "a".into(),
            label: 0,
            roi: Some(Roi { x1, y1, x2, y2 }),
            size: Some(size),
            track: None,
            frame: None,
        }
    }

    #[test]
    fn size_and_roi_must_fit() {
        let ppm = Picture::new(4, 3, vec![9; 36]).unwrap().to_ppm();
        let compare = |item: &Item, bytes: &[u8]| compare(item, bytes, 12);
        assert!(compare(&item([0, 0, 3, 2], (4, 3)), &ppm).is_ok());
        assert!(compare(&item([2, 2, 2, 2], (4, 3)), &ppm).is_ok());
        for roi in
            [[0, 0, 4, 2], [0, 0, 3, 3], [-1, 0, 3, 2], [0, -1, 3, 2], [3, 0, 2, 2], [0, 2, 3, 1]]
        {
            let reason = compare(&item(roi, (4, 3)), &ppm).unwrap_err();
            assert!(reason.contains("ROI"), "{reason}");
        }
        assert!(compare(&item([0, 0, 3, 2], (3, 4)), &ppm).unwrap_err().contains("says 3x4"));
        assert!(compare(&item([0, 0, 3, 2], (4, 3)), &ppm[1..]).is_err());
    }
}
