"""Normalisation over the batch: BatchNorm1d, BatchNorm2d and their function.

In training a channel's mean and variance are those of the batch, so each sample's value depends on the others; the
layer keeps running means of both for evaluation. `fit` changes them with the step: a step that is not done leaves them.
"""

from pyneuro import _core
from pyneuro.nn import _check
from pyneuro.nn.layers import _real
from pyneuro.nn.normalization import _ByChannel

_op = _core.ops["batch_norm"]


def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):  # fmt: skip
    """(x - mean) / sqrt(variance + eps) of each channel, times weight, plus bias.

    input (N, C, *) -> the same shape. training: mean and variance (divided by n) of the batch, and running_mean and
    running_var (C,), unless None, go `momentum` of the way to them (variance divided by n - 1); else the running ones
    are taken. weight and bias (C,) or None. ValueError for other shapes, and for one value a channel in training. Ioffe
    and Szegedy 2015.

    >>> from pyneuro.nn import functional as F
    >>> F.batch_norm([[1.0], [3.0]], None, None, training=True, eps=0.0).tolist()
    [[-1.0], [1.0]]
    """
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: running_mean and running_var are given together, or both are None")
    if running_mean is None and not training:
        raise ValueError("batch_norm: evaluation needs running_mean and running_var; training=True takes the batch's")
    momentum = _check.number("batch_norm", "momentum", momentum, 0)
    return _normalize(input, running_mean, running_var, None, weight, bias, training, momentum, eps)


def _normalize(x, mean, var, count, weight, bias, training, momentum, eps):
    """The op, which wants running values even where it does not look at them."""
    x = _check.tensor(x, weight, mean, bias)
    track = mean is not None
    if not track:
        channels = x.shape[1] if x.ndim > 1 else 0
        mean = var = _core.Tensor([0.0] * channels, dtype=x.dtype)
    count = _core.Tensor(0) if count is None else count
    if weight is None and bias is not None:
        weight = _core.Tensor([1.0] * bias.shape[0], dtype=bias.dtype)
    y = _op(x, mean, var, count, weight, bias, None, training or not track, track, momentum, eps)
    return y[0] if isinstance(y, tuple) else y


class _BatchNorm(_ByChannel):
    """What BatchNorm1d and BatchNorm2d share: all but the shapes that they take."""

    running_mean: _core.Tensor | None
    running_var: _core.Tensor | None
    num_batches_tracked: _core.Tensor | None
    _own_buffers = ("running_mean", "running_var", "num_batches_tracked")
    _takes = ()  # (rank, what stands behind the channels) of x

    def __init__(
        self, num_features=None, eps=None, momentum=0.1, affine=True, track_running_stats=True, *, bias=True,
        epsilon=None, dtype=None, **other,
    ):  # fmt: skip
        super().__init__()
        name = type(self).__name__
        known = ("num_features", "eps", "momentum", "affine", "track_running_stats", "bias", "dtype")
        _check.refuse(name, other, known)
        _check.need(name, {"num_features": num_features})
        self.num_features = _check.size(name, "num_features", num_features)
        self.momentum = _momentum(name, momentum)
        self.affine, self.track_running_stats = affine, track_running_stats
        if not isinstance(track_running_stats, bool):
            raise TypeError(f"{name}: track_running_stats must be True or False, got {track_running_stats!r:.80}")
        self._prepare((self.num_features,), eps, epsilon, affine, bias, dtype)
        real = _real(name, dtype)
        values = (("running_mean", [0.0] * num_features), ("running_var", [1.0] * num_features))
        for key, first in values:
            self.register_buffer(key, _core.Tensor(first, dtype=real) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", _core.Tensor(0) if track_running_stats else None)

    def forward(self, x):
        """x (N, num_features, *) -> the same shape."""
        x = _check.tensor(x, self.weight, self.running_mean)
        shape = tuple(x.shape)
        if len(shape) not in self._takes or shape[1] != self.num_features:
            raise ValueError(self._explain(shape))
        return _normalize(
            x, self.running_mean, self.running_var, self.num_batches_tracked, self.weight, self.bias, self.training,
            self.momentum, self.eps,
        )  # fmt: skip

    def _explain(self, shape):
        """The sentence for an x of another shape."""
        kinds = {2: "", 3: ", L", 4: ", H, W"}
        expected = " or ".join(f"(N, {self.num_features}{kinds[rank]})" for rank in self._takes)
        last = len(shape) == 4 and 4 in self._takes and shape[3] == self.num_features
        hint = ". Is it channels-last? Use x.transpose(0, 3, 1, 2)" if last else ""
        return f"x has shape {shape}, expected {expected}{hint}"

    def reset_running_stats(self):
        """Running means to 0, running variances to 1, no batches seen."""
        if self.track_running_stats:
            self.running_mean.fill_(0)
            self.running_var.fill_(1)
            self.num_batches_tracked.fill_(0)


def _momentum(name, momentum):
    """PyTorch's momentum: the share of the new batch. Keras's is that of the past, and mostly above 0.5."""
    if momentum is None:
        return None
    momentum = _check.number(name, "momentum", momentum, 0)
    if 0.5 < momentum < 1:
        raise ValueError(
            f"{name}: momentum is {momentum:g}, which is the share of the past in Keras; here, as in PyTorch, it is "
            f"the share of the new batch: momentum={1 - momentum:g}"
        )
    if momentum > 1:
        raise ValueError(f"{name}: momentum is {momentum:g}, expected 0 to 1, or None for the mean over all batches")
    return momentum


class BatchNorm1d(_BatchNorm):
    """`BatchNorm1d(num_features, eps=1e-5, momentum=0.1)`: each feature gets mean 0 and variance 1 over the batch.

    x (N, C) or (N, C, L) -> the same shape: y = (x - mean) / sqrt(variance + eps) w + b. In training mean and variance
    are the batch's; in evaluation the running ones. `weight` (ones at first), `bias` (zeros), `running_mean` (zeros),
    `running_var` (ones), each (C,), and `num_batches_tracked`.

    num_features: C.    eps (or Keras's epsilon): at least 0.
    momentum: the share of the new batch in the running values, as in PyTorch (Keras's is that of the past); None: the
    mean over all batches.    affine: whether to have weight and bias.
    track_running_stats: False keeps no running values and takes the batch's in evaluation too.
    bias, dtype: as elsewhere.

    Raises ValueError for x of other shapes, and for one value a channel in training: a last batch of one sample is left
    out with `fit(drop_last=True)`. Source: Ioffe and Szegedy 2015; PyTorch's nn.BatchNorm1d.

    >>> from pyneuro import nn
    >>> layer = nn.BatchNorm1d(1, eps=0)
    >>> layer([[1.0], [3.0]]).tolist(), layer.running_mean.tolist(), round(layer.running_var.item(), 6)
    ([[-1.0], [1.0]], [0.20000000298023224], 1.1)
    """

    _takes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """`BatchNorm2d(num_features, eps=1e-5, momentum=0.1)`: each channel gets mean 0 and variance 1 over the batch.

    x (N, C, H, W) -> the same shape, with one mean and variance for all samples and pixels of a channel; all else is
    as in `BatchNorm1d`.

    >>> from pyneuro import nn
    >>> nn.BatchNorm2d(1, eps=0)([[[[1.0, 3.0]]]]).tolist()
    [[[[-1.0, 1.0]]]]
    """

    _takes = (4,)
