"""Calls of Boltzmann machines for rows 1 and 2: the core's own functions."""

from __future__ import annotations

import numpy as np

from pyneuro import _core, energy

X = np.random.default_rng(0).random((20, 12)) < 0.4


def restricted():
    """A training, chains, and what is said about rows."""
    rbm = energy.RBM(n_components=5, batch_size=4, n_iter=1, momentum=0.5, sparsity=0.1, seed=0).fit(X)
    state = rbm._state
    velocities = tuple(state[f"velocity_{name}"] for name in ("W", "b", "c"))
    rows, hidden, lanes = X[:6].astype(np.float32), np.empty((6, 5), np.float32), np.zeros((6, 32), np.uint64)
    logs, betas = np.zeros(6), np.linspace(0, 1, 4)
    _core.lanes_seed(lanes, 1, 0)

    def call():
        _core.rbm_train(
            rbm._machine, X, None, None, "pcd", None, state["chain"], state["lanes"], velocities, state["activity"],
            state["progress"], state["sums"], 4, 2, 4, 0.01, 0.5, 0.0, 0.1, 0.1, 0, 1, 10.0,
        )  # fmt: skip
        for view in ("hidden", "free_energy", "reconstruction"):
            _core.rbm_look(rbm._machine, X, None, view)
        _core.rbm_pseudo(rbm._machine, X, 2, 0)
        _core.rbm_gibbs(rbm._machine, rows, hidden, None, lanes, 2, 1.0)
        _core.rbm_ais(rbm._machine, rbm.b, rows, logs, lanes, betas, 0, 3)

    def digest():
        return None  # a training that fails later in the call has done its steps

    return call, digest, call


def exact():
    """Enumerations of both kinds of machines."""
    machine = (np.ones((6, 4)), np.zeros(6), np.zeros(4), 1)
    means = np.empty((6, 4)), np.empty(6), np.empty(4)
    bm = energy.BoltzmannMachine(4, 2, seed=0)
    state, free, pairs = np.zeros(6, np.uint8), np.zeros(6, np.uint8), np.empty((6, 6))

    def call():
        _core.rbm_enumerate(machine, means)
        _core.rbm_expected_cd(machine, np.ones((2, 6)), 2, means)
        _core.bm_enumerate(bm._machine, state, free, 1.0, pairs)

    return call, lambda: bm.W.tobytes(), call


def general():
    """Learning and annealings of a general machine, encoders."""
    bm = energy.BoltzmannMachine(4, 2, n_iter=1, seed=0)
    data, plan, order = X[:, :4].astype(np.uint8), bm._plan(), np.arange(20)
    progress, sums = np.zeros(3, np.int64), np.zeros(2)
    states, clamp, done = np.zeros((3, 6), np.uint8), np.zeros(6, np.uint8), np.zeros(3, np.uint8)
    W, b, cycles = np.zeros((2, 10, 10)), np.zeros((2, 10)), np.zeros((2, 3), np.int64)

    def call():
        _core.bm_sample(bm._machine, states, clamp, plan, 0, 0, done)
        _core.encoder_run(4, 2, plan, W, b, cycles, 9, 1, 0, True, 1, 0.15, 0.05, 2.0, 0, 1)
        _core.bm_train(
            bm._machine, plan, data, order, 20, 1, 0.1, 0.1, True, 0.1, 0.0, 0.0, 0, None, progress, sums, 10.0
        )

    return call, lambda: bm.W.tobytes() if progress[2] == 0 else None, call


CASES = {"rbm": restricted, "boltzmann-exact": exact, "boltzmann": general}
