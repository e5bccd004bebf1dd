"""Restricted Boltzmann machines: an epoch of persistent contrastive divergence against scikit-learn, in turns.

Both learn the same binary pictures in float32, and again in float64, batches of 64, with the same learning rate; theirs
visits the rows in order, ours in a new order each epoch. The pseudo-likelihood that each reaches is computed by ours,
exactly and for both, for scikit-learn's own estimate is of one random unit a row.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from paired import machine, table, verdict

from pyneuro import energy

VISIBLE, HIDDEN, BATCH, ROWS, RATE, GOAL = 784, 256, 64, 9600, 0.05, 4


def pictures() -> np.ndarray:
    """Binary pictures of 28 x 28: MNIST where it is at hand, else smaller digits enlarged, repeated."""
    from pyneuro import datasets

    found = datasets.handwritten(5000, 1, verbose=False)[0].reshape(-1, VISIBLE)
    return np.resize(found > found.max() / 2, (ROWS, VISIBLE))


def clock(call):
    """What `call` gives, and its seconds. Threads of the one before have gone to sleep first."""
    time.sleep(0.2)
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def row(kind: str, X: np.ndarray, rounds: int) -> list[str]:
    """One line of the table."""
    from sklearn.neural_network import BernoulliRBM

    X = X.astype(kind)
    ours, ratios = [], []
    for number in range(rounds + 1):
        mine, seconds = clock(lambda number=number: energy.RBM(HIDDEN, RATE, BATCH, 1, seed=number, dtype=kind).fit(X))
        given = {"learning_rate": RATE, "batch_size": BATCH, "n_iter": 1, "random_state": number}
        theirs, other = clock(lambda given=given: BernoulliRBM(HIDDEN, **given).fit(X))
        if number:
            ours.append(seconds / len(X)), ratios.append(other / seconds)
    likelihood = [mine.pseudo_likelihood(X[:300]).mean()]
    weights = theirs.components_.T, theirs.intercept_visible_, theirs.intercept_hidden_
    likelihood.append(energy.RBM.from_weights(*weights, dtype=kind).pseudo_likelihood(X[:300]).mean())
    return [
        f"{VISIBLE} x {HIDDEN}, PCD, batch {BATCH}, {kind}",
        f"{statistics.median(ours) * 1e6:.1f} us",
        verdict(statistics.median(ratios), GOAL),
        f"{likelihood[0]:.1f}, {likelihood[1]:.1f}",
    ]


def run(threads: int, rounds: int) -> bool:
    """Prints the table. False when the pseudo-likelihoods after an epoch differ by more than a tenth."""
    from threadpoolctl import threadpool_limits

    print(machine())
    X = pictures()
    with threadpool_limits(threads):
        lines = [row(kind, X, rounds) for kind in ("float32", "float64")]
    columns = ["work", "pyneuro, a row", "against scikit-learn", "pseudo-likelihood, ours and theirs"]
    table("Restricted Boltzmann machine: an epoch of learning", columns, lines)
    values = [[float(v) for v in line[3].split(",")] for line in lines]
    return all(abs(a - b) < 0.1 * abs(b) for a, b in values)
