"""Runs a run's classifier.onnx with Python's onnxruntime on pictures that Pillow decoded,
cropped and resized, and prints the share of top-1 classes that equal predictions.parquet.

usage: classifier_onnx.py RUN
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
from PIL import Image

BATCH = 64


def pictures(run, crop):
    """The test pictures in order, cropped to their ROI or whole."""
    for file in sorted((run / "images").glob("test-*.parquet")):
        for row in pq.read_table(file).to_pylist():
            picture = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
            if crop == "roi":
                roi = row["roi"]
                picture = picture.crop((roi["x1"], roi["y1"], roi["x2"] + 1, roi["y2"] + 1))
            yield picture


def main():
    run = Path(sys.argv[1])
    view = json.loads((run / "embeddings" / "manifest.json").read_text())["work"]["parameters"]
    assert view["margin"] == 0, "this oracle crops without a margin"
    size = view["size"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(run / "model" / "classifier.onnx"), options)

    def label(batch):
        return session.run(["label"], {"image": batch})[0].tolist()

    expected = pq.read_table(run / "predictions.parquet")["predicted"].to_pylist()
    cropped = list(pictures(run, view["crop"]))
    resized = np.stack([np.asarray(p.resize((size, size), Image.BILINEAR)) for p in cropped])
    by_pillow = [l for i in range(0, len(resized), BATCH) for l in label(resized[i : i + BATCH])]
    few = range(0, len(cropped), max(1, len(cropped) // 1000))
    inside = [label(np.asarray(cropped[i])[None])[0] for i in few]
    print(
        json.dumps(
            {
                "images": len(expected),
                "resized_by_pillow": float(np.mean(np.equal(by_pillow, expected))),
                "resized_inside": float(np.mean(np.equal(inside, [expected[i] for i in few]))),
            }
        )
    )


if __name__ == "__main__":
    main()
