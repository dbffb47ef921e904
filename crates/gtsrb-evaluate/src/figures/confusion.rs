//! The confusion matrix as a picture.

use figure::{Svg, shorten};

use crate::metrics::Metrics;

/// Longest class name beside a row, in characters.
const NAME: usize = 50;

/// Cells from this opacity on need light text.
const DARK: f64 = 0.65;

/// Sizes of the drawing, in pixels.
struct Plan {
    classes: usize,
    cell: f64,
    left: f64,
    top: f64,
}

impl Plan {
    fn new(metrics: &Metrics) -> Self {
        let classes = metrics.classes.len();
        let longest = metrics.classes.iter().map(|c| c.name.chars().count().min(NAME)).max();
        let cell = (690.0 / classes as f64).clamp(9.0, 56.0).floor();
        let letter = if cell < 20.0 { 5.6 } else { 6.6 };
        Self {
            classes,
            cell,
            left: (56.0 + letter * longest.unwrap_or(0) as f64).max(110.0),
            top: 62.0,
        }
    }

    fn side(&self) -> f64 {
        self.cell * self.classes as f64
    }

    fn corner(&self, row: usize, column: usize) -> (f64, f64) {
        (self.left + self.cell * column as f64, self.top + self.cell * row as f64)
    }
}

/// Draws the matrix: a row per true class, a column per predicted class. Blue is
/// right (by the share of the row), red is wrong on a square-root scale, so that a
/// cell with one error is still seen beside one with a hundred.
#[must_use]
pub fn confusion(metrics: &Metrics) -> String {
    let plan = Plan::new(metrics);
    let width = plan.left + plan.side().max(490.0) + 16.0;
    let height = plan.top + plan.side() + 52.0;
    let mut svg = Svg::new(width, height, "Confusion matrix: true classes by predicted classes");
    svg.text("title", (plan.left, 18.0), "Confusion matrix");
    grid(&mut svg, &plan);
    labels(&mut svg, &plan, metrics);
    cells(&mut svg, &plan, metrics);
    legend(&mut svg, &plan, most_errors(metrics));
    svg.finish()
}

/// The largest count off the diagonal.
fn most_errors(metrics: &Metrics) -> u64 {
    let rows = metrics.confusion_true_by_predicted.iter().enumerate();
    let wrong = rows.flat_map(|(t, row)| {
        row.iter().enumerate().filter(move |(p, _)| *p != t).map(|(_, count)| *count)
    });
    wrong.max().unwrap_or(0)
}

fn grid(svg: &mut Svg, plan: &Plan) {
    let (side, step) = (plan.side(), if plan.classes > 12 { 5 } else { 1 });
    let marks = (0..=plan.classes).filter(|i| i % step == 0 || *i == plan.classes);
    for offset in marks.map(|i| plan.cell * i as f64) {
        let (x, y) = (plan.left + offset, plan.top + offset);
        svg.line("line", (x, plan.top), (x, plan.top + side));
        svg.line("line", (plan.left, y), (plan.left + side, y));
    }
}

fn labels(svg: &mut Svg, plan: &Plan, metrics: &Metrics) {
    let size = if plan.cell < 20.0 { "small" } else { "" };
    let every = if plan.cell < 12.0 { 5 } else { 1 };
    for class in metrics.classes.iter().filter(|c| c.class % every == 0) {
        let (x, y) = plan.corner(class.class, class.class);
        let middle = plan.cell / 2.0;
        let (name, number) = (shorten(&class.name, NAME), class.class.to_string());
        let (end, baseline) = (format!("end {size}"), y + middle + 3.5);
        svg.text(&end, (plan.left - 26.0, baseline), &name);
        svg.text(&end, (plan.left - 6.0, baseline), &number);
        svg.text(&format!("mid {size}"), (x + middle, plan.top - 6.0), &number);
    }
    svg.text("soft", (plan.left, plan.top - 24.0), "predicted class →");
    svg.text("soft end", (plan.left - 6.0, plan.top - 6.0), "true class ↓");
}

fn cells(svg: &mut Svg, plan: &Plan, metrics: &Metrics) {
    let most = most_errors(metrics) as f64;
    for (row, counts) in metrics.confusion_true_by_predicted.iter().enumerate() {
        let support = metrics.classes[row].support as f64;
        for (column, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = count as f64 / support;
            let (class, opacity) = if row == column {
                ("good", 0.15 + 0.85 * share)
            } else {
                ("bad", 0.2 + 0.8 * (count as f64 / most).sqrt())
            };
            let (x, y) = plan.corner(row, column);
            let inside = [x + 0.5, y + 0.5, plan.cell - 1.0, plan.cell - 1.0];
            let tip = tip(metrics, row, column, share);
            svg.cell(class, inside, opacity, &tip, &format!("{row}-{column}"));
            if plan.cell >= if row == column { 28.0 } else { 14.0 } {
                let size = if plan.cell < 20.0 { "tiny" } else { "" };
                let ink = if opacity > DARK { "light" } else { "" };
                let at = (x + plan.cell / 2.0, y + plan.cell / 2.0 + 3.0);
                svg.text(&format!("mid {size} {ink}"), at, &count.to_string());
            }
        }
    }
}

fn tip(metrics: &Metrics, row: usize, column: usize, share: f64) -> String {
    let count = metrics.confusion_true_by_predicted[row][column];
    let (truth, guess) = (&metrics.classes[row], &metrics.classes[column]);
    format!(
        "true {} {} → predicted {} {}: {count} of {} ({:.1} %)",
        truth.class,
        truth.name,
        guess.class,
        guess.name,
        truth.support,
        100.0 * share
    )
}

fn legend(svg: &mut Svg, plan: &Plan, most: u64) {
    let y = plan.top + plan.side() + 18.0;
    let mut ramp = |x: f64, class: &str, text: &str| {
        for step in 0..=4 {
            let opacity = 0.2 + 0.2 * f64::from(step);
            svg.rect(class, [x + 14.0 * f64::from(step), y, 13.0, 13.0], opacity, text);
        }
        svg.text("soft small", (x + 76.0, y + 10.0), text);
    };
    ramp(plan.left, "good", "right: share of the row");
    match most {
        0 => {}
        1 => ramp(plan.left + 215.0, "bad", "wrong: 1 error"),
        _ => ramp(plan.left + 215.0, "bad", &format!("wrong: 1 to {most} errors (square root)")),
    }
}
