"""What Pillow and ONNX Runtime's own Python package make of real frames.

    embeddings.py GTSRB_MINI OUT COUNT SIZE MARGIN [BACKBONE]

Takes COUNT training frames, spread over all classes and sizes, from the archive in the folder
GTSRB_MINI. For frame N it writes OUT/N.ppm (the frame), OUT/N.roi (its corners, inclusive),
OUT/N.rgb (ROI with MARGIN, cropped and resized by Pillow, raw bytes) and, with a BACKBONE,
OUT/N.f32 (its embedding, raw little-endian).
"""

import csv
import io
import math
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def frames(archive):
    """(bytes, corners) of every frame, in the order of the CSV files."""
    for name in sorted(n for n in archive.namelist() if n.endswith(".csv")):
        text = archive.read(name).decode("utf-8-sig")
        for row in csv.DictReader(io.StringIO(text), delimiter=";"):
            corners = [int(row[f"Roi.{c}"]) for c in ("X1", "Y1", "X2", "Y2")]
            yield archive.read(name.rsplit("/", 1)[0] + "/" + row["Filename"]), corners


def box(corners, margin, width, height):
    """The ROI with its margin, clipped; right and bottom are exclusive."""
    x1, y1, x2, y2 = corners[0], corners[1], corners[2] + 1, corners[3] + 1
    across = math.floor(margin * (x2 - x1) + 0.5)
    down = math.floor(margin * (y2 - y1) + 0.5)
    return max(x1 - across, 0), max(y1 - down, 0), min(x2 + across, width), min(y2 + down, height)


def main(mini, out, count, size, margin, backbone=None):
    out = Path(out)
    count, size, margin = int(count), int(size), float(margin)
    with zipfile.ZipFile(Path(mini) / "GTSRB_Final_Training_Images.zip") as archive:
        every = list(frames(archive))
    pixels = []
    for number, index in enumerate(np.linspace(0, len(every) - 1, count).astype(int)):
        ppm, corners = every[index]
        image = Image.open(io.BytesIO(ppm)).convert("RGB")
        cropped = image.crop(box(corners, margin, *image.size))
        framed = np.asarray(cropped.resize((size, size), Image.Resampling.BILINEAR))
        (out / f"{number}.ppm").write_bytes(ppm)
        (out / f"{number}.roi").write_text(" ".join(map(str, corners)))
        (out / f"{number}.rgb").write_bytes(framed.tobytes())
        pixels.append(framed)
    if backbone:
        import onnxruntime

        session = onnxruntime.InferenceSession(backbone, providers=["CPUExecutionProvider"])
        (embeddings,) = session.run(["embedding"], {"image": np.stack(pixels)})
        for number, embedding in enumerate(embeddings):
            (out / f"{number}.f32").write_bytes(embedding.astype("<f4").tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
