//! The test images as points on a map.

use figure::{Marks, Svg};

use crate::map::Map;

const WIDTH: f64 = 760.0;
const AIR: f64 = 24.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 34.0;

/// Heights of the map, whatever the shape of the cloud.
const HEIGHTS: [f64; 2] = [300.0, 760.0];

/// A cross from its centre.
const CROSS: &str = "m-3.5-3.5l7 7m0-7l-7 7";

/// Draws a dot for each test image (where there are many, for every so manieth) in a colour of its
/// class, a cross on each mistake among them, and the number of each class in the middle of its
/// images. Gives the drawing, and where in it each image is.
#[must_use]
pub fn map(map: &Map) -> (String, Vec<(f64, f64)>) {
    let scale = Scale::of(&map.places);
    let at: Vec<(f64, f64)> = map.places.iter().map(|place| scale.place(*place)).collect();
    let title = "Map of the test images: near points have similar embeddings";
    let mut svg = Svg::new(WIDTH, TOP + scale.height + BOTTOM, title);
    svg.text("title", (AIR, 18.0), title);
    dots(&mut svg, map, &at);
    let wrong = drawn(map).filter(|&row| map.predicted[row] != map.labels[row]);
    let wrong: Vec<_> = wrong.map(|row| at[row]).collect();
    svg.marks(&Marks { class: "bad", colour: None, name: "mistakes" }, CROSS, &wrong);
    names(&mut svg, map, &at);
    let some = match map.every() {
        1 => String::new(),
        every => format!("; one of {every} images is drawn"),
    };
    let [x, y] = map.shares.map(|share| format!("{:.1} %", 100.0 * share));
    let under = format!(
        "→ first principal direction ({x} of the variance), ↑ second ({y}); crosses are mistakes{some}"
    );
    svg.text("soft", (AIR, TOP + scale.height + 22.0), &under);
    (svg.finish(), at)
}

/// The images that are drawn.
fn drawn(map: &Map) -> impl Iterator<Item = usize> {
    (0..map.places.len()).step_by(map.every())
}

fn dots(svg: &mut Svg, map: &Map, at: &[(f64, f64)]) {
    for class in 0..map.classes {
        let here: Vec<_> =
            drawn(map).filter(|&row| map.labels[row] == class).map(|row| at[row]).collect();
        if !here.is_empty() {
            let (colour, name) = (Some(colour(class)), class.to_string());
            svg.marks(&Marks { class: "", colour, name: &name }, "h0", &here);
        }
    }
}

/// The number of each class where the median of its dots is.
fn names(svg: &mut Svg, map: &Map, at: &[(f64, f64)]) {
    for class in 0..map.classes {
        let here = || map.labels.iter().zip(at).filter(|(label, _)| **label == class);
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        let x = middle(here().map(|(_, at)| at.0).collect());
        let y = middle(here().map(|(_, at)| at.1).collect());
        if let (Some(x), Some(y)) = (x, y) {
            svg.text("mid halo", (x, y + 4.0), &class.to_string());
        }
    }
}

/// Well apart for neighbouring numbers: hues by the golden angle, three degrees of lightness.
fn colour(class: usize) -> [u8; 3] {
    let hue = (class as f64 * 0.618_033_988_749_895).fract() * 6.0;
    let light = [0.42, 0.54, 0.66][class % 3];
    let reach: f64 = 0.65 * f64::min(light, 1.0 - light);
    // Red, green and blue of hue, saturation and lightness (CSS Color 4, section 7.1).
    [0.0, 4.0, 2.0].map(|shift| {
        let step = (hue + shift) % 6.0;
        let part = light + reach * (2.0 * (step - 3.0).abs() - 3.0).clamp(-1.0, 1.0);
        (255.0 * part).round() as u8
    })
}

/// From the plane of the two directions to the drawing; a step is as long in both.
struct Scale {
    left: f64,
    low: f64,
    step: f64,
    height: f64,
}

impl Scale {
    fn of(places: &[[f32; 2]]) -> Self {
        let range = |axis: usize| {
            let values = places.iter().map(|place| f64::from(place[axis]));
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
        };
        let ((left, right), (low, high)) = (range(0), range(1));
        let inner = WIDTH - 2.0 * AIR;
        let (wide, tall) = ((right - left).max(1e-6), (high - low).max(1e-6));
        let step = f64::min(inner / wide, HEIGHTS[1] / tall);
        Self {
            left: left - (inner / step - wide) / 2.0,
            low,
            step,
            height: (tall * step).clamp(HEIGHTS[0], HEIGHTS[1]),
        }
    }

    fn place(&self, [x, y]: [f32; 2]) -> (f64, f64) {
        let right = AIR + self.step * (f64::from(x) - self.left);
        let down = TOP + self.height - self.step * (f64::from(y) - self.low);
        (right, down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stay_inside_and_keep_their_shape() {
        let map = Map {
            places: vec![[-3.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.5]],
            shares: [0.5, 0.25],
            labels: vec![0, 1, 1, 0],
            predicted: vec![0, 0, 1, 0],
            classes: 3,
        };
        let (drawing, at) = super::map(&map);
        for &(x, y) in &at {
            assert!((AIR..=WIDTH - AIR).contains(&x) && y >= TOP);
        }
        assert!((at[1].0 - at[0].0 - 4.0 * (at[2].1 - at[1].1)).abs() < 1e-9);
        assert_eq!(drawing.matches("data-marks").count(), 3);
        assert!(drawing.contains(&format!("d=\"M{:.1} {:.1}{CROSS}\"", at[1].0, at[1].1)));
        assert!(drawing.contains("(50.0 % of the variance)"));
    }

    #[test]
    fn odd_clouds_are_drawn() {
        for places in [vec![], vec![[2.0, 2.0]], vec![[0.0, 0.0], [0.0, 9.0]]] {
            let labels = vec![0; places.len()];
            let map =
                Map { places, shares: [0.0; 2], predicted: labels.clone(), labels, classes: 1 };
            assert!(!super::map(&map).0.contains("NaN"));
        }
    }

    #[test]
    fn colours_are_those_of_the_standard() {
        // hsl(0 65% 42%): its extremes are 0.42 ± 0.65 * 0.42.
        assert_eq!(colour(0), [177, 37, 37]);
        let all: std::collections::BTreeSet<_> = (0..43).map(colour).collect();
        assert_eq!(all.len(), 43);
    }
}
