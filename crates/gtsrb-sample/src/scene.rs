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
    /// Relative change from the first frame to the last.
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
        let wobble = 0.008;
        let turn = Turn {
            roll: drive.turn.roll + wobble * random.normal(),
            yaw: drive.turn.yaw + drive.pass * way * way + wobble * random.normal(),
            pitch: drive.turn.pitch + wobble * random.normal(),
        };
        Moment {
            size: (size * random.range(0.98, 1.02)).min(LARGEST),
            turn,
            exposure: 1.0 + self.light.drift * (way - 0.5) + 0.03 * random.normal(),
            shake: random.range(0.3, 1.3),
        }
    }
}

impl Lighting {
    /// Dark, dim, good and overexposed scenes; signs before a bright sky are the dark ones.
    fn draw(random: &mut Random) -> Self {
        let (sign, behind) = match random.below(20) {
            0..=3 => (random.range(0.006, 0.03), random.range(1.0, 20.0)),
            4..=8 => (random.range(0.03, 0.15), random.range(0.5, 8.0)),
            9..=16 => (random.range(0.15, 0.9), random.range(0.4, 2.0)),
            _ => (random.range(1.1, 3.0), random.range(0.2, 1.0)),
        };
        let warm = random.normal() * 0.08;
        let hazy = if random.chance(0.25) {
            random.range(0.1, 0.6)
        } else {
            0.0
        };
        Self {
            sign,
            behind: sign * behind,
            tint: [1.0 + warm, 1.0 + 0.04 * random.normal(), 1.05 - warm],
            veil: 0.0006 + hazy * sign.min(0.5),
            drift: random.range(-0.4, 0.4),
        }
    }
}

impl Camera {
    fn draw(random: &mut Random) -> Self {
        let lens = random.range(0.4, 0.9);
        let soft = if random.chance(0.25) {
            random.range(0.02, 0.055)
        } else {
            0.0
        };
        // Bumps and bends move the picture more sideways than up and down.
        let length = if random.chance(0.35) {
            random.range(0.04, 0.17)
        } else {
            0.01
        };
        let slope = random.normal() * 0.5;
        Self {
            defocus: [lens, soft],
            motion: [length, length * slope],
            noise: mix(0.004, 0.03, random.unit() * random.unit()),
        }
    }
}

impl Drive {
    fn draw(random: &mut Random) -> Self {
        let chance = random.unit();
        Self {
            first: random.range(15.0, 34.0),
            growth: 1.3 + 4.5 * chance * chance,
            turn: Turn {
                roll: 0.025 * random.normal(),
                yaw: 0.09 * random.normal(),
                pitch: 0.04 * random.normal(),
            },
            pass: random.range(-0.12, 0.06),
        }
    }
}
