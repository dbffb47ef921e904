//! From which probability an answer is sure where the command line doesn't say.

use std::path::Path;

use artifact::Manifest;
use serde_json::Value;

/// Where evaluation chose none: below one half, the answer is more likely wrong than right.
const HALF: f32 = 0.5;

/// The confidence that the run's evaluation chose, if it is of the model that is there now;
/// predicting doesn't need an evaluation.
pub fn of_run(run: &Path) -> f32 {
    chosen(run).unwrap_or(HALF)
}

fn chosen(run: &Path) -> Option<f32> {
    let evaluation = Manifest::read(run, "gtsrb-evaluate").ok()?;
    let model = Manifest::read(&run.join("model"), "gtsrb-train").ok()?;
    if evaluation.work.inputs.get("model") != Some(&model.content()) {
        return None;
    }
    evaluation.verify(run, "metrics.json").ok()?;
    let bytes = std::fs::read(run.join("metrics.json")).ok()?;
    let metrics: Value = serde_json::from_slice(&bytes).ok()?;
    let confidence = metrics["selective"]["threshold"]["confidence"].as_f64()? as f32;
    (0.0..=1.0).contains(&confidence).then_some(confidence)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use artifact::{Hash, Output, Work};
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
}
