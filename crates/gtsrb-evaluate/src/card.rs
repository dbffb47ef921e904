//! The model card: `MODEL_CARD.md`, as Hugging Face has them, from manifests and metrics alone.

use artifact::{Manifest, markdown};
use minijinja::Environment;
use minijinja::value::Serde;
use serde_json::{Value, json};
use stage::{Error, Result};

use crate::metrics::{ClassMetrics, Interval, Metrics};
use crate::training::Training;
use crate::words::{count, percent, percent_range};

const TEMPLATE: &str = include_str!("card.md.j2");

/// Classes that are named for their low recall.
const WEAKEST: usize = 5;

/// What the card is made of.
pub struct Card<'a> {
    /// The run's name.
    pub name: &'a str,
    /// The numbers.
    pub metrics: &'a Metrics,
    /// How training went.
    pub training: &'a Training,
    /// The manifests of the run's stages.
    pub manifests: &'a [Manifest],
}

impl Card<'_> {
    /// Renders the card. Names come from data: what would be markup there is escaped.
    ///
    /// # Errors
    /// [`Internal`](stage::Fault::Internal) if the template is wrong.
    pub fn render(&self) -> Result<String> {
        let failed = |e: minijinja::Error| Error::internal(format!("MODEL_CARD.md: {e:#}"));
        let mut environment = Environment::new();
        environment.add_template("card", TEMPLATE).map_err(failed)?;
        let template = environment.get_template("card").map_err(failed)?;
        template.render(Serde(self.values())).map(|card| card + "\n").map_err(failed)
    }

    fn values(&self) -> Value {
        let (metrics, calibration) = (self.metrics, &self.metrics.calibration);
        let mut values = json!({
            "name": markdown(self.name),
            "quoted_name": Value::from(self.name).to_string(),
            "classes": metrics.classes.len(),
            "metrics": numbers(metrics),
            "test_images": count(metrics.test_images),
            "intervals_by": metrics.intervals_by,
            "weakest": weakest(&metrics.classes),
            "weak": weak(metrics),
            "choice": markdown(&self.training.choice),
            "diagnosis": self.training.diagnosis.iter().map(|d| markdown(d)).collect::<Vec<_>>(),
            "temperature": format!("{:.3}", calibration.temperature),
            "ece_before": percent(calibration.before.ece),
            "ece_after": percent(calibration.after.ece),
            "wished": percent(metrics.selective.wished_accuracy),
            "threshold": threshold(metrics),
            "stages": self.manifests.iter().map(stage).collect::<Vec<_>>(),
        });
        for (name, value) in self.of_data().into_iter().chain(self.of_network()) {
            values[name] = value;
        }
        values
    }

    fn manifest(&self, tool: &str) -> Option<&Manifest> {
        self.manifests.iter().find(|manifest| manifest.work.tool == tool)
    }

    fn of_data(&self) -> Vec<(&'static str, Value)> {
        let Some(images) = self.manifest("gtsrb-ingest") else { return Vec::new() };
        let counter = |name: &str| images.counters.get(name).copied().unwrap_or(0);
        let leaks = match counter("duplicates_across_splits") {
            0 => "No test picture is an exact copy of a training picture.".to_owned(),
            copies => {
                format!("{} test pictures are exact copies of training pictures.", count(copies))
            }
        };
        let set = match images.facts.get("set").and_then(Value::as_str) {
            Some("final") => "GTSRB's final training set",
            Some("ijcnn") => "the smaller training set of GTSRB's online competition",
            _ => "",
        };
        vec![
            ("train_images", count(counter("train_images")).into()),
            ("leaks", leaks.into()),
            ("set", set.into()),
        ]
    }

    fn of_network(&self) -> Vec<(&'static str, Value)> {
        let fact = |name: &str| {
            let facts = self.manifest("gtsrb-backbone").map(|manifest| &manifest.facts);
            facts.and_then(|facts| facts.get(name)).and_then(Value::as_str).unwrap_or_default()
        };
        let view = self.manifest("gtsrb-extract").map(|manifest| &manifest.work.parameters);
        let setting = |name: &str| view.map_or(Value::Null, |view| view[name].clone());
        let seen = if setting("crop") == "roi" {
            "Cut out what is to be recognised: it learned from boxes around it."
        } else {
            "It sees whole pictures."
        };
        let licence = licence(fact("backbone"));
        let files = self.manifest("gtsrb-train").map(|manifest| &manifest.outputs);
        let files = files.into_iter().flatten();
        let files = files.map(|(name, file)| json!({ "name": name, "hash": file.hash }));
        vec![
            ("backbone", markdown(fact("backbone")).into()),
            ("taps", markdown(fact("taps")).into()),
            ("licence", licence.unwrap_or("unknown").to_lowercase().into()),
            ("weights_licence", licence.unwrap_or("unknown, see where they came from").into()),
            ("size", setting("size")),
            ("crop", setting("crop")),
            ("margin", setting("margin")),
            ("seen", seen.into()),
            ("files", files.collect()),
        ]
    }
}

/// The licence of a backbone's weights, where it is known by its name.
fn licence(backbone: &str) -> Option<&'static str> {
    backbone.starts_with("efficientnet-lite").then_some("Apache-2.0")
}

fn numbers(metrics: &Metrics) -> Vec<Value> {
    let number = |(kind, name, value, interval): (&str, &str, f64, Interval)| {
        let shown = if kind == "log_loss" {
            (format!("{value:.4}"), format!("{:.4} to {:.4}", interval[0], interval[1]))
        } else {
            (percent(value), percent_range(interval))
        };
        json!({ "type": kind, "name": name, "value": value, "shown": shown.0, "interval": shown.1 })
    };
    [
        ("accuracy", "Top-1", metrics.top1, metrics.top1_interval),
        ("accuracy", "Top-5", metrics.top5, metrics.top5_interval),
        ("recall", "Macro recall", metrics.macro_recall, metrics.macro_recall_interval),
        ("log_loss", "Log-loss", metrics.log_loss, metrics.log_loss_interval),
        ("ece", "Expected calibration error", metrics.ece, metrics.ece_interval),
    ]
    .map(number)
    .into()
}

/// The classes with the lowest recall.
fn weakest(classes: &[ClassMetrics]) -> Vec<Value> {
    let mut found: Vec<(f64, &ClassMetrics)> =
        classes.iter().filter_map(|class| Some((class.recall?, class))).collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let row = |(recall, class): &(f64, &ClassMetrics)| {
        json!({
            "name": markdown(&class.name),
            "support": count(class.support),
            "recall": percent(*recall),
            "precision": class.precision.map_or("–".to_owned(), percent),
        })
    };
    found.iter().take(WEAKEST).map(row).collect()
}

/// Parts of the test whose interval ends below the whole's accuracy.
fn weak(metrics: &Metrics) -> Vec<Value> {
    let slices = metrics.slices.iter().flat_map(|by| by.slices.iter().map(move |part| (by, part)));
    let weak = slices.filter(|(_, part)| part.top1_interval[1] < metrics.top1);
    weak.map(|(by, part)| {
        json!({
            "by": markdown(&by.by), "part": markdown(&part.name), "images": count(part.images),
            "top1": percent(part.top1), "interval": percent_range(part.top1_interval),
        })
    })
    .collect()
}

fn threshold(metrics: &Metrics) -> Option<Value> {
    let threshold = metrics.selective.threshold?;
    Some(json!({
        "confidence": percent(threshold.confidence),
        "accuracy": threshold.test.accuracy.map(percent)?,
        "coverage": percent(threshold.test.coverage),
    }))
}

fn stage(manifest: &Manifest) -> Value {
    json!({
        "tool": manifest.work.tool,
        "version": manifest.work.version,
        "content": manifest.content(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_weights_have_a_licence() {
        assert_eq!(licence("efficientnet-lite0-57934424"), Some("Apache-2.0"));
        assert_eq!(licence("resnet18"), None);
    }
}
