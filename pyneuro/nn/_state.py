"""State of modules: `state_dict`, `load_state_dict`, and conversion between real types. PyTorch's names and orders."""

from typing import NamedTuple

import numpy as np

from pyneuro import _core

Tensor = _core.Tensor


class StateError(ValueError, RuntimeError):
    """A state that does not fit the network. Nothing was changed. PyTorch raises RuntimeError here, so this is one.

    >>> from pyneuro import nn
    >>> nn.Linear(2, 1).load_state_dict({"weight": [[1.0]]})
    Traceback (most recent call last):
    pyneuro.nn._state.StateError: the state does not fit Linear(2, 1): missing: bias; ...
    """


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` could not match."""

    missing_keys: list
    unexpected_keys: list


def entries(root, prefix=""):
    """Yields (name, tensor) of all parameters and persistent buffers: own ones first, then child by child, as PyTorch.

    A shared parameter appears under each of its names.
    """
    for name, value in root._parameters.items():
        if value is not None:
            yield prefix + name, value
    for name, value in root._buffers.items():
        if value is not None and name not in root._transient:
            yield prefix + name, value
    for name, module in root._modules.items():
        if module is not None:
            yield from entries(module, f"{prefix}{name}.")


def state_dict(root, prefix=""):
    """See `Module.state_dict`."""
    return {name: tensor.detach() for name, tensor in entries(root, prefix)}


def to_numpy(value):
    """`value` (Tensor, array, PyTorch or JAX tensor, list, number) as an ndarray, without a copy where possible."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Tensor):
        return value.detach().numpy()
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # PyTorch: also parameters, and types NumPy lacks
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
    return np.asarray(value)


def load_state_dict(root, state, strict=True):
    """See `Module.load_state_dict`."""
    refuse_while_fitting(root, "load_state_dict")
    if not hasattr(state, "items"):
        raise TypeError(f"load_state_dict needs a dict of name -> values, got {type(state).__name__}")
    own = dict(entries(root))
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    problems = []
    if strict and missing:
        problems.append(f"missing: {_some(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected: {_some(unexpected)}")
    arrays = {}
    for name, tensor in own.items():
        if name in state:
            try:
                arrays[name] = _fit(name, tensor, to_numpy(state[name]))
            except (TypeError, ValueError) as error:
                problems.append(str(error))
    if problems:
        raise StateError(f"the state does not fit {root._label()}: {'; '.join(problems)}")
    for name, array in arrays.items():
        assign(own[name], array)
    return IncompatibleKeys(missing, unexpected)


def _some(names, most=12):
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _fit(name, tensor, array):
    """`array` converted to the type of `tensor`, when it can take its place. The sentence of an error names both."""
    if tuple(array.shape) != tuple(tensor.shape):
        raise ValueError(f"{name} has shape {tuple(array.shape)}, expected {tuple(tensor.shape)}")
    if array.dtype.kind not in "fiub" or (tensor.dtype == "int64" and array.dtype.kind == "f"):
        raise TypeError(f"{name} has type {array.dtype}, expected {tensor.dtype}")
    return np.asarray(array, dtype=tensor.dtype)


def assign(tensor, array):
    """Copies `array` (same shape and type) into the storage of `tensor`, without recording it."""
    old = _core.set_grad_enabled(False)
    try:
        tensor.copy_(array)
    finally:
        _core.set_grad_enabled(old)


def refuse_while_fitting(root, what):
    """Raises RuntimeError when `root` is being trained: a callback may look at weights, not replace them."""
    if root.__dict__.get("_fitting"):
        raise RuntimeError(
            f"{what} cannot be called while fit is running; call it after fit, or write to single weights"
        )


def convert(root, target):
    """See `Module.to`."""
    if str(target) in ("cpu", "cpu:0"):
        return
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    name = name.removeprefix("torch.").removeprefix("pyneuro.")
    name = {"float": "float32", "double": "float64"}.get(name, name)
    if name.startswith(("cuda", "mps", "xpu", "gpu")):
        raise ValueError(f"to: pyneuro computes on the CPU, there is no device {name!r}")
    if name not in ("float32", "float64"):
        raise TypeError(f"to: the type must be 'float32' or 'float64', got {target!r:.80}")
    refuse_while_fitting(root, "to")
    done = set()
    for module in root.modules():
        for registry in (module._parameters, module._buffers):
            for tensor in registry.values():
                if tensor is None or tensor.dtype in (name, "int64") or id(tensor) in done:
                    continue
                done.add(id(tensor))
                retype(tensor, name)


def retype(tensor, name):
    """Gives a leaf (and its gradient) new storage of the real type `name`; the object stays the same."""
    grad, tensor.grad = tensor.grad, None
    tensor.data = _core.Tensor(tensor.detach(), dtype=name)
    if grad is not None:
        tensor.grad = _core.Tensor(grad, dtype=name)
