"""Trains heads of several kinds on one run's embeddings and measures each.

usage: heads.py BINARIES CONFIG RUN OUT.json DOCUMENT

RUN is a run with embeddings. Each head is trained with the same tracks kept out, and evaluated
on the test images, in a folder of its own that borrows RUN's inputs. Writes OUT.json and the
table of DOCUMENT; fails where mini-batches are more than GOAL points behind L-BFGS, on what was
kept out or on the test images.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import borrow
from document import rewrite, table

SGD = ["--solver", "sgd"]
HEADS = {
    "linear, L-BFGS": [],
    "linear, mini-batches": SGD,
    "linear, mini-batches, momentum": [*SGD, "--optimizer", "momentum"],
    "linear, mini-batches in 256 MiB": [*SGD, "--memory", "268435456"],
    "512 hidden units, mini-batches": ["--hidden", "512", "--label-smoothing", "0.05", "--epochs", "10"],
    "128 channels of convolutions, 256 hidden units": [
        *["--convolutions", "128", "--hidden", "256"], *["--label-smoothing", "0.05", "--epochs", "10"]
    ],
}
GOAL = 0.3


def measure(binaries, config, run, flags):
    """The summary of one training, and of its evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        borrow(run, Path(folder))
        common = ["--config", config, "--run", folder, "--quiet"]
        started = time.monotonic()
        trained = summary([binaries / "gtsrb-train", *common, "--json", *flags])
        trained["seconds"] = time.monotonic() - started
        subprocess.run([binaries / "gtsrb-evaluate", *common], check=True, stdout=subprocess.DEVNULL)
        metrics = json.loads((Path(folder) / "metrics.json").read_text())
        measured = {key: metrics[key] for key in ("top1", "log_loss", "ece", "test_images")}
        return {"flags": flags, **trained, "test": measured}


def summary(command):
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])["summary"]


def percent(value):
    return f"{100 * value:.2f} %"


def row(name, head):
    test = head["test"]
    return (
        name,
        percent(head["validation_accuracy"]),
        f"{head['validation_loss']:.4f}",
        percent(test["top1"]),
        f"{test['log_loss']:.4f}",
        f"{head['seconds']:.0f}",
    )


def behind(first, head):
    """Points of accuracy from one head to another; below 0 where the other is worse."""
    return {
        "validation": 100 * (head["validation_accuracy"] - first["validation_accuracy"]),
        "test": 100 * (head["test"]["top1"] - first["test"]["top1"]),
    }


def main():
    binaries, config, run, out, document = map(Path, sys.argv[1:])
    heads = {}
    for name, flags in HEADS.items():
        heads[name] = measure(binaries, config, run, flags)
        print("  " + "  ".join(row(name, heads[name])), flush=True)
    first = next(iter(heads.values()))
    gaps = {name: behind(first, head) for name, head in heads.items() if head is not first}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"heads": heads, "points_to_lbfgs": gaps}, indent=2) + "\n")
    titles = [
        "",
        f"right on {first['validation_images']:,} kept out",
        "log-loss there",
        f"right on {first['test']['test_images']:,} test images",
        "log-loss there",
        "seconds",
    ]
    rewrite(document, "heads", table(titles, [row(name, head) for name, head in heads.items()]))
    print(f"wrote {out} and the table of {document}")
    missed = [f"{name}: {gap}" for name, gap in gaps.items() if min(gap.values()) < -GOAL]
    if missed:
        sys.exit(f"error: more than {GOAL} points behind L-BFGS: " + "; ".join(missed))


if __name__ == "__main__":
    main()
