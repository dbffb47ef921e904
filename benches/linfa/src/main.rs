//! linfa's side of `make bench-train`, which calls it: `fit-linfa DIR LAMBDA TARGET OUT`.
//!
//! linfa fits until a number of iterations and tells nothing on the way: fits from zero with
//! 10, 20, 40 … iterations until one reaches the objective TARGET. Prints a line of JSON for
//! each, and writes its weights `[classes, features]` and the bias to OUT as raw f64.

use std::error::Error;
use std::fs;
use std::time::Instant;

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_logistic::{MultiFittedLogisticRegression, MultiLogisticRegression};
use ndarray::{Array1, Array2, ArrayView2, Axis};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, lambda, target, out] = arguments.as_slice() else {
        return Err("usage: fit-linfa DIR LAMBDA TARGET OUT".into());
    };
    let (lambda, target): (f64, f64) = (lambda.parse()?, target.parse()?);
    let (x, y) = read(dir)?;
    for iterations in (0..).map(|power| 10 << power) {
        let clock = Instant::now();
        let model = MultiLogisticRegression::default()
            .alpha((lambda * y.len() as f64) as f32)
            .gradient_tolerance(f32::MIN_POSITIVE)
            .max_iterations(iterations)
            .fit(&DatasetBase::new(x.view(), y.view()))?;
        let seconds = clock.elapsed().as_secs_f64();
        write(out, &model)?;
        let objective = objective(x.view(), &y, lambda, &model);
        println!(
            "{{\"seconds\": {seconds}, \"iterations\": {iterations}, \"objective\": {objective}}}"
        );
        if objective <= target {
            break;
        }
    }
    Ok(())
}

/// What `bench-train prepare` wrote.
fn read(dir: &str) -> Result<(Array2<f32>, Array1<usize>)> {
    let y: Array1<usize> = fs::read(format!("{dir}/y.i64"))?
        .as_chunks()
        .0
        .iter()
        .map(|bytes| i64::from_le_bytes(*bytes) as usize)
        .collect();
    let x: Vec<f32> = fs::read(format!("{dir}/x.f32"))?
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    Ok((Array2::from_shape_vec((y.len(), x.len() / y.len()), x)?, y))
}

fn write(out: &str, model: &MultiFittedLogisticRegression<f32, usize>) -> Result<()> {
    let parameters = model.params().t().into_iter().chain(model.intercept());
    let bytes: Vec<u8> = parameters.flat_map(|&value| f64::from(value).to_le_bytes()).collect();
    Ok(fs::write(out, bytes)?)
}

/// Mean log-loss plus λ/2 ‖W‖².
fn objective(
    x: ArrayView2<f32>,
    y: &Array1<usize>,
    lambda: f64,
    model: &MultiFittedLogisticRegression<f32, usize>,
) -> f64 {
    let logits = x.dot(model.params()) + model.intercept();
    let loss = |(row, &label): (ndarray::ArrayView1<f32>, &usize)| {
        let max = row.fold(f32::NEG_INFINITY, |max, &z| max.max(z));
        let sum: f64 = row.iter().map(|&z| f64::from(z - max).exp()).sum();
        sum.ln() - f64::from(row[label] - max)
    };
    let total: f64 = logits.axis_iter(Axis(0)).zip(y).map(loss).sum();
    let square: f64 = model.params().iter().map(|&weight| f64::from(weight).powi(2)).sum();
    total / y.len() as f64 + lambda / 2.0 * square
}
