"""Collects what `gtsrb-train curve`, `shots` and `baselines` and a run's training measured.

usage: curves.py RUN OUT.json IMAGES DOCUMENT

RUN is a run's folder in which all three, and gtsrb-evaluate, have run. Writes OUT.json, the
figures into IMAGES and the tables of DOCUMENT.
"""

import json
import shutil
import sys
from pathlib import Path

from document import rewrite, table

FIGURES = {"curve/curve.png": "curve", "shots/shots.png": "shots", "report/curves.png": "path"}


def percent(value):
    return f"{100 * value:.2f} %"


def points(study):
    """The table of a learning curve, or of few shots."""
    rows = []
    for point in study["points"]:
        draws = len(point["accuracies"])
        spread = f" ± {100 * point['deviation']:.2f}" if draws > 1 else ""
        rows.append((f"{point['a_class']:.3g}", f"{point['images']:,.0f}", draws, percent(point["mean"]) + spread))
    measured = f"right on {study['measured_images']:,} {study['measured_on']} images"
    return table([f"{study['counted']} a class", "images", "draws", measured], rows)


def baselines(study, head):
    rows = [("nearest class mean", percent(study["nearest_mean"]))]
    for neighbours in study["neighbours"]:
        name = "nearest neighbour" if neighbours["voters"] == 1 else f"{neighbours['voters']} nearest neighbours"
        rows.append((name, percent(neighbours["accuracy"])))
    rows.append(("the head", percent(head["validation_accuracy"])))
    return table(["", f"right on {study['validation_images']:,} validation images"], rows)


def path(training):
    """What each penalty gave; the errors are over tracks."""
    rows = []
    for trial in training["path"]:
        chosen = " (chosen)" if trial["lambda"] == training["lambda"] else ""
        rows.append(
            (
                f"{trial['lambda']:g}{chosen}",
                trial["iterations"],
                percent(trial["train_accuracy"]),
                f"{percent(trial['validation_accuracy'])} ± {100 * trial['accuracy_error']:.2f}",
                f"{trial['validation_loss']:.4f}",
                f"{trial['calibrated_loss']:.4f} ± {trial['standard_error']:.4f}",
            )
        )
    heads = ["λ", "iterations", "right in training", "right on what was kept out", "log-loss there", "with temperature"]
    return table(heads, rows)


def main():
    run, out, images, document = map(Path, sys.argv[1:])
    names = ("curve", "shots", "baselines")
    results = {name: json.loads((run / name / f"{name}.json").read_text()) for name in names}
    training = json.loads((run / "model" / "training.json").read_text())
    head = next(trial for trial in training["path"] if trial["lambda"] == training["lambda"])
    results["path"] = [{key: value for key, value in trial.items() if key not in ("losses", "curve")} for trial in training["path"]]
    results["diagnosis"] = training["diagnosis"]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n")
    for source, name in FIGURES.items():
        shutil.copyfile(run / source, images / f"{name}.png")
    rewrite(document, "curve", points(results["curve"]) + "\n\n" + results["curve"]["conclusion"])
    rewrite(document, "shots", points(results["shots"]))
    rewrite(document, "baselines", baselines(results["baselines"], head))
    rewrite(document, "path", path(training))
    print(f"wrote {out}, the figures in {images} and the tables of {document}")


if __name__ == "__main__":
    main()
