"""What the benchmarks have in common: the binaries, caches, and runs that borrow from others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
PERFORMANCE = ROOT / "docs" / "performance.md"


def tool(name, *arguments, cache=None):
    """Runs a binary with a cache folder of its own, or the one that make named; what it said."""
    command = [RELEASE / name, *map(str, arguments)]
    environment = os.environ | ({"CACHE_DIR": str(cache)} if cache else {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout


def new_cache(folder):
    """An empty cache folder with the downloads of the one that make named."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    downloads = Path(os.environ.get("CACHE_DIR", "cache"), "downloads")
    (folder / "downloads").symlink_to(downloads.resolve())
    return folder


def warm(folder):
    """Reads every file of a folder, so that none of them comes from a disk when it counts."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()


def borrow(run, folder):
    """Makes `folder` a run with the inputs of another one's training."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("images", "backbone", "embeddings"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to((run / name).resolve())
