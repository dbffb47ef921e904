//! `report.html`: everything a person wants to see, in one file that needs no network.

use std::collections::BTreeMap;

use artifact::Manifest;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use serde_json::json;
use stage::{Error, Result};

use crate::balance::Balance;
use crate::figures;
use crate::gallery::Mistake;
use crate::map::Map;
use crate::metrics::{Interval, Metrics};
use crate::pairs::Confused;
use crate::published::beside;
use crate::quality::{Findings, Label, Quality};
use crate::selective::Answered;
use crate::slices::{Slice, Slicing};
use crate::sprite::Sprite;
use crate::training::{Solver, Training};
use crate::words::{count, percent, percent_range};

const TEMPLATE: &str = include_str!("report.html.j2");

/// The page's only script.
const SCRIPT: &str = include_str!("report.js");

/// SHA-256 of [`SCRIPT`], in Base64: the page runs no other.
const SCRIPT_HASH: &str = "F0sDO8wiKEshHOkHsfGCIxCZIuUXpYazgTmsadaIzNo=";

/// What a report is made of.
pub struct Report<'a> {
    /// Name of the run.
    pub name: &'a str,
    /// The numbers.
    pub metrics: &'a Metrics,
    /// How training went.
    pub training: &'a Training,
    /// Classes that are taken for each other.
    pub confused: &'a [Confused],
    /// Pictures that were given a wrong class.
    pub mistakes: &'a [Mistake],
    /// What the page's script has to know of the map, and the pictures for it; None without pictures.
    pub sprite: Option<(String, Sprite)>,
    /// How many images there are of each class.
    pub balance: &'a [Balance],
    /// What is odd about the data.
    pub quality: &'a Quality,
    /// Pictures of the first findings of each kind and of their twins, as `data:` addresses.
    pub odd: &'a [Vec<Vec<String>>],
    /// What the run was made from, in the order of the stages.
    pub manifests: &'a [Manifest],
}

/// The pictures of a report: they also stand alone as files.
pub struct Figures {
    /// Images and tracks of each class.
    pub balance: String,
    /// Reliability and coverage.
    pub certainty: String,
    /// Confusion matrix.
    pub confusion: String,
    /// Training curves.
    pub curves: String,
    /// The test images on a map.
    pub map: String,
    /// Where each is in that drawing.
    pub at: Vec<(f64, f64)>,
    /// Recall of each class.
    pub recall: String,
}

impl Figures {
    /// Draws all of them.
    #[must_use]
    pub fn draw(metrics: &Metrics, training: &Training, balance: &[Balance], map: &Map) -> Self {
        let (map, at) = figures::map(map);
        Self {
            balance: figures::balance(balance),
            certainty: figures::certainty(metrics),
            confusion: figures::confusion(metrics),
            curves: figures::curves(training),
            map,
            at,
            recall: figures::recall(metrics),
        }
    }

    /// Each with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &str); 6] {
        [
            ("balance", &self.balance),
            ("certainty", &self.certainty),
            ("confusion", &self.confusion),
            ("curves", &self.curves),
            ("map", &self.map),
            ("recall", &self.recall),
        ]
    }
}

/// A headline number.
#[derive(Serialize)]
struct Card {
    name: &'static str,
    value: String,
    interval: String,
    meaning: &'static str,
}

impl Report<'_> {
    /// Renders the page. All text is escaped; only our own drawings go in as they are.
    pub fn render(&self, figures: &Figures) -> Result<String> {
        let failed = |e: minijinja::Error| Error::internal(format!("report.html: {e:#}"));
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_template("report.html", TEMPLATE).map_err(failed)?;
        let template = environment.get_template("report.html").map_err(failed)?;
        template.render(Serde(self.values(figures))).map_err(failed)
    }

    fn values(&self, figures: &Figures) -> serde_json::Value {
        let metrics = self.metrics;
        let wrong: u64 = metrics.test_images - correct(metrics);
        json!({
            "name": self.name,
            "script": SCRIPT,
            "script_hash": SCRIPT_HASH,
            "cells": self.cells(),
            "top1": percent(metrics.top1),
            "interval": percent_range(metrics.top1_interval),
            "images": count(metrics.test_images),
            "class_count": metrics.classes.len(),
            "wrong": count(wrong),
            "cards": cards(metrics),
            "diagnosis": self.training.diagnosis,
            "confusion": figures.confusion,
            "pairs": self.confused.iter().map(|pair| pair.value(metrics)).collect::<Vec<_>>(),
            "mistakes": self.mistakes.iter().map(|m| self.mistake(m)).collect::<Vec<_>>(),
            "map": figures.map,
            "points": self.sprite.as_ref().map(|sprite| &sprite.0),
            "sprite": self.sprite.as_ref().map(|sprite| &sprite.1.address),
            "every": self.sprite.as_ref().map(|sprite| sprite.1.every),
            "balance": figures.balance,
            "recall": figures.recall,
            "classes": self.classes(),
            "curves": figures.curves,
            "certainty": figures.certainty,
            "calibration": calibration(metrics),
            "selective": selective(metrics),
            "slices": metrics.slices.iter().map(slicing).collect::<Vec<_>>(),
            "checked": count(self.quality.checked as u64),
            "odd": self.quality.kinds.iter().zip(self.odd).map(|k| self.odd(k)).collect::<Vec<_>>(),
            "published": self.manifests.first().map(|images| beside(metrics, images)),
            "trials": self.trials(),
            "choice": self.training.choice,
            "temperature": format!("{:.3}", self.training.temperature),
            "definitions": metrics.definitions,
            "stages": self.manifests.iter().map(stage).collect::<Vec<_>>(),
            "tool": concat!("gtsrb-evaluate ", env!("CARGO_PKG_VERSION")),
        })
    }

    fn mistake(&self, mistake: &Mistake) -> serde_json::Value {
        let scored = &mistake.scored;
        json!({
            "path": mistake.path,
            "picture": mistake.picture,
            "truth": label(self.metrics, scored.label),
            "guess": label(self.metrics, scored.predicted),
            "confidence": format!("{:.1} %", 100.0 * scored.confidence),
            "truth_share": format!("{:.1} %", 100.0 * (-scored.loss).exp()),
            "rank": scored.rank + 1,
            "cell": cell(scored.label, scored.predicted),
            "top": mistake.top.iter().map(|&(class, p)| json!({
                "name": label(self.metrics, class),
                "probability": format!("{:.1} %", 100.0 * p),
            })).collect::<Vec<_>>(),
        })
    }

    /// The cells of the matrix that mistakes are shown of.
    fn cells(&self) -> Vec<serde_json::Value> {
        let mut counts = BTreeMap::new();
        for Mistake { scored, .. } in self.mistakes {
            *counts.entry((scored.label, scored.predicted)).or_insert(0) += 1;
        }
        let entry = |((truth, guess), count)| {
            json!({
                "value": cell(truth, guess), "count": count,
                "truth": label(self.metrics, truth), "guess": label(self.metrics, guess),
            })
        };
        counts.into_iter().map(entry).collect()
    }

    fn odd(&self, (kind, pictures): (&Findings, &Vec<Vec<String>>)) -> serde_json::Value {
        let classes = &self.metrics.classes;
        let name = |class: usize| {
            if class < classes.len() { label(self.metrics, class) } else { class.to_string() }
        };
        let shown = kind.found.iter().zip(pictures).map(|(found, pictures)| {
            json!({
                "pictures": pictures, "path": found.path, "split": found.split.as_str(),
                "label": name(found.label), "about": found.about,
                "seems": match found.suggested {
                    Label::Class(class) => Some(name(class)),
                    Label::Keep | Label::Exclude => None,
                },
            })
        });
        json!({
            "name": kind.name, "meaning": kind.meaning, "count": count(kind.found.len() as u64),
            "shown": shown.collect::<Vec<_>>(),
        })
    }

    fn classes(&self) -> Vec<serde_json::Value> {
        let share = |v: Option<f64>| v.map_or("–".to_owned(), percent);
        let row = |c: &crate::metrics::ClassMetrics| {
            json!({
                "class": c.class, "name": c.name, "support": c.support,
                "training": self.balance.get(c.class).map_or(0, |b| b.train.images),
                "predicted": c.predicted,
                "recall": share(c.recall), "precision": share(c.precision), "f1": share(c.f1),
                "weak": c.recall.is_some_and(|r| r < 0.9) || c.precision.is_some_and(|p| p < 0.9),
            })
        };
        self.metrics.classes.iter().map(row).collect()
    }

    fn trials(&self) -> Vec<serde_json::Value> {
        let Solver::Lbfgs { lambda: chosen, path, .. } = &self.training.solver else {
            return vec![];
        };
        let row = |t: &crate::training::Trial| {
            json!({
                "lambda": format!("{:e}", t.lambda),
                "train": percent(t.train_accuracy), "train_loss": format!("{:.4}", t.train_loss),
                "validation": percent(t.validation_accuracy),
                "validation_loss": format!("{:.4}", t.validation_loss),
                "calibrated_loss": format!("{:.4}", t.calibrated_loss),
                "chosen": t.lambda.to_bits() == chosen.to_bits(),
            })
        };
        path.iter().map(row).collect()
    }
}

fn correct(metrics: &Metrics) -> u64 {
    let rows = metrics.confusion_true_by_predicted.iter().enumerate();
    rows.map(|(class, row)| row[class]).sum()
}

fn label(metrics: &Metrics, class: usize) -> String {
    format!("{class} {}", metrics.classes[class].name)
}

/// `interval` in `words`; empty where all resamples were alike, which says nothing about how far
/// the number could be off.
fn range(interval: Interval, words: impl Fn(Interval) -> String) -> String {
    if interval[0] < interval[1] { words(interval) } else { String::new() }
}

fn cards(metrics: &Metrics) -> Vec<Card> {
    let share = |name, value: f64, interval: Interval, meaning| Card {
        name,
        value: percent(value),
        interval: range(interval, percent_range),
        meaning,
    };
    let losses = |[low, high]: Interval| format!("{low:.4} to {high:.4}");
    let mut cards = vec![
        share("Top-1", metrics.top1, metrics.top1_interval, "first answer is right"),
        share("Top-5", metrics.top5, metrics.top5_interval, "one of the first five is right"),
        share(
            "Macro recall",
            metrics.macro_recall,
            metrics.macro_recall_interval,
            "mean over classes, each counted alike",
        ),
        Card {
            name: "Log-loss",
            value: format!("{:.4}", metrics.log_loss),
            interval: range(metrics.log_loss_interval, losses),
            meaning: "0 is certain and right",
        },
        share(
            "Calibration error",
            metrics.ece,
            metrics.ece_interval,
            "how far confidence is from accuracy",
        ),
    ];
    // Among five classes or fewer, one of the first five is always right.
    if metrics.classes.len() <= 5 {
        cards.remove(1);
    }
    cards
}

/// Names a cell of the matrix, in the drawing and beside its pictures.
fn cell(truth: usize, guess: usize) -> String {
    format!("{truth}-{guess}")
}

fn calibration(metrics: &Metrics) -> serde_json::Value {
    let (before, after) = (&metrics.calibration.before, &metrics.calibration.after);
    json!({
        "temperature": format!("{:.3}", metrics.calibration.temperature),
        "ece_before": percent(before.ece), "ece_after": percent(after.ece),
        "loss_before": format!("{:.4}", before.log_loss),
        "loss_after": format!("{:.4}", after.log_loss),
    })
}

fn selective(metrics: &Metrics) -> serde_json::Value {
    let selective = &metrics.selective;
    let answered = |a: &Answered| {
        json!({
            "images": count(a.images),
            "coverage": percent(a.coverage),
            "accuracy": a.accuracy.map_or("–".to_owned(), percent),
            "interval": a.accuracy_interval.map(percent_range),
        })
    };
    let threshold = selective.threshold.as_ref().map(|t| {
        json!({
            "confidence": percent(t.confidence),
            "kept_out": answered(&t.kept_out),
            "test": answered(&t.test),
        })
    });
    json!({
        "wished": percent(selective.wished_accuracy),
        "aurc": format!("{:.5}", selective.aurc),
        "threshold": threshold,
    })
}

/// One table of accuracy by a property.
fn slicing(slicing: &Slicing) -> serde_json::Value {
    let row = |s: &Slice| {
        json!({
            "name": s.name, "images": count(s.images), "top1": percent(s.top1),
            "interval": percent_range(s.top1_interval),
        })
    };
    json!({ "by": slicing.by, "rows": slicing.slices.iter().map(row).collect::<Vec<_>>() })
}

/// One stage of the provenance.
fn stage(manifest: &Manifest) -> serde_json::Value {
    let work = &manifest.work;
    let details = json!({
        "parameters": work.parameters,
        "inputs": work.inputs,
        "outputs": manifest.outputs,
        "counters": manifest.counters,
    });
    json!({
        "tool": work.tool,
        "version": work.version,
        "content": manifest.content().to_string(),
        "details": format!("{details:#}"),
    })
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
