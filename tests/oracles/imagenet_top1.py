"""Classifies labelled ImageNet pictures with a backbone that kept its top (`--top`): the share of
the picture's centre 0.875, bicubic to 224 pixels. Prints how many of how many are right.

    python imagenet_top1.py BACKBONE.onnx FOLDER   # FOLDER holds imagenet_NN_LABEL.jpg
"""

import pathlib
import sys

import numpy as np
import onnxruntime
from PIL import Image


def load(path, size):
    image = Image.open(path).convert("RGB")
    side = 0.875 * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.BICUBIC, box=box))


def main(model, folder):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[1]
    files = sorted(pathlib.Path(folder).rglob("imagenet_*_*.jpg"))
    right = 0
    for file in files:
        logits = session.run(["logits"], {"image": load(file, size)[None]})[0]
        right += int(logits.argmax()) == int(file.stem.split("_")[2])
    print(f"{right} of {len(files)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
