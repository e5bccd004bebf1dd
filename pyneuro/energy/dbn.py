"""The deep belief network: restricted Boltzmann machines on top of each other (Hinton, Osindero, Teh 2006)."""

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy import _units
from pyneuro.energy._model import EnergyModel
from pyneuro.energy._training import bar, once
from pyneuro.energy.rbm import RBM
from pyneuro.nn import _check

__all__ = ["DBN"]

GIVEN = ("learning_rate", "batch_size", "n_iter", "k", "persistent", "visible", "classes", "momentum", "weight_decay")


class DBN(EnergyModel):
    """A deep belief network with `layers` of hidden units, lowest first: [500, 500, 2000], say.

    Each layer is an RBM that learns the hidden probabilities of the one below (`fit`, greedy, layer by layer).
    `fine_tune` unties the way up (recognition) from the way down (generation) and trains both by the up-down algorithm;
    the top two layers stay an RBM. `to_network` and `to_autoencoder` give networks for back-propagation.

    learning_rate, batch_size, n_iter, k, persistent, momentum, weight_decay: of every RBM. visible, classes: kind of
    the lowest units, "binary", "gaussian" or "softmax". seed: layer i uses its own stream. dtype: "float32" or
    "float64".

    rbms: list of the RBMs. generative: for all layers but the top one (W, b) of the way down, float arrays.

    >>> import numpy as np
    >>> from pyneuro import energy
    >>> X = np.repeat(np.eye(4), 4, axis=1)
    >>> dbn = energy.DBN([12, 6], n_iter=50, batch_size=4, seed=0).fit(X)
    >>> dbn.transform(X).shape, dbn.sample(3, steps=10, seed=1).shape
    ((4, 6), (3, 16))
    """

    def __init__(
        self, layers, learning_rate=0.05, batch_size=64, n_iter=10, k=1, persistent=True, seed=None, *,
        visible="binary", classes=None, momentum=0.0, weight_decay=0.0, dtype="float32", verbose=0,
    ):  # fmt: skip
        if not isinstance(layers, (list, tuple)) or not layers:
            raise ValueError(f"DBN: layers must be a list of numbers of hidden units, got {layers!r:.80}")
        self.layers = [_check.size("DBN", "layers", n) for n in layers]
        self.dtype, self.verbose = dtype, arguments.verbosity(verbose)
        self.seed = None if seed is None else arguments.seed("DBN", seed)
        here = locals()
        self._given = {name: here[name] for name in GIVEN}
        self._make(arguments.seed("DBN", self.seed))

    def _make(self, seed):
        """Machines without weights."""
        self.rbms, self.generative, self.tuned = [], [], np.zeros(1, np.int64)
        for i, n in enumerate(self.layers):
            given = dict(self._given) if i == 0 else {**self._given, "visible": "binary", "classes": None}
            self.rbms.append(RBM(n, seed=(seed + i) % (1 << 64), dtype=self.dtype, **given))

    @property
    def history(self):
        """The histories of the RBMs, lowest first: a list, None for layers that have not learnt."""
        return [rbm.history for rbm in self.rbms]

    def _ready(self):
        if any(rbm.W is None for rbm in self.rbms):
            raise RuntimeError("this DBN has no weights yet: call fit first")
        return self

    # ---- learning ----

    def fit(self, X, y=None, *, resume=False, verbose=None):
        """Greedy learning of X (n, n_visible): each layer n_iter epochs, the lowest first; y is ignored. resume: True
        goes on where a fit on the same data was interrupted or loaded, with the same bits. Returns the network."""
        shown = self.verbose if verbose is None else arguments.verbosity(verbose)
        resume = arguments.flag("DBN", "resume", resume)
        X = self.rbms[0]._data(X)
        with once(self, "fit"):
            if not resume:
                self._make(arguments.seed("DBN", self.seed))
            for rbm in self.rbms:
                rbm.fit(X, resume=resume and bool(rbm._state), verbose=shown)
                X = rbm.transform(X)
            return self

    def _untie(self):
        if not self.generative:
            self.generative = [(rbm.W.copy(), rbm.b.copy()) for rbm in self.rbms[:-1]]

    def fine_tune(self, X, n_iter=10, learning_rate=0.01, k=3, verbose=0):
        """n_iter epochs of the up-down algorithm on X (n, n_visible): states drawn on the way up teach the way down,
        the top RBM learns them and runs k sweeps, and states drawn on the way down teach the way up. Returns the
        network; interrupted, it is as after the last complete epoch. Binary units.

        States are drawn once an epoch for all rows. n and then m epochs are the same bits as n + m.
        """
        if self.rbms[0].visible != "binary":
            raise ValueError(f"DBN: fine_tune is for binary visible units, visible is {self.rbms[0].visible!r}")
        n_iter, k = _check.size("DBN", "n_iter", n_iter, 0), _check.size("DBN", "k", k)
        learning_rate = _check.number("DBN", "learning_rate", learning_rate, 0)
        X = _units.states(self._ready().rbms[0]._rows(X), self.dtype)
        with once(self, "fine_tune"), bar(arguments.verbosity(verbose), n_iter, "epoch") as shown:
            self._untie()
            for _ in range(n_iter):
                kept = self.state_dict()
                try:
                    self._up_down(X, learning_rate, k)
                    self.tuned[0] += 1
                except BaseException:
                    self._fill(kept)
                    raise
                if shown is not None:
                    shown.update(1)
        return self

    def _up_down(self, X, learning_rate, k):
        seed, top = self._epoch_seed(), self.rbms[-1]
        wake = [X]
        for i, rbm in enumerate(self.rbms[:-1]):
            wake.append(_drawn(rbm.W, rbm.c, wake[-1], seed + i))
        for i in range(len(self.generative)):
            W, b = self.generative[i]
            self._teach(W, b, wake[i + 1], wake[i], learning_rate, seed + 100 + i)
        kept, top.learning_rate = top.learning_rate, learning_rate
        try:
            top.partial_fit(wake[-1])
        finally:
            top.learning_rate = kept
        sleep = [top.gibbs(wake[-1], k, seed=seed + 200)]
        for i in reversed(range(len(self.generative))):
            W, b = self.generative[i]
            sleep.append(_drawn(np.ascontiguousarray(W.T), b, sleep[-1], seed + 300 + i))
        sleep.reverse()
        for i, rbm in enumerate(self.rbms[:-1]):
            up = np.ascontiguousarray(rbm.W.T)
            self._teach(up, rbm.c, sleep[i], sleep[i + 1], learning_rate, seed + 400 + i)
            rbm.W[...] = up.T

    def _epoch_seed(self):
        return (int(self.rbms[0].seed) + 1000 * (1 + int(self.tuned[0]))) % (1 << 63)

    def _teach(self, W, b, x, y, learning_rate, seed):
        """The delta rule: W (outputs, inputs) and b predict y from x; one epoch of a logistic layer, in place."""
        from pyneuro import nn, optim

        layer = nn.Linear(W.shape[1], W.shape[0])
        layer.to(self.dtype)
        layer.load_state_dict({"weight": W, "bias": b})
        rate = optim.SGD(lr=learning_rate * W.shape[0])  # the loss is a mean over outputs
        batch = self._given["batch_size"]
        layer.fit(x, y, loss="bce_with_logits", optimizer=rate, epochs=1, batch_size=batch, seed=seed, verbose=0)
        W[...], b[...] = layer.weight.numpy(), layer.bias.numpy()

    # ---- looking ----

    def transform(self, X, layer=None):
        """Probabilities of the units of `layer` (1 is the lowest hidden one; None: the top) on the way up from X."""
        top = len(self.rbms) if layer is None else _check.size("DBN", "layer", layer)
        if top > len(self.rbms):
            raise ValueError(f"DBN: layer must be at most {len(self.rbms)}, got {top}")
        for rbm in self._ready().rbms[:top]:
            X = rbm.transform(X)
        return X

    def _down(self, h):
        """Means on the way down from units below the top layer."""
        ways = self.generative or [(rbm.W, rbm.b) for rbm in self.rbms[:-1]]
        for i in reversed(range(len(ways))):
            W, b = ways[i]
            if self.rbms[i].visible != "binary":
                return _means(self.rbms[i], h)
            h = _core.rbm_look((np.ascontiguousarray(W.T), np.zeros(W.shape[1], W.dtype), b, 1), h, None, "hidden")
        return h

    def reconstruct(self, X):
        """X (n, n_visible) up to the top and down again, by means."""
        h = self.transform(X, len(self.rbms) - 1) if len(self.rbms) > 1 else X
        return self._down(self.rbms[-1].reconstruct(h))

    def sample(self, n=1, steps=1000, seed=None, verbose=0):
        """`n` means of the visible units (n, n_visible), down from `steps` sweeps of the top RBM from random states."""
        return self._down(self._ready().rbms[-1].sample(n, steps, seed, means=len(self.rbms) == 1, verbose=verbose))

    # ---- networks ----

    def to_network(self, n_outputs=None, seed=0):
        """A Sequential of Linear and Sigmoid layers with the weights of the way up, and a Linear layer with `n_outputs`
        on top (None: none), for `fit` by back-propagation.

        >>> import pyneuro as pn
        >>> from pyneuro import energy
        >>> dbn = energy.DBN([5, 3], n_iter=1, seed=0).fit([[0, 1, 1], [1, 0, 0]])
        >>> dbn.to_network(10)(pn.tensor([[0.0, 1.0, 1.0]])).shape
        (1, 10)
        """
        from pyneuro import nn

        parts = []
        for rbm in self._ready().rbms:
            parts += [self._linear(rbm.W.T, rbm.c), nn.Sigmoid()]
        if n_outputs is not None:
            last = nn.Sequential(nn.Linear(self.layers[-1], _check.size("DBN", "n_outputs", n_outputs)), seed=seed)
            last.to(self.dtype)
            parts.append(last[0])
        return nn.Sequential(*parts)

    def to_autoencoder(self):
        """A Sequential that goes up to the top layer and down again with the transposed weights (Hinton, Salakhutdinov
        2006), 2 len(layers) Linear layers with Sigmoid between; its output are inputs of the visible units: train it
        with loss="bce_with_logits" (binary units) or "mse" (Gaussian ones)."""
        from pyneuro import nn

        parts, ways = [], [*self.generative, (self.rbms[-1].W, self.rbms[-1].b)]
        if not self.generative:
            ways = [(rbm.W, rbm.b) for rbm in self._ready().rbms]
        for rbm in self._ready().rbms:
            parts += [self._linear(rbm.W.T, rbm.c), nn.Sigmoid()]
        for W, b in reversed(ways):
            parts += [self._linear(W, b), nn.Sigmoid()]
        return nn.Sequential(*parts[:-1])

    def _linear(self, W, b):
        from pyneuro import nn

        layer = nn.Linear(W.shape[1], W.shape[0])
        layer.to(self.dtype)
        layer.load_state_dict({"weight": np.ascontiguousarray(W), "bias": b})
        return layer

    # ---- files ----

    def _config(self):
        return {"layers": self.layers, "seed": self.seed, "dtype": self.dtype, **self._given}

    def _arrays(self):
        self._ready()
        found = {"tuned": self.tuned, "seed": np.array([self.rbms[0].seed], np.uint64)}
        for i, rbm in enumerate(self.rbms):
            found |= {f"{i}.{name}": array for name, array in rbm._arrays().items()}
        for i, (W, b) in enumerate(self.generative):
            found |= {f"{i}.generative_W": W, f"{i}.generative_b": b}
        return found

    def load_state_dict(self, state):
        """Takes a state of a DBN with the same layers, whatever it has learnt. Raises StateError, a ValueError, when it
        does not fit; the network is then unchanged."""
        state = {name: np.array(array, order="C") for name, array in dict(state).items()}
        kept = self.__dict__.copy()
        try:
            self._make(int(np.ravel(state.get("seed", 0))[0]))
            self._fill(state)
            names = set(self._arrays())
            if names != set(state):
                raise ValueError(f"DBN: the state does not fit: {', '.join(sorted(names ^ set(state)))}")
        except BaseException as error:
            self.__dict__.clear()
            self.__dict__.update(kept)
            if not isinstance(error, Exception):
                raise
            from pyneuro.nn._state import StateError

            raise StateError(str(error)) from None
        return self

    def _fill(self, arrays):
        parts = [{} for _ in self.rbms]
        ways = [{} for _ in self.rbms[:-1]]
        for name, array in arrays.items():
            layer, _, rest = name.partition(".")
            if rest.startswith("generative_"):
                ways[int(layer)][rest[-1]] = array
            elif rest:
                parts[int(layer)][rest] = array
        for rbm, part in zip(self.rbms, parts, strict=True):
            rbm.load_state_dict(part)
        for below, above in zip(self.rbms, self.rbms[1:], strict=False):
            if below.n_components != above.n_visible:
                raise ValueError(f"DBN: {below.n_components} units lie under an RBM of {above.n_visible} visible units")
        self.generative = [(np.array(way["W"]), np.array(way["b"])) for way in ways if way]
        for (W, b), rbm in zip(self.generative, self.rbms, strict=False):
            if W.shape != rbm.W.shape or b.shape != rbm.b.shape or not (np.isfinite(W).all() and np.isfinite(b).all()):
                raise ValueError(f"DBN: generative weights must be finite, of shapes {rbm.W.shape} and {rbm.b.shape}")
        self.tuned = np.array(arrays["tuned"], np.int64).reshape(1)


def _means(rbm, h):
    """Means of Gaussian or softmax units given h."""
    x = h @ rbm.W.T + rbm.b
    if rbm.visible == "gaussian":
        return rbm._outside(x)
    groups = np.exp(x.reshape(len(x), -1, rbm.classes) - x.reshape(len(x), -1, rbm.classes).max(-1, keepdims=True))
    return (groups / groups.sum(-1, keepdims=True)).reshape(x.shape)


def _drawn(W, bias, rows, seed):
    """States 0 and 1 (n, outputs), on with probability sigmoid(rows W + bias); W (inputs, outputs)."""
    lanes, h = np.empty((len(rows), 32), np.uint64), np.empty((len(rows), W.shape[1]), W.dtype)
    _core.lanes_seed(lanes, seed, 0)
    _core.rbm_gibbs((W, np.zeros(len(W), W.dtype), bias, 1), rows.copy(), h, None, lanes, 1, 1.0)
    return h
