"""Computes what `gtsrb-evaluate compare --json` said again from both runs' predictions, matched by
path, with scikit-learn and SciPy, and fails where a number differs by more than 1e-9.

usage: compare_scipy.py RUN_A RUN_B SAID.json

Bootstrap intervals come from other random numbers: they must agree to a tenth of their width.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import binomtest
from sklearn import metrics as sk


def read(run):
    table = pq.read_table(Path(run) / "predictions.parquet").sort_by("path")
    p = np.stack(table["probabilities"].to_numpy(zero_copy_only=False)).astype(np.float64)
    return table["label"].to_numpy(), table["predicted"].to_numpy(), p


def main():
    said = json.loads(Path(sys.argv[3]).read_text())
    (label, a, p), (other, b, q) = map(read, sys.argv[1:3])
    assert (label == other).all()
    bad, count = [], 0

    def equal(name, ours, theirs, tolerance=1e-9):
        nonlocal count
        count += 1
        same = ours is None if theirs is None else abs(ours - theirs) <= tolerance
        if not same:
            bad.append(f"{name}: {ours} here, {theirs} there")

    right_a, right_b = a == label, b == label
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    equal("only a", said["only_a_right"], only_a, 0)
    equal("only b", said["only_b_right"], only_b, 0)
    equal("p", said["mcnemar_p"], binomtest(only_a, only_a + only_b).pvalue)
    eps = np.finfo(np.float64).eps
    rows = np.arange(len(label))
    losses = [-np.log(np.maximum(x[rows, label], eps)) for x in (p, q)]
    numbers = {
        "top1": [right_a.mean(), right_b.mean()],
        "macro_recall": [sk.balanced_accuracy_score(label, x) for x in (a, b)],
        "log_loss": [loss.mean() for loss in losses],
    }
    for name, (one, two) in numbers.items():
        equal(f"{name} a", said[name]["a"], one)
        equal(f"{name} b", said[name]["b"], two)
        equal(f"{name} difference", said[name]["b_less_a"], two - one)
    random = np.random.default_rng(5)
    for name, value in [("top1", right_b * 1.0 - right_a), ("log_loss", losses[1] - losses[0])]:
        draws = np.array([value[random.integers(0, len(rows), len(rows))].mean() for _ in range(4000)])
        interval = np.percentile(draws, [2.5, 97.5])
        for ours, theirs in zip(said[name]["interval"], interval):
            equal(f"{name} interval", ours, theirs, 0.1 * (interval[1] - interval[0]))
    for c in said["classes"]:
        own = label == c["class"]
        name = f"class {c['class']}"
        equal(f"{name} support", c["support"], own.sum(), 0)
        for key, right in [("recall_a", right_a), ("recall_b", right_b)]:
            equal(f"{name} {key}", c[key], right[own].mean() if own.any() else None)
        equal(f"{name} only a", c["only_a_right"], (own & right_a & ~right_b).sum(), 0)
        equal(f"{name} only b", c["only_b_right"], (own & right_b & ~right_a).sum(), 0)
    print("\n".join(bad) or f"{count} numbers agree")
    sys.exit(bool(bad))


main()
