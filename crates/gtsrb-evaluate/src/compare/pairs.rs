//! The same picture in two runs.

use std::path::{Path, PathBuf};

use artifact::images::{Image, ImageSet, Split};
use artifact::{Answers, Hash, Manifest};
use stage::{Error, Result};

use crate::interval::Units;
use crate::metrics::{Scored, score_all};

/// The stage that writes predictions, for messages.
const STAGE: &str = "gtsrb-evaluate";

/// Answers of two runs to the same pictures, in the same order.
pub struct Pairs {
    /// Class names of both.
    pub classes: Vec<String>,
    /// What the first run says.
    pub a: Vec<Scored>,
    /// What the second run says.
    pub b: Vec<Scored>,
    /// What is resampled.
    pub units: Units,
}

impl Pairs {
    /// Reads both runs and matches their test images by pixels: the order and the names of files
    /// don't matter. Pictures that occur more than once are told apart by their paths.
    ///
    /// # Errors
    /// See [`compare`](super::compare).
    pub fn read(a: &Path, b: &Path) -> Result<Self> {
        let (a, b) = (Side::read(a)?, Side::read(b)?);
        if a.classes != b.classes {
            return Err(unlike(&a, &b, "know other classes"));
        }
        let (one, two) = (a.order(), b.order());
        let differ = |(i, j): &(usize, usize)| a.pictures[*i].pixels != b.pictures[*j].pixels;
        let both = || one.iter().copied().zip(two.iter().copied());
        if one.len() != two.len() || both().any(|pair| differ(&pair)) {
            let reason = format!(
                "have other test images, {} and {} of them; first of the differing ones: {}",
                one.len(),
                two.len(),
                both().find(differ).map_or("at the end", |(i, _)| &a.pictures[i].path)
            );
            return Err(unlike(&a, &b, &reason));
        }
        let (left, right) = (a.scored(&one), b.scored(&two));
        if let Some(row) = left.iter().zip(&right).position(|(l, r)| l.label != r.label) {
            let (path, [l, r]) = (&a.pictures[one[row]].path, [left[row].label, right[row].label]);
            return Err(unlike(&a, &b, &format!("give {path} other classes, {l} and {r}")));
        }
        let kept = one.iter().map(|&row| &a.pictures[row]);
        let units = Units::of(kept.map(|p| (p.label, p.track.as_deref())));
        Ok(Self { classes: a.classes, a: left, b: right, units })
    }
}

fn unlike(a: &Side, b: &Side, reason: &str) -> Error {
    let (a, b) = (a.run.display(), b.run.display());
    Error::data(format!("{a} and {b} {reason}: only runs on the same test set can be compared"))
}

/// One test image, without its bytes.
struct Shown {
    pixels: Hash,
    path: String,
    label: i64,
    track: Option<String>,
}

impl From<Image> for Shown {
    fn from(image: Image) -> Self {
        let Image { pixels, path, label, track, .. } = image;
        Self { pixels, path, label, track }
    }
}

/// One run: its test images and its answers, in row order.
struct Side {
    run: PathBuf,
    classes: Vec<String>,
    pictures: Vec<Shown>,
    answers: Answers,
}

impl Side {
    fn read(run: &Path) -> Result<Self> {
        let manifest = Manifest::read(run, STAGE)?;
        manifest.verify(run, "predictions.parquet")?;
        let answers = Answers::read(&run.join("predictions.parquet"), STAGE)?;
        let images = ImageSet::open(run)?;
        if manifest.work.inputs.get("images") != Some(&images.manifest().content()) {
            return Err(Error::data(format!(
                "{} was evaluated on other images than it has now: run {STAGE} again",
                run.display()
            )));
        }
        let mut pictures = Vec::with_capacity(answers.paths.len());
        for batch in images.batches(Split::Test) {
            stage::check_interrupt()?;
            pictures.extend(batch?.into_iter().map(Shown::from));
        }
        if !answers.paths.iter().eq(pictures.iter().map(|p| &p.path)) {
            return Err(Error::data(format!(
                "{}/predictions.parquet isn't of the run's test images: run {STAGE} again",
                run.display()
            )));
        }
        Ok(Self { run: run.to_owned(), classes: images.classes().to_vec(), pictures, answers })
    }

    /// Rows by pixels, then by path.
    fn order(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.pictures.len()).collect();
        let key = |row: &usize| (self.pictures[*row].pixels.0, &self.pictures[*row].path);
        rows.sort_by(|a, b| key(a).cmp(&key(b)));
        rows
    }

    /// The answers to `rows`.
    fn scored(&self, rows: &[usize]) -> Vec<Scored> {
        let scored = score_all(&self.answers.labels, &self.answers.probabilities);
        rows.iter().map(|&row| scored[row]).collect()
    }
}
