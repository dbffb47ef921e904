"""Fits softmax regression with scikit-learn.

Reads a list of problems from standard input, each {"x": file, "y": labels, "lambda": penalty};
the file holds raw f32 rows. Prints a list of {"weights": [classes, features], "bias":
[classes], "iterations": n}. The objective is the mean log-loss plus lambda/2 ||W||^2, that is
C = 1 / (lambda n). Computes in f64, from zero weights or from those in the problem's "start",
a file of raw f64: weights, bias.
"""

import json
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression


def fit(problem):
    y = np.array(problem["y"])
    x = np.fromfile(problem["x"], np.float32).reshape(len(y), -1).astype(np.float64)
    settings = {"C": 1 / (problem["lambda"] * len(y)), "tol": 1e-8, "max_iter": 100_000}
    model = LogisticRegression(**settings, warm_start=True)
    if "start" in problem:
        start, classes = np.fromfile(problem["start"]), y.max() + 1
        model.coef_, model.intercept_ = start[:-classes].reshape(classes, -1), start[-classes:]
    model.fit(x, y)
    return {
        "weights": model.coef_.tolist(),
        "bias": model.intercept_.tolist(),
        "iterations": int(model.n_iter_[0]),
    }


json.dump([fit(problem) for problem in json.load(sys.stdin)], sys.stdout)
