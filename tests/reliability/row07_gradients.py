"""Row 7: the worst gradient error over all ops, in float64, against finite differences.

Each case draws shapes, attributes and values (kinks kept at a distance) and compares the derivative along a random
direction, by a five-point rule, with the product of gradient and direction. Both are scaled by the size of what is
differentiated. An op without a case is counted: the list cannot fall behind the ops.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import pyneuro as pn
from pyneuro import _core
from tests.ops import gradient_cases

from .figure import Figure, pick

Inputs = list  # of float64 arrays (differentiated) and int64 arrays (not)
Rng = np.random.Generator
REDUCTIONS = ("mean", "sum", "none")


def away(rng: Rng, shape, points=(0.0,), gap=0.05) -> np.ndarray:
    """Values in -2 .. 2, none closer than `gap` to a kink."""
    x = np.asarray(rng.uniform(-2, 2, shape))
    for point in points:
        near = np.abs(x - point) < gap
        x = np.where(near, point + np.where(x >= point, gap, -gap) * rng.uniform(1, 4, shape), x)
    return np.asarray(x)


def shape_of(rng: Rng, rank: int | None = None, most: int = 6) -> tuple[int, ...]:
    """A random shape; sizes around the widths of vectors now and then."""
    rank = int(rng.integers(0, 4)) if rank is None else rank
    return tuple(
        int(n) if rng.random() > 0.1 else int(rng.choice([15, 16, 17, 33])) for n in rng.integers(1, most, rank)
    )


def broadcast_partner(rng: Rng, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts with `shape`."""
    cut = int(rng.integers(0, len(shape) + 1))
    return tuple(1 if rng.random() < 0.3 else n for n in shape[cut:])


def unary(rng: Rng, name: str):
    """Activations and elementwise functions, with random attributes."""
    positive = name in ("log", "sqrt")
    whole, middle = (-2.0, -1.0, 0.0, 1.0, 2.0), (-1.5, -0.5, 0.5, 1.5)
    kinks = {"hardtanh": (-1.0, 1.0), "floor": whole, "ceil": whole, "round": middle}.get(name, (0.0,))
    attributes = {
        "leaky_relu": {"slope": float(rng.uniform(0, 0.5))},
        "elu": {"alpha": float(rng.uniform(0.2, 2))},
        "hardtanh": {"min_val": -1.0, "max_val": 1.0},
    }.get(name, {})
    gap = 0.2 if name == "reciprocal" else 0.05
    x = away(rng, shape_of(rng), kinks, gap)
    return [np.asarray(np.abs(x) + 0.1 if positive else x)], attributes


def binary(rng: Rng, name: str):
    """Two tensors that broadcast."""
    shape = shape_of(rng)
    a, b = rng.uniform(-2, 2, shape), rng.uniform(-2, 2, broadcast_partner(rng, shape))
    if rng.random() < 0.5:
        a, b = b, a
    if name == "div":
        b = np.where(np.abs(b) < 0.3, 0.3 + np.abs(b), b)
    if name == "pow":
        a = np.abs(a) + 0.2
    if name in ("maximum", "minimum"):
        close = np.abs(a - b) < 0.05
        if a.shape == np.broadcast_shapes(a.shape, b.shape):
            a = np.where(close, a + 0.2, a)
        else:
            b = np.where(close, b - 0.2, b)
    return [a, b], {}


def reduction(rng: Rng, name: str):
    """Over some dimensions or all."""
    shape = shape_of(rng, int(rng.integers(1, 5)))
    x = rng.permutation(int(np.prod(shape))).reshape(shape) * 0.3
    dims = sorted(rng.choice(len(shape), int(rng.integers(0, len(shape) + 1)), replace=False).tolist())
    return [x if name in ("max", "min") else rng.uniform(-2, 2, shape)], {
        "dim": tuple(dims),
        "keepdim": bool(rng.integers(2)),
    }


def soft(rng: Rng, name: str):
    """softmax and log-softmax along a dimension."""
    shape = shape_of(rng, int(rng.integers(1, 4)))
    return [rng.uniform(-3, 3, shape)], {"dim": int(rng.integers(len(shape))), "stable": bool(rng.integers(2))}


def two_values(rng: Rng, name: str):
    """Losses of a prediction and a target of one shape."""
    shape = shape_of(rng, int(rng.integers(1, 4)))
    y, t = rng.uniform(-2, 2, shape), rng.uniform(-2, 2, shape)
    attributes: dict = {"reduction": str(rng.choice(REDUCTIONS))}
    kink = {"mae": 0.0, "huber": 1.0, "smooth_l1": 1.0, "hinge": 0.0}.get(name)
    if name == "hinge":
        t = np.where(t > 0, 1.0, -1.0)
        y = np.where(np.abs(1 - t * y) < 0.05, y + 0.2, y)
        return [y, (t, False)], attributes
    if kink is not None:
        close = np.abs(np.abs(y - t) - kink) < 0.05
        y = np.where(close, y + 0.15, y)
        y = np.where(np.abs(y - t) < 0.02, y + 0.06, y)
    if name == "mse":
        attributes["half"] = bool(rng.integers(2))
    if name == "bce":
        y, t = rng.uniform(0.1, 0.9, shape), rng.uniform(0, 1, shape)
    if name == "bce_with_logits":
        t = rng.uniform(0, 1, shape)
    return [y, (t, False) if name.startswith("bce") else t], attributes


def classes(rng: Rng, name: str):
    """Cross-entropy and negative log-likelihood, with and without class weights, ignored labels and smoothing."""
    n, k = int(rng.integers(2, 7)), int(rng.integers(2, 9))
    more = shape_of(rng, int(rng.integers(0, 3)), 4)
    x = rng.uniform(-2, 2, (n, k, *more))
    t = rng.integers(0, k, (n, *more))
    attributes: dict = {"reduction": str(rng.choice(REDUCTIONS))}
    if rng.random() < 0.3:
        attributes["ignore_index"] = int(t.flat[0])
        t.flat[-1] = (t.flat[0] + 1) % k  # one at least counts
    if name == "cross_entropy":
        attributes["label_smoothing"] = float(rng.choice([0, 0.1]))
    weight = [(rng.uniform(0.5, 2, k), False)] if rng.random() < 0.5 else []
    return [x, t, *weight], attributes


def soft_classes(rng: Rng, name: str):
    """Cross-entropy against probabilities."""
    n, k = int(rng.integers(1, 7)), int(rng.integers(2, 9))
    x, t = rng.uniform(-2, 2, (n, k)), rng.uniform(0, 1, (n, k))
    return [x, (t / t.sum(1, keepdims=True), False)], {"reduction": str(rng.choice(REDUCTIONS))}


def matmul(rng: Rng, name: str):
    """All transposes, batches that broadcast, sizes around the tiles."""
    m, n, k = (int(v) for v in rng.choice([1, 2, 3, 5, 13, 17], 3))
    ta, tb = bool(rng.integers(2)), bool(rng.integers(2))
    batch = shape_of(rng, int(rng.integers(0, 3)), 4)
    a = rng.uniform(-1, 1, (*batch, *((k, m) if ta else (m, k))))
    b = rng.uniform(-1, 1, (*broadcast_partner(rng, batch), *((n, k) if tb else (k, n))))
    return [a, b], {"transpose_a": ta, "transpose_b": tb}


def linear(rng: Rng, name: str):
    """With and without bias, any leading dimensions."""
    lead = shape_of(rng, int(rng.integers(1, 4)))
    fan_in, out = int(rng.choice([1, 3, 16, 17])), int(rng.choice([1, 2, 5, 33]))
    bias = [rng.uniform(-1, 1, out)] if rng.random() < 0.7 else []
    return [rng.uniform(-1, 1, (*lead, fan_in)), rng.uniform(-1, 1, (out, fan_in)), *bias], {}


def reshape(rng: Rng, name: str):
    """To a row, a column, or with one more dimension."""
    shape = shape_of(rng, int(rng.integers(1, 4)))
    size = int(np.prod(shape))
    choices = [(-1,), (size, 1), (1, *shape), shape[::-1]]
    return [rng.uniform(-1, 1, shape)], {"shape": choices[int(rng.integers(len(choices)))]}


def expand(rng: Rng, name: str):
    """From ones, and with leading dimensions."""
    shape = shape_of(rng, int(rng.integers(1, 4)))
    return [rng.uniform(-1, 1, broadcast_partner(rng, shape))], {"shape": shape}


def transpose(rng: Rng, name: str):
    """Any permutation."""
    shape = shape_of(rng, int(rng.integers(1, 5)))
    return [rng.uniform(-1, 1, shape)], {"dims": tuple(rng.permutation(len(shape)).tolist())}


def join(rng: Rng, name: str):
    """Two to four tensors along any dimension."""
    shape = list(shape_of(rng, int(rng.integers(1, 4))))
    dim = int(rng.integers(len(shape) + (name == "stack")))
    parts = []
    for _ in range(int(rng.integers(2, 5))):
        if name == "concat":
            shape[dim] = int(rng.integers(1, 4))
        parts.append(rng.uniform(-1, 1, shape))
    return parts, {"dim": dim}


def cut(rng: Rng, name: str):
    """Starts, stops and steps, backwards too."""
    shape = shape_of(rng, int(rng.integers(1, 4)))
    x = rng.uniform(-1, 1, shape)
    start, stop, step = [], [], []
    for n in shape:
        a, b = sorted(rng.integers(0, n + 1, 2).tolist())
        by = int(rng.choice([1, 1, 2, 3]))
        if a == b:
            a, b = 0, n
        if rng.random() < 0.3:
            start.append(b - 1), stop.append(a - 1), step.append(-by)
        else:
            start.append(a), stop.append(b), step.append(by)
    return [x], {"start": tuple(start), "stop": tuple(stop), "step": tuple(step)}


def gather(rng: Rng, name: str):
    """Repeated indices add up."""
    shape = shape_of(rng, int(rng.integers(1, 4)))
    dim = int(rng.integers(len(shape)))
    if name == "embedding":
        return [rng.uniform(-1, 1, (shape[0], 3)), rng.integers(0, shape[0], shape_of(rng, 2))], {}
    out = list(shape)
    out[dim] = int(rng.integers(1, 6))
    index = rng.integers(0, shape[dim], out if name == "gather" else out[dim])
    return [rng.uniform(-1, 1, shape), index], {"dim": dim}


def where(rng: Rng, name: str):
    """A condition and two branches that broadcast."""
    shape = shape_of(rng)
    branches = [rng.uniform(-1, 1, shape), rng.uniform(-1, 1, broadcast_partner(rng, shape))]
    return [rng.integers(0, 2, shape), *branches], {}


def prelu(rng: Rng, name: str):
    """One slope, or one a channel."""
    shape = shape_of(rng, int(rng.integers(2, 4)))
    slopes = 1 if rng.random() < 0.5 else shape[1]
    return [away(rng, shape), rng.uniform(0, 0.5, slopes)], {}


def clip(rng: Rng, name: str):
    """Bounds at a distance from the values."""
    return [away(rng, shape_of(rng), (-0.7, 0.9))], {"min": -0.7, "max": 0.9}


def plain(rng: Rng, name: str):
    """One tensor, no attributes."""
    return [rng.uniform(-1, 1, shape_of(rng))], {}


def cast(rng: Rng, name: str):
    """To the same type: float32 would hide the error that is looked for."""
    return [rng.uniform(-1, 1, shape_of(rng))], {"dtype": "float64"}


SPECIAL: dict[str, Callable] = {
    **dict.fromkeys(("add", "sub", "mul", "div", "pow", "maximum", "minimum"), binary),
    **dict.fromkeys(("sum", "mean", "max", "min", "logsumexp"), reduction),
    **dict.fromkeys(("softmax", "log_softmax"), soft),
    **dict.fromkeys(("mse", "mae", "huber", "smooth_l1", "bce", "bce_with_logits", "hinge"), two_values),
    **dict.fromkeys(("cross_entropy", "nll"), classes),
    **dict.fromkeys(("concat", "stack"), join),
    **dict.fromkeys(("gather", "index_select", "embedding"), gather),
    "soft_cross_entropy": soft_classes,
    "matmul": matmul,
    "linear": linear,
    "reshape": reshape,
    "expand": expand,
    "transpose": transpose,
    "slice": cut,
    "where": where,
    "prelu": prelu,
    "clip": clip,
    "cast": cast,
    "dropout": plain,
}


def differentiable() -> list[str]:
    """Names of all ops that have a derivative."""
    return [name for name in _core.ops if _core.op_info(name)["derivative"]]


def case_of(name: str) -> Callable | None:
    """The generator of an op; None when nobody has thought of one."""
    if name in SPECIAL:
        return SPECIAL[name]
    if _core.op_info(name)["file"] == "ops/activations.c":
        return unary
    return listed if name in gradient_cases.FAMILY else None


def listed(rng: Rng, name: str):
    """One of the cases of tests/ops/gradient_cases.py, for ops without a generator here."""
    cases = gradient_cases.cases(name)
    inputs, attributes = cases[int(rng.integers(len(cases)))]
    words = _core.op_info(name)["inputs"].split()
    fixed = {i for i, word in enumerate(words) if word.endswith("!")}
    return [(v,) if i in fixed else v for i, v in enumerate(inputs)], attributes


def error_of(name: str, make: Callable, rng: Rng) -> float:
    """Relative error of one case."""
    raw, attributes = make(rng, name)
    fixed = [isinstance(v, tuple) or np.asarray(v).dtype != np.float64 for v in raw]
    values = [np.asarray(v[0] if isinstance(v, tuple) else v) for v in raw]
    op = _core.ops[name]
    steps = [0.0 if f else rng.uniform(-1, 1, v.shape) for v, f in zip(values, fixed)]

    def tensors(t: float, grad: bool) -> list:
        moved = [v if f else v + t * d for v, d, f in zip(values, steps, fixed)]
        return [pn.tensor(m, requires_grad=grad and not f) for m, f in zip(moved, fixed)]

    _core.set_random(7, 0)
    inputs = tensors(0.0, True)
    out = op(*inputs, **attributes)
    factor = rng.uniform(-1, 1, out.shape)
    grads = _core.gradients(out, [t for t, f in zip(inputs, fixed) if not f], pn.tensor(factor))
    pieces = [(g.numpy() * d).sum() for g, d in zip(grads, [d for d, f in zip(steps, fixed) if not f]) if g is not None]

    def value(t: float) -> float:
        _core.set_random(7, 0)  # dropout draws the same mask
        return float((op(*tensors(t, False), **attributes).numpy() * factor).sum())

    h = 1e-4  # five points: the rule's error is below 1e-11 for these functions, rounding's below 1e-12
    numeric = (value(-2 * h) - 8 * value(-h) + 8 * value(h) - value(2 * h)) / (12 * h)
    # scaled by what a sum of this many terms of this size can be
    scale = max(1.0, abs(numeric), float(np.abs(factor).sum()) * float(np.abs(out.numpy()).max(initial=1.0)))
    return abs(sum(pieces) - numeric) / scale


def measure(size: str) -> list[Figure]:
    """Worst error over all ops, and ops that no case covers."""
    cases = pick(size, 25, 200, 2000)
    seed = int(np.random.SeedSequence().entropy % 2**32)
    worst, where_, missing, tried = 0.0, "", [], 0
    training = _core.set_training(True)
    try:
        for name in differentiable():
            make = case_of(name)
            if make is None:
                missing.append(name)
                continue
            rng = np.random.default_rng(seed)
            for _ in range(cases):
                tried += 1
                error = error_of(name, make, rng)
                if not error <= worst:
                    worst, where_ = error, name
    finally:
        _core.set_training(training)
    note = f"{where_}, {tried} cases, seed {seed}"
    return [
        Figure("7-worst-gradient-error", worst, "relative", worst < 1e-10, note),
        Figure("7-ops-without-a-case", len(missing), "ops", not missing, ", ".join(missing)),
    ]
