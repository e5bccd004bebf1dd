"""Toys in the plane: the four of the TensorFlow playground, two moons, and targets for regression.

All take `n` (samples), `noise` and `seed`, and return X float32 (n, 2) and y: int64 classes 0 and 1, or float32 values.
`seed=None` takes the next child of the seed that `pn.manual_seed` set. The playground's formulas are those of its
`dataset.ts` (D. Smilkov, S. Carter); its class +1 is 1 here, -1 is 0, its noise of 50 % is 0.5.
"""

import math

import numpy as np

from pyneuro import _core
from pyneuro.nn import _check


class _Draw:
    """Random numbers of one data set: each call takes the next stream of the seed."""

    def __init__(self, name, n, noise, seed):
        self.n = _check.size(name, "n", n)
        self.noise = _check.number(name, "noise", noise, 0)
        self.seed = _core.seed_child() if seed is None else _check.size(name, "seed", seed, least=0)
        self.stream = 0

    def uniform(self, low, high, n):
        """n numbers from U(low, high), float64."""
        self.stream += 1
        return _core.uniform((n,), low, high, self.seed, self.stream, "float64")

    def normal(self, std, shape):
        """Numbers from N(0, std^2), float64."""
        self.stream += 1
        return _core.normal(shape, 0.0, std, self.seed, self.stream, "float64")

    def halves(self):
        """Sizes of the two classes: they differ by at most one."""
        return self.n - self.n // 2, self.n // 2

    def mixed(self, X, y, y_type):
        """X and y in random order, in the types that are returned."""
        order = _core.permutation(self.n, self.seed, 0)
        return X[order].astype(np.float32), y[order].astype(y_type)


def _labelled(draw, positive, negative):
    y = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])
    return draw.mixed(np.concatenate([positive, negative]), y, np.int64)


def gauss(n=500, noise=0.0, seed=None):
    """Two round clouds at (2, 2) (class 1) and (-2, -2) (class 0); their variance grows from 0.5 to 4 at noise 0.5.

    >>> X, y = gauss(100, seed=0)
    >>> X.shape, X.dtype, int(y.sum())
    ((100, 2), dtype('float32'), 50)
    """
    draw = _Draw("gauss", n, noise, seed)
    std = math.sqrt(0.5 + 7 * draw.noise)
    a, b = draw.halves()
    return _labelled(draw, draw.normal(std, (a, 2)) + 2, draw.normal(std, (b, 2)) - 2)


def circles(n=500, noise=0.0, seed=None):
    """A disc of radius 2.5 (class 1) within a ring from 3.5 to 5 (class 0).

    As in the playground noise moves the place that decides the class, not the point: at noise 0 the classes are clean.

    >>> X, y = circles(100, seed=0)
    >>> bool((((X**2).sum(1) < 2.5**2) == y).all())
    True
    """
    draw = _Draw("circles", n, noise, seed)
    a, b = draw.halves()
    radius = np.concatenate([draw.uniform(0, 2.5, a), draw.uniform(3.5, 5, b)])
    angle = draw.uniform(0, 2 * math.pi, draw.n)
    X = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    shifted = X + draw.noise * np.stack([draw.uniform(-5, 5, draw.n) for _ in range(2)], axis=1)
    return draw.mixed(X, np.hypot(shifted[:, 0], shifted[:, 1]) < 2.5, np.int64)


def xor(n=500, noise=0.0, seed=None):
    """Points of a square, class 1 where both coordinates have one sign: the exclusive or, which no line separates.

    >>> X, y = xor(100, seed=0)
    >>> bool(((X[:, 0] * X[:, 1] >= 0) == y).all())
    True
    """
    draw = _Draw("xor", n, noise, seed)
    X = np.stack([draw.uniform(-5, 5, draw.n) for _ in range(2)], axis=1)
    X += np.where(X > 0, 0.3, -0.3)  # a gap along the axes
    shifted = X + draw.noise * np.stack([draw.uniform(-5, 5, draw.n) for _ in range(2)], axis=1)
    return draw.mixed(X, shifted[:, 0] * shifted[:, 1] >= 0, np.int64)


def spiral(n=500, noise=0.0, seed=None):
    """Two spirals of 1.75 turns in one another.

    >>> X, y = spiral(101, seed=0)
    >>> X.shape, np.bincount(y).tolist()
    ((101, 2), [50, 51])
    """
    draw = _Draw("spiral", n, noise, seed)
    return _labelled(draw, *[_arm(draw, m, turn) for m, turn in zip(draw.halves(), (0.0, math.pi), strict=True)])


def _arm(draw, n, turn):
    part = np.arange(n) / n
    angle = 1.75 * part * 2 * math.pi + turn
    X = np.stack([5 * part * np.sin(angle), 5 * part * np.cos(angle)], axis=1)
    return X + draw.noise * np.stack([draw.uniform(-1, 1, n) for _ in range(2)], axis=1)


def moons(n=500, noise=0.1, seed=None):
    """Two half moons in one another, normal noise of deviation `noise`: scikit-learn's make_moons.

    >>> X, y = moons(100, noise=0, seed=0)
    >>> bool(np.allclose(np.hypot(X[y == 0, 0], X[y == 0, 1]), 1, atol=1e-6))
    True
    """
    draw = _Draw("moons", n, noise, seed)
    a, b = draw.halves()
    upper, lower = np.linspace(0, math.pi, b), np.linspace(0, math.pi, a)
    class_0 = np.stack([np.cos(upper), np.sin(upper)], axis=1)
    class_1 = np.stack([1 - np.cos(lower), 0.5 - np.sin(lower)], axis=1)
    X, y = np.concatenate([class_1, class_0]), np.concatenate([np.ones(a), np.zeros(b)])
    return draw.mixed(X + draw.normal(draw.noise, X.shape), y, np.int64)


def regression(kind="sine", n=500, noise=0.1, seed=None):
    """Targets to fit: float32 y (n,).

    kind: "line" y = 2 x - 1 and "sine" y = sin(pi x) on x in [-1, 1], X (n, 1); "plane" y = (x1 + x2) / 10 and "gauss"
    y = six bumps of alternating sign, the playground's two, on the square [-6, 6]^2, X (n, 2).
    noise: deviation of the normal noise on y (line, sine), or the share of the playground's noise on x (plane, gauss).
    Raises ValueError for another kind.

    >>> X, y = regression("line", 50, noise=0, seed=0)
    >>> bool(np.allclose(y, 2 * X[:, 0] - 1, atol=1e-6))
    True
    """
    _check.choice("regression", "kind", kind, ("line", "sine", "plane", "gauss"))
    draw = _Draw("regression", n, noise, seed)
    if kind in ("line", "sine"):
        x = draw.uniform(-1, 1, draw.n)
        y = 2 * x - 1 if kind == "line" else np.sin(math.pi * x)
        return draw.mixed(x[:, None], y + draw.normal(draw.noise, y.shape), np.float32)
    X = np.stack([draw.uniform(-6, 6, draw.n) for _ in range(2)], axis=1)
    seen = X + draw.noise * np.stack([draw.uniform(-6, 6, draw.n) for _ in range(2)], axis=1)
    return draw.mixed(X, seen.sum(axis=1) / 10 if kind == "plane" else _bumps(seen), np.float32)


# Centres and signs of the playground's regression target.
_BUMPS = ((-4, 2.5, 1), (0, 2.5, -1), (4, 2.5, 1), (-4, -2.5, -1), (0, -2.5, 1), (4, -2.5, -1))


def _bumps(X):
    """Each bump falls linearly to 0 at distance 2; at each place the strongest counts."""
    y = np.zeros(len(X))
    for cx, cy, sign in _BUMPS:
        bump = sign * np.clip(1 - np.hypot(X[:, 0] - cx, X[:, 1] - cy) / 2, 0, 1)
        y = np.where(np.abs(bump) > np.abs(y), bump, y)
    return y
