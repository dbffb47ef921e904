"""What the benchmarks of extraction have in common: real pictures in a folder of their own, the
binaries, and the tables in the documentation.
"""

import csv
import io
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"


def tool(name, *arguments, environment=None):
    command = [RELEASE / name, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout


def source(run, count, folder):
    """Real pictures, evenly drawn from the run, in Kaggle's layout."""
    marker = folder / f"{count} pictures"
    if marker.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    columns = ["image", "label", "roi", "width", "height"]
    files = sorted((run / "images").glob("train-*.parquet"))
    total = sum(pyarrow.parquet.ParquetFile(file).metadata.num_rows for file in files)
    place, tables = 0, {"Train": [], "Test": []}
    for file in files:
        for row in pyarrow.parquet.read_table(file, columns=columns).to_pylist():
            place += 1
            if place * count // total == (place - 1) * count // total:
                continue
            number = len(tables["Train"]) + len(tables["Test"])
            part = "Test" if number % 40 == 39 else "Train"
            name = f"{part}/{row['label']}/{number:06}.png"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            encoded = row["image"]["bytes"]
            if encoded.startswith(b"P6"):
                png = io.BytesIO()
                Image.open(io.BytesIO(encoded)).save(png, "PNG")
                encoded = png.getvalue()
            path.write_bytes(encoded)
            roi = [row["roi"][corner] for corner in ("x1", "y1", "x2", "y2")]
            tables[part].append([row["width"], row["height"], *roi, row["label"], name])
    header = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path".split(",")
    for part, rows in tables.items():
        with open(folder / f"{part}.csv", "w", newline="") as table:
            csv.writer(table).writerows([header, *rows])
    marker.touch()
    return folder


def write_into(block, text):
    """Replaces what is between the two marks of `block` in docs/performance.md."""
    document = ROOT / "docs" / "performance.md"
    before, _, rest = document.read_text().partition(f"<!-- {block} -->\n")
    _, mark, after = rest.partition(f"<!-- /{block} -->")
    if mark:
        document.write_text(f"{before}<!-- {block} -->\n{text}\n{mark}{after}")
