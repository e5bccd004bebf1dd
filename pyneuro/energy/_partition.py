"""Partition functions of restricted Boltzmann machines: exact by enumeration, or estimated by annealing."""

import time

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy import _units
from pyneuro.energy._training import SLICE, bar
from pyneuro.nn import _check

__all__ = ["AIS", "Moments", "ais", "enumerated", "expected_cd", "gradient"]


class Moments:
    """Exact values of a machine: lnZ, means `visible` (n_visible,) and `hidden` (n_components,), and `correlations`
    (n_visible, n_components) of v_i h_j, float64.

    >>> from pyneuro import energy
    >>> energy.RBM.from_weights([[0.0], [0.0]]).exact().visible.round(6).tolist()
    [0.5, 0.5]
    """

    def __init__(self, lnZ, correlations, visible, hidden):
        self.lnZ, self.correlations, self.visible, self.hidden = lnZ, correlations, visible, hidden

    def __repr__(self):
        return f"Moments(lnZ={self.lnZ:.6f}, {len(self.visible)} visible, {len(self.hidden)} hidden units)"


class AIS:
    """An estimate of ln Z with its error bars: lnZ, error (one standard deviation of lnZ), low and high (three of Z).

    log_weights: float64 (chains,), ln Z is the logarithm of the mean of their exponentials. effective: chains that the
    weights amount to; far below their number, error bars are too small. betas: inverse temperatures. seed: used.

    >>> from pyneuro import energy
    >>> rbm = energy.RBM.from_weights([[1, -1], [0.5, 0], [-0.5, 2]])
    >>> estimate = rbm.ais(chains=200, betas=200, seed=0)
    >>> abs(estimate.lnZ - rbm.lnZ()) < 5 * estimate.error
    True
    """

    def __init__(self, log_weights, betas, seed):
        self.log_weights, self.betas, self.seed = log_weights, betas, seed
        most = log_weights.max()
        weights = np.exp(log_weights - most)
        mean, n = weights.mean(), len(weights)
        relative = weights.std(ddof=1) / mean / np.sqrt(n) if n > 1 else np.inf
        self.lnZ = float(most + np.log(mean))
        self.error = float(relative)
        self.low = float(self.lnZ + np.log1p(-min(3 * relative, 1 - 1e-300))) if 3 * relative < 1 else -np.inf
        self.high = float(self.lnZ + np.log1p(3 * relative))
        self.effective = float(weights.sum() ** 2 / (weights**2).sum())

    def __repr__(self):
        return f"AIS(lnZ={self.lnZ:.4f} +- {self.error:.4f}, {len(self.log_weights)} chains)"


def _doubles(rbm):
    W, b, c, kind = rbm._machine
    return *(np.ascontiguousarray(a, np.float64) for a in (W, b, c)), kind


def enumerated(rbm, moments=True):
    """See RBM.exact."""
    machine = _doubles(rbm)
    n_visible, n_components = machine[0].shape
    means = np.empty((n_visible, n_components)), np.empty(n_visible), np.empty(n_components)
    lnZ = _core.rbm_enumerate(machine, means if moments else None) + _volume(rbm)
    return Moments(lnZ, *means) if moments else lnZ


def _volume(rbm):
    """Integrals over v are over v / sigma inside."""
    return float(np.log(np.broadcast_to(rbm.sigma, rbm.n_visible)).sum()) if rbm.visible == "gaussian" else 0.0


def gradient(rbm, X):
    """See RBM.gradient."""
    X = rbm._rows(X)
    model, machine, scale = enumerated(rbm), _doubles(rbm), rbm._scale()
    hidden = _core.rbm_look(machine, X, None if scale is None else scale.astype(np.float64), "hidden")
    v = X.reshape(len(X), -1).astype(np.float64) * (1 if scale is None else 1 / np.asarray(rbm.sigma, np.float64))
    offset = machine[1] if rbm.visible == "gaussian" else 0  # <v> - b is the derivative by b there
    b = v.mean(0) - offset - (model.visible - offset)
    return v.T @ hidden / len(v) - model.correlations, b, hidden.mean(0) - model.hidden


def expected_cd(rbm, X, k):
    """See RBM.expected_cd."""
    if rbm.visible != "binary":
        raise ValueError(f"RBM: the expected CD is for binary visible units, visible is {rbm.visible!r}")
    X = _units.states(rbm._rows(X), np.float64)
    if not ((X == 0) | (X == 1)).all():
        raise ValueError("RBM: the expected CD takes data of 0 and 1")
    means = np.empty(rbm.W.shape), np.empty(rbm.n_visible), np.empty(rbm.n_components)
    _core.rbm_expected_cd(_doubles(rbm), X, _check.size("RBM", "k", k), means)
    return means


def _base(rbm, X):
    """Visible bias of the machine without couplings: log odds of the data's means, or the machine's own."""
    if X is None or rbm.visible == "gaussian":
        return rbm.b.copy()
    X = rbm._rows(X)
    mean = (X.reshape(len(X), -1).mean(0, dtype=np.float64) * len(X) + 1) / (len(X) + 2)
    base = np.log(mean) - (np.log1p(-mean) if rbm.visible == "binary" else 0)
    return base.astype(rbm.dtype)


def _log_base(rbm, base):
    """ln Z of the machine with visible bias `base`, hidden bias 0 and no couplings."""
    hidden, base = rbm.n_components * np.log(2), base.astype(np.float64)
    if rbm.visible == "gaussian":
        return hidden + rbm.n_visible / 2 * np.log(2 * np.pi) + _volume(rbm)
    if rbm.visible == "binary":
        return hidden + np.logaddexp(0, base).sum()
    return hidden + np.logaddexp.reduce(base.reshape(-1, rbm.classes), axis=1).sum()


def ais(rbm, chains, betas, X, seed, verbose):
    """See RBM.ais."""
    chains = _check.size("RBM", "chains", chains)
    if isinstance(betas, (int, np.integer)):
        betas = np.linspace(0, 1, _check.size("RBM", "betas", betas, 2))
    betas = np.array(betas, np.float64)
    if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or not (np.diff(betas) >= 0).all():
        raise ValueError("RBM: betas must rise from 0 to 1, or be the number of steps from 0 to 1")
    seed, base = arguments.seed("RBM", seed), _base(rbm, X)
    v, logs, lanes = np.zeros((chains, rbm.n_visible), rbm.dtype), np.zeros(chains), np.empty((chains, 32), np.uint64)
    _core.lanes_seed(lanes, seed, 0)
    at, some, total = 0, 1, len(betas) - 1
    with bar(verbose, total, "step") as shown:
        while at < total:
            some, began = min(some, total - at), time.perf_counter()
            _core.rbm_ais(rbm._machine, base, v, logs, lanes, betas, at, some)
            at += some
            if shown is not None:
                shown.update(some)
            some = max(1, int(some * min(2.0, SLICE / max(time.perf_counter() - began, 1e-6))))
    return AIS(logs + _log_base(rbm, base), betas, seed)
