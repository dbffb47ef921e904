"""Computes the map of a run's test images, the closest pairs across its splits and the training
images far from their class again with scikit-learn, from the embedding cache, and fails where
report/map.csv or report/labels-to-check.csv differs by more than its digits.

usage: space_sklearn.py RUN CACHE
"""

import csv
import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

DIRECTIONS = 64
LISTED = 20
FAR = 0.04


def embeddings(run, cache):
    """Of each split the index and the embeddings [images, features] in its order."""
    view = json.loads((run / "embeddings/manifest.json").read_text())["facts"]["view"]
    known = {}
    for part in (cache / "embeddings" / view).glob("*.parquet"):
        table = pq.read_table(part)
        known.update(zip(table["key"].to_pylist(), table["embedding"].to_numpy()))
    for split in ["train", "test"]:
        index = pq.read_table(run / f"embeddings/{split}.parquet").to_pandas()
        yield index, np.stack([known[key] for key in index["key"]]).astype(np.float64)


def pixels(run, split):
    tables = [pq.read_table(path, columns=["pixels"]) for path in sorted(run.glob(f"images/{split}-*"))]
    return [value for table in tables for value in table["pixels"].to_pylist()]


def check_map(rows, places):
    """Each direction up to its sign."""
    ours = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    for axis in range(2):
        theirs = places[:, axis] * np.sign(ours[:, axis] @ places[:, axis])
        gap = np.abs(ours[:, axis] - theirs).max() / np.abs(theirs).max()
        assert gap < 1e-4, f"direction {axis} is off by {gap}"
    return ours.size


def check_pairs(found, run, train, test):
    same = pixels(run, "train"), pixels(run, "test")
    count = min(9, len(train))
    distances, rows = NearestNeighbors(n_neighbors=count, metric="cosine").fit(train).kneighbors(test)
    nearest = [
        next(d for d, row in zip(of_test, of_row) if same[0][row] != same[1][index])
        for index, (of_test, of_row) in enumerate(zip(distances, rows))
    ]
    wanted = sorted(nearest)[:LISTED]
    ours = [float(re.match(r"[\d.]+", row["about"])[0]) for row in found]
    assert np.allclose(ours, wanted, rtol=0, atol=6e-5), f"{ours} here, {wanted} there"
    return len(ours)


def check_far(found, index, places):
    """To 2 %: the last of many directions converge least."""
    distances = np.zeros(len(index))
    for label in index["label"].unique():
        here = (index["label"] == label).to_numpy()
        squares = ((places[here] - places[here].mean(axis=0)) ** 2).sum(axis=1)
        spread = squares.mean()
        distances[here] = np.sqrt(squares / spread) if spread > 1e-9 else 0
    of_path = dict(zip(index["path"], distances))
    for row in found:
        ours = float(re.match(r"[\d.]+", row["about"])[0])
        assert abs(ours - of_path[row["path"]]) < FAR, f"{row} here, {of_path[row['path']]} there"
    tracks = index.assign(far=distances, track=index["track"].fillna(index["path"]))
    most = tracks.groupby(["label", "track"])["far"].max().nlargest(LISTED)
    assert abs(most.iloc[-1] - min(of_path[row["path"]] for row in found)) < FAR
    return len(found)


def main():
    run, cache = Path(sys.argv[1]), Path(sys.argv[2])
    (index, train), (_, test) = embeddings(run, cache)
    scaler = StandardScaler().fit(test)
    train, test = scaler.transform(train), scaler.transform(test)
    pca = PCA(min(DIRECTIONS, *test.shape), svd_solver="full").fit(test)
    with open(run / "report/map.csv", newline="") as file:
        numbers = check_map(list(csv.DictReader(file)), pca.transform(test))
    with open(run / "report/labels-to-check.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    of = lambda reason: [row for row in rows if row["reason"] == reason]
    numbers += check_pairs(of("closest pairs across the splits"), run, train, test)
    numbers += check_far(of("training pictures far from their class"), index, pca.transform(train))
    print(f"{numbers} numbers agree")


main()
