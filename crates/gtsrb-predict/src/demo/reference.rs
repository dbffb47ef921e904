//! One clear training picture of each class.

use artifact::images::{Image, ImageSet, Split};
use embed::{Framing, box_of};
use picture::Picture;
use rayon::prelude::*;
use stage::{Error, Result, check_interrupt};

/// A picture to know a class by: what the model sees of it.
pub struct Reference {
    /// How much wider than high it was before it was made square.
    pub aspect: f64,
    /// Its file.
    pub png: Vec<u8>,
}

/// The clearest training picture of each of `classes`; none of a class without pictures.
///
/// # Errors
/// Those of reading the images.
pub fn references(
    images: &ImageSet,
    framing: &Framing,
    classes: usize,
) -> Result<Vec<Option<Reference>>> {
    let mut best: Vec<Option<(f64, Image)>> = vec![None; classes];
    for batch in images.batches(Split::Train) {
        check_interrupt()?;
        let batch = batch?;
        let clear: Vec<f64> =
            batch.par_iter().map(|image| clarity(image, framing)).collect::<Result<_>>()?;
        for (image, clear) in batch.into_iter().zip(clear) {
            let Some(place) = usize::try_from(image.label).ok().and_then(|k| best.get_mut(k))
            else {
                continue;
            };
            if place.as_ref().is_none_or(|(most, _)| clear > *most) {
                *place = Some((clear, image));
            }
        }
    }
    let show = |found: Option<(f64, Image)>| found.map(|(_, i)| show(&i, framing)).transpose();
    best.into_iter().map(show).collect()
}

/// What the model sees of `image`, `[size, size, 3]`.
fn frame(image: &Image, framing: &Framing) -> Result<Vec<u8>> {
    let mut pixels = vec![0; framing.size * framing.size * 3];
    framing.frame(image, &mut pixels)?;
    Ok(pixels)
}

fn clarity(image: &Image, framing: &Framing) -> Result<f64> {
    Ok(clear(&frame(image, framing)?, framing.size))
}

/// Variance of the Laplacian of luma (Pech-Pacheco et al. 2000), which is low for what is small
/// or blurred, times the square of mean luma up to the middle, for what is dark is sharp at times.
/// Only the middle counts: corners show what is behind.
fn clear(pixels: &[u8], size: usize) -> f64 {
    let luma: Vec<f64> = pixels
        .chunks_exact(3)
        .map(|p| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]))
        .collect();
    let (mut n, mut light, mut sum, mut squares) = (0.0, 0.0, 0.0, 0.0);
    for at in middle(size) {
        let around = luma[at - 1] + luma[at + 1] + luma[at - size] + luma[at + size];
        let laplacian = around - 4.0 * luma[at];
        n += 1.0;
        light += luma[at];
        sum += laplacian;
        squares += laplacian * laplacian;
    }
    let n = f64::max(n, 1.0);
    let (light, mean) = (light / n, sum / n);
    (squares / n - mean * mean) * light.min(128.0).powi(2)
}

/// The places of pixels within three quarters of the largest circle; none at an edge.
fn middle(size: usize) -> impl Iterator<Item = usize> {
    let centre = (size as f64 - 1.0) / 2.0;
    let radius = (0.375 * size as f64).min(centre);
    let away = move |at: usize| (at as f64 - centre).powi(2);
    (0..size * size).filter(move |at| away(at / size) + away(at % size) < radius * radius)
}

fn show(image: &Image, framing: &Framing) -> Result<Reference> {
    let (width, height) = (image.width as u32, image.height as u32);
    let [x1, y1, x2, y2] = box_of(framing.crop, framing.margin, &image.roi, width, height)
        .map_err(|e| e.context(&image.path))?;
    let side = framing.size as u32;
    let png = Picture::new(side, side, frame(image, framing)?).map(|picture| picture.to_png());
    let Some(Ok(png)) = png else {
        return Err(Error::internal(format!("{} can't be encoded", image.path)));
    };
    Ok(Reference { aspect: f64::from(x2 - x1) / f64::from(y2 - y1), png })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grey pixels, `[16, 16, 3]`.
    fn grey(value: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        (0..256).flat_map(|at| [value(at % 16, at / 16); 3]).collect()
    }

    #[test]
    fn sharp_and_bright_is_clear_and_corners_do_not_count() {
        let stripes = |dark: u8, light: u8| move |x: usize, _| if x % 4 < 2 { dark } else { light };
        let sharp = clear(&grey(stripes(60, 180)), 16);
        assert!(sharp > clear(&grey(stripes(100, 140)), 16));
        assert!(sharp > clear(&grey(stripes(0, 120)), 16));
        let corner =
            |x: usize, y: usize| if x < 3 && y < 3 && (x + y).is_multiple_of(2) { 255 } else { 90 };
        assert!(clear(&grey(corner), 16).abs() < 1e-3);
    }

    #[test]
    fn no_size_is_too_small() {
        for size in 1..6 {
            assert!(middle(size).all(|at| at >= size && at % size > 0 && at % size < size - 1));
            assert!(clear(&vec![7; size * size * 3], size).abs() < 1e-3);
        }
    }
}
