"""How much memory extraction takes for ever more images. `make bench-memory` calls it.

usage: memory.py RUN OUT

Real runs of the binaries over 10,000, 50,000 and 200,000 images: real frames of RUN, each under
many boxes that differ by some pixels, so that all keys differ. The backbone is a small one (one
layer at 32 pixels), because memory doesn't depend on how long the work takes. Writes
`OUT/memory.json` and exits with 1 when an image costs more than its goal.
"""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet

from common import PERFORMANCE, ROOT, new_cache, tool
from document import rewrite

COUNTS = [10_000, 50_000, 200_000]
FRAMES = 5_000
# Bytes of memory that each further image may cost: its row of the index, of which a path and
# a hash are most.
GOAL = 500


def frames_of(run):
    """Real frames, evenly drawn from the run's, for they are sorted by class."""
    files = sorted((run / "images").glob("train-*.parquet"))
    columns = ["image", "label", "roi", "width", "height"]
    table = pyarrow.concat_tables(pyarrow.parquet.read_table(file, columns=columns) for file in files)
    return table.take(numpy.arange(FRAMES) * len(table) // FRAMES).to_pylist()


def source(frames, count, folder):
    """A source in Kaggle's layout of `count` training rows, links to the frames, and a test."""
    shutil.rmtree(folder, ignore_errors=True)
    tables = {"Test": [], "Train": []}
    for number in range(count + FRAMES // 50):
        row, less = frames[number % FRAMES], number // FRAMES
        part = "Train" if number >= FRAMES // 50 else "Test"
        name, first = f"{part}/{number:06}.png", folder / f"{number % FRAMES}.png"
        (folder / part).mkdir(parents=True, exist_ok=True)
        if not less:
            first.write_bytes(row["image"]["bytes"])
        os.link(first, folder / name)
        x1, y1, x2, y2 = (row["roi"][corner] for corner in ("x1", "y1", "x2", "y2"))
        roi = [x1 + less % 7, y1, x2 - less // 7, y2]
        tables[part].append([row["width"], row["height"], *roi, row["label"], name])
    header = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path".split(",")
    for part, rows in tables.items():
        with open(folder / f"{part}.csv", "w", newline="") as table:
            csv.writer(table).writerows([header, *rows])
    return folder


def measure(count, frames, out):
    run = out / f"memory-{count}"
    shutil.rmtree(run, ignore_errors=True)
    common = ["--config", ROOT / "pipelines" / "gtsrb-linear.toml", "--run", run]
    tool("gtsrb-ingest", *common, "--source", source(frames, count, out / "source"))
    tool("gtsrb-backbone", *common, "--size", 32, "--taps", "block0:1")
    tool("gtsrb-extract", *common, "--device", "cpu", cache=new_cache(run / "cache"))
    timings = json.loads((run / "timings.json").read_text())
    manifest = json.loads((run / "embeddings" / "manifest.json").read_text())
    images = sum(manifest["outputs"][f"{part}.parquet"]["rows"] for part in ("train", "test"))
    shutil.rmtree(run)
    return images, {stage: timings[stage]["peak_resident_bytes"] for stage in timings}


def main():
    run, out = Path(sys.argv[1]), Path(sys.argv[2])
    frames, found = frames_of(run), []
    for count in COUNTS:
        images, peaks = measure(count, frames, out / "memory")
        found.append({"images": images} | peaks)
        print(f"{images} images: {peaks['extract'] / 2**20:.0f} MiB", file=sys.stderr)
    first, last = found[0], found[-1]
    each = (last["extract"] - first["extract"]) / (last["images"] - first["images"])
    lines = ["| images | gtsrb-extract, MiB at most |", "|---:|---:|"]
    lines += [f"| {row['images']:,} | {row['extract'] / 2**20:.0f} |" for row in found]
    text = "\n".join([*lines, "", f"{each:.0f} bytes for each image more (`make bench-memory`)."])
    print(text)
    result = {"bytes_per_image": each, "goal": GOAL, "runs": found}
    (out / "memory.json").write_text(json.dumps(result, indent=2) + "\n")
    rewrite(PERFORMANCE, "bench-memory", text)
    if each > GOAL:
        sys.exit(f"an image costs {each:.0f} bytes of memory, more than {GOAL}")


main()
