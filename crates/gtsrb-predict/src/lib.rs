//! Which class any picture shows: the run's own preprocessing, backbone and head, from files
//! to lines of standard output, or as a page for a browser.

mod args;
mod classifier;
mod copies;
mod demo;
mod label_next;
mod output;
mod paths;
mod prediction;
mod selftest;
mod summary;
mod table;
mod threshold;
mod worksheet;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use embed::{Batch, Framer, Pipeline};
use picture::Picture;
use rustix::fs::OFlags;
use stage::{Error, Outcome, Result};

pub use args::Args;
use args::Command;
use classifier::Classifier;
use label_next::Pool;
use output::{Output, refuse};
use paths::Found;
pub use summary::Summary;
use summary::{Chosen, Counts};

/// The largest file that is read, in bytes; ingest reads no larger ones.
const MAX_FILE: u64 = 64 << 20;

/// Classifies the pictures that `args` name, tries the model, or writes a page that classifies.
///
/// # Errors
/// [`Missing`](stage::Fault::Missing) without a model or a path of the command line,
/// [`Unavailable`](stage::Fault::Unavailable) without ONNX Runtime, or if the model doesn't say what
/// it should,
/// [`Data`](stage::Fault::Data) at the end if some pictures could not be read.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    let run = args.common.run_dir()?;
    match &args.command {
        None => classify(args, &run),
        Some(Command::Selftest) => {
            let tested = selftest::selftest(&run.join("model"), args.common.threads())?;
            Ok(Outcome::Checked(Summary::Tested(tested)))
        }
        Some(Command::Demo) => demo::run(&args.common),
    }
}

fn classify(args: &Args, run: &Path) -> Result<Outcome<Summary>> {
    let classifier = Classifier::open(&run.join("model"))?;
    let classes = classifier.classes();
    if args.top.get() > classes.len() {
        return Err(Error::usage(format!(
            "--top {}: the model knows {} classes",
            args.top,
            classes.len()
        )));
    }
    let paths = paths::expand(&args.paths)?;
    args.copy_to.as_deref().map_or(Ok(()), copies::require_empty)?;
    if args.common.dry_run {
        return Ok(Outcome::Planned(format!(
            "would classify pictures by the {} classes of {}",
            classes.len(),
            run.display()
        )));
    }
    let pipeline = classifier.pipeline(args.common.threads())?;
    if let Some(wanted) = args.label_next {
        return label_next(args, &classifier, pipeline, (paths, wanted.get()));
    }
    let threshold = args.threshold.unwrap_or_else(|| threshold::of_run(run));
    let mut output = Output::open(args, classes, threshold)?;
    let pictures = paths::pictures(paths).map(Ok);
    let ended = pipeline.run(pictures, frame, |batch| {
        predict(&classifier, batch, &mut output)?;
        // The error ends the pipeline; nobody sees it.
        if output.is_closed() { Err(Error::io("nobody reads the predictions")) } else { Ok(()) }
    });
    if output.is_closed() {
        return Ok(Outcome::Checked(Summary::Predicted(output.finish()?)));
    }
    ended?;
    conclude(output.finish()?)
}

/// A picture and whether its pixels are there.
type Framed = (PathBuf, Result<()>);

/// Reads, decodes and resizes a picture: all of it, as the box of its sign.
#[expect(clippy::unnecessary_wraps, reason = "an error would end the pipeline")]
fn frame(found: Found, framer: &Framer, out: &mut [u8]) -> Result<Framed> {
    let path = match found {
        Ok(path) => path,
        Err((path, error)) => return Ok((path, Err(error))),
    };
    let framed = read(&path)
        .and_then(|bytes| Picture::decode(&bytes).map_err(|e| Error::data(e.to_string())))
        .and_then(|picture| framer.frame_picture(&picture, None, out));
    Ok((path, framed))
}

/// The bytes of a file.
fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |e| Error::read(path, &e);
    // Without waiting for who writes into a pipe: it may never come.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::data("not a file"));
    }
    let mut bytes = Vec::with_capacity(metadata.len().min(MAX_FILE) as usize);
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    if read.map_err(failed)? as u64 > MAX_FILE {
        return Err(Error::data(format!("a file of more than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

/// Writes what the classifier says of a batch.
fn predict(classifier: &Classifier, batch: Batch<Framed>, output: &mut Output<'_>) -> Result<()> {
    let embeddings = classifier.rows(batch.embeddings)?;
    let probabilities = classifier.probabilities(embeddings.view());
    for ((path, framed), row) in batch.items.iter().zip(probabilities.rows()) {
        match framed {
            Err(error) => output.refuse(path, error),
            Ok(()) if row.iter().any(|p| p.is_nan()) => {
                output.refuse(path, &no_number());
            }
            Ok(()) => output.add(path, row)?,
        }
    }
    output.flush()
}

/// Names the `wanted` pictures of `paths` that are most worth labelling.
fn label_next(
    args: &Args,
    classifier: &Classifier,
    pipeline: Pipeline,
    (paths, wanted): (Vec<PathBuf>, usize),
) -> Result<Outcome<Summary>> {
    let (mut pool, mut bad) = (Pool::new(wanted), 0);
    pipeline.run(paths::pictures(paths.clone()).map(Ok), frame, |batch| {
        let embeddings = classifier.rows(batch.embeddings)?;
        let probabilities = classifier.probabilities(embeddings.view());
        let rows = probabilities.rows().into_iter().zip(embeddings.rows());
        for ((path, framed), (p, x)) in batch.items.iter().zip(rows) {
            match framed {
                Ok(()) if p.iter().all(|p| p.is_finite()) => pool.add(path, p, x),
                Ok(()) => bad += refuse(path, &no_number()),
                Err(error) => bad += refuse(path, error),
            }
        }
        Ok(())
    })?;
    let pictures = pool.seen();
    let chosen = pool.choose();
    let classes = classifier.classes();
    let names = match &args.copy_to {
        Some(to) => copies::copy(&chosen, classes, to)?,
        None => worksheet::names(&chosen, &paths),
    };
    worksheet::print(&chosen, names, classes, args.common.json)?;
    let to_label = chosen.len();
    tracing::info!("{to_label} of {pictures} pictures to label");
    check_counts(pictures, bad)?;
    Ok(Outcome::Checked(Summary::Chosen(Chosen { pictures, to_label, bad })))
}

/// Why nothing is said of a picture that could be read.
fn no_number() -> Error {
    Error::data("the model gives no number for it")
}

/// Says what was found in all; bad pictures make it an error.
fn conclude(counts: Counts) -> Result<Outcome<Summary>> {
    let Counts { pictures, unsure, bad } = counts;
    tracing::info!("{pictures} pictures, {unsure} of them unsure");
    check_counts(pictures, bad)?;
    Ok(Outcome::Checked(Summary::Predicted(counts)))
}

/// Bad pictures are an error, and so are none.
fn check_counts(pictures: u64, bad: u64) -> Result<()> {
    if bad > 0 {
        return Err(Error::data(format!("{bad} of {} pictures can't be read", pictures + bad)));
    }
    if pictures == 0 {
        return Err(Error::data("no pictures: give files, or folders with png, jpg or ppm files"));
    }
    Ok(())
}
