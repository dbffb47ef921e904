//! Runs the files that were built, on stored images, before they get their names.

use std::collections::HashMap;

use artifact::embeddings::{Key, key};
use artifact::head::Head;
use artifact::images::Split as Part;
use embed::{Input, Model, Outputs, Provider};
use ndarray::{Array2, ArrayView1, Axis};
use stage::{Error, Result, check_interrupt};
use tracing::info;

use crate::data::Inputs;
use crate::export::Files;
use crate::train::Probe;

/// How far a logit of `head.onnx` may be off, as a share of the picture's largest one: sums in
/// f32 in another order.
const HEAD_TOLERANCE: f32 = 1e-3;

/// The same for `classifier.onnx`. It computes embeddings anew, where training read them as
/// they are stored: rounded to f16 (5e-4 of each number), or computed on another device.
const CLASSIFIER_TOLERANCE: f32 = 0.02;

/// How far a probability may be off what the file's own logits make it.
const PROBABILITY_TOLERANCE: f32 = 1e-4;

/// Pictures of one inference.
const BATCH: usize = 8;

/// Runs `head.onnx` on stored embeddings and `classifier.onnx` on their images.
///
/// # Errors
/// [`Internal`](stage::Fault::Internal) if a logit or a probability is further off than the
/// tolerances, or a label differs although the two best logits are further apart.
pub fn verify(inputs: &Inputs, files: &Files, head: &Head, probe: &Probe) -> Result<()> {
    let expected = head.network.logits(probe.embeddings.view());
    let check = |file, scores: &Scores, tolerance| {
        scores.check_probabilities(head.temperature, file)?;
        compare(file, &scores.logits, &expected, tolerance, probe)
    };
    let classes = head.classes.len();
    let of_head = check("head.onnx", &run_head(files, probe, classes)?, HEAD_TOLERANCE)?;
    let scores = run_classifier(inputs, files, probe, classes)?;
    let of_classifier = check("classifier.onnx", &scores, CLASSIFIER_TOLERANCE)?;
    info!(
        "checked on {} images: logits of head.onnx are off by {of_head:.1e} of the largest at \
         most, those of classifier.onnx by {of_classifier:.1e}",
        probe.rows.len()
    );
    Ok(())
}

/// What a written model says of some pictures.
struct Scores {
    /// `[rows, classes]`
    logits: Array2<f32>,
    /// `[rows, classes]`
    probabilities: Array2<f32>,
}

impl Scores {
    fn of(outputs: &Outputs, rows: usize, classes: usize) -> Result<Self> {
        let matrix = |name: &str| {
            let (_, values) = outputs.f32(name)?;
            Array2::from_shape_vec((rows, classes), values.to_vec())
                .map_err(|e| Error::internal(format!("{name} of a written model: {e}")))
        };
        Ok(Self { logits: matrix("logits")?, probabilities: matrix("probabilities")? })
    }

    /// Probabilities must be softmax(logits / temperature).
    fn check_probabilities(&self, temperature: f32, file: &str) -> Result<()> {
        for (logits, found) in self.logits.rows().into_iter().zip(self.probabilities.rows()) {
            let max = logits[largest(logits)];
            let mut expected = logits.mapv(|z| ((z - max) / temperature).exp());
            expected /= expected.sum();
            let is_close = |(p, q): (&f32, &f32)| (p - q).abs() <= PROBABILITY_TOLERANCE;
            if !found.iter().zip(&expected).all(is_close) {
                return Err(Error::internal(format!(
                    "{file}: probabilities aren't the softmax of the logits; nothing was \
                     written, please report this"
                )));
            }
        }
        Ok(())
    }
}

fn run_head(files: &Files, probe: &Probe, classes: usize) -> Result<Scores> {
    let mut model = Model::load(&files.head, Provider::Cpu)?;
    let (rows, dims) = probe.embeddings.dim();
    let data = probe.embeddings.as_standard_layout();
    let data = data.as_slice().unwrap_or_default();
    Scores::of(&model.run(Input::F32 { shape: &[rows, dims], data })?, rows, classes)
}

fn run_classifier(inputs: &Inputs, files: &Files, probe: &Probe, classes: usize) -> Result<Scores> {
    let mut model = Model::load(&files.classifier, Provider::Cpu)?;
    let (size, frames) = (inputs.view.size, frames(inputs, probe)?);
    let shape = (probe.rows.len(), classes);
    let mut all = Scores { logits: Array2::zeros(shape), probabilities: Array2::zeros(shape) };
    let batches = all.logits.axis_chunks_iter_mut(Axis(0), BATCH);
    let batches = batches.zip(all.probabilities.axis_chunks_iter_mut(Axis(0), BATCH));
    for ((mut logits, mut probabilities), data) in
        batches.zip(frames.chunks(BATCH * size * size * 3))
    {
        check_interrupt()?;
        let rows = logits.nrows();
        let outputs = model.run(Input::U8 { shape: &[rows, size, size, 3], data })?;
        let scores = Scores::of(&outputs, rows, classes)?;
        let best = scores.logits.rows().into_iter().map(|row| largest(row) as i64);
        if !best.eq(outputs.i64("label")?.1.iter().copied()) {
            return Err(Error::internal("classifier.onnx: label isn't the largest logit"));
        }
        logits.assign(&scores.logits);
        probabilities.assign(&scores.probabilities);
    }
    Ok(all)
}

/// The probe's pictures as the backbone sees them, [rows, size, size, 3].
fn frames(inputs: &Inputs, probe: &Probe) -> Result<Vec<u8>> {
    let framing = inputs.view.framing();
    let bytes = framing.size * framing.size * 3;
    let mut frames = vec![0; probe.rows.len() * bytes];
    let mut places: HashMap<Key, Vec<usize>> = HashMap::new();
    for (place, row) in probe.rows.iter().enumerate() {
        places.entry(row.key).or_default().push(place);
    }
    for images in inputs.images.batches(Part::Train) {
        check_interrupt()?;
        for image in images? {
            for place in places.remove(&key(&image)).unwrap_or_default() {
                framing.frame(&image, &mut frames[place * bytes..(place + 1) * bytes])?;
            }
        }
        if places.is_empty() {
            return Ok(frames);
        }
    }
    Err(Error::data("the images of some embeddings are gone: run gtsrb-extract again"))
}

/// The largest difference of logits as a share of the row's largest one, if all are within
/// `tolerance`.
fn compare(
    file: &str,
    found: &Array2<f32>,
    expected: &Array2<f32>,
    tolerance: f32,
    probe: &Probe,
) -> Result<f32> {
    let mut most = 0.0_f32;
    let rows = found.rows().into_iter().zip(expected.rows());
    for ((found, expected), row) in rows.zip(&probe.rows) {
        let scale = expected.fold(1.0_f32, |most, z| most.max(z.abs()));
        let off = (&found - &expected).fold(0.0_f32, |most, d| most.max(d.abs())) / scale;
        let are_numbers = found.iter().all(|z| z.is_finite());
        let (best, wanted) = (largest(found), largest(expected));
        let margin = (expected[wanted] - expected[best]) / scale;
        if !are_numbers || off > tolerance || margin > tolerance {
            return Err(Error::internal(format!(
                "{file} doesn't agree with the trained head on {}: logit {:.4} for class {wanted} \
                 instead of {:.4}, class {best} is its best; nothing was written, please report \
                 this",
                row.path, found[wanted], expected[wanted]
            )));
        }
        most = most.max(off);
    }
    Ok(most)
}

/// Index of the largest value, the first of equal ones.
fn largest(row: ArrayView1<'_, f32>) -> usize {
    let better = |best: (usize, f32), (index, &value): (usize, &f32)| {
        if value > best.1 { (index, value) } else { best }
    };
    row.iter().enumerate().fold((0, f32::NEG_INFINITY), better).0
}

#[cfg(test)]
mod tests {
    use artifact::Hash;
    use artifact::embeddings::Row;
    use ndarray::array;

    use super::*;

    fn probe() -> Probe {
        let (key, path) = (Hash::of(b"1"), "a.png".to_owned());
        let row = Row { key, path, label: 0, track: None, frame: None };
        Probe { rows: vec![row], embeddings: Array2::zeros((1, 1)) }
    }

    #[test]
    fn labels_may_differ_only_where_logits_are_close() {
        let compare = |found: Array2<f32>, expected: Array2<f32>| {
            compare("head.onnx", &found, &expected, 0.05, &probe())
        };
        let close = compare(array![[10.0, 9.9]], array![[9.9, 10.0]]).unwrap();
        assert!((close - 0.01).abs() < 1e-6);
        let far = compare(array![[10.0, 8.0]], array![[8.0, 10.0]]).unwrap_err();
        assert_eq!(far.fault(), stage::Fault::Internal);
        assert!(far.to_string().contains("a.png"), "{far}");
        assert!(compare(array![[f32::NAN, 0.5]], array![[0.5, 0.5]]).is_err());
    }

    #[test]
    fn probabilities_belong_to_logits_and_temperature() {
        let logits = array![[2.0_f32, 0.0]];
        let p = 1.0 / (1.0 + (-1.0_f32).exp());
        let scores = Scores { logits, probabilities: array![[p, 1.0 - p]] };
        assert!(scores.check_probabilities(2.0, "head.onnx").is_ok());
        assert!(scores.check_probabilities(1.0, "head.onnx").is_err());
    }
}
