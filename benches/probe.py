"""Puts what `make probe` found into a document.

usage: probe.py RUN DOCUMENT PICTURE

RUN has a probe. Rewrites the table of DOCUMENT and copies the drawing to PICTURE: nothing is
measured here.
"""

import json
import shutil
import sys
from pathlib import Path

from document import rewrite, table

BEST = 8
TITLES = ["layers", "pixels", "numbers", "seconds for 1,000", "right", "log-loss"]


def row(candidate, backbone):
    name = " + ".join(f"`{tap}`" for tap in candidate["taps"])
    return (
        name + (", random weights" if backbone["random"] else ""),
        backbone["size"],
        f"{candidate['numbers']:,}",
        f"{candidate['seconds']:.2f}",
        f"{100 * candidate['accuracy']:.2f} %",
        f"{candidate['log_loss']:.3f}",
    )


def chosen(probe):
    """The best within the budget, the best of one layer, the last layer's mean, random weights."""
    backbones = probe["backbones"]
    fitting = [c for c in probe["candidates"] if c["bytes"] <= probe["budget"]]
    fitting.sort(key=lambda candidate: candidate["log_loss"])
    learned = [c for c in fitting if not backbones[c["backbone"]]["random"]]
    random = [c for c in fitting if backbones[c["backbone"]]["random"]]
    best = learned[0]
    alone = next(c for c in learned if len(c["taps"]) == 1)
    # Layers alone come first, in their order in the network, each on coarser and coarser grids.
    same = [c for c in probe["candidates"] if c["backbone"] == best["backbone"] and len(c["taps"]) == 1]
    found = [*learned[:BEST], alone, same[-1], *random[:1]]
    return [c for at, c in enumerate(found) if c not in found[:at]]


def main():
    run, document, picture = map(Path, sys.argv[1:])
    probe = json.loads((run / "probe" / "probe.json").read_text())
    rows = [row(c, probe["backbones"][c["backbone"]]) for c in chosen(probe)]
    said = f"Learned from {probe['train_images']:,} images, judged by {probe['validation_images']:,} of other tracks; at most {probe['budget']:,} bytes each."
    rewrite(document, "probe", f"{table(TITLES, rows)}\n\n{said}")
    shutil.copy(run / "probe" / "probe.svg", picture)


if __name__ == "__main__":
    main()
