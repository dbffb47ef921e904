//! Runs the files that were built, on stored images, before they get their names.

use std::collections::HashMap;

use artifact::embeddings::{Key, key};
use artifact::head::Head;
use artifact::images::Split as Part;
use embed::{Input, Model, Outputs, Provider};
use ndarray::{Array2, ArrayView2, Axis};
use stage::{Error, Result, check_interrupt};
use tracing::info;

use crate::data::Inputs;
use crate::export::Files;
use crate::train::Probe;

/// How far a probability of `head.onnx` may be off: sums in f32 in another order.
const HEAD_TOLERANCE: f32 = 1e-3;

/// How far a probability of `classifier.onnx` may be off. It computes embeddings anew, where
/// training read them as they are stored: rounded to f16 (about 5e-4 of each number).
const CLASSIFIER_TOLERANCE: f32 = 0.05;

/// Pictures of one inference.
const BATCH: usize = 8;

/// Runs `head.onnx` on stored embeddings and `classifier.onnx` on their images.
///
/// # Errors
/// [`Internal`](stage::Fault::Internal) if a probability is further off than the tolerances,
/// or a label differs although the two best probabilities are further apart.
pub fn verify(inputs: &Inputs, files: &Files, head: &Head, probe: &Probe) -> Result<()> {
    let expected = probabilities(head, probe.embeddings.view());
    let from_head = run_head(files, probe, expected.ncols())?;
    let head_off = compare("head.onnx", &from_head, &expected, HEAD_TOLERANCE, probe)?;
    let from_images = run_classifier(inputs, files, probe, expected.ncols())?;
    let off = compare(
        "classifier.onnx",
        &from_images,
        &expected,
        CLASSIFIER_TOLERANCE,
        probe,
    )?;
    info!(
        "checked on {} images: head.onnx is off by {head_off:.1e} at most, classifier.onnx by \
         {off:.1e}",
        probe.rows.len()
    );
    Ok(())
}

/// softmax((E Wᵀ + b) / T), shape [rows, classes].
fn probabilities(head: &Head, embeddings: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut logits = embeddings.dot(&head.weights.t()) + &head.bias;
    logits /= head.temperature;
    for mut row in logits.rows_mut() {
        let max = row.fold(f32::NEG_INFINITY, |max, &z| max.max(z));
        row.mapv_inplace(|z| (z - max).exp());
        row /= row.sum();
    }
    logits
}

fn run_head(files: &Files, probe: &Probe, classes: usize) -> Result<Array2<f32>> {
    let mut model = Model::load(&files.head, Provider::Cpu)?;
    let (rows, dims) = probe.embeddings.dim();
    let data = probe.embeddings.as_standard_layout();
    let data = data.as_slice().unwrap_or_default();
    matrix(
        &model.run(Input::F32 {
            shape: &[rows, dims],
            data,
        })?,
        rows,
        classes,
    )
}

fn run_classifier(
    inputs: &Inputs,
    files: &Files,
    probe: &Probe,
    classes: usize,
) -> Result<Array2<f32>> {
    let mut model = Model::load(&files.classifier, Provider::Cpu)?;
    let (size, frames) = (inputs.view.size, frames(inputs, probe)?);
    let mut probabilities = Array2::zeros((probe.rows.len(), classes));
    let batches = probabilities.axis_chunks_iter_mut(Axis(0), BATCH);
    for (mut batch, data) in batches.zip(frames.chunks(BATCH * size * size * 3)) {
        check_interrupt()?;
        let rows = batch.nrows();
        let outputs = model.run(Input::U8 {
            shape: &[rows, size, size, 3],
            data,
        })?;
        batch.assign(&matrix(&outputs, rows, classes)?);
        let best: Vec<i64> = batch
            .rows()
            .into_iter()
            .map(|row| largest(row) as i64)
            .collect();
        if outputs.i64("label")?.1 != best {
            return Err(Error::internal(
                "classifier.onnx: label isn't the largest probability",
            ));
        }
    }
    Ok(probabilities)
}

fn matrix(outputs: &Outputs, rows: usize, classes: usize) -> Result<Array2<f32>> {
    let (_, values) = outputs.f32("probabilities")?;
    Array2::from_shape_vec((rows, classes), values.to_vec())
        .map_err(|e| Error::internal(format!("probabilities of a written model: {e}")))
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
    Err(Error::data(
        "the images of some embeddings are gone: run gtsrb-extract again",
    ))
}

/// The largest difference, if all are within `tolerance`.
fn compare(
    file: &str,
    found: &Array2<f32>,
    expected: &Array2<f32>,
    tolerance: f32,
    probe: &Probe,
) -> Result<f32> {
    let mut most = 0.0_f32;
    for ((found, expected), row) in found
        .rows()
        .into_iter()
        .zip(expected.rows())
        .zip(&probe.rows)
    {
        let off = (&found - &expected).fold(0.0_f32, |most, d| most.max(d.abs()));
        let are_numbers = found.iter().all(|p| p.is_finite());
        let (best, of_expected) = (largest(found), largest(expected));
        let margin = expected[of_expected] - expected[best];
        if !are_numbers || off > tolerance || margin > tolerance {
            return Err(Error::internal(format!(
                "{file} doesn't agree with the trained head on {}: class {best} with {:.4} \
                 instead of class {of_expected} with {:.4}; nothing was written, please report this",
                row.path, found[best], expected[of_expected]
            )));
        }
        most = most.max(off);
    }
    Ok(most)
}

/// Index of the largest value, the first of equal ones.
fn largest(row: ndarray::ArrayView1<'_, f32>) -> usize {
    let better = |best: (usize, f32), (index, &value): (usize, &f32)| {
        if value > best.1 { (index, value) } else { best }
    };
    row.iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), better)
        .0
}

#[cfg(test)]
mod tests {
    use artifact::Hash;
    use artifact::embeddings::Row;
    use ndarray::array;

    use super::*;

    fn probe() -> Probe {
        let (key, path) = (Hash::of(b"1"), "a.png".to_owned());
        let row = Row {
            key,
            path,
            label: 0,
            track: None,
            frame: None,
        };
        Probe {
            rows: vec![row],
            embeddings: Array2::zeros((1, 1)),
        }
    }

    #[test]
    fn labels_may_differ_only_where_probabilities_are_close() {
        let compare = |found: Array2<f32>, expected: Array2<f32>| {
            compare("head.onnx", &found, &expected, 0.05, &probe())
        };
        let close = compare(array![[0.51, 0.49]], array![[0.49, 0.51]]).unwrap();
        assert!((close - 0.02).abs() < 1e-6);
        let far = compare(array![[0.6, 0.4]], array![[0.4, 0.6]]).unwrap_err();
        assert_eq!(far.fault(), stage::Fault::Internal);
        assert!(far.to_string().contains("a.png"), "{far}");
        assert!(compare(array![[f32::NAN, 0.5]], array![[0.5, 0.5]]).is_err());
    }
}
