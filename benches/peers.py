"""One other way from encoded pictures to embeddings, for `make bench-extract`, which calls it.

usage: peers.py NAME RUN IMAGES THREADS

Reads the encoded pictures and boxes of IMAGES training rows of RUN into memory, prepares
NAME, says `ready`, and for each line on standard input makes all embeddings once and answers
with the seconds that it took: decoding, cropping and resizing with Pillow in a pool of
threads, inference in batches, and the embeddings of all pictures in one array. Starting,
loading and compiling are not counted.
"""

import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
from PIL import Image

NAME, RUN = sys.argv[1], Path(sys.argv[2])
IMAGES, THREADS = int(sys.argv[3]), int(sys.argv[4])
MODEL = RUN / "backbone" / "backbone.onnx"
SIZE = 96


def pictures():
    files = sorted((RUN / "images").glob("train-*.parquet"))
    columns = ["image", "roi"]
    table = pyarrow.concat_tables(pyarrow.parquet.read_table(path, columns=columns) for path in files)
    # Evenly drawn, for their sizes go with their classes, by which they are sorted.
    table = table.take(numpy.arange(IMAGES) * len(table) // IMAGES)
    return [
        (image["bytes"], (roi["x1"], roi["y1"], roi["x2"] + 1, roi["y2"] + 1))
        for image, roi in zip(table["image"].to_pylist(), table["roi"].to_pylist())
    ]


def pixels(row):
    encoded, box = row
    picture = Image.open(io.BytesIO(encoded)).convert("RGB").crop(box)
    return numpy.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def batches(rows, size, pool):
    """Batches of pixels; a few are decoded ahead of those that are taken."""
    starts = range(0, len(rows), size)
    make = lambda start: numpy.stack([pixels(row) for row in rows[start : start + size]])
    waiting = []
    for start in starts:
        waiting.append(pool.submit(make, start))
        if len(waiting) > 4 * THREADS:
            yield waiting.pop(0).result()
    for batch in waiting:
        yield batch.result()


def onnxruntime_(batch):
    """One session with all threads, as most programs have it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])

    def run(rows, pool):
        return [session.run(["embedding"], {"image": b})[0] for b in batches(rows, batch, pool)]

    return run


def onnxruntime_sessions(batch):
    """A session of one thread on each core, which also decodes for itself."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
        for _ in range(THREADS)
    ]

    def run(rows, pool):
        def work(number):
            mine = range(number * batch, len(rows), THREADS * batch)
            made = []
            for start in mine:
                pixel = numpy.stack([pixels(row) for row in rows[start : start + batch]])
                made.append(sessions[number].run(["embedding"], {"image": pixel})[0])
            return made

        return [part for parts in pool.map(work, range(THREADS)) for part in parts]

    return run


def openvino_(precision, batch):
    """OpenVINO's asynchronous queue with its hint for throughput."""
    import openvino

    core = openvino.Core()
    network = core.read_model(MODEL)
    network.reshape([batch, SIZE, SIZE, 3])
    compiled = core.compile_model(
        network,
        "CPU",
        {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision},
    )

    def run(rows, pool):
        queue, made = openvino.AsyncInferQueue(compiled), {}

        def keep(request, number):
            made[number] = request.get_output_tensor().data.copy()

        queue.set_callback(keep)
        for number, pixel in enumerate(batches(rows, batch, pool)):
            missing = batch - len(pixel)
            if missing:
                pixel = numpy.concatenate([pixel, numpy.zeros((missing, SIZE, SIZE, 3), "u1")])
            queue.start_async({0: pixel}, number)
        queue.wait_all()
        return [made[number] for number in sorted(made)]

    return run


def torch_(kind, batch):
    """timm's network up to the same layer, pooled to the same grid; its weights are random."""
    import timm
    import torch

    torch.set_num_threads(THREADS)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()

    class Taps(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = torch.nn.Sequential(network.conv_stem, network.bn1)
            self.stages = torch.nn.ModuleList(network.blocks[:4])
            # Our layers are blocks 4 and 7, counted through: timm's third stage ends with the
            # first, its fourth with the other.

        def forward(self, image):
            maps, taken = self.stem(image), []
            for place, stage in enumerate(self.stages):
                maps = stage(maps)
                if place >= 2:
                    pooled = torch.nn.functional.adaptive_avg_pool2d(maps, 6)
                    taken.append(pooled.flatten(1))
            return torch.cat(taken, 1).float()

    dtype = torch.bfloat16 if "bf16" in kind else torch.float32
    model = Taps().eval().to(dtype=dtype, memory_format=torch.channels_last)

    def prepare(pixel):
        image = torch.from_numpy(pixel).permute(0, 3, 1, 2).to(dtype)
        return ((image - 127) / 128).contiguous(memory_format=torch.channels_last)

    with torch.inference_mode():
        if "jit" in kind:
            example = prepare(numpy.zeros((batch, SIZE, SIZE, 3), "u1"))
            model = torch.jit.freeze(torch.jit.trace(model, example))
        if "compile" in kind:
            model = torch.compile(model)

    def run(rows, pool):
        with torch.inference_mode():
            return [model(prepare(pixel)).numpy() for pixel in batches(rows, batch, pool)]

    return run


def peer(name):
    kind, precision, size = name.split(",")
    batch = int(size)
    if kind == "onnxruntime":
        return onnxruntime_(batch)
    if kind == "onnxruntime-sessions":
        return onnxruntime_sessions(batch)
    if kind == "openvino":
        return openvino_("bf16" if "bf16" in precision else "f32", batch)
    return torch_(f"{kind} {precision}", batch)


def main():
    rows, run = pictures(), peer(NAME)
    with ThreadPoolExecutor(THREADS) as pool:
        run(rows[:256], pool)
        print("ready", flush=True)
        for _ in sys.stdin:
            start = time.perf_counter()
            embeddings = numpy.concatenate(run(rows, pool))[: len(rows)]
            seconds = time.perf_counter() - start
            assert embeddings.shape[0] == len(rows) and numpy.isfinite(embeddings).all()
            print(seconds, flush=True)


main()
