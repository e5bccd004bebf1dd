"""Stopping rules of lecture 002 for `fit(stop=...)`; the reason stands in `history.stopped_by`.

>>> import numpy as np
>>> import pyneuro as pn
>>> from pyneuro import nn, optim
>>> net = nn.Linear(1, 1, bias=False).double()
>>> net.load_state_dict({"weight": [[0.0]]})
IncompatibleKeys(missing_keys=[], unexpected_keys=[])
>>> history = net.fit(
...     np.ones((1, 1)), np.full((1, 1), 3.0), loss="mse", optimizer=optim.GD(lr=0.1), epochs=100,
...     stop=pn.stop.StepBelow(1e-3), verbose=0,
... )
>>> len(history.epoch), round(net.weight.item(), 7), history.stopped_by
(30, 2.9962862, 'step below 0.001')
"""

from pyneuro.callbacks import Monitor, copies, restore
from pyneuro.nn import _check

__all__ = ["GradBelow", "Patience", "StepBelow"]


def _epsilon(name, eps):
    eps = _check.number(name, "eps", eps, 0)
    if not eps:
        raise ValueError(f"{name}: eps must be above 0")
    return eps


class StepBelow:
    """Stop after an update that moved all parameters together by less than eps: |w_t - w_(t-1)| < eps.

    >>> import numpy as np
    >>> from pyneuro import nn
    >>> zero = np.zeros((4, 1))
    >>> net = nn.Linear(1, 1, bias=False)
    >>> net.fit(zero, zero, loss="mse", optimizer="sgd", stop=StepBelow(1e-6), seed=0, verbose=0).stopped_by
    'step below 1e-06'
    """

    def __init__(self, eps):
        self.eps = _epsilon("StepBelow", eps)
        self.reason = f"step below {self.eps:g}"


class GradBelow:
    """Stop, before the next update, where the gradient is shorter than eps: |grad Q(w_t)| < eps.

    >>> import numpy as np
    >>> from pyneuro import nn
    >>> zero = np.zeros((4, 1))
    >>> net = nn.Linear(1, 1, bias=False)
    >>> history = net.fit(zero, zero, loss="mse", stop=GradBelow(1e-6), seed=0, verbose=0)
    >>> history.steps, history.stopped_by
    (0, 'gradient below 1e-06')
    """

    def __init__(self, eps):
        self.eps = _epsilon("GradBelow", eps)
        self.reason = f"gradient below {self.eps:g}"


class Patience(Monitor):
    """Stop when the validation loss has not fallen by more than `min_delta` for `n` epochs.

    `Patience(n, min_delta=0, restore_best=True, monitor="val_loss")`: with restore_best the network gets the weights of
    the best epoch back. KeyError when there is no such value.

    >>> import numpy as np
    >>> from pyneuro import nn, optim
    >>> x, rule = np.ones((8, 1)), optim.SGD(lr=0.0)
    >>> more = {"validation_data": (x, x), "stop": Patience(2), "epochs": 9, "seed": 0, "verbose": 0}
    >>> nn.Linear(1, 1).fit(x, x, loss="mse", optimizer=rule, **more).stopped_by
    'patience: val_loss has not got better for 2 epochs'
    """

    def __init__(self, n, min_delta=0, restore_best=True, monitor="val_loss"):
        self._watch(monitor, "auto", min_delta)
        self.n = _check.size("Patience", "n", n)
        self.restore_best = bool(restore_best)
        self.reason = f"patience: {monitor} has not got better for {self.n} epochs"
        self._reset()

    def _reset(self):
        self.wait, self.best, self.best_weights = 0, None, None

    def on_train_begin(self, logs=None):
        """Forgets what an earlier training was like."""
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        """Counts the epochs without progress."""
        value = self._value(logs)
        if self._is_better(value):
            self.best, self.wait = value, 0
            if self.restore_best:
                self.best_weights = copies(self.model)
            return
        self.wait += 1
        if self.wait >= self.n:
            self.model.stop_training = self.reason

    def on_train_end(self, logs=None):
        """Gives the best weights back."""
        if self.best_weights is not None:
            restore(self.model, self.best_weights)

    def state_dict(self):
        """Counter, best value and weights, for a checkpoint."""
        return {"wait": self.wait, "best": self.best, "arrays": self.best_weights or {}}

    def load_state_dict(self, state_dict):
        """Takes over `state_dict()`."""
        self.wait, self.best = state_dict["wait"], state_dict["best"]
        self.best_weights = state_dict["arrays"] or None
