"""Memories that lead from one pattern to another, and memories sharper than Hopfield's."""

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy import _recall
from pyneuro.energy._model import EnergyModel
from pyneuro.energy._spins import from_spins, spins
from pyneuro.nn import _check

__all__ = ["BAM", "DenseMemory", "Pair", "SequenceMemory"]

KINDS = ("polynomial", "rectified", "exponential")


class _Patterns(EnergyModel):
    """A model that is its patterns: int8 arrays by name."""

    _names = ("patterns",)

    def _ready(self):
        if getattr(self, self._names[0]) is None:
            raise RuntimeError(f"this {type(self).__name__} has no patterns yet: call fit first")

    def _arrays(self):
        return {name: getattr(self, name) for name in self._names if getattr(self, name) is not None}

    def load_state_dict(self, state):
        """Takes the patterns of `state`, a dict as `state_dict` returns it. Raises StateError, a ValueError, when they
        do not fit; the model is then unchanged."""
        if getattr(self, self._names[0]) is None and set(state) == set(self._names):
            self._fill({name: np.array(array, order="C") for name, array in dict(state).items()})
            return self
        return super().load_state_dict(state)

    def _fill(self, arrays):
        rows = {name: spins(name, arrays[name])[0] for name in self._names}
        if len({len(array) for array in rows.values()}) > 1:
            raise ValueError(f"{type(self).__name__} needs as many patterns on both sides")
        for name, array in rows.items():
            array.flags.writeable = False
            setattr(self, name, array)


class DenseMemory(_Patterns):
    """Dense associative memory: E(s) = -sum_mu F(x_mu . s), where F grows faster than a square, so that the pattern
    that fits best wins and far more of them can be stored (Krotov, Hopfield 2016).

    function: "polynomial" F(z) = z^degree (degree 2 is Hebb's network); "rectified" max(z, 0)^degree; "exponential"
        exp(z) (Demircigil et al. 2017), for which the energy is -ln of the sum.
    degree: 1 to 64; tie, binary: as in Hopfield.

    >>> from pyneuro import energy
    >>> x = energy.random_patterns(60, 100, seed=0)  # Hebb's network holds 13
    >>> memory = energy.DenseMemory(degree=3).fit(x)
    >>> out = memory.recall(energy.flipped(x, 0.1, seed=1), seed=0)
    >>> bool((out.state == x).all())
    True
    """

    def __init__(self, function="polynomial", degree=3, tie="keep", binary=False):
        self.function = _check.choice("DenseMemory", "function", function, KINDS)
        self.degree = _check.size("DenseMemory", "degree", degree)
        if self.degree > 64:
            raise ValueError(f"DenseMemory: degree must be at most 64, got {self.degree}")
        self.tie = _check.choice("DenseMemory", "tie", tie, ("keep", "plus"))
        self.binary = arguments.flag("DenseMemory", "binary", binary)
        self.patterns = self.result = None

    def fit(self, patterns):
        """Stores `patterns` (N, n), -1 and +1 (0 and 1 when binary), in place of those it had. Returns the memory."""
        rows, _ = spins("patterns", patterns, binary=self.binary)
        if not len(rows):
            raise ValueError(f"patterns must have at least one row, got shape {rows.shape}")
        self._fill({"patterns": rows})
        return self

    def energy(self, states):
        """E(s) of one state (n,), a float, or of many (R, n), float64 (R,)."""
        self._ready()
        rows, single = spins("states", states, self.patterns.shape[1], self.binary)
        out = np.empty((len(rows), 1))
        taken, cycle = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int8)
        self._core(0, True)(rows, None, None, out, taken, cycle, 0, 0, 0)
        return float(out[0, 0]) if single else out[:, 0]

    def _core(self, seed, mixed):
        kind, plus = KINDS.index(self.function), self.tie == "plus"

        def core(state, before, trace, energy, taken, cycle, zero, first, steps):
            _core.dense_memory_recall(
                self.patterns, kind, self.degree, state, trace, energy, taken, cycle, mixed, plus, seed, zero,
                first, steps,
            )  # fmt: skip

        return core

    def recall(self, x, order="random", steps=None, record=True, seed=None, verbose=0):
        """Updates one neuron after the other from `x` (n,) or (R, n) until nothing changes: the energy never rises.
        Arguments and result are those of `Hopfield.recall`."""
        self._ready()
        state, single = spins("x", x, self.patterns.shape[1], self.binary)
        if steps is not None:
            steps = _check.size("recall", "steps", steps, 0)
        if record not in (True, False, "states"):
            raise ValueError(f"recall: record must be True, False or 'states', got {record!r:.80}")
        mixed = _check.choice("recall", "order", order, ("random", "sequential")) == "random"
        seed = arguments.seed("recall", seed)
        options = {
            "core": self._core(seed, mixed), "steps": steps, "sync": False, "record": record, "seed": seed,
        }  # fmt: skip
        return _recall.run(self, state, single, self.binary, verbose, options)

    def _config(self):
        return {"function": self.function, "degree": self.degree, "tie": self.tie, "binary": self.binary}


class BAM(_Patterns):
    """Bidirectional associative memory: pairs of patterns, x of n neurons and y of m (Kosko 1988).

    y = sign(Wx) and x = sign(W'y) in turn, W = sum_mu y_mu x_mu', until both stay; the energy -y'Wx never rises.
    tie, binary: as in Hopfield.

    >>> from pyneuro import energy
    >>> memory = energy.BAM().fit([[1, -1, 1, -1, 1], [1, 1, -1, -1, -1]], [[1, 1, -1], [1, -1, 1]])
    >>> out = memory.recall([1, -1, 1, -1, -1])
    >>> out.x.tolist(), out.y.tolist(), out.energy.tolist()
    ([1, -1, 1, -1, 1], [1, 1, -1], [-4.0, -16.0, -16.0])
    """

    _names = ("x", "y")

    def __init__(self, tie="keep", binary=False):
        self.tie = _check.choice("BAM", "tie", tie, ("keep", "plus"))
        self.binary = arguments.flag("BAM", "binary", binary)
        self.x = self.y = self.result = None

    def fit(self, x, y):
        """Stores the pairs of rows of `x` (N, n) and `y` (N, m) in place of those it had. Returns the memory."""
        x, y = spins("x", x, binary=self.binary)[0], spins("y", y, binary=self.binary)[0]
        if len(x) != len(y) or not len(x):
            raise ValueError(f"x and y must have as many rows, at least one, got {x.shape} and {y.shape}")
        self._fill({"x": x, "y": y})
        return self

    def recall(self, x=None, y=None, steps=1000):
        """The pair that `x` (n,) or (R, n), or `y` (m,) or (R, m), leads to; give one of them, or both to start from
        both. steps: rounds there and back at most.

        Returns a Pair. Neurons that are not given start at +1.
        """
        self._ready()
        if x is None and y is None:
            raise TypeError("recall: give x or y")
        sides, single, rows = {}, False, 0
        for name, given in (("x", x), ("y", y)):
            if given is not None:
                sides[name], single = spins(name, given, getattr(self, name).shape[1], self.binary)
                rows = rows or len(sides[name])
                if len(sides[name]) != rows:
                    raise ValueError(f"x and y must have as many rows, got {rows} and {len(sides[name])}")
        steps = _check.size("recall", "steps", steps, 0)
        for name in ("x", "y"):
            sides.setdefault(name, np.ones((rows, getattr(self, name).shape[1]), np.int8))
        backward = x is None
        near, far = ("y", "x") if backward else ("x", "y")
        energy = np.full((rows, steps + 1), np.nan)
        taken, cycle = np.zeros(rows, np.int64), np.zeros(rows, np.int8)
        try:
            _core.pairs_recall(
                getattr(self, near), getattr(self, far), sides[near], sides[far], energy, taken, cycle,
                self.tie == "plus", steps,
            )  # fmt: skip
        finally:
            self.result = Pair(sides["x"], sides["y"], energy, taken, cycle, single, self.binary)
        return self.result

    def _config(self):
        return {"tie": self.tie, "binary": self.binary}


class Pair:
    """What `BAM.recall` returns, for one input (for many: arrays with one row each).

    x, y: int8, the pair at the end. energy: float64 (steps + 1,), -y'Wx at the start and after each round.
    converged: whether the last round changed nothing. steps: rounds.

    >>> from pyneuro import energy
    >>> energy.BAM().fit([[1, -1, 1]], [[1, -1]]).recall([1, -1, 1]).y.tolist()
    [1, -1]
    """

    def __init__(self, x, y, energy, taken, cycle, single, binary):
        last = int(taken.max(initial=0))
        place = np.minimum(np.arange(last + 1), taken[:, None])
        energy = np.take_along_axis(energy, place, 1)
        x, y, converged = from_spins(x, binary), from_spins(y, binary), cycle == 1
        if single:
            x, y, energy, taken, converged = x[0], y[0], energy[0], int(taken[0]), bool(converged[0])
        self.x, self.y, self.energy, self.steps, self.converged = x, y, energy, taken, converged

    def __repr__(self):
        return f"Pair(x={self.x.shape}, y={self.y.shape}, converged={np.mean(self.converged):.0%})"


class SequenceMemory(_Patterns):
    """A memory of a sequence: each pattern leads to the next, s(t+1) = sign(sum_mu x_(mu+1) (x_mu . s(t))), as Amari
    had it in 1972.

    closed: the last pattern leads to the first; otherwise it leads to itself. tie, binary: as in Hopfield.

    >>> from pyneuro import energy
    >>> x = energy.random_patterns(5, 200, seed=0)
    >>> memory = energy.SequenceMemory().fit(x)
    >>> states = memory.recall(energy.flipped(x[0], 0.1, seed=1), steps=6)
    >>> [int((state == x).all(axis=1).argmax()) for state in states[1:]]
    [1, 2, 3, 4, 0, 1]
    """

    def __init__(self, closed=True, tie="keep", binary=False):
        self.closed = arguments.flag("SequenceMemory", "closed", closed)
        self.tie = _check.choice("SequenceMemory", "tie", tie, ("keep", "plus"))
        self.binary = arguments.flag("SequenceMemory", "binary", binary)
        self.patterns = self.result = None

    def fit(self, patterns):
        """Stores the rows of `patterns` (N, n) in their order. Returns the memory."""
        rows, _ = spins("patterns", patterns, binary=self.binary)
        if len(rows) < 2:
            raise ValueError(f"a sequence has at least 2 patterns, got shape {rows.shape}")
        self._fill({"patterns": rows})
        return self

    def recall(self, x, steps):
        """All states, int8 (steps + 1, n), of the sequence that begins with `x` (n,); (R, steps + 1, n) for (R, n).
        After Ctrl-C those that were reached stand in `result`, and the others are 0."""
        self._ready()
        state, single = spins("x", x, self.patterns.shape[1], self.binary)
        steps = _check.size("recall", "steps", steps, 0)
        following = np.roll(self.patterns, -1, axis=0)
        if not self.closed:
            following[-1] = self.patterns[-1]
        trace = np.zeros((len(state), steps + 1, state.shape[1]), np.int8)
        taken, cycle = np.zeros(len(state), np.int64), np.zeros(len(state), np.int8)
        plus = self.tie == "plus"
        try:
            _core.sequence_recall(self.patterns, following, state, trace, taken, cycle, plus, steps)
        finally:
            trace = from_spins(trace, self.binary)
            self.result = trace[0] if single else trace
        return self.result

    def _config(self):
        return {"closed": self.closed, "tie": self.tie, "binary": self.binary}
