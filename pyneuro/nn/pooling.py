"""Pooling layers: MaxPool1d, MaxPool2d, AvgPool1d, AvgPool2d and the adaptive ones; Dropout2d, Unflatten."""

import math

from pyneuro import _core
from pyneuro.nn import _check, _pooling
from pyneuro.nn.layers import Dropout
from pyneuro.nn.module import Module


class _Windows(Module):
    """What max and average pooling share: `kernel_size`, `stride`, `padding`, `ceil_mode`."""

    _rank = 2
    _options = ("ceil_mode",)

    def _take(self, kernel_size, stride, padding, dilation, other, spellings):
        """Checks and keeps the window; Keras's pool_size and strides mean the same."""
        name = type(self).__name__
        known = ("kernel_size", "stride", "padding", *self._options)
        pool_size, strides = other.pop("pool_size", None), other.pop("strides", None)
        _check.refuse(name, other, known)
        kernel_size = _check.either(name, {"kernel_size": kernel_size, "pool_size": pool_size}, None)
        stride = _check.either(name, {"stride": stride, "strides": strides}, None)
        if kernel_size is None:
            raise TypeError(f"{name} needs kernel_size, the height and width of a window, such as 2")
        given = _pooling.windows(name, kernel_size, stride, padding, dilation, self._rank)
        self.kernel_size, self.stride, self.padding, self.dilation = given
        for key, value in spellings.items():
            setattr(self, key, _pooling.flag(name, key, value))

    def extra_repr(self):
        """Window, stride, padding and options."""
        return ", ".join(f"{key}={value}" for key, value in self._config().items())

    def _label(self):
        return f"{type(self).__name__}({self.kernel_size}, stride={self.stride}, padding={self.padding})"

    def _config(self):
        return {key: getattr(self, key) for key in ("kernel_size", "stride", "padding", *self._options)}

    def _flops(self, x, y):
        sides = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,) * self._rank
        return math.prod(y) * math.prod(sides)


class MaxPool2d(_Windows):
    """`MaxPool2d(kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False)`.

    x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW): the largest element of each window, OH = floor((H + 2 padding -
    dilation (kernel_size - 1) - 1) / stride) + 1. The gradient goes to the first maximum of a window.

    kernel_size (or Keras's pool_size), stride (strides; default: the kernel's size), padding, dilation: one number or
    (height, width). padding is at most half of the kernel and counts as -inf. ceil_mode rounds OH up.

    Raises TypeError for numbers that are not whole, a ceil_mode that is not True or False, and return_indices=True;
    ValueError for numbers too small and for input too small for a window. Source: lecture 003; PyTorch's nn.MaxPool2d.

    >>> from pyneuro import nn
    >>> nn.MaxPool2d(2)([[[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]]).tolist()
    [[[6.0, 8.0], [3.0, 4.0]]]
    """

    _options = ("dilation", "ceil_mode")

    def __init__(
        self, kernel_size=None, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False, **other
    ):
        super().__init__()
        _pooling.no_indices(type(self).__name__, return_indices)
        self._take(kernel_size, stride, padding, dilation, other, {"ceil_mode": ceil_mode})

    def forward(self, x):
        """x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW)."""
        return _pooling.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)


class MaxPool1d(MaxPool2d):
    """`MaxPool1d(kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False)`.

    x (N, C, L) or (C, L) -> (N, C, OL): the largest element of each window. Arguments as in `nn.MaxPool2d`.

    >>> from pyneuro import nn
    >>> nn.MaxPool1d(3, stride=1)([[1.0, 3.0, 2.0, 0.0]]).tolist()
    [[3.0, 3.0]]
    """

    _rank = 1

    def forward(self, x):
        """x (N, C, L) or (C, L) -> (N, C, OL)."""
        return _pooling.max_pool1d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)


class AvgPool2d(_Windows):
    """`AvgPool2d(kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None)`.

    x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW): the mean of each window, sizes as for `nn.MaxPool2d`.

    kernel_size, stride, padding, ceil_mode: as there. count_include_pad: whether zeros of the padding count as elements
    of a window. divisor_override: what sums are divided by instead of the window's size.

    Raises TypeError or ValueError as MaxPool2d does. Source: lecture 003; PyTorch's nn.AvgPool2d.

    >>> from pyneuro import nn
    >>> nn.AvgPool2d(2)([[[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]]).tolist()
    [[[3.25, 5.25], [2.0, 2.0]]]
    """

    _options = ("ceil_mode", "count_include_pad", "divisor_override")

    def __init__(
        self, kernel_size=None, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None,
        **other,
    ):  # fmt: skip
        super().__init__()
        options = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
        self._take(kernel_size, stride, padding, 1, other, options)
        self.divisor_override = _pooling.divisor(type(self).__name__, divisor_override)

    def forward(self, x):
        """x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW)."""
        window = self.kernel_size, self.stride, self.padding
        return _pooling.avg_pool2d(x, *window, self.ceil_mode, self.count_include_pad, self.divisor_override)


class AvgPool1d(_Windows):
    """`AvgPool1d(kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True)`.

    x (N, C, L) or (C, L) -> (N, C, OL): the mean of each window. Arguments as in `nn.AvgPool2d`.

    >>> from pyneuro import nn
    >>> nn.AvgPool1d(2)([[1.0, 3.0, 2.0, 0.0]]).tolist()
    [[2.0, 1.0]]
    """

    _rank = 1
    _options = ("ceil_mode", "count_include_pad")

    def __init__(self, kernel_size=None, stride=None, padding=0, ceil_mode=False, count_include_pad=True, **other):
        super().__init__()
        options = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
        self._take(kernel_size, stride, padding, 1, other, options)

    def forward(self, x):
        """x (N, C, L) or (C, L) -> (N, C, OL)."""
        window = self.kernel_size, self.stride, self.padding
        return _pooling.avg_pool1d(x, *window, self.ceil_mode, self.count_include_pad)


class _Adaptive(Module):
    """Pooling into a given number of windows."""

    _count = 2
    _function = None

    def __init__(self, output_size=..., **other):
        super().__init__()
        _check.refuse(type(self).__name__, other, ("output_size",))
        if output_size is ...:  # None is a size: the input's
            _check.need(type(self).__name__, {"output_size": None})
        self.output_size = _pooling.output_size(type(self).__name__, output_size, self._count)

    def forward(self, x):
        """x (N, C, H, W) or (C, H, W), 1-D (N, C, L) or (C, L) -> the same with `output_size` at the end."""
        return type(self)._function(x, self.output_size)

    def extra_repr(self):
        """The size of the output."""
        return f"output_size={self.output_size}"

    def _label(self):
        return f"{type(self).__name__}({self.output_size})"

    def _config(self):
        return {"output_size": self.output_size}

    def _flops(self, x, y):
        return math.prod(x)


class AdaptiveAvgPool2d(_Adaptive):
    """`AdaptiveAvgPool2d(output_size)`: means over as many windows as asked for, whatever the size of the input.

    x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW); window o goes from floor(o H / OH) to ceil((o + 1) H / OH).
    output_size: one number or (height, width), None for a size that stays; 1 is global average pooling.

    Raises TypeError for sizes that are no whole numbers, ValueError for sizes below 1 and for input of another rank.
    Source: PyTorch; Lin et al. 2013 for the global one.

    >>> from pyneuro import nn
    >>> nn.AdaptiveAvgPool2d(1)([[[1.0, 2.0], [3.0, 6.0]]]).tolist()
    [[[3.0]]]
    """

    _function = staticmethod(_pooling.adaptive_avg_pool2d)


class AdaptiveAvgPool1d(_Adaptive):
    """`AdaptiveAvgPool1d(output_size)`: x (N, C, L) or (C, L) -> (N, C, output_size), see `nn.AdaptiveAvgPool2d`.

    >>> from pyneuro import nn
    >>> nn.AdaptiveAvgPool1d(2)([[1.0, 3.0, 2.0, 0.0]]).tolist()
    [[2.0, 1.0]]
    """

    _count = 1
    _function = staticmethod(_pooling.adaptive_avg_pool1d)


class AdaptiveMaxPool2d(_Adaptive):
    """`AdaptiveMaxPool2d(output_size, return_indices=False)`: largest elements of as many windows as asked for.

    x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW). Windows, output_size and errors as in `nn.AdaptiveAvgPool2d`;
    TypeError also for return_indices=True.

    >>> from pyneuro import nn
    >>> nn.AdaptiveMaxPool2d((None, 1))([[[1.0, 2.0], [3.0, 6.0]]]).tolist()
    [[[2.0], [6.0]]]
    """

    _function = staticmethod(_pooling.adaptive_max_pool2d)

    def __init__(self, output_size=..., return_indices=False, **other):
        _pooling.no_indices(type(self).__name__, return_indices)
        super().__init__(output_size, **other)


class AdaptiveMaxPool1d(AdaptiveMaxPool2d):
    """`AdaptiveMaxPool1d(output_size)`: x (N, C, L) or (C, L) -> (N, C, output_size), see `nn.AdaptiveMaxPool2d`.

    >>> from pyneuro import nn
    >>> nn.AdaptiveMaxPool1d(2)([[1.0, 3.0, 2.0, 0.0]]).tolist()
    [[3.0, 2.0]]
    """

    _count = 1
    _function = staticmethod(_pooling.adaptive_max_pool1d)


class Dropout2d(Dropout):
    """`Dropout2d(p=0.5)`: in training mode whole channels become 0 with probability p, the others x / (1 - p).

    x (N, C, ...) -> the same shape. Neighbouring pixels of a feature map tell the same, so that single ones would not
    be missed. p, rate, keep, the mask's independence of threads and the errors are those of `nn.Dropout`. Source:
    Tompson et al. 2015; PyTorch's nn.Dropout2d, but (C, H, W) without a batch is no input here.

    >>> from pyneuro import nn
    >>> nn.Dropout2d(keep=0.8)
    Dropout2d(p=0.2)
    """

    def forward(self, x):
        """x (N, C, ...) -> the same shape."""
        if not self.training:
            return x
        old = _core.set_training(True)
        try:
            return _core.ops["dropout2d"](x, self.p)
        finally:
            _core.set_training(old)

    def _label(self):
        return f"Dropout2d({self.p:g})"


class Unflatten(Module):
    """`Unflatten(dim, unflattened_size)`: one dimension becomes several, the reverse of `nn.Flatten`.

    dim: which one, from the end when negative. unflattened_size: sizes whose product is that of the dimension, one of
    them may be -1. x (N, C H W) -> (N, C, H, W) with `Unflatten(1, (C, H, W))`. IndexError when there is no such
    dimension, ValueError when the sizes do not fit. Source: PyTorch's nn.Unflatten.

    >>> from pyneuro import nn
    >>> nn.Unflatten(1, (2, -1))([[1.0, 2.0, 3.0, 4.0]]).tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]
    """

    def __init__(self, dim, unflattened_size, **other):
        super().__init__()
        _check.refuse("Unflatten", other, ("dim", "unflattened_size"))
        self.dim = _check.size("Unflatten", "dim", dim, least=-8)
        self.unflattened_size = tuple(
            _check.size("Unflatten", "unflattened_size", n, least=-1) for n in unflattened_size
        )
        if self.unflattened_size.count(-1) > 1:
            raise ValueError(f"Unflatten: only one size may be -1, got {self.unflattened_size}")

    def forward(self, x):
        """x (..., n, ...) -> (..., *unflattened_size, ...)."""
        x = x if isinstance(x, _core.Tensor) else _core.as_tensor(x)
        shape = tuple(x.shape)
        if not -len(shape) <= self.dim < len(shape):
            raise IndexError(f"dim is {self.dim}, but x has shape {shape}")
        at, sizes = self.dim % len(shape), self.unflattened_size
        known = math.prod(n for n in sizes if n != -1)
        if known != shape[at] if -1 not in sizes else known == 0 or shape[at] % known:
            raise ValueError(f"x has shape {shape}, expected a size of {sizes} in dimension {self.dim}")
        sizes = tuple(shape[at] // known if n == -1 else n for n in sizes)
        return _core.ops["reshape"](x, (*shape[:at], *sizes, *shape[at + 1 :]))

    def extra_repr(self):
        """Which dimension, and its sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"

    def _config(self):
        return {"dim": self.dim, "unflattened_size": self.unflattened_size}

    def _flops(self, x, y):
        return 0
