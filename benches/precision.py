"""What int8 and f16 cost in accuracy and save in time. `make bench-precision` calls it.

usage: precision.py RUN CONFIG OUT

RUN is a run of real GTSRB with images, CONFIG its pipeline, OUT the folder for
`precision.json`. Goes from backbone to evaluate in each precision, each on a run of its own with
RUN's images, which reads the test set once. Then times the graphs alone, and what OpenVINO makes
of them, on one thread in batches of noise: all in this process, in rounds one after the other;
medians count. Writes the tables of docs/precision.md.

Exits with 1 when int8 loses more top-1 than MOST_LOST.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy
import onnxruntime
import openvino

from document import rewrite, table

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "precision.md"
PRECISIONS = ("f32", "int8", "f16")
# OpenVINO's name: the graph, and what OpenVINO may compute with.
OPENVINO = {
    "f32": ("f32", "f32"),
    "bf16": ("f32", "bf16"),
    "int8": ("int8", "f32"),
    "int8 and bf16": ("int8", "bf16"),
}
MOST_LOST = 0.003
BATCH, ROUNDS, SECONDS = 8, 15, 0.3


def stage(name, run, config, *arguments):
    command = [ROOT / "target/release" / f"gtsrb-{name}", "--config", config, "--run", run]
    command += ["--quiet", *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"error: gtsrb-{name} failed with exit code {done.returncode} in {run}")


def accuracy(images, config, run, precision):
    """Top-1 on the test set and on the tracks kept out, of a run in this precision."""
    shutil.rmtree(run / "images", ignore_errors=True)
    shutil.copytree(images, run / "images", copy_function=os.link)
    stage("backbone", run, config, "--precision", precision)
    stage("extract", run, config, "--device", "cpu")
    stage("train", run, config)
    stage("evaluate", run, config)
    training = json.loads((run / "model/training.json").read_text())
    (chosen,) = [fit for fit in training["path"] if fit["lambda"] == training["lambda"]]
    top1 = json.loads((run / "metrics.json").read_text())["top1"]
    return {"top1": top1, "validation": chosen["validation_accuracy"]}


def by_onnxruntime(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["embedding"], {"image": pixels})


def by_openvino(model, hint):
    core = openvino.Core()
    network = core.read_model(model)
    network.reshape([BATCH, *list(network.inputs[0].partial_shape)[1:]])
    options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": hint}
    request = core.compile_model(network, "CPU", options).create_infer_request()
    return lambda pixels: request.infer({0: pixels})


def speeds(graphs, size):
    """Images a second of each graph in each library, the median of the rounds."""
    ways = {f"ONNX Runtime, {name}": by_onnxruntime(model) for name, model in graphs.items()}
    for name, (graph, hint) in OPENVINO.items():
        ways[f"OpenVINO, {name}"] = by_openvino(graphs[graph], hint)
    noise = numpy.random.default_rng(1).integers(0, 256, (BATCH, size, size, 3), dtype=numpy.uint8)
    rounds = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, infer in ways.items():
            infer(noise)
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < SECONDS:
                infer(noise)
                count += BATCH
            rounds[name].append(count / (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in rounds.items()}


def tables(found, speed):
    scores = [
        [name, f"{each['top1']:.2%}", f"{each['validation']:.2%}"] for name, each in found.items()
    ]
    base = speed["ONNX Runtime, f32"]
    rates = [[name, f"{images:,.0f}", f"{images / base:.2f}"] for name, images in speed.items()]
    return "\n\n".join([
        table(["precision", "top-1, test", "top-1, tracks kept out"], scores),
        table(["graph alone", "images a second", "times the first"], rates),
    ])


def main():
    images, config, out = Path(sys.argv[1], "images"), sys.argv[2], Path(sys.argv[3])
    runs = {name: out / "precision" / name for name in PRECISIONS}
    found = {name: accuracy(images, config, run, name) for name, run in runs.items()}
    graphs = {name: str(runs[name] / "backbone/backbone.onnx") for name in PRECISIONS}
    backbone = json.loads((runs["f32"] / "backbone/manifest.json").read_text())
    speed = speeds(graphs, backbone["counters"]["size"])
    lost = found["f32"]["top1"] - found["int8"]["top1"]
    report = {
        "accuracy": found,
        "top1_lost_by_int8": lost,
        "images_per_second": speed,
        "ratio_int8_to_f32": speed["ONNX Runtime, int8"] / speed["ONNX Runtime, f32"],
    }
    (out / "precision.json").write_text(json.dumps(report, indent=2) + "\n")
    text = tables(found, speed)
    print(text)
    rewrite(DOCUMENT, "bench-precision", text)
    if lost > MOST_LOST:
        sys.exit(f"int8 loses {100 * lost:.2f} points of top-1, more than {100 * MOST_LOST:.1f}")


if __name__ == "__main__":
    main()
