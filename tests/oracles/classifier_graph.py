"""Runs a classifier.onnx of a backbone that is nothing but a grid of means, and compares with
Pillow's resize and numpy.

    python classifier_graph.py CLASSIFIER.onnx HEAD.onnx SIZE GRID

The head's weights are w[c, d] = sin(c + d / 7), its biases c / 10, its temperature 2.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

CLASSES = 5


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def expected(pictures, size, grid):
    small = [np.asarray(Image.fromarray(p).resize((size, size), Image.BILINEAR)) for p in pictures]
    cells = np.stack(small).reshape(len(small), grid, size // grid, grid, size // grid, 3)
    embedding = cells.mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(len(small), -1) / 255
    c, d = np.arange(CLASSES)[:, None], np.arange(embedding.shape[1])[None]
    logits = embedding @ np.sin(c + d / 7).T + np.arange(CLASSES) / 10
    return embedding, logits, softmax(logits / 2)


def main(classifier, head, size, grid):
    size, grid = int(size), int(grid)
    session = onnxruntime.InferenceSession(classifier, providers=["CPUExecutionProvider"])
    head = onnxruntime.InferenceSession(head, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(3)
    sizes = [(1, 1), (2, 3), (25, 25), (250, 25), (25, 250), (size, size), (size, 7), (97, 131), (640, 480)]
    for height, width in sizes:
        pictures = rng.integers(0, 256, (3, height, width, 3), dtype=np.uint8)
        embedding, logits, probabilities = expected(pictures, size, grid)
        names = ["logits", "probabilities", "label"]
        got = session.run(names, {"image": pictures})
        # Pixels may be one level off, the means of cells are far closer.
        assert np.abs(got[0] - logits).max() < 5e-3, (height, width, np.abs(got[0] - logits).max())
        assert np.abs(got[1] - probabilities).max() < 2e-3, (height, width)
        assert (got[2] == got[0].argmax(axis=1)).all() and got[2].dtype == np.int64
        got = head.run(names[:2], {"embedding": embedding.astype(np.float32)})
        assert np.abs(got[0] - logits).max() < 1e-5
        assert np.abs(got[1] - probabilities).max() < 1e-5
    print(f"{len(sizes)} sizes agree")


if __name__ == "__main__":
    main(*sys.argv[1:])
