"""Arithmetic by PyTorch's names: elementwise functions, reductions, products. Each is also a method of Tensor."""

import builtins
import collections
import math

from pyneuro import _core
from pyneuro._shapes import unsqueeze

_ops = _core.ops
_REAL = ("float32", "float64")

__all__ = [
    "abs",
    "add",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "clamp",
    "clip",
    "cos",
    "div",
    "dot",
    "elu",
    "equal",
    "exp",
    "gelu",
    "hardtanh",
    "isfinite",
    "isnan",
    "leaky_relu",
    "log",
    "log_softmax",
    "logsumexp",
    "masked_fill",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mul",
    "neg",
    "norm",
    "outer",
    "pow",
    "reciprocal",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "sin",
    "softmax",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "std",
    "step",
    "sub",
    "sum",
    "tanh",
    "var",
    "where",
]


def _tensor(x):
    return x if isinstance(x, _core.Tensor) else _core.as_tensor(x)


def _dims(dim):
    """dim as the ops want it: () for all."""
    return () if dim is None else dim


# ---- elementwise ----


def _elementwise(name):
    info = _core.op_info(name)
    op = _ops[name]

    def function(input):
        return op(input)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"Elementwise {info['formula']}. Backward: {info['derivative']}.\n\n"
        "Takes a tensor, array or number of any shape and returns a tensor of that shape.\n\n"
        f">>> import pyneuro as pn\n>>> pn.{name}(pn.tensor([0.5, 1.0])).shape\n(2,)\n"
    )
    return function


square, sqrt, reciprocal = map(_elementwise, ("square", "sqrt", "reciprocal"))
exp, log, sin, cos = map(_elementwise, ("exp", "log", "sin", "cos"))
sigmoid, tanh, softsign, softplus = map(_elementwise, ("sigmoid", "tanh", "softsign", "softplus"))
selu, gelu, silu = map(_elementwise, ("selu", "gelu", "silu"))


def abs(input):
    """|x|, also of int64 tensors.

    >>> import pyneuro as pn
    >>> pn.abs(pn.tensor([-1, 2])).tolist()
    [1, 2]
    """
    return _tensor(input).__abs__()


def neg(input):
    """-x, also of int64 tensors.

    >>> import pyneuro as pn
    >>> pn.neg(pn.tensor([-1, 2])).tolist()
    [1, -2]
    """
    return -_tensor(input)


def relu(input, grad_at_zero=0.0):
    """max(x, 0). `grad_at_zero`: the derivative at exactly 0; lectures 002 and 004 say 1, PyTorch 0.

    >>> import pyneuro as pn
    >>> pn.relu(pn.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return _ops["relu"](input, grad_at_zero)


def leaky_relu(input, negative_slope=0.01):
    """x for x > 0, negative_slope x below.

    >>> import pyneuro as pn
    >>> pn.leaky_relu(pn.tensor([-1.0, 2.0]), 0.5).tolist()
    [-0.5, 2.0]
    """
    return _ops["leaky_relu"](input, negative_slope)


def elu(input, alpha=1.0):
    """x for x > 0, alpha (exp(x) - 1) below.

    >>> import pyneuro as pn
    >>> pn.elu(pn.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return _ops["elu"](input, alpha)


def hardtanh(input, min_val=-1.0, max_val=1.0):
    """x between the bounds, the bound outside.

    >>> import pyneuro as pn
    >>> pn.hardtanh(pn.tensor([-3.0, 0.5])).tolist()
    [-1.0, 0.5]
    """
    return _ops["hardtanh"](input, min_val, max_val)


def step(input, at_zero=0.0):
    """1 for x > 0, 0 below, `at_zero` at 0: the neuron of McCulloch and Pitts. Its derivative is 0.

    >>> import pyneuro as pn
    >>> pn.step(pn.tensor([-1.0, 0.0, 2.0]), at_zero=1).tolist()
    [0.0, 1.0, 1.0]
    """
    return _ops["step"](input, at_zero)


def clamp(input, min=None, max=None):
    """x between min and max; None: no bound on that side. NaN stays NaN.

    >>> import pyneuro as pn
    >>> pn.clamp(pn.tensor([-3.0, 0.5, 3.0]), 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    if min is None and max is None:
        raise ValueError("clamp: give min, max or both")
    return _ops["clip"](input, -math.inf if min is None else min, math.inf if max is None else max)


clip = clamp


def add(input, other, *, alpha=1):
    """input + alpha other, broadcast.

    >>> import pyneuro as pn
    >>> pn.add(pn.tensor([1.0]), 2).tolist()
    [3.0]
    """
    return _tensor(input) + (other if alpha == 1 else other * alpha)


def sub(input, other, *, alpha=1):
    """input - alpha other, broadcast.

    >>> import pyneuro as pn
    >>> pn.sub(pn.tensor([1.0]), 2).tolist()
    [-1.0]
    """
    return _tensor(input) - (other if alpha == 1 else other * alpha)


def mul(input, other):
    """input times other, broadcast.

    >>> import pyneuro as pn
    >>> pn.mul(pn.tensor([3.0]), 2).tolist()
    [6.0]
    """
    return _tensor(input) * other


def div(input, other):
    """input / other, broadcast.

    >>> import pyneuro as pn
    >>> pn.div(pn.tensor([3.0]), 2).tolist()
    [1.5]
    """
    return _tensor(input) / other


def pow(input, exponent):
    """x ** exponent, broadcast.

    >>> import pyneuro as pn
    >>> pn.pow(pn.tensor([3.0]), 2).tolist()
    [9.0]
    """
    return _tensor(input) ** exponent


def maximum(input, other):
    """The larger of both, element by element, broadcast; a tie shares the gradient. NaN wins.

    >>> import pyneuro as pn
    >>> pn.maximum(pn.tensor([1.0, 4.0]), 2.0).tolist()
    [2.0, 4.0]
    """
    return _ops["maximum"](input, other)


def minimum(input, other):
    """The smaller of both, element by element, broadcast; a tie shares the gradient. NaN wins.

    >>> import pyneuro as pn
    >>> pn.minimum(pn.tensor([1.0, 4.0]), 2.0).tolist()
    [1.0, 2.0]
    """
    return _ops["minimum"](input, other)


def where(condition, input=None, other=None):
    """`input` where `condition` is not 0, else `other`; broadcast.

    With `condition` alone: the positions where it is not 0, one tensor a dimension.

    >>> import pyneuro as pn
    >>> t = pn.tensor([1.0, -2.0])
    >>> pn.where(t > 0, t, 0.0).tolist()
    [1.0, 0.0]
    >>> pn.where(t > 0)[0].tolist()
    [0]
    """
    if input is None and other is None:
        return tuple(_core.as_tensor(i) for i in _tensor(condition).numpy().nonzero())
    if input is None or other is None:
        raise TypeError("where: give both input and other, or neither")
    return _ops["where"](condition, input, other)


def masked_fill(input, mask, value):
    """A copy of `input` with `value` where `mask` is not 0.

    >>> import pyneuro as pn
    >>> t = pn.tensor([1.0, -2.0])
    >>> pn.masked_fill(t, t < 0, 9.0).tolist()
    [1.0, 9.0]
    """
    return _ops["where"](mask, value, input)


def isnan(input):
    """Mask of the elements that are NaN.

    >>> import pyneuro as pn
    >>> pn.isnan(pn.tensor([1.0, float("nan")])).tolist()
    [0, 1]
    """
    return input != input


def isfinite(input):
    """Mask of the elements that are neither infinite nor NaN.

    >>> import pyneuro as pn
    >>> pn.isfinite(pn.tensor([1.0, float("inf")])).tolist()
    [1, 0]
    """
    return abs(input) < math.inf if _tensor(input).dtype in _REAL else input == input


# ---- reductions ----


def sum(input, dim=None, keepdim=False):
    """Sum over the dimensions `dim` (an int, a tuple, None: all). float sums run in double.

    >>> import pyneuro as pn
    >>> pn.sum(pn.ones(2, 3), dim=0).tolist()
    [2.0, 2.0, 2.0]
    """
    return _ops["sum"](input, _dims(dim), keepdim)


def mean(input, dim=None, keepdim=False):
    """Mean over the dimensions `dim`. TypeError for int64 tensors.

    >>> import pyneuro as pn
    >>> pn.mean(pn.tensor([1.0, 2.0])).item()
    1.5
    """
    return _ops["mean"](input, _dims(dim), keepdim)


def var(input, dim=None, correction=1, keepdim=False):
    """Variance over the dimensions `dim`: squares divided by n - correction, as PyTorch.

    >>> import pyneuro as pn
    >>> pn.var(pn.tensor([1.0, 2.0, 3.0])).item()
    1.0
    """
    input = _tensor(input)
    d = input - mean(input, dim, True)
    total = sum(d * d, dim, keepdim)
    n = math.prod(input.shape) // builtins.max(math.prod(total.shape), 1)
    return total / builtins.max(n - correction, 0) if n > correction else total * math.nan


def std(input, dim=None, correction=1, keepdim=False):
    """Standard deviation, the square root of `var`.

    >>> import pyneuro as pn
    >>> pn.std(pn.tensor([1.0, 2.0, 3.0])).item()
    1.0
    """
    return sqrt(var(input, dim, correction, keepdim))


def norm(input, p=2, dim=None, keepdim=False):
    """The p-norm over the dimensions `dim`, p = 1, 2 or infinity.

    >>> import pyneuro as pn
    >>> pn.norm(pn.tensor([3.0, 4.0])).item()
    5.0
    """
    if p == 2:
        return sqrt(sum(square(input), dim, keepdim))
    if p == 1:
        return sum(abs(input), dim, keepdim)
    if p == math.inf:
        return amax(abs(input), dim, keepdim)
    raise ValueError(f"norm: p is {p!r}, expected 1, 2 or infinity")


_Extremum = collections.namedtuple("_Extremum", ["values", "indices"])


def amax(input, dim=None, keepdim=False):
    """Largest values over the dimensions `dim`; ties share the gradient.

    >>> import pyneuro as pn
    >>> pn.amax(pn.tensor([[1.0, 3.0], [2.0, 0.0]]), 1).tolist()
    [3.0, 2.0]
    """
    return _ops["max"](input, _dims(dim), keepdim)


def amin(input, dim=None, keepdim=False):
    """Smallest values over the dimensions `dim`; ties share the gradient.

    >>> import pyneuro as pn
    >>> pn.amin(pn.tensor([[1.0, 3.0], [2.0, 0.0]]), 1).tolist()
    [1.0, 0.0]
    """
    return _ops["min"](input, _dims(dim), keepdim)


def max(input, dim=None, keepdim=False):
    """The largest element; with a tensor as second argument `maximum`; with `dim` a pair (values, indices), as PyTorch.

    >>> import pyneuro as pn
    >>> values, indices = pn.max(pn.tensor([[1.0, 3.0], [2.0, 0.0]]), 1)
    >>> values.tolist(), indices.tolist()
    ([3.0, 2.0], [1, 0])
    """
    if dim is None:
        return amax(input)
    if isinstance(dim, _core.Tensor):
        return maximum(input, dim)
    return _Extremum(amax(input, dim, keepdim), argmax(input, dim, keepdim))


def min(input, dim=None, keepdim=False):
    """The smallest element; with a tensor as second argument `minimum`; with `dim` a pair (values, indices).

    >>> import pyneuro as pn
    >>> pn.min(pn.tensor([3.0, 1.0])).item()
    1.0
    """
    if dim is None:
        return amin(input)
    if isinstance(dim, _core.Tensor):
        return minimum(input, dim)
    return _Extremum(amin(input, dim, keepdim), argmin(input, dim, keepdim))


def argmax(input, dim=None, keepdim=False):
    """Position of the largest element along `dim`, of the flattened tensor for None. int64.

    >>> import pyneuro as pn
    >>> pn.argmax(pn.tensor([1.0, 3.0, 2.0])).item()
    1
    """
    return _ops["argmax"](input, dim, keepdim)


def argmin(input, dim=None, keepdim=False):
    """Position of the smallest element along `dim`, of the flattened tensor for None. int64.

    >>> import pyneuro as pn
    >>> pn.argmin(pn.tensor([1.0, 3.0, 0.5])).item()
    2
    """
    return _ops["argmin"](input, dim, keepdim)


def logsumexp(input, dim, keepdim=False):
    """log of the sum of exp over `dim`, without overflow.

    >>> import pyneuro as pn
    >>> round(pn.logsumexp(pn.tensor([1000.0, 1000.0]), 0).item(), 3)
    1000.693
    """
    return _ops["logsumexp"](input, _dims(dim), keepdim)


def softmax(input, dim=-1, stable=True):
    """exp(x) / sum exp(x) along `dim`; stable=False: the naive formula, which overflows.

    >>> import pyneuro as pn
    >>> pn.softmax(pn.tensor([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    return _ops["softmax"](input, dim, stable)


def log_softmax(input, dim=-1, stable=True):
    """x - log sum exp(x) along `dim`; stable=False: the naive formula, which overflows.

    >>> import pyneuro as pn
    >>> round(pn.log_softmax(pn.tensor([0.0, 0.0]))[0].item(), 4)
    -0.6931
    """
    return _ops["log_softmax"](input, dim, stable)


def any(input, dim=None, keepdim=False):
    """Mask: whether some element along `dim` is not 0.

    >>> import pyneuro as pn
    >>> bool(pn.any(pn.tensor([0.0, 1.0])))
    True
    """
    return sum(_tensor(input) != 0, dim, keepdim) > 0


def all(input, dim=None, keepdim=False):
    """Mask: whether no element along `dim` is 0.

    >>> import pyneuro as pn
    >>> bool(pn.all(pn.tensor([0.0, 1.0])))
    False
    """
    return sum(_tensor(input) == 0, dim, keepdim) == 0


def equal(input, other):
    """True when shapes and all elements are equal.

    >>> import pyneuro as pn
    >>> pn.equal(pn.tensor([1, 2]), pn.tensor([1, 2]))
    True
    """
    input, other = _core.as_tensor(input), _core.as_tensor(other)
    return input.shape == other.shape and bool(all(input == other))


def allclose(input, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    """True when |input - other| <= atol + rtol |other| everywhere.

    >>> import pyneuro as pn
    >>> pn.allclose(pn.tensor([1.0]), pn.tensor([1.0 + 1e-7]))
    True
    """
    import numpy as np

    return bool(np.allclose(_tensor(input).numpy(), _tensor(other).numpy(), rtol, atol, equal_nan))


# ---- products ----


def matmul(input, other):
    """Matrix product; leading dimensions are broadcast, a vector counts as one row or column.

    >>> import pyneuro as pn
    >>> pn.matmul(pn.tensor([[1.0, 2.0]]), pn.tensor([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    return _ops["matmul"](input, other)


def dot(input, other):
    """Scalar product of two vectors of one length. ValueError for other shapes.

    >>> import pyneuro as pn
    >>> pn.dot(pn.tensor([1.0, 2.0]), pn.tensor([3.0, 4.0])).item()
    11.0
    """
    input, other = _tensor(input), _tensor(other)
    if input.ndim != 1 or input.shape != other.shape:
        raise ValueError(
            f"dot: input has shape {input.shape}, other has shape {other.shape}, expected two equal vectors"
        )
    return sum(input * other)


def outer(input, vec2):
    """Outer product of two vectors, (n,) and (m,) -> (n, m).

    >>> import pyneuro as pn
    >>> pn.outer(pn.tensor([1.0, 2.0]), pn.tensor([3.0])).tolist()
    [[3.0], [6.0]]
    """
    input, vec2 = _tensor(input), _tensor(vec2)
    if input.ndim != 1 or vec2.ndim != 1:
        raise ValueError(f"outer: input has shape {input.shape}, vec2 has shape {vec2.shape}, expected two vectors")
    return unsqueeze(input, 1) * vec2
