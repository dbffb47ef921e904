//! The Parquet files: row groups are encoded on all threads and written in order.

use artifact::embeddings::write_index;
use artifact::images::{GROUP_ROWS, Image, Split, Writer};
use artifact::{Hash, Output, Staged};
use picture::{Format, Picture};
use rayon::prelude::*;
use stage::{Error, Progress, Result, check_interrupt};

use crate::args::Store;
use crate::check::Checked;
use crate::tree::Tree;

/// The most rows of a file.
const FILE_ROWS: usize = 10_000;

/// Where pictures come from and what becomes of them.
pub struct Source<'a> {
    /// The files.
    pub tree: &'a Tree,
    /// What is stored of each.
    pub store: Store,
}

/// Writes the files of one part; `pictures` are in their final order.
pub fn write(
    output: &Output,
    source: &Source<'_>,
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
                group.par_iter().map(|picture| image(source, picture)).collect::<Result<_>>()?;
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

/// The row of a picture.
fn image(source: &Source<'_>, picture: &Checked) -> Result<Image> {
    check_interrupt()?;
    let (item, tree) = (&picture.item, source.tree);
    let changed = || Error::busy(format!("{} changed while it was read", tree.shown(&item.key)));
    let bytes = tree.read(&item.key)?;
    if Hash::of(&bytes) != picture.bytes {
        return Err(changed());
    }
    let bytes =
        stored(bytes, source.store).map_err(|e| Error::internal(format!("{}: {e}", item.path)))?;
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

/// What is stored of the file `bytes`. PPM, which viewers and browsers don't show, becomes PNG
/// unless it is asked for.
fn stored(bytes: Vec<u8>, store: Store) -> picture::Result<Vec<u8>> {
    match (Format::of(&bytes)?, store) {
        (Format::Ppm, Store::File) => Picture::decode(&bytes)?.to_png(),
        (_, Store::File) => Ok(bytes),
        (_, Store::Pixels) => Ok(Picture::decode(&bytes)?.to_ppm()),
    }
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
