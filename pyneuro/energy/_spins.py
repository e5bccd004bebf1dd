"""Spins and patterns as callers give them: checked, and turned into the int8 arrays of the core."""

import numpy as np

__all__ = ["from_spins", "spins"]


def spins(name, values, n=None, binary=False):
    """`values` as int8 (R, n) of -1 and +1, and whether they were one state (n,).

    binary: 0 and 1 are meant, and become -1 and +1. n: how many neurons there must be, None: any.
    Raises ValueError or TypeError in one sentence that begins with `name`.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must have equal lengths, got {_lengths(values)}") from None
    if array.dtype == object:
        raise TypeError(f"{name} must be numbers of equal lengths, got {type(values).__name__} of objects")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers, got an array of type {array.dtype}")
    if array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (n,) or (rows, n) with at least one neuron, got {array.shape}")
    if n is not None and array.shape[-1] != n:
        raise ValueError(f"{name} must have {n} neurons in each row, got shape {array.shape}")
    low = 0 if binary else -1
    good = (array == low) | (array == 1)
    if not good.all():
        _refuse(name, array[~good].flat[0], array, binary)
    rows = np.array(np.atleast_2d(array), np.int8, order="C")
    if binary:
        rows *= 2
        rows -= 1
    return rows, array.ndim == 1


def _lengths(values):
    try:
        return "lengths " + ", ".join(str(len(row)) for row in values)[:80]
    except TypeError:
        return type(values).__name__


def _refuse(name, value, array, binary):
    if binary:
        raise ValueError(f"{name} must be 0 and 1 with binary=True, got {value}")
    hint = "; 0 and 1 are taken with binary=True" if ((array == 0) | (array == 1)).all() else ""
    raise ValueError(f"{name} must be -1 and +1, got {value}{hint}")


def from_spins(rows, binary):
    """States int8 of -1 and +1 as the caller wants them: the same, or 0 and 1."""
    return (rows + 1) // 2 if binary else rows
