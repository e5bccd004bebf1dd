"""Callbacks for `fit`: Keras's hook names. Python is called only where a callback defines a hook.

A callback sees the network as of the last completed step: `predict`, `evaluate` and `state_dict` may be called; a
second `fit` and `load_state_dict` raise. Setting `self.model.stop_training = True` ends the training.

>>> import numpy as np
>>> from pyneuro import nn
>>> class Print(Callback):
...     def on_epoch_end(self, epoch, logs=None):
...         print(epoch, sorted(logs))
>>> net = nn.Sequential(nn.Linear(2, 1), seed=0)
>>> x = np.zeros((4, 2))
>>> history = net.fit(x, np.zeros((4, 1)), loss="mse", epochs=2, callbacks=[Print()], seed=0, verbose=0)
0 ['loss']
1 ['loss']
"""

import csv
import os

import numpy as np

from pyneuro.nn import _check

__all__ = ["CSVLogger", "Callback", "EarlyStopping", "History", "ModelCheckpoint"]


class Callback:
    """Base of all callbacks: every hook may be defined, none must be.

    `self.model` is the network, `self.params` a dict with "epochs", "steps" and "batch_size". `logs` is a dict of means
    over samples since the epoch began.

    >>> import numpy as np
    >>> from pyneuro import nn
    >>> class Three(Callback):
    ...     def on_train_batch_end(self, batch, logs=None):
    ...         self.model.stop_training = batch == 2
    >>> x = np.ones((8, 1))
    >>> nn.Linear(1, 1).fit(x, x, loss="mse", batch_size=1, callbacks=[Three()], seed=0, verbose=0).steps
    3
    """

    model = None
    params = None

    def set_model(self, model):
        """Called before training with the network."""
        self.model = model

    def set_params(self, params):
        """Called before training with what the fit was asked for."""
        self.params = params

    def on_train_begin(self, logs=None):
        """Before the first epoch."""

    def on_train_end(self, logs=None):
        """After the last epoch, whatever ended it but an error."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before each epoch, counted from 0."""

    def on_epoch_end(self, epoch, logs=None):
        """After each epoch and its validation."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before each step, counted from 0 in each epoch."""

    def on_train_batch_end(self, batch, logs=None):
        """After each step."""

    def on_batch_begin(self, batch, logs=None):
        """Keras's other name of `on_train_batch_begin`."""

    def on_batch_end(self, batch, logs=None):
        """Keras's other name of `on_train_batch_end`."""

    def on_test_begin(self, logs=None):
        """Before each validation."""

    def on_test_end(self, logs=None):
        """After each validation."""


def defines(callback, *hooks):
    """Whether the class of `callback` (or the object itself) has its own version of one of the hooks."""
    return any(getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook) for hook in hooks)


class History(Callback):
    """What a training was: returned by `fit`, kept as `net.history`, also after an error or Ctrl-C.

    history: dict of name -> list with one mean over samples an epoch. epoch: numbers of the completed epochs. params:
    what the fit was asked for. seed: which decided order and dropout. mode: "plan" (whole epochs in C) or "eager" (step
    by step). steps: updates done. stopped_by: "epochs", or what ended the training earlier.

    >>> import numpy as np
    >>> from pyneuro import nn
    >>> h = nn.Linear(1, 1).fit(np.ones((4, 1)), np.ones((4, 1)), loss="mse", epochs=3, seed=7, verbose=0)
    >>> len(h.history["loss"]), h.seed, h.mode, h.stopped_by
    (3, 7, 'plan', 'epochs')
    """

    def __init__(self):
        self.history = {}
        self.epoch = []
        self.params = {}
        self.seed = None
        self.mode = None
        self.steps = 0
        self.stopped_by = None

    def _extend(self, first, names, rows):
        """Adds epochs from number `first` on, one row of values each."""
        self.epoch.extend(range(first, first + len(rows)))
        for i, name in enumerate(names if len(rows) else ()):
            self.history.setdefault(name, []).extend([float(row[i]) for row in rows])

    def __getstate__(self):
        """State for pickle and deepcopy: without the network."""
        return {k: v for k, v in self.__dict__.items() if k != "model"}

    def __repr__(self):
        """Epochs, last values and what ended the training."""
        last = ", ".join(f"{k} {v[-1]:.4g}" for k, v in self.history.items() if v)
        return f"History({len(self.epoch)} epochs, {last or 'no values yet'}, stopped by {self.stopped_by})"


class MissingValueError(KeyError, ValueError):
    """A callback watches a value that there is not. A KeyError whose text is the plain sentence."""

    def __str__(self):
        return str(self.args[0])


class Monitor(Callback):
    """What EarlyStopping and ModelCheckpoint share: is the monitored value better than the best so far?"""

    is_watching = True  # needs the monitored value

    def _watch(self, monitor, mode, min_delta=0.0):
        name = type(self).__name__
        self.monitor = monitor
        self.mode = _check.choice(name, "mode", mode, ("auto", "min", "max"))
        self.min_delta = abs(_check.number(name, "min_delta", min_delta))
        self._sign = 1.0 if mode == "max" or (mode == "auto" and "acc" in monitor) else -1.0
        self.best = None

    def _value(self, logs):
        if not logs or self.monitor not in logs:
            known = ", ".join(logs or {}) or "nothing"
            hint = "; give validation_data or validation_split" if self.monitor.startswith("val_") else ""
            raise MissingValueError(f"{type(self).__name__}: there is no {self.monitor!r}, only {known}{hint}")
        return float(logs[self.monitor])

    def _check(self, logs):
        """Raises KeyError when values it needs are not among those that there will be."""
        if self.is_watching:
            self._value(logs)

    def _is_better(self, value):
        return self.best is None or self._sign * (value - self.best) > self.min_delta


class EarlyStopping(Monitor):
    """Ends the training when `monitor` has not got better by more than `min_delta` for `patience` epochs.

    `EarlyStopping(monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto", baseline=None,
    restore_best_weights=False, start_from_epoch=0)`. mode "min", "max", or "auto": larger is better for names with
    "acc". restore_best_weights: the network ends with the weights of the best epoch. KeyError when there is no such
    value.

    >>> import numpy as np
    >>> from pyneuro import nn, optim
    >>> x = np.ones((8, 1))
    >>> early = EarlyStopping(monitor="loss", patience=2)
    >>> net, rule = nn.Linear(1, 1), optim.SGD(lr=0.0)
    >>> history = net.fit(x, x, loss="mse", optimizer=rule, epochs=9, callbacks=[early], seed=0, verbose=0)
    >>> len(history.epoch), history.stopped_by
    (3, 'EarlyStopping')
    """

    def __init__(
        self, monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto", baseline=None,
        restore_best_weights=False, start_from_epoch=0,
    ):  # fmt: skip
        self._watch(monitor, mode, min_delta)
        self.patience = _check.size("EarlyStopping", "patience", patience, 0)
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = bool(restore_best_weights)
        self.start_from_epoch = _check.size("EarlyStopping", "start_from_epoch", start_from_epoch, 0)
        self._reset()

    def _reset(self):
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.baseline
        self.best_weights = None

    def on_train_begin(self, logs=None):
        """Forgets what an earlier training was like."""
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        """Counts the epochs without progress."""
        if epoch < self.start_from_epoch:
            return
        value = self._value(logs)
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = copies(self.model), epoch
        self.wait += 1
        if self._is_better(value):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self.best_weights = copies(self.model)
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """Gives the best weights back if asked to, also when the training ran to its last epoch, as Keras does."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            restore(self.model, self.best_weights)

    def state_dict(self):
        """Counters and the best value, for a checkpoint; weights go beside it as arrays."""
        names = ("wait", "stopped_epoch", "best_epoch", "best")
        return {**{name: getattr(self, name) for name in names}, "arrays": self.best_weights or {}}

    def load_state_dict(self, state_dict):
        """Takes over `state_dict()`."""
        state = dict(state_dict)
        self.best_weights = state.pop("arrays") or None
        self.__dict__.update(state)


def copies(net):
    """Copies of all values of the network, by name."""
    return {name: np.array(tensor.numpy()) for name, tensor in net.state_dict().items()}


def restore(net, arrays):
    """Writes such copies back."""
    from pyneuro.nn._state import assign, entries

    for name, tensor in entries(net):
        assign(tensor, arrays[name])


def check_folder(what, path):
    """Raises OSError, which says what is to be written, when there can be no file at `path`."""
    name = os.fsdecode(path)
    folder = os.path.dirname(os.path.realpath(name))
    if os.path.isdir(name):
        raise IsADirectoryError(f"{what}={name!r} cannot be written: it is a folder, give the path of a file")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{what}={name!r} cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{what}={name!r} cannot be written: files in {folder} cannot be changed")


class ModelCheckpoint(Monitor):
    """Saves the network after each epoch, or after those that are the best so far.

    `ModelCheckpoint(filepath, monitor="val_loss", verbose=0, save_best_only=False, save_weights_only=False,
    mode="auto")`. filepath may name values: "net-{epoch:02d}-{val_loss:.3f}.safetensors", epochs counted from 1. The
    file is one of `net.save`; `fit(checkpoint=)` writes one from which a training can go on.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from pyneuro import nn
    >>> x = np.ones((8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = ModelCheckpoint(os.path.join(folder, "net-{epoch}.safetensors"))
    ...     history = nn.Linear(1, 1).fit(x, x, loss="mse", epochs=2, callbacks=[keep], seed=0, verbose=0)
    ...     sorted(os.listdir(folder))
    ['net-1.safetensors', 'net-2.safetensors']
    """

    def __init__(
        self, filepath, monitor="val_loss", verbose=0, save_best_only=False, save_weights_only=False, mode="auto"
    ):
        self._watch(monitor, mode)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = self.is_watching = bool(save_best_only)
        self.save_weights_only = bool(save_weights_only)  # a file holds the architecture where it can; both load

    def _check(self, logs):
        super()._check(logs)
        try:
            self.filepath.format(epoch=1, **logs)
        except (KeyError, IndexError) as error:
            known = ", ".join(["epoch", *logs])
            raise MissingValueError(
                f"ModelCheckpoint: filepath={self.filepath!r} names {error.args[0]!r}, there is only {known}"
            ) from None
        check_folder("ModelCheckpoint: filepath", self.filepath.format(epoch=1, **logs))

    def on_epoch_end(self, epoch, logs=None):
        """Saves if it is time."""
        if self.save_best_only:
            value = self._value(logs)
            if not self._is_better(value):
                return
            self.best = value
        path = self.filepath.format(epoch=epoch + 1, **(logs or {}))
        self.model.save(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}")

    def state_dict(self):
        """The best value so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict):
        """Takes over `state_dict()`."""
        self.best = state_dict["best"]


class CSVLogger(Callback):
    """Writes one line an epoch: `CSVLogger(filename, separator=",", append=False)`.

    The first line names the columns: epoch, then the values of the epoch in alphabetical order.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from pyneuro import nn, optim
    >>> zero = np.zeros((8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "log.csv")
    ...     log, net = CSVLogger(name), nn.Linear(1, 1, bias=False)
    ...     history = net.fit(zero, zero, loss="mse", epochs=2, callbacks=[log], seed=0, verbose=0)
    ...     with open(name) as file:
    ...         file.read().split()
    ['epoch,loss', '0,0.0', '1,0.0']
    """

    def __init__(self, filename, separator=",", append=False):
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = bool(append)

    def on_train_begin(self, logs=None):
        """Makes the file, or an empty one of it."""
        check_folder("CSVLogger: filename", self.filename)
        with self._open("a" if self.append else "w") as file:
            self._header = not file.tell()

    def on_epoch_end(self, epoch, logs=None):
        """Writes the line. The file is open only meanwhile: a run that is broken off leaves its whole log, closed."""
        names = sorted(logs or {})
        with self._open("a") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if self._header:
                writer.writerow(["epoch", *names])
                self._header = False
            writer.writerow([epoch, *(repr(logs[name]) for name in names)])

    def _open(self, mode):
        return open(self.filename, mode, newline="", encoding="utf-8")
