"""The Ising model: spins -1 and +1 with couplings M and fields h, E(s) = -1/2 s'Ms - h's (lecture 001; Ising 1925)."""

import numpy as np

from pyneuro import _core
from pyneuro.energy import _edges, formats, lattices
from pyneuro.energy._model import EnergyModel
from pyneuro.energy._sampling import Sampling
from pyneuro.energy._spins import spins as read_spins
from pyneuro.energy.exact import Exact
from pyneuro.energy.maxcut import Cutting
from pyneuro.energy.transition import Transition

__all__ = ["Ising"]

MAX_DENSE = 4096  # spins of models whose M is given as a matrix


class Ising(Sampling, Cutting, EnergyModel):
    """Spins -1 and +1 with symmetric couplings and fields: E(s) = -1/2 s'Ms - h's. M > 0 pulls spins together.

    M: couplings, with zero diagonal: a matrix (n, n), a scipy.sparse matrix, or edges: a tuple of arrays (i, j, w) or a
    list of triples, each edge once, meaning M[i, j] = M[j, i] = w.
    h: fields (n,), one number for all spins, or None.
    symmetrize: takes (M + M') / 2 without the diagonal; otherwise an asymmetric M or one with a diagonal is refused.
    n: number of spins, for edges; by default the last spin that has one.

    Other ways to make one: `lattice`, `villain`, `sherrington_kirkpatrick`, `random_regular`, `from_maxcut`,
    `from_ising`, `from_qubo`. Models are not changed once made. Attributes: `n`; `shape`, of a lattice; `seed` of
    random couplings; `labels` of spins that came with names; `offset`, a constant that came with a model of others and
    that `energy` leaves out.

    >>> from pyneuro import energy
    >>> triangle = energy.Ising([[0, -1, -1], [-1, 0, -1], [-1, -1, 0]])
    >>> triangle.energy([[1, 1, 1], [1, 1, -1]]).tolist()
    [3.0, -1.0]
    >>> triangle.exact(T=1.0).density_of_states
    {-1.0: 6, 3.0: 2}
    """

    shape = kind = periodic = seed = labels = None
    offset = 0.0
    result = None
    _hypercubic = None  # (strength, signs or None) of a lattice that needs no rows

    def __init__(self, M, h=None, *, symmetrize=False, n=None):
        if n is None and h is not None and np.ndim(h) == 1:
            n = len(h)
        self._couplings = _edges.couplings(_edges.rows_of(M, symmetrize, n), h)

    @classmethod
    def _from_edges(cls, n, i, j, w, h, **facts):
        model = cls.__new__(cls)
        model._couplings = _edges.couplings(_edges.from_edges(i, j, w, n), h)
        vars(model).update({name: value for name, value in facts.items() if value is not None})
        return model

    # ---- builders ----

    @classmethod
    def lattice(cls, shape, J=1.0, periodic=True, h=None, *, kind=None, seed=None):
        """A lattice of `shape` sites, numbered row by row, so that `spins.reshape(shape)` is its picture.

        shape: a number of sites, or a tuple of one to three.
        J: strength of every bond (negative: antiferromagnet), "+-J" (+1 or -1, each with probability 1/2), "gaussian"
        (standard normal), or an array (directions, *shape): the bond from a site to the next in each direction (entries
        without a bond are ignored).
        periodic: whether it closes to a torus, one bool or one for each axis.
        kind: "ring", "square", "cubic" (by the number of axes), "triangular" (along both axes and the diagonal
        (+1, +1)) or "honeycomb" (a wall of bricks: along axis 1, and along axis 0 from sites with even row + column).
        h: one number, or fields of shape (n,) or `shape`. seed: of random bonds; kept as `model.seed`.

        >>> from pyneuro import energy
        >>> model = energy.Ising.lattice((4, 4))
        >>> model
        Ising(square 4 x 4, periodic, J=1)
        >>> model.exact(2.0).ground_energy
        -32.0
        """
        sides, kind = lattices.read_shape(shape, kind)
        periodic = lattices.read_periodic(periodic, sides)
        h = np.reshape(h, -1) if np.shape(h) == sides else h
        directions = {"triangular": 3, "honeycomb": 2}.get(kind, len(sides))
        strength, bonds, seed = lattices.bond_strengths(J, (directions, *sides), seed)
        if kind in ("triangular", "honeycomb") or strength is None or strength == 0:
            bonds = strength if bonds is None else bonds if strength is None else strength * bonds
            return cls._with_rows(sides, kind, periodic, bonds, h, seed)
        n = int(np.prod(sides, dtype=object))
        model = cls.__new__(cls)
        model._set_lattice(sides, periodic, strength, bonds, _edges.field_of(h, n) if n <= _edges.MAX_SPINS else None)
        model.seed = seed
        return model

    def _set_lattice(self, sides, periodic, strength, signs, field):
        signs = None if signs is None else np.ascontiguousarray(signs.reshape(len(sides), -1))
        self._couplings = _core.couplings_lattice(sides, periodic, strength, signs, field)
        self._hypercubic = (strength, signs)
        self.shape, self.kind, self.periodic = sides, lattices.KINDS[len(sides) - 1], periodic

    @classmethod
    def _with_rows(cls, sides, kind, periodic, bonds, h, seed):
        """A lattice by its rows. bonds: a number, or (directions, *sides)."""
        n = int(np.prod(sides))
        if kind == "triangular":
            edges = lattices.triangular_edges(sides, periodic)
        elif kind == "honeycomb":
            edges = lattices.honeycomb_edges(sides, periodic)
        else:
            edges = lattices.hypercubic_edges(sides, periodic)
        weights = [bonds if np.ndim(bonds) == 0 else bonds[d].reshape(-1)[i] for d, (i, _) in enumerate(edges)]
        w = np.concatenate(
            [np.broadcast_to(np.asarray(x, float), len(e[0])) for x, e in zip(weights, edges, strict=True)]
        )
        i, j = np.concatenate([e[0] for e in edges]), np.concatenate([e[1] for e in edges])
        return cls._from_edges(n, i, j, w, h, shape=sides, kind=kind, periodic=periodic, seed=seed)

    @classmethod
    def villain(cls, shape, J=1.0, periodic=True):
        """Villain's fully frustrated square lattice (1977): every square has one negative bond or three. Rows alternate
        between +J and -J, columns have +J; an even number of rows when periodic.

        >>> from pyneuro import energy
        >>> exact = energy.Ising.villain((4, 4)).exact(1.0)
        >>> exact.ground_energy, exact.degeneracy
        (-16.0, 272)
        """
        sides, _ = lattices.read_shape(shape, None)
        periodic = lattices.read_periodic(periodic, sides)
        signs = lattices.villain_signs(sides, periodic)
        return cls.lattice(sides, float(J) * signs, periodic)

    @classmethod
    def sherrington_kirkpatrick(cls, n, seed=None, h=None):
        """Every spin coupled to every other, M_ij normal with mean 0 and variance 1 / n (Sherrington and
        Kirkpatrick 1975).

        >>> from pyneuro import energy
        >>> energy.Ising.sherrington_kirkpatrick(100, seed=0).M.shape
        (100, 100)
        """
        n = _count(n, "n", 2)
        seed = _core.seed_child() if seed is None else seed
        i, j = np.triu_indices(n, 1)
        w = _core.normal((len(i),), 0.0, n**-0.5, seed, dtype="float64")
        return cls._from_edges(n, i, j, w, h, seed=seed)

    @classmethod
    def random_regular(cls, n, degree=3, J=1.0, seed=None, h=None):
        """A random graph in which every spin has `degree` neighbours; J a number, "+-J" or "gaussian".

        >>> from pyneuro import energy
        >>> graph = energy.Ising.random_regular(20, seed=0)
        >>> (graph.M != 0).sum(1).tolist() == [3] * 20
        True
        """
        n, degree = _count(n, "n", 1), _count(degree, "degree", 0)
        seed = _core.seed_child() if seed is None else seed
        ends = lattices.regular_edges(n, degree, seed)
        strength, bonds, _ = lattices.bond_strengths(J, (len(ends),), seed)
        w = strength if bonds is None else bonds if strength is None else strength * bonds
        return cls._from_edges(n, ends[:, 0], ends[:, 1], w, h, seed=seed)

    @classmethod
    def from_maxcut(cls, graph):
        """The model whose ground states are the largest cuts of a graph: M = -weights, so that
        `model.cut(s)` = (sum of weights - E(s)) / 2.

        graph: path of a G-set file, edges (i, j) or (i, j, w), or a networkx graph (attribute "weight", else 1).
        Raises FileFormatError, a ValueError, with the number of a malformed line.

        >>> from pyneuro import energy
        >>> square = energy.Ising.from_maxcut([(0, 1), (1, 2), (2, 3), (3, 0)])
        >>> square.cut([1, -1, 1, -1])
        4.0
        """
        n, i, j, w, labels = formats.graph_edges(graph)
        weights = -_edges.numbers(w, "w", "the weights of the edges")
        return cls._from_edges(n, i, j, weights, None, labels=labels)

    @classmethod
    def from_ising(cls, h, J=None, offset=0.0):
        """From D-Wave's convention, E = sum h_i s_i + sum J_ij s_i s_j: the signs of both are turned.

        h: dict or list of fields, J: dict of (i, j) -> coupling; or a dimod BinaryQuadraticModel alone. Spins with
        other names than 0, 1, 2, ... are numbered in their order, whole numbers ascending; names are kept as
        `model.labels`.

        >>> from pyneuro import energy
        >>> model = energy.Ising.from_ising({"a": 1.0}, {("a", "b"): -2.0})
        >>> model.labels, model.energy([-1, -1])
        (('a', 'b'), -3.0)
        """
        n, i, j, w, field, labels, offset = formats.read_ising(h, J, offset)
        return cls._from_edges(n, i, j, w, field, labels=labels, offset=offset)

    def to_ising(self):
        """(h, J) in D-Wave's convention: dicts of label -> field and (label, label) -> coupling.

        >>> from pyneuro import energy
        >>> energy.Ising([[0, 1], [1, 0]]).to_ising()
        ({0: 0.0, 1: 0.0}, {(0, 1): -1.0})
        """
        names = self.labels or range(self.n)
        i, j, w = self.edges()
        field = np.zeros(self.n) if self.h is None else self.h
        h = dict(zip(names, (0.0 - field).tolist(), strict=True))
        return h, {(names[a], names[b]): -x for a, b, x in zip(i.tolist(), j.tolist(), w.tolist(), strict=True)}

    @classmethod
    def from_qubo(cls, Q, offset=0.0):
        """From E(x) = x'Qx + offset with x of 0 and 1: `energy(s) + offset` of the model is E at x = (1 + s) / 2.

        Q: dict of (i, j) -> weight, or a matrix.

        >>> from pyneuro import energy
        >>> model = energy.Ising.from_qubo({(0, 0): -1.0, (0, 1): 2.0})
        >>> model.energy([1, 0], binary=True) + model.offset
        -1.0
        """
        n, i, j, w, field, labels, constant = formats.read_qubo(Q, offset)
        return cls._from_edges(n, i, j, w, field, labels=labels, offset=constant)

    def to_qubo(self):
        """(Q, offset): dict of (label, label) -> weight with x'Qx + offset = energy(s) + self.offset at
        x = (1 + s) / 2.

        >>> from pyneuro import energy
        >>> energy.Ising([[0, 1], [1, 0]]).to_qubo()
        ({(0, 0): 2.0, (1, 1): 2.0, (0, 1): -4.0}, -1.0)
        """
        names = self.labels or range(self.n)
        i, j, w = self.edges()
        field = np.zeros(self.n) if self.h is None else self.h
        linear = 2 * (np.bincount(i, w, self.n) + np.bincount(j, w, self.n)) - 2 * field
        Q = {(name, name): value for name, value in zip(names, linear.tolist(), strict=True)}
        for a, b, x in zip(i.tolist(), j.tolist(), w.tolist(), strict=True):
            Q[names[a], names[b]] = -4 * x
        return Q, float(self.offset - w.sum() + field.sum())

    # ---- what it is ----

    @property
    def n(self):
        """Number of spins."""
        return self._couplings.n

    @property
    def h(self):
        """Fields, float64 (n,), a copy; None when there are none."""
        return self._couplings.field

    def rows(self):
        """(start, to, weight): the neighbours of spin i are to[start[i]:start[i + 1]], ascending; every edge stands in
        two rows. int64 (n + 1), int32, float64."""
        return self._couplings.rows()

    def edges(self):
        """(i, j, w) with i < j: int64, int64, float64."""
        start, to, weight = self.rows()
        i = np.repeat(np.arange(self.n), np.diff(start))
        once = i < to
        return i[once], to[once].astype(np.int64), weight[once]

    @property
    def M(self):
        """The couplings as a matrix, float64 (n, n), a copy; up to 4096 spins. `rows()` is for any number."""
        if self.n > MAX_DENSE:
            raise ValueError(
                f"M of {self.n} spins would take {8e-9 * self.n**2:.3g} GB; rows() gives the couplings of each"
            )
        start, to, weight = self.rows()
        M = np.zeros((self.n, self.n))
        M[np.repeat(np.arange(self.n), np.diff(start)), to] = weight
        return M

    def __repr__(self):
        if self.shape is None:
            what = f"n={self.n}"
        else:
            borders = {(True,): "periodic", (False,): "open"}.get(
                tuple(set(self.periodic)), f"periodic={self.periodic}"
            )
            what = f"{self.kind} {' x '.join(map(str, self.shape))}, {borders}"
        if self._hypercubic:
            strength, signs = self._hypercubic
            what += f", J={strength:g}" if signs is None else f", J=+-{strength:g}"
        return f"Ising({what}{', h' if self.h is not None else ''})"

    # ---- energies ----

    def _read(self, spins, binary):
        """(int8 (R, n), whether it was one state); pictures of a lattice are taken too."""
        if self.shape is not None and len(self.shape) > 1:
            array = np.asarray(spins)
            if array.shape[-len(self.shape) :] == self.shape:
                spins = array.reshape(*array.shape[: array.ndim - len(self.shape)], self.n)
        return read_spins("spins", spins, self.n, binary)

    def energy(self, spins, *, binary=False):
        """E(s) = -1/2 s'Ms - h's of one state, a float, or of many, float64 (R,).

        spins: -1 and +1, (n,) or (R, n); of a lattice also `shape` or (R, *shape). binary: 0 and 1 instead.

        >>> from pyneuro import energy
        >>> energy.Ising([[0, 1], [1, 0]]).energy([[1, 1], [1, -1]]).tolist()
        [-1.0, 1.0]
        """
        s, one = self._read(spins, binary)
        energies = self._couplings.energy(s)
        return float(energies[0]) if one else energies

    def local_field(self, spins, *, binary=False):
        """h + Ms, float64 (n,) or (R, n); flipping spin i changes the energy by 2 s_i times its local field.

        >>> from pyneuro import energy
        >>> energy.Ising([[0, 1], [1, 0]], h=0.5).local_field([1, -1]).tolist()
        [-0.5, 1.5]
        """
        s, one = self._read(spins, binary)
        field = self._couplings.local_field(s)
        return field[0] if one else field

    def cut(self, spins, *, binary=False):
        """Weight of the edges between +1 and -1 in the graph with weights -M: a float, or float64 (R,).

        >>> from pyneuro import energy
        >>> energy.Ising.from_maxcut([(0, 1), (1, 2), (0, 2)]).cut([1, 1, -1])
        2.0
        """
        s, one = self._read(spins, binary)
        energies = self._couplings.energy(s)
        if self.h is not None:
            energies += s @ self.h
        cuts = 0.5 * (-0.5 * self.rows()[2].sum() - energies)
        return float(cuts[0]) if one else cuts

    # ---- exact answers ----

    def exact(self, T, *, verbose=0):
        """Exact answers at temperature T (or several) from all 2^n states, n <= 30: an `energy.Exact`.

        verbose=1 shows a progress bar. The last one is kept as `model.result`.

        >>> from pyneuro import energy
        >>> exact = energy.Ising([[0, 1], [1, 0]]).exact(T=1.0)
        >>> exact.probabilities.round(4).tolist()
        [0.4404, 0.0596, 0.0596, 0.4404]
        """
        self.result = Exact(self, T, verbose)
        return self.result

    def transition_matrix(self, T, rule="metropolis", *, order="random", proposals="flip"):
        """What one proposal (order "random") or one sweep in order ("sequential", or a list of spins) of a rule does to
        each of the 2^n states, n <= 12: an `energy.Transition`, with a report on detailed balance.

        rule: "metropolis", "glauber" or "heat_bath", or "lecture". proposals: "flip", or "draw" for a new value drawn
        from {-1, +1}, which is the old one every other time.

        >>> import numpy as np
        >>> from pyneuro import energy
        >>> model = energy.Ising([[0, 1, -0.7], [1, 0, 0.5], [-0.7, 0.5, 0]])
        >>> model.transition_matrix(1.0, "lecture").total_variation.round(7)
        np.float64(0.1046295)
        >>> bool(model.transition_matrix(1.0, "glauber").total_variation < 1e-12)
        True
        """
        return Transition(self, T, rule, order, proposals)

    # ---- files ----

    def _config(self):
        facts = {"offset": float(self.offset)}
        if self.shape is not None:
            facts |= {"shape": list(self.shape), "kind": self.kind, "periodic": list(self.periodic)}
        if self._hypercubic:
            facts["J"] = self._hypercubic[0]
        return facts

    def _arrays(self):
        if self._hypercubic:
            signs = self._hypercubic[1]
            arrays = {} if signs is None else {"sign": signs}
        else:
            arrays = dict(zip(("start", "to", "weight"), self.rows(), strict=True))
        return arrays if self.h is None else {**arrays, "h": self.h}

    def _fill(self, arrays):
        from pyneuro.nn._state import StateError

        try:
            if self._hypercubic:
                self._set_lattice(self.shape, self.periodic, self._hypercubic[0], arrays.get("sign"), arrays.get("h"))
            else:
                made = _core.couplings_rows(arrays["start"], arrays["to"], arrays["weight"], arrays.get("h"))
                self._couplings = made
        except (ValueError, TypeError) as error:
            raise StateError(f"Ising: {error}") from None

    def __getstate__(self):
        return {"config": self._config(), "arrays": self._arrays(), "seed": self.seed, "labels": self.labels}

    def __setstate__(self, state):
        arrays = state["arrays"]
        made = self._empty(state["config"], {name: (a.dtype, a.shape) for name, a in arrays.items()})
        vars(self).update(vars(made.load_state_dict(arrays)), seed=state["seed"], labels=state["labels"])

    @classmethod
    def _empty(cls, config, shapes):
        return _Unfilled.of(cls, config, shapes)


class _Unfilled(Ising):
    """A model out of a file before its arrays have come; afterwards it is an Ising."""

    def __init__(self):
        raise TypeError("an unfilled model is made by files only")

    @classmethod
    def of(cls, final, config, shapes):
        facts = dict(config)
        model = cls.__new__(cls)
        model._final = final
        model.offset = _finite(facts.pop("offset", 0.0), "offset")
        if "shape" in facts:
            model.shape, model.kind = lattices.read_shape(tuple(facts.pop("shape")), facts.pop("kind"))
            model.periodic = lattices.read_periodic(tuple(facts.pop("periodic")), model.shape)
        if "J" in facts:
            model._hypercubic = (_finite(facts.pop("J"), "J"), None)
        if facts:
            raise ValueError(f"an Ising model has no argument {next(iter(facts))!r:.40}")
        model._check(shapes)
        model._shapes = shapes
        return model

    def _check(self, shapes):
        names = {"sign"} if self._hypercubic else {"start", "to", "weight"}
        if set(shapes) - names - {"h"} or (not self._hypercubic and not names <= set(shapes)):
            raise ValueError(f"the arrays {sorted(shapes)!r:.120} are not those of an Ising model")
        if self._hypercubic:
            if self.shape is None or self.kind not in lattices.KINDS[:3]:
                raise ValueError("a lattice with one strength of bonds needs a hypercubic shape")
        elif self.shape is not None and shapes["start"][1] != (int(np.prod(self.shape, dtype=object)) + 1,):
            raise ValueError(f"a lattice of shape {self.shape} does not have {shapes['start'][1]} rows")

    def _arrays(self):
        blank = {name: np.zeros((), dtype) for name, (dtype, _) in self._shapes.items()}
        return {name: np.broadcast_to(blank[name], shape) for name, (_, shape) in self._shapes.items()}

    def _fill(self, arrays):
        super()._fill(arrays)
        del self._shapes
        self.__class__ = vars(self).pop("_final")


def _finite(value, name):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise ValueError(f"{name} must be a finite number, got {value!r:.40}")
    return float(value)


def _count(value, name, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, got {value!r:.40}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)
