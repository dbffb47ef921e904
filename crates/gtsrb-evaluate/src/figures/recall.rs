//! Recall of every class with its interval, worst first.

use figure::{Svg, shorten};

use crate::interval::wilson;
use crate::metrics::{ClassMetrics, Metrics};

/// Longest class name beside a row, in characters.
const NAME: usize = 50;
const WIDTH: f64 = 520.0;
const TOP: f64 = 62.0;
const ROW: f64 = 17.0;

/// Draws a dot for each class that has test images, with its 95 % interval
/// (Wilson), sorted from the lowest recall to the highest.
#[must_use]
pub fn recall(metrics: &Metrics) -> String {
    let mut bars: Vec<Bar> = metrics.classes.iter().filter_map(Bar::of).collect();
    bars.sort_by(|a, b| a.recall.total_cmp(&b.recall).then(a.class.class.cmp(&b.class.class)));
    let scale = Scale::of(&bars);
    let height = TOP + ROW * bars.len() as f64;
    let title = "Recall of each class with its 95 % interval, lowest first";
    let mut svg = Svg::new(scale.left + WIDTH + 70.0, height + 20.0, title);
    svg.text("title", (scale.left, 18.0), title);
    scale.draw(&mut svg, height);
    for (row, bar) in bars.iter().enumerate() {
        bar.draw(&mut svg, &scale, TOP + ROW * (row as f64 + 0.5));
    }
    svg.finish()
}

/// One class's row.
struct Bar<'a> {
    class: &'a ClassMetrics,
    recall: f64,
    interval: [f64; 2],
}

impl<'a> Bar<'a> {
    fn of(class: &'a ClassMetrics) -> Option<Self> {
        let recall = class.recall?;
        let hits = (recall * class.support as f64).round() as u64;
        Some(Self { class, recall, interval: wilson(hits, class.support) })
    }

    fn draw(&self, svg: &mut Svg, scale: &Scale, y: f64) {
        let (class, [from, to]) = (self.class, self.interval);
        svg.text("end", (scale.left - 34.0, y + 4.0), &shorten(&class.name, NAME));
        svg.text("end", (scale.left - 12.0, y + 4.0), &class.class.to_string());
        svg.line("stroke third", (scale.x(from), y), (scale.x(to), y));
        let tip = format!(
            "{}: {:.2} % of {} (95 % interval {:.2} to {:.2})",
            class.name,
            100.0 * self.recall,
            class.support,
            100.0 * from,
            100.0 * to
        );
        svg.dot("good", (scale.x(self.recall), y), 4.0, &tip);
        let share = format!("{:.1} %", 100.0 * self.recall);
        svg.text("soft small", (scale.left + WIDTH + 14.0, y + 3.0), &share);
    }
}

/// Where the plotting area begins, and which recall lies there.
struct Scale {
    left: f64,
    low: f64,
}

impl Scale {
    /// Room for the longest name; the lowest bound, rounded down to a tenth.
    fn of(bars: &[Bar]) -> Self {
        let longest = bars.iter().map(|b| b.class.name.chars().count().min(NAME)).max();
        let lowest = bars.iter().map(|b| b.interval[0]).fold(0.9, f64::min);
        Self { left: 50.0 + 6.6 * longest.unwrap_or(0) as f64, low: (lowest * 10.0).floor() / 10.0 }
    }

    fn x(&self, recall: f64) -> f64 {
        self.left + WIDTH * (recall - self.low) / (1.0 - self.low)
    }

    fn draw(&self, svg: &mut Svg, bottom: f64) {
        let step = if self.low >= 0.7 { 0.05 } else { 0.1 };
        let count = ((1.0 - self.low) / step).round() as u32;
        for value in (0..=count).map(|i| self.low + step * f64::from(i)) {
            let x = self.x(value);
            svg.line("line", (x, TOP - 4.0), (x, bottom));
            svg.text("soft small mid", (x, TOP - 10.0), &format!("{:.0} %", 100.0 * value));
        }
    }
}
