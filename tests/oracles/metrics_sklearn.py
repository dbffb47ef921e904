"""Computes every number of a run's metrics.json again from its predictions.parquet with
scikit-learn, and fails where one differs by more than 1e-9.

usage: metrics_sklearn.py RUN

Calibration error and the bootstrap are written here once more with NumPy. Bootstrap
intervals come from other random numbers, so they must agree to a tenth of their width.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import binomtest
from sklearn import metrics as sk

BINS = 15
RESAMPLES = 2000


def calibration_error(confidence, correct):
    edges = np.linspace(0, 1, BINS + 1)
    total = 0.0
    for low, high in zip(edges, edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(correct[inside].mean() - confidence[inside].mean())
            total += inside.mean() * gap
    return total


def macro_recall(label, predicted):
    hits = np.bincount(label[label == predicted], minlength=label.max() + 1)
    support = np.bincount(label)
    return (hits[support > 0] / support[support > 0]).mean()


def bootstrap(statistic, rows):
    """95 % percentiles of resamples, moved so that their mean is the value itself."""
    random = np.random.default_rng(3)
    value = statistic(np.arange(rows))
    draws = np.array([statistic(random.integers(0, rows, rows)) for _ in range(RESAMPLES)])
    return np.percentile(draws - draws.mean() + value, [2.5, 97.5])


def wilson(hits, rows):
    interval = binomtest(int(hits), int(rows)).proportion_ci(method="wilson")
    return interval.low, interval.high


class Check:
    def __init__(self):
        self.count = 0
        self.bad = []

    def equal(self, name, ours, theirs, tolerance=1e-9):
        self.count += 1
        theirs = None if theirs is None or np.isnan(theirs) else float(theirs)
        same = ours is None if theirs is None else ours is not None and abs(ours - theirs) <= tolerance
        if not same:
            self.bad.append(f"{name}: {ours} here, {theirs} there")


def headline(check, ours, label, predicted, p):
    classes, rows = p.shape[1], len(label)
    labels = np.arange(classes)
    loss = -np.log(np.maximum(p[np.arange(rows), label], np.finfo(np.float64).eps))
    correct, confidence = (label == predicted).astype(float), p.max(axis=1)
    # The probabilities are stored as f32: scikit-learn's loss wants rows that sum to 1 closer
    # than that, and would warn; its own clipping is that of `loss`.
    check.equal("log_loss (f64)", ours["log_loss"], loss.mean())
    check.equal("log_loss", ours["log_loss"], sk.log_loss(label, p, labels=labels))
    check.equal("top1", ours["top1"], sk.accuracy_score(label, predicted))
    top5 = sk.top_k_accuracy_score(label, p, k=5, labels=labels) if classes > 5 else 1.0
    check.equal("top5", ours["top5"], top5)
    check.equal("macro_recall", ours["macro_recall"], sk.balanced_accuracy_score(label, predicted))
    check.equal("ece", ours["ece"], calibration_error(confidence, correct))
    check.equal("test_images", ours["test_images"], rows, 0)

    rank = (p > p[np.arange(rows), label][:, None]).sum(axis=1)
    statistics = {
        "top1": lambda i: correct[i].mean(),
        "top5": lambda i: (rank[i] < 5).mean(),
        "macro_recall": lambda i: macro_recall(label[i], predicted[i]),
        "log_loss": lambda i: loss[i].mean(),
        "ece": lambda i: calibration_error(confidence[i], correct[i]),
    }
    for name, statistic in statistics.items():
        low, high = bootstrap(statistic, rows)
        low, high = max(low, 0), high if name == "log_loss" else min(high, 1)
        if name in ["top1", "top5"] and ours[name] in [0, 1]:
            low, high = wilson(ours[name] * rows, rows)
        for side, value, wanted in zip(["low", "high"], ours[f"{name}_interval"], [low, high]):
            check.equal(f"{name} {side}", value, wanted, 0.1 * (high - low) + 1e-9)


def calibration(check, ours, label, predicted, p):
    """Bins, and the probabilities before the logits were divided by the temperature."""
    rows = np.arange(len(label))
    before = p ** ours["temperature"]
    before /= before.sum(axis=1, keepdims=True)
    correct = (label == predicted).astype(float)
    for name, q in [("before", before), ("after", p)]:
        confidence = q[rows, predicted]
        loss = -np.log(np.maximum(q[rows, label], np.finfo(np.float64).eps)).mean()
        check.equal(f"{name} log_loss", ours[name]["log_loss"], loss)
        check.equal(f"{name} ece", ours[name]["ece"], calibration_error(confidence, correct))
        which = np.clip(np.ceil(confidence * BINS).astype(int), 1, BINS) - 1
        for bin, there in enumerate(ours[name]["bins"]):
            inside = which == bin
            check.equal(f"{name} bin {bin} images", there["images"], inside.sum(), 0)
            for key, values in [("confidence", confidence), ("accuracy", correct)]:
                wanted = values[inside].mean() if inside.any() else None
                check.equal(f"{name} bin {bin} {key}", there[key], wanted)


def risks(confidence, wrong):
    """Share of mistakes among the 1, 2, ... most confident; equals share their mistakes."""
    level = np.unique(-confidence, return_inverse=True)[1]
    shared = np.bincount(level, wrong) / np.bincount(level)
    order = np.sort(level)
    return np.cumsum(shared[order]) / np.arange(1, len(wrong) + 1)


def selective(check, ours, label, predicted, p, kept_out):
    confidence, wrong = p.max(axis=1), (label != predicted).astype(float)
    curve = risks(confidence, wrong)
    check.equal("aurc", ours["aurc"], curve.mean())
    for coverage, risk in ours["risk_by_coverage"]:
        images = round(coverage * len(label))
        check.equal(f"coverage {images}", coverage, images / len(label))
        check.equal(f"risk {images}", risk, curve[images - 1])
    if kept_out is None:
        check.equal("threshold", ours["threshold"], None)
        return
    theirs, right = kept_out
    reached = [t for t in np.unique(theirs) if right[theirs >= t].mean() >= ours["wished_accuracy"]]
    if not reached:
        check.equal("threshold", ours["threshold"], None)
        return
    threshold = ours["threshold"]
    check.equal("threshold", threshold["confidence"], min(reached))
    for name, q, hit in [("kept_out", theirs, right), ("test", confidence, 1 - wrong)]:
        given, there = q >= min(reached), threshold[name]
        check.equal(f"{name} images", there["images"], len(q), 0)
        check.equal(f"{name} coverage", there["coverage"], given.mean())
        if given.any():
            check.equal(f"{name} accuracy", there["accuracy"], hit[given].mean())
            low, high = wilson(hit[given].sum(), given.sum())
            check.equal(f"{name} low", there["accuracy_interval"][0], low)
            check.equal(f"{name} high", there["accuracy_interval"][1], high)


def slices(check, ours, rows, right):
    """Every image is in one slice of each kind; intervals are Wilson's."""
    for slicing in ours:
        parts = slicing["slices"]
        check.equal(f"{slicing['by']} images", sum(s["images"] for s in parts), rows, 0)
        hits = [round(s["top1"] * s["images"]) for s in parts]
        check.equal(f"{slicing['by']} hits", sum(hits), right, 0)
        for part, hit in zip(parts, hits):
            low, high = wilson(hit, part["images"])
            check.equal(f"{part['name']} top1", part["top1"], hit / part["images"])
            check.equal(f"{part['name']} low", part["top1_interval"][0], low)
            check.equal(f"{part['name']} high", part["top1_interval"][1], high)


def read(path):
    table = pq.read_table(path)
    p = np.stack(table["probabilities"].to_numpy(zero_copy_only=False)).astype(np.float64)
    return table["label"].to_numpy(), table["predicted"].to_numpy(), p


def per_class(check, ours, label, predicted, classes):
    labels = np.arange(classes)
    there = sk.precision_recall_fscore_support(
        label, predicted, labels=labels, zero_division=np.nan
    )
    for row, precision, recall, f1, support in zip(ours["classes"], *there):
        name = f"class {row['class']}"
        check.equal(f"{name} precision", row["precision"], precision)
        check.equal(f"{name} recall", row["recall"], recall)
        check.equal(f"{name} f1", row["f1"], f1)
        check.equal(f"{name} support", row["support"], support, 0)
        check.equal(f"{name} predicted", row["predicted"], (predicted == row["class"]).sum(), 0)
    matrix = sk.confusion_matrix(label, predicted, labels=labels)
    wrong = np.abs(matrix - np.array(ours["confusion_true_by_predicted"])).sum()
    check.equal("confusion", int(wrong), 0, 0)


def main():
    run = Path(sys.argv[1])
    ours = json.loads((run / "metrics.json").read_text())
    label, predicted, p = read(run / "predictions.parquet")
    check = Check()
    check.equal("argmax", int((p.argmax(axis=1) != predicted).sum()), 0, 0)
    headline(check, ours, label, predicted, p)
    per_class(check, ours, label, predicted, p.shape[1])
    calibration(check, ours["calibration"], label, predicted, p)
    kept_out = None
    if (run / "model/oof.parquet").exists():
        their_label, their_prediction, q = read(run / "model/oof.parquet")
        kept_out = q.max(axis=1), (their_label == their_prediction).astype(float)
    selective(check, ours["selective"], label, predicted, p, kept_out)
    slices(check, ours["slices"], len(label), int((label == predicted).sum()))
    with open(run / "submission.csv", newline="") as file:
        answers = [int(row["ClassId"]) for row in csv.DictReader(file, delimiter=";")]
    check.equal("submission", int(answers != predicted.tolist()), 0, 0)
    print("\n".join(check.bad) or f"{check.count} numbers agree")
    sys.exit(bool(check.bad))


main()
