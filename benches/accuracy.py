"""Puts the accuracy and the seconds of finished runs side by side in a document.

usage: accuracy.py RUNS DOCUMENT OUT.json PIPELINE...

Each run's figures are those that its stages wrote: nothing is measured here.
"""

import json
import sys
from pathlib import Path

from document import rewrite, table

TITLES = ["", "numbers an image", "right on what was kept out", "right on the test images", "95 % interval", "seconds", "peak memory"]


def read(path):
    return json.loads(path.read_text())


def figures(run):
    """What the stages of a run recorded."""
    facts = read(run / "model" / "manifest.json")["facts"]
    metrics, times = read(run / "metrics.json"), read(run / "timings.json")
    return {
        "dims": read(run / "embeddings" / "manifest.json")["facts"]["dims"],
        "validation_accuracy": facts["validation_accuracy"],
        "top1": metrics["top1"],
        "interval": metrics["top1_interval"],
        "stages": {stage: time["seconds"] for stage, time in times.items()},
        "seconds": sum(time["seconds"] for time in times.values()),
        "peak_resident_bytes": max(time["peak_resident_bytes"] for time in times.values()),
    }


def row(name, found):
    low, high = (f"{100 * end:.2f}" for end in found["interval"])
    return (
        f"`{name}`",
        f"{found['dims']:,}",
        f"{100 * found['validation_accuracy']:.2f} %",
        f"{100 * found['top1']:.2f} %",
        f"{low}–{high}",
        f"{found['seconds']:.0f}",
        f"{found['peak_resident_bytes'] / 1e9:.2f} GB",
    )


def main():
    runs, document, out = map(Path, sys.argv[1:4])
    found = {name: figures(runs / name) for name in sys.argv[4:]}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n")
    rewrite(document, "pipelines", table(TITLES, [row(*pair) for pair in found.items()]))
    print(f"wrote {out} and the table of {document}")


if __name__ == "__main__":
    main()
