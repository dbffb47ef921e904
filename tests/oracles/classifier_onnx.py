"""Runs a run's classifier.onnx with Python's onnxruntime on pictures that Pillow decoded,
cropped and resized, and prints the share of top-1 classes that equal predictions.parquet. Has
ONNX's own checker look at both files of the model, and tries the classifier on its golden file.

usage: classifier_onnx.py RUN
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
from PIL import Image
from safetensors import safe_open

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


def check_files(model):
    """The files are valid ONNX, and their metadata say what a user must know."""
    for name in ["classifier.onnx", "head.onnx"]:
        onnx.checker.check_model(str(model / name), full_check=True)
        properties = onnx.load(model / name).metadata_props
        metadata = {entry.key: entry.value for entry in properties}
        assert len(json.loads(metadata["classes"])) > 1, name
        assert json.loads(metadata["preprocessing"])["crop"] == metadata["crop"], name


def golden_difference(model, session):
    """How far logits are off those of the golden file, as a share of a picture's largest one."""
    with safe_open(model / "golden.safetensors", "np") as file:
        about = json.loads(file.metadata()["golden"])
        logits, probabilities = file.get_tensor("logits"), file.get_tensor("probabilities")
        pictures = [file.get_tensor(f"picture.{i}") for i in range(len(about["paths"]))]
    most = 0.0
    for picture, z, p in zip(pictures, logits, probabilities, strict=True):
        outputs = session.run(["logits", "probabilities"], {"image": picture[None]})
        most = max(most, float(np.abs(outputs[0][0] - z).max() / max(1, np.abs(z).max())))
        assert np.abs(outputs[1][0] - p).max() < 0.01
    assert most <= about["tolerance"], most
    return most


def main():
    run = Path(sys.argv[1])
    check_files(run / "model")
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
                "golden_off": golden_difference(run / "model", session),
                "resized_by_pillow": float(np.mean(np.equal(by_pillow, expected))),
                "resized_inside": float(np.mean(np.equal(inside, [expected[i] for i in few]))),
            }
        )
    )


if __name__ == "__main__":
    main()
