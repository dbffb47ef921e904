//! Training in pictures: what the penalty does, and how it went.

use figure::{Axis, Curve, Panel, Svg};

use crate::training::{Look, Solver, Training, Trial};

const AREA: [f64; 2] = [270.0, 200.0];
const TOP: f64 = 44.0;

/// Points of a curve.
type Points = Vec<(f64, f64)>;

/// Draws a path of penalties in three panels: accuracy and log-loss by λ, and log-loss by
/// iteration from one λ to the next; or accuracy and log-loss by epoch.
#[must_use]
pub fn curves(training: &Training) -> String {
    let panels = if matches!(training.solver, Solver::Lbfgs { .. }) { 3.0 } else { 2.0 };
    let mut svg = Svg::new(352.0 * panels - 16.0, TOP + AREA[1] + 64.0, "Training curves");
    match &training.solver {
        Solver::Lbfgs { lambda, first, path } => {
            accuracy(&mut svg, place(0), path, *lambda);
            loss(&mut svg, place(1), path, *lambda);
            iterations(&mut svg, place(2), path, *first);
        }
        Solver::Sgd { course } => epochs(&mut svg, &course.curve),
    }
    svg.finish()
}

/// The area of a panel.
fn place(panel: u8) -> [f64; 4] {
    [52.0 + 352.0 * f64::from(panel), TOP, AREA[0], AREA[1]]
}

/// All values of some curves along an axis.
fn values<'a>(
    curves: &'a [Curve],
    pick: fn(&(f64, f64)) -> f64,
) -> impl Iterator<Item = f64> + use<'a> {
    curves.iter().flat_map(move |curve| curve.points.iter().map(pick))
}

/// A value of every trial, by λ.
fn along(path: &[Trial], value: fn(&Trial) -> f64) -> Points {
    let mut points: Points = path.iter().map(|t| (t.lambda, value(t))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn accuracy(svg: &mut Svg, area: [f64; 4], path: &[Trial], chosen: f64) {
    let curves = [
        Curve::new("training", "good", along(path, |t| 100.0 * t.train_accuracy)),
        Curve::new("validation", "bad", along(path, |t| 100.0 * t.validation_accuracy)),
    ];
    let y = Axis::percent(values(&curves, |p| p.1));
    by_penalty(svg, area, "Accuracy in % by penalty λ", y, chosen, &curves);
}

fn loss(svg: &mut Svg, area: [f64; 4], path: &[Trial], chosen: f64) {
    let curves = [
        Curve::new("training", "good", along(path, |t| t.train_loss)),
        Curve::new("validation", "bad", along(path, |t| t.validation_loss)),
        Curve::new("with temperature", "bad dash", along(path, |t| t.calibrated_loss)),
    ];
    let y = Axis::even(values(&curves, |p| p.1));
    by_penalty(svg, area, "Log-loss by penalty λ", y, chosen, &curves);
}

fn by_penalty(svg: &mut Svg, area: [f64; 4], title: &str, y: Axis, chosen: f64, curves: &[Curve]) {
    let x = Axis::log(values(curves, |p| p.0));
    let panel = Panel { area, title, under: "λ (dashed: the chosen one)", x, y };
    panel.draw(svg, curves);
    panel.mark(svg, chosen);
}

/// The fits from `first` on, each of which goes on where those before ended.
fn iterations(svg: &mut Svg, area: [f64; 4], path: &[Trial], first: f64) {
    let (mut before, mut starts) = (0, Vec::new());
    let (mut train, mut validation) = (Points::new(), Points::new());
    for trial in path.iter().filter(|trial| trial.lambda <= first) {
        starts.push(before as f64);
        for look in &trial.curve {
            let x = (before + look.at) as f64;
            train.push((x, look.train_loss));
            validation.push((x, look.validation_loss));
        }
        before += trial.curve.last().map_or(0, |look| look.at);
    }
    let curves =
        [Curve::new("training", "good", train), Curve::new("validation", "bad", validation)];
    let (x, y) = (Axis::even(values(&curves, |p| p.0)), Axis::log(values(&curves, |p| p.1)));
    let under = "iteration (dashed: on to a weaker λ)";
    let panel = Panel { area, title: "Log-loss by iteration", under, x, y };
    panel.draw(svg, &curves);
    starts.iter().skip(1).for_each(|&start| panel.mark(svg, start));
}

fn epochs(svg: &mut Svg, looks: &[Look]) {
    let by_epoch = |value: fn(&Look) -> f64| -> Points {
        looks.iter().map(|look| (look.at as f64, value(look))).collect()
    };
    let right = [Curve::new("validation", "bad", by_epoch(|l| 100.0 * l.validation_accuracy))];
    let losses = [
        Curve::new("training", "good", by_epoch(|look| look.train_loss)),
        Curve::new("validation", "bad", by_epoch(|look| look.validation_loss)),
    ];
    let x = Axis::even(values(&losses, |p| p.0));
    let (percent, log) =
        (Axis::percent(values(&right, |p| p.1)), Axis::log(values(&losses, |p| p.1)));
    let panels = [("Accuracy in %", percent, &right[..]), ("Log-loss", log, &losses[..])];
    for ((title, y, curves), at) in panels.into_iter().zip(0..) {
        Panel { area: place(at), title, under: "epoch", x, y }.draw(svg, curves);
    }
}
