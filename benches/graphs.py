"""What can be done to the backbone's graph, how it is run, and what each is worth. `make
bench-graphs` calls it.

usage: graphs.py RUN OUT

All variants in this one process on one thread, in rounds, on the same noise; the median of the
rounds counts. Each is compared with the graph and the options that extraction uses: how fast,
and whether every bit is the same. Writes `OUT/graphs.json`.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from common import PERFORMANCE
from document import rewrite

BATCH, ROUNDS, SECONDS = 8, 9, 0.4


def options(**entries):
    found = onnxruntime.SessionOptions()
    found.intra_op_num_threads = 1
    for name, value in entries.items():
        setattr(found, name, value)
    return found


def cast_front(model):
    """Normalises by Cast, Sub and Mul instead of one DequantizeLinear."""
    graph = model.graph
    place = next(i for i, node in enumerate(graph.node) if node.op_type == "DequantizeLinear")
    front = graph.node[place]
    add = lambda name, value: graph.initializer.append(
        numpy_helper.from_array(numpy.float32(value), name)
    )
    add("offset", 127), add("factor", 1 / 128)
    nodes = [
        helper.make_node("Cast", [front.input[0]], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "offset"], ["centred"]),
        helper.make_node("Mul", ["centred", "factor"], list(front.output)),
    ]
    del graph.node[place]
    for node in reversed(nodes):
        graph.node.insert(place, node)


def folded_front(model):
    """Leaves the factor to the first convolution's weights."""
    cast_front(model)
    graph = model.graph
    multiply = next(node for node in graph.node if node.op_type == "Mul")
    first = next(node for node in graph.node if multiply.output[0] in node.input)
    first.input[0] = multiply.input[0]
    graph.node.remove(multiply)
    for tensor in graph.initializer:
        if tensor.name == first.input[1]:
            tensor.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(tensor) / 128, tensor.name)
            )


def without_pooling(model):
    """Gives whole maps instead of pooled cells: what pooling costs, or saves, in the graph."""
    graph = model.graph
    pool = next(node for node in graph.node if node.op_type == "AveragePool")
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == pool.output[0]:
                node.input[place] = pool.input[0]
    graph.node.remove(pool)
    del graph.output[0].type.tensor_type.shape.dim[1:]
    graph.output[0].type.tensor_type.shape.dim.add().dim_param = "wide"


def variants(path, folder):
    """Name, model, options, batch."""
    changed = {}
    for name, change in {"cast": cast_front, "folded": folded_front, "maps": without_pooling}.items():
        model = onnx.load(path)
        change(model)
        changed[name] = f"{folder}/{name}.onnx"
        onnx.save(model, changed[name])
    level = onnxruntime.GraphOptimizationLevel
    saved = f"{folder}/saved.onnx"
    onnxruntime.InferenceSession(path, options(optimized_model_filepath=saved))
    denormal = options()
    denormal.add_session_config_entry("session.set_denormal_as_zero", "1")
    yield "as it is: batch 8", path, options(), BATCH
    for batch in (1, 2, 4, 16, 32):
        yield f"batch {batch}", path, options(), batch
    yield "normalised by Cast, Sub, Mul", changed["cast"], options(), BATCH
    yield "normalisation's factor in the first weights", changed["folded"], options(), BATCH
    yield "no pooling in the graph, maps given whole", changed["maps"], options(), BATCH
    basic = options(graph_optimization_level=level.ORT_ENABLE_EXTENDED)
    yield "optimised without blocked layout (NCHW)", path, basic, BATCH
    ready = options(graph_optimization_level=level.ORT_DISABLE_ALL)
    yield "optimised graph kept on disk", saved, ready, BATCH
    yield "denormals as zero", path, denormal, BATCH
    yield "no memory pattern", path, options(enable_mem_pattern=False), BATCH
    yield "no arena", path, options(enable_cpu_mem_arena=False), BATCH


class Variant:
    def __init__(self, name, model, how, batch):
        start = time.perf_counter()
        self.session = onnxruntime.InferenceSession(model, how, ["CPUExecutionProvider"])
        self.load = time.perf_counter() - start
        self.name, self.batch, self.speeds = name, batch, []
        pixels = numpy.random.default_rng(1).integers(0, 256, (32, 96, 96, 3), "u1")
        self.pixels = pixels[:batch]
        self.bits = self.run()[: min(batch, BATCH)]

    def run(self):
        return self.session.run(["embedding"], {"image": self.pixels})[0]

    def measure(self):
        runs, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            self.run()
            runs += 1
        self.speeds.append(runs * self.batch / (time.perf_counter() - start))


def main():
    run, out = Path(sys.argv[1]), Path(sys.argv[2])
    path = str(run / "backbone" / "backbone.onnx")
    with tempfile.TemporaryDirectory() as folder:
        found = [Variant(*variant) for variant in variants(path, folder)]
    for _ in range(ROUNDS):
        for variant in found:
            variant.measure()
    base, rows = found[0], []
    for variant in found:
        ratios = [ours / its for ours, its in zip(variant.speeds, base.speeds)]
        same = variant.bits.shape[1:] == base.bits.shape[1:]
        equal = same and (variant.bits == base.bits[: len(variant.bits)]).all()
        rows.append({
            "what": variant.name,
            "images_per_second": statistics.median(variant.speeds),
            "ratio": statistics.median(ratios),
            "same_bits": bool(equal) if same else None,
            "load_seconds": variant.load,
        })
    lines = ["| what | images/s, 1 thread | ratio | same bits | load, ms |", "|---|---:|---:|---|---:|"]
    word = {True: "yes", False: "no", None: "other shape"}
    lines += [
        f"| {row['what']} | {row['images_per_second']:,.0f} | {row['ratio']:.2f} "
        f"| {word[row['same_bits']]} | {1000 * row['load_seconds']:.0f} |"
        for row in rows
    ]
    text = "\n".join([*lines, "", f"({ROUNDS} rounds; `make bench-graphs`)"])
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / "graphs.json").write_text(json.dumps(rows, indent=2) + "\n")
    rewrite(PERFORMANCE, "bench-graphs", text)


main()
