"""Golden files: pictures, and a sample of the numbers that each tap must give for them."""

import numpy as np

SAMPLES = 300


def sample_pictures(count, size, seed=7):
    """Smooth blobs with some noise, uint8 [count, size, size, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    pictures = np.zeros((count, size, size, 3))
    for picture in pictures:
        for channel in range(3):
            for _ in range(6):
                cx, cy, radius, height = rng.uniform([0, 0, 0.03, -160], [1, 1, 0.3, 160])
                blob = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))
                picture[:, :, channel] += height * blob
    pictures += 128 + rng.normal(0, 8, pictures.shape)
    return pictures.clip(0, 255).astype(np.uint8)


def write_golden(path, pictures, taps, rows):
    """`rows` holds one float32 array [n, dims] a tap."""
    rng = np.random.default_rng(11)
    arrays = {"pictures": pictures, "taps": np.array(taps)}
    for i, row in enumerate(rows):
        count = min(SAMPLES, row.shape[1])
        index = np.sort(rng.choice(row.shape[1], count, replace=False)).astype(np.int32)
        arrays[f"index{i}"] = index
        arrays[f"values{i}"] = row[:, index].astype(np.float32)
        arrays[f"norm{i}"] = np.linalg.norm(row.astype(np.float64), axis=1)
        arrays[f"length{i}"] = np.int64(row.shape[1])
    np.savez_compressed(path, **arrays)
    print(f"{path}: {len(taps)} taps, {sum(r.shape[1] for r in rows)} numbers a picture")


def largest_error(path, run):
    """The largest error of `run(pictures) -> [n, dims]` against the golden file, each tap's
    relative to its largest number or to its norm."""
    golden = np.load(path)
    embedding = run(golden["pictures"])
    at, worst = 0, 0.0
    for i, tap in enumerate(golden["taps"]):
        length = int(golden[f"length{i}"])
        row, at = embedding[:, at : at + length], at + length
        values = golden[f"values{i}"]
        error = np.abs(row[:, golden[f"index{i}"]] - values).max() / np.abs(values).max()
        norms = golden[f"norm{i}"]
        norm = np.linalg.norm(row.astype(np.float64), axis=1)
        error = max(error, (np.abs(norm - norms) / norms).max())
        print(f"  {tap}: {error:.1e}")
        worst = max(worst, error)
    if at != embedding.shape[1]:
        raise SystemExit(f"{path} has {at} numbers a picture, the backbone {embedding.shape[1]}")
    return worst
