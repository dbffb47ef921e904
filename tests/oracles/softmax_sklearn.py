"""Fits softmax regression with scikit-learn.

Reads a list of problems from standard input, each {"x": file, "y": labels, "lambda": penalty};
the file holds raw f32 rows. Prints a list of {"weights": [classes, features], "bias":
[classes]}. The objective is the mean log-loss plus lambda/2 ||W||^2, that is
C = 1 / (lambda n). Computes in f64.
"""

import json
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression


def fit(problem):
    y = np.array(problem["y"])
    x = np.fromfile(problem["x"], np.float32).reshape(len(y), -1).astype(np.float64)
    settings = {"C": 1 / (problem["lambda"] * len(y)), "tol": 1e-8, "max_iter": 100_000}
    model = LogisticRegression(**settings).fit(x, y)
    return {"weights": model.coef_.tolist(), "bias": model.intercept_.tolist()}


json.dump([fit(problem) for problem in json.load(sys.stdin)], sys.stdout)
