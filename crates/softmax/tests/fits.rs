//! Fits of small problems that have a known answer or a known difficulty.

#![expect(clippy::float_cmp, reason = "these values are exact")]

use ndarray::{Array2, Axis, array, concatenate};
use softmax::{Error, Model, Options, Samples, Standardization, Stop, fit};

/// Numbers in -1..1 (a linear congruential generator; quality doesn't matter here).
fn numbers(mut state: u64) -> impl FnMut() -> f32 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        ((state >> 40) as f32) / (1 << 23) as f32 - 1.0
    }
}

/// `rows` points around one centre a class; `spread` 0.5 keeps the classes apart.
fn clusters(
    rows: usize,
    features: usize,
    classes: usize,
    spread: f32,
) -> (Array2<f32>, Vec<usize>) {
    let mut random = numbers(7);
    let centres = Array2::from_shape_simple_fn((classes, features), &mut random);
    let labels: Vec<usize> = (0..rows).map(|row| row % classes).collect();
    let x = Array2::from_shape_fn((rows, features), |(row, column)| {
        centres[[labels[row], column]] + spread * random()
    });
    (x, labels)
}

fn options(gradient: f64) -> Options {
    Options { gradient, ..Options::default() }
}

#[test]
fn separable_data_converges_and_is_separated() {
    let (x, y) = clusters(300, 10, 4, 0.3);
    let samples = Samples::new(x.view(), &y, 4).unwrap();
    let fit = fit(&samples, 1e-6, &Model::zeros(4, 10), &options(1e-5), |_| true);
    assert_eq!(fit.stop, Stop::Gradient);
    assert!(fit.gradient_norm <= 1e-5);
    assert_eq!(fit.model.score(&samples).top1, 1.0);
    assert_eq!(fit.curve.len(), fit.iterations + 1);
    assert!(fit.evaluations > fit.iterations);
}

#[test]
fn fewer_rows_than_features_converges() {
    let (x, y) = clusters(20, 100, 3, 1.0);
    let samples = Samples::new(x.view(), &y, 3).unwrap();
    let fit = fit(&samples, 1e-2, &Model::zeros(3, 100), &options(1e-5), |_| true);
    assert_eq!(fit.stop, Stop::Gradient);
}

#[test]
fn duplicated_columns_share_their_weight() {
    let (x, y) = clusters(200, 3, 3, 1.5);
    let twice = concatenate![Axis(1), x, x];
    let samples = Samples::new(twice.view(), &y, 3).unwrap();
    let fit = fit(&samples, 1e-3, &Model::zeros(3, 6), &options(1e-6), |_| true);
    let (first, second) = (fit.model.weights.slice_axis(Axis(1), (..3).into()), &fit.model.weights);
    let second = second.slice_axis(Axis(1), (3..).into());
    assert_eq!(fit.stop, Stop::Gradient);
    assert!((&first - &second).iter().all(|difference| difference.abs() < 1e-5));
}

/// Two classes with one feature: logit difference = w x + b with w₁ = -w₀, the textbook's
/// logistic regression with penalty λ/2 (2 (w/2)²) = λ w²/4; compared to its own optimality
/// condition.
#[test]
fn two_classes_are_logistic_regression() {
    let x = array![[-2.0_f32], [-1.0], [0.5], [-0.5], [1.0], [2.0]];
    let y = [0, 0, 0, 1, 1, 1];
    let lambda = 0.1;
    let samples = Samples::new(x.view(), &y, 2).unwrap();
    let fit = fit(&samples, lambda, &Model::zeros(2, 1), &options(1e-7), |_| true);
    let weights = fit.model.weights.column(0);
    assert!((weights[0] + weights[1]).abs() < 1e-6);
    let w = f64::from(weights[1] - weights[0]);
    let b = f64::from(fit.model.bias[1] - fit.model.bias[0]);
    let slope: f64 = x
        .iter()
        .zip(y)
        .map(|(&x, y)| {
            let p = 1.0 / (1.0 + (-(w * f64::from(x) + b)).exp());
            (p - y as f64) * f64::from(x) / 6.0
        })
        .sum();
    assert!((slope + lambda * w / 2.0).abs() < 1e-6, "{slope}");
}

#[test]
fn a_start_with_logits_of_1000_recovers() {
    let (x, y) = clusters(120, 5, 3, 0.8);
    let samples = Samples::new(x.view(), &y, 3).unwrap();
    let mut random = numbers(3);
    let mut start = Model::zeros(3, 5);
    start.weights.mapv_inplace(|_| 2000.0 * random());
    let logits = start.logits(x.view());
    assert!(logits.iter().any(|&z| z > 1000.0) && logits.iter().any(|&z| z < -1000.0));
    for precise in [false, true] {
        let options = Options { precise, ..options(1e-6) };
        let far = fit(&samples, 1e-2, &start, &options, |_| true);
        let near = fit(&samples, 1e-2, &Model::zeros(3, 5), &options, |_| true);
        assert!((far.objective - near.objective).abs() < 1e-6 * near.objective);
    }
}

#[test]
fn rows_with_logits_of_1000_survive() {
    let (mut x, y) = clusters(120, 5, 3, 0.8);
    x.row_mut(0).mapv_inplace(|value| 1e4 * value);
    x.row_mut(7).mapv_inplace(|value| -1e4 * value);
    let samples = Samples::new(x.view(), &y, 3).unwrap();
    let run = |precise| {
        let options = Options { precise, max_iterations: 5000, ..options(1e-8) };
        fit(&samples, 1e-3, &Model::zeros(3, 5), &options, |_| true)
    };
    let (fast, precise) = (run(false), run(true));
    assert!(precise.model.logits(x.view()).iter().any(|z| z.abs() > 1000.0));
    assert!((fast.objective - precise.objective).abs() < 1e-4 * precise.objective);
}

/// Over the rows that are fitted roughly by an eighth of them first, and fewer; twice on one
/// thread.
#[test]
fn neither_runs_nor_threads_change_a_bit() {
    for (rows, precise) in [(5000, false), (5000, true), (16_400, false)] {
        let (raw, y) = clusters(rows, 30, 5, 2.0);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut x = raw.clone();
                let standardization = Standardization::fit(x.view());
                standardization.apply(x.view_mut());
                let samples = Samples::new(x.view(), &y, 5).unwrap();
                let options = Options { precise, ..options(1e-4) };
                let fit = fit(&samples, 1e-4, &Model::zeros(5, 30), &options, |_| true);
                let model = standardization.fold(&fit.model);
                (model.logits(raw.view()), model, fit.curve)
            })
        };
        let one = on(1);
        assert!(one == on(1) && one == on(2) && one == on(3));
    }
}

#[test]
fn many_rows_start_near_and_end_in_the_same_place() {
    let (x, y) = clusters(20_000, 6, 4, 2.0);
    let weights: Vec<f32> = (0..20_000).map(|row| (row % 3) as f32).collect();
    let samples = Samples::new(x.view(), &y, 4).unwrap().weighted(&weights).unwrap();
    let samples = samples.smoothed(0.1).unwrap();
    let run = |start: &Model| fit(&samples, 1e-3, start, &options(1e-6), |_| true);
    let mut elsewhere = Model::zeros(4, 6);
    elsewhere.bias[0] = 1e-6;
    let (rough, plain) = (run(&Model::zeros(4, 6)), run(&elsewhere));
    assert!((plain.curve[0] - 4.0_f64.ln()).abs() < 1e-5);
    assert!(rough.curve[0] - plain.objective < 0.1 * (plain.curve[0] - plain.objective));
    assert!((rough.objective - plain.objective).abs() < 1e-7);
}

#[test]
fn a_warm_start_is_shorter_and_ends_in_the_same_place() {
    let (x, y) = clusters(500, 20, 4, 2.0);
    let samples = Samples::new(x.view(), &y, 4).unwrap();
    let cold = fit(&samples, 1e-3, &Model::zeros(4, 20), &options(1e-5), |_| true);
    let warm = fit(&samples, 1e-3, &cold.model, &options(1e-5), |_| true);
    assert!(warm.iterations <= 1);
    assert!((warm.objective - cold.objective).abs() < 1e-6);
}

#[test]
fn a_start_extrapolated_along_the_path_is_nearer_than_the_last_fit() {
    let (x, y) = clusters(500, 20, 4, 2.0);
    let samples = Samples::new(x.view(), &y, 4).unwrap();
    let run = |lambda, start: &Model| fit(&samples, lambda, start, &options(1e-5), |_| true);
    let first = run(1e-1, &Model::zeros(4, 20));
    let second = run(3e-2, &first.model);
    let ahead = run(1e-2, &second.extrapolate(&first, 1e-2));
    let behind = run(1e-2, &second.model);
    assert!(ahead.curve[0] < behind.curve[0]);
    assert!((ahead.objective - behind.objective).abs() < 1e-6);
    assert_eq!(second.extrapolate(&second, 1e-2), second.model);
}

#[test]
fn the_observer_sees_every_iteration_and_may_stop() {
    let (x, y) = clusters(200, 10, 4, 2.0);
    let samples = Samples::new(x.view(), &y, 4).unwrap();
    let mut seen = Vec::new();
    let fit = fit(&samples, 1e-3, &Model::zeros(4, 10), &Options::default(), |step| {
        seen.push(step.objective);
        step.iteration < 5
    });
    assert_eq!((fit.stop, fit.iterations), (Stop::Asked, 5));
    assert_eq!(seen, fit.curve);
}

#[test]
fn bad_samples_are_refused_with_their_place() {
    let (mut x, y) = clusters(12, 4, 3, 1.0);
    assert!(matches!(
        Samples::new(x.view(), &y[..5], 3),
        Err(Error::Labels { rows: 12, labels: 5 })
    ));
    assert!(matches!(
        Samples::new(x.view(), &y, 2),
        Err(Error::Label { row: 2, label: 2, classes: 2 })
    ));
    let empty = Array2::zeros((0, 4));
    assert!(matches!(Samples::new(empty.view(), &[], 3), Err(Error::Empty { .. })));
    x[[7, 2]] = f32::INFINITY;
    x[[9, 0]] = f32::NAN;
    let error = Samples::new(x.view(), &y, 3).unwrap_err();
    assert_eq!(error, Error::NotFinite { row: 7, column: 2, value: f32::INFINITY });
}

/// A row of weight 3 is three rows, and one of weight 0 is none.
#[test]
fn weights_count_rows() {
    let (x, y) = clusters(60, 4, 3, 2.0);
    let weights: Vec<f32> = (0..60).map(|row| (row % 4) as f32).collect();
    let repeated: Vec<usize> = (0..60).flat_map(|row| vec![row; row % 4]).collect();
    let (many_x, many_y) =
        (x.select(Axis(0), &repeated), repeated.iter().map(|&row| y[row]).collect::<Vec<_>>());
    let weighted = Samples::new(x.view(), &y, 3).unwrap().weighted(&weights).unwrap();
    let many = Samples::new(many_x.view(), &many_y, 3).unwrap();
    let run = |samples: &Samples| fit(samples, 1e-2, &Model::zeros(3, 4), &options(1e-7), |_| true);
    let (weighted, many) = (run(&weighted), run(&many));
    assert!((weighted.objective - many.objective).abs() < 1e-7);
    let difference = weighted.model.weights - many.model.weights;
    assert!(difference.iter().all(|difference| difference.abs() < 1e-4));
}

/// Without anything to tell classes apart, probabilities are the targets' means.
#[test]
fn smoothed_labels_are_the_targets() {
    let x = Array2::zeros((4, 1));
    let samples = Samples::new(x.view(), &[0, 0, 0, 1], 2).unwrap().smoothed(0.2).unwrap();
    let fit = fit(&samples, 1e-2, &Model::zeros(2, 1), &options(1e-7), |_| true);
    // 0.8 × 3/4 + 0.2 / 2 = 0.7
    let odds = f64::from(fit.model.bias[0] - fit.model.bias[1]).exp();
    assert!((odds - 0.7 / 0.3).abs() < 1e-4, "{odds}");
    let entropy = -(0.7 * 0.7_f64.ln() + 0.3 * 0.3_f64.ln());
    assert!((fit.objective - entropy).abs() < 1e-7);
}

#[test]
fn bad_weights_and_smoothing_are_refused() {
    let (x, y) = clusters(12, 4, 3, 1.0);
    let refused =
        |weights: &[f32]| Samples::new(x.view(), &y, 3).unwrap().weighted(weights).unwrap_err();
    assert_eq!(refused(&[1.0; 5]), Error::Weights { rows: 12, weights: 5 });
    let mut weights = [1.0; 12];
    weights[3] = -0.5;
    assert_eq!(refused(&weights), Error::Weight { row: 3, weight: -0.5 });
    weights[2] = f32::INFINITY;
    assert_eq!(refused(&weights), Error::Weight { row: 2, weight: f32::INFINITY });
    assert_eq!(refused(&[0.0; 12]), Error::NoWeight);
    let samples = Samples::new(x.view(), &y, 3).unwrap();
    assert_eq!(samples.smoothed(1.0).unwrap_err(), Error::Smoothing { share: 1.0 });
    assert!(samples.smoothed(f32::NAN).is_err());
}
