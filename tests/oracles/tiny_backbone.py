"""Makes the fixtures of gtsrb-extract's tests: two backbones of 16 pixels and 64 numbers.

    tiny_backbone.py crates/gtsrb-extract/tests/fixtures

`tiny.onnx` is a convolution, a ReLU and a 4 x 4 grid; `nan.onnx` divides its output by the
picture's mean, so that a black picture gives NaN.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def build(divide: bool) -> onnx.ModelProto:
    random = np.random.default_rng(7)
    tensors = {
        "mean": np.float32(127),
        "scale": np.float32(1 / 128),
        "weight": random.normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32),
        "bias": random.normal(0, 0.1, 4).astype(np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        node("Sub", ["planes", "mean"], ["centred"]),
        node("Mul", ["centred", "scale"], ["scaled"]),
        node("Conv", ["scaled", "weight", "bias"], ["map"], pads=[1, 1, 1, 1]),
        node("Relu", ["map"], ["active"]),
        node("AveragePool", ["active"], ["grid"], kernel_shape=[4, 4], strides=[4, 4]),
        node("Flatten", ["grid"], ["flat" if divide else "embedding"]),
    ]
    if divide:
        nodes += [
            node("GlobalAveragePool", ["planes"], ["means"]),
            node("Flatten", ["means"], ["channels"]),
            node("ReduceMean", ["channels"], ["brightness"], axes=[1]),
            node("Sub", ["brightness", "brightness"], ["zero"]),
            node("Div", ["zero", "brightness"], ["nothing"]),
            node("Add", ["flat", "nothing"], ["embedding"]),
        ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("image", TensorProto.UINT8, ["n", 16, 16, 3])],
        [value("embedding", TensorProto.FLOAT, ["n", 64])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="oracle")
    helper.set_model_props(model, {"backbone": "tiny", "size": "16", "dims": "64"})
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    onnx.save(build(divide=False), folder / "tiny.onnx")
    onnx.save(build(divide=True), folder / "nan.onnx")
