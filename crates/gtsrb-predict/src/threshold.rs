//! From which probability an answer is sure where the command line doesn't say.

use std::path::Path;

use artifact::certainty::{WISHED_ACCURACY, choose};
use artifact::{Answers, Manifest};
use serde_json::Value;

use crate::classifier::TRAIN;

const KEPT_OUT: &str = "oof.parquet";

/// Where none was chosen: below one half, the answer is more likely wrong than right.
const HALF: f32 = 0.5;

/// The confidence that the run's evaluation chose, if it is of the model that is there now. Where
/// there is no such evaluation, the one that it would choose by default, on what the model's
/// training kept out.
pub fn of_run(run: &Path) -> f32 {
    let model = run.join("model");
    let chosen =
        Manifest::read(&model, TRAIN).ok().and_then(|manifest| match evaluation(run, &manifest) {
            Some(metrics) => metrics["selective"]["threshold"]["confidence"].as_f64(),
            None => kept_out(&model, &manifest),
        });
    chosen.map(|confidence| confidence as f32).filter(|p| (0.0..=1.0).contains(p)).unwrap_or(HALF)
}

/// The metrics of `model`.
fn evaluation(run: &Path, model: &Manifest) -> Option<Value> {
    let evaluation = Manifest::read(run, "gtsrb-evaluate").ok()?;
    if evaluation.work.inputs.get("model") != Some(&model.content()) {
        return None;
    }
    evaluation.verify(run, "metrics.json").ok()?;
    let bytes = std::fs::read(run.join("metrics.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// What is chosen on the probabilities that training kept of pictures that it hadn't seen.
fn kept_out(model: &Path, manifest: &Manifest) -> Option<f64> {
    manifest.verify(model, KEPT_OUT).ok()?;
    let answers = Answers::read(&model.join(KEPT_OUT), TRAIN).ok()?;
    choose(&answers.certainty(), WISHED_ACCURACY)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use artifact::{Hash, Output, Predictions, Work};
    use ndarray::array;
    use serde_json::json;

    use super::*;

    fn commit(dir: &Path, tool: &str, name: &str, bytes: &[u8], inputs: BTreeMap<String, Hash>) {
        let version = String::new();
        let work = Work { tool: tool.into(), version, parameters: json!({}), inputs };
        let output = Output::open(dir).unwrap();
        let file = output.write(name, bytes).unwrap();
        output.commit(work, vec![file], BTreeMap::new(), BTreeMap::new()).unwrap();
    }

    #[test]
    fn the_evaluation_of_the_same_model_decides() {
        let dir = tempfile::tempdir().unwrap();
        let (run, model) = (dir.path(), dir.path().join("model"));
        let is = |wanted: f32| assert_eq!(of_run(run).to_bits(), wanted.to_bits());
        is(0.5);
        commit(&model, "gtsrb-train", "head", b"1", BTreeMap::new());
        let content = Manifest::read(&model, "x").unwrap().content();
        let inputs = BTreeMap::from([("model".to_owned(), content)]);
        let metrics = |threshold: Value| json!({ "selective": { "threshold": threshold } });
        let chosen = metrics(json!({ "confidence": 0.875 })).to_string();
        commit(run, "gtsrb-evaluate", "metrics.json", chosen.as_bytes(), inputs.clone());
        is(0.875);
        std::fs::write(run.join("metrics.json"), chosen.replace("875", "125")).unwrap();
        is(0.5);
        let none = metrics(Value::Null).to_string();
        commit(run, "gtsrb-evaluate", "metrics.json", none.as_bytes(), inputs.clone());
        is(0.5);
        commit(run, "gtsrb-evaluate", "metrics.json", chosen.as_bytes(), inputs);
        is(0.875);
        commit(&model, "gtsrb-train", "head", b"2", BTreeMap::new());
        is(0.5);
    }

    /// Half, 0.75 and 0.875 sure, of which the least sure is wrong.
    fn kept_out_bytes() -> Vec<u8> {
        let mut bytes = Vec::new();
        Predictions {
            paths: &["a", "b", "c"],
            labels: Some(&[1, 1, 0]),
            predicted: &[0, 1, 0],
            probabilities: array![[0.5, 0.5], [0.25, 0.75], [0.875, 0.125]].view(),
            folds: Some(&[0, 0, 0]),
        }
        .write(&mut bytes)
        .unwrap();
        bytes
    }

    #[test]
    fn without_evaluation_what_was_kept_out_decides() {
        let dir = tempfile::tempdir().unwrap();
        let (run, model) = (dir.path(), dir.path().join("model"));
        let is = |wanted: f32| assert_eq!(of_run(run).to_bits(), wanted.to_bits());
        commit(&model, TRAIN, KEPT_OUT, &kept_out_bytes(), BTreeMap::new());
        is(0.75);
        let content = Manifest::read(&model, "x").unwrap().content();
        let inputs = BTreeMap::from([("model".to_owned(), content)]);
        commit(run, "gtsrb-evaluate", "metrics.json", br#"{"selective":{}}"#, inputs);
        is(0.5);
    }
}
