"""Fits softmax regression with scikit-learn.

Reads {"x": rows, "y": labels, "lambda": penalty} from standard input and prints
{"weights": [classes, features], "bias": [classes]}. The objective is the mean log-loss plus
lambda/2 ||W||^2, that is C = 1 / (lambda n).
"""

import json
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression

problem = json.load(sys.stdin)
x = np.array(problem["x"], dtype=np.float64)
y = np.array(problem["y"])
model = LogisticRegression(C=1 / (problem["lambda"] * len(y)), tol=1e-8, max_iter=10_000).fit(x, y)
json.dump({"weights": model.coef_.tolist(), "bias": model.intercept_.tolist()}, sys.stdout)
