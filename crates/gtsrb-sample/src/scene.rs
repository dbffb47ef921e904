//! What stays the same while a car drives up to one sign: the sign's state, what is behind
//! it, the light, the camera, and the way there.

use crate::backdrop::Backdrop;
use crate::paint::Paint;
use crate::pose::Turn;
use crate::random::{Random, mix};

/// One sign on its post and the drive towards it: a track.
pub struct Scene {
    pub paint: Paint,
    pub backdrop: Backdrop,
    pub light: Lighting,
    pub camera: Camera,
    drive: Drive,
}

/// The light of a scene, as the camera's exposure renders it.
pub struct Lighting {
    /// On the sign: white comes out at this linear value; above 1 it is overexposed.
    pub sign: f32,
    /// On everything behind it.
    pub behind: f32,
    /// Of red, green and blue.
    pub tint: [f32; 3],
    /// Added everywhere by haze or a dirty windscreen.
    pub veil: f32,
    /// Relative change of the light from the first frame to the last.
    drift: f32,
}

/// What the camera does to the light.
pub struct Camera {
    /// Radius of the blur, in pixels and in sign widths.
    pub defocus: [f32; 2],
    /// Movement during the exposure, in sign widths.
    pub motion: [f32; 2],
    /// Standard deviation of the noise, as a share of white in the finished picture.
    pub noise: f32,
}

struct Drive {
    /// The sign's size in the first frame, in pixels.
    first: f32,
    /// The last frame's size in terms of the first's.
    growth: f32,
    turn: Turn,
    /// How much further the sign has turned away in the last frame.
    pass: f32,
    /// Sign widths that the backdrop slides sideways behind the sign.
    slide: f32,
}

/// What differs between the frames of a track.
pub struct Moment {
    /// The sign's larger side, in pixels.
    pub size: f32,
    pub turn: Turn,
    /// Factor on the light.
    pub exposure: f32,
    /// Factor on the movement.
    pub shake: f32,
    /// Factor on the blur.
    pub focus: f32,
    /// How far the backdrop has slid behind the sign, and what factor of it a sign hides.
    pub slide: [f32; 2],
    pub zoom: f32,
    /// Factor on the backdrop's light: clouds, trees along the road.
    pub behind: f32,
}

/// The largest sign, in pixels.
const LARGEST: f32 = 200.0;

impl Scene {
    /// The scene of a track.
    pub fn draw(random: &mut Random) -> Self {
        Self {
            paint: Paint::draw(random),
            backdrop: Backdrop::draw(random),
            light: Lighting::draw(random),
            camera: Camera::draw(random),
            drive: Drive::draw(random),
        }
    }

    /// The moment when the share `way` (0 to 1) of the track has passed.
    pub fn moment(&self, way: f32, random: &mut Random) -> Moment {
        let drive = &self.drive;
        // At constant speed the distance falls evenly and the size grows as its inverse.
        let size = drive.first / (1.0 - (1.0 - 1.0 / drive.growth) * way);
        // The car leans in bends and nods on bumps.
        let turn = Turn {
            roll: drive.turn.roll + 0.01 * random.normal(),
            yaw: drive.turn.yaw + drive.pass * way * way + 0.02 * random.normal(),
            pitch: drive.turn.pitch + 0.01 * random.normal(),
        };
        let drift = 1.0 + self.light.drift * (way - 0.5);
        Moment {
            size: (size * random.range(0.98, 1.02)).min(LARGEST),
            turn,
            exposure: drift * random.range(0.3, 1.4),
            shake: random.range(0.0, 1.4),
            focus: random.range(0.4, 1.3),
            slide: [drive.slide * way + random.normal(), 0.5 * random.normal()],
            zoom: 0.7 + 0.9 * way,
            behind: random.range(0.5, 1.6),
        }
    }
}

impl Lighting {
    /// Dark, dim, good and overexposed scenes; signs before a bright sky are the dark ones.
    fn draw(random: &mut Random) -> Self {
        let (sign, behind) = match random.below(20) {
            0 => (random.range(0.03, 0.08), random.range(1.0, 8.0)),
            1..=4 => (random.range(0.08, 0.3), random.range(0.5, 3.0)),
            5..=18 => (random.range(0.3, 0.9), random.range(0.4, 1.4)),
            _ => (random.range(1.1, 1.9), random.range(0.2, 0.9)),
        };
        let warm = random.normal() * 0.05;
        let hazy = if random.chance(0.15) { random.range(0.05, 0.35) } else { 0.0 };
        Self {
            sign,
            behind: sign * behind,
            tint: [1.0 + warm, 1.0 + 0.04 * random.normal(), 1.05 - warm],
            veil: 0.0006 + hazy * sign.min(0.5),
            drift: random.range(-0.6, 0.6),
        }
    }
}

impl Camera {
    fn draw(random: &mut Random) -> Self {
        let lens = random.range(0.4, 0.7);
        let soft = if random.chance(0.1) { random.range(0.005, 0.02) } else { 0.0 };
        // Bumps and bends move the picture more sideways than up and down.
        let length = if random.chance(0.15) { random.range(0.03, 0.08) } else { 0.01 };
        let slope = random.normal() * 0.5;
        Self {
            defocus: [lens, soft],
            motion: [length, length * slope],
            noise: mix(0.004, 0.02, random.unit() * random.unit()),
        }
    }
}

impl Drive {
    fn draw(random: &mut Random) -> Self {
        let chance = random.unit();
        Self {
            first: random.range(24.0, 46.0),
            growth: 1.5 + 4.5 * chance * chance,
            turn: Turn {
                roll: 0.012 * random.normal(),
                yaw: 0.035 * random.normal(),
                pitch: 0.015 * random.normal(),
            },
            pass: random.range(-0.14, 0.06),
            slide: random.range(-8.0, 8.0),
        }
    }
}
