"""Data of Boltzmann machines as callers give them: any numeric array, checked once; the core reads and converts it."""

import numpy as np

__all__ = ["VISIBLE", "rows", "states"]

VISIBLE = ("binary", "gaussian", "softmax")
BLOCK = 1 << 22  # elements looked at together


def rows(owner, X, n_visible=None, visible="binary", classes=None, name="X"):
    """`X` as an array (n, n_visible) of numbers, not copied; what cannot be data of such units raises in one sentence.

    binary: numbers from 0 to 1 (probabilities such as grey values are fine). gaussian: any finite numbers. softmax:
    each group of `classes` numbers sums to 1.
    """
    try:
        array = np.asarray(X)
    except ValueError:
        raise ValueError(f"{owner}: rows of {name} must have equal lengths") from None
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"{owner}: {name} must be an array of numbers, got {type(X).__name__} of type {array.dtype}")
    if array.ndim < 2:
        raise ValueError(f"{owner}: {name} must have shape (rows, units), got {array.shape}")
    units = int(np.prod(array.shape[1:]))
    if len(array) == 0 or units == 0:
        raise ValueError(f"{owner}: {name} must have at least one row and one unit, got shape {array.shape}")
    if n_visible is not None and units != n_visible:
        raise ValueError(f"{owner}: {name} has {units} numbers in a row (shape {array.shape}), expected {n_visible}")
    step = max(1, BLOCK // units)
    for first in range(0, len(array), step):
        _check_values(owner, name, array[first : first + step], visible, classes)
    return array


def _check_values(owner, name, block, visible, classes):
    low, high = block.min(), block.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{owner}: {name} has numbers that are not finite")
    if visible != "gaussian" and not (low >= 0 and high <= 1):
        hint = "; divide grey values by 255" if high > 1 and low >= 0 and high <= 255 else ""
        raise ValueError(f"{owner}: {name} must lie between 0 and 1 for {visible} units, got {low:g} to {high:g}{hint}")
    if visible == "softmax":
        sums = block.reshape(len(block), -1, classes).sum(-1, dtype=np.float64)
        if abs(sums - 1).max() > 1e-5:
            raise ValueError(f"{owner}: each group of {classes} numbers of {name} must sum to 1 for softmax units")


def states(array, dtype):
    """A C-contiguous copy of rows (n, units), of the machine's real type."""
    return np.array(array.reshape(len(array), -1), dtype, order="C")
