//! The Parquet files: row groups are encoded on all threads and written in order.

use artifact::embeddings::write_index;
use artifact::images::{GROUP_ROWS, Image, Split, Writer};
use artifact::{Hash, Output, Staged};
use picture::{Format, Picture};
use rayon::prelude::*;
use stage::{Error, Progress, Result, check_interrupt};

use crate::check::Checked;
use crate::tree::Tree;

/// The most rows of a file.
const FILE_ROWS: usize = 10_000;

/// Writes the files of one part; `pictures` are in their final order.
pub fn write(
    output: &Output,
    tree: &Tree,
    split: Split,
    classes: &[String],
    pictures: &[Checked],
    progress: &Progress,
) -> Result<Vec<Staged>> {
    let files: Vec<_> = pictures.chunks(FILE_ROWS).collect();
    let count = files.len();
    let mut index = Vec::new();
    let write_file = |(number, rows): (usize, &[Checked])| {
        let mut writer = Writer::new(output.create(&split.file(number, count))?, classes)?;
        for group in rows.chunks(GROUP_ROWS) {
            let images: Vec<Image> =
                group.par_iter().map(|picture| image(tree, picture)).collect::<Result<_>>()?;
            writer.write(&images)?;
            progress.inc(group.len() as u64);
        }
        let (file, indexed) = writer.finish_indexed()?;
        index.extend(indexed);
        file.finish(Some(rows.len() as u64))
    };
    let mut staged = files.into_iter().enumerate().map(write_file).collect::<Result<Vec<_>>>()?;
    let file = write_index(output.create(&split.index())?, &index)?;
    staged.push(file.finish(Some(index.len() as u64))?);
    Ok(staged)
}

/// The row of a picture. PNG and JPEG are kept as they are; PPM, which viewers and browsers
/// don't show, becomes PNG.
fn image(tree: &Tree, picture: &Checked) -> Result<Image> {
    check_interrupt()?;
    let item = &picture.item;
    let changed = || Error::busy(format!("{} changed while it was read", tree.shown(&item.key)));
    let mut bytes = tree.read(&item.key)?;
    if Hash::of(&bytes) != picture.bytes {
        return Err(changed());
    }
    if matches!(Format::of(&bytes), Ok(Format::Ppm)) {
        let png = Picture::decode(&bytes).and_then(|decoded| decoded.to_png());
        bytes = png.map_err(|e| Error::internal(format!("{}: {e}", item.path)))?;
    }
    Ok(Image {
        bytes,
        path: item.path.clone(),
        label: item.label,
        roi: picture.roi,
        width: picture.width,
        height: picture.height,
        track: item.track.clone(),
        frame: item.frame,
        pixels: picture.pixels,
    })
}

/// Puts pictures in the order in which they are stored.
pub fn sort(pictures: &mut [Checked]) {
    pictures.sort_by(|a, b| {
        let key = |c: &Checked| (c.item.label, c.item.frame);
        let ((label_a, frame_a), (label_b, frame_b)) = (key(a), key(b));
        label_a
            .cmp(&label_b)
            .then_with(|| a.item.track.cmp(&b.item.track))
            .then(frame_a.cmp(&frame_b))
            .then_with(|| a.item.path.cmp(&b.item.path))
    });
}
