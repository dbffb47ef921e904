"""Runs a classifier.onnx of a backbone that is nothing but a grid of means, and compares with
Pillow's resize and numpy.

    python classifier_graph.py CLASSIFIER.onnx HEAD.onnx SIZE GRID WIDTH WIDTH ...

The widths are those of the embedding, of hidden layers and of the logits. Every layer's weights
are w[c, d] = sin(c + d / 7), its biases c / 10; the temperature is 2.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward(values, widths):
    for layer, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        c, d = np.arange(outputs)[:, None], np.arange(inputs)[None]
        values = np.maximum(values, 0) if layer else values
        values = values @ np.sin(c + d / 7).T + np.arange(outputs) / 10
    return values


def expected(pictures, size, grid, widths):
    small = [np.asarray(Image.fromarray(p).resize((size, size), Image.BILINEAR)) for p in pictures]
    cells = np.stack(small).reshape(len(small), grid, size // grid, grid, size // grid, 3)
    embedding = cells.mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(len(small), -1) / 255
    logits = forward(embedding, widths)
    return embedding, logits, softmax(logits / 2)


def main(classifier, head, *numbers):
    size, grid, *widths = map(int, numbers)
    session = onnxruntime.InferenceSession(classifier, providers=["CPUExecutionProvider"])
    head = onnxruntime.InferenceSession(head, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(3)
    sizes = [(1, 1), (2, 3), (25, 25), (250, 25), (25, 250), (size, size), (size, 7), (97, 131), (640, 480)]
    for height, width in sizes:
        pictures = rng.integers(0, 256, (3, height, width, 3), dtype=np.uint8)
        embedding, logits, probabilities = expected(pictures, size, grid, widths)
        names = ["logits", "probabilities", "label"]
        got = session.run(names, {"image": pictures})
        # Pixels may be one level off, the means of cells are far closer.
        scale = max(1, np.abs(logits).max())
        assert np.abs(got[0] - logits).max() < 5e-3 * scale, (height, width, np.abs(got[0] - logits).max())
        assert np.abs(got[1] - probabilities).max() < 2e-3, (height, width)
        assert (got[2] == got[0].argmax(axis=1)).all() and got[2].dtype == np.int64
        got = head.run(names[:2], {"embedding": embedding.astype(np.float32)})
        assert np.abs(got[0] - logits).max() < 1e-5 * scale
        assert np.abs(got[1] - probabilities).max() < 1e-5
    print(f"{len(sizes)} sizes agree")


if __name__ == "__main__":
    main(*sys.argv[1:])
