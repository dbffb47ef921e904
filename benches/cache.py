"""What the embedding cache saves: extraction where all, half, 1 % or none of the pictures are new.

    cache.py PIPELINE_TOML SOURCE WORK OUT

Calls the stages in target/release on the pictures in SOURCE, with runs and caches under WORK,
which is kept: a second call computes nothing to prepare. Writes OUT and rewrites the marked block of
docs/performance.md. `make bench-cache GTSRB=DIR` calls it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARES = 100
REPEATS = 3
BEGIN, END = "<!-- bench-cache: begin -->", "<!-- bench-cache: end -->"


def stage(name, *arguments, cache):
    """Runs a binary; gives its summary and the seconds that it took, start to end."""
    command = [ROOT / "target/release" / f"gtsrb-{name}", *arguments, "--json", "--quiet"]
    started = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | {"CACHE_DIR": str(cache)}, stdout=subprocess.PIPE, check=True
    )
    seconds = time.perf_counter() - started
    return json.loads(done.stdout.splitlines()[-1]), seconds


def link(source, target):
    """Parts are immutable: a copy of a cache may share them."""
    (os.link if source.endswith(".parquet") else shutil.copy2)(source, target)


def prepare(config, source, work):
    """A run that is ingested, and caches that hold all but 1 % of it, and half of it."""
    common = ["--config", config, "--run", work / "run"]
    for name in [("ingest", "--source", source), ("backbone",)]:
        stage(*name, *common, cache=work / "unused")
    shares = {"1 %": [f"{i}/{SHARES}" for i in range(2, SHARES + 1)], "50 %": ["1/2"]}
    for new, held in shares.items():
        cache = work / f"holds all but {new}"
        for share in held:
            stage("extract", *common, "--shard", share, cache=cache)
        stage("extract", "cache", "compact", cache=cache)
    (work / "holds all but 100 %").mkdir(exist_ok=True)
    return common


def measure(common, work, new, keep_index):
    """One extraction with a fresh copy of the cache that lacks `new`."""
    cache = work / "cache"
    if new is not None:
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(work / f"holds all but {new}", cache, copy_function=link)
    if not keep_index:
        shutil.rmtree(work / "run/embeddings", ignore_errors=True)
    result, seconds = stage("extract", *common, cache=cache)
    summary = result["summary"]
    computed = summary["misses"]
    compute = computed / summary["images_per_second"] if computed else 0.0
    return {
        "images": summary["images"],
        "computed": computed,
        "seconds": seconds,
        "compute_seconds": compute,
        "rest_seconds": seconds - compute,
    }


def cases(common, work):
    """Each case's fastest of its repeats: what disturbs a measurement only adds to it."""
    plan = [
        ("all are new", "100 %", False, 1),
        ("half are new", "50 %", False, 1),
        ("1 % are new", "1 %", False, REPEATS),
        ("none is new, another run or settings used before", None, False, REPEATS),
        ("none is new, run up to date", None, True, REPEATS),
    ]
    results = {}
    for name, new, keep_index, repeats in plan:
        tries = [measure(common, work, new, keep_index) for _ in range(repeats)]
        results[name] = min(tries, key=lambda result: result["seconds"])
    return results


def table(results):
    lines = ["| pictures | computed | seconds | of it compute | rest |", "|---|---|---|---|---|"]
    for name, r in results.items():
        lines.append(
            f"| {name} | {r['computed']:,} of {r['images']:,} | {r['seconds']:.2f} "
            f"| {r['compute_seconds']:.2f} | {r['rest_seconds']:.2f} |"
        )
    return "\n".join(lines)


def document(text):
    path = ROOT / "docs/performance.md"
    old = path.read_text()
    head, rest = old.split(BEGIN)
    tail = rest.split(END)[1]
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


def main():
    config, source, work, out = sys.argv[1:]
    work, out = Path(work), Path(out)
    work.mkdir(parents=True, exist_ok=True)
    results = cases(prepare(config, source, work), work)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"cores": os.cpu_count(), "cases": results}, indent=2) + "\n")
    text = table(results)
    document(text)
    print(text)


if __name__ == "__main__":
    main()
