"""Trains heads of several kinds on one run's embeddings, each with several seeds, and compares
what they say of the tracks that were kept out; a seed decides which those are.

    python heads.py GTSRB_TRAIN CONFIG RUN OUT.json
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SEEDS = [1, 2, 3]
HIDDEN = ["--hidden", "512", "--label-smoothing", "0.05"]
HEADS = {
    "linear, lbfgs": [],
    "linear, sgd": ["--solver", "sgd", "--learning-rate", "1e-3"],
    "linear, sgd in 256 MiB": ["--solver", "sgd", "--learning-rate", "1e-3", "--memory", "268435456"],
    "hidden 512": HIDDEN,
    "hidden 512, no dropout": [*HIDDEN, "--dropout", "0"],
    "hidden 512, no smoothing": ["--hidden", "512"],
}


def train(binary, config, run, flags):
    """The summary of one training, in a folder of its own that borrows the run's inputs."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ["images", "backbone", "embeddings"]:
            (pathlib.Path(folder) / name).symlink_to(run / name)
        started = time.monotonic()
        command = [binary, "--config", config, "--run", folder, "--quiet", "--json", *flags]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.monotonic() - started
        summary = json.loads(done.stdout.splitlines()[-1])["summary"]
        return {**summary, "seconds": seconds}


def main(binary, config, run, out):
    heads = {}
    for name, flags in HEADS.items():
        runs = [train(binary, config, pathlib.Path(run).resolve(), [*flags, "--seed", str(s)]) for s in SEEDS]
        accuracies = [100 * r["validation_accuracy"] for r in runs]
        heads[name] = {
            "flags": flags,
            "validation_accuracies": accuracies,
            "mean": statistics.mean(accuracies),
            "standard_deviation": statistics.stdev(accuracies),
            "log_loss": statistics.mean(r["validation_loss"] for r in runs),
            "seconds": statistics.median(r["seconds"] for r in runs),
        }
        h = heads[name]
        print(f"{name:26} {h['mean']:.2f} ± {h['standard_deviation']:.2f} %  "
              f"log-loss {h['log_loss']:.4f}  {h['seconds']:.0f} s", flush=True)
    pathlib.Path(out).write_text(json.dumps({"seeds": SEEDS, "heads": heads}, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
