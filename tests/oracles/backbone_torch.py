"""EfficientNet-Lite0 in PyTorch, written from the paper and the state dict's names, independent
of the Rust code: what the backbone's taps must equal.

    python backbone_torch.py WEIGHTS.pth OUT.npz SIZE LAYER:GRID ...
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F

from golden import sample_pictures, write_golden

STRIDE_2 = {1, 3, 5, 11}


def same(x, kernel, stride):
    """TensorFlow's SAME padding: the odd pixel goes to the right and to the bottom."""
    pads = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class Lite0:
    def __init__(self, path):
        self.weights = torch.load(path, map_location="cpu", weights_only=True)

    def convolve(self, x, conv, norm, stride=1, depthwise=False):
        kernel = self.weights[f"{conv}.weight"]
        x = same(x, kernel.shape[2], stride)
        x = F.conv2d(x, kernel, stride=stride, groups=x.shape[1] if depthwise else 1)
        part = lambda name: self.weights[f"{norm}.{name}"]
        return F.batch_norm(
            x, part("running_mean"), part("running_var"), part("weight"), part("bias"), eps=1e-3
        )

    def layers(self, pictures):
        """name -> map [n, c, h, w], for uint8 pictures [n, h, w, 3]."""
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
        return self.maps((x - 127.0) / 128.0)

    def maps(self, x, last="head"):
        """name -> map, up to the layer `last`, for normalised pictures [n, 3, h, w]."""
        out = {}
        x = out["stem"] = F.relu6(self.convolve(x, "_conv_stem", "_bn0", 2))
        for i in range(16):
            name, y = f"_blocks.{i}", x
            if f"{name}._expand_conv.weight" in self.weights:
                y = F.relu6(self.convolve(y, f"{name}._expand_conv", f"{name}._bn0"))
            stride = 2 if i in STRIDE_2 else 1
            y = F.relu6(
                self.convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", stride, depthwise=True)
            )
            y = self.convolve(y, f"{name}._project_conv", f"{name}._bn2")
            x = out[f"block{i}"] = y + x if stride == 1 and y.shape == x.shape else y
            if last == f"block{i}":
                return out
        out["head"] = F.relu6(self.convolve(x, "_conv_head", "_bn1"))
        return out


def embedding(layers, taps):
    rows = []
    for tap in taps:
        layer, grid = tap.rsplit(":", 1)
        rows.append(F.adaptive_avg_pool2d(layers[layer], int(grid)).flatten(1))
    return rows


def main(weights, out, size, *taps):
    torch.set_num_threads(1)
    pictures = sample_pictures(2, int(size))
    with torch.no_grad():
        rows = embedding(Lite0(weights).layers(pictures), taps)
    write_golden(out, pictures, taps, [r.numpy() for r in rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
