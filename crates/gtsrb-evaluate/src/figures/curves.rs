//! Training in pictures: what the penalty does, and how the fits went.

use figure::{Axis, Curve, Panel, Svg};

use crate::training::{Training, Trial};

const AREA: [f64; 2] = [270.0, 200.0];
const TOP: f64 = 44.0;

/// Points of a curve.
type Points = Vec<(f64, f64)>;

/// Draws three panels: accuracy along the λ path, log-loss along the λ path, and the
/// losses by iteration at the chosen λ and in the final fit.
#[must_use]
pub fn curves(training: &Training) -> String {
    let mut svg = Svg::new(1040.0, TOP + AREA[1] + 64.0, "Training curves");
    let place = |panel: u8| [52.0 + 352.0 * f64::from(panel), TOP, AREA[0], AREA[1]];
    accuracy(&mut svg, place(0), training);
    loss(&mut svg, place(1), training);
    iterations(&mut svg, place(2), training);
    svg.finish()
}

/// A value of every trial, by λ.
fn along(training: &Training, value: fn(&Trial) -> f64) -> Points {
    let mut points: Points = training.path.iter().map(|t| (t.lambda, value(t))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn accuracy(svg: &mut Svg, area: [f64; 4], training: &Training) {
    let curves = [
        Curve::new("training", "good", along(training, |t| 100.0 * t.train_accuracy)),
        Curve::new("validation", "bad", along(training, |t| 100.0 * t.validation_accuracy)),
    ];
    path_panel(svg, area, "Accuracy in % by penalty λ", Axis::percent, training.lambda, &curves);
}

fn loss(svg: &mut Svg, area: [f64; 4], training: &Training) {
    let curves = [
        Curve::new("training", "good", along(training, |t| t.train_loss)),
        Curve::new("validation", "bad", along(training, |t| t.validation_loss)),
        Curve::new("with temperature", "bad dash", along(training, |t| t.calibrated_loss)),
    ];
    path_panel(svg, area, "Log-loss by penalty λ", Axis::even, training.lambda, &curves);
}

fn path_panel(
    svg: &mut Svg,
    area: [f64; 4],
    title: &str,
    y: fn(std::vec::IntoIter<f64>) -> Axis,
    chosen: f64,
    curves: &[Curve],
) {
    let values = |pick: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        curves.iter().flat_map(|c| c.points.iter().map(pick)).collect()
    };
    let (x, y) = (Axis::log(values(|p| p.0).into_iter()), y(values(|p| p.1).into_iter()));
    let panel = Panel { area, title, under: "λ (dashed: the chosen one)", x, y };
    panel.draw(svg, curves);
    panel.mark(svg, chosen);
}

fn iterations(svg: &mut Svg, area: [f64; 4], training: &Training) {
    let numbered = |losses: &[f64]| -> Points {
        losses.iter().enumerate().map(|(i, loss)| (i as f64, *loss)).collect()
    };
    let mut curves = Vec::new();
    if let Some(trial) = training.chosen() {
        let looks = trial.validation_curve.iter().map(|look| (look.iteration as f64, look.loss));
        curves.push(Curve::new("objective", "good", numbered(&trial.losses)));
        curves.push(Curve::new("validation", "bad", looks.collect()));
    }
    curves.push(Curve::new("final fit", "third dash", numbered(&training.losses)));
    let values =
        |pick: fn(&(f64, f64)) -> f64| curves.iter().flat_map(move |c| c.points.iter().map(pick));
    let (x, y) = (Axis::even(values(|p| p.0)), Axis::log(values(|p| p.1)));
    let title = "Loss by iteration at the chosen λ";
    Panel { area, title, under: "iteration", x, y }.draw(svg, &curves);
}
