"""How fast gtsrb-predict is beside extraction of the same pictures. `make bench-predict` calls it.

usage: predict.py PIPELINE_TOML RUN SOURCE OUT [--rounds N]

RUN has a model; SOURCE is the real GTSRB as folders, all of which is classified and extracted. OUT
is the folder for `predict-PIPELINE.json` and for a run to extract, which is kept. Both are measured
in this one call as whole processes, in turns, so that a busy machine slows both alike; what is
compared are medians.

- predict: reads the files, decodes, infers, applies the head and prints a line a picture.
- extract: from a cold cache, reads Parquet, decodes, infers and stores. It sees whole pictures and
  no changed copies, as predict does.

Exits with 1 when the ratio is under its goal.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

from common import PERFORMANCE, new_cache, tool, warm
from document import rewrite

GOAL = 1.0


def prepare(config, source, run):
    """A run with the pictures and a backbone; its flags."""
    common = ["--config", config, "--run", run]
    tool("gtsrb-ingest", *common, "--source", source)
    tool("gtsrb-backbone", *common)
    return common


def timed(name, *arguments, cache=None):
    """What a binary's summary says, and the seconds that the process took."""
    start = time.perf_counter()
    said = tool(name, *arguments, "--json", cache=cache)
    seconds = time.perf_counter() - start
    return json.loads(said.splitlines()[-1])["summary"], seconds


def extract(common, run):
    """Images a second, and how many."""
    shutil.rmtree(run / "embeddings", ignore_errors=True)
    warm(run / "images")
    cache = new_cache(run / "cache")
    whole = ["--crop", "full", "--augment", 0]
    summary, seconds = timed("gtsrb-extract", *common, *whole, cache=cache)
    shutil.rmtree(cache)
    return summary["misses"] / seconds, summary["misses"]


def predict(model, source):
    """Images a second, and how many."""
    warm(source)
    summary, seconds = timed("gtsrb-predict", "--run", model, source)
    return summary["pictures"] / seconds, summary["pictures"]


def measure(contestants, rounds):
    """Images a second, each round's, and how many images."""
    speeds, images = {name: [] for name in contestants}, {}
    for number in range(rounds):
        for name, once in contestants.items():
            speed, images[name] = once()
            speeds[name].append(speed)
            print(f"round {number + 1}: {name}: {speed:.0f}", file=sys.stderr)
    return speeds, images


def report(speed, images, ratio, about):
    lines = ["| what | pictures | images/s |", "|---|---:|---:|"]
    lines += [f"| {name} | {images[name]:,} | {speed[name]:,.0f} |" for name in speed]
    lines += ["", f"Ratio: {ratio:.2f}, to be at least {GOAL:.2f}."]
    about = ", ".join(f"{value} {key}" for key, value in about.items())
    return "\n".join([*lines, "", f"({about})"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    run = options.out / "predict" / options.config.stem
    common = prepare(options.config, options.source, run)
    contestants = {
        "gtsrb-predict": lambda: predict(options.model, options.source),
        "gtsrb-extract": lambda: extract(common, run),
    }
    rounds, images = measure(contestants, options.rounds)
    speed = {name: statistics.median(each) for name, each in rounds.items()}
    ratio = speed["gtsrb-predict"] / speed["gtsrb-extract"]
    about = {"cores": len(os.sched_getaffinity(0)), "rounds": options.rounds}
    text = report(speed, images, ratio, about)
    print(text)
    result = {
        "ratio_to_extract": ratio, "goal": GOAL, "pipeline": options.config.stem,
        "images_per_second": speed, "each_round": rounds, "images": images, **about,
    }
    name = options.config.stem
    (options.out / f"predict-{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    rewrite(PERFORMANCE, f"bench-predict {name}", text)
    if ratio < GOAL:
        sys.exit(f"under its goal: ratio_to_extract {ratio:.3f}")


main()
