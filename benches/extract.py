"""How fast extraction is beside ONNX Runtime alone and beside other ways from the same encoded
pictures to the same embeddings. `make bench-extract` calls it.

usage: extract.py SOURCE OUT [--rounds N]

SOURCE is the real GTSRB, all of which is extracted; OUT is the folder for `extract.json` and for
runs, which are kept: a second call has nothing to prepare. Everything is measured in this one
call, in rounds, one after the other, so that a busy machine slows all alike; what is compared are
medians.

- ours: the binary, from a cold cache and as a whole process: starting, reading, decoding,
  inference, storing, syncing.
- raw: ONNX Runtime from Rust on pixels that are in memory already, nothing else.
- peers: see peers.py; they have the encoded pictures in memory and need not store anything.

Exits with 1 when a ratio is under its goal.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import PERFORMANCE, ROOT, new_cache, tool, warm
from document import rewrite

HERE = Path(__file__).resolve().parent
BATCH, PEER_IMAGES = 8, 3_000

F32, INT8 = "gtsrb-extract f32", "gtsrb-extract int8"
# What is compared with others reads the files, as they do.
OURS = {
    F32: ("f32", "file"),
    INT8: ("int8", "file"),
    "gtsrb-extract f32, pixels stored": ("f32", "pixels"),
    "gtsrb-extract int8, pixels stored": ("int8", "pixels"),
}
RAW = "ONNX Runtime alone, "
PEERS = {
    "onnxruntime f32, batch 8": "onnxruntime,f32,8",
    "onnxruntime f32, batch 32": "onnxruntime,f32,32",
    "onnxruntime f32, a session a core": "onnxruntime-sessions,f32,8",
    "onnxruntime int8, a session a core": "onnxruntime-sessions,int8,8",
    "OpenVINO f32": "openvino,f32,8",
    "OpenVINO bf16": "openvino,bf16,8",
    "OpenVINO int8": "openvino,int8,8",
    "OpenVINO int8 and bf16": "openvino,int8+bf16,8",
    "PyTorch f32, channels last, jit": "torch-jit,f32,32",
    "PyTorch bf16, channels last": "torch,bf16,32",
    "PyTorch bf16, channels last, jit": "torch-jit,bf16,32",
}
PYTHON_F32 = [name for name in PEERS if name.startswith("onnxruntime f32")]

# What must be reached, and what it says.
GOALS = {
    "ratio_to_raw_ort": (0.95, "f32, of ONNX Runtime alone on the same graph"),
    "ratio_to_python_ort": (1.1, "f32, to the best of Python's onnxruntime, f32"),
    "ratio_of_fastest_to_python_ort": (2.0, "fastest precision, to Python's onnxruntime, f32"),
    "ratio_to_best_peer": (1.0, "fastest precision, to the fastest peer of any precision"),
}


class Ours:
    """One configuration of ours: a run with images and a backbone of its own."""

    def __init__(self, source, run, precision, store):
        self.run = run
        common = ["--config", ROOT / "pipelines" / "gtsrb-linear.toml", "--run", run]
        tool("gtsrb-ingest", *common, "--source", source, "--store", store)
        tool("gtsrb-backbone", *common, "--precision", precision)
        self.extract = ["gtsrb-extract", *common, "--batch", BATCH, "--json", "--device", "cpu"]

    def measure(self):
        shutil.rmtree(self.run / "embeddings", ignore_errors=True)
        warm(self.run / "images")
        cache = new_cache(self.run / "cache")
        start = time.perf_counter()
        line = tool(*self.extract, cache=cache).splitlines()[-1]
        seconds = time.perf_counter() - start
        shutil.rmtree(cache)
        return json.loads(line)["summary"]["misses"] / seconds

    def close(self):
        """There is no process."""


class Raw:
    """ONNX Runtime with the backbone of a run, a session of one thread on each core."""

    def __init__(self, run, threads):
        self.arguments = [run, 2000, BATCH, threads, 3]

    def measure(self):
        return float(tool("examples/raw", *self.arguments))

    def close(self):
        """There is no process."""


class Peer:
    """A process of its own that waits for the word."""

    def __init__(self, name, run, threads):
        command = [sys.executable, HERE / "peers.py", name, run, PEER_IMAGES, threads]
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"{name} can't be measured")

    def measure(self):
        print("go", file=self.process.stdin, flush=True)
        return PEER_IMAGES / float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def contestants(source, folder, threads):
    found = {}
    for name, (precision, store) in OURS.items():
        found[name] = Ours(source, folder / f"{precision}-{store}", precision, store)
    for name in (F32, INT8):
        precision, store = OURS[name]
        found[RAW + precision] = Raw(folder / f"{precision}-{store}", threads)
    for name, key in PEERS.items():
        precision = "int8" if "int8" in key else "f32"
        found[name] = Peer(key, folder / f"{precision}-file", threads)
    return found


def measure(found, rounds):
    """Images a second: each round's."""
    speeds = {name: [] for name in found}
    for number in range(rounds):
        for name, contestant in found.items():
            speeds[name].append(contestant.measure())
            print(f"round {number + 1}: {name}: {speeds[name][-1]:.0f}", file=sys.stderr)
    for contestant in found.values():
        contestant.close()
    return speeds


def ratios(speed):
    python, fastest = max(speed[name] for name in PYTHON_F32), max(speed[F32], speed[INT8])
    return {
        "ratio_to_raw_ort": speed[F32] / speed[RAW + "f32"],
        "ratio_to_python_ort": speed[F32] / python,
        "ratio_of_fastest_to_python_ort": fastest / python,
        "ratio_to_best_peer": fastest / max(speed[name] for name in PEERS),
    }


def report(speed, found, about):
    most = max(speed.values())
    lines = ["| what | images/s |  |", "|---|---:|---|"]
    for name in sorted(speed, key=speed.get, reverse=True):
        bar = "█" * max(1, round(24 * speed[name] / most))
        shown = f"**{name}**" if name in OURS else name
        lines.append(f"| {shown} | {speed[name]:,.0f} | {bar} |")
    lines += ["", "| ratio | found | goal |", "|---|---:|---:|"]
    lines += [f"| {GOALS[name][1]} | {found[name]:.2f} | {GOALS[name][0]} |" for name in found]
    about = ", ".join(f"{value} {key}" for key, value in about.items())
    return "\n".join([*lines, "", f"({about}; `make bench-extract`)"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    rounds = measure(contestants(options.source, options.out / "extract", threads), options.rounds)
    speed = {name: statistics.median(each) for name, each in rounds.items()}
    found, about = ratios(speed), {"cores": threads, "rounds": options.rounds}
    text = report(speed, found, about)
    print(text)
    goals = {name: goal for name, (goal, _) in GOALS.items()}
    result = {**found, "images_per_second": speed, "each_round": rounds, "goals": goals, **about}
    (options.out / "extract.json").write_text(json.dumps(result, indent=2) + "\n")
    rewrite(PERFORMANCE, "bench-extract", text)
    missed = [name for name in found if found[name] < GOALS[name][0]]
    if missed:
        sys.exit("under its goal: " + ", ".join(f"{n} {found[n]:.3f}" for n in missed))


main()
