"""Losses as objects, by PyTorch's names, and the short names that `fit(loss="mse")` takes.

A loss is a module: `loss = nn.MSELoss(); loss(prediction, target)`. `reduction` is "mean" (default), "sum" or "none".
"""

from collections.abc import Hashable

from pyneuro.nn import _check, functional
from pyneuro.nn.module import Module

_REDUCTIONS = ("mean", "sum", "none")


class Loss(Module):
    """Base of the losses: forward(input, target) -> a scalar, or one value an element with reduction="none"."""

    _options = ()  # names of constructor arguments besides reduction
    _reductions = _REDUCTIONS

    def __init__(self, reduction="mean", **other):
        super().__init__()
        name = type(self).__name__
        _check.refuse(name, other, (*self._options, "reduction"))
        self.reduction = _check.choice(name, "reduction", reduction, self._reductions)

    def with_reduction(self, reduction):
        """The same loss with another reduction: `fit` asks for "none" when samples have weights."""
        return type(self)(**{**self._config(), "reduction": reduction})

    def _config(self):
        return {**{name: getattr(self, name) for name in self._options}, "reduction": self.reduction}

    def extra_repr(self):
        """The arguments that differ from their defaults."""
        import inspect

        defaults = {k: p.default for k, p in inspect.signature(type(self)).parameters.items()}
        shown = {k: v for k, v in self._config().items() if v is not defaults[k] and v != defaults[k]}
        return ", ".join(f"{k}={v!r}" for k, v in shown.items())


class MSELoss(Loss):
    """`MSELoss(reduction="mean", half=False)`: (y - t)^2, halved with half=True (lecture 001's form).

    >>> MSELoss()([1.5, 1.5, 2.0], [1.0, 2.0, 3.0]).item(), MSELoss(half=True)([1.5, 1.5, 2.0], [1.0, 2.0, 3.0]).item()
    (0.5, 0.25)
    """

    _options = ("half",)

    def __init__(self, reduction="mean", half=False, **other):
        super().__init__(reduction, **other)
        self.half = bool(half)

    def forward(self, input, target):
        """Input and target of one shape -> scalar."""
        return functional.mse_loss(input, target, self.reduction, half=self.half)


class L1Loss(Loss):
    """`L1Loss(reduction="mean")`: |y - t|, the mean absolute error.

    >>> L1Loss()([1.5, 1.5, 2.0], [1.0, 2.0, 4.0]).item()
    1.0
    """

    def forward(self, input, target):
        """Input and target of one shape -> scalar."""
        return functional.l1_loss(input, target, self.reduction)


class HuberLoss(Loss):
    """`HuberLoss(reduction="mean", delta=1.0)`: squared near 0, absolute beyond delta.

    >>> HuberLoss(reduction="none")([0.5, 3.0], [0.0, 0.0]).tolist()
    [0.125, 2.5]
    """

    _options = ("delta",)

    def __init__(self, reduction="mean", delta=1.0, **other):
        super().__init__(reduction, **other)
        self.delta = _check.number("HuberLoss", "delta", delta, 0)

    def forward(self, input, target):
        """Input and target of one shape -> scalar."""
        return functional.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(Loss):
    """`SmoothL1Loss(reduction="mean", beta=1.0)`: HuberLoss divided by beta.

    >>> SmoothL1Loss(reduction="none", beta=2.0)([1.0, 4.0], [0.0, 0.0]).tolist()
    [0.25, 3.0]
    """

    _options = ("beta",)

    def __init__(self, reduction="mean", beta=1.0, **other):
        super().__init__(reduction, **other)
        self.beta = _check.number("SmoothL1Loss", "beta", beta, 0)

    def forward(self, input, target):
        """Input and target of one shape -> scalar."""
        return functional.smooth_l1_loss(input, target, self.reduction, self.beta)


class HingeLoss(Loss):
    """`HingeLoss(reduction="mean")`: max(0, 1 - t y) for labels t of -1 and +1.

    >>> HingeLoss()([2.0, 0.5], [1.0, -1.0]).item()
    0.75
    """

    def forward(self, input, target):
        """Input and target of one shape -> scalar."""
        return functional.hinge_loss(input, target, self.reduction)


class KLDivLoss(Loss):
    """`KLDivLoss(reduction="mean", log_target=False)`: t (log t - y) of log-probabilities y and probabilities t.

    `reduction="batchmean"` is the divergence itself; `log_target=True`: the target is a logarithm too.

    >>> from pyneuro import nn
    >>> y = nn.functional.log_softmax([[0.0, 0.0]])
    >>> f"{nn.KLDivLoss(reduction='batchmean')(y, [[1.0, 0.0]]).item():.4f}"
    '0.6931'
    """

    _options = ("log_target",)
    _reductions = (*_REDUCTIONS, "batchmean")

    def __init__(self, reduction="mean", log_target=False, **other):
        super().__init__(reduction, **other)
        self.log_target = bool(log_target)

    def forward(self, input, target):
        """Input and target of one shape -> scalar."""
        return functional.kl_div(input, target, self.reduction, self.log_target)


class ZeroOneLoss(Loss):
    """`ZeroOneLoss(reduction="mean")`: the share of elements with y != t. No derivative: for evaluation only.

    >>> ZeroOneLoss()([1.0, -1.0], [1.0, 1.0]).item()
    0.5
    """

    def forward(self, input, target):
        """Input and target of one shape -> scalar."""
        return functional.zero_one_loss(input, target, self.reduction)


class BCELoss(Loss):
    """`BCELoss(weight=None, reduction="mean")`: binary cross-entropy of probabilities. ValueError outside 0..1.

    >>> f"{BCELoss()([0.5, 0.5], [1.0, 0.0]).item():.4f}"
    '0.6931'
    """

    _options = ("weight",)

    def __init__(self, weight=None, *, reduction="mean", **other):
        super().__init__(reduction, **other)
        self.register_buffer("weight", weight)

    def forward(self, input, target):
        """Input and target of one shape -> scalar."""
        return functional.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(Loss):
    """`BCEWithLogitsLoss(weight=None, reduction="mean", pos_weight=None)`: the same for raw scores.

    >>> f"{BCEWithLogitsLoss()([0.0, 0.0], [1.0, 0.0]).item():.4f}"
    '0.6931'
    """

    _options = ("weight", "pos_weight")

    def __init__(self, weight=None, *, reduction="mean", pos_weight=None, **other):
        super().__init__(reduction, **other)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        """Input and target of one shape -> scalar."""
        return functional.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class CrossEntropyLoss(Loss):
    """`CrossEntropyLoss(weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0)`.

    Softmax and log-loss in one, of raw scores (N, K) and class numbers (N,) or class probabilities (N, K).

    >>> round(CrossEntropyLoss()([[1.0, 2.0, 3.0]], [2]).item(), 6)
    0.407606
    """

    _options = ("weight", "ignore_index", "label_smoothing")

    def __init__(self, weight=None, *, ignore_index=-100, reduction="mean", label_smoothing=0.0, **other):
        super().__init__(reduction, **other)
        self.register_buffer("weight", weight)
        self.ignore_index = _check.size("CrossEntropyLoss", "ignore_index", ignore_index, least=-(1 << 62))
        self.label_smoothing = _check.number("CrossEntropyLoss", "label_smoothing", label_smoothing, 0, 1)

    def forward(self, input, target):
        """Input (N, K), target (N,) integers or (N, K) probabilities -> scalar."""
        return functional.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(Loss):
    """`NLLLoss(weight=None, ignore_index=-100, reduction="mean")`: -x_t for log-probabilities x (N, K).

    >>> NLLLoss()([[-0.5, -1.0]], [1]).item()
    1.0
    """

    _options = ("weight", "ignore_index")

    def __init__(self, weight=None, *, ignore_index=-100, reduction="mean", **other):
        super().__init__(reduction, **other)
        self.register_buffer("weight", weight)
        self.ignore_index = _check.size("NLLLoss", "ignore_index", ignore_index, least=-(1 << 62))

    def forward(self, input, target):
        """Input (N, K) log-probabilities, target (N,) integers -> scalar."""
        return functional.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class _HalfMSE(MSELoss):
    """MSELoss(half=True) under its own name."""

    def __init__(self, reduction="mean", half=True):
        super().__init__(reduction, half)


# Short names for fit and the command line.
BY_NAME = {
    "mse": MSELoss, "half_mse": _HalfMSE, "mae": L1Loss, "l1": L1Loss, "huber": HuberLoss, "smooth_l1": SmoothL1Loss,
    "bce": BCELoss, "bce_with_logits": BCEWithLogitsLoss, "cross_entropy": CrossEntropyLoss, "nll": NLLLoss,
    "hinge": HingeLoss, "kl_div": KLDivLoss, "zero_one": ZeroOneLoss,
}  # fmt: skip

# The functions of nn.functional mean the same: so labels are checked, and samples can have weights.
_BY_FUNCTION = {
    functional.mse_loss: MSELoss, functional.l1_loss: L1Loss, functional.huber_loss: HuberLoss,
    functional.smooth_l1_loss: SmoothL1Loss, functional.binary_cross_entropy: BCELoss,
    functional.binary_cross_entropy_with_logits: BCEWithLogitsLoss, functional.cross_entropy: CrossEntropyLoss,
    functional.nll_loss: NLLLoss, functional.hinge_loss: HingeLoss, functional.kl_div: KLDivLoss,
    functional.zero_one_loss: ZeroOneLoss,
}  # fmt: skip

# Keras's names: those that mean the same, and those that do not.
_KERAS = {"mean_squared_error": "mse", "mean_absolute_error": "mae"}
_KERAS_OTHER = {
    "categorical_crossentropy": "it works on probabilities; take loss='cross_entropy' and leave out the softmax layer",
    "sparse_categorical_crossentropy": "it works on probabilities; take loss='cross_entropy' and leave out the softmax "
    "layer",
    "binary_crossentropy": "take loss='bce' behind a sigmoid, or loss='bce_with_logits' on raw scores",
}


def get(loss):
    """The loss for `loss`: a short name, a Loss class, a function of nn.functional, or any other callable(input,
    target), which is returned as it is.

    Raises ValueError with the nearest name for an unknown name, TypeError for anything else.

    >>> get("mse")
    MSELoss()
    """
    if isinstance(loss, str):
        name = _KERAS.get(loss, loss)
        if name in _KERAS_OTHER:
            raise ValueError(f"loss={loss!r} is Keras's: {_KERAS_OTHER[name]}")
        return BY_NAME[_check.choice("loss", "its name", name, tuple(BY_NAME))]()
    if isinstance(loss, type) and issubclass(loss, Module):
        return loss()
    if isinstance(loss, Hashable) and loss in _BY_FUNCTION:
        return _BY_FUNCTION[loss]()
    if callable(loss):
        return loss
    raise TypeError(f"loss must be a name, a loss or a callable, got {loss!r:.80}")
