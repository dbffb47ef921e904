"""How fast PyTorch runs the backbone: EfficientNet-Lite0 with its real weights, cut after the
last tap and pooled, batch norms folded into the convolutions as ONNX Runtime folds them.

usage: gpu_torch.py WEIGHTS.pth DEVICE SIZE BATCH SECONDS LAYER:GRID ...

Pixels come from pinned memory and embeddings go back there; work is queued without waiting.
Prints a JSON object: what was run -> images a second.
"""

import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "oracles"))
from backbone_torch import Lite0, embedding, same  # noqa: E402

QUEUED = 8  # batches, then we wait: memory stays small and the GPU busy


class Folded(Lite0):
    """The network on a device, for bytes [n, h, w, 3]."""

    def __init__(self, path, device, dtype, channels_last, taps):
        super().__init__(path)
        self.device, self.dtype, self.taps, self.folded = device, dtype, taps, {}
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        numbers = [int(tap.split(":")[0][5:]) for tap in taps if tap.startswith("block")]
        self.last = f"block{max(numbers)}" if len(numbers) == len(taps) else "head"

    def fold(self, conv, norm):
        part = lambda name: self.weights[f"{norm}.{name}"].double()
        scale = part("weight") / torch.sqrt(part("running_var") + 1e-3)
        kernel = self.weights[f"{conv}.weight"].double() * scale[:, None, None, None]
        bias = part("bias") - part("running_mean") * scale
        return (
            kernel.to(self.device, self.dtype).contiguous(memory_format=self.format),
            bias.to(self.device, self.dtype),
        )

    def convolve(self, x, conv, norm, stride=1, depthwise=False):
        if conv not in self.folded:
            self.folded[conv] = self.fold(conv, norm)
        kernel, bias = self.folded[conv]
        x = same(x, kernel.shape[2], stride)
        groups = x.shape[1] if depthwise else 1
        return F.conv2d(x, kernel, bias, stride=stride, groups=groups)

    def __call__(self, pixels):
        x = pixels.permute(0, 3, 1, 2).to(self.dtype).contiguous(memory_format=self.format)
        maps = self.maps((x - 127.0) / 128.0, self.last)
        return torch.cat(embedding(maps, self.taps), 1).float()


def speed(network, batch, size, seconds, device):
    """Images a second, once everything that is compiled or chosen has been."""
    pinned = device == "cuda"
    wait = torch.cuda.synchronize if pinned else (lambda: None)
    pixels = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)
    pixels = pixels.pin_memory() if pinned else pixels
    dims = network(pixels.to(device)).shape[1]
    results = torch.empty(batch, dims, pin_memory=pinned)

    def run():
        results.copy_(network(pixels.to(device, non_blocking=True)), non_blocking=True)

    for _ in range(3):
        run()
    wait()
    batches, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for _ in range(QUEUED if pinned else 1):
            run()
            batches += 1
        wait()
    return batches * batch / (time.perf_counter() - started)


def main(weights, device, size, batch, seconds, *taps):
    size, batch, seconds = int(size), int(batch), float(seconds)
    torch.backends.cudnn.benchmark = True
    found = {}
    for precision in ("f32", "tf32", "f16"):
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        dtype = torch.float16 if precision == "f16" else torch.float32
        for form in ("", ", channels last", ", channels last, compiled"):
            network = Folded(weights, device, dtype, "last" in form, taps)
            with torch.inference_mode():
                network(torch.zeros(1, size, size, 3, dtype=torch.uint8, device=device))
                if "compiled" in form:
                    network = torch.compile(network.__call__)
                found[precision + form] = speed(network, batch, size, seconds, device)
            torch.compiler.reset()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
