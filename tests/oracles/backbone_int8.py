"""Compares our int8 backbone and onnxruntime's own static quantisation with the float32 one.

    python backbone_int8.py RUN_F32 RUN_INT8

Pictures are those of the runs, cropped and resized by Pillow. onnxruntime calibrates on every
fifth training picture. Prints the mean cosine to float32 of both over the test pictures.
"""

import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet
from onnxruntime.quantization import (
    CalibrationDataReader, QuantFormat, QuantType, quantize_static,
)
from PIL import Image


def frames(run, split, step, size):
    pictures = []
    for path in sorted(Path(run, "images").glob(f"{split}-*.parquet")):
        for row in pyarrow.parquet.read_table(path).to_pylist()[::step]:
            roi = row["roi"]
            box = (roi["x1"], roi["y1"], roi["x2"] + 1, roi["y2"] + 1)
            picture = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB").crop(box)
            pictures.append(np.asarray(picture.resize((size, size), Image.BILINEAR)))
    return np.stack(pictures)


class Pictures(CalibrationDataReader):
    def __init__(self, pictures):
        self.batches = iter(np.array_split(pictures, len(pictures) // 8))

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"image": batch}


def embed(path, pictures):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    batches = (pictures[i:i + 8] for i in range(0, len(pictures), 8))
    return np.concatenate([session.run(["embedding"], {"image": b})[0] for b in batches])


def cosine(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def main(run_f32, run_int8):
    f32, int8 = (f"{run}/backbone/backbone.onnx" for run in (run_f32, run_int8))
    onnx.checker.check_model(onnx.load(int8), full_check=True)
    size = onnx.load(f32).graph.input[0].type.tensor_type.shape.dim[1].dim_value
    train, test = frames(run_int8, "train", 5, size), frames(run_int8, "test", 1, size)
    expected = embed(f32, test)
    with tempfile.TemporaryDirectory() as folder:
        theirs = f"{folder}/theirs.onnx"
        quantize_static(
            f32, theirs, Pictures(train), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )
        theirs = cosine(expected, embed(theirs, test))
    ours = cosine(expected, embed(int8, test))
    print(json.dumps({
        "images": len(test), "ours": float(ours.mean()), "ours_least": float(ours.min()),
        "onnxruntime": float(theirs.mean()),
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])
