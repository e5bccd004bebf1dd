"""Models in the forms of others: G-set files and graphs of Max-Cut, D-Wave's Ising convention, QUBO."""

import math
import os

import numpy as np

from pyneuro import _files
from pyneuro._files import FileFormatError

__all__ = ["read_gset"]

MAX_BYTES = 1 << 30  # of a G-set file
FREE_VERTICES = 1 << 16  # vertices that a file may declare beyond those that its edges can touch


def read_gset(path):
    """Reads a graph in the format of the G-set (Helmberg and Rendl 2000): a line `vertices edges`, then a line `i j
    weight` for each edge, counted from 1; the weight may be left out and is then 1.

    Returns (n, i, j, w): int64, int64, float64 arrays, counted from 0. Raises FileFormatError, a ValueError, with the
    number of the line that is malformed; OSError when the file cannot be read.

    >>> import os, tempfile
    >>> from pyneuro.energy import formats
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "triangle.txt")
    ...     with open(path, "w") as file:
    ...         _ = file.write("3 3\\n1 2 1\\n2 3 1\\n1 3 -1\\n")
    ...     n, i, j, w = formats.read_gset(path)
    >>> n, i.tolist(), j.tolist(), w.tolist()
    (3, [0, 1, 0], [1, 2, 2], [1.0, 1.0, -1.0])
    """
    path = os.fspath(path)
    text = _files.read_text(path, MAX_BYTES, "not a text of numbers")
    return _parse(path, text.split("\n"), len(text))


def _parse(path, lines, size):
    numbered = ((number, line.split()) for number, line in enumerate(lines, 1))
    rows = ((number, words) for number, words in numbered if words)
    n, edges = _header(path, next(rows, (1, [])), size)
    ends, weights, seen = np.zeros((edges, 2), np.int64), np.ones(edges), set()
    count = 0
    for number, words in rows:
        where = f"{path}, line {number}"
        if count == edges:
            raise FileFormatError(f"{where}: the first line promises {edges} edges, here is one more")
        i, j, w = _edge(where, words, n)
        pair = (min(i, j), max(i, j))
        if pair in seen:
            raise FileFormatError(f"{where}: the edge {i} {j} is given twice")
        seen.add(pair)
        ends[count], weights[count] = (i - 1, j - 1), w
        count += 1
    if count < edges:
        raise FileFormatError(f"{path}: the first line promises {edges} edges, the file has {count}")
    return n, ends[:, 0], ends[:, 1], weights


def _header(path, row, size):
    number, words = row
    where = f"{path}, line {number}"
    if len(words) != 2 or not all(_is_whole(word) for word in words):
        raise FileFormatError(f"{where}: expected two numbers, vertices and edges, got {' '.join(words)!r:.60}")
    n, edges = (int(word) for word in words)
    if n < 1:
        raise FileFormatError(f"{where}: a graph needs at least one vertex")
    if edges > size // 4:
        raise FileFormatError(f"{where}: {edges} edges do not fit into a file of {size} bytes")
    if n > 2 * edges + FREE_VERTICES:
        raise FileFormatError(f"{where}: {n} vertices are too many for {edges} edges")
    return n, edges


def _is_whole(word):
    return word.isdigit() and len(word) <= 12


def _edge(where, words, n):
    if len(words) not in (2, 3) or not all(_is_whole(word) for word in words[:2]):
        raise FileFormatError(f"{where}: expected two vertices and a weight, got {' '.join(words)!r:.60}")
    i, j = int(words[0]), int(words[1])
    if not (1 <= i <= n and 1 <= j <= n):
        raise FileFormatError(f"{where}: the vertices are 1 to {n}, got {i} {j}")
    if i == j:
        raise FileFormatError(f"{where}: an edge from {i} to itself")
    if len(words) == 2:
        return i, j, 1.0
    try:
        w = math.nan if "_" in words[2] else float(words[2])
    except ValueError:
        w = math.nan
    if not abs(w) < 1e300:
        raise FileFormatError(f"{where}: the weight must be a finite number, got {words[2]!r:.40}")
    return i, j, w


# ---- graphs ----


def graph_edges(source):
    """(n, i, j, w, labels or None) of a path of a G-set file, a networkx graph, pairs (i, j) or edges (i, j, w)."""
    if isinstance(source, (str, os.PathLike)):
        return (*read_gset(source), None)
    if hasattr(source, "edges") and hasattr(source, "nodes"):
        labels = list(source.nodes)
        number = {label: k for k, label in enumerate(labels)}
        if not labels:
            raise ValueError("the graph has no nodes")
        if getattr(source, "is_directed", lambda: False)() or getattr(source, "is_multigraph", lambda: False)():
            raise ValueError("Max-Cut takes an undirected graph with single edges, got a directed one or a multigraph")
        triples = [(number[u], number[v], data.get("weight", 1)) for u, v, data in source.edges(data=True)]
        i, j, w = zip(*triples, strict=True) if triples else ((), (), ())
        return len(labels), i, j, w, plain_labels(labels)
    if isinstance(source, tuple) and len(source) in (2, 3) and not isinstance(source[0], tuple):
        i, j, w = (*source, np.ones(len(source[0])))[:3]
        return None, i, j, w, None
    try:
        triples = [
            (edge[0], edge[1], edge[2] if len(edge) == 3 else 1) for edge in source if len(edge) in (2, 3) or _no(edge)
        ]
    except TypeError:
        raise TypeError(
            f"a graph is a path of a G-set file, a networkx graph or edges (i, j, w), got {source!r:.60}"
        ) from None
    if not triples:
        raise ValueError("the list of edges is empty")
    i, j, w = zip(*triples, strict=True)
    return None, i, j, w, None


def _no(edge):
    raise ValueError(f"an edge is (i, j) or (i, j, w), got {edge!r:.60}")


def plain_labels(labels):
    """The labels as a tuple, or None when they are 0, 1, 2, ... anyway."""
    return None if list(labels) == list(range(len(labels))) else tuple(labels)


# ---- D-Wave's convention and QUBO ----


def _ordered(labels):
    """0, 1, 2, ... first when all are whole numbers, else as they come."""
    labels = list(dict.fromkeys(labels))
    if all(isinstance(label, (int, np.integer)) and not isinstance(label, bool) for label in labels):
        labels.sort()
    return labels


def read_ising(h, J, offset):
    """(n, i, j, M, field, labels, offset) of h and J in D-Wave's convention, E = sum h_i s_i + sum J_ij s_i s_j."""
    if hasattr(h, "linear") and hasattr(h, "quadratic"):
        if J is not None:
            raise TypeError("a binary quadratic model is given alone, without J")
        spin = h.spin if hasattr(h, "spin") else h
        h, J, offset = dict(spin.linear), dict(spin.quadratic), float(spin.offset)
    h = dict(enumerate(h)) if not isinstance(h, dict) else h
    J = {} if J is None else J
    if not isinstance(J, dict) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in J):
        raise TypeError("J must be a dict of (i, j) -> coupling")
    labels = _ordered([*h, *(label for pair in J for label in pair)])
    if not labels:
        raise ValueError("a model needs at least one spin, h and J are empty")
    number = {label: k for k, label in enumerate(labels)}
    field = np.array([-float(h.get(label, 0)) for label in labels])
    i = [number[pair[0]] for pair in J]
    j = [number[pair[1]] for pair in J]
    return len(labels), i, j, [-float(value) for value in J.values()], field, plain_labels(labels), float(offset)


def read_qubo(Q, offset):
    """The same for E(x) = sum Q_ij x_i x_j + offset with x = (1 + s) / 2 of 0 and 1: Q a dict of (i, j) or a matrix;
    entries (i, j) and (j, i) are added up."""
    if not isinstance(Q, dict):
        from pyneuro.energy._edges import numbers

        Q = numbers(Q, "Q", "a matrix of numbers")
        if Q.ndim != 2 or Q.shape[0] != Q.shape[1] or not Q.size:
            raise ValueError(f"Q must be square, (n, n), or a dict of (i, j) -> weight, got shape {Q.shape}")
        n = len(Q)
        Q = {(i, j): Q[i, j] for i, j in np.argwhere(Q).tolist()}
        labels = list(range(n))
    elif not all(isinstance(pair, tuple) and len(pair) == 2 for pair in Q):
        raise TypeError("Q must be a matrix or a dict of (i, j) -> weight")
    else:
        labels = _ordered(label for pair in Q for label in pair)
    if not labels:
        raise ValueError("a model needs at least one spin, Q is empty")
    number = {label: k for k, label in enumerate(labels)}
    field, constant, pairs = np.zeros(len(labels)), float(offset), {}
    for (u, v), value in Q.items():
        i, j, value = number[u], number[v], float(value)
        if i == j:
            field[i] -= value / 2
            constant += value / 2
            continue
        field[i] -= value / 4
        field[j] -= value / 4
        constant += value / 4
        pair = (min(i, j), max(i, j))
        pairs[pair] = pairs.get(pair, 0.0) - value / 4
    i, j = zip(*pairs, strict=True) if pairs else ((), ())
    return len(labels), i, j, list(pairs.values()), field, plain_labels(labels), constant
