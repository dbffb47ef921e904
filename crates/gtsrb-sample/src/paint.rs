//! What weather and people do to a sign: faded colours, dirt, stickers, shadows, and leaves
//! that hang before it.

use crate::backdrop::{Light, blend};
use crate::random::{Random, noise, rough, smoothstep};
use crate::texture::Texel;

/// The state of one sign; the same in all frames of its track.
pub struct Paint {
    /// How far the colours have faded, 0 to 1.
    fade: f32,
    /// How much of the sign is dirty, 0 to 1.
    dirt: f32,
    sticker: Option<Sticker>,
    shadow: Shadow,
    leaves: Option<Leaves>,
    seed: u32,
}

struct Sticker {
    middle: [f32; 2],
    half: [f32; 2],
    colour: Light,
}

/// What keeps light off a part of the sign.
enum Shadow {
    None,
    /// Of a straight edge: the side of a line where the product with `normal` is positive.
    Edge {
        normal: [f32; 2],
        offset: f32,
        depth: f32,
    },
    /// Of a tree.
    Dapple {
        grain: f32,
        depth: f32,
    },
}

/// Leaves before the sign, around a point near its edge.
struct Leaves {
    middle: [f32; 2],
    reach: f32,
    colour: Light,
}

impl Paint {
    /// A random state; most signs are clean.
    pub fn draw(random: &mut Random) -> Self {
        let fade = if random.chance(0.25) { random.range(0.1, 0.4) } else { 0.0 };
        let dirt = if random.chance(0.2) { random.range(0.1, 0.4) } else { 0.0 };
        Self {
            fade,
            dirt,
            sticker: random.chance(0.06).then(|| Sticker::draw(random)),
            shadow: Shadow::draw(random),
            leaves: random.chance(0.05).then(|| Leaves::draw(random)),
            seed: random.bits(),
        }
    }

    /// The light that a texel of the sign at (u, v) sends back, with its coverage.
    pub fn finish(&self, texel: Texel, u: f32, v: f32) -> (Light, f32) {
        let [red, green, blue, coverage] = texel;
        let grey = 0.3 * red + 0.6 * green + 0.1 * blue;
        let faded = (0.55 * grey + 0.3 * coverage).min(coverage);
        let mut light = blend([red, green, blue], [faded; 3], self.fade);
        if let Some(sticker) = &self.sticker
            && sticker.covers(u, v)
        {
            light = sticker.colour.map(|channel| channel * coverage);
        }
        if self.dirt > 0.0 {
            let patch = rough(self.seed, u * 4.0, v * 3.0);
            let amount = smoothstep(0.75 - 0.4 * self.dirt, 0.95 - 0.3 * self.dirt, patch);
            let brown = [0.09, 0.075, 0.05].map(|channel| channel * coverage);
            light = blend(light, brown, 0.8 * amount);
        }
        let shade = self.shadow.light(self.seed, u, v);
        (light.map(|channel| channel * shade), coverage)
    }

    /// Colour and coverage of what hangs before the sign at (u, v).
    pub fn before(&self, u: f32, v: f32) -> Option<(Light, f32)> {
        let leaves = self.leaves.as_ref()?;
        let (du, dv) = (u - leaves.middle[0], v - leaves.middle[1]);
        let inside = 1.0 - (du * du + dv * dv) / (leaves.reach * leaves.reach);
        if inside <= 0.0 {
            return None;
        }
        let leaf = rough(self.seed ^ 0xa5a5, u * 9.0, v * 9.0);
        let coverage = smoothstep(0.42, 0.5, leaf * (0.55 + 0.75 * inside));
        let shade = 0.5 + 2.0 * noise(self.seed ^ 0x77, u * 22.0, v * 22.0);
        (coverage > 0.0).then(|| (leaves.colour.map(|channel| channel * shade), coverage))
    }
}

impl Sticker {
    fn draw(random: &mut Random) -> Self {
        let half = [random.range(0.03, 0.09), random.range(0.03, 0.07)];
        let middle = [random.range(-0.3, 0.3), random.range(-0.3, 0.3)];
        let mut channel = || random.range(0.02, 0.9);
        Self { middle, half, colour: [channel(), channel(), channel()] }
    }

    fn covers(&self, u: f32, v: f32) -> bool {
        (u - self.middle[0]).abs() < self.half[0] && (v - self.middle[1]).abs() < self.half[1]
    }
}

impl Shadow {
    fn draw(random: &mut Random) -> Self {
        let depth = random.range(0.3, 0.7);
        match random.below(14) {
            0 => Self::Edge {
                normal: [random.range(-1.0, 1.0), random.range(-1.0, 1.0)],
                offset: random.range(-0.2, 0.2),
                depth,
            },
            1 => Self::Dapple { grain: random.range(3.0, 7.0), depth },
            _ => Self::None,
        }
    }

    /// The share of the light that arrives at (u, v).
    fn light(&self, seed: u32, u: f32, v: f32) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Edge { normal, offset, depth } => {
                1.0 - depth * smoothstep(-0.03, 0.03, u * normal[0] + v * normal[1] + offset)
            }
            Self::Dapple { grain, depth } => {
                1.0 - depth * smoothstep(0.4, 0.55, noise(seed ^ 0x3c3c, u * grain, v * grain))
            }
        }
    }
}

impl Leaves {
    fn draw(random: &mut Random) -> Self {
        let side = [[-0.45, 0.0], [0.45, 0.0], [0.0, -0.45], [0.0, 0.45]][random.below(4) as usize];
        Self {
            middle: side.map(|x| x + random.range(-0.15, 0.15)),
            reach: random.range(0.25, 0.45),
            colour: [random.range(0.03, 0.1), random.range(0.06, 0.14), random.range(0.01, 0.04)],
        }
    }
}
