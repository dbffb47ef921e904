"""Compares a graph that only resizes (`image` uint8 [n, h, w, 3] -> `small`) with Pillow's
BILINEAR on noise of assorted sizes: fails if any pixel is more than one grey level off.

    python resize_graph.py RESIZE.onnx SIZE
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image


def main(model, size):
    size = int(size)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(5)
    worst = 0
    for height in (1, 2, 3, 25, size - 1, size, size + 1, 250, 700):
        for width in (1, 5, 24, size, 111, 250):
            picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            got = session.run(["small"], {"image": picture[None]})[0][0].astype(int)
            wanted = np.asarray(Image.fromarray(picture).resize((size, size), Image.BILINEAR))
            worst = max(worst, np.abs(got - wanted).max())
    print(f"largest difference {worst}")
    sys.exit(0 if worst <= 1 else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
