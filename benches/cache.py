"""What the embedding cache saves: extraction where all, half, 1 % or none of the pictures are new.

    cache.py PIPELINE_TOML SOURCE CACHE OUT

Calls the stages in target/release on the pictures in SOURCE, with the downloads of CACHE. The
run and its caches stay under OUT/cache, so that a second call has little to prepare. Writes
OUT/cache.json and the marked block of docs/performance.md, and ends in 1 where a ratio misses
its goal. `make bench-cache GTSRB=DIR` calls it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common import PERFORMANCE, ROOT
from document import rewrite

SHARES = 100
REPEATS = 3
CURRENT = "none, same run again"
# At most this share of the time that it takes when all are new.
GOALS = {
    "half": 0.55,
    "1 %": 0.05,
    "none, run or settings that were seen before": 0.02,
    CURRENT: 0.02,
}


def stage(name, *arguments, cache):
    """Runs a binary; gives its summary and the seconds that it took, start to end."""
    command = [ROOT / "target/release" / f"gtsrb-{name}", *arguments, "--json", "--quiet"]
    environment = os.environ | {"CACHE_DIR": str(cache)}
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout.splitlines()[-1]), seconds


def link(source, target):
    """Parts are immutable, so that caches may share them."""
    (os.link if source.endswith(".parquet") else shutil.copy2)(source, target)


def copy(source, target):
    """A cache like `source`."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True, copy_function=link)


def new_cache(folder, downloads):
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "downloads").is_symlink():
        (folder / "downloads").symlink_to(downloads)
    return folder


def prepare(config, source, downloads, work):
    """An ingested run, and caches that lack all of it, half of it, and 1 % of it."""
    run = ["--config", config, "--run", work / "run"]
    caches = {name: work / f"without {name}" for name in ["all", "half", "1 %"]}
    empty = new_cache(caches["all"], downloads)
    stage("ingest", "--source", source, *run, cache=empty)
    stage("backbone", *run, cache=empty)
    half = new_cache(caches["half"], downloads)
    stage("extract", *run, "--shard", "2/2", cache=half)
    if not caches["1 %"].exists():
        copy(half, caches["1 %"])
    # All but the first of those shares that make up 1/2.
    for share in range(3, SHARES + 1, 2):
        stage("extract", *run, "--shard", f"{share}/{SHARES}", cache=caches["1 %"])
    stage("extract", "cache", "compact", cache=caches["1 %"])
    return run, caches


def extract(run, cache):
    """One extraction."""
    result, seconds = stage("extract", *run, cache=cache)
    summary = result["summary"]
    images, computed = summary["images"], summary["misses"]
    compute = computed / summary["images_per_second"] if computed else 0.0
    return {
        "images": images,
        "computed": computed,
        "seconds": seconds,
        "compute_seconds": compute,
        "milliseconds_per_thousand": 1e6 * seconds / images,
    }


def fastest(tries):
    """What disturbs a measurement only adds to it."""
    return min(tries, key=lambda one: one["seconds"])


def cases(run, caches, work):
    """Each number of new pictures, with a cache of its own that lacks them."""
    cache, index = work / "cache", Path(run[-1]) / "embeddings"

    def once(lacking, index_is_there=False):
        if lacking:
            copy(caches[lacking], cache)
        if not index_is_there:
            shutil.rmtree(index, ignore_errors=True)
        return extract(run, cache)

    repeats = {"half": 1, "1 %": REPEATS, "all": 1}
    results = {name: fastest(once(name) for _ in range(n)) for name, n in repeats.items()}
    seen, current = list(GOALS)[2:]
    results[seen] = fastest(once(None) for _ in range(REPEATS))
    results[current] = fastest(once(None, True) for _ in range(REPEATS))
    for result in results.values():
        result["share"] = result["seconds"] / results["all"]["seconds"]
    return {name: results[name] for name in ["all", *GOALS]}


def table(results):
    lines = [
        f"Of {results['all']['images']:,} pictures, on {os.cpu_count()} cores:",
        "",
        "| new | computed | seconds | of it compute | rest | share |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, r in results.items():
        rest = r["seconds"] - r["compute_seconds"]
        lines.append(
            f"| {name} | {r['computed']:,} | {r['seconds']:.2f} | {r['compute_seconds']:.2f} "
            f"| {rest:.2f} | {100 * r['share']:.1f} % |"
        )
    milliseconds = results[CURRENT]["milliseconds_per_thousand"]
    lines += ["", f"Run again, that is {milliseconds:.1f} ms for a thousand pictures."]
    return "\n".join(lines)


def main():
    config, source, cache, out = sys.argv[1:]
    out = Path(out).resolve()
    work = out / "cache"
    run, caches = prepare(config, source, (Path(cache) / "downloads").resolve(), work)
    results = cases(run, caches, work)
    report = {"cores": os.cpu_count(), "goals": GOALS, "cases": results}
    (out / "cache.json").write_text(json.dumps(report, indent=2) + "\n")
    rewrite(PERFORMANCE, "bench-cache", table(results))
    print(table(results))
    missed = [name for name, goal in GOALS.items() if results[name]["share"] > goal]
    for name in missed:
        share, goal = results[name]["share"], GOALS[name]
        print(f"error: {name}: a share of {share:.3f}, not at most {goal}", file=sys.stderr)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
