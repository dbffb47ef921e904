//! What is behind a sign: sky, leaves, walls and clutter, and what hangs on its post.

use crate::random::{Random, lattice, mix, noise, rough, smoothstep};

/// Red, green, blue in linear light; 1 is a white sign in full light.
pub type Light = [f32; 3];

/// Everything behind one sign.
pub struct Backdrop {
    upper: Surface,
    lower: Surface,
    /// Height of the line between them, in sign widths below the sign's middle.
    horizon: f32,
    seed: u32,
    post: Post,
}

/// A surface that fills a part of the view.
struct Surface {
    kind: Kind,
    colour: Light,
    seed: u32,
    /// Details in a sign's width.
    grain: f32,
}

#[derive(Clone, Copy)]
enum Kind {
    Sky,
    Leaves,
    Branches,
    Wall,
    Bricks,
    Windows,
    Clutter,
}

/// What carries the sign.
struct Post {
    /// Width in sign widths; 0 without a post.
    width: f32,
    grey: f32,
    /// Height of a white extra plate under the sign; 0 without one.
    plate: f32,
    seed: u32,
}

const UPPER: [Kind; 8] = [
    Kind::Sky,
    Kind::Sky,
    Kind::Sky,
    Kind::Leaves,
    Kind::Leaves,
    Kind::Branches,
    Kind::Wall,
    Kind::Windows,
];
const LOWER: [Kind; 6] =
    [Kind::Leaves, Kind::Leaves, Kind::Wall, Kind::Bricks, Kind::Clutter, Kind::Windows];

impl Backdrop {
    /// A random one.
    pub fn draw(random: &mut Random) -> Self {
        let upper = UPPER[random.below(UPPER.len() as u32) as usize];
        let lower = LOWER[random.below(LOWER.len() as u32) as usize];
        Self {
            upper: Surface::draw(upper, random),
            lower: Surface::draw(lower, random),
            horizon: random.range(-0.9, 1.1),
            seed: random.bits(),
            post: Post::draw(random),
        }
    }

    /// The light at (x, y), in sign widths from the sign's middle, level with the ground.
    pub fn light(&self, x: f32, y: f32) -> Light {
        let edge = self.horizon + (rough(self.seed, x * 1.7, 0.5) - 0.5) * 0.7;
        if y < edge { self.upper.light(x, y) } else { self.lower.light(x, y) }
    }

    /// The post or the extra plate at (u, v) of the sign's plane, where there is one.
    pub fn post(&self, u: f32, v: f32) -> Option<Light> {
        let post = &self.post;
        if post.plate > 0.0 && u.abs() < 0.42 && v > 0.53 && v < 0.53 + post.plate {
            return Some(post.plate_light(u, v));
        }
        let on_post = u.abs() < post.width / 2.0;
        // Round: bright in the middle, darker at the edges.
        let round = || 1.0 - 2.4 * (u / post.width) * (u / post.width);
        on_post.then(|| [post.grey * round(); 3])
    }
}

impl Post {
    fn draw(random: &mut Random) -> Self {
        let width = if random.chance(0.65) { random.range(0.06, 0.13) } else { 0.0 };
        let plate = if random.chance(0.25) { random.range(0.2, 0.4) } else { 0.0 };
        Self { width, grey: random.range(0.08, 0.4), plate, seed: random.bits() }
    }

    /// White with a black edge and something like writing.
    fn plate_light(&self, u: f32, v: f32) -> Light {
        let edge = u.abs() > 0.4 || v < 0.545 || v > 0.515 + self.plate;
        let row = ((v - 0.56) * 14.0).floor();
        let written = u.abs() < 0.33 && row.rem_euclid(2.0) < 1.0;
        let ink = written && lattice(self.seed, (u * 24.0).floor() as i32, row as i32) < 0.6;
        if edge || ink { [0.03; 3] } else { [0.7; 3] }
    }
}

impl Surface {
    fn draw(kind: Kind, random: &mut Random) -> Self {
        let mut tone = |low: Light, high: Light| {
            let (t, own) = (random.unit(), 0.15);
            std::array::from_fn(|c| mix(low[c], high[c], t) * random.range(1.0 - own, 1.0 + own))
        };
        let colour = match kind {
            Kind::Sky => tone([0.35, 0.5, 0.8], [0.9, 0.92, 0.95]),
            Kind::Leaves => tone([0.05, 0.09, 0.02], [0.2, 0.2, 0.08]),
            Kind::Branches => tone([0.05, 0.04, 0.03], [0.12, 0.1, 0.08]),
            Kind::Wall => tone([0.2, 0.17, 0.13], [0.75, 0.7, 0.6]),
            Kind::Bricks => tone([0.2, 0.07, 0.05], [0.4, 0.2, 0.13]),
            Kind::Windows => tone([0.15, 0.15, 0.15], [0.6, 0.5, 0.38]),
            Kind::Clutter => tone([0.2, 0.2, 0.2], [0.5, 0.5, 0.5]),
        };
        Self { kind, colour, seed: random.bits(), grain: random.range(0.7, 1.6) }
    }

    fn light(&self, x: f32, y: f32) -> Light {
        let (x, y) = (x * self.grain, y * self.grain);
        let seed = self.seed;
        match self.kind {
            Kind::Sky => self.scaled(0.85 + 0.3 * noise(seed, x * 0.7, y * 1.3)),
            Kind::Leaves => {
                let leaf = rough(seed, x * 5.0, y * 5.0);
                let gap = smoothstep(0.66, 0.74, leaf) * 0.6;
                blend(self.scaled(3.0 * leaf * leaf), [0.7, 0.75, 0.8], gap)
            }
            Kind::Branches => {
                let bend = noise(seed, x * 1.4, y * 1.4) * 3.0;
                let twig = noise(seed ^ 1, x * 7.0 + bend, y * 2.5 - bend);
                blend([0.75, 0.78, 0.82], self.colour, smoothstep(0.5, 0.62, twig))
            }
            Kind::Wall => self.scaled(0.8 + 0.4 * rough(seed, x * 2.0, y * 2.0)),
            Kind::Bricks => self.bricks(x * 5.0, y * 9.0),
            Kind::Windows => self.windows(x * 1.6, y * 1.3),
            Kind::Clutter => self.clutter(x, y),
        }
    }

    fn scaled(&self, factor: f32) -> Light {
        self.colour.map(|channel| channel * factor)
    }

    fn bricks(&self, x: f32, y: f32) -> Light {
        let row = y.floor();
        let x = x + 0.5 * row.rem_euclid(2.0);
        let joint = y - row < 0.16 || x - x.floor() < 0.1;
        let brick = lattice(self.seed, x.floor() as i32, row as i32);
        if joint { [0.35; 3] } else { self.scaled(0.7 + 0.6 * brick) }
    }

    fn windows(&self, x: f32, y: f32) -> Light {
        let (fx, fy) = (x - x.floor(), y - y.floor());
        let glass = fx > 0.25 && fx < 0.75 && fy > 0.2 && fy < 0.75;
        let bar = (fx - 0.5).abs() < 0.03 || (fy - 0.42).abs() < 0.02;
        match (glass, bar) {
            (true, true) => [0.7; 3],
            (true, false) => {
                [0.05 + 0.3 * lattice(self.seed, x.floor() as i32, y.floor() as i32); 3]
            }
            _ => self.scaled(0.9 + 0.2 * noise(self.seed, x * 4.0, y * 4.0)),
        }
    }

    /// Cars, shop windows, posters: boxes in every colour.
    fn clutter(&self, x: f32, y: f32) -> Light {
        let (column, row) = ((x * 2.3).floor() as i32, (y * 3.1).floor() as i32);
        let channel = |c: u32| lattice(self.seed ^ (c * 77), column, row);
        let shade = 0.6 + 0.8 * noise(self.seed, x * 6.0, y * 6.0);
        let bright = 2.0 * channel(3) * channel(3);
        std::array::from_fn(|c| {
            self.colour[c] * shade * (0.1 + bright * (0.7 + 0.6 * channel(c as u32)))
        })
    }
}

/// `a` at t = 0, `b` at t = 1.
pub fn blend(a: Light, b: Light, t: f32) -> Light {
    std::array::from_fn(|c| mix(a[c], b[c], t))
}
