//! Recall of every class with its interval, worst first.

use super::svg::{Svg, shorten};
use crate::interval::wilson;
use crate::metrics::{ClassMetrics, Metrics};

const LEFT: f64 = 340.0;
const WIDTH: f64 = 520.0;
const TOP: f64 = 62.0;
const ROW: f64 = 17.0;

/// Draws a dot for each class that has test images, with its 95 % interval
/// (Wilson), sorted from the lowest recall to the highest.
#[must_use]
pub fn recall(metrics: &Metrics) -> String {
    let mut classes: Vec<&ClassMetrics> = metrics
        .classes
        .iter()
        .filter(|c| c.recall.is_some())
        .collect();
    classes.sort_by(|a, b| {
        let by_recall = a.recall.unwrap_or(0.0).total_cmp(&b.recall.unwrap_or(0.0));
        by_recall.then(a.class.cmp(&b.class))
    });
    let height = TOP + ROW * classes.len() as f64;
    let title = "Recall of each class with its 95 % interval, lowest first";
    let mut svg = Svg::new(LEFT + WIDTH + 90.0, height + 20.0, title);
    svg.text("title", (LEFT, 18.0), title);
    let low = lowest(&classes);
    scale(&mut svg, low, height);
    for (row, class) in classes.iter().enumerate() {
        draw(&mut svg, class, low, TOP + ROW * (row as f64 + 0.5));
    }
    svg.finish()
}

/// Left end of the scale: the lowest bound, rounded down to a tenth.
fn lowest(classes: &[&ClassMetrics]) -> f64 {
    let bounds = classes.iter().map(|c| interval(c)[0]);
    (bounds.fold(0.9, f64::min) * 10.0).floor() / 10.0
}

fn interval(class: &ClassMetrics) -> [f64; 2] {
    let hits = class.recall.unwrap_or(0.0) * class.support as f64;
    wilson(hits.round() as u64, class.support)
}

fn place(value: f64, low: f64) -> f64 {
    LEFT + WIDTH * (value - low) / (1.0 - low)
}

fn scale(svg: &mut Svg, low: f64, bottom: f64) {
    let step = if low >= 0.7 { 0.05 } else { 0.1 };
    let count = ((1.0 - low) / step).round() as u32;
    for value in (0..=count).map(|i| low + step * f64::from(i)) {
        let x = place(value, low);
        svg.line("line", (x, TOP - 4.0), (x, bottom));
        svg.text(
            "soft small mid",
            (x, TOP - 10.0),
            &format!("{:.0} %", value * 100.0),
        );
    }
}

fn draw(svg: &mut Svg, class: &ClassMetrics, low: f64, y: f64) {
    let recall = class.recall.unwrap_or(0.0);
    let [from, to] = interval(class);
    svg.text("end", (LEFT - 36.0, y + 4.0), &shorten(&class.name, 44));
    svg.text("end", (LEFT - 12.0, y + 4.0), &class.class.to_string());
    svg.line("stroke third", (place(from, low), y), (place(to, low), y));
    let (share, support) = (recall * 100.0, class.support);
    let tip = format!(
        "{}: {share:.2} % of {support} (95 % interval {:.2} to {:.2})",
        class.name,
        from * 100.0,
        to * 100.0
    );
    svg.dot("good", (place(recall, low), y), 4.0, &tip);
    svg.text(
        "soft small",
        (LEFT + WIDTH + 14.0, y + 3.0),
        &format!("{share:.1} %"),
    );
}
