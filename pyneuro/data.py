"""`pn.batches`: the mini-batches of `fit`, for hand-written loops."""

from pyneuro import _core
from pyneuro._fit import arguments, arrays
from pyneuro.nn import _check

__all__ = ["batches"]


def batches(X, y=None, batch_size=32, *, seed=None, shuffle=True, drop_last=False, epoch=0, dtype=None):
    """Yields mini-batches as Tensors: `for xb, yb in pn.batches(X, y, 32, seed=0)`.

    The batches are those of `fit(X, y, batch_size=batch_size, seed=seed)` in its epoch number `epoch`, and random
    layers draw the same numbers, so that a hand-written loop reproduces fit step by step.

    X: (N, ...), y: (N, ...) or None; arrays, Tensors or lists. dtype: of real data, "float32" unless X is float64.
    Integer y stay integers. seed: None draws a new one. drop_last: leaves out a last batch that is not full. Without y
    it yields xb alone. Raises ValueError when the numbers of rows differ or there are none.

    >>> import numpy as np
    >>> [xb.shape for xb, yb in batches(np.zeros((10, 3)), np.arange(10), 4, seed=0)]
    [(4, 3), (4, 3), (2, 3)]
    """
    x = arrays.part("X", X)
    parts = [x] if y is None else [x, arrays.part("y", y)]
    rows = arrays.count_rows(parts)
    size = _check.size("batches", "batch_size", batch_size)
    first = _check.size("batches", "epoch", epoch, 0)
    seed = arguments.seed("batches", seed)
    shuffle = arguments.flag("batches", "shuffle", shuffle)
    drop_last = arguments.flag("batches", "drop_last", drop_last)
    real = dtype or ("float64" if x.array.dtype.kind == "f" and x.array.dtype.itemsize == 8 else "float32")
    for p in parts:
        p.dtype = real if p.array.dtype.kind == "f" or p is x else "int64"
    return _generate(parts, rows, size, seed, shuffle, drop_last, first)


def _generate(parts, rows, size, seed, shuffle, drop_last, epoch):
    last = rows // size * size if drop_last and rows >= size else rows
    order = _core.permutation(rows, seed, epoch) if shuffle else None
    steps = -(-last // size)
    for i, start in enumerate(range(0, last, size)):
        stop = min(start + size, last)
        index = slice(start, stop) if order is None else order[start:stop]
        tensors = [_core.as_tensor(p.rows(index)) for p in parts]
        _core.set_random(seed, epoch * steps + i)
        yield tensors[0] if len(tensors) == 1 else tuple(tensors)
