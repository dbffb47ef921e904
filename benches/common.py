"""What the benchmarks have in common: the binaries, caches, and runs that borrow from others."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
PERFORMANCE = ROOT / "docs" / "performance.md"
TURN_SECONDS = 0.5


class Tool:
    """A binary that runs, with a cache folder of its own or the one that make named."""

    def __init__(self, name, *arguments, cache=None):
        # Files, for a pipe that nobody reads stops who writes to it.
        self.name, self.output, self.errors = name, tempfile.TemporaryFile(), tempfile.TemporaryFile()
        environment = os.environ | ({"CACHE_DIR": str(cache)} if cache else {})
        self.process = subprocess.Popen(
            [RELEASE / name, *map(str, arguments)], env=environment, stdin=subprocess.PIPE,
            stdout=self.output, stderr=self.errors,
        )

    def wait_until_ready(self):
        """Waits until it has written something."""
        while self.process.poll() is None and not os.fstat(self.output.fileno()).st_size:
            time.sleep(0.05)

    def go(self):
        """Gives it the word that it waits for."""
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def said(self):
        """What it wrote, when it has ended."""
        self.process.stdin.close()
        code = self.process.wait()
        read = lambda file: (file.seek(0), file.read().decode())[1]
        if code:
            sys.exit(f"{self.name} failed ({code}): {read(self.errors).strip()}")
        return read(self.output)


def tool(name, *arguments, cache=None):
    """Runs a binary to its end; what it wrote."""
    return Tool(name, *arguments, cache=cache).said()


def in_turns(*tools):
    """Lets those that run work one after the other, for a moment each, until all have ended: what
    slows the machine meanwhile slows all alike. The seconds that each worked."""
    spent, running = {tool: 0.0 for tool in tools}, list(tools)
    for tool in tools:
        tool.process.send_signal(signal.SIGSTOP)
    while running:
        for tool in list(running):
            started = time.perf_counter()
            tool.process.send_signal(signal.SIGCONT)
            try:
                tool.process.wait(TURN_SECONDS)
                running.remove(tool)
            except subprocess.TimeoutExpired:
                tool.process.send_signal(signal.SIGSTOP)
            spent[tool] += time.perf_counter() - started
    return list(spent.values())


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
