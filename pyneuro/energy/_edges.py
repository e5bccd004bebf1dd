"""Couplings in all the forms in which they are given, checked and turned into rows (start, to, weight)."""

import numpy as np

from pyneuro import _core

MAX_SPINS = 2**31 - 1


def numbers(value, name, kind="numbers"):
    """`value` as a float64 array; complex numbers, texts and objects are refused."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be {kind}, got lists of unequal length") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be {kind}, got {array.dtype}")
    return array.astype(float, order="C", copy=True)


def field_of(h, n):
    """h as float64 (n), or None when it is absent or zero everywhere."""
    if h is None:
        return None
    field = numbers(h, "the field h")
    if field.ndim == 0:
        field = np.full(n, float(field))
    if field.shape != (n,):
        raise ValueError(f"the field h must have shape ({n},) for {n} spins, got {field.shape}")
    bad = np.flatnonzero(~np.isfinite(field))
    if bad.size:
        raise ValueError(f"the field h must be finite, got {field[bad[0]]} for spin {bad[0]}")
    return field if field.any() else None


def rows_of(M, symmetrize=False, n=None):
    """(start, to, weight) of a dense matrix, a sparse matrix or edges."""
    if hasattr(M, "tocoo"):
        coo = M.tocoo()
        return from_entries(coo.shape, coo.row, coo.col, numbers(coo.data, "M"), symmetrize)
    if _is_edges(M):
        return from_edges(*_edge_arrays(M), n)
    return _from_dense(numbers(M, "M", "a matrix of numbers"), symmetrize)


def _is_edges(M):
    if isinstance(M, tuple):
        return len(M) == 3
    return isinstance(M, list) and bool(M) and all(isinstance(row, tuple) and len(row) == 3 for row in M)


def _edge_arrays(M):
    triples = isinstance(M, list) or all(isinstance(row, tuple) and len(row) == 3 for row in M)
    i, j, w = zip(*M, strict=True) if triples else M
    return i, j, w


def _from_dense(M, symmetrize):
    if M.ndim != 2 or M.shape[0] != M.shape[1] or not M.size:
        raise ValueError(f"M must be square, (n, n), got shape {M.shape}; edges are given as a tuple (i, j, w)")
    if not np.isfinite(M).all():
        i, j = np.argwhere(~np.isfinite(M))[0]
        raise ValueError(f"M must be finite, but M[{i}, {j}] = {M[i, j]}")
    if symmetrize:
        M = 0.5 * M + 0.5 * M.T
        np.fill_diagonal(M, 0)
    elif M.diagonal().any():
        i = np.flatnonzero(M.diagonal())[0]
        raise ValueError(f"the diagonal of M must be 0, but M[{i}, {i}] = {M[i, i]:g}; {_HELP}")
    elif not np.array_equal(M, M.T):
        i, j = np.argwhere(M != M.T)[0]
        raise ValueError(f"M must be symmetric, but M[{i}, {j}] = {M[i, j]:g} and M[{j}, {i}] = {M[j, i]:g}; {_HELP}")
    rows, to = np.nonzero(M)
    return _starts(rows, len(M)), to.astype(np.int32), M[rows, to]


_HELP = "symmetrize=True takes (M + M') / 2 without its diagonal, which is a constant of the energy"


def _starts(rows, n):
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n), out=start[1:])
    return start


def from_entries(shape, i, j, w, symmetrize):
    """Entries M[i, j] = w of a sparse matrix; several at one place are added up."""
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 1:
        raise ValueError(f"M must be square, (n, n), got shape {tuple(shape)}")
    n = int(shape[0])
    i, j = np.asarray(i, np.int64), np.asarray(j, np.int64)
    bad = np.flatnonzero(~np.isfinite(w))
    if bad.size:
        raise ValueError(f"M must be finite, but M[{i[bad[0]]}, {j[bad[0]]}] = {w[bad[0]]}")
    if symmetrize:
        i, j, w = np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([0.5 * w, 0.5 * w])
        keep = i != j
        i, j, w = i[keep], j[keep], w[keep]
    i, j, w = _summed(i, j, w, n)
    own = np.flatnonzero(i == j)
    if own.size:
        raise ValueError(f"the diagonal of M must be 0, but M[{i[own[0]]}, {i[own[0]]}] = {w[own[0]]:g}; {_HELP}")
    key, back = i * n + j, j * n + i
    order = np.argsort(back, kind="stable")
    if not (np.array_equal(key, back[order]) and np.array_equal(w, w[order])):
        raise ValueError(_first_asymmetry(key, back, w, n))
    return _starts(i, n), j.astype(np.int32), w


def _summed(i, j, w, n):
    """Entries by row and column, equal places added up in the order given, zeros left out."""
    key = i * n + j
    order = np.argsort(key, kind="stable")
    key, w = key[order], w[order]
    new = np.concatenate([[True], key[1:] != key[:-1]]) if key.size else np.zeros(0, bool)
    first = np.flatnonzero(new)
    if first.size < key.size:
        key, w = key[first], np.add.reduceat(w, first)
    keep = w != 0
    key, w = key[keep], np.ascontiguousarray(w[keep])
    return key // n, key % n, w


def _first_asymmetry(key, back, w, n):
    entries = dict(zip(key.tolist(), w.tolist(), strict=True))
    for k, b in zip(key.tolist(), back.tolist(), strict=True):
        if entries.get(b, 0.0) != entries[k]:
            i, j = divmod(k, n)
            return (
                f"M must be symmetric, but M[{i}, {j}] = {entries[k]:g} and M[{j}, {i}] = {entries.get(b, 0.0):g}; "
                f"{_HELP}"
            )
    return "M must be symmetric"


def whole_numbers(value, name):
    """Spin numbers as int64."""
    array = np.asarray(value)
    if (
        array.dtype.kind == "f"
        and array.size
        and np.array_equal(array, np.floor(array))
        and np.abs(array).max() < 2**53
    ):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} of the edges must be whole numbers of spins, got {array.dtype}")
    return array.astype(np.int64)


def from_edges(i, j, w, n=None):
    """Edges, each given once: M[i, j] = M[j, i] = w."""
    i, j, w = whole_numbers(i, "i"), whole_numbers(j, "j"), numbers(w, "w", "the weights of the edges")
    if w.ndim == 0:
        w = np.full(i.shape, float(w))
    if i.ndim != 1 or i.shape != j.shape or i.shape != w.shape:
        raise ValueError(f"edges need i, j and w of one length, got shapes {i.shape}, {j.shape} and {w.shape}")
    least = int(max(i.max(), j.max())) + 1 if i.size else 1
    n = least if n is None else n
    if i.size and (min(i.min(), j.min()) < 0 or least > n):
        bad = int(i.min()) if i.min() < 0 else int(j.min()) if j.min() < 0 else least - 1
        raise ValueError(f"an edge ends at spin {bad}, but the spins are 0 to {n - 1}")
    if n > MAX_SPINS:
        raise ValueError(f"there may be {MAX_SPINS} spins at most, got {n}")
    bad = np.flatnonzero(~np.isfinite(w))
    if bad.size:
        raise ValueError(f"couplings must be finite, but edge ({i[bad[0]]}, {j[bad[0]]}) has {w[bad[0]]}")
    own = np.flatnonzero(i == j)
    if own.size:
        raise ValueError(f"edge number {own[0]} couples spin {i[own[0]]} to itself; the diagonal of M must be 0")
    key = np.minimum(i, j) * n + np.maximum(i, j)
    twice = np.sort(key)
    twice = twice[1:][twice[1:] == twice[:-1]]
    if twice.size:
        raise ValueError(f"the edge ({twice[0] // n}, {twice[0] % n}) is given twice; every edge is given once")
    i, j, w = _summed(np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([w, w]), n)
    return _starts(i, n), j.astype(np.int32), w


def couplings(rows, h):
    """_core.Couplings of rows and a field."""
    start, to, weight = rows
    return _core.couplings_rows(start, to, weight, field_of(h, len(start) - 1))
