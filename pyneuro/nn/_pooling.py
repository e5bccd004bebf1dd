"""Pooling as functions, by PyTorch's names: `nn.functional.max_pool2d` and its relatives.

2-D: x (N, C, H, W) or (C, H, W). 1-D: x (N, C, L) or (C, L), computed as an image of height 1.
"""

import math
import operator

from pyneuro import _core
from pyneuro.nn import _check

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "avg_pool1d",
    "avg_pool2d", "max_pool1d", "max_pool2d",
]  # fmt: skip

_ops = _core.ops


def numbers(name, argument, value, count=2, least=0):
    """`value`, a whole number or `count` of them, as it is or as a tuple. TypeError or ValueError otherwise."""
    if not isinstance(value, (tuple, list)):
        return _check.size(name, argument, value, least)
    if len(value) not in (1, count):
        wanted = "one number" if count == 1 else f"one number or {count}"
        raise ValueError(f"{name}: {argument} must be {wanted}, got {tuple(value)!r:.80}")
    given = tuple(_check.size(name, argument, n, least) for n in value)
    return given[0] if len(given) == 1 else given


def _instead_of_same(kernel, stride):
    """What makes an output of the size that Keras's padding='same' gives: ceil(N / stride)."""
    sides = kernel if isinstance(kernel, tuple) else (kernel,)
    if all(k % 2 for k in sides):
        padding = tuple(k // 2 for k in sides)
        return f"padding={padding[0] if len(padding) == 1 else padding} gives the same size here"
    if kernel == stride:
        return "ceil_mode=True gives the same size here"
    return "put a padding layer such as nn.ConstantPad2d((0, 1, 0, 1), value) before it"


def windows(name, kernel_size, stride, padding, dilation=1, count=2):
    """The four arguments of a pooling layer, checked; a stride of None is the kernel's size.

    padding: numbers, or Keras's "valid", which is 0. Keras's "same" depends on the input and is refused with a hint.
    """
    kernel = numbers(name, "kernel_size", kernel_size, count, 1)
    stride = kernel if stride is None or stride in ((), []) else numbers(name, "stride", stride, count, 1)
    if isinstance(padding, str):
        _check.choice(name, "padding", padding, ("valid", "same"))
        if padding == "same":
            raise ValueError(f"{name}: padding='same' depends on the input's size; {_instead_of_same(kernel, stride)}")
        padding = 0
    return kernel, stride, numbers(name, "padding", padding, count), numbers(name, "dilation", dilation, count, 1)


def output_size(name, value, count=2):
    """The size that an adaptive layer makes: a number or a tuple, None where the input's size stays."""
    several = value if isinstance(value, (tuple, list)) else (value,)
    if len(several) not in (1, count):
        raise ValueError(f"{name}: output_size must be one number or {count}, got {tuple(several)!r:.80}")
    several = tuple(None if n is None else _check.size(name, "output_size", n) for n in several)
    return several if isinstance(value, (tuple, list)) else several[0]


def divisor(name, value):
    """divisor_override as a whole number that is not 0, or None."""
    if value is None:
        return None
    try:
        n = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: divisor_override must be a whole number or None, got {value!r:.80}") from None
    if n == 0:
        raise ValueError(f"{name}: divisor_override must not be 0")
    return n


def no_indices(name, return_indices):
    """Raises TypeError when positions of the maxima are asked for, which pooling here keeps to itself."""
    if return_indices:
        raise TypeError(f"{name} has no return_indices: positions of the maxima are kept for the gradient alone")


def flag(name, argument, value):
    """`value` when it is True or False. TypeError otherwise: a padding given in its place would count as True."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: {argument} must be True or False, got {value!r:.80}")
    return value


def _tensor(x):
    return x if isinstance(x, _core.Tensor) else _core.as_tensor(x)


def _pair(value):
    """A 1-D number as (None for the height, number)."""
    return value[0] if isinstance(value, (tuple, list)) else value


def _flat(name, input, op, *attributes):
    """A 2-D op on a 1-D input: x (N, C, L) or (C, L) gets a height of 1 for the time of the op."""
    x = _tensor(input)
    shape = tuple(x.shape)
    if len(shape) not in (2, 3):
        raise ValueError(f"{name}: x has shape {shape}, expected (N, C, L) or (C, L)")
    if math.prod(shape[-1:]) == 0:
        raise ValueError(f"{name}: x has shape {shape}, expected a length of at least 1")
    y = _ops[op](_ops["reshape"](x, (*shape[:-1], 1, shape[-1])), *attributes)
    return _ops["reshape"](y, (*shape[:-1], y.shape[-1]))


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window, see `nn.MaxPool2d`.

    >>> x = [[[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]]
    >>> max_pool2d(x, 2).tolist()
    [[[6.0, 8.0], [3.0, 4.0]]]
    """
    no_indices("max_pool2d", return_indices)
    return _ops["max_pool2d"](
        input,
        *windows("max_pool2d", kernel_size, stride, padding, dilation),
        flag("max_pool2d", "ceil_mode", ceil_mode),
    )


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window of (N, C, L), see `nn.MaxPool1d`.

    >>> max_pool1d([[1.0, 3.0, 2.0, 0.0]], 2).tolist()
    [[3.0, 2.0]]
    """
    no_indices("max_pool1d", return_indices)
    kernel, stride, padding, dilation = map(_pair, windows("max_pool1d", kernel_size, stride, padding, dilation, 1))
    return _flat(
        "max_pool1d",
        input,
        "max_pool2d",
        (1, kernel),
        (1, stride),
        (0, padding),
        (1, dilation),
        flag("max_pool1d", "ceil_mode", ceil_mode),
    )


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window, see `nn.AvgPool2d`.

    >>> x = [[[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]]
    >>> avg_pool2d(x, 2).tolist()
    [[[3.25, 5.25], [2.0, 2.0]]]
    """
    override = divisor("avg_pool2d", divisor_override)
    given = windows("avg_pool2d", kernel_size, stride, padding)[:3]
    return _ops["avg_pool2d"](
        input,
        *given,
        flag("avg_pool2d", "ceil_mode", ceil_mode),
        flag("avg_pool2d", "count_include_pad", count_include_pad),
        override,
    )


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window of (N, C, L), see `nn.AvgPool1d`.

    >>> avg_pool1d([[1.0, 3.0, 2.0, 0.0]], 2).tolist()
    [[2.0, 1.0]]
    """
    kernel, stride, padding, _ = map(_pair, windows("avg_pool1d", kernel_size, stride, padding, 1, 1))
    shape = (1, kernel), (1, stride), (0, padding)
    return _flat(
        "avg_pool1d",
        input,
        "avg_pool2d",
        *shape,
        flag("avg_pool1d", "ceil_mode", ceil_mode),
        flag("avg_pool1d", "count_include_pad", count_include_pad),
        None,
    )


def _adaptive(op, input, size):
    given = output_size(op, size)
    given = given if isinstance(given, tuple) else (given, given)
    return _ops[op](input, tuple(-1 if n is None else n for n in given))


def _adaptive1d(name, op, input, size):
    size = _pair(output_size(name, size, 1))
    return _flat(name, input, op, (1, -1 if size is None else size))


def adaptive_avg_pool2d(input, output_size):
    """Means over as many windows as `output_size` says, see `nn.AdaptiveAvgPool2d`.

    >>> adaptive_avg_pool2d([[[1.0, 2.0], [3.0, 6.0]]], 1).tolist()
    [[[3.0]]]
    """
    return _adaptive("adaptive_avg_pool2d", input, output_size)


def adaptive_avg_pool1d(input, output_size):
    """Means over as many windows of (N, C, L) as `output_size` says, see `nn.AdaptiveAvgPool1d`.

    >>> adaptive_avg_pool1d([[1.0, 3.0, 2.0, 0.0]], 2).tolist()
    [[2.0, 1.0]]
    """
    return _adaptive1d("adaptive_avg_pool1d", "adaptive_avg_pool2d", input, output_size)


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """Largest elements of as many windows as `output_size` says, see `nn.AdaptiveMaxPool2d`.

    >>> adaptive_max_pool2d([[[1.0, 2.0], [3.0, 6.0]]], (1, None)).tolist()
    [[[3.0, 6.0]]]
    """
    no_indices("adaptive_max_pool2d", return_indices)
    return _adaptive("adaptive_max_pool2d", input, output_size)


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """Largest elements of as many windows of (N, C, L) as `output_size` says, see `nn.AdaptiveMaxPool1d`.

    >>> adaptive_max_pool1d([[1.0, 3.0, 2.0, 0.0]], 2).tolist()
    [[3.0, 2.0]]
    """
    no_indices("adaptive_max_pool1d", return_indices)
    return _adaptive1d("adaptive_max_pool1d", "adaptive_max_pool2d", input, output_size)
