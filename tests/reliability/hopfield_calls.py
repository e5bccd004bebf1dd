"""Calls of Hopfield networks and what is built on them, for rows 1 and 2: the core's own functions.

The classes around them hand whole arrays to NumPy, which may die or raise SystemError when its own allocations fail.
"""

from __future__ import annotations

import numpy as np

from pyneuro import _core, energy


def _ends(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps taken and lengths of cycles."""
    return np.zeros(rows, np.int64), np.zeros(rows, np.int8)


def memory():
    """Making a network, recall one by one and all at once, cold and warm, with patterns and with a matrix."""
    x = energy.random_patterns(4, 30, seed=0)
    weights = energy.Hopfield(rule="storkey").fit(x).M
    state, before, record, found = x.copy(), x.copy(), np.empty((4, 6)), np.empty(4)
    taken, cycle = _ends(4)

    def call():
        for net in (_core.hopfield_patterns(x, 1.0, False), _core.hopfield_weights(weights, 1.0)):
            for sync, warm in ((False, 0.0), (True, 0.0), (False, 1.0), (True, 1.0)):
                _core.hopfield_recall(
                    net, state, before, None, record, taken, cycle, sync, True, False, warm, 1, 0, 0, 5
                )
            _core.hopfield_energy(net, state, found)
        _core.hopfield_patterns(x, 4.0, True)

    return call, lambda: x.tobytes(), call


def learning():
    """Rules that change a matrix: after a failure it is as before."""
    x, w = energy.random_patterns(4, 30, seed=0), np.zeros((30, 30))
    done, wrong, energies = np.zeros(1, np.int64), np.zeros(2, np.int64), np.zeros(2)
    calls = (
        lambda m: _core.hopfield_storkey(m, x, done),
        lambda m: _core.hopfield_perceptron(m, x, 0.0, wrong, done),
        lambda m: _core.hopfield_unlearn(m, 0.01, False, 1, 0, energies, done),
    )
    return lambda: [call(w.copy()) for call in calls], lambda: w.tobytes(), None


def limits():
    """All states of a small network, and the capacity."""
    net = _core.hopfield_patterns(energy.random_patterns(2, 6, seed=0), 1.0, False)
    after, root, overlap = np.empty(64, np.uint32), np.empty(64, np.uint32), np.empty(2)

    def call():
        _core.hopfield_states(net, True, False, after, root)
        _core.hopfield_capacity(40, 4, 2, False, 1, 0, overlap)

    return call, lambda: None, call


def others():
    """Memories beyond 1982."""
    x = energy.random_patterns(4, 12, seed=0)
    y, state, real = x[:, :5].copy(), x.copy(), x.astype(float)
    a, b, q = x.copy(), x[:, :5].copy(), x.astype(float)
    taken, cycle = _ends(4)

    def call():
        _core.dense_memory_recall(x, 0, 3, state, None, None, taken, cycle, True, False, 1, 0, 0, 5)
        _core.modern_recall(real, None, q, None, None, None, taken, 1.0, 0.0, 2)
        _core.pairs_recall(x, y, a, b, None, taken, cycle, False, 3)
        _core.sequence_recall(x, x, a, None, taken, cycle, False, 2)

    return call, lambda: x.tobytes(), call


def tours():
    """Graded neurons and the travelling salesman."""
    cities = energy.TSP(np.random.default_rng(0).random((5, 2))).distances
    m, u, v, record = np.array([[0.0, 1.0], [1.0, 0.0]]), np.full((1, 2), 0.1), np.zeros((1, 2)), np.zeros((1, 4))
    activity, records = np.zeros((2, 5, 5)), np.zeros((2, 4))
    lengths, best, tour = np.zeros(12), np.zeros(5, np.int32), np.arange(5, dtype=np.int32)[None].repeat(2, 0)
    numbers = (500.0, 500.0, 200.0, 500.0, 7.5, 0.02, 1.0, 1e-6, 0.1)

    def call():
        _core.graded_run(m, None, u, v, record, None, _ends(1)[0], 1.0, 1.0, 0.1, 3, 1)
        _core.tank_run(cities, activity, records, _ends(2)[0], numbers, 1, 0, 3, 1)
        _core.tour_all(cities, lengths, best)
        _core.tour_two_opt(cities, tour)

    return call, lambda: cities.tobytes(), call


CASES = {
    "hopfield": memory,
    "hopfield-learning": learning,
    "hopfield-limits": limits,
    "memories": others,
    "tours": tours,
}
