//! Training in pictures: what the penalty does, and how the final fit went.

use super::axis::{Axis, Curve, Panel};
use super::svg::Svg;
use crate::training::{Training, Trial};

const AREA: [f64; 2] = [270.0, 200.0];
const TOP: f64 = 44.0;

/// Draws three panels: accuracy along the λ path, loss along the λ path, and the
/// objective by iteration of the final fit.
#[must_use]
pub fn curves(training: &Training) -> String {
    let title = "Training curves";
    let mut svg = Svg::new(1040.0, TOP + AREA[1] + 70.0, title);
    let left = |panel: u8| 52.0 + 352.0 * f64::from(panel);
    let place = |panel: u8| [left(panel), TOP, AREA[0], AREA[1]];
    path_panel(
        &mut svg,
        place(0),
        training,
        "Accuracy by penalty λ",
        |t| (t.train_accuracy, t.validation_accuracy),
    );
    path_panel(
        &mut svg,
        place(1),
        training,
        "Log-loss by penalty λ",
        |t| (t.train_loss, t.validation_loss),
    );
    fit_panel(&mut svg, place(2), training);
    svg.finish()
}

fn path_panel(
    svg: &mut Svg,
    area: [f64; 4],
    training: &Training,
    title: &str,
    pick: impl Fn(&Trial) -> (f64, f64),
) {
    let mut trials: Vec<&Trial> = training.path.iter().collect();
    trials.sort_by(|a, b| a.lambda.total_cmp(&b.lambda));
    let points = |which: fn((f64, f64)) -> f64| -> Vec<(f64, f64)> {
        trials.iter().map(|t| (t.lambda, which(pick(t)))).collect()
    };
    let curves = [
        Curve {
            name: "training",
            class: "good",
            points: points(|p| p.0),
        },
        Curve {
            name: "validation",
            class: "bad",
            points: points(|p| p.1),
        },
    ];
    let y = Axis::even(curves.iter().flat_map(|c| c.points.iter().map(|p| p.1)));
    let x = Axis::log(trials.iter().map(|t| t.lambda));
    let panel = Panel {
        area,
        title,
        under: "λ",
        x,
        y,
    };
    panel.draw(svg, &curves);
    panel.mark(svg, training.lambda, "chosen");
}

fn fit_panel(svg: &mut Svg, area: [f64; 4], training: &Training) {
    let points: Vec<_> = training
        .losses
        .iter()
        .enumerate()
        .map(|(i, loss)| (i as f64, *loss))
        .collect();
    let panel = Panel {
        area,
        title: "Objective of the final fit",
        under: "iteration",
        x: Axis::even(points.iter().map(|p| p.0)),
        y: Axis::log(points.iter().map(|p| p.1)),
    };
    panel.draw(
        svg,
        &[Curve {
            name: "training loss + penalty",
            class: "good",
            points,
        }],
    );
}
