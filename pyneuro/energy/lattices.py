"""Lattices and random graphs of spins, and what their bonds may be."""

import numpy as np

from pyneuro import _core

KINDS = ("ring", "square", "cubic", "triangular", "honeycomb")
_RANK = {"ring": 1, "square": 2, "cubic": 3, "triangular": 2, "honeycomb": 2}


def read_shape(shape, kind):
    """(shape as a tuple of ints, kind), checked."""
    if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool):
        shape = (shape,)
    try:
        sides = tuple(shape)
    except TypeError:
        raise TypeError(f"shape must be an integer or a tuple of them, got {shape!r:.60}") from None
    if any(isinstance(side, bool) or not isinstance(side, (int, np.integer)) for side in sides):
        raise TypeError(f"shape must be whole numbers of sites, got {sides!r:.60}")
    sides = tuple(int(side) for side in sides)
    if not 1 <= len(sides) <= 3:
        raise ValueError(f"a lattice has 1 to 3 axes, got shape {sides}")
    kind = KINDS[len(sides) - 1] if kind is None else kind
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r:.40}")
    if len(sides) != _RANK[kind]:
        raise ValueError(f"a {kind} lattice has {_RANK[kind]} axes, got shape {sides}")
    if min(sides) < 1:
        raise ValueError(f"every axis of a lattice needs at least one site, got shape {sides}")
    return sides, kind


def read_periodic(periodic, sides):
    """One bool for each axis."""
    if isinstance(periodic, (bool, np.bool_)):
        return (bool(periodic),) * len(sides)
    try:
        flags = tuple(periodic)
    except TypeError:
        flags = ()
    if len(flags) != len(sides) or not all(isinstance(flag, (bool, np.bool_)) for flag in flags):
        raise ValueError(f"periodic must be a bool, or one for each of {len(sides)} axes, got {periodic!r:.60}")
    return tuple(bool(flag) for flag in flags)


def _signs(size, seed):
    """Random signs, int8 (size): a pure function of the seed. The first 32 digits of each uniform number are used."""
    words = _core.uniform((-(-size // 32),), 0.0, 2.0**32, seed, dtype="float64").astype("<u4")
    signs = np.unpackbits(words.view(np.uint8), count=size).view(np.int8)
    signs *= 2
    signs -= 1
    return signs


def bond_strengths(J, shape, seed):
    """The bonds of a lattice: (strength, signs or None) when all have one size, or (None, strengths), shaped `shape`,
    the first axis being the direction. seed is drawn when it is needed: (..., seed used or None)."""
    if isinstance(J, str):
        if J not in ("+-J", "gaussian"):
            raise ValueError(f'J must be a number, an array, "+-J" or "gaussian", got {J!r:.40}')
        seed = _core.seed_child() if seed is None else seed
        if J == "+-J":
            return 1.0, _signs(int(np.prod(shape)), seed).reshape(shape), seed
        return None, _core.normal(shape, 0.0, 1.0, seed, dtype="float64"), seed
    from pyneuro.energy._edges import numbers

    values = numbers(J, "J")
    if values.ndim and values.shape != shape:
        raise ValueError(
            f"J must be a number or have shape {shape}: one for each direction and site; got {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("J must be finite, it has NaN or infinity")
    if values.ndim == 0:
        return float(values), None, None
    size = np.abs(values).flat[0]
    if size > 0 and np.all(np.abs(values) == size):
        return float(size), np.sign(values).astype(np.int8), None
    return None, values, None


def hypercubic_edges(sides, periodic):
    """(i, j, direction, i) of the bonds from each site to the next along each axis."""
    sites = np.arange(int(np.prod(sides))).reshape(sides)
    return [_shifted(sites, axis, (0,) * len(sides), periodic) for axis in range(len(sides))]


def _shifted(sites, axis, move, periodic):
    """Bonds from each site to the one that lies one further along `axis` and `move` along the others."""
    shift = list(move)
    shift[axis] = 1
    there = np.ones(sites.shape, bool)
    for a, step in enumerate(shift):
        if step and not periodic[a]:
            edge = [slice(None)] * sites.ndim
            edge[a] = -1 if step > 0 else 0
            there[tuple(edge)] = False
    to = np.roll(sites, [-step for step in shift], range(sites.ndim))
    return sites[there], to[there]


def _need(sides, periodic, least, kind):
    for axis, (side, wraps) in enumerate(zip(sides, periodic, strict=True)):
        if wraps and side < least:
            raise ValueError(
                f"a periodic axis of a {kind} lattice needs at least {least} sites, axis {axis} has {side}"
            )


def triangular_edges(sides, periodic):
    """Six neighbours: along both axes, and along the diagonal (+1, +1)."""
    _need(sides, periodic, 3, "triangular")
    sites = np.arange(sides[0] * sides[1]).reshape(sides)
    return [*hypercubic_edges(sides, periodic), _shifted(sites, 0, (0, 1), periodic)]


def honeycomb_edges(sides, periodic):
    """Three neighbours, drawn as a wall of bricks: all bonds along axis 1, and those along axis 0 from sites with an
    even sum of coordinates."""
    _need(sides, periodic, 4, "honeycomb")
    for axis, (side, wraps) in enumerate(zip(sides, periodic, strict=True)):
        if wraps and side % 2:
            raise ValueError(
                f"a periodic axis of a honeycomb lattice needs an even number of sites, axis {axis} has {side}"
            )
    down, right = hypercubic_edges(sides, periodic)
    even = (down[0] // sides[1] + down[0] % sides[1]) % 2 == 0
    return [(down[0][even], down[1][even]), right]


def villain_signs(sides, periodic):
    """Signs (2, rows, columns) of Villain's odd model: every square has an odd number of negative bonds. Bonds along
    the rows have the sign of their row, +, -, +, ...; the others are +."""
    if len(sides) != 2:
        raise ValueError(f"Villain's model lives on a square lattice, got shape {sides}")
    if periodic[0] and sides[0] % 2:
        raise ValueError(f"Villain's model needs an even number of rows when they are periodic, got shape {sides}")
    signs = np.ones((2, *sides), np.int8)
    signs[1, 1::2] = -1
    return signs


def regular_edges(n, degree, seed):
    """A random graph in which every spin has `degree` neighbours: half-edges are paired at random, and pairs that join
    a spin to itself or for a second time are exchanged with random others until none is left (configuration model)."""
    if degree < 0 or n * degree % 2 or degree >= n:
        raise ValueError(f"there is no graph of {n} spins with {degree} neighbours each")
    ends = np.repeat(np.arange(n), degree)[_core.permutation(n * degree, seed)].reshape(-1, 2)
    for attempt in range(1, 10_000):
        key = ends.min(1) * n + ends.max(1)
        order = np.argsort(key, kind="stable")
        again = np.zeros(len(ends), bool)
        again[order[1:]] = key[order[1:]] == key[order[:-1]]
        bad = np.flatnonzero(again | (ends[:, 0] == ends[:, 1]))
        if not bad.size:
            return np.sort(ends, 1)
        others = (_core.uniform((len(bad),), 0.0, 1.0, seed, attempt, "float64") * len(ends)).astype(np.int64)
        for one, other in zip(bad.tolist(), others.tolist(), strict=True):
            ends[one, 1], ends[other, 1] = ends[other, 1], ends[one, 1]
    raise ValueError(f"no random graph of {n} spins with {degree} neighbours each was found; take another seed")
