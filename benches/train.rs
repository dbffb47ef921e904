//! Our side of `make bench-train`, which calls it:
//!
//! ```text
//! bench-train prepare RUN CACHE DIR            the run's standardised embeddings, to DIR
//! bench-train best DIR LAMBDA THREADS OUT      the lowest objective that can be had soon
//! bench-train converge DIR LAMBDA f32|f64 THREADS OUT
//!                                              as far as it gets in f32, and further in f64
//! bench-train fit DIR LAMBDA TARGET THREADS OUT    a fit that ends at the objective TARGET
//! bench-train path DIR LAMBDA THREADS          a path of penalties, and one fit from zero
//! ```
//!
//! All but `prepare` print one line of JSON. OUT receives the weights `[classes, features]` and
//! the bias as raw f64.

#![expect(clippy::print_stdout, reason = "its output is for the script that calls it")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use artifact::embeddings::Embedded;
use artifact::images::Split;
use ndarray::Array2;
use serde_json::{Value, json};
use softmax::{Fit, Model, Objective, Options, Samples, Standardization, fit};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Evaluations that are timed.
const EVALUATIONS: usize = 20;

/// Where the best fit ends: its objective falls by less than this share in 5 iterations.
const BEST: f64 = 2e-6;

/// The path's penalties: this many from 0.1 on, two a power of ten.
const PENALTIES: i32 = 12;

/// Where the path's fits end, as in the train stage.
const PATH: f64 = 1e-2;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["prepare", run, cache, dir] => prepare(Path::new(run), Path::new(cache), Path::new(dir)),
        ["best", dir, lambda, threads, out] => {
            let options = Options { tolerance: BEST, ..Options::default() };
            in_threads(threads, || one(dir, lambda.parse()?, &[options], 0.0, Path::new(out)))
        }
        ["converge", dir, lambda, mode, threads, out] => {
            let single = Options { gradient: 1e-7, max_iterations: 20_000, ..Options::default() };
            let double = Options { gradient: 1e-9, precise: true, ..single };
            let fits = if mode == "f64" { vec![single, double] } else { vec![single] };
            in_threads(threads, || one(dir, lambda.parse()?, &fits, 0.0, Path::new(out)))
        }
        ["fit", dir, lambda, target, threads, out] => {
            let target = target.parse()?;
            let options = Options { gradient: 0.0, ..Options::default() };
            in_threads(threads, || one(dir, lambda.parse()?, &[options], target, Path::new(out)))
        }
        ["path", dir, lambda, threads] => in_threads(threads, || path(dir, lambda.parse()?)),
        _ => Err("see the head of benches/train.rs for what it takes".into()),
    }
}

fn in_threads(threads: &str, work: impl FnOnce() -> Result<Value>) -> Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    println!("{}", work()?);
    Ok(())
}

fn prepare(run: &Path, cache: &Path, dir: &Path) -> Result<()> {
    let embedded = Embedded::open(run)?;
    let rows = embedded.rows(Split::Train)?;
    let mut x = embedded.matrix(&cache.join("embeddings"), &rows)?;
    Standardization::fit(x.view()).apply(x.view_mut());
    let labels: Vec<u8> = rows.iter().flat_map(|row| row.label.to_le_bytes()).collect();
    let features: Vec<u8> = x.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(dir.join("x.f32"), features)?;
    fs::write(dir.join("y.i64"), labels)?;
    fs::write(dir.join("classes"), embedded.classes()?.len().to_string())?;
    Ok(())
}

/// What `prepare` wrote.
struct Data {
    x: Array2<f32>,
    y: Vec<usize>,
    classes: usize,
}

impl Data {
    fn read(dir: &str) -> Result<Self> {
        let dir = PathBuf::from(dir);
        let y: Vec<usize> = fs::read(dir.join("y.i64"))?
            .as_chunks()
            .0
            .iter()
            .map(|bytes| i64::from_le_bytes(*bytes) as usize)
            .collect();
        let x: Vec<f32> = fs::read(dir.join("x.f32"))?
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        let x = Array2::from_shape_vec((y.len(), x.len() / y.len()), x)?;
        Ok(Self { x, y, classes: fs::read_to_string(dir.join("classes"))?.parse()? })
    }

    fn samples(&self) -> Result<Samples<'_>> {
        Ok(Samples::new(self.x.view(), &self.y, self.classes)?)
    }

    fn zeros(&self) -> Model {
        Model::zeros(self.classes, self.x.ncols())
    }
}

/// Fits, the first from zero weights and each from where the last ended, that end at the
/// objective `target` at the latest.
fn one(dir: &str, lambda: f64, fits: &[Options], target: f64, out: &Path) -> Result<Value> {
    let data = Data::read(dir)?;
    let samples = data.samples()?;
    let (clock, processor) = (Instant::now(), processor_seconds());
    let mut model = data.zeros();
    let (mut evaluations, mut objective) = (0, 0.0);
    for options in fits {
        let fit = fit(&samples, lambda, &model, options, |step| step.objective > target);
        evaluations += fit.evaluations;
        (model, objective) = (fit.model, fit.objective);
    }
    let (seconds, processor) = (clock.elapsed().as_secs_f64(), processor_seconds() - processor);
    let parameters: Vec<u8> = model
        .weights
        .iter()
        .chain(&model.bias)
        .flat_map(|&value| f64::from(value).to_le_bytes())
        .collect();
    fs::write(out, parameters)?;
    Ok(json!({
        "seconds": seconds,
        "processor_seconds": processor,
        "evaluations": evaluations,
        "objective": objective,
        "evaluation": evaluation(&samples, lambda, &model),
    }))
}

/// Some evaluations at `model`: the median of their seconds, and the mean of the processors'. An
/// operation is a multiplication or an addition of a product; padding doesn't count.
fn evaluation(samples: &Samples<'_>, lambda: f64, model: &Model) -> Value {
    let mut objective = Objective::new(samples, lambda);
    let at = Objective::flatten(model);
    let mut gradient = vec![0.0; at.len()];
    let processor = processor_seconds();
    let mut seconds: Vec<f64> = Vec::new();
    for _ in 0..EVALUATIONS {
        let clock = Instant::now();
        objective.evaluate(&at, &mut gradient);
        seconds.push(clock.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    json!({
        "seconds": seconds[EVALUATIONS / 2],
        "processor_seconds": (processor_seconds() - processor) / EVALUATIONS as f64,
        "operations": 4.0 * (samples.x().len() * samples.classes()) as f64,
    })
}

/// The path, each fit started as the stage starts it, and the fit from zero with `lambda` and
/// the same end. That one is made before and after the path; the mean of both counts.
fn path(dir: &str, lambda: f64) -> Result<Value> {
    let data = Data::read(dir)?;
    let samples = data.samples()?;
    let options = Options { tolerance: PATH, ..Options::default() };
    let timed = |lambda: f64, start: &Model| {
        let clock = Instant::now();
        let fit = fit(&samples, lambda, start, &options, |_| true);
        (clock.elapsed().as_secs_f64(), fit)
    };
    let (before, _) = timed(lambda, &data.zeros());
    let mut fits: Vec<(f64, Fit)> = Vec::new();
    for step in 0..PENALTIES {
        let lambda = 10.0_f64.powf(-1.0 - 0.5 * f64::from(step));
        let start = match fits.as_slice() {
            [] => data.zeros(),
            [(_, last)] => last.model.clone(),
            [.., (_, before), (_, last)] => last.extrapolate(before, lambda),
        };
        fits.push(timed(lambda, &start));
    }
    let (after, cold) = timed(lambda, &data.zeros());
    let describe = |(seconds, fit): &(f64, Fit)| {
        json!({
            "lambda": fit.lambda,
            "seconds": seconds,
            "evaluations": fit.evaluations,
            "objective": fit.objective,
            "top1": fit.model.score(&samples).top1,
        })
    };
    Ok(json!({
        "rows": samples.rows(),
        "fits": fits.iter().map(describe).collect::<Vec<_>>(),
        "cold": describe(&(f64::midpoint(before, after), cold)),
    }))
}

/// Time that all threads have had on a processor; 0 where the system doesn't tell. The fields
/// behind the name are in hundredths of a second (`man 5 proc_pid_stat`).
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
