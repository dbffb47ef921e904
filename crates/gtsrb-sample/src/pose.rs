//! Where a sign stands before the camera: the projection of its plane into the picture.

/// Distance from which a sign is seen, in sign widths: sets how strong perspective is.
const DISTANCE: f32 = 5.0;

/// How a sign is turned. Each angle is given as the tangent of its half, from which sine and
/// cosine follow by exact arithmetic: a library's sine may differ between machines.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// In the picture's plane, clockwise.
    pub roll: f32,
    /// About the vertical axis.
    pub yaw: f32,
    /// About the horizontal axis.
    pub pitch: f32,
}

/// A projective map of the plane, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Map([[f32; 3]; 3]);

/// Left, top, right, bottom.
pub type Bounds = [f32; 4];

/// Sine and cosine of the angle whose half has this tangent.
fn sine_cosine(half_tangent: f32) -> (f32, f32) {
    let square = half_tangent * half_tangent;
    (2.0 * half_tangent / (1.0 + square), (1.0 - square) / (1.0 + square))
}

impl Turn {
    /// From the sign's own coordinates to the picture's, in units of the sign's width, with
    /// the sign's middle at (0, 0).
    pub fn project(self) -> Map {
        let (roll_sin, roll_cos) = sine_cosine(self.roll);
        let (yaw_sin, yaw_cos) = sine_cosine(self.yaw);
        let (pitch_sin, pitch_cos) = sine_cosine(self.pitch);
        // Where the sign's axes (after the roll) go under yaw, then pitch: x, y, depth.
        let turn = |x: f32, y: f32| {
            let depth = -x * yaw_sin;
            [x * yaw_cos, y * pitch_cos - depth * pitch_sin, y * pitch_sin + depth * pitch_cos]
        };
        let right = turn(roll_cos, roll_sin);
        let down = turn(-roll_sin, roll_cos);
        Map([
            [right[0], down[0], 0.0],
            [right[1], down[1], 0.0],
            [right[2] / DISTANCE, down[2] / DISTANCE, 1.0],
        ])
    }
}

impl Map {
    /// Then scales by `scale` and moves the origin to (x, y).
    pub fn placed(self, scale: f32, x: f32, y: f32) -> Self {
        let [a, b, c] = self.0;
        let row =
            |axis: [f32; 3], origin: f32| std::array::from_fn(|i| axis[i] * scale + c[i] * origin);
        Self([row(a, x), row(b, y), c])
    }

    /// The map back; ours are never singular: signs are not seen from the side.
    pub fn inverse(self) -> Self {
        let [[a, b, c], [d, e, f], [g, h, i]] = self.0;
        Self([
            [e * i - f * h, c * h - b * i, b * f - c * e],
            [f * g - d * i, a * i - c * g, c * d - a * f],
            [d * h - e * g, b * g - a * h, a * e - b * d],
        ])
    }

    /// Where a point goes.
    pub fn apply(self, x: f32, y: f32) -> [f32; 2] {
        let [first, second, third] = self.0.map(|row| row[0] * x + row[1] * y + row[2]);
        [first / third, second / third]
    }

    /// The box around these points after the map.
    pub fn bounds(self, points: &[[f32; 2]]) -> Bounds {
        let start = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        points.iter().fold(start, |[left, top, right, bottom], point| {
            let [x, y] = self.apply(point[0], point[1]);
            [left.min(x), top.min(y), right.max(x), bottom.max(y)]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_the_way_there() {
        let map = Turn { roll: 0.1, yaw: -0.2, pitch: 0.05 }.project().placed(80.0, 50.0, 60.0);
        for [u, v] in [[0.0, 0.0], [0.4, -0.3], [-0.5, 0.5]] {
            let [x, y] = map.apply(u, v);
            let [back_u, back_v] = map.inverse().apply(x, y);
            assert!((back_u - u).abs() < 1e-4 && (back_v - v).abs() < 1e-4);
        }
        let [x, y] = map.apply(0.0, 0.0);
        assert!((x - 50.0).abs() < 1e-5 && (y - 60.0).abs() < 1e-5);
    }

    #[test]
    fn a_quarter_turn_moves_right_to_down() {
        let [x, y] = Turn { roll: 1.0, yaw: 0.0, pitch: 0.0 }.project().apply(0.5, 0.0);
        assert!(x.abs() < 1e-6 && (y - 0.5).abs() < 1e-6);
    }
}
