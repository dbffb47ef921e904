"""Trains finished pipelines again with other tracks kept out: how far do figures depend on them?

usage: seeds.py BINARIES RUNS OUT DOCUMENT SEEDS PIPELINE...

Each training borrows its inputs from the pipeline's run in RUNS, and is kept in the folder OUT/seeds: a
second call has nothing to do. Every seed keeps other tracks out and starts from other weights. The
test images are not read. The last pipeline is trained on SMALL images, too. Writes OUT/seeds.json and
the table of DOCUMENT.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from common import borrow
from document import rewrite, table

# Images of the benchmark's smaller training set, on which some published results were made.
SMALL = 26_640
TITLES = ["", "seeds", "learned from", "kept out", "right on what was kept out", "lowest to highest", "log-loss there"]


def train(binaries, run, folder, flags):
    """What a training with `flags` found out on what it kept out."""
    borrow(run, folder)
    config = Path("pipelines", f"{run.name}.toml")
    command = [binaries / "gtsrb-train", "--config", config, "--run", folder, "--quiet", *flags]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    facts = json.loads((folder / "model" / "manifest.json").read_text())["facts"]
    return {"flags": flags} | {
        name: facts[name]
        for name in ("images", "validation_images", "validation_accuracy", "validation_loss")
    }


def several(binaries, run, out, seeds, flags=()):
    """One training a seed, told as they come."""
    found = []
    for seed in seeds:
        name = "-".join([run.name, str(seed), *flags[1:]])
        found.append(train(binaries, run, out / name, ["--seed", str(seed), *flags]))
        print(f"  {name}: {100 * found[-1]['validation_accuracy']:.2f} %", flush=True)
    return found


def row(name, found):
    shares = [100 * one["validation_accuracy"] for one in found]
    spread, ends = "", ""
    if len(shares) > 1:
        spread, ends = f" ± {statistics.stdev(shares):.2f}", f"{min(shares):.2f}–{max(shares):.2f}"
    loss = statistics.mean(one["validation_loss"] for one in found)
    kept = statistics.mean(one["validation_images"] for one in found)
    return (
        name,
        len(found),
        f"{found[0]['images'] - kept:,.0f}",
        f"{kept:,.0f}",
        f"{statistics.mean(shares):.2f}{spread} %",
        ends,
        f"{loss:.4f}",
    )


def main():
    binaries, runs, out, document = map(Path, sys.argv[1:5])
    seeds, pipelines = range(1, int(sys.argv[5]) + 1), sys.argv[6:]
    found = {f"`{name}`": several(binaries, runs / name, out / "seeds", seeds) for name in pipelines}
    first = next(iter(found.values()))[0]
    share = ["--validation", f"{1 - SMALL / first['images']:.4f}"]
    small = several(binaries, runs / pipelines[-1], out / "seeds", seeds[:1], share)
    found[f"`{pipelines[-1]}`, fewer images"] = small
    (out / "seeds.json").write_text(json.dumps(found, indent=2) + "\n")
    rewrite(document, "seeds", table(TITLES, [row(name, each) for name, each in found.items()]))
    print(f"wrote {out / 'seeds.json'} and the table of {document}")


if __name__ == "__main__":
    main()
