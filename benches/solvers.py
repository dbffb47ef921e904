"""The other libraries' side of `make bench-train`, which calls it.

usage: solvers.py sklearn|torch DIR LAMBDA TARGET THREADS OUT

Fits the data that `bench-train prepare` wrote to DIR, from zero weights, until an evaluation
gives the objective TARGET or less. Prints one line of JSON; OUT receives the weights
[classes, features] and the bias as raw f64. Reading the data isn't timed.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


class Reached(Exception):
    """The objective is low enough."""


class Watch:
    """Counts evaluations and ends the fit at the target."""

    def __init__(self, target):
        self.target, self.evaluations = target, 0
        self.clock, self.processor = time.perf_counter(), time.process_time()

    def see(self, value, parameters):
        """Takes an evaluation: its value, and a function that gives its weights and bias."""
        self.evaluations += 1
        self.value = float(value)
        if self.value <= self.target:
            self.seconds = time.perf_counter() - self.clock
            self.processor = time.process_time() - self.processor
            self.parameters = parameters()
            raise Reached


def fit_sklearn(x, y, classes, penalty, target):
    from sklearn.linear_model import LogisticRegression
    from sklearn.linear_model._linear_loss import LinearModelLoss

    original = LinearModelLoss.loss_gradient
    watch = Watch(target)

    def loss_gradient(self, coef, *arguments, **settings):
        result = original(self, coef, *arguments, **settings)
        # Columns are classes' weights and, at the end, the bias.
        table = np.asarray(coef, np.float64).reshape(classes, -1, order="F")
        watch.see(result[0], lambda: (table[:, :-1], table[:, -1]))
        return result

    LinearModelLoss.loss_gradient = loss_gradient
    model = LogisticRegression(C=1 / (penalty * len(y)), tol=1e-12, max_iter=100_000)
    try:
        model.fit(x, y)
    except Reached:
        pass
    return watch


def fit_torch(x, y, classes, penalty, target):
    import torch

    x, y = torch.from_numpy(x), torch.from_numpy(y)
    watch = Watch(target)
    weights = torch.zeros(classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, bias],
        max_iter=100_000,
        max_eval=100_000,
        history_size=10,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        logits = torch.nn.functional.linear(x, weights, bias)
        loss = torch.nn.functional.cross_entropy(logits, y) + penalty / 2 * weights.square().sum()
        loss.backward()
        watch.see(loss.item(), lambda: (weights.detach().numpy(), bias.detach().numpy()))
        return loss

    try:
        optimizer.step(closure)
    except Reached:
        pass
    return watch


def main():
    solver, folder, penalty, target, threads, out = sys.argv[1:]
    folder = Path(folder)
    y = np.fromfile(folder / "y.i64", np.int64)
    x = np.fromfile(folder / "x.f32", np.float32).reshape(len(y), -1)
    classes = int((folder / "classes").read_text())
    fit = {"sklearn": fit_sklearn, "torch": fit_torch}[solver]
    if solver == "torch":
        import torch

        torch.set_num_threads(int(threads))
    watch = fit(x, y, classes, float(penalty), float(target))
    if not hasattr(watch, "parameters"):
        sys.exit(f"error: {solver} ended at {watch.value} after {watch.evaluations} evaluations")
    weights, bias = watch.parameters
    np.concatenate([np.ravel(weights), bias]).astype(np.float64).tofile(out)
    print(json.dumps({
        "seconds": watch.seconds,
        "processor_seconds": watch.processor,
        "evaluations": watch.evaluations,
        "objective": watch.value,
    }))


main()
