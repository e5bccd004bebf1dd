"""Convolutional layers: Conv1d, Conv2d, ConvTranspose2d."""

import math

from pyneuro import _core
from pyneuro.nn import _check, _convolve, init
from pyneuro.nn.layers import _real
from pyneuro.nn.module import Module


class _Convolution(Module):
    """What the layers share: arguments, parameters as PyTorch starts them, repr. `_dims` sizes a kernel."""

    weight: _core.Tensor
    bias: _core.Tensor | None
    _dims = 2
    _transposed = False

    def __init__(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, algorithm,
        use_bias, dtype, weight_init, bias_init, other, output_padding=0,
    ):  # fmt: skip
        super().__init__()
        name, n = type(self).__name__, self._dims
        stride = _check.either(name, {"stride": stride, "strides": other.pop("strides", None)}, 1)
        dilation = _check.either(name, {"dilation": dilation, "dilation_rate": other.pop("dilation_rate", None)}, 1)
        _check.refuse(name, other, self._known)
        channels = {"in_channels": in_channels, "out_channels": out_channels}
        _check.need(name, {**channels, "kernel_size": kernel_size})
        self.in_channels = _check.size(name, "in_channels", in_channels)
        self.out_channels = _check.size(name, "out_channels", out_channels)
        self.kernel_size = _convolve.numbers(name, "kernel_size", kernel_size, n, 1)
        self._attributes = _convolve.attributes_of(name, self.kernel_size, stride, padding, dilation, groups, algorithm)
        self.stride, resolved, self.dilation, self.groups, self.algorithm = self._attributes
        self.padding = padding if isinstance(padding, str) else resolved
        self.output_padding = _convolve.numbers(name, "output_padding", output_padding, n, 0)
        if padding_mode != "zeros":
            self._refuse_padding_mode(name, padding_mode)
        self.padding_mode = padding_mode
        for argument in ("in_channels", "out_channels"):
            if getattr(self, argument) % self.groups:
                raise ValueError(
                    f"{name}: {argument} {getattr(self, argument)} cannot be shared out to {groups} groups"
                )
        bias = _check.either(name, {"bias": bias, "use_bias": use_bias}, True)
        if not isinstance(bias, bool):
            raise TypeError(f"{name}: bias must be True or False, got {bias!r:.80}; bias_init= sets its values")
        self._reset(bias, _real(name, dtype), weight_init, bias_init)

    _known = (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode",
        "algorithm", "dtype", "init", "bias_init",
    )  # fmt: skip

    def _refuse_padding_mode(self, name, given):
        """ValueError with the layer that pads in the way asked for; before a transposed convolution none does."""
        layers = {"reflect": "ReflectionPad", "replicate": "ReplicationPad", "circular": "CircularPad"}
        layer = layers.get(given) if isinstance(given, str) and not self._transposed else None
        hint = f"; put nn.{layer}{self._dims}d before the layer and leave padding at 0" if layer else ""
        raise ValueError(f"{name}: padding_mode must be 'zeros', the only one here, got {given!r:.80}{hint}")

    def _reset(self, bias, real, weight_init, bias_init):
        """Makes the parameters. PyTorch's kaiming_uniform(a=sqrt 5) is U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
        first, second = self.out_channels, self.in_channels
        if self._transposed:
            first, second = second, first
        shape = (first, second // self.groups, *self.kernel_size)
        default = init.Rule(init.fan_in_uniform_, math.prod(shape[1:]))
        weight_rule = init.rule(self._label(), "init", weight_init, default)
        bias_rule = init.rule(self._label(), "bias_init", bias_init, default)
        self._new_parameter("weight", shape, weight_rule, real)
        if bias:
            self._new_parameter("bias", (self.out_channels,), bias_rule, real)
        else:
            self.register_parameter("bias", None)

    def _options(self):
        """The arguments behind kernel_size that are not at their defaults, in PyTorch's order."""
        zeros, ones = (0,) * self._dims, (1,) * self._dims
        pairs = [("padding", zeros), ("dilation", ones), ("output_padding", zeros), ("groups", 1)]
        return [(name, getattr(self, name)) for name, default in pairs if getattr(self, name) != default]

    def extra_repr(self):
        """PyTorch's: channels, kernel, stride, and what is not at its default."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        text += "".join(f", {name}={value}" for name, value in self._options())
        return text if self.bias is not None else text + ", bias=False"

    def _label(self):
        def short(value):
            return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value

        options = self._options()
        if set(self.stride) != {1}:
            options.insert(0, ("stride", self.stride))
        text = "".join(f", {name}={short(value)!r}" for name, value in options)
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, {short(self.kernel_size)}{text})"

    def _config(self):
        names = ["in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "algorithm"]
        names += ["output_padding"] if self._transposed else []
        config = {name: getattr(self, name) for name in names}
        config = {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
        return {**config, "bias": self.bias is not None}

    def _flops(self, x, y):
        return 2 * math.prod(x if self._transposed else y) * math.prod(self.weight.shape[1:])


class _Forward(_Convolution):
    """Conv1d and Conv2d: PyTorch's order of arguments, which the transposed convolution has otherwise."""

    def __init__(
        self, in_channels=None, out_channels=None, kernel_size=None, stride=None, padding=0, dilation=None, groups=1,
        bias=None, padding_mode="zeros", *, algorithm="auto", use_bias=None, dtype=None, init=None, bias_init=None,
        **other,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, algorithm,
            use_bias, dtype, init, bias_init, other,
        )  # fmt: skip


class Conv2d(_Forward):
    """`Conv2d(in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True)`.

    x (N, C, H, W) or (C, H, W) -> (N, O, P, Q), P = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1:
    every map of the output is the sum of `in_channels / groups` cross-correlations and a bias. `weight`
    (O, C / groups, kh, kw), `bias` (O,), both U(-1/sqrt(n), 1/sqrt(n)) at first with n = C / groups kh kw, as in
    PyTorch (`init=`, `bias_init=` change it).

    kernel_size, stride, padding, dilation: a number or (rows, columns); padding also "valid" (0) or "same", which
    keeps the size at stride 1. strides and dilation_rate, Keras's words, are taken too. groups: that many separate
    convolutions side by side. padding_mode: "zeros". dtype: "float32" (default) or "float64".
    algorithm: "auto" (by shape), "naive" (the definition as loops), "im2col" (matrix product), "direct" (sums over taps
    with 16 samples side by side), "winograd2", "winograd4" (kernels of 3 x 3, or 2 x 2 to 5 x 5, at stride and
    dilation 1 with fewer multiplications): see `nn.functional.conv2d`.

    Raises TypeError and ValueError for arguments out of range and groups that do not divide the channels; when called,
    ValueError naming both shapes. Source: lectures 001 and 003; LeCun et al. 1998; PyTorch's nn.Conv2d.

    >>> from pyneuro import nn
    >>> import numpy as np
    >>> layer = nn.Conv2d(3, 6, 5)
    >>> layer, layer(np.zeros((1, 3, 32, 32), np.float32)).shape, sum(p.numel() for p in layer.parameters())
    (Conv2d(3, 6, kernel_size=(5, 5), stride=(1, 1)), (1, 6, 28, 28), 456)
    """

    def forward(self, x):
        """x (N, C, H, W) or (C, H, W) -> (N, O, P, Q) or (O, P, Q)."""
        return _convolve.run_conv2d(x, self.weight, self.bias, self._attributes)


class Conv1d(_Forward):
    """`Conv1d(in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True)`.

    x (N, C, L) or (C, L) -> (N, O, P), P = floor((L + 2 padding - dilation (kernel - 1) - 1) / stride) + 1; `weight`
    (O, C / groups, k), `bias` (O,). Arguments, initial values and errors as in `Conv2d`.

    >>> from pyneuro import nn
    >>> import numpy as np
    >>> nn.Conv1d(4, 8, 3, padding="same")(np.zeros((2, 4, 10), np.float32)).shape
    (2, 8, 10)
    """

    _dims = 1

    def forward(self, x):
        """x (N, C, L) or (C, L) -> (N, O, P) or (O, P)."""
        return _convolve.run_conv1d(x, self.weight, self.bias, self._attributes)


class ConvTranspose2d(_Convolution):
    """`ConvTranspose2d(in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1,
    bias=True, dilation=1)`: the input gradient of Conv2d as a layer, which enlarges maps.

    x (N, C, H, W) or (C, H, W) -> (N, O, P, Q), P = (H - 1) stride - 2 padding + dilation (kernel - 1) +
    output_padding + 1; `weight` (C, O / groups, kh, kw), `bias` (O,). output_padding is less than stride or dilation;
    padding is given in numbers. Other arguments, initial values and errors as in `Conv2d`.

    >>> from pyneuro import nn
    >>> import numpy as np
    >>> nn.ConvTranspose2d(8, 4, 2, stride=2)(np.zeros((1, 8, 14, 14), np.float32)).shape
    (1, 4, 28, 28)
    """

    _transposed = True
    _known = (*_Convolution._known, "output_padding")

    def __init__(
        self, in_channels=None, out_channels=None, kernel_size=None, stride=None, padding=0, output_padding=0, groups=1,
        bias=None, dilation=None, padding_mode="zeros", *, algorithm="auto", use_bias=None, dtype=None, init=None,
        bias_init=None, **other,
    ):  # fmt: skip
        if isinstance(padding, str):
            raise TypeError(f"ConvTranspose2d: padding must be a whole number or 2 of them, got {padding!r:.80}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, algorithm,
            use_bias, dtype, init, bias_init, other, output_padding,
        )  # fmt: skip
        least = [max(s, d) for s, d in zip(self.stride, self.dilation, strict=True)]
        if any(more >= limit for more, limit in zip(self.output_padding, least, strict=True)):
            raise ValueError(
                f"ConvTranspose2d: output_padding {self.output_padding} must be less than the stride {self.stride} or "
                f"the dilation {self.dilation}"
            )
        self._attributes = (*self._attributes, self.output_padding)

    def forward(self, x):
        """x (N, C, H, W) or (C, H, W) -> (N, O, P, Q) or (O, P, Q)."""
        return _convolve.run_conv_transpose2d(x, self.weight, self.bias, self._attributes)
