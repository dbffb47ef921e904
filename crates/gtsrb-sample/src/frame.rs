//! One picture: a scene at a moment, through the camera.

use signs::layout::{BORDER, MIN_BORDER};

use crate::backdrop::{Light, blend};
use crate::camera::Exposure;
use crate::pose::Map;
use crate::random::Random;
use crate::scene::{Moment, Scene};
use crate::texture::Texture;

/// A finished picture.
pub struct Frame {
    pub width: usize,
    pub height: usize,
    /// The sign's box: left, top, right, bottom, all inclusive.
    pub roi: [usize; 4],
    /// Red, green, blue, row by row.
    pub pixels: Vec<u8>,
}

/// Where the sign is in the picture.
struct Placement {
    width: usize,
    height: usize,
    roi: [usize; 4],
    /// From pixels to the sign's own coordinates.
    to_sign: Map,
    /// Pixels in a sign's width.
    scale: f32,
    /// The sign's middle, in pixels.
    middle: [f32; 2],
}

/// Draws the frame at `way` (0 to 1) of its track.
pub fn draw(texture: &Texture, scene: &Scene, way: f32, random: &mut Random) -> Frame {
    let moment = scene.moment(way, random);
    let place = place(texture, &moment, random);
    let (defocus, motion) = (scene.camera.defocus, scene.camera.motion);
    let shake = place.scale * moment.shake;
    let exposure = expose(texture, scene, &moment, &place)
        .smeared(motion[0] * shake, motion[1] * shake)
        .blurred((defocus[0] + defocus[1] * place.scale) * moment.focus);
    Frame {
        width: place.width,
        height: place.height,
        roi: place.roi,
        pixels: exposure.develop(scene.camera.noise, random),
    }
}

/// Cuts the picture around the sign with the benchmark's border, a little uneven, and draws
/// the box as people do: not quite where the sign ends.
fn place(texture: &Texture, moment: &Moment, random: &mut Random) -> Placement {
    let projection = moment.turn.project();
    let [left, top, right, bottom] = projection.bounds(&texture.outline);
    let (width, height) = (right - left, bottom - top);
    let scale = moment.size / width.max(height);
    let border = (moment.size * BORDER).max(MIN_BORDER as f32);
    let mut around = || border + random.range(0.0, 1.0 + 0.02 * moment.size);
    let (before, above, after, below) = (around(), around(), around(), around());
    let picture = [
        (width * scale + before + after).ceil() as usize,
        (height * scale + above + below).ceil() as usize,
    ];
    let middle = [before - left * scale, above - top * scale];
    // Far less than the border, so the box stays inside the picture.
    let slip = 0.2 + 0.006 * moment.size;
    let mut edge = |at: f32| (at + slip * random.normal()).max(0.0) as usize;
    let roi =
        [edge(before), edge(above), edge(before + width * scale), edge(above + height * scale)];
    Placement {
        width: picture[0],
        height: picture[1],
        roi,
        to_sign: projection.placed(scale, middle[0], middle[1]).inverse(),
        scale,
        middle,
    }
}

fn expose(texture: &Texture, scene: &Scene, moment: &Moment, place: &Placement) -> Exposure {
    let mut light = Vec::with_capacity(place.width * place.height);
    for y in 0..place.height {
        for x in 0..place.width {
            let seen = look(texture, scene, moment, place, [x as f32, y as f32]);
            let exposed =
                |c: usize| (seen[c] * scene.light.tint[c] + scene.light.veil) * moment.exposure;
            light.push(std::array::from_fn(exposed));
        }
    }
    Exposure { width: place.width, height: place.height, light }
}

/// The light of the pixel whose corner is at (x, y): backdrop, post, sign, leaves before it.
fn look(
    texture: &Texture,
    scene: &Scene,
    moment: &Moment,
    place: &Placement,
    pixel: [f32; 2],
) -> Light {
    let [x, y] = pixel;
    let [u, v] = place.to_sign.apply(x + 0.5, y + 0.5);
    let (bright, dim) = (scene.light.sign, scene.light.behind);
    let behind = if let Some(post) = scene.backdrop.post(u, v) {
        post.map(|channel| channel * bright)
    } else {
        let [middle_x, middle_y] = place.middle;
        let (across, down) = ((x - middle_x) / place.scale, (y - middle_y) / place.scale);
        let [slide_x, slide_y] = moment.slide;
        let (x, y) = (across * moment.zoom + slide_x, down * moment.zoom + slide_y);
        scene.backdrop.light(x, y).map(|channel| channel * dim * moment.behind)
    };
    let texel = gather(texture, place, x, y);
    let mut light = behind;
    if texel[3] > 0.0 {
        let (sign, coverage) = scene.paint.finish(texel, u, v);
        light = std::array::from_fn(|c| behind[c] * (1.0 - coverage) + sign[c] * bright);
    }
    if let Some((leaf, coverage)) = scene.paint.before(u, v) {
        light = blend(light, leaf.map(|channel| channel * bright), coverage);
    }
    light
}

/// The sign over one pixel: the mean of points within it.
fn gather(texture: &Texture, place: &Placement, x: f32, y: f32) -> [f32; 4] {
    const POINTS: usize = 3;
    let footprint = 1.0 / (place.scale * POINTS as f32);
    let mut sum = [0.0; 4];
    for point in 0..POINTS * POINTS {
        let within = |i: usize| (i as f32 + 0.5) / POINTS as f32;
        let (dx, dy) = (within(point % POINTS), within(point / POINTS));
        let [u, v] = place.to_sign.apply(x + dx, y + dy);
        for (total, channel) in sum.iter_mut().zip(texture.sample(u, v, footprint)) {
            *total += channel / (POINTS * POINTS) as f32;
        }
    }
    sum
}
