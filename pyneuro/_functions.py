"""Arithmetic by PyTorch's names: elementwise functions and products. Each is also a method of Tensor."""

import math

from pyneuro import _core
from pyneuro._shapes import unsqueeze

_ops = _core.ops
_REAL = ("float32", "float64")

__all__ = [
    "abs",
    "add",
    "ceil",
    "clamp",
    "clip",
    "cos",
    "div",
    "dot",
    "elu",
    "exp",
    "floor",
    "floor_divide",
    "gelu",
    "hardtanh",
    "isfinite",
    "isnan",
    "leaky_relu",
    "log",
    "masked_fill",
    "matmul",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "outer",
    "pow",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "step",
    "sub",
    "tanh",
    "where",
]


def _tensor(x):
    return x if isinstance(x, _core.Tensor) else _core.as_tensor(x)


# ---- elementwise ----


def _elementwise(name):
    info = _core.op_info(name)
    op = _ops[name]
    if info["fields"]:
        import inspect  # only then: the function takes the parameters of the op

        def function(input, *parameters, **named):
            return op(input, *parameters, **named)

        function.__signature__ = inspect.signature(op)
    else:

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


def _rounding(name):
    """An elementwise function that leaves int64 tensors as they are."""
    real = _elementwise(name)

    def function(input):
        input = _tensor(input)
        return real(input) if input.dtype in _REAL else input

    function.__name__ = function.__qualname__ = name
    function.__doc__ = real.__doc__
    return function


floor, ceil = map(_rounding, ("floor", "ceil"))


def round(input, *, decimals=0) -> _core.Tensor:
    """The nearest integer, the even one in the middle; with `decimals` the nearest multiple of 10 ** -decimals.

    The derivative is 0. int64 tensors stay as they are.

    >>> import pyneuro as pn
    >>> pn.round(pn.tensor([0.5, 1.5, -1.2])).tolist()
    [0.0, 2.0, -1.0]
    """
    input = _tensor(input)
    if not hasattr(decimals, "__index__"):
        raise TypeError(f"round: decimals is {decimals!r:.80}, expected an integer")
    if input.dtype not in _REAL:
        return input
    return _ops["round"](input * 10.0**decimals) / 10.0**decimals if decimals else _ops["round"](input)


def sign(input) -> _core.Tensor:
    """1 for x > 0, 0 for 0, -1 below; NaN stays NaN. The derivative is 0. Also of int64 tensors.

    >>> import pyneuro as pn
    >>> pn.sign(pn.tensor([-3.0, 0.0, 2.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    input = _tensor(input)
    return _ops["sign"](input) if input.dtype in _REAL else (input > 0) - (input < 0)


def abs(input) -> _core.Tensor:
    """|x|, also of int64 tensors.

    >>> import pyneuro as pn
    >>> pn.abs(pn.tensor([-1, 2])).tolist()
    [1, 2]
    """
    return _tensor(input).__abs__()


def neg(input) -> _core.Tensor:
    """-x, also of int64 tensors.

    >>> import pyneuro as pn
    >>> pn.neg(pn.tensor([-1, 2])).tolist()
    [1, -2]
    """
    return -_tensor(input)


def relu(input, *, relu_grad_at_zero=0.0) -> _core.Tensor:
    """max(x, 0). `relu_grad_at_zero`: the derivative at exactly 0; lectures 002 and 004 say 1, PyTorch 0.

    >>> import pyneuro as pn
    >>> pn.relu(pn.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    >>> x = pn.tensor(0.0, requires_grad=True)
    >>> pn.relu(x, relu_grad_at_zero=1).backward(); x.grad
    tensor(1.)
    """
    return _ops["relu"](input, relu_grad_at_zero)


def leaky_relu(input, negative_slope=0.01, *, relu_grad_at_zero=None) -> _core.Tensor:
    """x for x > 0, negative_slope x below.

    `relu_grad_at_zero`: the derivative at exactly 0. None: the slope, as PyTorch; the lectures take 1.

    >>> import pyneuro as pn
    >>> pn.leaky_relu(pn.tensor([-1.0, 2.0]), 0.5).tolist()
    [-0.5, 2.0]
    """
    return _ops["leaky_relu"](input, negative_slope, relu_grad_at_zero)


def elu(input, alpha=1.0, *, relu_grad_at_zero=None) -> _core.Tensor:
    """x for x > 0, alpha (exp(x) - 1) below.

    `relu_grad_at_zero`: the derivative at exactly 0. None: alpha, as PyTorch; the lectures take 1.

    >>> import pyneuro as pn
    >>> pn.elu(pn.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return _ops["elu"](input, alpha, relu_grad_at_zero)


def hardtanh(input, min_val=-1.0, max_val=1.0) -> _core.Tensor:
    """x between the bounds, the bound outside.

    >>> import pyneuro as pn
    >>> pn.hardtanh(pn.tensor([-3.0, 0.5])).tolist()
    [-1.0, 0.5]
    """
    return _ops["hardtanh"](input, min_val, max_val)


def step(input, at_zero=0.0) -> _core.Tensor:
    """1 for x > 0, 0 below, `at_zero` at 0: the neuron of McCulloch and Pitts. Its derivative is 0.

    >>> import pyneuro as pn
    >>> pn.step(pn.tensor([-1.0, 0.0, 2.0]), at_zero=1).tolist()
    [0.0, 1.0, 1.0]
    """
    return _ops["step"](input, at_zero)


# The lines of csrc/kernels/activation.def without a function above; a copy and a spelling of gelu need none.
GENERATED = [
    name
    for name in _ops
    if _core.op_info(name)["file"] == "ops/activations.c" and name not in {*globals(), "identity", "gelu_tanh"}
]
globals().update({name: _elementwise(name) for name in GENERATED})
__all__ += GENERATED


def clamp(input, min=None, max=None) -> _core.Tensor:
    """x between min and max; None: no bound on that side. NaN stays NaN.

    >>> import pyneuro as pn
    >>> pn.clamp(pn.tensor([-3.0, 0.5, 3.0]), 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    if min is None and max is None:
        raise ValueError("clamp: give min, max or both")
    return _ops["clip"](input, -math.inf if min is None else min, math.inf if max is None else max)


clip = clamp


def add(input, other, *, alpha=1) -> _core.Tensor:
    """input + alpha other, broadcast.

    >>> import pyneuro as pn
    >>> pn.add(pn.tensor([1.0]), 2).tolist()
    [3.0]
    """
    return _tensor(input) + (other if alpha == 1 else other * alpha)


def sub(input, other, *, alpha=1) -> _core.Tensor:
    """input - alpha other, broadcast.

    >>> import pyneuro as pn
    >>> pn.sub(pn.tensor([1.0]), 2).tolist()
    [-1.0]
    """
    return _tensor(input) - (other if alpha == 1 else other * alpha)


def mul(input, other) -> _core.Tensor:
    """input times other, broadcast.

    >>> import pyneuro as pn
    >>> pn.mul(pn.tensor([3.0]), 2).tolist()
    [6.0]
    """
    return _tensor(input) * other


def div(input, other) -> _core.Tensor:
    """input / other, broadcast.

    >>> import pyneuro as pn
    >>> pn.div(pn.tensor([3.0]), 2).tolist()
    [1.5]
    """
    return _tensor(input) / other


def floor_divide(input, other) -> _core.Tensor:
    """floor(input / other), broadcast, as the operator //: no gradient. Division of integers by 0 is a ValueError.

    >>> import pyneuro as pn
    >>> pn.floor_divide(pn.tensor([7.0, -7.0]), 2).tolist()
    [3.0, -4.0]
    """
    return _tensor(input) // other


def remainder(input, other) -> _core.Tensor:
    """What floor division leaves, input - other floor(input / other), as the operator %: it has the sign of `other`.

    Integers by 0 are a ValueError.

    >>> import pyneuro as pn
    >>> pn.remainder(pn.tensor([7.0, -7.0]), 2).tolist()
    [1.0, 1.0]
    """
    return _tensor(input) % other


def pow(input, exponent) -> _core.Tensor:
    """x ** exponent, broadcast.

    >>> import pyneuro as pn
    >>> pn.pow(pn.tensor([3.0]), 2).tolist()
    [9.0]
    """
    return _tensor(input) ** exponent


def maximum(input, other) -> _core.Tensor:
    """The larger of both, element by element, broadcast; a tie shares the gradient. NaN wins.

    >>> import pyneuro as pn
    >>> pn.maximum(pn.tensor([1.0, 4.0]), 2.0).tolist()
    [2.0, 4.0]
    """
    return _ops["maximum"](input, other)


def minimum(input, other) -> _core.Tensor:
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


def masked_fill(input, mask, value) -> _core.Tensor:
    """A copy of `input` with `value` where `mask` is not 0.

    >>> import pyneuro as pn
    >>> t = pn.tensor([1.0, -2.0])
    >>> pn.masked_fill(t, t < 0, 9.0).tolist()
    [1.0, 9.0]
    """
    return _ops["where"](mask, value, input)


def isnan(input) -> _core.Tensor:
    """Mask of the elements that are NaN.

    >>> import pyneuro as pn
    >>> pn.isnan(pn.tensor([1.0, float("nan")])).tolist()
    [0, 1]
    """
    return input != input


def isfinite(input) -> _core.Tensor:
    """Mask of the elements that are neither infinite nor NaN.

    >>> import pyneuro as pn
    >>> pn.isfinite(pn.tensor([1.0, float("inf")])).tolist()
    [1, 0]
    """
    return abs(input) < math.inf if _tensor(input).dtype in _REAL else input == input


# ---- products ----


def matmul(input, other) -> _core.Tensor:
    """Matrix product; leading dimensions are broadcast, a vector counts as one row or column.

    >>> import pyneuro as pn
    >>> pn.matmul(pn.tensor([[1.0, 2.0]]), pn.tensor([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    return _ops["matmul"](input, other)


def dot(input, other) -> _core.Tensor:
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
    return _ops["sum"](input * other, ())


def outer(input, vec2) -> _core.Tensor:
    """Outer product of two vectors, (n,) and (m,) -> (n, m).

    >>> import pyneuro as pn
    >>> pn.outer(pn.tensor([1.0, 2.0]), pn.tensor([3.0])).tolist()
    [[3.0], [6.0]]
    """
    input, vec2 = _tensor(input), _tensor(vec2)
    if input.ndim != 1 or vec2.ndim != 1:
        raise ValueError(f"outer: input has shape {input.shape}, vec2 has shape {vec2.shape}, expected two vectors")
    return unsqueeze(input, 1) * vec2
