"""Activations as layers: the table of the lectures and PyTorch's names. The functions themselves are C.

Conventions at the kink are arguments. PyTorch takes 0 as the derivative of relu at 0, the lectures take 1:
`nn.ReLU(relu_grad_at_zero=1)`; a step at 0 is 0 or 1 by `nn.Step(at_zero=1)`.
"""

from pyneuro import _core
from pyneuro.nn import _check, functional, init
from pyneuro.nn.module import Module

_ops = _core.ops


class _Elementwise(Module):
    """A function of one tensor, element by element: x (*) -> (*). Subclasses name the op and its arguments."""

    _op = None
    _attributes = ()  # names of attributes of self, in the op's order

    def __init__(self, inplace=False, **other):
        """`inplace` is taken for PyTorch's sake and changes nothing: memory is planned by the core."""
        super().__init__()
        _check.refuse(type(self).__name__, other, self._attributes or ("inplace",))

    def extra_repr(self):
        """The arguments, as PyTorch shows them; the convention at 0 only where one was chosen."""
        shown = {k: v for k, v in self._config().items() if v or k not in ("relu_grad_at_zero", "at_zero")}
        return ", ".join(f"{name}={value}" for name, value in shown.items())

    def _config(self):
        return {name: getattr(self, name) for name in self._attributes}


class _Plain(_Elementwise):
    """One without arguments: the call goes straight to the op."""

    def forward(self, x):
        """x (*) -> (*)."""
        return self._op(x)


class Sigmoid(_Plain):
    """`Sigmoid()`: y = 1 / (1 + exp(-x)), the logistic neuron of lecture 001.

    >>> round(Sigmoid()([0.0, 1.0]).tolist()[1], 6)
    0.731059
    """

    _op = _ops["sigmoid"]


class Tanh(_Plain):
    """`Tanh()`: y = tanh(x).

    >>> Tanh()([0.0]).tolist()
    [0.0]
    """

    _op = _ops["tanh"]


class Softsign(_Plain):
    """`Softsign()`: y = x / (1 + |x|).

    >>> Softsign()([-1.0, 3.0]).tolist()
    [-0.5, 0.75]
    """

    _op = _ops["softsign"]


class SELU(_Plain):
    """`SELU()`: y = s x for x > 0, s a (exp(x) - 1) below; keeps mean 0 and variance 1. Klambauer et al. 2017.

    >>> [f"{v:.4f}" for v in SELU()([-1.0, 1.0]).tolist()]
    ['-1.1113', '1.0507']
    """

    _op = _ops["selu"]


class SiLU(_Plain):
    """`SiLU()`, also called Swish: y = x sigmoid(x). Elfwing et al. 2017.

    >>> [f"{v:.4f}" for v in SiLU()([-1.0, 1.0]).tolist()]
    ['-0.2689', '0.7311']
    """

    _op = _ops["silu"]


class LogSigmoid(_Plain):
    """`LogSigmoid()`: y = log(1 / (1 + exp(-x))), without overflow.

    >>> f"{LogSigmoid()(0.0).item():.4f}", LogSigmoid()(-1000.0).item()
    ('-0.6931', -1000.0)
    """

    _op = _ops["log_sigmoid"]


class Step(_Elementwise):
    """`Step(at_zero=0)`: y = 1 for x > 0, 0 for x < 0, `at_zero` at 0: the neuron of McCulloch and Pitts (1943).

    Its derivative is 0 everywhere, so nothing before it learns. Decks 001 and 004 take 0 at 0, deck 002 takes 1.

    >>> Step(at_zero=1)([-1.0, 0.0, 2.0]).tolist()
    [0.0, 1.0, 1.0]
    """

    _op, _attributes = _ops["step"], ("at_zero",)

    def __init__(self, at_zero=0.0, **other):
        super().__init__(**other)
        self.at_zero = _check.number("Step", "at_zero", at_zero)

    def forward(self, x):
        """x (*) -> (*)."""
        return self._op(x, self.at_zero)


class ReLU(_Elementwise):
    """`ReLU(relu_grad_at_zero=0)`: y = max(x, 0). NaN stays NaN.

    relu_grad_at_zero: the derivative at exactly 0: 0 (default, PyTorch) or 1 (lectures 002 and 004).

    >>> ReLU()([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """

    _op, _attributes = _ops["relu"], ("relu_grad_at_zero",)

    def __init__(self, inplace=False, *, relu_grad_at_zero=0.0, **other):
        super().__init__(**other)
        self.relu_grad_at_zero = _check.number("ReLU", "relu_grad_at_zero", relu_grad_at_zero, 0, 1)

    def forward(self, x):
        """x (*) -> (*)."""
        return self._op(x, self.relu_grad_at_zero)


class LeakyReLU(_Elementwise):
    """`LeakyReLU(negative_slope=0.01)`: y = x for x > 0, negative_slope x below. PyTorch's default (Keras has 0.3).

    relu_grad_at_zero: the derivative at exactly 0; None (default): the slope, as PyTorch; the lectures take 1.

    >>> LeakyReLU(0.5)([-1.0, 2.0]).tolist()
    [-0.5, 2.0]
    """

    _op, _attributes = _ops["leaky_relu"], ("negative_slope", "relu_grad_at_zero")

    def __init__(self, negative_slope=0.01, inplace=False, *, slope=None, relu_grad_at_zero=None, **other):
        super().__init__(**other)
        self.negative_slope = _check.number("LeakyReLU", "slope", negative_slope if slope is None else slope)
        self.relu_grad_at_zero = _kink("LeakyReLU", relu_grad_at_zero)

    def forward(self, x):
        """x (*) -> (*)."""
        kink = self.relu_grad_at_zero
        return self._op(x, self.negative_slope) if kink is None else self._op(x, self.negative_slope, kink)


class ELU(_Elementwise):
    """`ELU(alpha=1.0)`: y = x for x > 0, alpha (exp(x) - 1) below. Clevert et al. 2015.

    relu_grad_at_zero: the derivative at exactly 0; None (default): alpha, as PyTorch; the lectures take 1.

    >>> [f"{v:.4f}" for v in ELU()([-1.0, 2.0]).tolist()]
    ['-0.6321', '2.0000']
    """

    _op, _attributes = _ops["elu"], ("alpha", "relu_grad_at_zero")

    def __init__(self, alpha=1.0, inplace=False, *, relu_grad_at_zero=None, **other):
        super().__init__(**other)
        self.alpha = _check.number("ELU", "alpha", alpha)
        self.relu_grad_at_zero = _kink("ELU", relu_grad_at_zero)

    def forward(self, x):
        """x (*) -> (*)."""
        kink = self.relu_grad_at_zero
        return self._op(x, self.alpha) if kink is None else self._op(x, self.alpha, kink)


def _kink(name, value):
    return None if value is None else _check.number(name, "relu_grad_at_zero", value)


class Hardtanh(_Elementwise):
    """`Hardtanh(min_val=-1, max_val=1)`: y = x between the two bounds, the bound outside. ValueError if min > max.

    >>> Hardtanh()([-3.0, 0.5, 3.0]).tolist()
    [-1.0, 0.5, 1.0]
    """

    _op, _attributes = _ops["hardtanh"], ("min_val", "max_val")

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, **other):
        super().__init__(**other)
        self.min_val = _check.number("Hardtanh", "min_val", min_val)
        self.max_val = _check.number("Hardtanh", "max_val", max_val, low=self.min_val)

    def forward(self, x):
        """x (*) -> (*)."""
        return self._op(x, self.min_val, self.max_val)


class GELU(Module):
    """`GELU(approximate="none")`: y = x Phi(x) with the normal distribution's Phi, exact; "tanh": the usual formula.

    Hendrycks, Gimpel 2016. Raises ValueError for another `approximate`.

    >>> [f"{v:.4f}" for v in GELU()([-1.0, 1.0]).tolist()]
    ['-0.1587', '0.8413']
    >>> f"{GELU('tanh')(-1.0).item():.4f}"
    '-0.1588'
    """

    def __init__(self, approximate="none", **other):
        super().__init__()
        _check.refuse("GELU", other, ("approximate",))
        self.approximate = _check.choice("GELU", "approximate", approximate, ("none", "tanh"))

    def forward(self, x):
        """x (*) -> (*)."""
        return _ops["gelu" if self.approximate == "none" else "gelu_tanh"](x)

    def extra_repr(self):
        """PyTorch's."""
        return f"approximate={self.approximate!r}"

    def _config(self):
        return {"approximate": self.approximate}


class Softplus(Module):
    """`Softplus(beta=1.0, threshold=20.0)`: y = log(1 + exp(beta x)) / beta, a smooth max(x, 0), without overflow.

    `threshold` is taken for PyTorch's sake: there the formula ends above it, here it is accurate everywhere.

    >>> f"{Softplus()(0.0).item():.4f}", Softplus()(1000.0).item()
    ('0.6931', 1000.0)
    """

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta = _check.number("Softplus", "beta", beta)
        if self.beta == 0:
            raise ValueError("Softplus: beta must not be 0")

    def forward(self, x):
        """x (*) -> (*)."""
        return _ops["softplus"](x) if self.beta == 1 else _ops["softplus"](_core.as_tensor(x) * self.beta) / self.beta

    def extra_repr(self):
        """PyTorch's."""
        return f"beta={self.beta:g}"

    def _config(self):
        return {"beta": self.beta}


class PReLU(Module):
    """`PReLU(num_parameters=1, init=0.25)`: leaky ReLU whose slope is learned. He et al. 2015.

    x (N, C, ...) -> the same; `weight` (1,), or (C,) for one slope a channel. `init`: its first value.
    relu_grad_at_zero: the derivative by x at exactly 0; None (default): the slope, as PyTorch; the lectures take 1.

    >>> PReLU(init=0.5)([[-1.0, 2.0]]).tolist()
    [[-0.5, 2.0]]
    """

    weight: _core.Tensor

    def __init__(self, num_parameters=1, init=0.25, *, relu_grad_at_zero=None, dtype=None, **other):
        super().__init__()
        _check.refuse("PReLU", other, ("num_parameters", "init", "relu_grad_at_zero", "dtype"))
        self.num_parameters = _check.size("PReLU", "num_parameters", num_parameters)
        self.relu_grad_at_zero = _kink("PReLU", relu_grad_at_zero)
        self._reset(init, dtype)

    def _reset(self, first, dtype):
        from pyneuro.nn.layers import _real

        rule = init.rule("PReLU", "init", first, 0.25)
        self._new_parameter("weight", (self.num_parameters,), rule, _real("PReLU", dtype))

    def forward(self, x):
        """x (N, C, ...) -> (N, C, ...)."""
        return _ops["prelu"](x, self.weight, self.relu_grad_at_zero)

    def extra_repr(self):
        """PyTorch's, and the convention at 0 where one was chosen."""
        return ", ".join(f"{name}={value}" for name, value in self._config().items())

    def _label(self):
        return f"PReLU({self.num_parameters})"

    def _config(self):
        kink = {} if self.relu_grad_at_zero is None else {"relu_grad_at_zero": self.relu_grad_at_zero}
        return {"num_parameters": self.num_parameters, **kink}


class _Normalised(Module):
    """Softmax and its logarithm: along one dimension."""

    _op = None

    def __init__(self, dim=None, *, axis=None, stable=True, **other):
        super().__init__()
        name = type(self).__name__
        _check.refuse(name, other, ("dim", "axis", "stable"))
        dim = _check.either(name, {"dim": dim, "axis": axis}, None)
        self.dim = None if dim is None else _check.size(name, "dim", dim, least=-8)
        if not isinstance(stable, bool):
            raise TypeError(f"{name}: stable must be True or False, got {stable!r:.80}")
        self.stable = stable

    def forward(self, x):
        """x (*) -> (*)."""
        dim = functional.softmax_dim(type(self).__name__, x) if self.dim is None else self.dim
        return self._op(x, dim, self.stable)

    def extra_repr(self):
        """PyTorch's, and the naive formula when chosen."""
        return f"dim={self.dim}" + ("" if self.stable else ", stable=False")

    def _config(self):
        return {"dim": self.dim, "stable": self.stable}


class Softmax(_Normalised):
    """`Softmax(dim=None)`: y_k = exp(x_k) / sum_j exp(x_j) along `dim` (or Keras's axis).

    Without `dim` it is the last one of 1-D and 2-D input; above, PyTorch's choice with a warning: 0 for 3-D, else 1.
    stable=False computes the formula as it is written, which overflows for large x: for teaching. A network trained
    with cross-entropy ends before it: the loss takes raw scores.

    >>> [round(v, 4) for v in Softmax()([1.0, 2.0, 3.0]).tolist()]
    [0.09, 0.2447, 0.6652]
    """

    _op = _ops["softmax"]


class LogSoftmax(_Normalised):
    """`LogSoftmax(dim=None)`: y_k = x_k - log sum_j exp(x_j) along `dim`, as in `Softmax`.

    With `nn.NLLLoss` it is cross-entropy.

    >>> [f"{v:.4f}" for v in LogSoftmax()([0.0, 0.0]).tolist()]
    ['-0.6931', '-0.6931']
    """

    _op = _ops["log_softmax"]


# name -> class: what `models.mlp(activation="relu")` and the command line accept.
BY_NAME = {
    "sigmoid": Sigmoid, "tanh": Tanh, "relu": ReLU, "leaky_relu": LeakyReLU, "prelu": PReLU, "elu": ELU, "selu": SELU,
    "gelu": GELU, "silu": SiLU, "swish": SiLU, "softplus": Softplus, "softsign": Softsign, "step": Step,
    "hardtanh": Hardtanh,
}  # fmt: skip


def get(name):
    """A new activation layer by its name. ValueError, with the nearest name, when there is none.

    >>> get("relu")
    ReLU()
    """
    if isinstance(name, Module):
        return name
    return BY_NAME[_check.choice("activation", "its name", name, tuple(BY_NAME))]()
