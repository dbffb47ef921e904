//! From light to the bytes of a picture: blur, exposure, noise.

use crate::backdrop::Light;
use crate::random::{Random, mix};

/// Light that falls on the sensor, row by row.
pub struct Exposure {
    pub width: usize,
    pub height: usize,
    pub light: Vec<Light>,
}

impl Exposure {
    /// Moved by (dx, dy) pixels while the shutter was open.
    pub fn smeared(self, dx: f32, dy: f32) -> Self {
        let steps = dx.abs().max(dy.abs()).ceil() as usize;
        if steps == 0 {
            return self;
        }
        self.map(|x, y| {
            let mut sum = [0.0; 3];
            for step in 0..=steps {
                let t = step as f32 / steps as f32 - 0.5;
                add(&mut sum, self.at(x as f32 + t * dx, y as f32 + t * dy), 1.0);
            }
            sum.map(|channel| channel / (steps + 1) as f32)
        })
    }

    /// Blurred over about `radius` pixels, first along rows, then along columns.
    pub fn blurred(self, radius: f32) -> Self {
        let kernel = kernel(radius);
        let reach = kernel.len() as isize / 2;
        let pass = |from: &Self, along: [isize; 2]| {
            from.map(|x, y| {
                let mut sum = [0.0; 3];
                for (weight, step) in kernel.iter().zip(-reach..) {
                    let (dx, dy) = (step * along[0], step * along[1]);
                    add(&mut sum, from.pixel(x as isize + dx, y as isize + dy), *weight);
                }
                sum
            })
        };
        let rows = pass(&self, [1, 0]);
        pass(&rows, [0, 1])
    }

    /// Red, green, blue bytes: clipped, with a gamma of 2 and this much noise.
    pub fn develop(&self, noise: f32, random: &mut Random) -> Vec<u8> {
        let channels = self.light.iter().flatten();
        channels
            .map(|light| {
                let value = light.clamp(0.0, 1.0).sqrt() + noise * random.normal();
                (value * 255.0 + 0.5).clamp(0.0, 255.0) as u8
            })
            .collect()
    }

    fn map(&self, pixel: impl Fn(usize, usize) -> Light) -> Self {
        let (width, height) = (self.width, self.height);
        let light = (0..width * height).map(|i| pixel(i % width, i / width)).collect();
        Self { width, height, light }
    }

    /// The nearest pixel; beyond the edge, the edge's.
    fn pixel(&self, x: isize, y: isize) -> Light {
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let y = y.clamp(0, self.height as isize - 1) as usize;
        self.light[y * self.width + x]
    }

    /// Between pixels, bilinear.
    fn at(&self, x: f32, y: f32) -> Light {
        let (x0, y0) = (x.floor(), y.floor());
        let (fx, fy) = (x - x0, y - y0);
        let corner = |dx, dy| self.pixel(x0 as isize + dx, y0 as isize + dy);
        let (a, b, c, d) = (corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1));
        std::array::from_fn(|i| mix(mix(a[i], b[i], fx), mix(c[i], d[i], fx), fy))
    }
}

fn add(sum: &mut Light, light: Light, weight: f32) {
    for (total, channel) in sum.iter_mut().zip(light) {
        *total += weight * channel;
    }
}

/// A bell of about this standard deviation that needs no exponential: (1 − x²)² with its
/// zeros at ±√7 radii, summing to 1.
fn kernel(radius: f32) -> Vec<f32> {
    let width = radius * 7.0_f32.sqrt();
    let reach = width.ceil() as i32;
    let bell = |step: i32| {
        let x = step as f32 / width;
        let inside = (1.0 - x * x).max(0.0);
        inside * inside
    };
    let weights: Vec<f32> = (-reach..=reach).map(bell).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blurring_keeps_the_light() {
        let mut light = vec![[0.0; 3]; 21 * 21];
        light[10 * 21 + 10] = [1.0; 3];
        let picture = Exposure { width: 21, height: 21, light }.smeared(3.0, 1.0).blurred(1.5);
        let sum: f32 = picture.light.iter().map(|light| light[1]).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        assert!(picture.pixel(10, 10)[0] > picture.pixel(10, 13)[0]);
    }

    #[test]
    fn the_kernel_has_the_spread_it_is_asked_for() {
        let kernel = kernel(2.0);
        let middle = (kernel.len() / 2) as f32;
        let spread: f32 = kernel
            .iter()
            .enumerate()
            .map(|(i, weight)| weight * (i as f32 - middle) * (i as f32 - middle))
            .sum();
        assert!((spread.sqrt() - 2.0).abs() < 0.1, "{spread}");
    }
}
