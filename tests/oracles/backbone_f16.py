"""Checks a float16 backbone and compares it with the float32 one on smooth random pictures.

    python backbone_f16.py F32.onnx F16.onnx
"""

import sys

import numpy as np
import onnx
import onnxruntime

LIMIT = 0.995


def pictures(size):
    """Coarse colours, enlarged: [8, size, size, 3]."""
    coarse = np.random.default_rng(5).integers(0, 256, (8, 8, 8, 3))
    steps = np.arange(size) * 8 // size
    return coarse[:, steps][:, :, steps].astype(np.uint8)


def embed(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # At the highest level onnxruntime 1.31's layout for processors crashes on float16
    # convolutions before a Reshape, as transformers have them.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[1]
    return session.run(["embedding"], {"image": pictures(size)})[0]


def main(whole, half):
    model = onnx.load(half)
    onnx.checker.check_model(model, full_check=True)
    types = [tensor.data_type for tensor in model.graph.initializer]
    assert onnx.TensorProto.FLOAT16 in types
    a, b = embed(whole), embed(half)
    assert b.dtype == np.float32 and a.shape == b.shape
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    print(f"smallest cosine {cosine.min():.6f}")
    sys.exit(0 if cosine.min() >= LIMIT else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
