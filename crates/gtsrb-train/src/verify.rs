//! Runs the files that were built, on stored images, before they get their names.

use artifact::Hash;
use artifact::golden::{About, Golden, Pixels};
use artifact::head::Head;
use embed::{Input, Model, Outputs, Provider, Runtime};
use ndarray::{Array2, ArrayView1, Axis};
use stage::{Error, Result, check_interrupt};
use tracing::info;

use crate::data::Inputs;
use crate::export::Files;
use crate::stored::Stored;
use crate::train::Probe;

/// How far a logit of `head.onnx` may be off, as a share of the picture's largest one: sums in
/// f32 in another order.
const HEAD_TOLERANCE: f32 = 1e-3;

/// The same for `classifier.onnx`. It computes embeddings anew, where training read them as
/// they are stored: rounded to f16 (5e-4 of each number), or computed on another device.
const CLASSIFIER_TOLERANCE: f32 = 0.02;

/// The same where the classifier resizes: single pixels may be a grey level off.
const RESIZED_TOLERANCE: f32 = 0.05;

/// The same for whoever runs the classifier elsewhere: another processor or runtime sums in
/// another order and may round a pixel or a byte of a quantised backbone the other way.
const GOLDEN_TOLERANCE: f32 = 0.01;

/// How far a probability may be off what the file's own logits make it.
const PROBABILITY_TOLERANCE: f32 = 1e-4;

/// Pictures of one inference.
const BATCH: usize = 8;

/// Runs `head.onnx` on stored embeddings and `classifier.onnx` on their images; gives what
/// `classifier.onnx` says of some of them in their own resolution.
///
/// # Errors
/// [`Internal`](stage::Fault::Internal) if a logit or a probability is further off than the
/// tolerances, or a label differs although the two best logits are further apart.
pub fn verify(inputs: &Inputs, files: &Files, head: &Head, probe: &Probe) -> Result<Golden> {
    let expected = head.network.logits(probe.embeddings.view());
    let check = |file, scores: &Scores, tolerance| {
        scores.check_probabilities(head.temperature, file)?;
        compare(file, &scores.logits, &expected, tolerance, probe)
    };
    let classes = head.classes.len();
    let of_head = check("head.onnx", &run_head(files, probe, classes)?, HEAD_TOLERANCE)?;
    let stored = Stored::read(inputs, probe)?;
    let mut model = Model::load(&files.classifier, Provider::Cpu)?;
    let scores = run_classifier(&mut model, inputs.view.size, &stored, classes)?;
    let of_classifier = check("classifier.onnx", &scores, CLASSIFIER_TOLERANCE)?;
    let tried = try_whole(&mut model, stored, classes)?;
    tried.scores.check_probabilities(head.temperature, "classifier.onnx")?;
    let wanted = expected.select(Axis(0), &tried.places);
    let some = probe.select(&tried.places);
    compare("classifier.onnx", &tried.scores.logits, &wanted, RESIZED_TOLERANCE, &some)?;
    info!(
        "checked on {} images: logits of head.onnx are off by {of_head:.1e} of the largest at \
         most, those of classifier.onnx by {of_classifier:.1e}",
        probe.rows.len()
    );
    tried.into_golden(&files.classifier, &some)
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

fn run_classifier(
    model: &mut Model,
    size: usize,
    stored: &Stored,
    classes: usize,
) -> Result<Scores> {
    let frame = size * size * 3;
    let shape = (stored.frames.len() / frame, classes);
    let mut all = Scores { logits: Array2::zeros(shape), probabilities: Array2::zeros(shape) };
    let batches = all.logits.axis_chunks_iter_mut(Axis(0), BATCH);
    let batches = batches.zip(all.probabilities.axis_chunks_iter_mut(Axis(0), BATCH));
    for ((mut logits, mut probabilities), data) in batches.zip(stored.frames.chunks(BATCH * frame))
    {
        let scores = run_batch(model, &[logits.nrows(), size, size, 3], data, classes)?;
        logits.assign(&scores.logits);
        probabilities.assign(&scores.probabilities);
    }
    Ok(all)
}

/// What the classifier says of pictures of one size; `shape` is theirs, `[n, h, w, 3]`.
fn run_batch(model: &mut Model, shape: &[usize; 4], data: &[u8], classes: usize) -> Result<Scores> {
    check_interrupt()?;
    let outputs = model.run(Input::U8 { shape, data })?;
    let scores = Scores::of(&outputs, shape[0], classes)?;
    let best = scores.logits.rows().into_iter().map(|row| largest(row) as i64);
    if !best.eq(outputs.i64("label")?.1.iter().copied()) {
        return Err(Error::internal("classifier.onnx: label isn't the largest logit"));
    }
    Ok(scores)
}

/// What the classifier says of pictures in their own resolution.
struct Tried {
    /// Their places in the probe.
    places: Vec<usize>,
    pictures: Vec<Pixels>,
    scores: Scores,
}

fn try_whole(model: &mut Model, stored: Stored, classes: usize) -> Result<Tried> {
    let shape = (stored.golden.len(), classes);
    let mut scores = Scores { logits: Array2::zeros(shape), probabilities: Array2::zeros(shape) };
    for (number, (_, picture)) in stored.golden.iter().enumerate() {
        let shape = [1, picture.height, picture.width, 3];
        let one = run_batch(model, &shape, &picture.rgb, classes)?;
        scores.logits.row_mut(number).assign(&one.logits.row(0));
        scores.probabilities.row_mut(number).assign(&one.probabilities.row(0));
    }
    let (places, pictures) = stored.golden.into_iter().unzip();
    Ok(Tried { places, pictures, scores })
}

impl Tried {
    /// The golden file of `classifier`; `probe` is of these pictures.
    fn into_golden(self, classifier: &[u8], probe: &Probe) -> Result<Golden> {
        Ok(Golden {
            about: About {
                classifier: Hash::of(classifier),
                runtime: Runtime::load()?.version().to_owned(),
                tolerance: GOLDEN_TOLERANCE,
                paths: probe.rows.iter().map(|row| row.path.clone()).collect(),
            },
            pictures: self.pictures,
            logits: self.scores.logits,
            probabilities: self.scores.probabilities,
        })
    }
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
