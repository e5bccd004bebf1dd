"""Checkpoints of a training: everything that decides how it goes on, in one safetensors file, replaced atomically.

`fit(checkpoint=PATH)` writes one after each epoch and on Ctrl-C; `fit(checkpoint=PATH, resume=True)` goes on from it,
or starts when there is none, and ends in the same bits as a run that was never interrupted. The file holds the weights,
the optimiser's state and options, seed, epoch and position in it, the sums of the epoch in progress, the history, and
the state of callbacks and stopping rules that have `state_dict` and `load_state_dict` (schedules do).
"""

import json
import os

import numpy as np

from pyneuro import _files
from pyneuro.nn import _state

__all__ = ["CheckpointError", "read", "write"]

FORMAT = "1"


class CheckpointError(ValueError):
    """A checkpoint that does not belong to this training. Nothing was changed.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from pyneuro import nn
    >>> x = np.ones((8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run")
    ...     _ = nn.Linear(1, 1).fit(x, x, loss="mse", checkpoint=path, epochs=1, seed=0, verbose=0)
    ...     try:
    ...         nn.Linear(1, 1).fit(x[:4], x[:4], loss="mse", checkpoint=path, resume=True, seed=0, verbose=0)
    ...     except CheckpointError as error:
    ...         print(str(error).split(": ")[-1])
    rows was 8, now it is 4
    """


def write(path, fit):
    """Saves the state of a training in progress. Raises OSError when the file cannot be written.

    fit: the training, as `fit(checkpoint=path)` hands it over after each epoch.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from pyneuro import nn
    >>> x = np.ones((8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = nn.Linear(1, 1).fit(x, x, loss="mse", checkpoint=os.path.join(folder, "run"), seed=0, verbose=0)
    ...     os.listdir(folder)
    ['run']
    """
    arrays, progress = {}, fit.runner.progress
    for name, tensor in _state.state_dict(fit.net).items():
        arrays[f"net.{name}"] = tensor.numpy()
    core = fit.optimizer._sync()
    for name, values in core.state().items():
        arrays.update({f"optimizer.{name}.{i}": value for i, value in enumerate(values)})
    arrays["progress.sums"] = np.array(progress["sums"], np.float64)
    for name, values in fit.history.history.items():
        arrays[f"history.{name}"] = np.array(values, np.float64)
    states = []
    for number, callback in enumerate(fit.callbacks):
        state = dict(callback.state_dict()) if hasattr(callback, "state_dict") else {}
        for name, value in (state.pop("arrays", None) or {}).items():
            arrays[f"callback.{number}.{name}"] = value
        states.append({"class": type(callback).__name__, "state": state})
    meta = {
        "seed": fit.seed,
        "progress": {key: progress[key] for key in ("epoch", "position", "step")} | {"weight": progress["weight"]},
        "data": _data(fit),
        "optimizer": {
            "class": type(fit.optimizer).__name__,
            "rule": core.rule,
            "steps": core.steps,
            "groups": _groups(fit),
        },
        "history": {"epoch": len(fit.history.epoch), "names": list(fit.history.history)},
        "callbacks": states,
    }
    try:
        text = json.dumps(meta)
    except TypeError as error:
        raise TypeError(f"a checkpoint cannot keep the state of a callback: {error}") from None
    _files.write_arrays(path, arrays, {"pyneuro": FORMAT, "checkpoint": text})


def _data(fit):
    data = {"rows": fit.rows, "batch_size": fit.batch, "shuffle": fit.shuffle, "drop_last": fit.drop_last}
    return {**data, "augment": repr(fit.augment)}


def _groups(fit):
    return [{k: v for k, v in group.items() if k != "params"} for group in fit.optimizer.param_groups]


def read(path):
    """The checkpoint at `path`, or None when there is no such file.

    Raises FileFormatError (a ValueError) for a file that is damaged or no checkpoint, OSError when it cannot be read.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from pyneuro import nn
    >>> x = np.ones((8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run")
    ...     _ = nn.Linear(1, 1).fit(x, x, loss="mse", checkpoint=path, epochs=3, seed=5, verbose=0)
    ...     meta = read(path).meta
    >>> meta["seed"], meta["progress"]["epoch"]
    (5, 3)
    """
    if not os.path.exists(path):
        return None
    arrays, metadata = _files.read_arrays(path)
    if "checkpoint" not in metadata:
        raise _files.FileFormatError(f"{os.fspath(path)} is no checkpoint of fit; a model file loads with pn.load")
    try:
        meta = json.loads(metadata["checkpoint"])
        Saved.check(meta)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _files.FileFormatError(
            f"{os.fspath(path)} is not a checkpoint that can be read: {error!s:.120}"
        ) from None
    return Saved(os.fspath(path), arrays, meta)


class Saved:
    """A checkpoint that was read."""

    def __init__(self, path, arrays, meta):
        self.path, self.arrays, self.meta = path, arrays, meta

    @staticmethod
    def check(meta):
        """Raises an error when something is missing."""
        if not isinstance(meta["seed"], int) or not 0 <= meta["seed"] < 1 << 64:
            raise ValueError("its seed is no number")
        progress = meta["progress"]
        if any(not isinstance(progress[key], int) or progress[key] < 0 for key in ("epoch", "position", "step")):
            raise ValueError("its progress makes no sense")
        if not isinstance(progress["weight"], (int, float)):
            raise ValueError("its weight of the rows so far is no number")
        if not isinstance(meta["history"]["epoch"], int):
            raise ValueError("its number of epochs is no number")
        if not isinstance(meta["history"]["names"], list) or not isinstance(meta["callbacks"], list):
            raise ValueError("its lists are no lists")
        if not all(isinstance(entry["class"], str) and isinstance(entry["state"], dict) for entry in meta["callbacks"]):
            raise ValueError("its callbacks make no sense")
        meta["optimizer"]["class"], meta["optimizer"]["steps"], meta["optimizer"]["groups"], meta["data"]["rows"]

    def _refuse(self, what):
        raise CheckpointError(f"{self.path} does not belong to this training: {what}")

    def restore(self, fit):
        """Puts `fit` where the saved training stood. All is checked before anything changes."""
        meta = self.meta
        ours = _data(fit)
        for key, value in meta["data"].items():
            if ours.get(key) != value:
                self._refuse(f"{key} was {value}, now it is {ours.get(key)}")
        kind = type(fit.optimizer).__name__
        if meta["optimizer"]["class"] != kind or len(meta["optimizer"]["groups"]) != len(fit.optimizer.param_groups):
            self._refuse(f"it was trained with {meta['optimizer']['class']}, now with {kind}")
        names = [type(callback).__name__ for callback in fit.callbacks]
        if [entry["class"] for entry in meta["callbacks"]] != names:
            self._refuse(f"its callbacks were {[e['class'] for e in meta['callbacks']]}, now they are {names}")
        weights = self._weights(fit.net)
        sums = self._row("progress.sums")
        if sums.size not in (0, fit.runner.columns or sums.size):
            self._refuse("it followed other losses or metrics")
        curves = {name: self._row(f"history.{name}") for name in meta["history"]["names"]}
        epochs = meta["history"]["epoch"]
        if epochs > max((curve.size for curve in curves.values()), default=0):
            self._refuse(f"its history has fewer values than its {epochs} epochs")
        self._optimizer(fit.optimizer)
        for tensor, array in weights:
            _state.assign(tensor, array)
        fit.runner.progress = {**meta["progress"], "sums": [float(s) for s in sums]}
        history = fit.history
        history.epoch = list(range(epochs))
        history.history = {name: curve.tolist() for name, curve in curves.items()}
        for number, (callback, entry) in enumerate(zip(fit.callbacks, meta["callbacks"], strict=True)):
            if hasattr(callback, "load_state_dict"):
                callback.load_state_dict({**entry["state"], **self._callback_arrays(number, callback)})

    def _array(self, name):
        if name not in self.arrays:
            self._refuse(f"{name} is missing")
        return self.arrays[name]

    def _row(self, name):
        """An array of one number after another."""
        array = self._array(name)
        if array.ndim != 1:
            self._refuse(f"{name} has {array.ndim} dimensions, not one")
        return array

    def _weights(self, net):
        found = []
        for name, tensor in _state.entries(net):
            array = self._array(f"net.{name}")
            if array.shape != tuple(tensor.shape) or str(array.dtype) != tensor.dtype:
                self._refuse(f"{name} was {array.shape} {array.dtype}, now it is {tuple(tensor.shape)} {tensor.dtype}")
            found.append((tensor, array))
        if len([key for key in self.arrays if key.startswith("net.")]) != len({id(a) for _, a in found}):
            self._refuse("it has other parameters than this network")
        return found

    def _optimizer(self, optimizer):
        saved, before = self.meta["optimizer"], [dict(group) for group in optimizer.param_groups]
        try:
            for group, options in zip(optimizer.param_groups, saved["groups"], strict=True):
                group.update({k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
            core = optimizer._sync()
            state = core.state()
            for name, values in state.items():
                state[name] = [self._array(f"optimizer.{name}.{i}") for i in range(len(values))]
            core.load_state(state)
            core.steps = saved["steps"]
        except (TypeError, KeyError, ValueError) as error:
            for group, options in zip(optimizer.param_groups, before, strict=True):
                group.clear()
                group.update(options)
            self._refuse(f"the optimizer's state does not fit ({error!s:.200})")

    def _callback_arrays(self, number, callback):
        start = f"callback.{number}."
        found = {key[len(start) :]: value for key, value in self.arrays.items() if key.startswith(start)}
        return {"arrays": found} if found or "arrays" in callback.state_dict() else {}
