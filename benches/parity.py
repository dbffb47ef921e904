"""Compares our fits with scikit-learn's where both have gone as far as they get.

usage: parity.py RUN CACHE OUT DOCUMENT

RUN is a finished run, CACHE its cache. Its standardised training embeddings and five synthetic
problems, each difficult in its own way, are fitted by us in f32 and from there in f64, and in f64
by scikit-learn's lbfgs at tol=1e-8: from zero weights, but on the embeddings, where that takes over
ten minutes, from where we ended in f32. Objectives are computed again here, in f64;
biases are compared after their mean is subtracted, which no probability depends on. Writes
OUT/parity.json and the table of DOCUMENT; fails where our f64 mode ends above scikit-learn, or
elsewhere.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from document import rewrite, table
from train import HERE, OURS, THREADS, call, objective, prepare, weights_and_bias

ORACLE = HERE.parent / "tests" / "oracles" / "softmax_sklearn.py"
REAL_PENALTY = 0.1
# Of the objective: rounding in the sum. Of a weight or bias.
NOISE, DIFFERENCE = 1e-12, 1e-3


def clusters(counts, features, spread):
    """Rows around one centre a class, as many as `counts` says; spread 0.5 keeps classes apart."""
    random = np.random.default_rng(11)
    centres = random.uniform(-1, 1, (len(counts), features))
    y = np.repeat(np.arange(len(counts)), counts)
    return centres[y] + spread * random.uniform(-1, 1, (len(y), features)), y


def problems():
    """Name, features, labels and penalty of each synthetic problem."""
    x, y = clusters([100] * 4, 12, 2.0)
    return [
        ("separable", *clusters([75] * 4, 10, 0.3), 1e-4),
        # The Hessian's condition is about 1e8 without the penalty.
        ("columns from 1e-2 to 1e2", x * np.logspace(-2, 2, 12), y, 1e-2),
        ("imbalanced", *clusters([900, 80, 15, 5], 8, 1.5), 1e-3),
        ("fewer rows than columns", *clusters([20, 10, 10], 200, 1.0), 1e-3),
        ("each column twice", np.hstack([x, x]), y, 1e-3),
    ]


def write(folder, x, y):
    folder.mkdir()
    x.astype(np.float32).tofile(folder / "x.f32")
    y.astype(np.int64).tofile(folder / "y.i64")
    (folder / "classes").write_text(str(y.max() + 1))


def scikit_learn(folder, penalty, start, found):
    """Fits from zero weights, or those in the file `start`; how many iterations it took."""
    y = np.fromfile(folder / "y.i64", np.int64).tolist()
    problem = {"x": str(folder / "x.f32"), "y": y, "lambda": penalty}
    problem |= {"start": str(start)} if start else {}
    done = subprocess.run(
        [sys.executable, ORACLE], input=json.dumps([problem]), stdout=subprocess.PIPE, text=True,
        check=True,
    )
    (fitted,) = json.loads(done.stdout)
    np.concatenate([np.ravel(fitted["weights"]), fitted["bias"]]).tofile(found)
    return fitted["iterations"]


def compare(folder, penalty, from_ours=False):
    """What each solver found, beside scikit-learn, which may start from where our f32 ends."""
    found = {name: folder / name for name in ("scikit-learn", "f32", "f64")}
    for mode in ("f32", "f64"):
        call(OURS, "converge", folder, penalty, mode, THREADS, found[mode])
    start = found["f32"] if from_ours else None
    iterations = scikit_learn(folder, penalty, start, found["scikit-learn"])
    values = {name: objective(folder, file, penalty) for name, file in found.items()}
    weights, bias = weights_and_bias(folder, found["scikit-learn"])
    result = {"rows": (folder / "y.i64").stat().st_size // 8, "columns": weights.shape[1]}
    result |= {"lambda": penalty, "objective": values["scikit-learn"], "iterations": iterations}
    for mode in ("f32", "f64"):
        our_weights, our_bias = weights_and_bias(folder, found[mode])
        shift = our_bias - our_bias.mean() - bias + bias.mean()
        result[mode] = {
            "objective": values[mode] / values["scikit-learn"] - 1,
            "weights": float(max(np.abs(our_weights - weights).max(), np.abs(shift).max())),
        }
    print(f"  {folder.name}: {result}", flush=True)
    return result


def text(found):
    heads = ["", "rows × columns", "λ", "their iterations", "their objective"]
    heads += ["f32: objective", "weights", "f64: objective", "weights"]
    rows = [
        [name, f"{each['rows']:,} × {each['columns']:,}", f"{each['lambda']:g}"]
        + [f"{each['iterations']:,}", f"{each['objective']:.9f}"]
        + [f"{each[mode][what]:.0e}" for mode in ("f32", "f64") for what in ("objective", "weights")]
        for name, each in found.items()
    ]
    return table(heads, rows)


def main():
    run, cache, out, document = map(Path, sys.argv[1:5])
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    with tempfile.TemporaryDirectory(dir=out) as folder:
        folder = Path(folder)
        for name, x, y, penalty in problems():
            write(folder / name, x, y)
            found[name] = compare(folder / name, penalty)
        real = folder / "GTSRB"
        real.mkdir()
        prepare(run, cache, real)
        found["GTSRB"] = compare(real, REAL_PENALTY, from_ours=True)
    (out / "parity.json").write_text(json.dumps(found, indent=2) + "\n")
    rewrite(document, "parity", text(found))
    print(f"wrote {out / 'parity.json'} and the table of {document}")
    worse = [
        name
        for name, each in found.items()
        if each["f64"]["objective"] > NOISE or each["f64"]["weights"] > DIFFERENCE
    ]
    if worse:
        sys.exit(f"error: not where scikit-learn is: {', '.join(worse)}")


if __name__ == "__main__":
    main()
