"""How good a memory is: everything it can come to rest in, how far one may stray, how much it holds."""

import contextlib
import math
import sys

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy._spins import from_spins
from pyneuro.energy.patterns import flipped
from pyneuro.nn import _check

__all__ = ["Attractors", "Capacity", "attractors", "basins", "capacity", "mean_field_overlap"]

PIECE = 1e9  # neurons times patterns: about a tenth of a second of samples


class Attractors:
    """Everything in which a small Hopfield network comes to rest, found by looking at all 2^n states.

    states: int8 (k, n), the fixed points, lowest energy first. energy: float64 (k,).
    basin: float64 (k,), the share of all states that end there.
    cycles: int8 (c, 2, n), pairs of states in turn; only for mode="sync". cycle_basin: float64 (c,).

    >>> from pyneuro import energy
    >>> found = energy.Hopfield().fit([[1, -1, 1, -1], [1, 1, -1, -1]]).attractors()
    >>> found.states.tolist()
    [[-1, -1, 1, 1], [-1, 1, -1, 1], [1, -1, 1, -1], [1, 1, -1, -1]]
    >>> found.basin.tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def __init__(self, states, energy, basin, cycles, cycle_basin):
        self.states, self.energy, self.basin = states, energy, basin
        self.cycles, self.cycle_basin = cycles, cycle_basin

    def __repr__(self):
        return f"Attractors({len(self.states)} fixed points, {len(self.cycles)} cycles)"


def attractors(model, mode):
    """See `Hopfield.attractors`."""
    net, n = model._ready(), model.n
    sync = _check.choice("attractors", "mode", mode, ("async", "sync")) == "sync"
    if n > 20:
        raise ValueError(f"attractors looks at all 2^n states: at most 20 neurons, this network has {n}")
    following, root = np.empty(1 << n, np.uint32), np.empty(1 << n, np.uint32)
    _core.hopfield_states(net, sync, model.tie == "plus", following, root)
    roots, sizes = np.unique(root, return_counts=True)
    fixed = following[roots] == roots
    states, share = _unpack(roots[fixed], n), sizes / (1 << n)
    energy = np.empty(len(states))
    _core.hopfield_energy(net, states, energy)
    order = np.lexsort((*states.T[::-1], energy))
    cycles = np.stack([_unpack(roots[~fixed], n), _unpack(following[roots[~fixed]], n)], axis=1)
    binary = model.binary
    return Attractors(
        from_spins(states[order], binary), energy[order], share[fixed][order], from_spins(cycles, binary), share[~fixed]
    )


def _unpack(numbers, n):
    bits = numbers[:, None] >> np.arange(n, dtype=np.uint32) & 1
    return np.where(bits, 1, -1).astype(np.int8)


def basins(model, shares, trials, mode, seed, verbose):
    """See `Hopfield.basins`."""
    model._ready()
    if model.patterns is None:
        raise RuntimeError("basins: this network was made from weights and knows no patterns")
    shares = [_check.number("basins", "shares", share, 0, 1) for share in np.atleast_1d(shares)]
    trials, seed = _check.size("basins", "trials", trials), arguments.seed("basins", seed)
    wanted = np.repeat(model.patterns, trials, 0)
    found = np.empty((len(shares), len(model.patterns)))
    result = model.result
    for i, share in enumerate(shares):
        start = flipped(wanted, share, seed=(seed + i) % 2**64)
        out = model.recall(start, mode=mode, record=False, seed=seed, binary=False, verbose=verbose)
        found[i] = (out.state == wanted).all(axis=1).reshape(-1, trials).mean(axis=1)
    model.result = result
    return found


class Capacity:
    """What `capacity` returns: one row for each load.

    alpha: float64 (A,), patterns per neuron as they were. patterns: int64 (A,).
    overlap: float64 (A, samples), of each sample; NaN where Ctrl-C came first.
    mean, error: float64 (A,), over the samples, and its standard error.

    >>> from pyneuro import energy
    >>> energy.capacity([0.02, 0.04], n=500, samples=2, seed=0).patterns.tolist()
    [10, 20]
    """

    def __init__(self, n, patterns, overlap, seed):
        self.n, self.patterns, self.overlap, self.seed = n, patterns, overlap, seed
        self.alpha = patterns / n
        count = np.maximum((~np.isnan(overlap)).sum(axis=1), 1)
        self.mean = np.nansum(overlap, axis=1) / count
        spread = np.nansum((overlap - self.mean[:, None]) ** 2, axis=1) / np.maximum(count - 1, 1)
        self.error = np.sqrt(spread / count)

    def __repr__(self):
        rows = ", ".join(f"{a:.3f}: {m:.4f}" for a, m in zip(self.alpha, self.mean, strict=True))
        return f"Capacity(n={self.n}, {rows})"


def capacity(alphas, n=1000, samples=20, *, share=0.0, mode="async", seed=None, verbose=0):
    """How well a Hebbian network of `n` neurons holds alpha n random patterns, for each of `alphas`: the overlap of a
    pattern with the state that recall from it comes to. It breaks down near alpha = 0.138 (Amit, Gutfreund, Sompolinsky
    1985); `mean_field_overlap` is their theory.

    samples: networks for each load, each with patterns of its own. share: of the neurons turned over at the start.
    mode: "async" in random order, or "sync". seed: an integer; None draws one. verbose: 1 shows a progress bar.

    Returns a Capacity. Ctrl-C ends it with KeyboardInterrupt; what was done stands in the attribute
    `capacity.result`.

    >>> from pyneuro import energy
    >>> found = energy.capacity([0.05, 0.3], n=500, samples=4, seed=0)
    >>> found.mean[0] > 0.99, found.mean[1] < 0.6
    (np.True_, np.True_)
    """
    n, samples = _check.size("capacity", "n", n), _check.size("capacity", "samples", samples)
    alphas = np.atleast_1d(np.asarray(alphas, float))
    counts = np.array([round(_check.number("capacity", "alphas", alpha, 0) * n) for alpha in alphas], np.int64)
    if alphas.ndim != 1 or not len(counts) or counts.min() < 1:
        raise ValueError(f"capacity: alphas must be a row of loads with alpha n at least 1, got {alphas} with n = {n}")
    turned = round(_check.number("capacity", "share", share, 0, 1) * n)
    sync = _check.choice("capacity", "mode", mode, ("async", "sync")) == "sync"
    seed = arguments.seed("capacity", seed)
    overlap = np.full((len(counts), samples), np.nan)
    try:
        with _bar(overlap.size, verbose) as bar:
            for row, patterns in zip(overlap, counts, strict=True):
                piece = max(1, int(PIECE / (n * int(patterns) * 20)))
                for first in range(0, samples, piece):
                    part = row[first : first + piece]
                    _core.hopfield_capacity(n, int(patterns), turned, sync, seed, first, part)
                    if bar is not None:
                        bar.update(len(part))
    finally:
        capacity.result = Capacity(n, counts, overlap, seed)
    return capacity.result


def _bar(total, verbose):
    if not verbose:
        return contextlib.nullcontext()
    from tqdm import tqdm

    return tqdm(total=total, unit="sample", file=sys.stderr, mininterval=0.1)


def mean_field_overlap(alpha):
    """The overlap with a stored pattern in an infinite Hebbian network at T = 0 that holds `alpha` patterns per neuron
    (replica symmetric: Amit, Gutfreund, Sompolinsky 1985): m = erf(y), where y is the largest root of
    y (sqrt(2 alpha) + 2 exp(-y^2) / sqrt(pi)) = erf(y). 0 above the capacity, alpha = 0.1379.

    >>> from pyneuro import energy
    >>> round(energy.mean_field_overlap(0.1), 4), round(energy.mean_field_overlap(0.1378), 2)
    (0.998, 0.97)
    >>> energy.mean_field_overlap(0.14)
    0.0
    """
    alpha = _check.number("mean_field_overlap", "alpha", alpha, 0)
    if alpha == 0:
        return 1.0

    def excess(y):
        return math.erf(y) - y * (math.sqrt(2 * alpha) + 2 / math.sqrt(math.pi) * math.exp(-y * y))

    high = 1 / math.sqrt(2 * alpha)  # no root lies above: there erf(y) <= 1 <= y sqrt(2 alpha)
    step = high / 4096
    low = next((high - k * step for k in range(1, 4096) if excess(high - k * step) > 0), 0.0)
    if low == 0.0:
        return 0.0
    high = low + step
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return math.erf(low)
