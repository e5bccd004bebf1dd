"""The restricted Boltzmann machine: visible and hidden units, no couplings within a layer (Smolensky 1986)."""

import time

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy import _partition, _units
from pyneuro.energy._model import EnergyModel
from pyneuro.energy._training import SLICE, Learning, bar, once
from pyneuro.nn import _check

__all__ = ["RBM"]

STATE = ("lanes", "progress", "sums", "seed")  # of every learning; others by its kind
MEASURED = 20  # batches of an epoch on which learning is measured, about


class RBM(EnergyModel):
    """A restricted Boltzmann machine: E(v, h) = -b'v - c'h - v'Wh with hidden units h in {0, 1}.

    n_components: number of hidden units. learning_rate, batch_size: of the gradient steps. n_iter: epochs of `fit`.
    k: sweeps of the chains before each step.
    persistent: True keeps the chains from step to step (PCD, Tieleman 2008), False lets them begin at the data (CD-k,
        Hinton 2002). n_chains: how many persistent ones; None: batch_size.
    seed: of weights, order of rows and chains; None draws one, `history.seed` tells.
    visible: "binary" (data from 0 to 1), "gaussian" (standard deviation `sigma`, a number or one a unit) or "softmax"
        (groups of `classes` units of which one is 1).
    temperatures: a number above 1 lets that many tempered copies of each chain exchange states (Desjardins 2010).
    momentum, weight_decay: of W, as in SGD: the step is lr (gradient - weight_decay W), or its running sum.
    sparsity: how strongly the mean activity of hidden units is pulled to sparsity_target; 0: not at all.
    shuffle: rows come in a new order each epoch. n_visible: None takes it from the data of the first fit.
    dtype: "float32" or "float64". verbose: 1 shows a progress bar in `fit`.

    W (n_visible, n_components), b (n_visible,) and c (n_components,) are arrays that may be written into.
    `history` is the last Learning, also after Ctrl-C: mean squared "reconstruction_error", "seconds" and, for binary
    units, "pseudo_likelihood" of each epoch, measured along the way.

    >>> import numpy as np
    >>> from pyneuro import energy
    >>> bars = np.repeat(np.eye(4), 4, axis=1)  # four patterns of 16 pixels
    >>> rbm = energy.RBM(n_components=8, learning_rate=0.1, batch_size=4, n_iter=200, seed=0).fit(bars)
    >>> rbm.transform(bars).shape, rbm.history["pseudo_likelihood"][-1] > rbm.history["pseudo_likelihood"][0]
    ((4, 8), True)
    """

    def __init__(
        self, n_components=256, learning_rate=0.05, batch_size=64, n_iter=10, k=1, persistent=True, seed=None, *,
        visible="binary", classes=None, sigma=1.0, n_chains=None, temperatures=None, momentum=0.0, weight_decay=0.0,
        sparsity=0.0, sparsity_target=0.1, shuffle=True, n_visible=None, dtype="float32", verbose=0,
    ):  # fmt: skip
        name = type(self).__name__
        self.n_components = _check.size(name, "n_components", n_components)
        self.learning_rate = _check.number(name, "learning_rate", learning_rate, 0)
        self.batch_size = _check.size(name, "batch_size", batch_size)
        self.n_iter = _check.size(name, "n_iter", n_iter, 0)
        self.k = _check.size(name, "k", k)
        self.persistent = arguments.flag(name, "persistent", persistent)
        self.seed = None if seed is None else arguments.seed(name, seed)
        self.visible = _check.choice(name, "visible", visible, _units.VISIBLE)
        self.classes = self._check_classes(classes)
        self.sigma = self._check_sigma(sigma)
        self.n_chains = None if n_chains is None else _check.size(name, "n_chains", n_chains)
        self.temperatures = None if temperatures is None else _check.size(name, "temperatures", temperatures, 2)
        if self.temperatures and not self.persistent:
            raise ValueError(f"{name}: temperatures are for persistent chains, got persistent=False")
        self.momentum = _check.number(name, "momentum", momentum, 0, 1)
        self.weight_decay = _check.number(name, "weight_decay", weight_decay, 0)
        self.sparsity = _check.number(name, "sparsity", sparsity, 0)
        self.sparsity_target = _check.number(name, "sparsity_target", sparsity_target, 0, 1)
        self.shuffle = arguments.flag(name, "shuffle", shuffle)
        self.dtype = _check.choice(name, "dtype", dtype, ("float32", "float64"))
        self.verbose = arguments.verbosity(verbose)
        self._takes_all = False  # scikit-learn's estimator promises to learn any finite numbers
        self.W = self.b = self.c = None
        self.history = None
        self.result = None
        self._state = {}
        if n_visible is not None:
            self._begin(_check.size(name, "n_visible", n_visible), self._fresh_seed())

    # ---- arguments ----

    def _check_classes(self, classes):
        if self.visible != "softmax":
            if classes is not None:
                raise ValueError(f"RBM: classes is for softmax units, visible is {self.visible!r}")
            return None
        if classes is None:
            raise ValueError("RBM: softmax units need classes, the number of units in each group")
        return _check.size("RBM", "classes", classes, 2)

    def _check_sigma(self, sigma):
        array = np.asarray(sigma, np.float64)
        if array.ndim > 1 or not (np.isfinite(array) & (array > 0)).all():
            raise ValueError(f"RBM: sigma must be positive, one number or one for each visible unit, got {sigma!r:.80}")
        if self.visible != "gaussian" and (array != 1).any():
            raise ValueError(f"RBM: sigma is for gaussian units, visible is {self.visible!r}")
        return float(array) if array.ndim == 0 else array

    def _fresh_seed(self):
        return arguments.seed("RBM", None) if self.seed is None else self.seed

    @classmethod
    def from_weights(cls, W, b=None, c=None, **given):
        """A machine with W (n_visible, n_components), b (n_visible,) and c (n_components,); None: zeros. Other
        arguments as in the constructor; dtype is "float64" unless given.

        >>> from pyneuro import energy
        >>> energy.RBM.from_weights([[1.0, -1.0], [0.5, 0.0], [-0.5, 2.0]]).n_visible
        3
        """
        weights = np.asarray(W, np.float64)
        if weights.ndim != 2 or 0 in weights.shape:
            raise ValueError(f"RBM: W must have shape (n_visible, n_components), got {weights.shape}")
        rbm = cls(weights.shape[1], n_visible=weights.shape[0], **{"dtype": "float64", **given})
        arrays = {"W": weights, "b": np.zeros(len(weights)) if b is None else b}
        arrays["c"] = np.zeros(weights.shape[1]) if c is None else c
        for name, array in arrays.items():
            own, array = getattr(rbm, name), np.asarray(array, np.float64)
            if array.shape != own.shape:
                raise ValueError(f"RBM: {name} must have shape {own.shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"RBM: {name} has numbers that are not finite")
            own[...] = array
        return rbm

    @property
    def n_visible(self):
        """Number of visible units; None before the first fit."""
        return None if self.W is None else len(self.W)

    def _ready(self):
        if self.W is None:
            raise RuntimeError("this RBM has no weights yet: call fit first, or give n_visible")
        return self

    @property
    def _machine(self):
        """What functions of the core take: arrays of one type, contiguous, their shapes as they were made."""
        self._ready()
        kind = {"binary": 1, "gaussian": 0, "softmax": self.classes}[self.visible]
        return self.W, self.b, self.c, kind

    def _scale(self):
        """What the core multiplies data by, or None: units of variance 1 are inside."""
        if self.visible != "gaussian" or (np.ndim(self.sigma) == 0 and self.sigma == 1):
            return None
        return np.array(np.broadcast_to(1 / np.asarray(self.sigma), (self.n_visible,)), self.dtype)

    def _rows(self, X, name="X"):
        return self._data(X, self._ready().n_visible, name)

    def _data(self, X, n_visible=None, name="X"):
        visible = "gaussian" if self._takes_all else self.visible
        return _units.rows("RBM", X, n_visible, visible, self.classes, name)

    # ---- learning ----

    def _begin(self, n_visible, seed):
        """Small random weights, biases 0, nothing learnt."""
        if self.visible == "softmax" and n_visible % self.classes:
            raise ValueError(f"RBM: {n_visible} visible units cannot be cut into groups of {self.classes}")
        if np.ndim(self.sigma) and len(self.sigma) != n_visible:
            raise ValueError(f"RBM: sigma has {len(self.sigma)} numbers for {n_visible} visible units")
        _check.memory("RBM", "W", (n_visible, self.n_components), self.dtype)
        W = _core.normal((n_visible, self.n_components), 0.0, 0.01, seed, 0, self.dtype)
        self.W, self.b, self.c = W, np.zeros(n_visible, self.dtype), np.zeros(self.n_components, self.dtype)
        self._state = {}

    @property
    def _kind(self):
        return "cd" if not self.persistent else "pt" if self.temperatures else "pcd"

    def _start_state(self, rows, seed):
        """Everything that decides how learning goes on, before its first step."""
        batch = min(self.batch_size, rows)
        chains = batch if self._kind == "cd" else (self.n_chains or batch) * (self.temperatures or 1)
        _check.memory("RBM", "chains", (chains, max(self.W.shape)), self.dtype)
        state = {
            "lanes": np.empty((chains, 32), np.uint64),
            "progress": np.zeros(3, np.int64),
            "sums": np.zeros(4),
            "seed": np.array([seed], np.uint64),
        }
        _core.lanes_seed(state["lanes"], seed, 16)
        if self._kind != "cd":
            state["chain"] = np.zeros((chains, self.n_components), self.dtype)
        if self.momentum:
            for name in ("W", "b", "c"):
                state[f"velocity_{name}"] = np.zeros_like(getattr(self, name))
        if self.sparsity:
            state["activity"] = np.zeros(self.n_components)
        return state

    def fit(self, X, y=None, *, resume=False, verbose=None):
        """Learns `X` (n, n_visible) for `n_iter` epochs, beginning with new weights; y is ignored. Returns the machine.

        X: any numeric array, read row by row. resume: True goes on where an earlier fit on the same data was
        interrupted or loaded, up to `n_iter` epochs in all, with the same bits as if it had never stopped.
        Raises FloatingPointError when learning runs away; the weights are those of the last good step.
        """
        X = self._data(X)
        with once(self, "fit"):
            if arguments.flag("RBM", "resume", resume):
                self._ready()
                if not self._state:
                    raise ValueError("RBM: resume=True needs a machine that has been learning")
                self._rows(X)
            else:
                seed = self._fresh_seed()
                self._begin(int(np.prod(X.shape[1:])), seed)
                self._state = self._start_state(len(X), seed)
                self.history = None
            return self._learn(X, self.n_iter, self.verbose if verbose is None else arguments.verbosity(verbose))

    def partial_fit(self, X, y=None):
        """One more epoch over `X` from the weights as they are; persistent chains go on. Returns the machine."""
        X = self._data(X, self.n_visible)
        with once(self, "partial_fit"):
            if self.W is None:
                self._begin(int(np.prod(X.shape[1:])), self._fresh_seed())
            if not self._state:
                self._state = self._start_state(len(X), self._fresh_seed())
            self._state["progress"][1] = 0
            self._state["sums"][:] = 0
            return self._learn(X, int(self._state["progress"][0]) + 1, 0)

    def _learn(self, X, until, verbose):
        state, rows = self._state, len(X)
        progress, seed = state["progress"], int(state["seed"][0])
        if progress[1] >= rows:
            raise ValueError(f"RBM: learning stopped at row {progress[1]} of an epoch, X has only {rows} rows")
        if self.history is None or self.history.seed != seed:
            self.history = Learning()
            self.history.seed = seed
        self.history.stopped_by = "epochs"
        self._record(0.0)
        try:
            with bar(verbose, until, "epoch", int(progress[0])) as shown:
                while progress[0] < until:
                    self._epoch(X, seed, shown)
        except BaseException as error:
            self.history.stopped_by = type(error).__name__
            raise
        finally:
            self.history.steps = int(progress[2])
        return self

    def _epoch(self, X, seed, shown):
        """The rest of the epoch that has begun."""
        state, began = self._state, time.perf_counter()
        order = _core.permutation(len(X), seed, int(state["progress"][0])) if self.shuffle else None
        step = self._stepper(X, order, seed)
        while not step():
            if shown is not None:
                shown.update(state["progress"][0] + state["progress"][1] / len(X) - shown.n)
        values = self._record(time.perf_counter() - began)
        if shown is not None:
            shown.update(int(state["progress"][0]) - shown.n)
            shown.set_postfix({k: f"{v:.4g}" for k, v in values.items() if k != "seconds"}, refresh=False)

    def _record(self, seconds):
        """Takes a complete epoch down; one whose end Ctrl-C cut off is taken down when learning goes on."""
        measured, error, sites, pseudo = self._state["sums"]
        if self._state["progress"][1] or not measured:
            return None
        values = {"reconstruction_error": error / measured, "seconds": seconds}
        if self.visible == "binary":
            values["pseudo_likelihood"] = pseudo / sites * self.n_visible
        self.history._add(values)
        self._state["sums"][:] = 0
        return values

    def _stepper(self, X, order, seed):
        """A function that trains for a moment and says whether the epoch is complete."""
        state, rows = self._state, len(X)
        batch = min(self.batch_size, rows)
        chains = len(state["lanes"]) // (self.temperatures or 1)
        if self._kind == "cd":
            batch = min(batch, chains)
        beta = np.linspace(0, 1, self.temperatures) if self.temperatures else None
        velocities = tuple(state[f"velocity_{name}"] for name in ("W", "b", "c")) if self.momentum else None
        every = max(1, -(-rows // batch) // MEASURED)
        given = (
            self._machine, X, self._scale(), order, self._kind, beta, state.get("chain"), state["lanes"], velocities,
            state.get("activity"), state["progress"], state["sums"], batch, self.k, chains, self.learning_rate,
            self.momentum, self.weight_decay, self.sparsity, self.sparsity_target, seed, every,
        )  # fmt: skip
        return lambda: _core.rbm_train(*given, SLICE)

    # ---- looking ----

    def transform(self, X):
        """Probabilities of the hidden units given each row of X (n, n_visible): (n, n_components)."""
        return _core.rbm_look(self._machine, self._rows(X), self._scale(), "hidden")

    def fit_transform(self, X, y=None):
        """`fit(X)`, then `transform(X)`."""
        return self.fit(X).transform(X)

    def free_energy(self, X):
        """F(v) = -log sum_h exp(-E(v, h)) of each row of X (n, n_visible): float64 (n,)."""
        return _core.rbm_look(self._machine, self._rows(X), self._scale(), "free_energy")

    def reconstruct(self, X):
        """Means of the visible units given the hidden probabilities of each row of X: (n, n_visible)."""
        return self._outside(_core.rbm_look(self._machine, self._rows(X), self._scale(), "reconstruction"))

    def energy(self, v, h):
        """E(v, h) of rows v (n, n_visible) with rows h (n, n_components): float64 (n,)."""
        v, h = self._rows(v, "v"), _units.rows("RBM", h, self.n_components, name="h")
        if len(v) != len(h):
            raise ValueError(f"RBM: v has {len(v)} rows, h has {len(h)}")
        v, h = (a.reshape(len(a), -1).astype(np.float64) for a in (v, h))
        W, b, c = (a.astype(np.float64) for a in (self.W, self.b, self.c))
        if self.visible == "gaussian":
            v = v / np.asarray(self.sigma)
            return ((v - b) ** 2).sum(1) / 2 - h @ c - ((v @ W) * h).sum(1)
        return -(v @ b) - h @ c - ((v @ W) * h).sum(1)

    def pseudo_likelihood(self, X, sites=None, seed=None):
        """Pseudo-log-likelihood sum_i log p(v_i | all others) of each row of X (n, n_visible), float64 (n,); for binary
        units. sites: None is exact; a number takes so many units, drawn anew for each row, which is unbiased and quick.
        """
        if self.visible != "binary":
            raise ValueError(f"RBM: the pseudo-likelihood is for binary visible units, visible is {self.visible!r}")
        sites = 0 if sites is None else _check.size("RBM", "sites", sites)
        return _core.rbm_pseudo(self._machine, self._rows(X), sites, arguments.seed("RBM", seed))

    def score_samples(self, X):
        """The exact pseudo-log-likelihood of each row, float64 (n,): see `pseudo_likelihood`."""
        return self.pseudo_likelihood(X)

    def filters(self, shape, columns=None, which=None):
        """What hidden units look at, as one picture (height, width) of tiles, float: the columns of W, each of `shape`
        (h, w) and scaled to -1..1, with a border of zeros between. columns: tiles in a row, None: about a square.
        which: numbers of the units; None: all.

        >>> from pyneuro import energy
        >>> energy.RBM(n_components=6, n_visible=12, seed=0).filters((3, 4), columns=3).shape
        (7, 14)
        """
        h, w = (_check.size("RBM", "shape", side) for side in shape)
        if h * w != self._ready().n_visible:
            raise ValueError(f"RBM: shape {h} x {w} has {h * w} pixels, there are {self.n_visible} visible units")
        tiles = (self.W.T if which is None else self.W.T[np.asarray(which)]).reshape(-1, h, w)
        columns = int(np.ceil(len(tiles) ** 0.5)) if columns is None else _check.size("RBM", "columns", columns)
        rows = -(-len(tiles) // columns)
        picture = np.zeros((rows * (h + 1) - 1, columns * (w + 1) - 1), self.W.dtype)
        for i, tile in enumerate(tiles):
            y, x = i // columns * (h + 1), i % columns * (w + 1)
            picture[y : y + h, x : x + w] = tile / max(abs(tile).max(), 1e-30)
        return picture

    # ---- exact values, and Z ----

    def exact(self):
        """ln Z and the means <v_i>, <h_j>, <v_i h_j> of the machine, as Moments, by enumeration of its smaller layer
        (the hidden one unless the units are binary): at most 25 units; 2^20 states of 784 units take about a second.
        Gaussian units: means are of v / sigma.

        >>> from pyneuro import energy
        >>> W = [[1, -1], [0.5, 0], [-0.5, 2]]
        >>> round(energy.RBM.from_weights(W, b=[0.1, -0.2, 0.3], c=[-0.5, 0.25]).exact().lnZ, 10)
        4.4138106127
        """
        return _partition.enumerated(self)

    def lnZ(self):
        """The exact ln Z, a float: see `exact`; beyond 25 units on both sides see `ais`."""
        return _partition.enumerated(self, moments=False)

    def ais(self, chains=100, betas=1000, X=None, seed=None, verbose=0):
        """An estimate of ln Z with error bars, as AIS, by annealed importance sampling (Neal 2001; Salakhutdinov and
        Murray 2008): `chains` go from independent units to this machine.

        betas: inverse temperatures rising from 0 to 1, or how many evenly spaced ones. X: data whose means make the
        independent units alike, which helps; None takes the machine's own visible biases. Each chain has random numbers
        of its own.

        >>> from pyneuro import energy
        >>> rbm = energy.RBM.from_weights([[1, -1], [0.5, 0], [-0.5, 2]])
        >>> estimate = rbm.ais(chains=200, betas=100, seed=0)
        >>> abs(estimate.lnZ - rbm.lnZ()) < 5 * estimate.error
        True
        """
        return _partition.ais(self._ready(), chains, betas, X, seed, verbose)

    def log_likelihood(self, X, lnZ=None):
        """ln p(v) = -F(v) - ln Z of each row of X, float64 (n,). lnZ: from `ais`, say; None computes the exact one."""
        lnZ = self.lnZ() if lnZ is None else _check.number("RBM", "lnZ", lnZ)
        return -self.free_energy(X) - lnZ

    def gradient(self, X):
        """The exact gradient (dW, db, dc) of the mean log-likelihood of X, float64: <v h> over the data minus <v h> of
        the machine, by enumeration as in `exact`."""
        return _partition.gradient(self, X)

    def expected_cd(self, X, k=1):
        """(dW, db, dc) that CD-k estimates on average: over the data minus after k sweeps from them, exact. It is not
        the gradient. Binary units, at most 24 in all; X of 0 and 1."""
        return _partition.expected_cd(self._ready(), X, k)

    def _outside(self, v):
        return v if self._scale() is None else v * np.asarray(self.sigma, v.dtype)

    # ---- chains ----

    def gibbs(self, v, steps=1, seed=None, means=False, verbose=0):
        """`steps` sweeps of Gibbs sampling from each row of v (n, n_visible): hidden units given visible ones and back.

        Returns the states (n, n_visible), or the probabilities (means) from which the last ones were drawn. Each row
        has random numbers of its own: the same bits for any number of threads. After Ctrl-C `result` holds the states
        as far as they came.

        >>> from pyneuro import energy
        >>> energy.RBM(n_components=2, n_visible=3, seed=0).gibbs([[0, 1, 1]], steps=10, seed=1).shape
        (1, 3)
        """
        steps, means = _check.size("RBM", "steps", steps, 0), arguments.flag("RBM", "means", means)
        rows = _units.states(self._rows(v, "v"), self.dtype)
        scale = self._scale()
        if scale is not None:
            rows *= scale
        lanes = np.empty((len(rows), 32), np.uint64)
        _core.lanes_seed(lanes, arguments.seed("RBM", seed), 0)
        return self._run(rows, lanes, steps, means, verbose)

    def _run(self, rows, lanes, steps, means, verbose):
        done, some = 0, 1
        hidden = np.empty((len(rows), self.n_components), self.dtype)
        mean = rows.copy() if means else None
        self.result = self._outside(rows)
        with bar(verbose, steps, "sweep") as shown:
            while done < steps:
                some = min(some, steps - done)
                next_rows, next_lanes, began = rows.copy(), lanes.copy(), time.perf_counter()
                _core.rbm_gibbs(self._machine, next_rows, hidden, mean, next_lanes, some, 1.0)
                rows, lanes, done = next_rows, next_lanes, done + some
                self.result = self._outside(mean if means else rows)
                if shown is not None:
                    shown.update(some)
                some = max(1, int(some * min(2.0, SLICE / max(time.perf_counter() - began, 1e-6))))
        return self.result

    def sample(self, n=1, steps=1000, seed=None, start=None, means=False, verbose=0):
        """`n` states of the visible units (n, n_visible) after `steps` sweeps, from random states or the rows `start`.

        means: True gives the probabilities from which the last states were drawn, which make smoother pictures.
        """
        n = _check.size("RBM", "n", n)
        seed = arguments.seed("RBM", seed)
        if start is None:
            start = self._random_states(n, seed)
        elif len(np.asarray(start)) != n:
            raise ValueError(f"RBM: start has {len(np.asarray(start))} rows, n is {n}")
        return self.gibbs(start, steps, seed, means, verbose)

    def _random_states(self, n, seed):
        shape = (n, self._ready().n_visible)
        if self.visible == "gaussian":
            return self._outside(_core.normal(shape, 0.0, 1.0, seed, 1, self.dtype) + self.b)
        uniform = _core.uniform(shape, 0.0, 1.0, seed, 1, self.dtype)
        if self.visible == "binary":
            return (uniform < 0.5).astype(self.dtype)
        groups = uniform.reshape(n, -1, self.classes)
        return (groups == groups.max(-1, keepdims=True)).astype(self.dtype).reshape(shape)

    # ---- files ----

    def _config(self):
        names = (
            "n_components", "learning_rate", "batch_size", "n_iter", "k", "persistent", "seed", "visible", "classes",
            "n_chains", "temperatures", "momentum", "weight_decay", "sparsity", "sparsity_target", "shuffle", "dtype",
        )  # fmt: skip
        sigma = self.sigma if np.ndim(self.sigma) == 0 else self.sigma.tolist()
        return {**{name: getattr(self, name) for name in names}, "sigma": sigma}

    def _arrays(self):
        self._ready()
        return {"W": self.W, "b": self.b, "c": self.c, **self._state}

    def _fill(self, arrays):
        from pyneuro.nn._state import StateError

        arrays = dict(arrays)
        for name in ("W", "b", "c"):
            if not np.isfinite(arrays[name]).all():
                raise StateError(f"RBM: {name} of the state is not finite")
        for name in ("W", "b", "c"):
            getattr(self, name)[...] = arrays.pop(name)
        self._state = arrays

    def load_state_dict(self, state):
        """Takes W, b, c of `state` and, where it holds them, the arrays of a learning, which then goes on with
        `fit(resume=True)`. Raises StateError, a ValueError, when names, types or shapes do not fit; the machine is then
        unchanged."""
        state = dict(state)
        kept, own_state = (self.W, self.b, self.c), self._state
        extra = {name: np.asarray(a) for name, a in state.items() if name not in ("W", "b", "c")}
        if self.W is None and np.ndim(state.get("W")) == 2:
            self._begin(len(state["W"]), 0)
        try:
            self._state = self._template(extra) if extra else {}
            return super().load_state_dict(state)
        except BaseException:
            (self.W, self.b, self.c), self._state = kept, own_state
            raise

    def _template(self, extra):
        """Arrays of a learning of this machine, with as many chains as the state has."""
        lanes = extra.get("lanes")
        count = len(lanes) // (self.temperatures or 1) if lanes is not None and lanes.ndim == 2 else 1
        kept = self.n_chains, self.batch_size
        try:
            self.n_chains = self.batch_size = max(1, count)
            return self._start_state(self.batch_size, 0)
        finally:
            self.n_chains, self.batch_size = kept

    @classmethod
    def _empty(cls, config, shapes):
        if "sigma" in config and isinstance(config["sigma"], list):
            config = {**config, "sigma": np.array(config["sigma"])}
        return cls(**config)
