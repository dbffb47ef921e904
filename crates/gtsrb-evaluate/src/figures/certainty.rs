//! How far confidence can be trusted: a reliability diagram, and accuracy by coverage.

use figure::{Axis, Curve, Panel, Svg};

use crate::calibration::Honesty;
use crate::metrics::Metrics;

const AREA: [f64; 2] = [400.0, 300.0];
const TOP: f64 = 44.0;

/// Points of a curve.
type Points = Vec<(f64, f64)>;

/// Draws two panels: share of right answers by confidence, before and after temperature
/// scaling; and the accuracy of the most confident answers by how many they are.
#[must_use]
pub fn certainty(metrics: &Metrics) -> String {
    let title = "Accuracy by confidence, and by share of pictures answered";
    let mut svg = Svg::new(1040.0, TOP + AREA[1] + 64.0, title);
    reliability(&mut svg, [52.0, TOP, AREA[0], AREA[1]], metrics);
    coverage(&mut svg, [572.0, TOP, AREA[0], AREA[1]], metrics);
    svg.finish()
}

/// Mean confidence and accuracy of every bin with images, in percent.
fn points(honesty: &Honesty) -> Points {
    let point =
        |bin: &crate::calibration::Bin| Some((100.0 * bin.confidence?, 100.0 * bin.accuracy?));
    honesty.bins.iter().filter_map(point).collect()
}

fn reliability(svg: &mut Svg, area: [f64; 4], metrics: &Metrics) {
    let curves = [
        Curve::new("honest", "third dash", vec![(0.0, 0.0), (100.0, 100.0)]),
        Curve::new("as trained", "bad", points(&metrics.calibration.before)),
        Curve::new("with temperature", "good", points(&metrics.calibration.after)),
    ];
    let [x, y] = [Axis::percent([0.0, 100.0].into_iter()); 2];
    let (title, under) = ("Accuracy in % by confidence", "confidence in %");
    Panel { area, title, under, x, y }.draw(svg, &curves);
}

fn coverage(svg: &mut Svg, area: [f64; 4], metrics: &Metrics) {
    let selective = &metrics.selective;
    let percent = |[coverage, risk]: &[f64; 2]| (100.0 * coverage, 100.0 - 100.0 * risk);
    let points: Points = selective.risk_by_coverage.iter().map(percent).collect();
    let wished = 100.0 * selective.wished_accuracy;
    let curves = [
        Curve::new("accuracy", "good", points),
        Curve::new("wished", "third dash", vec![(0.0, wished), (100.0, wished)]),
    ];
    let values = |pick: fn(&(f64, f64)) -> f64| {
        curves.iter().flat_map(move |curve| curve.points.iter().map(pick))
    };
    let (x, y) = (Axis::percent(values(|p| p.0)), Axis::percent(values(|p| p.1)));
    let title = "Accuracy in % of the most confident answers";
    let panel = Panel { area, title, under: "pictures answered, in %", x, y };
    panel.draw(svg, &curves);
    if let Some(threshold) = &selective.threshold {
        panel.mark(svg, 100.0 * threshold.test.coverage);
    }
}
