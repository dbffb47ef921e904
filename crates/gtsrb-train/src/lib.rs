//! The train stage: a head on the run's embeddings.
//!
//! Reads `RUN/embeddings` (and for the classifier `RUN/backbone` and `RUN/images`), chooses
//! the L2 penalty, or the number of epochs, on tracks kept out of training, fits again on
//! everything, and writes `RUN/model`: `head.safetensors`, `head.onnx`, `classifier.onnx`,
//! `golden.safetensors`, `training.json`, `oof.parquet` and `partial.safetensors`. The two ONNX
//! files are run on stored images before they get their names.

#![expect(clippy::needless_pass_by_value, reason = "array views are references already")]

mod args;
mod balance;
mod baselines;
mod curve;
mod data;
mod descent;
mod descent_record;
mod diagnosis;
mod division;
mod export;
mod judgement;
mod kept_out;
mod probe;
mod product;
mod record;
mod report;
mod search;
mod settings;
mod split;
mod spread;
mod stored;
pub mod stream;
mod study;
mod summary;
mod tap;
mod train;
mod trial;
mod verify;
mod walk;
mod warm;
mod watch;

use std::collections::BTreeMap;

use artifact::{HashBuilder, Output, Work};
use embed::Runtime;
use stage::{Error, Outcome, Result};

pub use args::Args;

use data::Inputs;
use export::Files;
use product::Product;
pub use report::Report;
use settings::{Settings, Solver};
use study::study;
use summary::Summary;
use verify::verify;
use warm::{PARTIAL, Warm};

const TOOL: &str = env!("CARGO_PKG_NAME");
/// Raise the number with every change of what this stage makes of the same inputs and settings.
const VERSION: &str = artifact::version!(2);

/// Runs the stage, or one of its studies.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) where a stage before hasn't run,
/// [`Unavailable`](stage::Fault::Unavailable) without ONNX Runtime,
/// [`Data`](stage::Fault::Data) on embeddings that can't be trained on,
/// [`Internal`](stage::Fault::Internal) if a written model doesn't agree with the trained one,
/// [`Busy`](stage::Fault::Busy) if another process writes the model.
pub fn run(args: &Args) -> Result<Outcome<Report>> {
    match &args.command {
        Some(command) => study(args, command),
        None => fit(args),
    }
}

fn fit(args: &Args) -> Result<Outcome<Report>> {
    let settings = Settings::of(args)?;
    let inputs = Inputs::open(&args.common.run_dir()?)?;
    let warm = settings.warm_start.as_ref().map(|run| Warm::read(run, &inputs)).transpose()?;
    if settings.solver() == Solver::Lbfgs && !inputs.augmented.is_empty() {
        return Err(Error::config(
            "[train] solver = \"lbfgs\" knows the plain view alone: take hidden = 512 or solver = \
             \"sgd\", or [extract] augment = 0",
        ));
    }
    let mut work = work_of(&inputs, &settings)?;
    work.inputs.extend(warm.as_ref().map(|warm| ("warm_start".to_owned(), warm.content)));
    if args.common.dry_run {
        return plan(&inputs, &settings);
    }
    let output = Output::open(&inputs.run.join("model"))?;
    if let Some(manifest) = output.current(&work)? {
        return Ok(Outcome::Current(Report::Trained(Summary::of(&manifest)?)));
    }
    // Needed only at the end, but training takes a while.
    Runtime::load()?;
    let backbone = inputs.backbone()?;

    let made = args.common.in_threads(|| match settings.solver() {
        Solver::Lbfgs => Product::of_path(&inputs, &settings, warm.as_ref()),
        Solver::Sgd => Product::of_epochs(&inputs, &settings),
    })?;
    let files = Files::new(&inputs, &backbone, &made.head)?;
    let golden = verify(&inputs, &files, &made.head, &made.probe)?;
    let staged = vec![
        output.write("head.safetensors", &files.safetensors)?,
        output.write("head.onnx", &files.head)?,
        output.write("classifier.onnx", &files.classifier)?,
        output.write("golden.safetensors", &golden.to_bytes()?)?,
        output.write("training.json", &made.record)?,
        made.write_kept_out(&output)?,
        output.write(PARTIAL, &made.partial.to_bytes()?)?,
    ];
    let manifest = output.commit(work, staged, BTreeMap::new(), made.summary.to_facts()?)?;
    Ok(Outcome::Done(Report::Trained(Summary::of(&manifest)?)))
}

/// What decides the model's bytes. The images are among the embeddings' own inputs.
fn work_of(inputs: &Inputs, settings: &Settings) -> Result<Work> {
    let mut work = Work {
        tool: TOOL.to_owned(),
        version: VERSION.to_owned(),
        parameters: serde_json::to_value(settings)
            .map_err(|e| Error::internal(format!("settings: {e}")))?,
        inputs: BTreeMap::from([
            ("embeddings".to_owned(), inputs.embedded.manifest().content()),
            ("view".to_owned(), inputs.view_hash),
        ]),
    };
    if !inputs.augmented.is_empty() {
        let views = inputs.augmented.iter().fold(HashBuilder::default(), |h, view| h.field(view.0));
        work.inputs.insert("augmented".to_owned(), views.finish());
    }
    Ok(work)
}

fn plan(inputs: &Inputs, settings: &Settings) -> Result<Outcome<Report>> {
    let how = match (settings.solver(), &settings.lambdas) {
        (Solver::Sgd, _) => format!("in at most {} epochs", settings.epochs),
        (Solver::Lbfgs, Some(lambdas)) => format!("with penalties of {lambdas:?}"),
        (Solver::Lbfgs, None) => "with penalties of 1e-1 and down".to_owned(),
    };
    Ok(Outcome::Planned(format!(
        "would train on {} embeddings of {} numbers, {} classes, {how}",
        inputs.rows()?.len(),
        inputs.embedded.dims()?,
        inputs.classes.len(),
    )))
}
