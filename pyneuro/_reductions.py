"""Reductions by PyTorch's names: sums, extremes, norms, and what runs along a dimension; each is also a method.

`dim` and `keepdim` may also be given by NumPy's names `axis` and `keepdims`, as in PyTorch.
"""

import builtins
import collections
import math

from pyneuro import _core
from pyneuro._functions import abs, maximum, minimum, pow, sqrt, square, where

_ops = _core.ops

__all__ = [
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "cumsum",
    "equal",
    "log_softmax",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "softmax",
    "std",
    "sum",
    "var",
]


def _tensor(x):
    return x if isinstance(x, _core.Tensor) else _core.as_tensor(x)


def _dims(dim):
    """dim as the ops want it: () for all."""
    return () if dim is None else dim


def _by_numpy(name, names, dim, keepdim=None):
    """dim and keepdim, one or both of which came as `axis` and `keepdims`. TypeError for other names and for both."""
    given = {"axis": dim, "keepdims": keepdim}
    for key, value in names.items():
        if key not in given or (key == "keepdims" and keepdim is None):
            raise TypeError(f"{name}: there is no argument {key!r}")
        if given[key] is not None and given[key] is not False:
            raise TypeError(f"{name}: give {'dim' if key == 'axis' else 'keepdim'} or {key}, not both")
        given[key] = value
    return given["axis"], given["keepdims"]


def sum(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """Sum over the dimensions `dim` (an int, a tuple, None: all). float sums run in double.

    >>> import pyneuro as pn
    >>> pn.sum(pn.ones(2, 3), dim=0).tolist()
    [2.0, 2.0, 2.0]
    """
    if names:
        dim, keepdim = _by_numpy("sum", names, dim, keepdim)
    return _ops["sum"](input, _dims(dim), keepdim)


def prod(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """Product over the dimensions `dim` (an int, a tuple, None: all). float products run in double.

    >>> import pyneuro as pn
    >>> pn.prod(pn.tensor([[1.0, 2.0], [3.0, 4.0]]), 0).tolist()
    [3.0, 8.0]
    """
    if names:
        dim, keepdim = _by_numpy("prod", names, dim, keepdim)
    return _ops["prod"](input, _dims(dim), keepdim)


def cumsum(input, dim=None, **names) -> _core.Tensor:
    """Running sums along `dim`: y_j = x_0 + ... + x_j. float sums run in double.

    >>> import pyneuro as pn
    >>> pn.cumsum(pn.tensor([1.0, 2.0, 3.0]), 0).tolist()
    [1.0, 3.0, 6.0]
    """
    if names:
        dim, _ = _by_numpy("cumsum", names, dim)
    if dim is None:
        raise TypeError("cumsum: dim is missing; give the dimension along which to add")
    return _ops["cumsum"](input, dim)


def mean(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """Mean over the dimensions `dim`. TypeError for int64 tensors.

    >>> import pyneuro as pn
    >>> pn.mean(pn.tensor([1.0, 2.0])).item()
    1.5
    """
    if names:
        dim, keepdim = _by_numpy("mean", names, dim, keepdim)
    return _ops["mean"](input, _dims(dim), keepdim)


def var(input, dim=None, unbiased=None, keepdim=False, *, correction=1, **names) -> _core.Tensor:
    """Variance over the dimensions `dim`: squares divided by n - correction, as PyTorch.

    `unbiased=False` is another way to say correction=0. NaN where n is not above the correction.

    >>> import pyneuro as pn
    >>> pn.var(pn.tensor([1.0, 2.0, 3.0])).item(), pn.var(pn.tensor([1.0, 3.0]), unbiased=False).item()
    (1.0, 1.0)
    """
    if names:
        dim, keepdim = _by_numpy("var", names, dim, keepdim)
    if isinstance(dim, bool):  # PyTorch's var(input, unbiased)
        dim, unbiased = None, dim
    correction = correction if unbiased is None else int(unbiased)
    input = _tensor(input)
    d = input - mean(input, dim, True)
    total = sum(d * d, dim, keepdim)
    n = math.prod(input.shape) // builtins.max(math.prod(total.shape), 1)
    return total / (n - correction) if n > correction else total * math.nan


def std(input, dim=None, unbiased=None, keepdim=False, *, correction=1, **names) -> _core.Tensor:
    """Standard deviation, the square root of `var`, with its arguments.

    >>> import pyneuro as pn
    >>> pn.std(pn.tensor([1.0, 2.0, 3.0])).item()
    1.0
    """
    if names:
        dim, keepdim = _by_numpy("std", names, dim, keepdim)
    return sqrt(var(input, dim, unbiased, keepdim, correction=correction))


def norm(input, p=2, dim=None, keepdim=False, **names) -> _core.Tensor:
    """The p-norm over the dimensions `dim`: (sum |x|^p)^(1/p) for p > 0, the largest |x| for p = infinity.

    >>> import pyneuro as pn
    >>> pn.norm(pn.tensor([3.0, 4.0])).item()
    5.0
    """
    if names:
        dim, keepdim = _by_numpy("norm", names, dim, keepdim)
    if p == 1:
        return sum(abs(input), dim, keepdim)
    if p == math.inf:
        return amax(abs(input), dim, keepdim)
    if isinstance(p, str) or not p > 0:
        raise ValueError(f"norm: p is {p!r}, expected a number above 0 or infinity")
    powers = sum(square(input) if p == 2 else pow(abs(input), p), dim, keepdim)
    if not powers.requires_grad:
        return _root(powers, p)
    zero = powers == 0  # where the root has no derivative PyTorch takes 0
    return where(zero, 0.0, _root(where(zero, 1.0, powers), p))


def _root(powers, p):
    return sqrt(powers) if p == 2 else pow(powers, 1 / p)


_Extremum = collections.namedtuple("_Extremum", ["values", "indices"])


def amax(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """Largest values over the dimensions `dim`; ties share the gradient.

    >>> import pyneuro as pn
    >>> pn.amax(pn.tensor([[1.0, 3.0], [2.0, 0.0]]), 1).tolist()
    [3.0, 2.0]
    """
    if names:
        dim, keepdim = _by_numpy("amax", names, dim, keepdim)
    return _ops["max"](input, _dims(dim), keepdim)


def amin(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """Smallest values over the dimensions `dim`; ties share the gradient.

    >>> import pyneuro as pn
    >>> pn.amin(pn.tensor([[1.0, 3.0], [2.0, 0.0]]), 1).tolist()
    [1.0, 0.0]
    """
    if names:
        dim, keepdim = _by_numpy("amin", names, dim, keepdim)
    return _ops["min"](input, _dims(dim), keepdim)


def max(input, dim=None, keepdim=False, **names):
    """The largest element; with a tensor as second argument `maximum`; with `dim` a pair (values, indices), as PyTorch.

    >>> import pyneuro as pn
    >>> values, indices = pn.max(pn.tensor([[1.0, 3.0], [2.0, 0.0]]), 1)
    >>> values.tolist(), indices.tolist()
    ([3.0, 2.0], [1, 0])
    """
    if names:
        dim, keepdim = _by_numpy("max", names, dim, keepdim)
    if dim is None:
        return amax(input)
    if isinstance(dim, _core.Tensor):
        return maximum(input, dim)
    return _Extremum(amax(input, dim, keepdim), argmax(input, dim, keepdim))


def min(input, dim=None, keepdim=False, **names):
    """The smallest element; with a tensor as second argument `minimum`; with `dim` a pair (values, indices).

    >>> import pyneuro as pn
    >>> pn.min(pn.tensor([3.0, 1.0])).item()
    1.0
    """
    if names:
        dim, keepdim = _by_numpy("min", names, dim, keepdim)
    if dim is None:
        return amin(input)
    if isinstance(dim, _core.Tensor):
        return minimum(input, dim)
    return _Extremum(amin(input, dim, keepdim), argmin(input, dim, keepdim))


def argmax(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """Position of the largest element along `dim`, of the flattened tensor for None. int64.

    >>> import pyneuro as pn
    >>> pn.argmax(pn.tensor([1.0, 3.0, 2.0])).item()
    1
    """
    if names:
        dim, keepdim = _by_numpy("argmax", names, dim, keepdim)
    return _ops["argmax"](input, dim, keepdim)


def argmin(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """Position of the smallest element along `dim`, of the flattened tensor for None. int64.

    >>> import pyneuro as pn
    >>> pn.argmin(pn.tensor([1.0, 3.0, 0.5])).item()
    2
    """
    if names:
        dim, keepdim = _by_numpy("argmin", names, dim, keepdim)
    return _ops["argmin"](input, dim, keepdim)


def logsumexp(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """log of the sum of exp over `dim`, without overflow.

    >>> import pyneuro as pn
    >>> f"{pn.logsumexp(pn.tensor([1000.0, 1000.0]), 0).item():.3f}"
    '1000.693'
    """
    if names:
        dim, keepdim = _by_numpy("logsumexp", names, dim, keepdim)
    return _ops["logsumexp"](input, _dims(dim), keepdim)


def softmax(input, dim=-1, stable=True, *, axis=None) -> _core.Tensor:
    """exp(x) / sum exp(x) along `dim`; stable=False: the naive formula, which overflows.

    >>> import pyneuro as pn
    >>> pn.softmax(pn.tensor([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    dim = dim if axis is None else axis
    return _ops["softmax"](input, dim, stable)


def log_softmax(input, dim=-1, stable=True, *, axis=None) -> _core.Tensor:
    """x - log sum exp(x) along `dim`; stable=False: the naive formula, which overflows.

    >>> import pyneuro as pn
    >>> f"{pn.log_softmax(pn.tensor([0.0, 0.0]))[0].item():.4f}"
    '-0.6931'
    """
    dim = dim if axis is None else axis
    return _ops["log_softmax"](input, dim, stable)


def any(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """Mask: whether some element along `dim` is not 0.

    >>> import pyneuro as pn
    >>> bool(pn.any(pn.tensor([0.0, 1.0])))
    True
    """
    if names:
        dim, keepdim = _by_numpy("any", names, dim, keepdim)
    return sum(_tensor(input) != 0, dim, keepdim) > 0


def all(input, dim=None, keepdim=False, **names) -> _core.Tensor:
    """Mask: whether no element along `dim` is 0.

    >>> import pyneuro as pn
    >>> bool(pn.all(pn.tensor([0.0, 1.0])))
    False
    """
    if names:
        dim, keepdim = _by_numpy("all", names, dim, keepdim)
    return sum(_tensor(input) == 0, dim, keepdim) == 0


def equal(input, other) -> bool:
    """True when shapes and all elements are equal.

    >>> import pyneuro as pn
    >>> pn.equal(pn.tensor([1, 2]), pn.tensor([1, 2]))
    True
    """
    input, other = _core.as_tensor(input), _core.as_tensor(other)
    return input.shape == other.shape and bool(all(input == other))


def allclose(input, other, rtol=1e-5, atol=1e-8, equal_nan=False) -> bool:
    """True when |input - other| <= atol + rtol |other| everywhere.

    >>> import pyneuro as pn
    >>> pn.allclose(pn.tensor([1.0]), pn.tensor([1.0 + 1e-7]))
    True
    """
    import numpy as np

    return bool(np.allclose(_tensor(input).numpy(), _tensor(other).numpy(), rtol, atol, equal_nan))


# ---- products ----
