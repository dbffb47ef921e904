"""Reads RUN/images with the tools that people use and checks that they agree.

usage: read_images.py RUN CACHE

Hugging Face `datasets` must see pictures and class names; DuckDB, pandas and polars must see
the same rows. Prints one JSON line.
"""

import json
import sys
from pathlib import Path

import datasets
import duckdb
import pandas
import polars

run, cache = Path(sys.argv[1]), sys.argv[2]
images = run / "images"
manifest = json.loads((images / "manifest.json").read_text())
names = manifest["facts"]["classes"]
result = {}

for split in ("train", "test"):
    files = sorted(str(path) for path in images.glob(f"{split}-*.parquet"))
    wanted = manifest["counters"][f"{split}_images"]

    loaded = datasets.load_dataset(
        "parquet", data_files={split: files}, split=split, cache_dir=cache
    )
    assert isinstance(loaded.features["image"], datasets.Image), loaded.features
    assert isinstance(loaded.features["label"], datasets.ClassLabel), loaded.features
    assert loaded.features["label"].names == names
    assert loaded.num_rows == wanted, (loaded.num_rows, wanted)
    for row in loaded.select(range(0, wanted, max(1, wanted // 50))):
        picture = row["image"].convert("RGB")
        assert picture.size == (row["width"], row["height"]), row
        roi = row["roi"]
        assert 0 <= roi["x1"] <= roi["x2"] < row["width"], row
        assert 0 <= roi["y1"] <= roi["y2"] < row["height"], row
        assert len(row["pixels"]) == 32

    sums = duckdb.sql(
        f"select count(*), sum(label), sum(width), sum(roi.x2), min(image.path), "
        f"sum(octet_length(image.bytes)) from read_parquet({files!r})"
    ).fetchall()[0]
    table = pandas.concat([pandas.read_parquet(file) for file in files])
    assert tuple(sums) == (
        len(table),
        table["label"].sum(),
        table["width"].sum(),
        sum(roi["x2"] for roi in table["roi"]),
        min(image["path"] for image in table["image"]),
        sum(len(image["bytes"]) for image in table["image"]),
    )
    frame = polars.concat([polars.read_parquet(file) for file in files])
    assert frame.height == wanted
    assert frame["label"].sum() == sums[1]
    assert frame["image"].struct.field("path").min() == sums[4]
    order = list(zip(table["label"], table["track"].fillna(""), table["frame"].fillna(-1)))
    assert order == sorted(order), "rows are not sorted"
    result[split] = wanted

# The folder's own card says which files are which part.
whole = datasets.load_dataset(str(images), cache_dir=cache)
assert {split: part.num_rows for split, part in whole.items()} == result, whole
assert whole["train"].features["label"].names == names

print(json.dumps(result))
