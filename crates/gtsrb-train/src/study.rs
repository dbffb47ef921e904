//! `gtsrb-train curve`, `shots`, `baselines` and `probe`: what the run's embeddings and others are
//! good for, each in a folder of its own beside the model.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::{HashBuilder, Manifest, Output, Staged, Work};
use serde_json::json;
use stage::{Error, Outcome, Result};

use crate::args::{Args, Command};
use crate::baselines::baselines;
use crate::curve::{few_shots, learning_curve};
use crate::data::Inputs;
use crate::probe::{Question, probe};
use crate::report::Report;
use crate::settings::Settings;
use crate::summary::Summary;
use crate::{TOOL, work_of};

/// What a study reads besides the run's embeddings.
enum Extra {
    Nothing,
    /// The manifest of the run's model.
    Model(Manifest),
    /// Other backbones.
    Backbones(Question),
}

/// Does what `command` says.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) where a stage before hasn't run,
/// [`Data`](stage::Fault::Data) on embeddings that can't be used.
pub fn study(args: &Args, command: &Command) -> Result<Outcome<Report>> {
    let settings = Settings::of(args)?;
    let inputs = Inputs::open(&args.common.run_dir()?)?;
    let extra = match command {
        Command::Curve { .. } => Extra::Model(model_of(&inputs)?),
        Command::Probe { backbones, budget, pictures } => {
            let threads = args.common.threads();
            Extra::Backbones(Question::read(backbones, *budget, *pictures, threads)?)
        }
        Command::Shots { .. } | Command::Baselines => Extra::Nothing,
    };
    let work = work_of_study(&inputs, &settings, command, &extra)?;
    let dir = inputs.run.join(command.name());
    if args.common.dry_run {
        let (rows, dir) = (inputs.rows()?.len(), dir.display());
        return Ok(Outcome::Planned(format!("would use {rows} embeddings and write {dir}")));
    }
    let output = Output::open(&dir)?;
    if output.current(&work)?.is_some() {
        return Ok(Outcome::Current(read(&dir, command)?));
    }
    let report = args.common.in_threads(|| measure(&inputs, &settings, command, &extra))?;
    let files = files(&output, command, &report)?;
    output.commit(work, files, BTreeMap::new(), BTreeMap::new())?;
    // Not `Done`: the seconds that are recorded of this stage are those of training.
    Ok(Outcome::Checked(report))
}

/// The manifest of the run's model, if it is of these embeddings.
fn model_of(inputs: &Inputs) -> Result<Manifest> {
    let dir = inputs.run.join("model");
    let manifest = Manifest::read(&dir, TOOL)?;
    if manifest.work.inputs.get("embeddings") != Some(&inputs.embedded.manifest().content()) {
        return Err(Error::data(format!(
            "{} learned from other embeddings than {}: run {TOOL} again",
            dir.display(),
            inputs.run.join("embeddings").display()
        )));
    }
    Ok(manifest)
}

fn work_of_study(
    inputs: &Inputs,
    settings: &Settings,
    command: &Command,
    extra: &Extra,
) -> Result<Work> {
    let mut work = work_of(inputs, settings)?;
    work.parameters = json!({ "train": work.parameters, "command": command });
    match extra {
        Extra::Nothing => (),
        Extra::Model(model) => {
            work.inputs.insert("model".to_owned(), model.content());
        }
        Extra::Backbones(question) => {
            let hashes = question.backbones.iter().map(|backbone| backbone.hash);
            let hash = hashes.fold(HashBuilder::default(), |all, hash| all.field(hash.0)).finish();
            work.inputs.insert("backbones".to_owned(), hash);
        }
    }
    Ok(work)
}

fn measure(
    inputs: &Inputs,
    settings: &Settings,
    command: &Command,
    extra: &Extra,
) -> Result<Report> {
    match (command, extra) {
        (Command::Curve { tracks, seeds }, Extra::Model(model)) => {
            let lambda = Summary::of(model)?.origin.lambda();
            learning_curve(inputs, settings, lambda, tracks, *seeds).map(Report::Curve)
        }
        (Command::Shots { shots, seeds }, _) => {
            few_shots(inputs, settings, shots, *seeds).map(Report::Curve)
        }
        (_, Extra::Backbones(question)) => probe(inputs, settings, question).map(Report::Probe),
        _ => baselines(inputs, settings).map(Report::Baselines),
    }
}

fn files(output: &Output, command: &Command, report: &Report) -> Result<Vec<Staged>> {
    let name = command.name();
    let mut bytes = serde_json::to_vec_pretty(report)
        .map_err(|e| Error::internal(format!("cannot write {name}.json: {e}")))?;
    bytes.push(b'\n');
    let mut files = vec![output.write(&format!("{name}.json"), &bytes)?];
    let drawing = match report {
        Report::Curve(curve) => Some(curve.draw()),
        Report::Probe(probe) => Some(probe.draw()),
        Report::Baselines(_) | Report::Trained(_) => None,
    };
    if let Some(drawing) = drawing {
        files.push(output.write(&format!("{name}.svg"), drawing.as_bytes())?);
        files.push(output.write(&format!("{name}.png"), &figure::png(&drawing)?)?);
    }
    Ok(files)
}

fn read(dir: &Path, command: &Command) -> Result<Report> {
    let path = dir.join(format!("{}.json", command.name()));
    let bytes = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
    match command {
        Command::Baselines => serde_json::from_slice(&bytes).map(Report::Baselines),
        Command::Probe { .. } => serde_json::from_slice(&bytes).map(Report::Probe),
        Command::Curve { .. } | Command::Shots { .. } => {
            serde_json::from_slice(&bytes).map(Report::Curve)
        }
    }
    .map_err(|e| Error::data(format!("{} is damaged ({e}): remove it", path.display())))
}
