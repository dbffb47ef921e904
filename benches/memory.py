"""How much memory extraction takes for ever more images. `make bench-memory` calls it.

usage: memory.py RUN LIBRARY OUT

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

from common import ROOT, source, tool, write_into

COUNTS = [10_000, 50_000, 200_000]
FRAMES = 5_000
# Bytes of memory that each further image may cost: its row of the index, of which a path and
# a hash are most.
GOAL = 500


def boxes(frames, count, folder):
    """A source of `count` rows over the frames' files."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(frames / "Train.csv") as table:
        header, *rows = csv.reader(table)
    rows = rows[:FRAMES]
    with open(folder / "Train.csv", "w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(header)
        for number in range(count):
            width, height, x1, y1, x2, y2, label, path = rows[number % len(rows)]
            less = number // len(rows)
            roi = [int(x1) + less % 7, y1, int(x2) - less // 7, y2]
            writer.writerow([width, height, *roi, label, path])
    shutil.copy(frames / "Test.csv", folder)
    for part in ("Train", "Test"):
        if not (folder / part).exists():
            (folder / part).symlink_to((frames / part).resolve())
    return folder


def measure(count, frames, out, environment):
    run = out / f"memory-{count}"
    shutil.rmtree(run, ignore_errors=True)
    environment = environment | {"CACHE_DIR": str(run / "cache")}
    common = ["--config", ROOT / "pipelines" / "gtsrb.toml", "--run", run]
    tool("gtsrb-ingest", *common, "--source", boxes(frames, count, out / f"source-{count}"))
    tool("gtsrb-backbone", *common, "--size", 32, "--taps", "block0:1", environment=environment)
    tool("gtsrb-extract", *common, "--device", "cpu", environment=environment)
    timings = json.loads((run / "timings.json").read_text())
    manifest = json.loads((run / "embeddings" / "manifest.json").read_text())
    images = sum(manifest["outputs"][f"{part}.parquet"]["rows"] for part in ("train", "test"))
    shutil.rmtree(run)
    return images, {stage: timings[stage]["peak_resident_bytes"] for stage in timings}


def main():
    run, library, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    environment = os.environ | {"ORT_DYLIB_PATH": library}
    # Two in a hundred are for the test.
    frames = source(run, FRAMES * 41 // 40, out / "memory" / "frames")
    found = []
    for count in COUNTS:
        images, peaks = measure(count, frames, out / "memory", environment)
        found.append({"images": images, "extract": peaks["extract"], "ingest": peaks["ingest"]})
        print(f"{images} images: {peaks['extract'] / 2**20:.0f} MiB", file=sys.stderr)
    first, last = found[0], found[-1]
    each = (last["extract"] - first["extract"]) / (last["images"] - first["images"])
    lines = ["| images | gtsrb-extract, MiB at most |", "|---:|---:|"]
    lines += [f"| {row['images']:,} | {row['extract'] / 2**20:.0f} |" for row in found]
    text = "\n".join([*lines, "", f"{each:.0f} bytes for each image more (`make bench-memory`)."])
    print(text)
    result = {"bytes_per_image": each, "goal": GOAL, "runs": found}
    (out / "memory.json").write_text(json.dumps(result, indent=2) + "\n")
    write_into("bench-memory", text)
    if each > GOAL:
        sys.exit(f"an image costs {each:.0f} bytes of memory, more than {GOAL}")


main()
