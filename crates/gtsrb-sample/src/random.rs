//! Random numbers that are the same on every machine: `ChaCha8` for the bits and nothing but
//! exactly rounded arithmetic on top of them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of random numbers of its own for each thing that is drawn, so that the order in
/// which things are drawn, and by which thread, doesn't matter.
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of the thing named by `path` under the set's `seed`.
    pub fn new(seed: u64, path: [u64; 3]) -> Self {
        let mut key = [0; 32];
        for (chunk, value) in key.chunks_exact_mut(8).zip([seed, path[0], path[1], path[2]]) {
            chunk.copy_from_slice(&value.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(n)) >> 32) as u32
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// About normal with mean 0 and variance 1, within ±3.5: the sum of four bytes. The tails
    /// don't matter here, an exact logarithm would.
    pub fn normal(&mut self) -> f32 {
        let sum: u32 = self.bits().to_le_bytes().into_iter().map(u32::from).sum();
        (sum as f32 - 510.0) / 147.8
    }
}

/// Smooth noise over the plane in [0, 1): random values on the integer lattice, blended. Where
/// it is asked doesn't change it, so one physical thing looks the same in all its frames.
pub fn noise(seed: u32, x: f32, y: f32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (ease(x - x0), ease(y - y0));
    let corner = |dx: i32, dy: i32| lattice(seed, x0 as i32 + dx, y0 as i32 + dy);
    let top = mix(corner(0, 0), corner(1, 0), fx);
    let bottom = mix(corner(0, 1), corner(1, 1), fx);
    mix(top, bottom, fy)
}

/// Three octaves of [`noise`]: coarse shapes with fine detail, like leaves or dirt.
pub fn rough(seed: u32, x: f32, y: f32) -> f32 {
    let fine = noise(seed ^ 0x51ed, x * 4.1, y * 4.1);
    let middle = noise(seed ^ 0x2b5f, x * 2.03, y * 2.03);
    noise(seed, x, y) * 0.5 + middle * 0.3 + fine * 0.2
}

/// The random value of a cell of the integer lattice, in [0, 1).
pub fn lattice(seed: u32, x: i32, y: i32) -> f32 {
    let mut hash =
        seed ^ (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    for multiplier in [0x7feb_352d, 0x846c_a68b] {
        hash = (hash ^ (hash >> 15)).wrapping_mul(multiplier);
    }
    ((hash ^ (hash >> 16)) >> 8) as f32 / 16_777_216.0
}

/// `a` at t = 0, `b` at t = 1.
pub fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// From 0 to 1 while x goes from `low` to `high`, level at both ends.
pub fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    ease(((x - low) / (high - low)).clamp(0.0, 1.0))
}

fn ease(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |path| Random::new(7, path).bits();
        assert_eq!(draw([1, 2, 3]), draw([1, 2, 3]));
        assert_ne!(draw([1, 2, 3]), draw([1, 3, 2]));
    }

    #[test]
    fn moments_are_as_promised() {
        let mut random = Random::new(1, [0; 3]);
        let values: Vec<f32> = (0..20_000).map(|_| random.normal()).collect();
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        assert!((0..1000).all(|_| random.below(43) < 43));
    }

    #[test]
    fn noise_is_continuous_and_bounded() {
        for i in -50_i8..50 {
            let x = f32::from(i) * 0.37;
            let here = noise(3, x, 1.5 * x);
            assert!((0.0..1.0).contains(&here));
            assert!((here - noise(3, x + 1e-4, 1.5 * x)).abs() < 1e-2);
        }
    }
}
