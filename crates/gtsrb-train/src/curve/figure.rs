//! A curve as a picture.

use figure::{Axis, Curve as Line, Panel, Svg};

use super::Curve;

impl Curve {
    /// Draws the accuracies with their spread, on a logarithmic axis.
    pub fn draw(&self) -> String {
        let mut svg = Svg::new(640.0, 400.0, "Accuracy by the number of pictures learned from");
        let points: Vec<_> = self.points.iter().map(|p| (p.a_class, 100.0 * p.mean)).collect();
        let ends = self.points.iter().flat_map(|p| [p.mean - p.deviation, p.mean + p.deviation]);
        let title =
            format!("Accuracy in % on {} {} images", self.measured_images, self.measured_on);
        let under = format!("{} a class", self.counted);
        let panel = Panel {
            area: [60.0, 48.0, 550.0, 270.0],
            title: &title,
            under: &under,
            x: Axis::doubling(points.iter().map(|p| p.0)),
            y: Axis::percent(ends.map(|end| 100.0 * end)),
        };
        panel.draw(&mut svg, &[Line::new(&self.legend(), "good", points)]);
        for point in &self.points {
            let (mean, deviation) = (100.0 * point.mean, 100.0 * point.deviation);
            panel.bar(&mut svg, "third", point.a_class, [mean - deviation, mean + deviation]);
        }
        svg.finish()
    }

    fn legend(&self) -> String {
        let draws = self.points.iter().map(|point| point.accuracies.len()).max().unwrap_or(0);
        format!("mean of {draws} draws; bars: ± one standard deviation")
    }
}
