"""Makes a backbone of which every layer is read for each file and size, and compares them all.

usage: probe.py BINARIES CONFIG RUN FILE,... SIZE,... BUDGET

The last backbone is the first file at the first size with random weights: what shows that is what
the network owes to its shape alone. Backbones are kept in RUN/candidates.
"""

import subprocess
import sys
from pathlib import Path


def call(*command):
    done = subprocess.run([str(part) for part in command], check=False)
    if done.returncode not in (0, 99):
        sys.exit(done.returncode)


def main():
    binaries, config, run = (Path(argument) for argument in sys.argv[1:4])
    files, sizes, budget = sys.argv[4].split(","), sys.argv[5].split(","), sys.argv[6]
    wanted = [(file, size, []) for file in files for size in sizes]
    wanted.append((files[0], sizes[0], ["--random", "1"]))
    folders = []
    for file, size, more in wanted:
        name = f"{Path(file).stem}-{size}{'-random' if more else ''}"
        folders.append(run / "candidates" / name)
        flags = ["--weights", file, "--size", size, "--taps", "every", *more]
        call(binaries / "gtsrb-backbone", "--run", folders[-1], "--quiet", *flags)
    backbones = ",".join(str(folder) for folder in folders)
    call(binaries / "gtsrb-train", "probe", "--config", config, "--backbones", backbones, "--budget", budget)


if __name__ == "__main__":
    main()
