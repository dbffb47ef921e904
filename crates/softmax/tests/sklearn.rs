//! Objective and weights against scikit-learn's `LogisticRegression` at `tol=1e-8`.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![expect(clippy::print_stdout, reason = "says what is skipped and how near they are")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ndarray::{Array2, Axis, concatenate};
use serde::Deserialize;
use softmax::{Fit, Model, Options, Samples, fit};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/softmax_sklearn.py");

struct Problem {
    name: &'static str,
    x: Array2<f32>,
    y: Vec<usize>,
    classes: usize,
    lambda: f64,
}

#[derive(Deserialize)]
struct Oracle {
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

#[test]
fn five_problems_end_where_scikit_learn_does() {
    let problems = problems();
    let Some(oracles) = scikit_learn(&problems) else {
        return;
    };
    for (problem, theirs) in problems.iter().zip(&oracles) {
        check(problem, theirs, true, 1e-12);
        check(problem, theirs, false, 1e-6);
    }
}

/// scikit-learn has one weight vector w for two classes and penalises it; ours has two, which
/// end at w/2 and -w/2 with together half of w's square: our λ is its λ/2.
#[test]
fn two_logits_are_one_and_a_sigmoid() {
    let (x, y) = clusters(300, 12, &[180, 120], 2.0);
    let lambda = 1e-2;
    let theirs = Problem { name: "two classes", x, y, classes: 2, lambda: lambda / 2.0 };
    let Some(oracles) = scikit_learn(std::slice::from_ref(&theirs)) else {
        return;
    };
    let (oracle, problem) = (&oracles[0], Problem { lambda, ..theirs });
    let model = solve(&problem, false).model;
    assert_eq!((oracle.weights.len(), oracle.bias.len()), (1, 1));
    for (index, theirs) in oracle.weights[0].iter().enumerate() {
        let (first, second) = (model.weights[[0, index]], model.weights[[1, index]]);
        assert!((f64::from(second) - theirs / 2.0).abs() < 5e-4, "{second} against {theirs} / 2");
        assert!((first + second).abs() < 1e-5, "{first} and {second}");
    }
    let ours = softmax::probabilities(model.logits(problem.x.view()), 1.0);
    for (row, ours) in problem.x.rows().into_iter().zip(ours.rows()) {
        let terms = row.iter().zip(&oracle.weights[0]).map(|(&x, w)| f64::from(x) * w);
        let theirs = 1.0 / (1.0 + (-oracle.bias[0] - terms.sum::<f64>()).exp());
        assert!((f64::from(ours[1]) - theirs).abs() < 1e-4, "{} against {theirs}", ours[1]);
    }
}

/// Our objective isn't above theirs by more than the share `noise`, and weights agree to 1e-3;
/// biases after their mean is subtracted, which no probability depends on. Where columns differ
/// ten thousandfold, which standardisation is for, f32 finds the objective but not the weights.
fn check(problem: &Problem, theirs: &Oracle, precise: bool, noise: f64) {
    let (ours, mode) = (solve(problem, precise), if precise { "f64" } else { "f32" });
    let name = format!("{} in {mode}", problem.name);
    let their_objective = objective(problem, &theirs.weights, &theirs.bias);
    let weights: Vec<Vec<f64>> =
        ours.model.weights.rows().into_iter().map(|row| row.mapv(f64::from).to_vec()).collect();
    let bias = ours.model.bias.mapv(f64::from).to_vec();
    let our_objective = objective(problem, &weights, &bias);
    println!(
        "{name}: objective - scikit-learn's = {:e}, {} evaluations, {:?}",
        our_objective - their_objective,
        ours.evaluations,
        ours.stop
    );
    assert!(our_objective <= their_objective * (1.0 + noise), "{name}");
    assert!((ours.objective - our_objective).abs() <= 1e-6 * our_objective, "{name}");
    if problem.name == "ill-conditioned" && !precise {
        return;
    }
    for (ours, theirs) in weights.iter().flatten().zip(theirs.weights.iter().flatten()) {
        assert!((ours - theirs).abs() < 1e-3, "{name}: {ours} against {theirs}");
    }
    for (ours, theirs) in centred(&bias).zip(centred(&theirs.bias)) {
        assert!((ours - theirs).abs() < 1e-3, "{name}: bias {ours} against {theirs}");
    }
}

fn centred(values: &[f64]) -> impl Iterator<Item = f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(move |value| value - mean)
}

fn solve(problem: &Problem, precise: bool) -> Fit {
    let samples = Samples::new(problem.x.view(), &problem.y, problem.classes).unwrap();
    let start = Model::zeros(problem.classes, problem.x.ncols());
    let gradient = if precise { 1e-9 } else { 1e-7 };
    let options = Options { gradient, max_iterations: 20_000, precise, ..Options::default() };
    fit(&samples, problem.lambda, &start, &options, |_| true)
}

fn scikit_learn(problems: &[Problem]) -> Option<Vec<Oracle>> {
    let Some(python) = std::env::var_os("ORACLE_PYTHON") else {
        println!("skipped: ORACLE_PYTHON is not set (make test sets it)");
        return None;
    };
    let mut input = Vec::new();
    for Problem { name, x, y, lambda, .. } in problems {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.f32"));
        let bytes: Vec<u8> = x.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(&file, bytes).unwrap();
        input.push(serde_json::json!({ "x": file, "y": y, "lambda": lambda }));
    }
    let mut command = Command::new(python);
    let mut child =
        command.arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = serde_json::to_vec(&input).unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The objective written out plainly in f64.
fn objective(problem: &Problem, weights: &[Vec<f64>], bias: &[f64]) -> f64 {
    let Problem { x, y, lambda, .. } = problem;
    let mut loss = 0.0;
    for (row, &label) in x.rows().into_iter().zip(y) {
        let logits: Vec<f64> = weights
            .iter()
            .zip(bias)
            .map(|(w, b)| b + w.iter().zip(row).map(|(w, &x)| w * f64::from(x)).sum::<f64>())
            .collect();
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|z| (z - max).exp()).sum();
        loss += max + sum.ln() - logits[label];
    }
    loss / y.len() as f64 + lambda / 2.0 * weights.iter().flatten().map(|w| w * w).sum::<f64>()
}

fn problems() -> Vec<Problem> {
    let mut overlapping = clusters(400, 12, &[100, 100, 100, 100], 2.0);
    let duplicated = concatenate![Axis(1), overlapping.0, overlapping.0];
    let labels = overlapping.1.clone();
    // Columns from a hundredth to a hundred: the Hessian's condition is about 1e8 without λ.
    for (index, mut column) in overlapping.0.columns_mut().into_iter().enumerate() {
        column *= 10.0_f32.powf(index as f32 / 2.75 - 2.0);
    }
    let problem = |name, (x, y): (Array2<f32>, Vec<usize>), lambda| {
        let classes = y.iter().max().unwrap() + 1;
        Problem { name, x, y, classes, lambda }
    };
    vec![
        problem("separable", clusters(300, 10, &[75, 75, 75, 75], 0.3), 1e-4),
        problem("ill-conditioned", overlapping, 1e-2),
        problem("imbalanced", clusters(1000, 8, &[900, 80, 15, 5], 1.5), 1e-3),
        problem("fewer rows than columns", clusters(40, 200, &[20, 10, 10], 1.0), 1e-3),
        problem("duplicated columns", (duplicated, labels), 1e-3),
    ]
}

/// Rows around one centre a class, as many as `counts` says; `spread` 0.5 keeps classes apart.
fn clusters(
    rows: usize,
    features: usize,
    counts: &[usize],
    spread: f32,
) -> (Array2<f32>, Vec<usize>) {
    let mut state = 11_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        ((state >> 40) as f32) / (1 << 23) as f32 - 1.0
    };
    let centres = Array2::from_shape_simple_fn((counts.len(), features), &mut random);
    let labels: Vec<usize> =
        counts.iter().enumerate().flat_map(|(class, &count)| vec![class; count]).collect();
    assert_eq!(labels.len(), rows);
    let x = Array2::from_shape_fn((rows, features), |(row, column)| {
        centres[[labels[row], column]] + spread * random()
    });
    (x, labels)
}
