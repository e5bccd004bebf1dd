"""Layers that change the size of maps without weights: padding (ZeroPad2d and its relatives) and Upsample."""

import math

from pyneuro.nn import _check, _resize
from pyneuro.nn.module import Module


class _Pad(Module):
    """What the padding layers share: `padding` before and after each of the last `_rank` dimensions."""

    _rank = 2
    _mode = "constant"
    _sides = "(left, right, top, bottom)"
    _config_names = ("padding",)
    value = 0.0

    def __init__(self, padding, **other):
        super().__init__()
        name = type(self).__name__
        _check.refuse(name, other, self._config_names)
        several = padding if isinstance(padding, (tuple, list)) else (padding,) * 2 * self._rank
        self.padding = _resize.whole(name, "padding", several)
        if len(self.padding) != 2 * self._rank:
            raise ValueError(f"{name}: padding must be one number or {self._sides}, got {padding!r:.80}")

    def forward(self, x):
        """x (N, C, H, W) or (C, H, W), 1-D (N, C, L) or (C, L) -> the same, longer along the last dimensions."""
        shape = tuple(getattr(x, "shape", ()))
        if shape and len(shape) not in (self._rank + 1, self._rank + 2):
            wanted = "(N, C, H, W) or (C, H, W)" if self._rank == 2 else "(N, C, L) or (C, L)"
            raise ValueError(f"x has shape {shape}, expected {wanted}")
        return _resize.pad(x, self.padding, self._mode, self.value if self._mode == "constant" else None)

    def extra_repr(self):
        """The padding, and the value if it is not 0 by name."""
        return f"{self.padding}" if "value" not in self._config_names else f"padding={self.padding}, value={self.value}"

    def _label(self):
        return f"{type(self).__name__}({self.padding})"

    def _config(self):
        return {key: getattr(self, key) for key in self._config_names}

    def _flops(self, x, y):
        return 0


class ConstantPad2d(_Pad):
    """`ConstantPad2d(padding, value)`: x (N, C, H, W) or (C, H, W) with `value` around each map.

    padding: one number, or (left, right, top, bottom); negative numbers cut off. value: what is put there.

    Raises TypeError for numbers that are not whole, ValueError for another count of them, for x of another rank, and
    for cutting off more than there is. Source: PyTorch's nn.ConstantPad2d.

    >>> from pyneuro import nn
    >>> nn.ConstantPad2d((1, 0, 0, 1), 9)([[[1.0, 2.0]]]).tolist()
    [[[9.0, 1.0, 2.0], [9.0, 9.0, 9.0]]]
    """

    _config_names = ("padding", "value")

    def __init__(self, padding, value, **other):
        super().__init__(padding, **other)
        self.value = _check.number(type(self).__name__, "value", value)


class ConstantPad1d(ConstantPad2d):
    """`ConstantPad1d(padding, value)`: x (N, C, L) or (C, L) with `value` at both ends, see `nn.ConstantPad2d`.

    >>> from pyneuro import nn
    >>> nn.ConstantPad1d((1, 2), 0.5)([[1.0, 2.0]]).tolist()
    [[0.5, 1.0, 2.0, 0.5, 0.5]]
    """

    _rank, _sides = 1, "(left, right)"


class ZeroPad2d(_Pad):
    """`ZeroPad2d(padding)`: x (N, C, H, W) or (C, H, W) with zeros around each map.

    padding and errors as in `nn.ConstantPad2d`. Source: PyTorch's nn.ZeroPad2d.

    >>> from pyneuro import nn
    >>> nn.ZeroPad2d(1)([[[5.0]]]).tolist()
    [[[0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]]
    """


class ZeroPad1d(_Pad):
    """`ZeroPad1d(padding)`: x (N, C, L) or (C, L) with zeros at both ends, see `nn.ConstantPad2d`.

    >>> from pyneuro import nn
    >>> nn.ZeroPad1d((2, 1))([[5.0]]).tolist()
    [[0.0, 0.0, 5.0, 0.0]]
    """

    _rank, _sides = 1, "(left, right)"


class ReflectionPad2d(_Pad):
    """`ReflectionPad2d(padding)`: x (N, C, H, W) or (C, H, W) with each map's mirror image around it.

    The edge itself is not repeated, so that padding is at most a map's size - 1: ValueError above. padding and other
    errors as in `nn.ConstantPad2d`. Source: PyTorch's nn.ReflectionPad2d.

    >>> from pyneuro import nn
    >>> nn.ReflectionPad2d((1, 2, 0, 0))([[[1.0, 2.0, 3.0]]]).tolist()
    [[[2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]]
    """

    _mode = "reflect"


class ReflectionPad1d(ReflectionPad2d):
    """`ReflectionPad1d(padding)`: x (N, C, L) or (C, L) mirrored at both ends, see `nn.ReflectionPad2d`.

    >>> from pyneuro import nn
    >>> nn.ReflectionPad1d(2)([[1.0, 2.0, 3.0]]).tolist()
    [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]
    """

    _rank, _sides = 1, "(left, right)"


class ReplicationPad2d(_Pad):
    """`ReplicationPad2d(padding)`: x (N, C, H, W) or (C, H, W) with the edges of each map repeated around it.

    padding and errors as in `nn.ConstantPad2d`. Source: PyTorch's nn.ReplicationPad2d.

    >>> from pyneuro import nn
    >>> nn.ReplicationPad2d((1, 2, 0, 1))([[[1.0, 2.0]]]).tolist()
    [[[1.0, 1.0, 2.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0, 2.0]]]
    """

    _mode = "replicate"


class ReplicationPad1d(ReplicationPad2d):
    """`ReplicationPad1d(padding)`: x (N, C, L) or (C, L) with its ends repeated, see `nn.ReplicationPad2d`.

    >>> from pyneuro import nn
    >>> nn.ReplicationPad1d((1, 2))([[1.0, 2.0]]).tolist()
    [[1.0, 1.0, 2.0, 2.0, 2.0]]
    """

    _rank, _sides = 1, "(left, right)"


class CircularPad2d(_Pad):
    """`CircularPad2d(padding)`: x (N, C, H, W) or (C, H, W) as if each map were closed to a ring both ways.

    padding is at most the map's size: ValueError above. padding and other errors as in `nn.ConstantPad2d`. Source:
    PyTorch's nn.CircularPad2d.

    >>> from pyneuro import nn
    >>> nn.CircularPad2d((1, 2, 0, 0))([[[1.0, 2.0, 3.0]]]).tolist()
    [[[3.0, 1.0, 2.0, 3.0, 1.0, 2.0]]]
    """

    _mode = "circular"


class CircularPad1d(CircularPad2d):
    """`CircularPad1d(padding)`: x (N, C, L) or (C, L) as if it were a ring, see `nn.CircularPad2d`.

    >>> from pyneuro import nn
    >>> nn.CircularPad1d(1)([[1.0, 2.0, 3.0]]).tolist()
    [[3.0, 1.0, 2.0, 3.0, 1.0]]
    """

    _rank, _sides = 1, "(left, right)"


class Upsample(Module):
    """`Upsample(size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None)`.

    x (N, C, H, W) or (N, C, L) -> the same at another size, see `nn.functional.interpolate`, whose arguments and errors
    these are. Source: PyTorch's nn.Upsample.

    >>> from pyneuro import nn
    >>> nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)([[[[1.0, 4.0]]]]).tolist()
    [[[[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]]]
    """

    def __init__(
        self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, **other
    ):
        super().__init__()
        known = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
        _check.refuse("Upsample", other, known)
        _resize.options("Upsample", size, scale_factor, mode, align_corners)
        self.size, self.scale_factor = self._numbers(size, scale_factor)
        self.mode, self.align_corners, self.recompute_scale_factor = mode, align_corners, recompute_scale_factor

    @staticmethod
    def _numbers(size, scale_factor):
        """Both as given, lists as tuples, after a look at each number."""
        if size is None:
            several = isinstance(scale_factor, (tuple, list))
            factors = _resize.scales("Upsample", scale_factor, len(scale_factor) if several else 1)
            return None, factors if several else factors[0]
        if isinstance(size, (tuple, list)):
            return tuple(_check.size("Upsample", "size", n) for n in size), None
        return _check.size("Upsample", "size", size), None

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, OH, OW), or (N, C, L) -> (N, C, OL)."""
        return _resize.interpolate(
            x, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self):
        """PyTorch's."""
        given = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{given}, mode={self.mode!r}"

    def _label(self):
        return f"Upsample({self.scale_factor if self.size is None else self.size})"

    def _config(self):
        keys = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
        return {key: getattr(self, key) for key in keys}

    def _flops(self, x, y):
        return 4 * math.prod(y) if "linear" in self.mode else 0
