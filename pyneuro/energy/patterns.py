"""Patterns for memories: random ones, alike as one wishes, and spoilt copies."""

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy._spins import from_spins, spins
from pyneuro.nn import _check

__all__ = ["flipped", "random_patterns"]


def random_patterns(count, n, *, bias=0.0, correlation=0.0, seed=None):
    """`count` random patterns of n spins, int8 (count, n).

    bias: the mean of a spin, -1 to 1. correlation: 0 to 1, how much the patterns are alike because each inherits spins
        of a common parent: the same spin in two patterns has the mean product bias^2 + correlation (1 - bias^2).
    seed: an integer; None draws one.

    >>> from pyneuro import energy
    >>> x = energy.random_patterns(3, 10_000, correlation=0.25, seed=0).astype(float)
    >>> bool(abs(x[0] @ x[1] / 10_000 - 0.25) < 0.03), bool(abs(x.mean()) < 0.03)
    (True, True)
    """
    name = "random_patterns"
    count, n = _check.size(name, "count", count), _check.size(name, "n", n)
    bias, share = _check.number(name, "bias", bias, -1, 1), _check.number(name, "correlation", correlation, 0, 1)
    seed = arguments.seed(name, seed)
    own = _core.uniform((count, n), 0.0, 1.0, seed, 0, "float64") < (1 + bias) / 2
    if share:
        parent = _core.uniform((n,), 0.0, 1.0, seed, 1, "float64") < (1 + bias) / 2
        inherits = _core.uniform((count, n), 0.0, 1.0, seed, 2, "float64") < np.sqrt(share)
        own = np.where(inherits, parent, own)
    return np.where(own, 1, -1).astype(np.int8)


def flipped(states, share, *, seed=None, binary=False):
    """A copy of `states` (n,) or (R, n) with round(share n) spins of each turned over, at random places.

    >>> from pyneuro import energy
    >>> energy.flipped([1] * 10, 0.3, seed=0).sum()
    np.int64(4)
    """
    rows, single = spins("states", states, binary=arguments.flag("flipped", "binary", binary))
    share, seed = _check.number("flipped", "share", share, 0, 1), arguments.seed("flipped", seed)
    turn = round(share * rows.shape[1])
    keys = _core.uniform(rows.shape, 0.0, 1.0, seed, 0, "float64")
    places = np.argsort(keys, axis=1)[:, :turn]
    np.put_along_axis(rows, places, -np.take_along_axis(rows, places, 1), 1)
    rows = from_spins(rows, binary)
    return rows[0] if single else rows
