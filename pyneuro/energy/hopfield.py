"""Hopfield networks: memories as minima of an energy (lecture 001; Hopfield 1982)."""

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy import _recall
from pyneuro.energy._model import EnergyModel
from pyneuro.energy._spins import spins
from pyneuro.nn import _check

__all__ = ["Hopfield"]

RULES = ("hebb",)
DENSE = 4  # a matrix is formed when there are more than n / 4 patterns: sweeps are then less work with it


class Hopfield(EnergyModel):
    """An associative memory of neurons -1 and +1: y(t+1) = sign(M y(t)), E(s) = -1/2 s'Ms.

    scale: "patterns" divides Hebb's sum by the number of patterns, M = (1/N) X'X - I (lecture 001); "neurons" by the
        number of neurons, as in physics. The dynamics are the same, energies and temperatures differ.
    tie: what a neuron with field 0 does: "keep" its state, or become "plus" 1.
    rule: how patterns are learnt; "hebb".
    binary: patterns and states are 0 and 1 instead of -1 and +1.

    `fit` stores patterns, `recall` completes a spoilt one. A few patterns in a large network are kept as they are and M
    is never formed: that is less work, and exact. `result` is the last Recall, also after Ctrl-C.

    >>> from pyneuro import energy
    >>> net = energy.Hopfield().fit([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]])
    >>> out = net.recall([1, 1, 1, -1, -1, -1, -1, -1], seed=0)
    >>> out.state.tolist(), out.energy.tolist()
    ([1, 1, 1, 1, -1, -1, -1, -1], [-6.0, -12.0, -12.0])
    """

    def __init__(self, scale="patterns", tie="keep", rule="hebb", binary=False):
        self.scale = _check.choice("Hopfield", "scale", scale, ("patterns", "neurons"))
        self.tie = _check.choice("Hopfield", "tie", tie, ("keep", "plus"))
        self.rule = _check.choice("Hopfield", "rule", rule, RULES)
        self.binary = arguments.flag("Hopfield", "binary", binary)
        self.patterns = None
        self.result = None
        self._net = None

    # ---- storing ----

    def fit(self, patterns, *, binary=None):
        """Stores `patterns` (N, n), numbers -1 and +1 (0 and 1 with binary=True), in place of those it had. Returns the
        network. Raises ValueError when they are of unequal length or hold other numbers; it is then as before."""
        rows, _ = spins("patterns", patterns, binary=self.binary if binary is None else bool(binary))
        self._take(rows)
        return self

    def _take(self, rows):
        patterns, n = rows.shape
        if patterns == 0:
            raise ValueError(f"patterns must have at least one row, got shape {rows.shape}")
        divisor = float(patterns if self.scale == "patterns" else n)
        self._net = _core.hopfield_patterns(rows, divisor, DENSE * patterns > n)
        self.patterns = rows
        self.patterns.flags.writeable = False

    def _ready(self):
        if self._net is None:
            raise RuntimeError("this Hopfield network has no patterns yet: call fit first")
        return self._net

    @property
    def n(self):
        """Number of neurons."""
        return self._ready().n

    @property
    def M(self):
        """The weights, float64 (n, n): symmetric, diagonal 0. A new array at each look."""
        out = np.empty((self.n, self.n))
        _core.hopfield_matrix(self._net, out)
        return out

    # ---- looking ----

    def energy(self, states, binary=None):
        """E(s) = -1/2 s'Ms of one state (n,), a float, or of many (R, n), float64 (R,)."""
        net = self._ready()
        rows, single = spins("states", states, net.n, self.binary if binary is None else bool(binary))
        out = np.empty(len(rows))
        _core.hopfield_energy(net, rows, out)
        return float(out[0]) if single else out

    def overlap(self, states, binary=None):
        """The overlaps x's / n of states (n,) or (R, n) with all N patterns: float64 (N,) or (R, N); 1 is equal, -1 the
        negative."""
        net = self._ready()
        rows, single = spins("states", states, net.n, self.binary if binary is None else bool(binary))
        found = rows.astype(np.float64) @ self.patterns.T.astype(np.float64) / net.n
        return found[0] if single else found

    # ---- recall ----

    def recall(self, x, mode="async", order="random", steps=None, T=0, record=True, seed=None, binary=None, verbose=0):
        """Lets the network run from `x`, one state (n,) or many (R, n), until nothing changes.

        mode: "async" updates one neuron after the other, and the energy never rises; "sync" all at once, as lecture 001
            writes it, which may end in two states in turn.
        order: of the neurons in a sweep of "async": "random", each sweep anew, or "sequential".
        steps: how many at most; a step is one sweep over all neurons. None: until a fixed point or cycle is reached.
        T: temperature. 0: sign; above it a neuron becomes +1 with probability 1 / (1 + exp(-2h/T)) (Glauber), and
            `steps` must be given.
        record: True keeps the energy of each step, "states" the states as well, False neither.
        seed: an integer; None draws one. Input number r has a stream of its own: the same bits for any number of
            threads.
        verbose: 1 shows a progress bar when there is much to do.

        Returns a Recall, which is also `result`: there it stands, as far as it came, after Ctrl-C too.
        """
        net = self._ready()
        binary = self.binary if binary is None else bool(binary)
        state, single = spins("x", x, net.n, binary)
        T = _check.number("recall", "T", T, 0)
        if steps is not None:
            steps = _check.size("recall", "steps", steps, 0)
        elif T > 0:
            raise ValueError("recall: steps must be given with T > 0, where nothing comes to rest")
        if record not in (True, False, "states"):
            raise ValueError(f"recall: record must be True, False or 'states', got {record!r:.80}")
        options = {
            "sync": _check.choice("recall", "mode", mode, ("async", "sync")) == "sync",
            "random": _check.choice("recall", "order", order, ("random", "sequential")) == "random",
            "plus": self.tie == "plus", "temperature": T, "seed": arguments.seed("recall", seed), "steps": steps,
            "record": record,
        }  # fmt: skip
        return _recall.run(self, net, state, single, binary, verbose, options)

    # ---- state ----

    def _config(self):
        return {"scale": self.scale, "tie": self.tie, "rule": self.rule, "binary": self.binary}

    def _arrays(self):
        return {} if self.patterns is None else {"patterns": self.patterns}

    def load_state_dict(self, state):
        """Takes the patterns of `state`, a dict as `state_dict` returns it; one that has none yet takes any number
        of them. Raises StateError, a ValueError, when it does not fit; the network is then unchanged."""
        if self.patterns is None:
            arrays = {name: np.asarray(array) for name, array in dict(state).items()}
            model = self._empty(self._config(), {name: (array.dtype, array.shape) for name, array in arrays.items()})
            self.__dict__.update(model.load_state_dict(arrays).__dict__)
            return self
        return super().load_state_dict(state)

    def _fill(self, arrays):
        self._take(spins("patterns", arrays["patterns"])[0])
        self.result = None

    @classmethod
    def _empty(cls, config, shapes):
        model = cls(**config)
        if set(shapes) != {"patterns"} or shapes["patterns"][0] != np.int8:
            raise ValueError(f"a Hopfield network has an int8 array of patterns, got {', '.join(sorted(shapes))}")
        model.patterns = np.broadcast_to(np.int8(1), shapes["patterns"][1])
        return model
