//! A sign as pixels: its drawing in light of its own, at several sizes.

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use stage::{Error, Result};

use crate::art;
use crate::random::mix;

/// Side of the largest size, in pixels; signs in the pictures are smaller.
const SIDE: usize = 256;
/// Sizes of a texture: 256, 128, 64, 32, 16.
const LEVELS: usize = 5;

/// Red, green, blue in linear light and coverage, multiplied by the coverage.
pub type Texel = [f32; 4];

/// A sign at sizes that halve.
pub struct Texture {
    levels: Vec<Level>,
    /// Points around the sign's edge, in its own coordinates: the middle is (0, 0), the
    /// drawing's sides are at ±0.5. Enough to find the box around the sign in any pose.
    pub outline: Vec<[f32; 2]>,
}

struct Level {
    side: usize,
    texels: Vec<Texel>,
}

/// Draws every class.
pub fn draw_all() -> Result<Vec<Texture>> {
    (0..signs::CLASSES).into_par_iter().map(draw).collect()
}

fn draw(class: usize) -> Result<Texture> {
    let broken = |reason: &dyn std::fmt::Display| {
        Error::internal(format!("the drawing of class {class} is broken: {reason}"))
    };
    let tree = Tree::from_str(&art::svg(class), &Options::default()).map_err(|e| broken(&e))?;
    let mut pixels = Pixmap::new(SIDE as u32, SIDE as u32).ok_or_else(|| broken(&"no size"))?;
    let scale = SIDE as f32 / 100.0;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    let mut levels = vec![Level::from_pixels(&pixels)];
    for level in 1..LEVELS {
        levels.push(levels[level - 1].halved());
    }
    let outline = levels[0].outline();
    Ok(Texture { levels, outline })
}

impl Texture {
    /// The texel at (u, v) of the sign's own coordinates, taken at a size where one texel is
    /// about `footprint` wide.
    pub fn sample(&self, u: f32, v: f32, footprint: f32) -> Texel {
        let mut level = 0;
        while level + 1 < LEVELS && footprint * self.levels[level].side as f32 > 1.5 {
            level += 1;
        }
        self.levels[level].sample(u, v)
    }
}

impl Level {
    fn from_pixels(pixels: &Pixmap) -> Self {
        let texels = pixels
            .pixels()
            .iter()
            .map(|pixel| {
                let colour = pixel.demultiply();
                let alpha = f32::from(colour.alpha()) / 255.0;
                let light = |value: u8| linear(value) * alpha;
                [light(colour.red()), light(colour.green()), light(colour.blue()), alpha]
            })
            .collect();
        Self { side: SIDE, texels }
    }

    fn halved(&self) -> Self {
        let side = self.side / 2;
        let mean = |x: usize, y: usize| -> Texel {
            let at = |dx: usize, dy: usize| self.texels[(2 * y + dy) * self.side + 2 * x + dx];
            std::array::from_fn(|c| (at(0, 0)[c] + at(1, 0)[c] + at(0, 1)[c] + at(1, 1)[c]) / 4.0)
        };
        let texels = (0..side * side).map(|i| mean(i % side, i / side)).collect();
        Self { side, texels }
    }

    /// Bilinear; nothing outside.
    fn sample(&self, u: f32, v: f32) -> Texel {
        let side = self.side as f32;
        let (x, y) = ((u + 0.5) * side - 0.5, (v + 0.5) * side - 0.5);
        let (x0, y0) = (x.floor(), y.floor());
        if x0 < 0.0 || y0 < 0.0 || x0 + 1.0 >= side || y0 + 1.0 >= side {
            return [0.0; 4];
        }
        let (fx, fy) = (x - x0, y - y0);
        let first = y0 as usize * self.side + x0 as usize;
        let texels = &self.texels;
        std::array::from_fn(|c| {
            let top = mix(texels[first][c], texels[first + 1][c], fx);
            let below = first + self.side;
            let bottom = mix(texels[below][c], texels[below + 1][c], fx);
            mix(top, bottom, fy)
        })
    }

    /// The outermost covered texels of every row.
    fn outline(&self) -> Vec<[f32; 2]> {
        let position = |i: usize| (i as f32 + 0.5) / self.side as f32 - 0.5;
        let covered = |texel: &Texel| texel[3] > 0.5;
        let mut points = Vec::new();
        for (y, row) in self.texels.chunks_exact(self.side).enumerate() {
            let ends = row.iter().position(covered).zip(row.iter().rposition(covered));
            if let Some((left, right)) = ends {
                points.extend([[position(left), position(y)], [position(right), position(y)]]);
            }
        }
        points
    }
}

/// Light of an 8-bit value, 0 to 1. The camera here has a gamma of exactly 2: squares and
/// square roots are the same on every machine, powers of 2.2 are not.
pub fn linear(value: u8) -> f32 {
    let value = f32::from(value) / 255.0;
    value * value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_fills_its_square_and_differs_from_all_others() {
        let textures = draw_all().unwrap();
        let mut seen = Vec::new();
        for (class, texture) in textures.iter().enumerate() {
            let most = texture.outline.iter().fold(0.0_f32, |most, p| most.max(p[0].abs()));
            assert!((0.46..=0.5).contains(&most), "class {class} reaches {most}");
            let small = texture.levels[LEVELS - 1].texels.clone();
            assert!(!seen.contains(&small), "class {class} looks like another");
            seen.push(small);
        }
    }
}
