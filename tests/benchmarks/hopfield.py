"""Hopfield networks: asynchronous recall and storing, against NumPy on one thread, in turns.

Two peers of recall do what ours does, update by update, in a Python loop: one multiplies a row of M by the state for
each update, the other keeps all local fields and adds a row when a neuron flips. All visit the neurons in the same
orders, and must end in the same state.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from paired import machine, table, verdict

from pyneuro import energy

NETS = ((784, 78), (784, 400), (4096, 100), (4096, 400))  # neurons, patterns
STORED = ((784, 78), (784, 400), (2048, 1024), (4096, 400), (4096, 2048))
NOISE = 0.1


def orders(rng: np.random.Generator, n: int, sweeps: int) -> list[np.ndarray]:
    """The neurons of each sweep."""
    return [rng.permutation(n) for _ in range(sweeps)]


def by_rows(m: np.ndarray, x: np.ndarray, sweeps: list[np.ndarray]) -> np.ndarray:
    """A product of a row and the state for each update."""
    s = x.copy()
    for order in sweeps:
        for i in order:
            h = m[i] @ s
            if h:
                s[i] = 1.0 if h > 0 else -1.0
    return s


def by_fields(m: np.ndarray, x: np.ndarray, sweeps: list[np.ndarray]) -> np.ndarray:
    """Local fields kept; a flip adds a row."""
    s = x.copy()
    h = m @ s
    for order in sweeps:
        for i in order:
            new = 1.0 if h[i] > 0 else -1.0 if h[i] < 0 else s[i]
            if new != s[i]:
                h += (new - s[i]) * m[i]
                s[i] = new
    return s


def clock(call) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def recall_row(n: int, count: int, rounds: int) -> tuple[list[str], bool]:
    """One line of the table: ours and the two peers in turns."""
    rng = np.random.default_rng(0)
    patterns = energy.random_patterns(count, n, seed=0)
    net = energy.Hopfield().fit(patterns)
    m, x = net.M, energy.flipped(patterns[0], NOISE, seed=1)
    out = net.recall(x, seed=2)
    sweeps = orders(rng, n, out.steps)
    start = x.astype(np.float64)
    agree = count / n > 0.12 or (by_fields(m, start, sweeps) == out.state).mean() > 0.995
    ours, rows, fields = [], [], []
    for number in range(rounds + 1):
        mine = statistics.median(clock(lambda: net.recall(x, seed=2)) for _ in range(20)) / out.steps
        theirs = clock(lambda: by_rows(m, start, sweeps[:1])), clock(lambda: by_fields(m, start, sweeps)) / out.steps
        if number:  # the first is for warming up
            ours.append(mine), rows.append(theirs[0] / mine), fields.append(theirs[1] / mine)
    line = [
        f"recall, {n} neurons, {count} patterns",
        f"{statistics.median(ours) / n * 1e9:.0f} ns",
        verdict(statistics.median(rows), 20),
        verdict(statistics.median(fields), 5),
    ]
    return line, agree


def store_row(n: int, count: int, rounds: int) -> list[str]:
    """Storing: fit against X'X in float64, and in float32."""
    patterns = energy.random_patterns(count, n, seed=0)
    wide, narrow = patterns.astype(np.float64), patterns.astype(np.float32)
    ours, doubles, singles = [], [], []
    for number in range(rounds + 1):
        mine = clock(lambda: energy.Hopfield().fit(patterns))
        theirs = clock(lambda: wide.T @ wide), clock(lambda: narrow.T @ narrow)
        if number:
            ours.append(mine), doubles.append(theirs[0] / mine), singles.append(theirs[1] / mine)
    how = "as a matrix" if energy.Hopfield().fit(patterns)._net.dense else "as they are"
    return [
        f"store {count} patterns in {n} neurons, {how}",
        f"{statistics.median(ours) * 1e3:.2f} ms",
        verdict(statistics.median(doubles), 1),
        verdict(statistics.median(singles), None),
    ]


def run(threads: int, rounds: int) -> bool:
    """Prints the tables. False when a recall ends elsewhere than its peers."""
    from threadpoolctl import threadpool_limits

    print(machine())
    with threadpool_limits(threads):
        found = [recall_row(n, count, rounds) for n, count in NETS]
        table(
            "Hopfield: asynchronous recall of one state, 10 % of it spoilt, time for each update",
            ["work", "pyneuro", "against row products", "against tracked fields"],
            [line for line, _ in found],
        )
        table(
            "Hopfield: storing by Hebb's rule",
            ["work", "pyneuro", "against X'X of NumPy, float64", "float32"],
            [
                store_row(n, count, rounds)
                for n, count in ((784, 78), (784, 400), (2048, 1024), (4096, 400), (4096, 2048))
            ],
        )
    return all(agree for _, agree in found)
