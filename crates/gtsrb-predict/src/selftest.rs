//! Whether a model says here what it said where it was made.

use std::fmt::{self, Display};
use std::path::Path;

use artifact::golden::{Golden, Pixels};
use artifact::{Hash, Manifest};
use embed::{Input, Model, Provider, Runtime};
use ndarray::{Array2, ArrayView1};
use picture::Picture;
use serde::Serialize;
use stage::{Error, Result};

use crate::classifier::{Classifier, TRAIN, WHOLE};

const GOLDEN: &str = "golden.safetensors";

/// How far a logit may be off, as a share of the picture's largest one, where the stages' own
/// code prepares pictures and rounds embeddings.
const STAGES_TOLERANCE: f32 = 0.05;

/// A model that says what it should.
#[derive(Serialize, Debug)]
pub struct Tested {
    /// Pictures that it was tried on.
    pictures: usize,
    /// ONNX Runtime's version here.
    runtime: String,
    /// How far a logit of `classifier.onnx` is off at most, as a share of the picture's largest.
    classifier_off: f32,
    /// The same for the way that `gtsrb-predict` goes.
    predict_off: f32,
}

impl Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pictures, runtime, classifier_off, predict_off } = self;
        write!(
            f,
            "the model says of {pictures} pictures what it should (ONNX Runtime {runtime}): logits \
             of {WHOLE} are off by {classifier_off:.1e} of the largest at most, those of \
             gtsrb-predict by {predict_off:.1e}"
        )
    }
}

/// Runs the model in `dir` on the pictures of its golden file.
///
/// # Errors
/// [`Data`](stage::Fault::Data) where a file is damaged or the golden file is another model's,
/// [`Unavailable`](stage::Fault::Unavailable), with the first difference, where the model is whole
/// and this machine computes something else.
pub fn selftest(dir: &Path, threads: usize) -> Result<Tested> {
    let manifest = Manifest::read(dir, TRAIN)?;
    [WHOLE, GOLDEN].iter().try_for_each(|file| manifest.verify(dir, file))?;
    let golden = Golden::read(&dir.join(GOLDEN))?;
    let path = dir.join(WHOLE);
    let bytes = std::fs::read(&path).map_err(|e| Error::read(&path, &e))?;
    if Hash::of(&bytes) != golden.about.classifier {
        let path = dir.join(GOLDEN);
        return Err(Error::data(format!("{}: it is of another {WHOLE}", path.display())));
    }
    let runtime = Runtime::load()?.version();
    let test = Test { golden: &golden, runtime };
    let whole = run_whole(&bytes, &golden)?;
    Ok(Tested {
        pictures: golden.pictures.len(),
        runtime: runtime.to_owned(),
        classifier_off: test.compare(WHOLE, &whole, golden.about.tolerance)?,
        predict_off: test.compare(
            "gtsrb-predict",
            &run_stages(&Classifier::open(dir)?, &golden, threads)?,
            STAGES_TOLERANCE,
        )?,
    })
}

/// Logits `[pictures, classes]` of the exported file.
fn run_whole(onnx: &[u8], golden: &Golden) -> Result<Array2<f32>> {
    let mut model = Model::load(onnx, Provider::Cpu)?;
    let mut logits = Array2::zeros(golden.logits.dim());
    for (Pixels { height, width, rgb }, mut row) in golden.pictures.iter().zip(logits.rows_mut()) {
        let outputs = model.run(Input::U8 { shape: &[1, *height, *width, 3], data: rgb })?;
        let (_, values) = outputs.f32("logits")?;
        if values.len() != row.len() {
            return Err(Error::data(format!("{WHOLE} has {} classes", values.len())));
        }
        row.assign(&ArrayView1::from(values));
    }
    Ok(logits)
}

/// Logits `[pictures, classes]` as prediction comes to them.
fn run_stages(classifier: &Classifier, golden: &Golden, threads: usize) -> Result<Array2<f32>> {
    let pictures = golden.pictures.clone().into_iter().map(|Pixels { height, width, rgb }| {
        Picture::new(width as u32, height as u32, rgb)
            .ok_or_else(|| Error::data(format!("{GOLDEN}: a picture of another size")))
    });
    let mut logits = Vec::new();
    classifier.pipeline(threads)?.run(
        pictures,
        |picture, framer, out| framer.frame_picture(&picture, None, out),
        |batch| {
            let embeddings = classifier.rows(batch.embeddings)?;
            logits.extend(classifier.logits(embeddings.view()));
            Ok(())
        },
    )?;
    Array2::from_shape_vec(golden.logits.dim(), logits)
        .map_err(|e| Error::data(format!("{GOLDEN}: {e}")))
}

struct Test<'a> {
    golden: &'a Golden,
    runtime: &'a str,
}

impl Test<'_> {
    /// The largest difference of `found`, `[pictures, classes]`, from what it should be, as a
    /// share of the picture's largest logit.
    fn compare(&self, what: &str, found: &Array2<f32>, tolerance: f32) -> Result<f32> {
        let about = &self.golden.about;
        let mut most = 0.0_f32;
        let rows = found.rows().into_iter().zip(self.golden.logits.rows());
        for ((found, wanted), path) in rows.zip(&about.paths) {
            let scale = wanted.fold(1.0_f32, |most, z| most.max(z.abs()));
            for (class, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                let off = (found - wanted).abs() / scale;
                if off.is_nan() || off > tolerance {
                    return Err(Error::unavailable(format!(
                        "{what} with ONNX Runtime {} gives {path} the logit {found:.4} for class \
                         {class}, where {wanted:.4} was measured with {}: don't trust it on this \
                         machine",
                        self.runtime, about.runtime
                    )));
                }
                most = most.max(off);
            }
        }
        Ok(most)
    }
}
