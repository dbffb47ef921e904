"""Runs a backbone.onnx on a golden file's pictures and compares: fails above 1e-4 relative.

    python backbone_golden.py BACKBONE.onnx GOLDEN.npz
"""

import sys

import onnxruntime

from golden import largest_error

LIMIT = 1e-4


def main(model, golden):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    run = lambda pictures: session.run(["embedding"], {"image": pictures})[0]
    worst = largest_error(golden, run)
    print(f"largest relative error {worst:.1e}")
    sys.exit(0 if worst <= LIMIT else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
