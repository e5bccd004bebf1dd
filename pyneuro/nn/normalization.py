"""Normalisation within a sample: LayerNorm, GroupNorm, InstanceNorm1d, InstanceNorm2d, and their functions.

None of them looks at other samples or remembers statistics, so training and evaluation give the same values, at any
batch size. The functions are `nn.functional`'s.
"""

import operator

from pyneuro import _core
from pyneuro.nn import _check, init
from pyneuro.nn.layers import _real
from pyneuro.nn.module import Module

_ops = _core.ops


# ---- functions ----


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(variance + eps) over the last dimensions, times weight, plus bias.

    input (*, normalized_shape) -> the same shape; normalized_shape: a size or several; weight and bias of that shape,
    or None. The variance is divided by n. ValueError for other shapes. Ba et al. 2016.

    >>> [round(v, 4) for v in layer_norm([1.0, 2.0, 3.0], (3,)).tolist()]
    [-1.2247, 0.0, 1.2247]
    """
    y = _normalize("layer_norm", input, weight, bias, _sizes("layer_norm", normalized_shape), eps)
    return y if weight is not None or bias is None else y + bias


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(variance + eps) over each group of channels of a sample, times weight, plus bias.

    input (N, C, *) -> the same shape; num_groups divides C; weight and bias (C,), or None. ValueError for other shapes,
    and when one sample has one value a group, which would leave nothing but zeros. Wu and He 2018.

    >>> group_norm([[1.0, 3.0, 10.0, 30.0]], 2, eps=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    x = _check.tensor(input, weight, bias)
    if x.ndim > 1 and x.shape[0] == 1 and x.numel() == num_groups:
        raise ValueError(
            f"group_norm: x has shape {tuple(x.shape)}: each of the {num_groups} groups is one value, expected at "
            f"least 2 to normalize"
        )
    y = _normalize("group_norm", x, weight, bias, num_groups, eps)
    return y if weight is not None or bias is None else y + _ops["reshape"](bias, (-1, *[1] * (y.ndim - 2)))


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """`group_norm` with one channel a group: each channel of each sample is normalized over its positions.

    input (N, C, *) -> the same shape, with at least two positions. Statistics over batches are not kept: ValueError
    for running_mean, running_var or use_input_stats=False; momentum is taken for PyTorch's sake. Ulyanov et al. 2016.

    >>> instance_norm([[[1.0, 3.0], [10.0, 30.0]]], eps=0.0).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """
    if running_mean is not None or running_var is not None or not use_input_stats:
        raise ValueError(
            "instance_norm: statistics are always those of the sample; leave running_mean, running_var and "
            "use_input_stats away"
        )
    x = _check.tensor(input, weight, bias)
    shape = tuple(x.shape)
    if len(shape) < 3:
        raise ValueError(f"instance_norm: x has shape {shape}, expected (N, C, *) with positions behind the channels")
    if x.numel() and x.numel() == shape[0] * shape[1]:
        raise ValueError(
            f"instance_norm: x has shape {shape}: each channel is one value, expected at least 2 to normalize"
        )
    return group_norm(x, max(shape[1], 1), weight, bias, eps)


def _normalize(op, x, weight, bias, rows, eps):
    """The op; a bias without a weight is left to the caller."""
    return _ops[op](x, weight, None if weight is None else bias, rows, eps)


def _sizes(name, normalized_shape):
    """`normalized_shape`, a size or several, as a tuple. TypeError or ValueError for anything else."""
    try:
        return (operator.index(normalized_shape),)
    except TypeError:
        pass
    try:
        sizes = tuple(normalized_shape)
    except TypeError:
        raise TypeError(f"{name}: normalized_shape must be a size or several, got {normalized_shape!r:.80}") from None
    if not 1 <= len(sizes) <= 8:
        raise ValueError(f"{name}: normalized_shape must have 1 to 8 sizes, got {len(sizes)}")
    return tuple(_check.size(name, "normalized_shape", n, least=0) for n in sizes)


# ---- layers ----


class _Norm(Module):
    """What the layers share: eps, and a weight of ones and a bias of zeros, or neither."""

    weight: _core.Tensor | None
    bias: _core.Tensor | None

    def _prepare(self, shape, eps, epsilon, affine, bias, dtype):
        name = type(self).__name__
        self.eps = _check.number(name, "eps", _check.either(name, {"eps": eps, "epsilon": epsilon}, 1e-5), 0)
        for argument, value in (("affine", affine), ("bias", bias)):
            if not isinstance(value, bool):
                raise TypeError(f"{name}: {argument} must be True or False, got {value!r:.80}")
        real = _real(name, dtype)
        for key, first, wanted in (("weight", 1.0, affine), ("bias", 0.0, affine and bias)):
            if wanted:
                self._new_parameter(key, shape, init.rule(name, "init", first, first), real)
            else:
                self.register_parameter(key, None)

    def _flops(self, x, y):
        from math import prod

        return 8 * prod(y)


class LayerNorm(_Norm):
    """`LayerNorm(normalized_shape, eps=1e-5)`: y = (x - mean) / sqrt(variance + eps) w + b over the last dimensions.

    x (*, normalized_shape) -> the same shape; `weight` (ones at first) and `bias` (zeros) of shape normalized_shape.

    normalized_shape: a size, or several for several dimensions.    eps (or Keras's epsilon): at least 0.
    elementwise_affine: whether to have weight and bias.            bias: whether to have the bias.
    dtype: "float32" (default) or "float64".

    Raises ValueError when the last dimensions of x are others, TypeError for sizes that are no whole numbers.
    Source: Ba et al. 2016; lecture 004; PyTorch's nn.LayerNorm.

    >>> from pyneuro import nn
    >>> layer = nn.LayerNorm(3)
    >>> [round(v, 4) for v in layer([1.0, 2.0, 3.0]).tolist()], layer
    ([-1.2247, 0.0, 1.2247], LayerNorm((3,), eps=1e-05, elementwise_affine=True, bias=True))
    """

    def __init__(
        self, normalized_shape, eps=None, elementwise_affine=True, bias=True, *, epsilon=None, dtype=None, **other
    ):
        super().__init__()
        _check.refuse("LayerNorm", other, ("normalized_shape", "eps", "elementwise_affine", "bias", "dtype"))
        self.normalized_shape = _sizes("LayerNorm", normalized_shape)
        self.elementwise_affine = elementwise_affine
        self._prepare(self.normalized_shape, eps, epsilon, elementwise_affine, bias, dtype)

    def forward(self, x):
        """x (*, normalized_shape) -> the same shape."""
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        """PyTorch's."""
        has = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps:g}, {has}"

    def _label(self):
        return f"LayerNorm({self.normalized_shape})"

    def _config(self):
        return {
            "normalized_shape": list(self.normalized_shape), "eps": self.eps,
            "elementwise_affine": self.elementwise_affine, "bias": self.bias is not None,
        }  # fmt: skip


class GroupNorm(_Norm):
    """`GroupNorm(num_groups, num_channels, eps=1e-5)`: each group of channels of a sample gets mean 0 and variance 1.

    x (N, C, *) -> the same shape: y = (x - mean) / sqrt(variance + eps) w + b with the mean and variance of the
    C / num_groups channels of the group at all positions; `weight` (ones at first) and `bias` (zeros), (C,).

    num_groups: a divisor of num_channels; 1 takes all channels together, num_channels each one alone.
    num_channels: C.    eps (or Keras's epsilon): at least 0.
    affine: whether to have weight and bias.    bias: whether to have the bias.    dtype: "float32" or "float64".

    Raises ValueError when num_groups does not divide num_channels, or x has other channels. Source: Wu and He 2018;
    PyTorch's nn.GroupNorm.

    >>> from pyneuro import nn
    >>> layer = nn.GroupNorm(2, 4, eps=0)
    >>> layer([[1.0, 3.0, 10.0, 30.0]]).tolist(), layer
    ([[-1.0, 1.0, -1.0, 1.0]], GroupNorm(2, 4, eps=0, affine=True, bias=True))
    """

    def __init__(
        self, num_groups, num_channels, eps=None, affine=True, *, bias=True, epsilon=None, dtype=None, **other
    ):
        super().__init__()
        _check.refuse("GroupNorm", other, ("num_groups", "num_channels", "eps", "affine", "bias", "dtype"))
        self.num_groups = _check.size("GroupNorm", "num_groups", num_groups)
        self.num_channels = _check.size("GroupNorm", "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            raise ValueError(
                f"GroupNorm: num_channels is {self.num_channels}, which cannot be divided into num_groups = "
                f"{self.num_groups} groups of one size"
            )
        self.affine = affine
        self._prepare((self.num_channels,), eps, epsilon, affine, bias, dtype)

    def forward(self, x):
        """x (N, num_channels, *) -> the same shape."""
        _check_channels(x, self.num_channels)
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        """PyTorch's."""
        has = f"affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps:g}, {has}"

    def _label(self):
        return f"GroupNorm({self.num_groups}, {self.num_channels})"

    def _config(self):
        return {
            "num_groups": self.num_groups, "num_channels": self.num_channels, "eps": self.eps, "affine": self.affine,
            "bias": self.bias is not None,
        }  # fmt: skip


class _ByChannel(_Norm):
    """What instance norm and batch norm say of themselves."""

    def extra_repr(self):
        """PyTorch's."""
        has = f"affine={self.affine}, bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        momentum = self.momentum if self.momentum is None else f"{self.momentum:g}"
        return f"{self.num_features}, eps={self.eps:g}, momentum={momentum}, {has}"

    def _label(self):
        return f"{type(self).__name__}({self.num_features})"

    def _config(self):
        return {
            "num_features": self.num_features, "eps": self.eps, "momentum": self.momentum, "affine": self.affine,
            "track_running_stats": self.track_running_stats, "bias": self.bias is not None or not self.affine,
        }  # fmt: skip


class InstanceNorm2d(_ByChannel):
    """`InstanceNorm2d(num_features, eps=1e-5)`: each channel of each image gets mean 0 and variance 1.

    x (N, C, H, W), or (C, H, W) for one image -> the same shape. With affine=True there are `weight` (ones at first)
    and `bias` (zeros), (C,). It is `GroupNorm` with one channel a group.

    num_features: C.    eps (or Keras's epsilon): at least 0.    affine: whether to have weight and bias (not by
    default, as in PyTorch).    momentum: without effect.    bias: whether to have the bias.    dtype: as elsewhere.

    Raises ValueError for track_running_stats=True, for x of other channels, and for images of one pixel. Source:
    Ulyanov et al. 2016; PyTorch's nn.InstanceNorm2d.

    >>> from pyneuro import nn
    >>> nn.InstanceNorm2d(1, eps=0)([[[[1.0, 3.0]]]]).tolist()
    [[[[-1.0, 1.0]]]]
    """

    _positions = "H, W"

    def __init__(
        self, num_features=None, eps=None, momentum=0.1, affine=False, track_running_stats=False, *, bias=True,
        epsilon=None, dtype=None, **other,
    ):  # fmt: skip
        super().__init__()
        name = type(self).__name__
        _check.refuse(name, other, ("num_features", "eps", "affine", "bias", "dtype"))
        _check.need(name, {"num_features": num_features})
        if track_running_stats is not False:
            raise ValueError(f"{name}: track_running_stats must be False: it normalizes by the sample alone")
        self.num_features = _check.size(name, "num_features", num_features)
        self.momentum = momentum if momentum is None else _check.number(name, "momentum", momentum)
        self.affine, self.track_running_stats = affine, False
        self._prepare((self.num_features,), eps, epsilon, affine, bias, dtype)

    def forward(self, x):
        """x (N, num_features, H, W) or (num_features, H, W), 1-D without H -> the same shape."""
        x = _check.tensor(x, self.weight, self.bias)
        shape = tuple(x.shape)
        rank = 2 + len(self._positions.split(", "))
        if len(shape) == rank - 1:
            return _ops["reshape"](self.forward(_ops["reshape"](x, (1, *shape))), shape)
        if len(shape) != rank:
            raise ValueError(f"x has shape {shape}, expected (N, {self.num_features}, {self._positions})")
        _check_channels(x, self.num_features)
        return instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class InstanceNorm1d(InstanceNorm2d):
    """`InstanceNorm1d(num_features, eps=1e-5)`: each channel of each sequence gets mean 0 and variance 1.

    x (N, C, L), or (C, L) for one sequence -> the same shape. Arguments and errors as in `nn.InstanceNorm2d`.

    >>> from pyneuro import nn
    >>> nn.InstanceNorm1d(2, eps=0)([[[1.0, 3.0], [10.0, 30.0]]]).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """

    _positions = "L"


def _check_channels(x, channels):
    """ValueError when x (N, C, *) has other than `channels` channels; with a hint when they come last."""
    shape = tuple(getattr(x, "shape", ()))
    if len(shape) < 2 or shape[1] == channels:
        return  # the op says what is wrong with fewer dimensions
    rest = ", H, W)" if len(shape) == 4 else ", *)"
    last = len(shape) == 4 and shape[3] == channels
    hint = ". Is it channels-last? Use x.transpose(0, 3, 1, 2)" if last else ""
    raise ValueError(f"x has shape {shape}, expected (N, {channels}{rest}{hint}")
