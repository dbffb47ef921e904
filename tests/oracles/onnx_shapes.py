"""Compares the layers that `gtsrb-backbone describe --json` lists with the shapes that ONNX
Runtime computes for them.

    gtsrb-backbone describe MODEL.onnx --json | tail -1 | python onnx_shapes.py MODEL.onnx
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime


def main(path):
    described = json.loads(sys.stdin.read())["summary"]
    layers = {layer["name"]: layer["shape"] for layer in described["layers"]}
    model = onnx.load(path)
    known = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in layers if n not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    feed = session.get_inputs()[0]
    size = described["size"]
    bytes_in = feed.type == "tensor(uint8)"
    shape = [1, size, size, 3] if bytes_in else [1, 3, size, size]
    picture = np.zeros(shape, np.uint8 if bytes_in else np.float32)
    for name, value in zip(layers, session.run(list(layers), {feed.name: picture})):
        found = list(value.shape)
        assert found == [1, *layers[name]], f"{name}: described {layers[name]}, ran {found}"
    print(f"{len(layers)} layers agree")


if __name__ == "__main__":
    main(*sys.argv[1:])
