//! One panel of a line chart: axes, ticks, and the map from values to pixels.

use crate::svg::Svg;

/// An axis from `low` to `high`, evenly spaced in the value or in its logarithm.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Marked at powers of 2 instead of 10.
    doubling: bool,
}

impl Axis {
    /// An even axis that holds all `values` with a little air.
    #[must_use]
    pub fn even(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range(values);
        let air = ((high - low) * 0.06).max(1e-3);
        Self { low: low - air, high: high + air, log: false, doubling: false }
    }

    /// An even axis that holds all percentages `values`, and none above 100.
    #[must_use]
    pub fn percent(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range(values);
        let air = ((high - low) * 0.06).max(0.5);
        Self { low: low - air, high: (high + air).min(100.0), log: false, doubling: false }
    }

    /// A logarithmic axis that holds all positive `values`.
    #[must_use]
    pub fn log(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range(values.filter(|v| *v > 0.0).map(f64::log10));
        let air = ((high - low) * 0.06).max(0.05);
        Self { low: low - air, high: high + air, log: true, doubling: false }
    }

    /// A logarithmic axis that holds all positive `values` and is marked at powers of 2.
    #[must_use]
    pub fn doubling(values: impl Iterator<Item = f64>) -> Self {
        Self { doubling: true, ..Self::log(values) }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end; `None` if it has no
    /// place (not finite, or not positive on a logarithmic axis).
    fn place(&self, value: f64) -> Option<f64> {
        let scaled = if self.log { value.log10() } else { value };
        scaled.is_finite().then(|| (scaled - self.low) / (self.high - self.low))
    }

    /// Marked values and their labels.
    fn ticks(&self) -> Vec<(f64, String)> {
        if self.doubling {
            return self.doublings();
        }
        if self.log && self.high - self.low > 1.2 {
            return self.decades();
        }
        let (low, high) = if self.log {
            (10_f64.powf(self.low), 10_f64.powf(self.high))
        } else {
            (self.low, self.high)
        };
        let step = nice_step((high - low) / 4.0);
        let first = (low / step).ceil() as i64;
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        (first..first + 12)
            .map(|i| i as f64 * step)
            .take_while(|v| *v <= high)
            .map(|v| (v, format!("{v:.decimals$}")))
            .collect()
    }

    fn doublings(&self) -> Vec<(f64, String)> {
        let (first, last) = (self.low / 2_f64.log10(), self.high / 2_f64.log10());
        let powers = (first.ceil() as i32..=last.floor() as i32).map(|e| 2_f64.powi(e));
        powers.map(|value| (value, value.to_string())).collect()
    }

    fn decades(&self) -> Vec<(f64, String)> {
        let (first, last) = (self.low.ceil() as i32, self.high.floor() as i32);
        let every = ((last - first) / 6 + 1) as usize;
        (first..=last).step_by(every).map(|e| (10_f64.powi(e), power(e))).collect()
    }
}

/// Smallest and largest finite value; 0 to 1 where there is none.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|v| v.is_finite());
    let ends = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if ends.0 <= ends.1 { ends } else { (0.0, 1.0) }
}

/// `step` rounded up to 1, 2 or 5 times a power of ten.
fn nice_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= step).unwrap_or(10.0);
    factor * power
}

/// A power of ten as people write it.
fn power(exponent: i32) -> String {
    match exponent {
        0 => "1".into(),
        1 => "10".into(),
        -2 => "0.01".into(),
        -1 => "0.1".into(),
        e => format!("1e{e}"),
    }
}

/// A curve of a panel.
pub struct Curve<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// Style: `good`, `bad` or `third`, with `dash` for a dashed line.
    pub class: &'a str,
    /// Its points, x ascending.
    pub points: Vec<(f64, f64)>,
}

impl<'a> Curve<'a> {
    /// A curve.
    #[must_use]
    pub fn new(name: &'a str, class: &'a str, points: Vec<(f64, f64)>) -> Self {
        Self { name, class, points }
    }
}

/// Where a panel is and what its axes say.
pub struct Panel<'a> {
    /// Left, top, width and height of the plotting area.
    pub area: [f64; 4],
    /// Above the panel.
    pub title: &'a str,
    /// Below the panel.
    pub under: &'a str,
    /// Values along x.
    pub x: Axis,
    /// Values along y.
    pub y: Axis,
}

impl Panel<'_> {
    /// Draws the frame, the ticks, the curves with a dot a point, and their names.
    pub fn draw(&self, svg: &mut Svg, curves: &[Curve]) {
        self.frame(svg);
        for (i, curve) in curves.iter().enumerate() {
            let class = format!("stroke {}", curve.class);
            let places: Vec<_> = curve.points.iter().filter_map(|p| self.place(*p)).collect();
            svg.path(&class, &places);
            if places.len() <= 40 {
                self.dots(svg, curve);
            }
            let [left, top, _, height] = self.area;
            let (x, y) = (left + 98.0 * i as f64, top + height + 52.0);
            svg.path(&class, &[(x, y - 4.0), (x + 18.0, y - 4.0)]);
            svg.text("", (x + 23.0, y), curve.name);
        }
    }

    /// A dashed vertical line at `x`.
    pub fn mark(&self, svg: &mut Svg, x: f64) {
        let [left, top, width, height] = self.area;
        if let Some(share) = self.x.place(x) {
            let x = left + share * width;
            svg.path("stroke third dash", &[(x, top), (x, top + height)]);
        }
    }

    /// A vertical bar at `x` from `low` to `high`: how far a value may be off.
    pub fn bar(&self, svg: &mut Svg, class: &str, x: f64, [low, high]: [f64; 2]) {
        let [_, top, _, height] = self.area;
        if let (Some(from), Some(to)) = (self.place((x, low)), self.place((x, high))) {
            let inside = |(x, y): (f64, f64)| (x, y.clamp(top, top + height));
            svg.line(&format!("stroke {class}"), inside(from), inside(to));
        }
    }

    /// A dot at the values `at`, with a text for whoever points at it.
    pub fn dot(&self, svg: &mut Svg, class: &str, at: (f64, f64), radius: f64, tip: &str) {
        if let Some(place) = self.place(at) {
            svg.dot(class, place, radius, tip);
        }
    }

    fn dots(&self, svg: &mut Svg, curve: &Curve) {
        let class = curve.class.split(' ').next().unwrap_or("good");
        for &(x, y) in &curve.points {
            let tip = format!("{}: {} at {}", curve.name, short(y), short(x));
            self.dot(svg, class, (x, y), 3.0, &tip);
        }
    }

    fn place(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let [left, top, width, height] = self.area;
        Some((left + self.x.place(x)? * width, top + (1.0 - self.y.place(y)?) * height))
    }

    fn frame(&self, svg: &mut Svg) {
        let [left, top, width, height] = self.area;
        svg.text("title", (left, top - 12.0), self.title);
        svg.text("soft mid", (left + width / 2.0, top + height + 32.0), self.under);
        for (value, label) in self.y.ticks() {
            let y = top + height * (1.0 - self.y.place(value).unwrap_or(0.0));
            svg.line("line", (left, y), (left + width, y));
            svg.text("soft end", (left - 6.0, y + 4.0), &label);
        }
        for (value, label) in self.x.ticks() {
            let x = left + width * self.x.place(value).unwrap_or(0.0);
            svg.line("line", (x, top), (x, top + height));
            svg.text("soft mid", (x, top + height + 16.0), &label);
        }
    }
}

/// A number with four significant digits.
fn short(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.3e}");
    }
    let decimals = (3.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ticks_are_round_and_inside() {
        let axis = Axis::even([0.931, 0.987].into_iter());
        let labels: Vec<_> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0.94", "0.96", "0.98"]);
    }

    #[test]
    fn percentages_end_at_a_hundred() {
        let axis = Axis::percent([100.0, 100.0].into_iter());
        let labels: Vec<_> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["99.6", "99.8", "100.0"]);
    }

    #[test]
    fn log_ticks_are_powers_of_ten() {
        let axis = Axis::log([1e-4, 1.0].into_iter());
        let labels: Vec<_> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["1e-4", "1e-3", "0.01", "0.1", "1"]);
    }

    #[test]
    fn doubling_ticks_are_powers_of_two() {
        let axis = Axis::doubling([1.0, 24.3].into_iter());
        let labels: Vec<_> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["1", "2", "4", "8", "16"]);
    }

    #[test]
    fn odd_values_do_not_break_an_axis() {
        for values in [vec![], vec![f64::NAN], vec![2.0], vec![0.0, 0.0], vec![-1.0, 3e9]] {
            let (even, log) =
                (Axis::even(values.iter().copied()), Axis::log(values.iter().copied()));
            assert!(even.ticks().len() < 13 && log.ticks().len() < 13);
        }
    }

    #[test]
    fn short_numbers() {
        assert_eq!(short(0.975_834), "0.9758");
        assert_eq!(short(1e-6), "1.000e-6");
        assert_eq!(short(30.0), "30");
        assert_eq!(short(0.0), "0");
    }
}
