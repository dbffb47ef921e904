"""Collects what `gtsrb-train curve`, `shots` and `baselines` measured, and draws it as PNG.

usage: curves.py RUN OUT.json IMAGES

RUN is a run's folder in which all three, and gtsrb-evaluate, have run.
"""

import json
import re
import sys
from pathlib import Path

import resvg_py

run, out, images = map(Path, sys.argv[1:])
FIGURES = {"curve/curve.svg": "curve", "shots/shots.svg": "shots", "report/curves.svg": "path"}


def png(text):
    """An SVG of ours in its light colours; resvg knows neither variables nor media queries."""
    text = re.sub(r"@media[^{]*\{[^}]*\}\}", "", text)
    colours = dict(re.findall(r"--(\w+):(#\w+)", text))
    text = re.sub(r"var\(--(\w+)\)", lambda match: colours[match[1]], text)
    fonts = {"font_family": "DejaVu Sans", "sans_serif_family": "DejaVu Sans", "font_size": 12}
    return bytes(resvg_py.svg_to_bytes(svg_string=text, zoom=2, **fonts))


def percent(value):
    return f"{100 * value:.2f} %"


results = {name: json.loads((run / name / f"{name}.json").read_text()) for name in ("curve", "shots", "baselines")}
training = json.loads((run / "model" / "training.json").read_text())
chosen = next(trial for trial in training["path"] if trial["lambda"] == training["lambda"])
results["head"] = {key: chosen[key] for key in ("lambda", "validation_accuracy", "accuracy_error")}
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(json.dumps(results, indent=2) + "\n")
for source, name in FIGURES.items():
    (images / f"{name}.png").write_bytes(png((run / source).read_text()))

for name in ("curve", "shots"):
    result = results[name]
    print(f"{result['counted']} a class | images | right on {result['measured_images']} {result['measured_on']} images")
    for point in result["points"]:
        print(f"{point['a_class']:.1f} | {point['images']:.0f} | {percent(point['mean'])} ± {100 * point['deviation']:.2f}")
    print(result["conclusion"])
baselines = results["baselines"]
print(f"right on {baselines['validation_images']} validation images:")
print(f"nearest class mean | {percent(baselines['nearest_mean'])}")
for neighbours in baselines["neighbours"]:
    print(f"{neighbours['voters']} nearest neighbours | {percent(neighbours['accuracy'])}")
print(f"the head | {percent(chosen['validation_accuracy'])} ± {196 * chosen['accuracy_error']:.2f} (95 %)")
