"""Puts the accuracy and the seconds of finished runs side by side in a document.

usage: accuracy.py RUNS DOCUMENT OUT.json PICTURE.svg PIPELINE...

Each run's figures are those that its stages wrote: nothing is measured here.
"""

import json
import math
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


# What others reached on the same test images.
PUBLISHED = {"a human": 0.9884, "winner of 2012": 0.9946}
# Ends of the picture's axes, both logarithmic: seconds, and what is wrong.
SECONDS, WRONG = (10, 3600), (0.3, 0.002)
MARKS = {"10 s": 10, "1 min": 60, "10 min": 600, "1 h": 3600}
WIDTH, HEIGHT, MARGIN = 720, 360, 60


def place(value, ends, start, length):
    share = math.log(value / ends[0]) / math.log(ends[1] / ends[0])
    return round(start + share * length, 1)


def across(seconds):
    return place(seconds, SECONDS, MARGIN, WIDTH - 2 * MARGIN)


def down(top1):
    return place(1 - top1, WRONG[::-1], MARGIN / 2, HEIGHT - 1.5 * MARGIN)


def text(x, y, words, anchor="start"):
    halo = 'stroke="#fff" stroke-width="4" paint-order="stroke"'
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" {halo}>{words}</text>'


def picture(found):
    """Accuracy on the test images against the seconds of all stages, as SVG."""
    right, bottom = WIDTH - MARGIN, HEIGHT - MARGIN
    lines = [text(MARGIN, 16, "right on the test images, by the seconds that all stages take")]
    for top1 in (0.7, 0.9, 0.97, 0.99, 0.995, 0.998):
        y = down(top1)
        lines.append(f'<path d="M{MARGIN} {y}H{right}" stroke="#ddd"/>')
        lines.append(text(MARGIN - 6, y + 4, f"{100 * top1:g} %", "end"))
    for words, seconds in MARKS.items():
        lines.append(text(across(seconds), bottom + 20, words, "middle"))
    for name, top1 in PUBLISHED.items():
        y = down(top1)
        lines.append(f'<path d="M{MARGIN} {y}H{right}" stroke="#c60" stroke-dasharray="4 4"/>')
        lines.append(text(MARGIN + 4, y - 4, f"{name}, {100 * top1:.2f} %"))
    for name, run in found.items():
        x, y = across(run["seconds"]), down(run["top1"])
        lines.append(f'<circle cx="{x}" cy="{y}" r="4" fill="#06c"/>')
        lines.append(text(x - 4, y + 17, f"{name}, {100 * run['top1']:.2f} %", "end"))
    style = 'font-family="sans-serif" font-size="11" fill="#222"'
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    background = '<rect width="100%" height="100%" fill="#fff"/>'
    body = "\n".join([background, *lines])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'


def main():
    runs, document, out, drawn = map(Path, sys.argv[1:5])
    found = {name: figures(runs / name) for name in sys.argv[5:]}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n")
    drawn.write_text(picture(found))
    rewrite(document, "pipelines", table(TITLES, [row(*pair) for pair in found.items()]))
    print(f"wrote {out} and the table of {document}")


if __name__ == "__main__":
    main()
