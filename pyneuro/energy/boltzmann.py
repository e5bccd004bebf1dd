"""The Boltzmann machine: visible and hidden units, any couplings between them (lecture 001; Ackley, Hinton, Sejnowski
1985). Hopfield networks, restricted and full machines are one family and differ by a mask (lecture 001)."""

import time

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy import _units
from pyneuro.energy._model import EnergyModel
from pyneuro.energy._training import SLICE, Learning, bar, once
from pyneuro.nn import _check

__all__ = ["BoltzmannMachine"]

SCHEDULE = ((2, 2.0), (2, 1.5), (2, 1.2), (4, 1.0))
STEPS = ("gradient", "sign")


class BoltzmannMachine(EnergyModel):
    """Units s in {0, 1}, the first n_visible of them visible: E(s) = -1/2 s'Ws - b's, p(s) = exp(-E(s) / T) / Z.

    mask: which couplings there are: "full", all; "restricted", between visible and hidden units alone (an RBM);
        "hopfield", visible units alone (n_hidden=0); or a symmetric boolean array (n, n).
    learning_rate, n_iter: a step is learning_rate times the gradient of the log-likelihood, <s_i s_j> with the visible
        units clamped to data minus without, over T; n_iter epochs. batch_size: rows in a step, None: all.
    step: "gradient", or "sign": each coupling goes up or down by learning_rate, as in 1985.
    schedule: (sweeps, temperature) stages of an annealing, in which units are drawn at random, as many in a sweep as
        are free; the last temperature is T. looks: sweeps at T that count after it. repeats: annealings for each row.
    noise: (off, on): a clamped bit that is on is turned off with probability off, one that is off on with probability
        on, which keeps couplings finite. momentum, weight_decay: of the steps.
    seed: of the couplings' first values (normal, 0.01 of T), of order and annealings.

    W (n, n) and b (n,) float64 may be written into, symmetric and with zero diagonal. `history` is the last Learning:
    "difference", the mean |p_ij - p'_ij| over the couplings, and "seconds" of each epoch.

    >>> from pyneuro import energy
    >>> V = [[1, 0, 1, 0], [0, 1, 0, 1]]  # two groups of two units that show the same
    >>> bm = energy.BoltzmannMachine(n_visible=4, n_hidden=1, n_iter=200, learning_rate=0.5, seed=0).fit(V)
    >>> bool(bm.log_likelihood(V).mean() > -2)
    True
    """

    def __init__(
        self, n_visible=4, n_hidden=2, mask="full", learning_rate=0.1, batch_size=None, n_iter=100, step="gradient",
        schedule=SCHEDULE, looks=10, repeats=2, noise=(0.0, 0.0), momentum=0.0, weight_decay=0.0, seed=None, verbose=0,
    ):  # fmt: skip
        name = "BoltzmannMachine"
        self.n_visible = _check.size(name, "n_visible", n_visible)
        self.n_hidden = _check.size(name, "n_hidden", n_hidden, 0)
        self.learning_rate = _check.number(name, "learning_rate", learning_rate, 0)
        self.batch_size = None if batch_size is None else _check.size(name, "batch_size", batch_size)
        self.n_iter = _check.size(name, "n_iter", n_iter, 0)
        self.step = _check.choice(name, "step", step, STEPS)
        self.schedule = self._check_schedule(schedule)
        self.looks = _check.size(name, "looks", looks)
        self.repeats = _check.size(name, "repeats", repeats)
        self.noise = tuple(_check.number(name, "noise", p, 0, 1) for p in noise)
        if len(self.noise) != 2:
            raise ValueError(f"{name}: noise must be two probabilities (off, on), got {noise!r:.80}")
        self.momentum = _check.number(name, "momentum", momentum, 0, 1)
        self.weight_decay = _check.number(name, "weight_decay", weight_decay, 0)
        self.seed = None if seed is None else arguments.seed(name, seed)
        self.verbose = arguments.verbosity(verbose)
        self._mask_name = mask if isinstance(mask, str) else None
        self.mask = self._make_mask(mask)
        self.history = self.result = None
        self._begin(arguments.seed(name, None) if self.seed is None else self.seed)

    # ---- arguments ----

    @staticmethod
    def _check_schedule(schedule):
        try:
            stages = tuple((_check.size("BoltzmannMachine", "sweeps", k, 0), float(t)) for k, t in schedule)
        except (TypeError, ValueError) as error:
            raise ValueError(f"BoltzmannMachine: schedule must be (sweeps, temperature) pairs: {error}") from None
        if not stages or not all(0 < t < np.inf for _, t in stages):
            raise ValueError("BoltzmannMachine: schedule must have a stage, and temperatures above 0")
        return stages

    def _make_mask(self, mask):
        n, nv = self.n, self.n_visible
        if isinstance(mask, str):
            _check.choice("BoltzmannMachine", "mask", mask, ("full", "restricted", "hopfield"))
            if mask == "hopfield" and self.n_hidden:
                raise ValueError(f"BoltzmannMachine: a Hopfield network has no hidden units, got n_hidden={n - nv}")
            visible = np.arange(n) < nv
            found = visible[:, None] != visible if mask == "restricted" else np.ones((n, n), bool)
        else:
            found = np.array(mask, bool)
            if found.shape != (n, n) or (found != found.T).any():
                raise ValueError(f"BoltzmannMachine: mask must be symmetric of shape {(n, n)}, got {found.shape}")
        return found & ~np.eye(n, dtype=bool)

    @property
    def n(self):
        """Number of units."""
        return self.n_visible + self.n_hidden

    @property
    def T(self):
        """The temperature at the end of the schedule, at which the machine is what it is."""
        return self.schedule[-1][1]

    @property
    def _machine(self):
        return self.W, self.b, self.mask.view(np.uint8), self.n_visible

    def _plan(self, schedule=None, looks=None):
        stages = self.schedule if schedule is None else schedule
        sweeps, temperatures = np.array([k for k, _ in stages], np.int64), np.array([t for _, t in stages])
        return sweeps, temperatures, self.looks if looks is None else looks

    def _bits(self, V, width, name="V"):
        rows = _units.rows("BoltzmannMachine", V, width, name=name)
        if not ((rows == 0) | (rows == 1)).all():
            raise ValueError(f"BoltzmannMachine: {name} must be 0 and 1")
        return _units.states(rows, np.uint8)

    # ---- learning ----

    def _begin(self, seed):
        n = self.n
        W = np.triu(_core.normal((n, n), 0.0, 0.01 * self.T, seed, 0, "float64") * self.mask, 1)
        self.W, self.b = W + W.T, np.zeros(n)
        self._state = {}

    def _start_state(self, seed):
        state = {"progress": np.zeros(3, np.int64), "sums": np.zeros(2), "seed": np.array([seed], np.uint64)}
        if self.momentum:
            state |= {"velocity_W": np.zeros_like(self.W), "velocity_b": np.zeros_like(self.b)}
        return state

    def fit(self, V, y=None, *, resume=False, verbose=None):
        """Learns the rows of V (rows, n_visible), 0 and 1, for n_iter epochs from the couplings as they are; y is
        ignored. resume: True goes on where a fit on the same data was interrupted or loaded, up to n_iter epochs in
        all, with the same bits as if it had never stopped. Returns the machine."""
        V = self._bits(V, self.n_visible)
        with once(self, "fit"):
            if not arguments.flag("BoltzmannMachine", "resume", resume):
                seed = arguments.seed("BoltzmannMachine", None) if self.seed is None else self.seed
                self._state, self.history = self._start_state(seed), None
            elif not self._state:
                raise ValueError("BoltzmannMachine: resume=True needs a machine that has been learning")
            elif self._state["progress"][1] >= len(V):
                raise ValueError(f"BoltzmannMachine: learning stopped within more than {len(V)} rows, give the same V")
            return self._learn(V, self.verbose if verbose is None else arguments.verbosity(verbose))

    def _learn(self, V, verbose):
        progress, seed = self._state["progress"], int(self._state["seed"][0])
        if self.history is None:
            self.history = Learning()
            self.history.seed = seed
        self.history.stopped_by = "epochs"
        self._record(0.0)
        try:
            with bar(verbose, self.n_iter, "epoch", int(progress[0])) as shown:
                while progress[0] < self.n_iter:
                    self._epoch(V, seed)
                    if shown is not None:
                        shown.update(1)
        except BaseException as error:
            self.history.stopped_by = type(error).__name__
            raise
        finally:
            self.history.steps = int(progress[2])
        return self

    def _epoch(self, V, seed):
        state, began = self._state, time.perf_counter()
        order = _core.permutation(len(V), seed, int(state["progress"][0]))
        velocities = (state["velocity_W"], state["velocity_b"]) if self.momentum else None
        given = (
            self._machine, self._plan(), V, order, min(self.batch_size or len(V), len(V)), self.repeats, *self.noise,
            self.step == "sign", self.learning_rate, self.momentum, self.weight_decay, seed, velocities,
            state["progress"], state["sums"],
        )  # fmt: skip
        while not _core.bm_train(*given, SLICE):
            pass
        self._record(time.perf_counter() - began)

    def _record(self, seconds):
        """Takes a complete epoch down; one whose end Ctrl-C cut off is taken down when learning goes on."""
        steps, difference = self._state["sums"]
        if steps and not self._state["progress"][1]:
            self.history._add({"difference": difference / steps, "seconds": seconds})
            self._state["sums"][:] = 0

    # ---- looking ----

    def energy(self, s):
        """E(s) of rows s (rows, n), 0 and 1: float64 (rows,)."""
        s = self._bits(s, self.n, "s").astype(np.float64)
        return -0.5 * ((s @ self.W) * s).sum(1) - s @ self.b

    def sample(self, n=1, clamp=None, schedule=None, seed=None):
        """`n` states (n, units) uint8, each by an annealing of its own; its first n_visible columns are visible units.

        clamp: rows (n_visible,) or (n, n_visible) of 0, 1 and -1: what visible units are held at, -1 free, the same
        ones in all rows. schedule: other stages than the machine's. After Ctrl-C `result` holds the complete ones.
        """
        n, seed = _check.size("BoltzmannMachine", "n", n), arguments.seed("BoltzmannMachine", seed)
        plan = self._plan(None if schedule is None else self._check_schedule(schedule), 0)
        states, fixed = np.zeros((n, self.n), np.uint8), np.zeros(self.n, np.uint8)
        if clamp is not None:
            held = np.broadcast_to(np.asarray(clamp), (n, self.n_visible))
            if not np.isin(held, (-1, 0, 1)).all() or ((held < 0) != (held[0] < 0)).any():
                raise ValueError(
                    "BoltzmannMachine: clamp must be 0, 1 and -1, the last in the same columns of all rows"
                )
            states[:, : self.n_visible], fixed[: self.n_visible] = held == 1, held[0] >= 0
        done = np.zeros(n, np.uint8)
        try:
            _core.bm_sample(self._machine, states, fixed, plan, seed, 0, done)
        finally:
            self.result = states[done == 1]
        return states

    def _enumerate(self, v=None, pairs=False):
        """ln Z, and <s_i s_j> or None, over all units, or over the hidden ones with the visible ones at v."""
        state, fixed = np.zeros(self.n, np.uint8), np.zeros(self.n, np.uint8)
        if v is not None:
            state[: self.n_visible], fixed[: self.n_visible] = v, 1
        means = np.empty((self.n, self.n)) if pairs else None
        return _core.bm_enumerate(self._machine, state, fixed, self.T, means), means

    def lnZ(self):
        """The exact ln Z at T, by enumeration of at most 25 units.

        >>> from pyneuro import energy
        >>> bm = energy.BoltzmannMachine(n_visible=3, n_hidden=0, mask="hopfield")
        >>> bm.W[...] = 0
        >>> round(bm.lnZ(), 12) == round(3 * 0.6931471805599453, 12)
        True
        """
        return self._enumerate()[0]

    def exact(self):
        """(ln Z, <s_i s_j>) at T: a float and float64 (n, n), whose diagonal holds the means of s_i."""
        return self._enumerate(pairs=True)

    def log_likelihood(self, V):
        """ln p(v) of each row of V (rows, n_visible), exact, float64 (rows,): at most 25 units."""
        V, lnZ = self._bits(V, self.n_visible), self.lnZ()
        return np.array([self._enumerate(v)[0] for v in V]) - lnZ

    def gradient(self, V):
        """The exact gradient (dW, db) of the mean log-likelihood of V by the couplings that there are, float64 (n, n)
        and (n,); dW_ij is the derivative by the one number W_ij = W_ji."""
        V = self._bits(V, self.n_visible)
        clamped = sum(self._enumerate(v, pairs=True)[1] for v in V) / len(V)
        difference = (clamped - self.exact()[1]) / self.T
        return difference * self.mask, difference.diagonal().copy()

    # ---- the family ----

    @classmethod
    def from_rbm(cls, rbm, **given):
        """The same machine as a binary RBM."""
        if rbm.visible != "binary" or rbm.W is None:
            raise ValueError("BoltzmannMachine: from_rbm takes an RBM of binary units that has weights")
        bm = cls(rbm.n_visible, rbm.n_components, mask="restricted", **given)
        nv = bm.n_visible
        bm.W[:nv, nv:], bm.W[nv:, :nv] = rbm.W, rbm.W.T
        bm.b[:nv], bm.b[nv:] = rbm.b, rbm.c
        return bm

    @classmethod
    def from_hopfield(cls, M, **given):
        """The machine of the couplings M (n, n) of spins -1 and +1, a Hopfield network's: s = 2u - 1 gives W = 4M and
        b_i = -2 sum_j M_ij; energies differ by the constant 1/2 sum M."""
        M = np.asarray(getattr(M, "M", M), np.float64)
        bm = cls(len(M), 0, mask="hopfield", **given)
        bm.W[...], bm.b[...] = 4 * M, -2 * M.sum(1)
        return bm

    # ---- files ----

    def _config(self):
        names = (
            "n_visible", "n_hidden", "learning_rate", "batch_size", "n_iter", "step", "schedule", "looks", "repeats",
            "noise", "momentum", "weight_decay", "seed",
        )  # fmt: skip
        return {**{name: getattr(self, name) for name in names}, "mask": self._mask_name or self.mask.tolist()}

    def _arrays(self):
        return {"W": self.W, "b": self.b, **self._state}

    def load_state_dict(self, state):
        """Takes W, b and, where `state` holds them, the arrays of a learning, which `fit(resume=True)` goes on with."""
        kept, state = self._state, dict(state)
        try:
            self._state = self._start_state(0) if set(state) - {"W", "b"} else {}
            return super().load_state_dict(state)
        except BaseException:
            self._state = kept
            raise

    def _fill(self, arrays):
        from pyneuro.nn._state import StateError

        W, b = arrays.pop("W"), arrays.pop("b")
        if not (np.isfinite(W).all() and np.isfinite(b).all()):
            raise StateError("BoltzmannMachine: W and b of the state must be finite")
        if (W != W.T).any() or W.diagonal().any():
            raise StateError("BoltzmannMachine: W of the state must be symmetric with zero diagonal")
        self.W[...], self.b[...] = W, b
        self._state = arrays
