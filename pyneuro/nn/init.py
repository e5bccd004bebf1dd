"""Initial values of parameters, by PyTorch's names and with PyTorch's distributions.

The functions with a trailing underscore fill a tensor in place and return it. Layers take the same rules by name, by
function, or as a number: `nn.Linear(2, 8, init="he_normal")`, `init=nn.init.orthogonal_`, `init=0.5`.

    name                              values
    "zeros", "ones", a number         that constant
    "uniform", "normal"               U(0, 1), N(0, 1)
    "fan_in_normal" ("lecun_normal")  N(0, 1/fan_in): what the lectures write as W ~ N(0, 1/dim W)
    "xavier_uniform", "xavier_normal" ("glorot_..."): variance 2 / (fan_in + fan_out); Glorot, Bengio 2010
    "kaiming_uniform", "kaiming_normal" ("he_..."): variance 2 / fan_in, for ReLU; He et al. 2015
    "orthogonal"                      orthonormal rows or columns; Saxe et al. 2014

No normal distribution is truncated, as in PyTorch (Keras truncates its he_normal and glorot_normal at two sigma).
Numbers come from Philox: a network built with `seed=` draws parameter number i from the stream (seed, i), whatever the
machine; without a seed each parameter takes the next child of the seed that `pn.manual_seed` set.
"""

import math
import threading

import numpy as np

from pyneuro import _core
from pyneuro.nn import _check

__all__ = [
    "calculate_gain", "constant_", "eye_", "fan_in_normal_", "fan_in_uniform_", "kaiming_normal_", "kaiming_uniform_",
    "normal_", "ones_", "orthogonal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip


class _Source(threading.local):
    """Where random numbers come from while a parameter is drawn again: (seed, ordinal), or None for a fresh child."""

    key = None
    draws = 0


_source = _Source()


def _next_key():
    """(seed, ordinal) of the next draw. A rule that draws twice for one parameter gets two streams."""
    if _source.key is None:
        return _core.seed_child(), 0
    seed, ordinal = _source.key
    _source.draws += 1
    return seed, ordinal + ((_source.draws - 1) << 32)


def _draw_uniform(shape, low, high, dtype):
    seed, ordinal = _next_key()
    return _core.uniform(shape, low, high, seed, ordinal, dtype)


def _draw_normal(shape, mean, std, dtype):
    seed, ordinal = _next_key()
    return _core.normal(shape, mean, std, seed, ordinal, dtype)


def _fill(tensor, values):
    """Writes `values` (an array of the tensor's shape, or a number) into `tensor` without recording it."""
    if np.isscalar(values):
        values = np.broadcast_to(np.asarray(values, tensor.dtype), tensor.shape)
    old = _core.set_grad_enabled(False)
    try:
        tensor.copy_(values)
    finally:
        _core.set_grad_enabled(old)
    return tensor


def _fans(tensor):
    """(fan_in, fan_out) of a weight (out, in, *kernel): how many numbers meet in one output, and leave one input."""
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ValueError(f"fan-in and fan-out need a tensor with at least 2 dimensions, got shape {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def calculate_gain(nonlinearity, param=None):
    """Factor on the standard deviation that keeps the variance through `nonlinearity`. As torch.nn.init.calculate_gain.

    `nonlinearity`: "linear", "sigmoid", "conv1d" ... (1), "tanh" (5/3), "relu" (sqrt 2), "leaky_relu"
    (sqrt(2 / (1 + param^2)), param defaults to 0.01), "selu" (3/4). Raises ValueError for any other name.

    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    ones = ("linear", "identity", "sigmoid", "conv1d", "conv2d", "conv3d")
    gains = {**dict.fromkeys(ones, 1.0), "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75}
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else _check.number("calculate_gain", "param", param)
        return math.sqrt(2.0 / (1 + slope**2))
    return gains[_check.choice("calculate_gain", "nonlinearity", nonlinearity, (*gains, "leaky_relu"))]


def uniform_(tensor, a=0.0, b=1.0):
    """Fills `tensor` from U(a, b).

    >>> import pyneuro as pn
    >>> w = uniform_(pn.zeros(3, 5), -1, 1)
    >>> bool(abs(w.numpy()).max() <= 1)
    True
    """
    return _fill(tensor, _draw_uniform(tuple(tensor.shape), a, b, tensor.dtype))


def normal_(tensor, mean=0.0, std=1.0):
    """Fills `tensor` from N(mean, std^2).

    >>> import pyneuro as pn
    >>> normal_(pn.zeros(100, 100), std=0.1).std().item() < 0.11
    True
    """
    return _fill(tensor, _draw_normal(tuple(tensor.shape), mean, std, tensor.dtype))


def constant_(tensor, val):
    """Fills `tensor` with the number `val`.

    >>> import pyneuro as pn
    >>> constant_(pn.zeros(2), 0.5).tolist()
    [0.5, 0.5]
    """
    return _fill(tensor, float(val))


def ones_(tensor):
    """Fills `tensor` with 1.

    >>> import pyneuro as pn
    >>> ones_(pn.zeros(2)).tolist()
    [1.0, 1.0]
    """
    return _fill(tensor, 1.0)


def zeros_(tensor):
    """Fills `tensor` with 0.

    >>> import pyneuro as pn
    >>> zeros_(pn.ones(2)).tolist()
    [0.0, 0.0]
    """
    return _fill(tensor, 0.0)


def eye_(tensor):
    """Fills the matrix `tensor` with ones on the diagonal and zeros elsewhere. ValueError unless it has 2
    dimensions.

    >>> import pyneuro as pn
    >>> eye_(pn.zeros(2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if len(tensor.shape) != 2:
        raise ValueError(f"eye_ needs a matrix, got shape {tuple(tensor.shape)}")
    return _fill(tensor, np.eye(*tensor.shape, dtype=tensor.dtype))


def fan_in_normal_(tensor):
    """Fills the weight `tensor` (out, in, ...) from N(0, 1/fan_in): each output has the variance of one input.

    >>> import pyneuro as pn
    >>> 0.04 < fan_in_normal_(pn.zeros(100, 400)).std().item() < 0.06  # 1 / sqrt(400)
    True
    """
    return normal_(tensor, 0.0, 1 / math.sqrt(_fans(tensor)[0]))


def fan_in_uniform_(tensor, fan=None):
    """Fills `tensor` from U(-1/sqrt(fan), 1/sqrt(fan)); `fan` defaults to the tensor's fan-in. PyTorch's bias rule.

    >>> import pyneuro as pn
    >>> fan_in_uniform_(pn.zeros(8, 100)).abs().max().item() <= 0.1  # 1 / sqrt(100)
    True
    """
    bound = 1 / math.sqrt(_fans(tensor)[0] if fan is None else fan)
    return uniform_(tensor, -bound, bound)


def xavier_uniform_(tensor, gain=1.0):
    """Fills the weight `tensor` (out, in, ...) from U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)). Glorot 2010.

    >>> import pyneuro as pn
    >>> xavier_uniform_(pn.zeros(2, 4)).abs().max().item() <= 1.0  # sqrt(6 / (4 + 2))
    True
    """
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor, gain=1.0):
    """Fills the weight `tensor` (out, in, ...) from N(0, gain^2 2 / (fan_in + fan_out)). Glorot, Bengio 2010.

    >>> import pyneuro as pn
    >>> 0.09 < xavier_normal_(pn.zeros(100, 100)).std().item() < 0.11  # sqrt(2 / 200)
    True
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))))


def _kaiming_std(tensor, a, mode, nonlinearity):
    fans = dict(zip(("fan_in", "fan_out"), _fans(tensor), strict=True))
    return calculate_gain(nonlinearity, a) / math.sqrt(fans[_check.choice("kaiming", "mode", mode, tuple(fans))])


def kaiming_uniform_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Fills the weight `tensor` (out, in, ...) from U(-b, b), b = gain sqrt(3 / fan). He et al. 2015.

    `a`: slope of the leaky ReLU behind it; `mode`: "fan_in" keeps the variance forward, "fan_out" backward.

    >>> import pyneuro as pn
    >>> kaiming_uniform_(pn.zeros(8, 6)).abs().max().item() <= 1.0  # sqrt(2) sqrt(3 / 6)
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Fills the weight `tensor` (out, in, ...) from N(0, gain^2 / fan). Arguments as in `kaiming_uniform_`.

    >>> import pyneuro as pn
    >>> 0.13 < kaiming_normal_(pn.zeros(100, 100), nonlinearity="relu").std().item() < 0.15  # sqrt(2 / 100)
    True
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def orthogonal_(tensor, gain=1.0):
    """Fills `tensor`, seen as a matrix (first dimension, all others), with orthonormal rows or columns times `gain`.

    Saxe et al. 2014; uniform over all such matrices (signs after Mezzadri 2006). ValueError below 2 dimensions.

    >>> import pyneuro as pn
    >>> w = orthogonal_(pn.zeros(2, 5))
    >>> pn.allclose(w @ w.T, pn.eye(2), atol=1e-6)
    True
    """
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ValueError(f"orthogonal_ needs a tensor with at least 2 dimensions, got shape {shape}")
    rows, cols = shape[0], math.prod(shape[1:])
    normal = _draw_normal((max(rows, cols), min(rows, cols)), 0.0, 1.0, "float64")
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diagonal(r))
    q = q if rows >= cols else q.T
    return _fill(tensor, (gain * q).reshape(shape).astype(tensor.dtype))


def _he_uniform_(tensor):
    return kaiming_uniform_(tensor, nonlinearity="relu")


def _he_normal_(tensor):
    return kaiming_normal_(tensor, nonlinearity="relu")


_NAMES = {
    "zeros": zeros_, "ones": ones_, "uniform": uniform_, "normal": normal_, "eye": eye_, "orthogonal": orthogonal_,
    "fan_in_normal": fan_in_normal_, "lecun_normal": fan_in_normal_, "fan_in_uniform": fan_in_uniform_,
    "xavier_uniform": xavier_uniform_, "glorot_uniform": xavier_uniform_,
    "xavier_normal": xavier_normal_, "glorot_normal": xavier_normal_,
    "kaiming_uniform": _he_uniform_, "he_uniform": _he_uniform_,
    "kaiming_normal": _he_normal_, "he_normal": _he_normal_,
}  # fmt: skip


class Rule:
    """A function with its arguments, `Rule(uniform_, -0.1, 0.1)`: what a parameter remembers of its first values."""

    __slots__ = ("arguments", "function")

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return Rule, (self.function, *self.arguments)

    def __call__(self, tensor):
        """Fills `tensor` in place. A function may return the values instead."""
        values = self.function(tensor, *self.arguments)
        if values is None or values is tensor:
            return
        shape = np.shape(values)
        if shape != tuple(tensor.shape):
            raise ValueError(f"init: the function returned shape {shape}, expected {tuple(tensor.shape)}")
        _fill(tensor, np.asarray(values, tensor.dtype))


def rule(layer, argument, given, default):
    """`given` (a name, a function that fills a tensor, a number, a Rule or None for `default`) as a Rule.

    Raises ValueError for an unknown name (the nearest is suggested), TypeError for anything else.
    """
    if given is None:
        given = default
    if isinstance(given, Rule):
        return given
    if isinstance(given, str):
        if given == "constant":
            raise ValueError(f"{layer}: {argument}='constant' needs its value: give the number itself, {argument}=0.5")
        return Rule(_NAMES[_check.choice(layer, argument, given, tuple(_NAMES))])
    if callable(given):
        return Rule(given)
    if isinstance(given, (int, float, np.number)) and not isinstance(given, bool):
        return Rule(constant_, float(given))
    raise TypeError(f"{layer}: {argument} must be a name, a function or a number, got {given!r:.80}")


def draw(rule, tensor, seed, ordinal):
    """Fills `tensor` by `rule` from the stream (seed, ordinal): the same numbers each time."""
    old = _source.key, _source.draws
    _source.key, _source.draws = (seed, ordinal), 0
    old_grad = _core.set_grad_enabled(False)
    try:
        rule(tensor)
    finally:
        _core.set_grad_enabled(old_grad)
        _source.key, _source.draws = old
    return tensor


class _Loading(threading.local):
    """While a file is loaded: how many more elements its tensors can fill. None: no file is being loaded."""

    budget = None


_loading = _Loading()


class loading:
    """Context in which parameters start as zeros, because a file fills them, and may have `budget` elements in all.

    A file that claims larger layers than it has data for is refused before any memory is taken for them (ValueError).
    """

    def __init__(self, budget):
        self.budget = budget

    def __enter__(self):
        self.old, _loading.budget = _loading.budget, self.budget

    def __exit__(self, *exception):
        _loading.budget = self.old


def create(layer, name, shape, rule, dtype):
    """A new leaf tensor of `shape` and `dtype`, filled by `rule`; returns (tensor, (rule, seed, ordinal)).

    `layer` and `name` are for messages. Raises MemoryError when it cannot fit into memory.
    """
    if _loading.budget is not None:
        _loading.budget -= math.prod(shape)
        if _loading.budget < 0:
            raise ValueError(f"{layer}: {name} of shape {tuple(shape)} is larger than what the file holds")
        return _core.Tensor(np.zeros(shape, dtype)), None
    _check.memory(layer, name, shape, dtype)
    try:
        tensor = _core.Tensor(np.broadcast_to(np.zeros((), dtype), shape))
        seed = _core.seed_child()
        draw(rule, tensor, seed, 0)
    except MemoryError:
        raise MemoryError(f"{layer}: {name} of shape {tuple(shape)} does not fit into memory") from None
    return tensor, (rule, seed, 0)
