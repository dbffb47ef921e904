"""How extraction spreads over machines: `make bench-scaling` calls it.

usage: scaling.py PROGRAM OUT

Simulates machines with PROGRAM, by the shard plan that extraction uses and by the rates that were
measured; writes OUT and the table in docs/scaling.md.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from common import PERFORMANCE, ROOT
from document import rewrite

# Measured: images a second on 2 cores, and the sizes of the pipeline gtsrb-linear's images and
# embeddings, in bytes.
RATE = int(re.search(r"gtsrb-extract f32\*\* \| ([\d,]+)", PERFORMANCE.read_text())[1].replace(",", ""))
IMAGE, EMBEDDING, INDEX = 6115, 8678, 455
# Assumed: bytes a second between a machine and the store, and the share of machines that die.
BANDWIDTH, DEATHS = 500e6, 0.1
CASES = [(10**6, 1), (10**6, 8), (10**7, 8), (10**7, 64), (10**9, 64), (10**9, 512)]


def simulate(images, machines):
    numbers = [images, machines, RATE, IMAGE, EMBEDDING, BANDWIDTH, DEATHS, 1]
    done = subprocess.run([sys.argv[1], *map(str, numbers)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def duration(seconds):
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def line(row):
    share = row["seconds_of_computing"] / row["seconds"]
    return (f"| {row['images']:,.0f} | {row['machines']:.0f} | {duration(row['seconds'])} | {share:.0%} "
            f"| {duration(row['seconds_of_fetching'])} | {row['largest_share']:.4f} "
            f"| {row['bytes_fetched_each'] / 1e9:,.0f} GB | {row['images'] * INDEX / 2**30:,.1f} GiB |")


def main():
    rows = [simulate(*case) for case in CASES]
    (out := Path(sys.argv[2])).parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"assumed_bandwidth": BANDWIDTH, "assumed_deaths": DEATHS, "runs": rows}, indent=2) + "\n")
    text = "\n".join([
        "| images | machines | last one done | of it computing | fetching images | largest share, of the mean | disk of each | memory of each, index |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
        *map(line, rows),
    ])
    print(text)
    rewrite(ROOT / "docs" / "scaling.md", "bench-scaling", text)


main()
