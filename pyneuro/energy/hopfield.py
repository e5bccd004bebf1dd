"""Hopfield networks: memories as minima of an energy (lecture 001; Hopfield 1982)."""

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy import _learning, _recall, memory
from pyneuro.energy._model import EnergyModel
from pyneuro.energy._spins import spins
from pyneuro.nn import _check

__all__ = ["Hopfield"]

RULES = ("hebb", "pseudo_inverse", "storkey", "perceptron")
DENSE = 4  # a matrix is formed when there are more than n / 4 patterns: sweeps are then less work with it


class Hopfield(EnergyModel):
    """An associative memory of neurons -1 and +1: y(t+1) = sign(M y(t)), E(s) = -1/2 s'Ms.

    scale: "patterns" divides Hebb's sum by the number of patterns, M = (1/N) X'X - I (lecture 001); "neurons" by the
        number of neurons, as in physics. The dynamics are the same, energies and temperatures differ.
    tie: what a neuron with field 0 does: "keep" its state, or become "plus" 1.
    rule: how patterns are learnt. "hebb": about 0.138 n random ones. "pseudo_inverse": the projection on the patterns
        (Personnaz, Guyon, Dreyfus 1985), up to n, also when they are alike. "storkey": local, one pass (Storkey 1997).
        "perceptron": until every neuron of every pattern is stable (Gardner 1988), x_i h_i > margin |row i of M|.
    binary: patterns and states are 0 and 1 instead of -1 and +1.
    margin, epochs: of "perceptron": the stability asked for, and how often it looks at all patterns at most.

    `fit` stores patterns, `recall` completes a spoilt one. A few patterns in a large network are kept as they are and M
    is never formed: that is less work, and exact. `result` is the last Recall, also after Ctrl-C. `errors` counts the
    unstable (pattern, neuron) in each epoch of "perceptron": the last is 0 when it has succeeded.

    >>> from pyneuro import energy
    >>> net = energy.Hopfield().fit([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]])
    >>> out = net.recall([1, 1, 1, -1, -1, -1, -1, -1], seed=0)
    >>> out.state.tolist(), out.energy.tolist()
    ([1, 1, 1, 1, -1, -1, -1, -1], [-6.0, -12.0, -12.0])
    """

    def __init__(self, scale="patterns", tie="keep", rule="hebb", binary=False, margin=0.0, epochs=1000):
        self.scale = _check.choice("Hopfield", "scale", scale, ("patterns", "neurons"))
        self.tie = _check.choice("Hopfield", "tie", tie, ("keep", "plus"))
        self.rule = _check.choice("Hopfield", "rule", rule, RULES)
        self.binary = arguments.flag("Hopfield", "binary", binary)
        self.margin = _check.number("Hopfield", "margin", margin, 0)
        self.epochs = _check.size("Hopfield", "epochs", epochs)
        self.patterns = self.errors = self.result = None
        self._net = None
        self._learnt = False  # whether the weights are more than Hebb's rule says

    @classmethod
    def from_weights(cls, M, *, tie="keep", binary=False, symmetrize=False):
        """A network with the weights `M` (n, n), which must be symmetric with diagonal 0.

        symmetrize: take (M + M') / 2 without its diagonal instead.

        >>> from pyneuro import energy
        >>> out = energy.Hopfield.from_weights([[0, 1], [1, 0]]).recall([1, -1], mode="sync")
        >>> out.cycle, out.converged
        (2, False)
        """
        net = cls(tie=tie, binary=binary)
        w = np.array(M, np.float64, order="C")
        if w.ndim != 2 or w.shape[0] != w.shape[1] or not len(w):
            raise ValueError(f"M must have shape (n, n), got {w.shape}")
        if arguments.flag("from_weights", "symmetrize", symmetrize):
            w = (w + w.T) / 2
            np.fill_diagonal(w, 0)
        try:
            net._set(None, w)
        except ValueError as error:
            hint = "; symmetrize=True takes (M + M') / 2 without its diagonal" if np.isfinite(w).all() else ""
            raise ValueError(f"{error}{hint}") from None
        return net

    # ---- storing ----

    def fit(self, patterns, *, binary=None, verbose=0):
        """Stores `patterns` (N, n), numbers -1 and +1 (0 and 1 with binary=True), in place of those it had. Returns the
        network. Raises ValueError when they are of unequal length or hold other numbers; it is then as before.
        verbose: 1 shows a progress bar when there is much to do."""
        rows, _ = spins("patterns", patterns, binary=self.binary if binary is None else bool(binary))
        if len(rows) == 0:
            raise ValueError(f"patterns must have at least one row, got shape {rows.shape}")
        w = errors = None
        if self.rule == "perceptron":
            w, errors = self._perceptron(rows, verbose)
        elif self.rule == "storkey":
            w = _learning.storkey(rows, verbose)
        elif self.rule == "pseudo_inverse":
            w = _learning.pseudo_inverse(rows)
        self._set(rows, w)
        self.errors = errors
        return self

    def _perceptron(self, rows, verbose):
        """(weights, errors); after Ctrl-C `result` is what there is of them."""
        w, errors = np.zeros((rows.shape[1],) * 2), np.full(self.epochs, -1)
        try:
            _learning.perceptron(w, rows, self.margin, errors, verbose)
        except KeyboardInterrupt:
            self.result = w, errors[errors >= 0]
            raise
        return w / rows.shape[1], errors[errors >= 0]

    def _set(self, rows, w):
        """Takes patterns (N, n) or None, and weights (n, n); None: those of Hebb's rule."""
        if w is None:
            divisor = float(len(rows) if self.scale == "patterns" else rows.shape[1])
            net = _core.hopfield_patterns(rows, divisor, DENSE * len(rows) > rows.shape[1])
        else:
            net = _core.hopfield_weights(w, 1.0)
        if rows is not None:
            rows.flags.writeable = False
        self.patterns, self._net, self._learnt, self.errors = rows, net, w is not None, None

    def unlearn(self, times, rate=0.01, *, seed=None, verbose=0):
        """Takes `times` memories away: from a random state the network comes to rest in some s, often no pattern but a
        mixture of them, and M -= rate / n s s' (Hopfield, Feinstein, Palmer 1983). Returns their energies, float64
        (times,). After Ctrl-C those that were done count, and `result` holds their energies.

        >>> from pyneuro import energy
        >>> net = energy.Hopfield(scale="neurons").fit(energy.random_patterns(12, 100, seed=0))
        >>> len(net.unlearn(50, seed=0))
        50
        """
        self._ready()
        times, rate = _check.size("unlearn", "times", times, 0), _check.number("unlearn", "rate", rate)
        seed = arguments.seed("unlearn", seed)
        w, energies = self.M, np.full(times, np.nan)
        try:
            _learning.unlearn(w, rate, self.tie == "plus", seed, energies, verbose)
        except KeyboardInterrupt:
            self.result = energies[~np.isnan(energies)]
            raise
        finally:
            self._set(self.patterns, w)
        return energies

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
        if self.patterns is None:
            raise RuntimeError("overlap: this network was made from weights and knows no patterns")
        rows, single = spins("states", states, net.n, self.binary if binary is None else bool(binary))
        found = rows.astype(np.float64) @ self.patterns.T.astype(np.float64) / net.n
        return found[0] if single else found

    def to_ising(self):
        """The same spins as an Ising model: energy.Ising(M), for its samplers and exact sums.

        >>> from pyneuro import energy
        >>> net = energy.Hopfield().fit([[1, -1, 1, -1], [1, 1, -1, -1]])
        >>> net.to_ising().energy([1, 1, 1, 1]) == net.energy([1, 1, 1, 1])
        True
        """
        from pyneuro.energy.ising import Ising

        return Ising(self.M)

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
        sync = _check.choice("recall", "mode", mode, ("async", "sync")) == "sync"
        mixed = _check.choice("recall", "order", order, ("random", "sequential")) == "random"
        plus, seed = self.tie == "plus", arguments.seed("recall", seed)

        def core(state, before, trace, energy, taken, cycle, zero, first, steps):
            _core.hopfield_recall(
                net, state, before, trace, energy, taken, cycle, sync, mixed, plus, T, seed, zero, first, steps
            )

        options = {"core": core, "steps": steps, "sync": sync, "record": record, "seed": seed}
        return _recall.run(self, state, single, binary, verbose, options)

    # ---- how good the memory is ----

    def attractors(self, mode="async"):
        """All fixed points and cycles of a network of at most 20 neurons, with the shares of the 2^n states that end in
        them: all at once (mode="sync"), or one neuron after the other in the order 0, 1, ..., n - 1 ("async").

        Returns Attractors. Raises ValueError for more neurons.

        >>> from pyneuro import energy
        >>> energy.Hopfield().fit([[1, -1, 1, -1], [1, 1, -1, -1]]).attractors("sync")
        Attractors(4 fixed points, 6 cycles)
        """
        return memory.attractors(self, mode)

    def basins(self, shares, trials=100, *, mode="async", seed=None, verbose=0):
        """How often each pattern is recalled without a fault from a copy with so many of its neurons turned over.

        shares: of the neurons that are turned over, a number or a row of them. trials: copies of each pattern.

        Returns float64 (len(shares), N): the part of the trials that came back to the pattern.

        >>> from pyneuro import energy
        >>> net = energy.Hopfield().fit(energy.random_patterns(5, 200, seed=0))
        >>> net.basins([0.0, 0.1, 0.5], trials=20, seed=0).mean(axis=1).round(1).tolist()
        [1.0, 1.0, 0.0]
        """
        return memory.basins(self, shares, trials, mode, seed, verbose)

    # ---- state ----

    def _config(self):
        names = ("scale", "tie", "rule", "binary", "margin", "epochs")
        return {name: getattr(self, name) for name in names}

    def _arrays(self):
        arrays = {} if self.patterns is None else {"patterns": self.patterns}
        return {**arrays, "weights": self.M} if self._learnt else arrays

    def load_state_dict(self, state):
        """Takes the patterns and weights of `state`, a dict as `state_dict` returns it; a network that has none yet
        takes any number of them. Raises StateError, a ValueError, when it does not fit; it is then unchanged."""
        if self._net is None:
            arrays = {name: np.asarray(array) for name, array in dict(state).items()}
            model = self._empty(self._config(), {name: (array.dtype, array.shape) for name, array in arrays.items()})
            model._fill({name: np.array(array, order="C") for name, array in arrays.items()})
            self.__dict__.update(model.__dict__)
            return self
        return super().load_state_dict(state)

    def _fill(self, arrays):
        rows = arrays.get("patterns")
        if rows is not None:
            rows = spins("patterns", rows)[0]
            if "weights" in arrays and arrays["weights"].shape != (rows.shape[1],) * 2:
                raise ValueError(f"weights have shape {arrays['weights'].shape}, patterns {rows.shape}")
        self._set(rows, arrays.get("weights"))
        self.result = None

    @classmethod
    def _empty(cls, config, shapes):
        model = cls(**config)
        kinds = {"patterns": np.int8, "weights": np.float64}
        fits = all(
            name in kinds and dtype == kinds[name] and len(shape) == 2 for name, (dtype, shape) in shapes.items()
        )
        if not shapes or not fits:
            raise ValueError(
                f"a Hopfield network has int8 patterns and float64 weights, got {', '.join(sorted(shapes))}"
            )
        return model
