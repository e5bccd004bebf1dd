"""Row 8: kernels against exact references.

Elementwise functions over all 2^32 float32 values (`full`; else every stride-th), in units in the last place (ulp) of
the exact result, which is computed in double; float64 functions against long double on random arguments. Matrix
products at odd sizes around the tiles, as residual scaled by |A| |B|. Softmax and log-sum-exp where others overflow.
"""

from __future__ import annotations

import itertools

import numpy as np

import pyneuro as pn
from pyneuro import _core

from .figure import Figure, pick

LIMIT_F32 = 2.0
# The goal is 1 where that is cheap: it is for exp. The others end in a division or a logarithm of a rounded value;
# another bit there would cost a third of their speed.
LIMIT_F64 = {"exp": 1.0, "tanh": 2.0, "sigmoid": 2.0, "softplus": 2.0}


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


EXACT = {"exp": np.exp, "tanh": np.tanh, "sigmoid": _sigmoid, "softplus": _softplus}


def ulps(found: np.ndarray, exact: np.ndarray) -> float:
    """Largest distance in ulp of the result's type; infinities and NaN must match exactly."""
    kind = found.dtype
    rounded = exact.astype(kind)
    special = ~np.isfinite(rounded)
    if not np.array_equal(found[special], rounded[special], equal_nan=True):
        # the last finite value and infinity lie one ulp apart: an overflow may round either way
        limit = np.finfo(kind).max
        odd = special & ~((found == rounded) | (np.isnan(found) & np.isnan(rounded)))
        if not (np.abs(found[odd]) == limit).all():
            return float("inf")
    normal = ~special
    if not normal.any():
        return 0.0
    spacing = np.spacing(np.maximum(np.abs(rounded[normal]), np.finfo(kind).smallest_normal)).astype(exact.dtype)
    return float((np.abs(found[normal].astype(exact.dtype) - exact[normal]) / spacing).max())


def sweep_f32(name: str, stride: int) -> float:
    """Largest error over every stride-th float32."""
    function, worst, chunk = _core.ops[name], 0.0, 1 << 22
    for first in range(0, 1 << 32, chunk * stride):
        bits = np.arange(first, min(first + chunk * stride, 1 << 32), stride, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
        with np.errstate(all="ignore"):
            exact = EXACT[name](x.astype(np.float64))
            worst = max(worst, ulps(function(pn.tensor(x)).numpy(), exact))
    return worst


def sweep_f64(name: str, count: int) -> float:
    """Largest error over random float64 arguments: half of them where the function bends, half over all magnitudes."""
    rng = np.random.default_rng(8)
    function, worst = _core.ops[name], 0.0
    for _ in range(max(1, count // 1_000_000)):
        n = min(count, 1_000_000) // 2
        wide = np.ldexp(rng.uniform(-1, 1, n), rng.integers(-60, 11, n))
        x = np.concatenate([rng.uniform(-30, 30, n), wide])
        with np.errstate(all="ignore"):
            exact = EXACT[name](x.astype(np.longdouble))
            worst = max(worst, ulps(function(pn.tensor(x)).numpy(), exact))
    return worst


def product_residual(dtype: str, sizes: list[int]) -> float:
    """Largest |C - AB| / (|A| |B|) over all combinations of sizes and transposes."""
    rng, worst = np.random.default_rng(1), 0.0
    for m, n, k in itertools.product(sizes, repeat=3):
        for ta, tb in ((False, False), (True, False), (False, True)):
            a = rng.standard_normal((k, m) if ta else (m, k)).astype(dtype)
            b = rng.standard_normal((n, k) if tb else (k, n)).astype(dtype)
            found = _core.ops["matmul"](pn.tensor(a), pn.tensor(b), ta, tb).numpy()
            left, right = (a.T if ta else a).astype(np.longdouble), (b.T if tb else b).astype(np.longdouble)
            scale = np.abs(left) @ np.abs(right)
            worst = max(worst, float((np.abs(found - left @ right) / scale).max()))
    return worst


def extreme_softmax() -> bool:
    """Softmax, log-softmax and log-sum-exp at +-1e38 and +-1e300 are exact."""
    for dtype, big in (("float32", 1e38), ("float64", 1e300)):
        x = pn.tensor(np.array([[big, big, -big], [-big, -big, -big], [big, 0, -big]]).astype(dtype))
        with np.errstate(all="ignore"):
            soft = x.softmax(dim=1).numpy()
            total = x.logsumexp(dim=1).numpy()
            logs = x.log_softmax(dim=1).numpy()
        third = np.array(1 / 3, dtype)
        good = np.array_equal(soft[0], [0.5, 0.5, 0]) and np.array_equal(soft[2], [1, 0, 0])
        good &= bool(np.abs(soft[1] - third).max() <= np.spacing(third))
        good &= np.array_equal(total.astype(dtype), np.array([big, -big, big]).astype(dtype))
        good &= logs[2, 0] == 0 and np.isfinite(logs[0, :2]).all()
        if not good:
            return False
    return True


def compensated_sum() -> float:
    """Error of a float32 sum of a million values, in units of float32's epsilon times the sum of magnitudes."""
    x = np.random.default_rng(3).standard_normal(1_000_003).astype(np.float32)
    exact = float(x.astype(np.longdouble).sum())
    return abs(float(pn.tensor(x).sum().item()) - exact) / abs(exact) / float(np.finfo(np.float32).eps)


def measure(size: str) -> list[Figure]:
    """Errors of functions, products, sums."""
    figures = []
    for name in EXACT:
        worst = sweep_f32(name, pick(size, 1021, 37, 1))
        figures.append(Figure(f"8-{name}-float32-error", round(worst, 3), "ulp", worst <= LIMIT_F32))
        worst = sweep_f64(name, pick(size, 1_000_000, 10_000_000, 100_000_000))
        figures.append(Figure(f"8-{name}-float64-error", round(worst, 3), "ulp", worst <= LIMIT_F64[name]))
    sizes = pick(size, [1, 7, 13, 33, 65], [1, 2, 5, 6, 7, 12, 13, 16, 17, 31, 33, 64, 97], list(range(1, 66, 3)))
    for dtype, limit in (("float32", 1e-6), ("float64", 1e-15)):
        worst = product_residual(dtype, sizes)
        figures.append(Figure(f"8-product-{dtype}-residual", worst, "scaled", worst < limit))
    extreme = extreme_softmax()
    figures.append(Figure("8-softmax-at-the-ends-of-the-range", int(extreme), "of 1", extreme))
    error = compensated_sum()
    figures.append(Figure("8-float32-sum-error", round(error, 3), "eps", error <= 1))
    return figures
