//! Augmented views: pictures as another camera would have taken them, a little turned, nearer or
//! to the side, in other light, out of focus.
//!
//! What is done to a picture depends on the recipe, the view's number and the picture's key and
//! on nothing else, so that an augmented embedding is computed once, as a plain one is.

use artifact::HashBuilder;
use artifact::embeddings::Key;
use picture::Picture;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::resize::{Seen, resize_to};

/// Which augmented view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Version of what is done to pictures.
    pub recipe: u32,
    /// The view's number, from 1.
    pub view: u32,
}

/// To be raised when this module changes a pixel.
const RECIPE: u32 = 1;

impl Augmentation {
    /// View `view`.
    #[must_use]
    pub fn new(view: u32) -> Self {
        Self { recipe: RECIPE, view }
    }

    /// What is done to the picture of this key.
    pub(crate) fn of(self, key: &Key) -> Change {
        let Self { recipe, view } = self;
        let seed = HashBuilder::default().field(recipe.to_le_bytes()).field(view.to_le_bytes());
        Change::draw(&mut ChaCha8Rng::from_seed(seed.field(key.0).finish().0))
    }
}

/// A pixel, its fourth number unused: one vector.
type Pixel = [f32; 4];

/// What is done to a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    /// Takes a place in the target, from its middle and in sides of it, to one in the box that a
    /// plain view shows, from its middle and in sides of it.
    matrix: [[f32; 2]; 2],
    /// Added to it.
    shift: [f32; 2],
    /// Standard deviation of a Gaussian, in pixels of the target; 0 is none.
    blur: f32,
    /// Factor of each value's distance from the mean.
    contrast: f32,
    /// Factor of all values.
    brightness: f32,
}

impl Change {
    /// Draws one: turned by up to 12 degrees, sheared, 0.85 to 1.15 times as large, shifted by up to
    /// 8 % of the side; of other brightness and contrast, and one in four blurred.
    fn draw(random: &mut ChaCha8Rng) -> Self {
        let mut within = |low: f32, high: f32| random.random_range(low..high);
        let (sine, cosine) = within(-12.0, 12.0).to_radians().sin_cos();
        let (shear, scale) = (within(-0.1, 0.1), within(0.85, 1.15).recip());
        let shift = [within(-0.08, 0.08), within(-0.08, 0.08)];
        let (brightness, contrast) = (within(0.6, 1.4), within(0.7, 1.3));
        let blur = if within(0.0, 1.0) < 0.25 { within(0.5, 2.0) } else { 0.0 };
        // A turn of a shear.
        let matrix = [
            [scale * cosine, scale * (shear * cosine - sine)],
            [scale * sine, scale * (shear * sine + cosine)],
        ];
        Self { matrix, shift, blur, contrast, brightness }
    }

    /// Shows the box `[x1, y1, x2, y2)` of `picture` changed in `out`, `[size, size, 3]`. What
    /// comes into sight around the box is the picture's, and beyond that its border's.
    pub(crate) fn frame(&self, picture: &Picture, corners: [u32; 4], size: usize, out: &mut [u8]) {
        let mut pixels = self.sample(&Source::around(picture, corners, size), size);
        if self.blur > 0.0 {
            pixels = blur(&pixels, size, self.blur);
        }
        self.light(&pixels, out);
    }

    /// The pixels of the target, `[size, size]`.
    fn sample(&self, source: &Source, size: usize) -> Vec<Pixel> {
        let unit = (size as f32).recip();
        let middle = |pixel: usize| (pixel as f32 + 0.5) * unit - 0.5;
        let mut pixels = Vec::with_capacity(size * size);
        for row in 0..size {
            let [x, y] = [0, 1].map(|axis| {
                let [across, down] = self.matrix[axis];
                let at = |column| across * middle(column) + down * middle(row) + self.shift[axis];
                let (first, side) = source.seen[axis];
                let place = |column| first + (at(column) + 0.5) * side - 0.5;
                (place(0), across * unit * side)
            });
            let place = |column: f32| (x.0 + column * x.1, y.0 + column * y.1);
            pixels.extend((0..size).map(|column| source.at(place(column as f32))));
        }
        pixels
    }

    /// Contrast and brightness, rounded to 8 bits.
    fn light(&self, pixels: &[Pixel], out: &mut [u8]) {
        let sum = pixels.iter().fold([0.0; 4], |sum, pixel| add(sum, *pixel, 1.0));
        let mean = (sum[0] + sum[1] + sum[2]) / (3 * pixels.len()) as f32;
        let factor = self.contrast * self.brightness;
        // Casts saturate.
        let offset = (1.0 - self.contrast) * self.brightness * mean + 0.5;
        for (pixel, out) in pixels.iter().zip(out.chunks_exact_mut(3)) {
            let bytes = pixel.map(|value| (value * factor + offset) as u8);
            out.copy_from_slice(&bytes[..3]);
        }
    }
}

/// What a change may show of a picture, in pixels that aren't smaller than the target's.
struct Source {
    /// `[height, width]`
    pixels: Vec<Pixel>,
    width: usize,
    height: usize,
    /// Of the box, across and down: where it begins, and its length.
    seen: [(f32, f32); 2],
}

/// Share of the box's side that a change may show on each side of it.
const AROUND: f64 = 0.35;

impl Source {
    fn around(picture: &Picture, [x1, y1, x2, y2]: [u32; 4], size: usize) -> Self {
        let [across, down] = [(x1, x2, picture.width()), (y1, y2, picture.height())]
            .map(|(first, end, limit)| Side::around(first, end, limit, size));
        let stride = picture.width() as usize * 3;
        let seen = Seen {
            pixels: &picture.rgb()[down.first * stride + across.first * 3..],
            stride,
            width: across.length,
            height: down.length,
        };
        let (width, height) = (across.target, down.target);
        // To its own size, a copy.
        let mut rgb = vec![0; width * height * 3];
        resize_to(seen, [width, height], &mut rgb);
        let wide = |p: &[u8]| [p[0], p[1], p[2], 0].map(f32::from);
        let pixels = rgb.chunks_exact(3).map(wide).collect();
        Self { pixels, width, height, seen: [across.seen, down.seen] }
    }

    /// The colour at a place, where whole numbers are the middles of pixels: bilinear.
    #[inline]
    fn at(&self, (x, y): (f32, f32)) -> Pixel {
        let between = |place: f32, length: usize| {
            let place = place.clamp(0.0, (length - 1) as f32);
            let first = place as usize;
            (first, (first + 1).min(length - 1), place - first as f32)
        };
        let (left, right, to_right) = between(x, self.width);
        let (top, bottom, to_bottom) = between(y, self.height);
        let row = |y: usize| {
            let row = &self.pixels[y * self.width..][..self.width];
            mix(row[left], row[right], to_right)
        };
        mix(row(top), row(bottom), to_bottom)
    }
}

/// One side of what may be seen.
struct Side {
    /// The first pixel of the picture, and how many.
    first: usize,
    length: usize,
    /// How many they become, where the target's are larger.
    target: usize,
    /// Where the box begins in them, and its length.
    seen: (f32, f32),
}

impl Side {
    /// Of the box's side `first..end` in a picture of `limit` pixels.
    fn around(first: u32, end: u32, limit: u32, size: usize) -> Self {
        let side = f64::from(end - first);
        let more = (AROUND * side).ceil() as u32;
        let (from, to) = (first.saturating_sub(more), (end + more).min(limit));
        let length = (to - from) as usize;
        let shrunk = (size as f64 / side).min(1.0);
        let target = ((length as f64 * shrunk).round() as usize).max(1);
        let scale = target as f64 / length as f64;
        let seen = ((f64::from(first - from) * scale) as f32, (side * scale) as f32);
        Self { first: from as usize, length, target, seen }
    }
}

/// Blurs `[size, size]` pixels by a Gaussian, across and then down, as if the border went on.
fn blur(pixels: &[Pixel], size: usize, deviation: f32) -> Vec<Pixel> {
    let reach = (2.5 * deviation).ceil() as usize;
    let weight = |distance: usize| (-0.5 * (distance as f32 / deviation).powi(2)).exp();
    let weights: Vec<f32> = (0..=2 * reach).map(|tap| weight(tap.abs_diff(reach))).collect();
    let total: f32 = weights.iter().sum();
    // Each pass writes what it makes of a row as a column.
    let pass = |pixels: &[Pixel]| {
        let mut out = vec![[0.0; 4]; pixels.len()];
        for (row, pixels) in pixels.chunks_exact(size).enumerate() {
            for column in 0..size {
                let sum = weights.iter().enumerate().fold([0.0; 4], |sum, (tap, weight)| {
                    let from = (column + tap).saturating_sub(reach).min(size - 1);
                    add(sum, pixels[from], weight / total)
                });
                out[column * size + row] = sum;
            }
        }
        out
    };
    pass(&pass(pixels))
}

#[inline]
fn add(sum: Pixel, pixel: Pixel, weight: f32) -> Pixel {
    std::array::from_fn(|channel| sum[channel] + pixel[channel] * weight)
}

#[inline]
fn mix(one: Pixel, other: Pixel, share: f32) -> Pixel {
    std::array::from_fn(|channel| one[channel] + (other[channel] - one[channel]) * share)
}

#[cfg(test)]
mod tests;
