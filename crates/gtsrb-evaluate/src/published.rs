//! What others report on the same test images, to stand beside a run on GTSRB.

use artifact::Manifest;
use serde::Serialize;
use serde_json::json;
use signs::counts::{FINAL_TEST_TOTAL, TrainingSet};

use crate::metrics::Metrics;

/// A published result.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Published {
    /// Who or what recognised the signs.
    pub method: &'static str,
    /// What of it learned from signs.
    pub learned: &'static str,
    /// Training images, where the source says so; empty else.
    pub training: &'static str,
    /// Accuracy in percent, as published.
    pub accuracy: &'static str,
    /// Where it was published.
    pub source: &'static str,
}

const FINAL: &str = "39,209";
const IJCNN: &str = "26,640";
const LINEAR: &str = "linear head on frozen features";
const PAPER: &str = "Stallkamp et al. 2012, benchmark's result table";
const CLIP: &str = "Radford et al. 2021, table 10";

/// From the most to the least accurate.
const RESULTS: [Published; 12] = [
    result("three spatial transformers", "whole network", "", "99.71", "Arcos-Garcia et al. 2018"),
    result("committee of CNNs", "whole networks", FINAL, "99.46", "Ciresan et al. 2012"),
    result("CLIP ViT-B/16, fine-tuned", "vision tower", "", "99.17", "published model card"),
    result("people, on average", "", "", "98.84", PAPER),
    result("multi-scale CNN", "whole network", FINAL, "98.31", PAPER),
    result("random forests on HOG", "forest", FINAL, "96.14", PAPER),
    result("LDA on HOG", "linear", FINAL, "95.68", PAPER),
    result("CLIP ViT-L/14", LINEAR, IJCNN, "92.5", CLIP),
    result("CLIP ViT-B/16", LINEAR, IJCNN, "86.6", CLIP),
    result("CLIP ViT-B/32", LINEAR, IJCNN, "85.3", CLIP),
    result("CLIP ResNet-50", LINEAR, IJCNN, "82.4", CLIP),
    result("VGG16 bottleneck features", "dense layer", "", "74.5", "thesis, Uppsala"),
];

const fn result(
    method: &'static str,
    learned: &'static str,
    training: &'static str,
    accuracy: &'static str,
    source: &'static str,
) -> Published {
    Published { method, learned, training, accuracy, source }
}

/// Published results beside those of `metrics`, for the report; null where the test images
/// aren't the benchmark's, all of them.
#[must_use]
pub fn beside(metrics: &Metrics, images: &Manifest) -> serde_json::Value {
    let names = metrics.classes.iter().map(|class| class.name.as_str());
    if metrics.test_images != FINAL_TEST_TOTAL || !names.eq(signs::CLASS_NAMES) {
        return json!(null);
    }
    let counts: Vec<u64> = images
        .facts
        .get("train_per_class")
        .and_then(|counts| serde_json::from_value(counts.clone()).ok())
        .unwrap_or_default();
    let set = match TrainingSet::recognise(&counts) {
        Some(TrainingSet::Final) => "the final set",
        Some(TrainingSet::Ijcnn) => "the smaller set of the IJCNN 2011 competition",
        None => "a set of its own",
    };
    json!({
        "results": RESULTS,
        "training": crate::words::count(counts.iter().sum()),
        "set": set,
        "accuracy": format!("{:.2}", 100.0 * metrics.top1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_sorted() {
        let accuracies: Vec<f64> = RESULTS.iter().map(|r| r.accuracy.parse().unwrap()).collect();
        assert!(accuracies.is_sorted_by(|a, b| a >= b));
    }
}
