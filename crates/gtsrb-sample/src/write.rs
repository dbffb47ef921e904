//! Writes pictures and tables in the official layout.

use std::fmt::Write as _;

use artifact::{Output, Staged};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use signs::layout::{CLASS_COLUMN, COLUMNS, DELIMITER, LINE_END, TEST_CSV, TEST_TRUTH, train_csv};
use stage::{Progress, Result};

use crate::args::Settings;
use crate::frame::{self, Frame};
use crate::plan::Picture;
use crate::scene::Scene;
use crate::texture::Texture;

/// A line of a table.
pub struct Row {
    name: String,
    class: u8,
    width: usize,
    height: usize,
    roi: [usize; 4],
}

/// Draws a picture.
pub fn draw(textures: &[Texture], picture: &Picture, settings: &Settings) -> Frame {
    let scene = Scene::draw(&mut picture.scene(settings.seed));
    let texture = &textures[usize::from(picture.class)];
    frame::draw(texture, &scene, picture.way(), &mut picture.moment(settings.seed))
}

/// Draws and writes pictures on all threads of the pool; the rows come in their order.
pub fn pictures(
    output: &Output,
    textures: &[Texture],
    pictures: &[Picture],
    settings: &Settings,
    progress: &Progress,
) -> Result<Vec<(Row, Staged)>> {
    pictures
        .par_iter()
        .map(|picture| {
            stage::check_interrupt()?;
            let frame = draw(textures, picture, settings);
            let staged = output.write(&picture.name, &ppm(&frame))?;
            progress.inc(1);
            let name = picture.name.rsplit('/').next().unwrap_or_default().to_owned();
            let Frame { width, height, roi, .. } = frame;
            Ok((Row { name, class: picture.class, width, height, roi }, staged))
        })
        .collect()
}

/// The training tables, one a class, of rows in any order.
pub fn train_tables(output: &Output, rows: &[Row]) -> Result<Vec<Staged>> {
    (0..signs::CLASSES as u8)
        .map(|class| {
            let rows = rows.iter().filter(|row| row.class == class);
            output.write(&train_csv(class), table(rows, true).as_bytes())
        })
        .collect()
}

/// The test tables: without the classes, and with them.
pub fn test_tables(output: &Output, rows: &[Row]) -> Result<Vec<Staged>> {
    let write = |name, classes| output.write(name, table(rows.iter(), classes).as_bytes());
    Ok(vec![write(TEST_CSV, false)?, write(TEST_TRUTH, true)?])
}

fn table<'a>(rows: impl Iterator<Item = &'a Row>, classes: bool) -> String {
    let delimiter = char::from(DELIMITER);
    let mut text = COLUMNS.join(&delimiter.to_string());
    if classes {
        text = text + &delimiter.to_string() + CLASS_COLUMN;
    }
    text += LINE_END;
    for row in rows {
        text += &row.name;
        for number in [row.width, row.height].iter().chain(&row.roi) {
            // Writing to a string can't fail.
            let _ = write!(text, "{delimiter}{number}");
        }
        if classes {
            let _ = write!(text, "{delimiter}{}", row.class);
        }
        text += LINE_END;
    }
    text
}

/// The binary PPM file of a picture.
pub fn ppm(frame: &Frame) -> Vec<u8> {
    let mut bytes = format!("P6\n{} {}\n255\n", frame.width, frame.height).into_bytes();
    bytes.extend_from_slice(&frame.pixels);
    bytes
}
