"""Derivatives against finite differences."""

import numpy as np

from pyneuro import _core
from pyneuro._callable import make_callable

__all__ = ["gradcheck", "max_error"]


# A difference quotient of doubles is off by about 2^-53 / eps of the values that it compares. A derivative below this
# part of the values is held to that part, any other to itself: rounding stays ten times below the default tolerance.
SMALL = 0.01


def _numeric(fn, tensors, which, weights, eps):
    """Central differences of sum(weights * fn) with respect to tensor `which`, and the sizes of what was compared."""
    values = tensors[which].numpy()
    result, size = np.zeros(values.shape), np.zeros(values.shape)
    for at in np.ndindex(values.shape):
        kept = values[at]
        values[at] = high = kept + eps
        upper = _weighted(fn(*tensors), weights)
        values[at] = low = kept - eps
        lower = _weighted(fn(*tensors), weights)
        values[at] = kept
        changes = np.where(upper == lower, 0, upper - lower)  # element by element: equal infinities do not count
        largest = np.maximum(np.abs(upper), np.abs(lower))
        result[at] = changes.sum() / (high - low)
        size[at] = largest[changes != 0].sum() + largest.max(initial=0)
    return result, size


def _weighted(out, weights):
    """All elements of all outputs in one vector, each times its weight."""
    outs = out if isinstance(out, tuple | list) else (out,)
    return np.concatenate([(w * o.numpy()).ravel() for o, w in zip(outs, weights) if w is not None])


def _analytic(fn, tensors, rng):
    """Gradients of a random weighting of all outputs, and the weights."""
    out = fn(*tensors)
    outs = out if isinstance(out, tuple | list) else (out,)
    _check_tensors(outs)
    weights = [rng.uniform(0.5, 1.5, o.shape) if o.requires_grad else None for o in outs]
    total = None
    for o, w in zip(outs, weights):
        if w is not None:
            part = (o * _core.Tensor(w)).sum()
            total = part if total is None else total + part
    if total is None:
        raise ValueError("gradcheck: no output of fn requires grad")
    return _core.gradients(total, tensors), weights


def max_error(fn, inputs, eps=1e-6, seed=0):
    """Largest |derivative - finite difference| / scale over all elements of all inputs.

    scale = max(|derivative|, |difference|, 0.01 of the values that depend on the element): a relative error for small
    derivatives too. fn: tensors -> tensor or tuple of tensors. inputs: arrays or tensors, used as float64 copies. All
    outputs are weighted with random numbers from `seed`, so that no error can cancel.

    >>> max_error(lambda x: x * x, [[1.0, 2.0]]) < 1e-8
    True
    """
    arrays = [i.detach().numpy() if isinstance(i, _core.Tensor) else i for i in inputs]
    tensors = [_core.Tensor(np.array(a, np.float64), "float64", True) for a in arrays]
    grads, weights = _analytic(fn, tensors, np.random.default_rng(seed))
    worst = 0.0
    old = _core.set_grad_enabled(False)
    try:
        for i, grad in enumerate(grads):
            exact = np.zeros(tensors[i].shape) if grad is None else grad.numpy()
            numeric, size = _numeric(fn, tensors, i, weights, eps)
            scale = np.maximum(SMALL * size, np.maximum(np.abs(exact), np.abs(numeric)))
            error = np.abs(exact - numeric) / np.where(scale == 0, 1, scale)
            worst = max(worst, float(np.max(error, initial=0)) if np.isfinite(error).all() else np.inf)
    finally:
        _core.set_grad_enabled(old)
    return worst


def _check_tensors(outs):
    for out in outs:
        if not isinstance(out, _core.Tensor):
            raise TypeError(f"gradcheck: fn returned {type(out).__name__}, expected a Tensor or a tuple of Tensors")


def gradcheck(fn, inputs, eps=1e-6, tolerance=1e-7, raise_exception=True, seed=0):
    """True when the derivatives of `fn` agree with central differences to `tolerance` (relative, see `max_error`).

    fn: a function of tensors that returns a tensor or a tuple of tensors. inputs: a tensor or array, or a list of them;
    they are used as float64 copies. Keep away from kinks: ReLU at 0, ties of max. ValueError when they do not agree, or
    False with raise_exception=False.

    >>> import pyneuro as pn
    >>> gradcheck(lambda x: x.tanh().sum(), pn.randn(3))
    True
    """
    if isinstance(inputs, _core.Tensor | np.ndarray | float):
        inputs = [inputs]
    error = max_error(fn, inputs, eps, seed)
    if error <= tolerance:
        return True
    if raise_exception:
        raise ValueError(
            f"gradcheck: derivative and finite difference differ by {error:.3g} (relative), allowed is {tolerance:.3g}"
        )
    return False


make_callable(__name__, gradcheck)
