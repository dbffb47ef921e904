//! The train stage: a linear head on the run's embeddings.
//!
//! Reads `RUN/embeddings` (and for the classifier `RUN/backbone` and `RUN/images`), chooses
//! the L2 penalty on tracks kept out of training, fits again on everything, and writes
//! `RUN/model`: `head.safetensors`, `head.onnx`, `classifier.onnx` and `training.json`. The
//! two ONNX files are run on stored images before they get their names.

#![expect(clippy::needless_pass_by_value, reason = "array views are references already")]

mod args;
mod data;
mod diagnosis;
mod export;
mod record;
mod search;
mod split;
mod summary;
mod train;
mod verify;

use std::collections::BTreeMap;

use artifact::{Output, Work};
use embed::Runtime;
use stage::{Error, Outcome, Result};

pub use args::Args;
use args::Settings;
use data::Inputs;
use export::Files;
use record::Training;
pub use summary::Summary;
use train::train;
use verify::verify;

const TOOL: &str = env!("CARGO_PKG_NAME");

/// Runs the stage.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) where a stage before hasn't run,
/// [`Unavailable`](stage::Fault::Unavailable) without ONNX Runtime,
/// [`Data`](stage::Fault::Data) on embeddings that can't be trained on,
/// [`Internal`](stage::Fault::Internal) if a written model doesn't agree with the trained one,
/// [`Busy`](stage::Fault::Busy) if another process writes the model.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    let settings = Settings::of(args)?;
    let inputs = Inputs::open(&args.common.run_dir()?)?;
    let work = work_of(&inputs, &settings)?;
    if args.common.dry_run {
        return plan(&inputs, &settings);
    }
    let output = Output::open(&inputs.run.join("model"))?;
    if let Some(manifest) = output.current(&work)? {
        return Ok(Outcome::Current(Summary::of(&manifest)?));
    }
    // Needed only at the end, but training takes a while.
    Runtime::load()?;
    let backbone = inputs.backbone()?;

    let trained = args.common.in_threads(|| train(&inputs, &settings))?;
    let files = Files::new(&inputs, &backbone, &trained.head)?;
    verify(&inputs, &files, &trained.head, &trained.probe)?;
    let training = Training::new(&inputs, &trained);
    training.warn();
    let staged = vec![
        output.write("head.safetensors", &files.safetensors)?,
        output.write("head.onnx", &files.head)?,
        output.write("classifier.onnx", &files.classifier)?,
        output.write("training.json", &training.to_bytes()?)?,
    ];
    let facts = Summary::new(&trained).to_facts()?;
    let manifest = output.commit(work, staged, BTreeMap::new(), facts)?;
    Ok(Outcome::Done(Summary::of(&manifest)?))
}

/// What decides the model's bytes. The images are among the embeddings' own inputs.
fn work_of(inputs: &Inputs, settings: &Settings) -> Result<Work> {
    Ok(Work {
        tool: TOOL.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        parameters: serde_json::to_value(settings)
            .map_err(|e| Error::internal(format!("settings: {e}")))?,
        inputs: BTreeMap::from([
            ("embeddings".to_owned(), inputs.embedded.manifest().content()),
            ("view".to_owned(), inputs.view_hash),
        ]),
    })
}

fn plan(inputs: &Inputs, settings: &Settings) -> Result<Outcome<Summary>> {
    Ok(Outcome::Planned(format!(
        "would train on {} embeddings of {} numbers, {} classes, with penalties of {:?}",
        inputs.rows()?.len(),
        inputs.embedded.dims()?,
        inputs.classes.len(),
        settings.lambdas
    )))
}
