"""How fast gtsrb-predict is beside extraction of the same pictures. `make bench-predict` calls it.

usage: predict.py PIPELINE_TOML RUN SOURCE OUT [--rounds N]

RUN has a model; SOURCE is the real GTSRB as folders, all of which is classified and extracted. OUT
is the folder for `predict-PIPELINE.json` and for a run to extract, which is kept. Both are measured
in this one call as whole processes, in turns of half a second, so that a busy machine slows both
alike; what counts is the median of the rounds' ratios.

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
from pathlib import Path

from common import PERFORMANCE, Tool, in_turns, new_cache, tool, warm
from document import rewrite

GOAL = 1.0
NAMES = ["gtsrb-predict", "gtsrb-extract"]


def prepare(config, source, run):
    """A run with the pictures and a backbone; its flags."""
    common = ["--config", config, "--run", run]
    tool("gtsrb-ingest", *common, "--source", source)
    tool("gtsrb-backbone", *common)
    return common


def once(common, run, model, source):
    """Images a second of both, and how many."""
    shutil.rmtree(run / "embeddings", ignore_errors=True)
    warm(run / "images")
    warm(source)
    cache = new_cache(run / "cache")
    whole = ["--crop", "full", "--augment", 0, "--json"]
    tools = [
        Tool("gtsrb-predict", "--run", model, source, "--json"),
        Tool("gtsrb-extract", *common, *whole, cache=cache),
    ]
    seconds = in_turns(*tools)
    summaries = [json.loads(tool.said().splitlines()[-1])["summary"] for tool in tools]
    shutil.rmtree(cache)
    images = [summaries[0]["pictures"], summaries[1]["misses"]]
    return [count / each for count, each in zip(images, seconds)], images


def measure(rounds, *what):
    """Images a second, each round's, and how many images."""
    speeds = {name: [] for name in NAMES}
    for number in range(rounds):
        both, images = once(*what)
        for name, speed in zip(NAMES, both):
            speeds[name].append(speed)
            print(f"round {number + 1}: {name}: {speed:.0f}", file=sys.stderr)
    return speeds, dict(zip(NAMES, images))


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
    rounds, images = measure(options.rounds, common, run, options.model, options.source)
    speed = {name: statistics.median(each) for name, each in rounds.items()}
    ratio = statistics.median(ours / its for ours, its in zip(*rounds.values()))
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
