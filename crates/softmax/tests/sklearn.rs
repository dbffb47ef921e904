//! Objective and weights against scikit-learn's `LogisticRegression`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use ndarray::Array2;
use serde::Deserialize;
use softmax::{Model, Options, Samples, fit};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/softmax_sklearn.py");

#[derive(Deserialize)]
struct Oracle {
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

#[test]
fn weights_and_objective_agree_with_scikit_learn() {
    let Some(python) = std::env::var_os("ORACLE_PYTHON") else {
        println!("skipped: ORACLE_PYTHON is not set (make test sets it)");
        return;
    };
    let (x, y) = problem();
    let lambda = 1e-2;
    let input = serde_json::json!({
        "x": x.rows().into_iter().map(|row| row.to_vec()).collect::<Vec<_>>(),
        "y": y,
        "lambda": lambda,
    });
    let mut child = Command::new(python)
        .arg(SCRIPT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let oracle: Oracle = serde_json::from_slice(&output.stdout).unwrap();

    let samples = Samples::new(x.view(), &y, 4).unwrap();
    let options = Options { gradient: 1e-7, ..Options::default() };
    let fit = fit(&samples, lambda, &Model::zeros(4, 12), &options, |_| true);
    for (ours, theirs) in fit.model.weights.iter().zip(oracle.weights.iter().flatten()) {
        assert!((f64::from(*ours) - theirs).abs() < 1e-3, "{ours} against {theirs}");
    }
    let ours = objective(
        &x,
        &y,
        lambda,
        &fit.model
            .weights
            .rows()
            .into_iter()
            .map(|r| r.mapv(f64::from).to_vec())
            .collect::<Vec<_>>(),
        &fit.model.bias.mapv(f64::from).to_vec(),
    );
    let theirs = objective(&x, &y, lambda, &oracle.weights, &oracle.bias);
    assert!(ours <= theirs * (1.0 + 1e-7), "{ours} against {theirs}");
    assert!((fit.objective - ours).abs() < 1e-6 * ours);
}

/// 400 overlapping points of 4 classes, 12 features of different scales.
fn problem() -> (Array2<f32>, Vec<usize>) {
    let mut state = 11_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        ((state >> 40) as f32) / (1 << 23) as f32 - 1.0
    };
    let labels: Vec<usize> = (0..400).map(|row| row % 4).collect();
    let x = Array2::from_shape_fn((400, 12), |(row, column)| {
        let centre = ((labels[row] * (column + 2)) % 5) as f32 / 5.0;
        (centre + 2.0 * random()) * (1.0 + column as f32 / 4.0)
    });
    (x, labels)
}

/// The objective written out plainly in f64.
fn objective(x: &Array2<f32>, y: &[usize], lambda: f64, weights: &[Vec<f64>], bias: &[f64]) -> f64 {
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
