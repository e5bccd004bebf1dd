"""Layers with shapes: Linear (Dense), Embedding, Flatten, Dropout, Rescaling, Identity."""

import math

from pyneuro import _core
from pyneuro.nn import _check, init
from pyneuro.nn.module import Module

_ops = _core.ops
_linear, _dropout, _index_select = _ops["linear"], _ops["dropout"], _ops["index_select"]


def _real(layer, dtype):
    """`dtype` (None: float32) as one of the two names. TypeError otherwise."""
    name = "float32" if dtype is None else str(getattr(dtype, "__name__", dtype)).removeprefix("torch.")
    if name not in ("float32", "float64"):
        raise TypeError(f"{layer}: dtype must be 'float32' or 'float64', got {dtype!r:.80}")
    return name


class Linear(Module):
    """`Linear(in_features, out_features, bias=True)`: y = x W' + b, also called `Dense`.

    x (*, in_features) -> y (*, out_features); `weight` W (out_features, in_features), `bias` b (out_features,). W is
    kept as the lectures' w_ji, row j an output: `weight.as_wji()`; decks that write X W have it as `weight.as_wij()`.

    in_features, out_features: sizes, at least 1.      bias (or use_bias): whether to add b.
    dtype: "float32" (default) or "float64".           init, bias_init: see `nn.init`; default PyTorch's, both
    U(-1/sqrt(in_features), 1/sqrt(in_features)).

    Raises TypeError for sizes that are no whole numbers and for Keras's units= and activation=, ValueError for sizes
    below 1, MemoryError when the weight cannot fit. Source: lectures 001 to 004; PyTorch's nn.Linear.

    >>> from pyneuro import nn
    >>> layer = nn.Linear(784, 128, init="he_normal")
    >>> layer.weight.shape, layer.bias.shape, layer
    ((128, 784), (128,), Linear(in_features=784, out_features=128, bias=True))
    """

    weight: _core.Tensor
    bias: _core.Tensor | None

    def __init__(
        self, in_features=None, out_features=None, bias=None, *, use_bias=None, dtype=None, init=None, bias_init=None,
        **other,
    ):  # fmt: skip
        super().__init__()
        name = type(self).__name__
        _check.refuse(name, other, ("in_features", "out_features", "bias", "dtype", "init", "bias_init"))
        if isinstance(out_features, str):
            _check.refuse(name, {"activation": out_features}, ())
        if out_features is None or in_features is None:
            _check.refuse(name, {"units": None}, ())
        self.in_features = _check.size(name, "in_features", in_features)
        self.out_features = _check.size(name, "out_features", out_features)
        bias = _check.either(name, {"bias": bias, "use_bias": use_bias}, True)
        if not isinstance(bias, bool):
            raise TypeError(f"{name}: bias must be True or False, got {bias!r:.80}; bias_init= sets its values")
        real = _real(name, dtype)
        self._reset(bias, real, init, bias_init)

    def _reset(self, bias, real, weight_init, bias_init):
        """Makes the parameters. PyTorch's kaiming_uniform(a=sqrt 5) is U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
        default = init.Rule(init.fan_in_uniform_, self.in_features)
        weight_rule = init.rule(self._label(), "init", weight_init, default)
        bias_rule = init.rule(self._label(), "bias_init", bias_init, default)
        self._new_parameter("weight", (self.out_features, self.in_features), weight_rule, real)
        if bias:
            self._new_parameter("bias", (self.out_features,), bias_rule, real)
        else:
            self.register_parameter("bias", None)

    def forward(self, x):
        """x (*, in_features) -> (*, out_features)."""
        return _linear(x, self.weight, self.bias)

    def extra_repr(self):
        """PyTorch's: sizes and whether there is a bias."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def _label(self):
        return f"{type(self).__name__}({self.in_features}, {self.out_features})"

    def _config(self):
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}

    def _flops(self, x, y):
        return 2 * math.prod(y) * self.in_features


Dense = Linear


class Embedding(Module):
    """`Embedding(num_embeddings, embedding_dim)`: one learned vector for each of `num_embeddings` symbols.

    x integers (*), each from 0 to num_embeddings - 1 -> (*, embedding_dim); `weight` (num_embeddings, embedding_dim),
    N(0, 1) at first as in PyTorch (`init=` changes it). Raises IndexError or ValueError for symbols out of range.

    >>> from pyneuro import nn
    >>> nn.Embedding(10, 3)([[1, 2], [0, 9]]).shape
    (2, 2, 3)
    """

    weight: _core.Tensor

    def __init__(self, num_embeddings, embedding_dim, *, dtype=None, init=None, **other):
        super().__init__()
        _check.refuse("Embedding", other, ("num_embeddings", "embedding_dim", "dtype", "init"))
        self.num_embeddings = _check.size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = _check.size("Embedding", "embedding_dim", embedding_dim)
        self._reset(_real("Embedding", dtype), init)

    def _reset(self, real, given):
        rule = init.rule(self._label(), "init", given, "normal")
        self._new_parameter("weight", (self.num_embeddings, self.embedding_dim), rule, real)

    def forward(self, x):
        """x integers (*) -> (*, embedding_dim)."""
        return _index_select(self.weight, x, 0)

    def extra_repr(self):
        """PyTorch's: both sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}"

    def _label(self):
        return f"Embedding({self.num_embeddings}, {self.embedding_dim})"

    def _config(self):
        return {"num_embeddings": self.num_embeddings, "embedding_dim": self.embedding_dim}

    def _flops(self, x, y):
        return 0


class Flatten(Module):
    """`Flatten(start_dim=1, end_dim=-1)`: joins the dimensions from start_dim to end_dim, both included, into one.

    x (N, C, H, W) -> (N, C H W) by default; the batch stays. No values are copied.

    >>> from pyneuro import nn
    >>> import numpy as np
    >>> nn.Flatten()(np.zeros((5, 28, 28), np.float32)).shape
    (5, 784)
    """

    def __init__(self, start_dim=1, end_dim=-1, **other):
        super().__init__()
        _check.refuse("Flatten", other, ("start_dim", "end_dim"))
        self.start_dim = _check.size("Flatten", "start_dim", start_dim, least=-8)
        self.end_dim = _check.size("Flatten", "end_dim", end_dim, least=-8)

    def forward(self, x):
        """x (N, ...) -> (N, product of the rest) by default."""
        from pyneuro.nn import functional

        return functional.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self):
        """PyTorch's: both ends."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

    def _config(self):
        return {"start_dim": self.start_dim, "end_dim": self.end_dim}

    def _flops(self, x, y):
        return 0


class Dropout(Module):
    """`Dropout(p=0.5)`: in training mode each element becomes 0 with probability p, the others x / (1 - p).

    p (or Keras's rate): probability to DROP, as in PyTorch. keep: the probability to keep, as in the lectures and in
    Srivastava et al. 2014: `Dropout(keep=1)` is the identity. In evaluation mode nothing happens. The mask is a
    function of seed, step and position: the same whatever the number of threads, in `fit` and in a hand-written loop.
    Raises TypeError when two of p, rate and keep are given, ValueError outside 0..1.

    >>> from pyneuro import nn
    >>> nn.Dropout(keep=0.8)
    Dropout(p=0.2)
    """

    def __init__(self, p=None, inplace=False, *, rate=None, keep=None, **other):
        super().__init__()
        _check.refuse("Dropout", other, ("p", "rate", "keep"))
        self.p = _check.drop("Dropout", p, rate, keep)

    def forward(self, x):
        """x (*) -> (*)."""
        if not self.training:
            return x
        old = _core.set_training(True)
        try:
            return _dropout(x, self.p)
        finally:
            _core.set_training(old)

    def extra_repr(self):
        """The probability to drop."""
        return f"p={self.p:g}"

    def _label(self):
        return f"Dropout({self.p:g})"

    def _config(self):
        return {"p": self.p}

    def _flops(self, x, y):
        return 0


class Rescaling(Module):
    """`Rescaling(scale, offset=0.0)`: y = scale x + offset, Keras's layer, for raw pixels: `Rescaling(1 / 255)`.

    >>> from pyneuro import nn
    >>> nn.Rescaling(0.5, offset=-1.0)([2.0, 4.0]).tolist()
    [0.0, 1.0]
    """

    def __init__(self, scale, offset=0.0, **other):
        super().__init__()
        _check.refuse("Rescaling", other, ("scale", "offset"))
        self.scale = _check.number("Rescaling", "scale", scale)
        self.offset = _check.number("Rescaling", "offset", offset)

    def forward(self, x):
        """x (*) -> (*)."""
        if not isinstance(x, _core.Tensor):
            x = _core.as_tensor(x)
        x = x * self.scale
        return x + self.offset if self.offset else x

    def extra_repr(self):
        """Scale and offset."""
        return f"scale={self.scale:g}, offset={self.offset:g}"

    def _label(self):
        return f"Rescaling({self.scale:g})"

    def _config(self):
        return {"scale": self.scale, "offset": self.offset}


class Normalize(Module):
    """`Normalize(mean, std)`: y = (x - mean) / std for each channel, torchvision's transform as a layer.

    x (N, C, *) -> the same shape; mean and std: a number for each of the C channels, or one for all. As the first layer
    it belongs to the network: it is saved with it, and training, validation and predictions all get the same. The
    numbers are in the units of x (0 to 255 for raw pixels); they are arguments, not parameters: `state_dict` has none.

    Raises ValueError for a std that is not above 0, for different numbers of them, and for x of other channels.

    >>> from pyneuro import nn
    >>> layer = nn.Normalize([1.0, 2.0], [0.5, 4.0])
    >>> layer([[[1.0, 2.0], [2.0, 10.0]]]).tolist(), layer
    ([[[0.0, 2.0], [0.0, 2.0]]], Normalize(mean=(1, 2), std=(0.5, 4)))
    """

    def __init__(self, mean, std, **other):
        super().__init__()
        _check.refuse("Normalize", other, ("mean", "std"))
        self.mean, self.std = _check.channels("Normalize", mean, std)

    def forward(self, x):
        """x (N, C, *) -> the same shape."""
        x = x if isinstance(x, _core.Tensor) else _core.as_tensor(x)
        shape, n = tuple(x.shape), len(self.mean)
        if len(shape) < 2 or (n > 1 and shape[1] != n):
            raise ValueError(f"x has shape {shape}, expected (N, {n if n > 1 else 'C'}, ...): a mean for each channel")
        axes = (n, *(1,) * (len(shape) - 2))
        mean, std = (_ops["reshape"](_core.Tensor(v, dtype=x.dtype), axes) for v in (self.mean, self.std))
        return (x - mean) / std

    def extra_repr(self):
        """Both lists."""
        mean, std = ("(" + ", ".join(f"{v:g}" for v in values) + ")" for values in (self.mean, self.std))
        return f"mean={mean}, std={std}"

    def _label(self):
        return f"Normalize({len(self.mean)})"

    def _config(self):
        return {"mean": list(self.mean), "std": list(self.std)}


class Identity(Module):
    """`Identity()`: y = x. Takes and ignores any arguments, as PyTorch's, so that it can stand in for another layer.

    >>> Identity()([1.0, 2.0])
    [1.0, 2.0]
    """

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, x):
        """x -> x."""
        return x

    def _config(self):
        return {}

    def _flops(self, x, y):
        return 0
