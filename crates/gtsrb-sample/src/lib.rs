//! The `gtsrb-sample` stage: draws German road signs on the road and writes them in the
//! official GTSRB layout, so that the pipeline runs from nothing.
//!
//! Every sign is a vector drawing (`art/`). A track is one sign and one drive towards it:
//! paint, backdrop, light and camera stay, size and pose change. Test pictures come from
//! tracks of their own.
//!
//! The same seed gives the same bytes, with any number of threads: each picture has its own
//! random stream, and after the signs are rasterised nothing but exactly rounded arithmetic
//! (+ − × ÷ √ and comparisons, never a fused or a library function) touches a pixel. The
//! rasteriser's version is pinned, and its 8-bit result absorbs what a machine's libm could
//! change. A committed hash of pictures guards all of it.

mod args;
mod art;
mod backdrop;
mod camera;
mod frame;
mod paint;
mod plan;
mod pose;
mod random;
mod scene;
mod texture;
mod write;

use std::collections::BTreeMap;

use artifact::{Output, Staged, Work};
use serde::Serialize;
use stage::{Error, Outcome, Progress, Result};

pub use args::{Args, Flags, Settings};
use write::Row;

/// The binary's name, which manifests and error messages use.
const TOOL: &str = "gtsrb-sample";
/// Raise the number with every change of what this stage makes of the same inputs and settings.
const VERSION: &str = artifact::version!(1);

/// What the stage made.
#[derive(Serialize, Debug)]
pub struct Summary {
    /// Training pictures.
    pub train_images: usize,
    /// Test pictures.
    pub test_images: usize,
    /// The folder they are in.
    pub data: String,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { train_images, test_images, data } = self;
        write!(f, "{train_images} training and {test_images} test pictures of 43 signs in {data}")
    }
}

/// Runs the stage: draws what the settings ask for into `<run>/data/`.
pub fn run(args: &Args) -> Result<Outcome<Summary>> {
    let settings = Settings::from_args(args)?;
    let dir = args.common.run_dir()?.join("data");
    let train = plan::training(&settings);
    let test = plan::test(&settings);
    let summary = Summary {
        train_images: train.len(),
        test_images: test.len(),
        data: dir.display().to_string(),
    };
    if args.common.dry_run {
        return Ok(Outcome::Planned(format!("would draw {summary}")));
    }
    let work = work(&settings)?;
    let output = Output::open(&dir)?;
    if output.current(&work)?.is_some() {
        return Ok(Outcome::Current(summary));
    }
    let files = args.common.in_threads(|| draw(&output, &train, &test, &settings))?;
    let counters = BTreeMap::from([
        ("train_images".to_owned(), train.len() as u64),
        ("test_images".to_owned(), test.len() as u64),
    ]);
    output.commit(work, files, counters, BTreeMap::new())?;
    Ok(Outcome::Done(summary))
}

fn work(settings: &Settings) -> Result<Work> {
    Ok(Work {
        tool: TOOL.to_owned(),
        version: VERSION.to_owned(),
        parameters: serde_json::to_value(settings)
            .map_err(|e| Error::internal(format!("settings are no JSON: {e}")))?,
        inputs: BTreeMap::new(),
    })
}

/// Every file of the layout.
fn draw(
    output: &Output,
    train: &[plan::Picture],
    test: &[plan::Picture],
    settings: &Settings,
) -> Result<Vec<Staged>> {
    let textures = texture::draw_all()?;
    let progress = Progress::new("draw", (train.len() + test.len()) as u64);
    let mut files = Vec::new();
    let mut pictures = |list: &[plan::Picture]| -> Result<Vec<Row>> {
        let drawn = write::pictures(output, &textures, list, settings, &progress)?;
        let (rows, staged): (Vec<Row>, Vec<Staged>) = drawn.into_iter().unzip();
        files.extend(staged);
        Ok(rows)
    };
    let train = pictures(train)?;
    let test = pictures(test)?;
    files.extend(write::train_tables(output, &train)?);
    files.extend(write::test_tables(output, &test)?);
    Ok(files)
}
