"""How fast extraction is beside ONNX Runtime alone and beside other ways from the same encoded
pictures to the same embeddings. `make bench-extract` calls it.

usage: extract.py RUN LIBRARY OUT [--images N] [--peer-images N] [--rounds N]

RUN is a run of real GTSRB whose images and backbone exist; LIBRARY is ONNX Runtime's; OUT is
the folder for `extract.json`. Everything is measured in this one call, in rounds, one after
the other, so that a busy machine slows all alike; what is compared are medians.

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

from common import RELEASE, ROOT, source, tool, write_into

HERE = Path(__file__).resolve().parent
BATCH = 8

# What must be reached, and what it says.
GOALS = {
    "ratio_to_raw_ort": (0.95, "f32, of ONNX Runtime alone on the same graph"),
    "ratio_to_python_ort": (1.1, "f32, to the best of Python's onnxruntime, f32"),
    "ratio_of_fastest_to_python_ort": (2.0, "fastest precision, to Python's onnxruntime, f32"),
    "ratio_to_best_peer": (1.0, "fastest precision, to the fastest peer of any precision"),
}

PEERS = {
    "onnxruntime, batch 8": ("f32", "onnxruntime,f32,8"),
    "onnxruntime, batch 32": ("f32", "onnxruntime,f32,32"),
    "onnxruntime, a session a core": ("f32", "onnxruntime-sessions,f32,8"),
    "OpenVINO f32": ("f32", "openvino,f32,8"),
    "OpenVINO bf16": ("f32", "openvino,bf16,8"),
    "PyTorch f32, channels last, jit": ("f32", "torch-jit,f32,32"),
    "PyTorch bf16, channels last": ("f32", "torch,bf16,32"),
    "PyTorch bf16, channels last, jit": ("f32", "torch-jit,bf16,32"),
    "onnxruntime int8, a session a core": ("int8", "onnxruntime-sessions,int8,8"),
    "OpenVINO int8": ("int8", "openvino,int8,8"),
}


class Ours:
    """One configuration of ours: a run with images and a backbone of its own."""

    def __init__(self, name, run, precision, store, pictures, environment):
        self.name, self.run, self.precision = name, run, precision
        self.environment = environment | {"CACHE_DIR": str(run / "cache")}
        common = ["--config", ROOT / "pipelines" / "gtsrb.toml", "--run", run]
        tool("gtsrb-ingest", *common, "--source", pictures, "--store", store)
        precise = [] if precision == "f32" else ["--precision", precision]
        tool("gtsrb-backbone", *common, *precise, environment=environment)
        self.extract = ["gtsrb-extract", *common, "--batch", BATCH, "--json", "--device", "cpu"]

    def measure(self):
        for stale in (self.run / "embeddings", self.run / "cache"):
            shutil.rmtree(stale, ignore_errors=True)
        start = time.perf_counter()
        line = tool(*self.extract, environment=self.environment).splitlines()[-1]
        seconds = time.perf_counter() - start
        summary = json.loads(line)["summary"]
        shutil.rmtree(self.run / "cache", ignore_errors=True)
        return summary["misses"] / seconds


class Raw:
    def __init__(self, run, threads, environment):
        self.command = [RELEASE / "examples" / "raw", run, 2000, BATCH, threads, 3]
        self.environment = environment

    def measure(self):
        command = list(map(str, self.command))
        return float(subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True
        ).stdout)


class Peer:
    """A process of its own that waits for the word."""

    def __init__(self, name, run, images, threads):
        command = [sys.executable, HERE / "peers.py", name, run, images, threads]
        self.images, self.process = images, subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        if self.process.stdout.readline().strip() != "ready":
            reason = self.process.communicate()[1].strip().splitlines()[-1:]
            raise RuntimeError(f"{name}: {' '.join(reason)}")

    def measure(self):
        print("go", file=self.process.stdin, flush=True)
        return self.images / float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def has_precision():
    """Whether the backbone can be had in int8."""
    help_text = subprocess.run(
        [RELEASE / "gtsrb-backbone", "--help"], capture_output=True, text=True
    ).stdout
    return "--precision" in help_text


def ratios(speed, names):
    ours = {name: speed[name] for name in names["ours"]}
    python = max(speed[name] for name in names["peers"] if name in PYTHON_F32)
    fastest = max(ours.values())
    return {
        "ratio_to_raw_ort": ours["gtsrb-extract f32"] / speed["ONNX Runtime alone, f32"],
        "ratio_to_python_ort": ours["gtsrb-extract f32"] / python,
        "ratio_of_fastest_to_python_ort": fastest / python,
        "ratio_to_best_peer": fastest / max(speed[name] for name in names["peers"]),
    }


PYTHON_F32 = [name for name in PEERS if name.startswith("onnxruntime") and "int8" not in name]


def table(speed, names):
    fastest = max(speed.values())
    lines = ["| what | images/s |  |", "|---|---:|---|"]
    for name in sorted(speed, key=speed.get, reverse=True):
        bar = "█" * max(1, round(24 * speed[name] / fastest))
        shown = f"**{name}**" if name in names["ours"] else name
        lines.append(f"| {shown} | {speed[name]:,.0f} | {bar} |")
    return lines


def report(speed, found, names, about):
    lines = table(speed, names) + ["", "| ratio | found | goal |", "|---|---:|---:|"]
    lines += [f"| {GOALS[name][1]} | {found[name]:.2f} | {GOALS[name][0]} |" for name in found]
    about = ", ".join(f"{value} {key}" for key, value in about.items())
    return "\n".join([*lines, "", f"({about}; `make bench-extract`)"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("library")
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--peer-images", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only-ours", action="store_true")
    options = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    environment = os.environ | {"ORT_DYLIB_PATH": options.library}
    folder = options.out / "extract"
    pictures = source(options.run, options.images, folder / "source")
    contestants = {}
    kinds = [("f32", "file"), ("f32", "pixels")]
    kinds += [("int8", "pixels")] if has_precision() else []
    for precision, store in kinds:
        name = f"gtsrb-extract {precision}" + (" from pixels" if store == "pixels" else "")
        run = folder / f"{precision}-{store}"
        contestants[name] = Ours(name, run, precision, store, pictures, environment)
    ours = list(contestants)
    for precision in dict(kinds):
        name = f"ONNX Runtime alone, {precision}"
        run = contestants[ours[0] if precision == "f32" else ours[-1]].run
        contestants[name] = Raw(run, threads, environment)
    peers = {}
    for name, (precision, key) in {} if options.only_ours else PEERS.items():
        if precision in dict(kinds):
            run = folder / ("f32-file" if precision == "f32" else "int8-pixels")
            try:
                peers[name] = Peer(key, run, options.peer_images, threads)
            except RuntimeError as reason:
                print(f"left out: {reason}", file=sys.stderr)
    contestants |= peers

    rounds = {name: [] for name in contestants}
    for number in range(options.rounds):
        for name, contestant in contestants.items():
            rounds[name].append(contestant.measure())
            print(f"round {number + 1}: {name}: {rounds[name][-1]:.0f}", file=sys.stderr)
    for peer in peers.values():
        peer.close()
    speed = {name: statistics.median(found) for name, found in rounds.items()}
    if options.only_ours:
        print("\n".join(table(speed, {"ours": ours})))
        return
    names = {"ours": ours, "peers": list(peers)}
    found = ratios(speed, names)
    about = {"cores": threads, "images": options.images, "rounds": options.rounds}
    text = report(speed, found, names, about)
    print(text)
    result = {
        **found,
        "images_per_second": speed,
        "rounds": rounds,
        "goals": {name: goal for name, (goal, _) in GOALS.items()},
        **about,
    }
    (options.out / "extract.json").write_text(json.dumps(result, indent=2) + "\n")
    write_into("bench-extract", text)
    missed = [name for name in found if found[name] < GOALS[name][0]]
    if missed:
        sys.exit("under its goal: " + ", ".join(f"{n} {found[n]:.3f}" for n in missed))


main()
