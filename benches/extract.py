"""How fast extraction is beside ONNX Runtime alone and beside other ways from the same encoded
pictures to the same embeddings. `make bench-extract` calls it.

usage: extract.py SOURCE OUT [--rounds N]

SOURCE is the real GTSRB, all of which is extracted; OUT is the folder for `extract.json` and for
runs, which are kept: a second call has nothing to prepare. Everything is measured in this one
call, in rounds, one after the other; what is compared are medians. A machine's speed changes within
minutes by more than what ours lack to ONNX Runtime alone: these two work in turns of half a second.

- ours: the binary, from a cold cache and as a whole process: starting, reading, decoding,
  inference, storing, syncing; of two layers in the middle, and of the whole network.
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
from collections import defaultdict
from pathlib import Path

from common import PERFORMANCE, ROOT, Tool, in_turns, new_cache, tool, warm
from document import rewrite, table

HERE = Path(__file__).resolve().parent
BATCH, PEER_IMAGES = 8, 3_000
# GTSRB's, and how many of them ONNX Runtime alone holds in memory.
IMAGES, HELD = 51_839, 2_000

F32, INT8 = "gtsrb-extract f32", "gtsrb-extract int8"
STORED, NETWORK = ", pixels stored", ", whole network"
LAYERS_OF, NETWORK_OF = "gtsrb-linear", "gtsrb-tutorial"
# What is compared with others reads the files, as they do.
OURS = {
    F32: (LAYERS_OF, "f32", "file"),
    INT8: (LAYERS_OF, "int8", "file"),
    F32 + STORED: (LAYERS_OF, "f32", "pixels"),
    INT8 + STORED: (LAYERS_OF, "int8", "pixels"),
    F32 + NETWORK: (NETWORK_OF, "f32", "file"),
}
# What each of them could at best reach.
RAW = "ONNX Runtime alone, "
ALONE = {name: RAW + precision for name, (_, precision, _) in OURS.items()}
ALONE[F32 + NETWORK] += NETWORK
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
    "ratio_to_raw_ort": (0.90, "f32, of ONNX Runtime alone on the same graph"),
    "ratio_to_raw_ort_whole_network": (0.95, "f32, the same of the whole network"),
    "ratio_to_python_ort": (1.1, "f32, to the best of Python's onnxruntime, f32"),
    "ratio_of_fastest_to_python_ort": (2.0, "fastest precision, to Python's onnxruntime, f32"),
    "ratio_to_best_peer": (1.0, "fastest precision, to the fastest peer of any precision"),
}


class Ours:
    """One configuration of ours: a run with images and a backbone of its own."""

    def __init__(self, source, run, pipeline, precision, store):
        self.run = run
        common = ["--config", ROOT / "pipelines" / f"{pipeline}.toml", "--run", run]
        tool("gtsrb-ingest", *common, "--source", source, "--store", store)
        tool("gtsrb-backbone", *common, "--precision", precision)
        self.extract = ["gtsrb-extract", *common, "--batch", BATCH, "--json", "--device", "cpu"]

    def measure(self, threads):
        """Images a second, and those of ONNX Runtime alone on as many."""
        shutil.rmtree(self.run / "embeddings", ignore_errors=True)
        warm(self.run / "images")
        cache = new_cache(self.run / "cache")
        alone = Tool("examples/raw", self.run, HELD, BATCH, threads, IMAGES)
        alone.wait_until_ready()
        alone.go()
        whole = Tool(*self.extract, cache=cache)
        took, alone_took = in_turns(whole, alone)
        computed = json.loads(whole.said().splitlines()[-1])["summary"]["misses"]
        alone.said()
        shutil.rmtree(cache)
        return computed / took, IMAGES / alone_took


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


def measure(source, folder, threads, rounds):
    """Images a second, and each round's share of ONNX Runtime alone."""
    runs = {name: folder / "-".join(what) for name, what in OURS.items()}
    ours = {name: Ours(source, runs[name], *what) for name, what in OURS.items()}
    at = lambda key: runs[INT8 if "int8" in key else F32]
    peers = {name: Peer(key, at(key), threads) for name, key in PEERS.items()}
    speeds, shares = defaultdict(list), defaultdict(list)
    for number in range(rounds):
        for name, one in ours.items():
            speed, alone = one.measure(threads)
            speeds[name].append(speed)
            speeds[ALONE[name]].append(alone)
            shares[name].append(speed / alone)
            print(f"round {number + 1}: {name}: {speed:.0f} of {alone:.0f}", file=sys.stderr)
        for name, peer in peers.items():
            speeds[name].append(peer.measure())
            print(f"round {number + 1}: {name}: {speeds[name][-1]:.0f}", file=sys.stderr)
    for peer in peers.values():
        peer.close()
    return speeds, shares


def ratios(speed, share):
    python, fastest = max(speed[name] for name in PYTHON_F32), max(speed[F32], speed[INT8])
    return {
        "ratio_to_raw_ort": share[F32],
        "ratio_to_raw_ort_whole_network": share[F32 + NETWORK],
        "ratio_to_python_ort": speed[F32] / python,
        "ratio_of_fastest_to_python_ort": fastest / python,
        "ratio_to_best_peer": fastest / max(speed[name] for name in PEERS),
    }


def report(speed, share, found, about):
    """Three tables: of all on two layers, of ours beside ONNX Runtime alone, of the goals."""
    shown = sorted((name for name in speed if NETWORK not in name), key=speed.get, reverse=True)
    lines = ["| what | images/s |  |", "|---|---:|---|"]
    for name in shown:
        bar = "█" * max(1, round(24 * speed[name] / speed[shown[0]]))
        lines.append(f"| {f'**{name}**' if name in OURS else name} | {speed[name]:,.0f} | {bar} |")
    rows = [[name, f"{share[name]:.2f}"] for name in OURS]
    goals = [[GOALS[name][1], f"{found[name]:.2f}", GOALS[name][0]] for name in found]
    shares = table(["of ONNX Runtime alone", "share"], rows)
    tables = ["\n".join(lines), shares, table(["ratio", "found", "goal"], goals)]
    about = ", ".join(f"{value} {key}" for key, value in about.items())
    return "\n\n".join([*tables, f"({about}; `make bench-extract`)"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    folder = options.out / "extract"
    speeds, shares = measure(options.source, folder, threads, options.rounds)
    speed, share = (
        {name: statistics.median(each) for name, each in found.items()} for found in (speeds, shares)
    )
    found, about = ratios(speed, share), {"cores": threads, "rounds": options.rounds}
    text = report(speed, share, found, about)
    print(text)
    goals = {name: goal for name, (goal, _) in GOALS.items()}
    result = {
        **found, "images_per_second": speed, "share_of_raw_ort": share, "goals": goals,
        "each_round": {"images_per_second": speeds, "share_of_raw_ort": shares}, **about,
    }
    (options.out / "extract.json").write_text(json.dumps(result, indent=2) + "\n")
    rewrite(PERFORMANCE, "bench-extract", text)
    # As precisely as it can be measured again.
    missed = [name for name in found if round(found[name], 2) < GOALS[name][0]]
    if missed:
        sys.exit("under its goal: " + ", ".join(f"{n} {found[n]:.3f}" for n in missed))


main()
