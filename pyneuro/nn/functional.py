"""Functions of tensors by PyTorch's names: activations, linear, dropout, and the losses. `import
pyneuro.nn.functional`.

All take Tensors, arrays, lists or numbers and return a Tensor. Where PyTorch's name of an op differs from the core's,
the docstring says which op it is; `pn.source("relu")` shows the C code.
"""

import math
import warnings

from pyneuro import _core, _functions
from pyneuro.nn import _check
from pyneuro.nn._convolve import conv1d, conv2d, conv_transpose2d
from pyneuro.nn._metric import (
    contrastive_loss,
    cosine_embedding_loss,
    cosine_similarity,
    normalize,
    pairwise_distance,
    triplet_margin_loss,
)
from pyneuro.nn._pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from pyneuro.nn._resize import interpolate, pad
from pyneuro.nn.batch_norm import batch_norm
from pyneuro.nn.normalization import group_norm, instance_norm, layer_norm

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "avg_pool1d",
    "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "contrastive_loss",
    "conv1d", "conv2d", "conv_transpose2d", "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "dropout",
    "dropout2d", "elu", "embedding", "flatten", "gelu", "group_norm", "hardtanh", "hinge_loss", "huber_loss",
    "instance_norm", "interpolate", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax",
    "logsigmoid", "max_pool1d", "max_pool2d", "mse_loss", "nll_loss", "normalize", "one_hot", "pad",
    "pairwise_distance", "prelu", "relu", "selu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus",
    "softsign", "tanh", "triplet_margin_loss", "zero_one_loss",
]  # fmt: skip

_ops = _core.ops
Tensor = _core.Tensor
_REDUCTIONS = ("mean", "sum", "none")


def _tensor(x):
    return x if isinstance(x, Tensor) else _core.as_tensor(x)


# ---- layers as functions ----


def linear(input, weight, bias=None):
    """y = x W' + b: input (*, in), weight (out, in), bias (out,) or None -> (*, out).

    >>> linear([[1.0, 2.0]], [[3.0, 4.0]], [0.5]).tolist()
    [[11.5]]
    """
    return _ops["linear"](input, weight, bias)


def embedding(input, weight):
    """Row input[i] of weight: input integers (*), weight (n, d) -> (*, d).

    >>> embedding([2, 0], [[1.0], [2.0], [3.0]]).tolist()
    [[3.0], [1.0]]
    """
    return _ops["index_select"](weight, input, 0)


def flatten(input, start_dim=0, end_dim=-1):
    """Joins the dimensions from start_dim to end_dim, both included. IndexError when there is no such dimension.

    >>> import numpy as np
    >>> flatten(np.zeros((2, 3, 4), np.float32), 1).shape
    (2, 12)
    """
    x = _tensor(input)
    shape = tuple(x.shape)
    rank = max(len(shape), 1)
    for name, dim in (("start_dim", start_dim), ("end_dim", end_dim)):
        if not -rank <= dim < rank:
            raise IndexError(f"flatten: {name} is {dim}, but x has shape {shape}")
    first, last = start_dim % rank, end_dim % rank
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} for x of shape {shape}")
    return _ops["reshape"](x, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def dropout(input, p=None, training=True, *, rate=None, keep=None):
    """Sets each element to 0 with probability p and the others to x / (1 - p); the identity when not `training`.

    p (or Keras's rate): the probability to drop, 0.5 when not given; keep: to keep, as in the lectures. TypeError when
    two of them are given, ValueError outside 0..1.

    >>> dropout([1.0, 2.0], training=False).tolist()
    [1.0, 2.0]
    >>> set(dropout([1.0] * 100, 0.5).tolist()) == {0.0, 2.0}
    True
    >>> dropout([1.0, 2.0], keep=1).tolist()
    [1.0, 2.0]
    """
    p = _check.drop("dropout", p, rate, keep)
    if not training:
        return _tensor(input)
    old = _core.set_training(True)
    try:
        return _ops["dropout"](input, p)
    finally:
        _core.set_training(old)


def dropout2d(input, p=None, training=True, *, rate=None, keep=None):
    """Sets whole channels of (N, C, ...) to 0 with probability p and the others to x / (1 - p), see `nn.Dropout2d`.

    >>> y = dropout2d([[[1.0, 1.0]] * 50], 0.5)
    >>> all(pair in ([0.0, 0.0], [2.0, 2.0]) for pair in y.tolist()[0])
    True
    """
    p = _check.drop("dropout2d", p, rate, keep)
    if not training:
        return _tensor(input)
    old = _core.set_training(True)
    try:
        return _ops["dropout2d"](input, p)
    finally:
        _core.set_training(old)


def one_hot(labels, num_classes=None):
    """int64 array (*, num_classes) with a 1 where the label is; num_classes defaults to the largest label + 1.

    Raises ValueError for labels outside 0 .. num_classes - 1.

    >>> one_hot([0, 2]).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    import numpy as np

    from pyneuro.nn._state import to_numpy

    y = to_numpy(labels)
    if y.dtype.kind not in "iub":
        raise TypeError(f"one_hot: labels must be integers, got {y.dtype}")
    n = int(y.max(initial=-1)) + 1 if num_classes is None else _check.size("one_hot", "num_classes", num_classes)
    if y.size and (y.min() < 0 or y.max() >= n):
        raise ValueError(f"one_hot: labels go from {y.min()} to {y.max()}, expected 0..{n - 1}")
    return _core.as_tensor((y[..., None] == np.arange(n)).astype(np.int64))


# ---- activations ----


def step(input, at_zero=0.0):
    """1 for x > 0, 0 below, `at_zero` at 0, see `nn.Step`.

    >>> step([-1.0, 0.0, 2.0], at_zero=1).tolist()
    [0.0, 1.0, 1.0]
    """
    return _ops["step"](input, at_zero)


def relu(input, inplace=False, *, relu_grad_at_zero=0.0):
    """max(x, 0); `relu_grad_at_zero`: the derivative at exactly 0, see `nn.ReLU`.

    `inplace` is taken for PyTorch's sake and changes nothing, here and below.

    >>> relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return _ops["relu"](input, relu_grad_at_zero)


def leaky_relu(input, negative_slope=0.01, inplace=False, *, relu_grad_at_zero=None):
    """x for x > 0, negative_slope x below; `relu_grad_at_zero` as in `nn.LeakyReLU`.

    >>> leaky_relu([-1.0, 2.0], 0.5).tolist()
    [-0.5, 2.0]
    """
    return _ops["leaky_relu"](input, negative_slope, relu_grad_at_zero)


def prelu(input, weight, *, relu_grad_at_zero=None):
    """x for x > 0, weight x below: weight (1,) or one a channel (dimension 1); `relu_grad_at_zero` as in `nn.PReLU`.

    >>> prelu([-1.0, 2.0], [0.5]).tolist()
    [-0.5, 2.0]
    """
    return _ops["prelu"](input, weight, relu_grad_at_zero)


def elu(input, alpha=1.0, inplace=False, *, relu_grad_at_zero=None):
    """x for x > 0, alpha (exp(x) - 1) below; `relu_grad_at_zero` as in `nn.ELU`.

    >>> [f"{v:.4f}" for v in elu([-1.0, 2.0]).tolist()]
    ['-0.6321', '2.0000']
    """
    return _ops["elu"](input, alpha, relu_grad_at_zero)


def gelu(input, approximate="none"):
    """x Phi(x), exact, or the tanh formula with approximate="tanh".

    >>> [f"{v:.4f}" for v in gelu([-1.0, 1.0]).tolist()]
    ['-0.1587', '0.8413']
    """
    _check.choice("gelu", "approximate", approximate, ("none", "tanh"))
    return _ops["gelu" if approximate == "none" else "gelu_tanh"](input)


def hardtanh(input, min_val=-1.0, max_val=1.0):
    """x between the bounds, the bound outside.

    >>> hardtanh([-3.0, 0.5]).tolist()
    [-1.0, 0.5]
    """
    return _ops["hardtanh"](input, min_val, max_val)


def _plain(op, text, example):
    """The function of an op without arguments; `example`: what it gives for -1 and 1, to four digits."""

    def function(input):
        return _ops[op](input)

    name = "logsigmoid" if op == "log_sigmoid" else op
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{text}\n\n>>> [f'{{v:.4f}}' for v in {name}([-1.0, 1.0]).tolist()]\n{example}\n"
    return function


sigmoid = _plain("sigmoid", "1 / (1 + exp(-x)).", ["0.2689", "0.7311"])
tanh = _plain("tanh", "The hyperbolic tangent.", ["-0.7616", "0.7616"])
selu = _plain("selu", "Scaled ELU, see `nn.SELU`.", ["-1.1113", "1.0507"])
silu = _plain("silu", "x sigmoid(x).", ["-0.2689", "0.7311"])
softplus = _plain("softplus", "log(1 + exp(x)), without overflow.", ["0.3133", "1.3133"])
softsign = _plain("softsign", "x / (1 + |x|).", ["-0.5000", "0.5000"])
logsigmoid = _plain("log_sigmoid", "log sigmoid(x), without overflow.", ["-1.3133", "-0.3133"])


# A new line of csrc/kernels/activation.def is a function here too.
globals().update({name: getattr(_functions, name) for name in _functions.GENERATED})


def softmax_dim(name, input):
    """The dimension that PyTorch takes where none is given: with a warning where one might expect another."""
    rank = len(_tensor(input).shape)
    if rank > 2:
        warnings.warn(
            f"{name}: dim is not given for input with {rank} dimensions and taken to be {0 if rank == 3 else 1}, as in "
            "PyTorch; give it, such as dim=1 for the classes of (N, K, ...)",
            stacklevel=2,
        )
    return 0 if rank in (0, 1, 3) else 1


def softmax(input, dim=None, *, stable=True):
    """exp(x_k) / sum_j exp(x_j) along `dim`; stable=False: the naive formula, which overflows.

    Without `dim` it is the last one of 1-D and 2-D input; above, PyTorch's choice with a warning: 0 for 3-D, else 1.

    >>> softmax([0.0, 0.0]).tolist()
    [0.5, 0.5]
    >>> softmax([1000.0, 0.0], stable=False).tolist()
    [nan, 0.0]
    """
    return _ops["softmax"](input, softmax_dim("softmax", input) if dim is None else dim, stable)


def log_softmax(input, dim=None, *, stable=True):
    """x_k - log sum_j exp(x_j) along `dim`; stable=False: the naive formula, which overflows.

    >>> log_softmax([1000.0, 0.0]).tolist()
    [0.0, -1000.0]
    """
    return _ops["log_softmax"](input, softmax_dim("log_softmax", input) if dim is None else dim, stable)


# ---- losses ----


def _target(input, target):
    """`target` ready for an elementwise loss: integer labels become the input's real type, nothing else changes."""
    target = _tensor(target)
    return _ops["cast"](target, input.dtype) if target.dtype == "int64" else target


def _elementwise(op, input, target, reduction, *attributes):
    """An elementwise loss. Shapes must be equal; (N,) against (N, 1) is reshaped by the op, never broadcast."""
    input = _tensor(input)
    return _ops[op](input, _target(input, target), reduction, *attributes)


def _factor(weight, input):
    """A loss's weight as a tensor of the input's real type."""
    weight = _tensor(weight)
    return weight if weight.dtype == input.dtype else _ops["cast"](weight, input.dtype)


def _reduce(name, values, reduction):
    """`values` (one an element) by `reduction`."""
    _check.choice(name, "reduction", reduction, _REDUCTIONS)
    return values if reduction == "none" else _ops[reduction](values)


def mse_loss(input, target, reduction="mean", *, half=False):
    """Squared error (y - t)^2, or half of it with `half=True` as in lecture 001. Shapes equal; a scalar by default.

    `reduction`: "mean" over all elements, "sum", or "none" for one value an element. ValueError for other shapes.

    >>> mse_loss([1.5, 1.5, 2.0], [1.0, 2.0, 3.0]).item()
    0.5
    """
    return _elementwise("mse", input, target, reduction, half)


def l1_loss(input, target, reduction="mean"):
    """Absolute error |y - t| (op "mae"). Arguments as in `mse_loss`.

    >>> l1_loss([1.5, 1.5, 2.0], [1.0, 2.0, 4.0]).item()
    1.0
    """
    return _elementwise("mae", input, target, reduction)


def huber_loss(input, target, reduction="mean", delta=1.0):
    """d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2), d = y - t. Arguments as in `mse_loss`. Huber 1964.

    >>> huber_loss([0.5, 3.0], [0.0, 0.0], "none").tolist()
    [0.125, 2.5]
    """
    return _elementwise("huber", input, target, reduction, delta)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """d^2 / (2 beta) for |d| < beta, else |d| - beta / 2. With beta = 0 it is `l1_loss`. Girshick 2015.

    >>> smooth_l1_loss([1.0, 4.0], [0.0, 0.0], "none", beta=2.0).tolist()
    [0.25, 3.0]
    """
    if beta == 0:
        return l1_loss(input, target, reduction)
    return _elementwise("smooth_l1", input, target, reduction, beta)


def kl_div(input, target, reduction="mean", log_target=False):
    """Divergence of Kullback and Leibler, t (log t - y), for log-probabilities y and probabilities t (op "kl_div").

    With `log_target` the target is a logarithm too: exp(t) (t - y). Shapes equal. `reduction`: "batchmean" is the
    divergence itself, the sum divided by the first size; "mean" (PyTorch's default) divides by all elements.

    >>> y = log_softmax([[0.0, 0.0]])
    >>> f"{kl_div(y, [[1.0, 0.0]], reduction='batchmean').item():.4f}"
    '0.6931'
    """
    _check.choice("kl_div", "reduction", reduction, (*_REDUCTIONS, "batchmean"))
    input = _tensor(input)
    if reduction == "batchmean":
        total = _elementwise("kl_div", input, target, "sum", log_target)
        return total / input.shape[0] if input.ndim else total
    return _elementwise("kl_div", input, target, reduction, log_target)


def hinge_loss(input, target, reduction="mean"):
    """max(0, 1 - t y) for labels t of -1 and +1.

    >>> hinge_loss([2.0, 0.5], [1.0, -1.0]).item()
    0.75
    """
    return _elementwise("hinge", input, target, reduction)


def zero_one_loss(input, target, reduction="mean"):
    """[y != t], the indicator loss of lecture 001. It has no derivative: for evaluation only.

    Shapes equal, or scores (N, K) against class numbers (N,): there the largest score answers.

    >>> zero_one_loss([1.0, -1.0], [1.0, 1.0]).item(), zero_one_loss([[0.1, 0.9], [0.8, 0.2]], [1, 1]).item()
    (0.5, 0.5)
    """
    input, target = _tensor(input), _tensor(target)
    shape = tuple(input.shape)
    if len(shape) > 1 and shape[1] > 1 and target.dtype == "int64" and tuple(target.shape) == shape[:1] + shape[2:]:
        wrong = _ops["ne"](_ops["argmax"](input, 1), target)
        return _reduce("zero_one_loss", _ops["cast"](wrong, input.dtype), reduction)
    return _elementwise("zero_one", input, target, reduction)


def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """-(t log y + (1 - t) log(1 - y)) for probabilities y (op "bce"); logarithms are cut at -100, as PyTorch.

    `weight`: a factor on each element, broadcast. For raw scores use `binary_cross_entropy_with_logits`.

    >>> f"{binary_cross_entropy([0.5, 0.5], [1.0, 0.0]).item():.4f}"
    '0.6931'
    """
    if weight is None:
        return _elementwise("bce", input, target, reduction)
    values = _elementwise("bce", input, target, "none")
    return _reduce("binary_cross_entropy", values * _factor(weight, values), reduction)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """Binary cross-entropy of raw scores (op "bce_with_logits"), exact for scores of any size.

    `weight`: a factor on each element. `pos_weight`: a factor on the positive part t log sigmoid(y). Both broadcast.

    >>> binary_cross_entropy_with_logits([1000.0, -1000.0], [1.0, 1.0], reduction="none").tolist()
    [0.0, 1000.0]
    """
    if weight is None and pos_weight is None:
        return _elementwise("bce_with_logits", input, target, reduction)
    if pos_weight is None:
        values = _elementwise("bce_with_logits", input, target, "none")
    else:
        input = _tensor(input)
        target = _like(_target(input, target), input)
        positive = _factor(pos_weight, input) * target * _ops["softplus"](-input)
        values = positive + (1 - target) * _ops["softplus"](input)
    values = values if weight is None else values * _factor(weight, values)
    return _reduce("binary_cross_entropy_with_logits", values, reduction)


def _like(target, input):
    """`target` in the shape of `input`: equal, or (N,) against (N, 1). ValueError otherwise."""
    a, b = tuple(input.shape), tuple(target.shape)
    if a == b:
        return target
    if (*a, 1) == b or a == (*b, 1):
        return _ops["reshape"](target, a)
    raise ValueError(f"input has shape {a}, target has shape {b}, expected equal shapes")


def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Softmax and log-loss in one: -log softmax(x)_t. Takes raw scores, not probabilities.

    input (N, K), (N, K, ...) or (K,); target class numbers 0..K-1 of shape (N,), (N, ...) or (), or real class
    probabilities of the input's shape. `weight` (K,): a factor for each class (the mean divides by the sum of factors,
    as PyTorch). Rows with `ignore_index` do not count. `label_smoothing` e: targets (1 - e) t + e / K.
    Raises TypeError for real class numbers, ValueError for labels out of range or shapes that do not fit.

    >>> round(cross_entropy([[1.0, 2.0, 3.0]], [2]).item(), 6)
    0.407606
    """
    input, target = _tensor(input), _tensor(target)
    weight = None if weight is None else _factor(weight, input)
    if target.dtype == "int64":
        return _ops["cross_entropy"](input, target, weight, reduction, ignore_index, label_smoothing)
    if len(target.shape) < len(input.shape):
        raise TypeError(
            f"cross_entropy: target of shape {tuple(target.shape)} has type {target.dtype}; class numbers must be "
            f"integers, y.astype('int64')"
        )
    return _ops["soft_cross_entropy"](input, target, weight, reduction, label_smoothing)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """-x_t for log-probabilities x (op "nll"): what `cross_entropy` is behind a `log_softmax`. Arguments as there.

    >>> nll_loss([[-0.5, -1.0]], [1]).item()
    1.0
    """
    input, target = _tensor(input), _tensor(target)
    if target.dtype != "int64":
        raise TypeError(f"nll_loss: target has type {target.dtype}; class numbers must be integers, y.astype('int64')")
    weight = None if weight is None else _factor(weight, input)
    return _ops["nll"](input, target, weight, reduction, ignore_index)
