"""The optimisers: PyTorch's names, arguments, defaults and arithmetic; Keras's spellings where they mean the same."""

from typing import ClassVar

from pyneuro.optim._base import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, w = w - lr g, with momentum when `momentum` is not 0.

    `SGD(params=None, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False)`; lr is also
    called learning_rate. weight_decay adds weight_decay w to the gradient. Momentum: b = momentum b + (1 - dampening)
    g, b = g at the first step; w = w - lr b, with nesterov w = w - lr (g + momentum b). Raises ValueError for negative
    numbers, and for nesterov without momentum or with dampening. Source: Robbins, Monro 1951; Polyak 1964; lecture 001.

    >>> import pyneuro as pn
    >>> w = pn.tensor(0.0, requires_grad=True)
    >>> opt = SGD([w], lr=0.1)
    >>> ((w - 3.0) ** 2.0).backward()
    >>> opt.step()
    >>> round(w.item(), 6)
    0.6
    """

    _defaults: ClassVar = {
        "lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False,
    }  # fmt: skip

    def __init__(
        self, params=None, lr=None, momentum=None, dampening=None, weight_decay=None, nesterov=None, *, maximize=None,
        **other,
    ):  # fmt: skip
        options = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**options, "nesterov": nesterov, "maximize": maximize}, other)

    def _check_options(self, options):
        super()._check_options(options)
        if options.get("nesterov") and (not options.get("momentum") or options.get("dampening")):
            raise ValueError(f"{type(self).__name__}: nesterov needs a momentum above 0 and dampening 0")

    def _rule(self):
        return "momentum" if any(group["momentum"] for group in self.param_groups) else "sgd"

    def _hyper(self, group):
        has = bool(group["momentum"])  # in a group without momentum the rule is plain descent: b = g
        return {
            **super()._hyper(group),
            "momentum": group["momentum"],
            "dampening": group["dampening"] if has else 0.0,
            "nesterov": group["nesterov"] and has,
        }


class GD(SGD):
    """Gradient descent of the lectures: `SGD`, for which `fit` takes all samples at once unless batch_size is given.

    `GD(params=None, lr=1e-3, weight_decay=0)`. Source: lectures 002 and 003.

    >>> import numpy as np
    >>> from pyneuro import nn
    >>> x = np.arange(4.0)[:, None]
    >>> line = nn.Linear(1, 1)
    >>> history = line.fit(x, 2 * x, loss="mse", optimizer=GD(lr=0.1), epochs=300, seed=0, verbose=0)
    >>> round(line.weight.item(), 2)
    2.0
    """

    full_batch = True

    def __init__(self, params=None, lr=None, weight_decay=None, *, maximize=None, **other):
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize, **other)


class Momentum(SGD):
    """`SGD` with momentum 0.9: `Momentum(params=None, lr=1e-3, momentum=0.9, nesterov=False, weight_decay=0)`.

    Source: Polyak 1964; lecture 003. Q = w^2 / 2 from w = 1 with lr 0.1 goes to 0.9, 0.72, 0.486:

    >>> import pyneuro as pn
    >>> w, way = pn.tensor(1.0, requires_grad=True), []
    >>> opt = Momentum([w], lr=0.1)
    >>> for step in range(3):
    ...     opt.zero_grad()
    ...     (w * w / 2.0).backward()
    ...     opt.step()
    ...     way.append(round(w.item(), 4))
    >>> way
    [0.9, 0.72, 0.486]
    """

    _defaults: ClassVar = {**SGD._defaults, "momentum": 0.9}

    def __init__(
        self, params=None, lr=None, momentum=None, nesterov=None, weight_decay=None, dampening=None, *, maximize=None,
        **other,
    ):  # fmt: skip
        super().__init__(params, lr, momentum, dampening, weight_decay, nesterov, maximize=maximize, **other)


class Adagrad(Optimizer):
    """`Adagrad(params=None, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10)`.

    s = s + g^2; w = w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps). eps is also called epsilon. Source: Duchi,
    Hazan, Singer 2011.

    >>> import pyneuro as pn
    >>> w = pn.tensor(1.0, requires_grad=True)
    >>> opt = Adagrad([w], lr=0.1)
    >>> (3.0 * w).backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.9
    """

    _defaults: ClassVar = {
        "lr": 1e-2, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10,
        "maximize": False,
    }  # fmt: skip
    _spellings: ClassVar = {**Optimizer._spellings, "epsilon": "eps"}

    def __init__(
        self, params=None, lr=None, lr_decay=None, weight_decay=None, initial_accumulator_value=None, eps=None, *,
        maximize=None, **other,
    ):  # fmt: skip
        options = {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay, "eps": eps, "maximize": maximize}
        super().__init__(params, {**options, "initial_accumulator_value": initial_accumulator_value}, other)

    def _rule(self):
        return "adagrad"

    def _hyper(self, group):
        return {**super()._hyper(group), "lr_decay": group["lr_decay"]}

    def _fill(self):
        return [self.defaults["initial_accumulator_value"]]


class RMSprop(Optimizer):
    """`RMSprop(params=None, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False)`.

    s = alpha s + (1 - alpha) g^2; w = w - lr g / (sqrt(s) + eps). alpha is also called rho, eps epsilon. Source:
    Tieleman, Hinton 2012; lecture 003.

    >>> import pyneuro as pn
    >>> w = pn.tensor(1.0, requires_grad=True)
    >>> opt = RMSprop([w], lr=0.1, alpha=0.75)
    >>> (3.0 * w).backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.8
    """

    _defaults: ClassVar = {
        "lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False,
        "maximize": False,
    }  # fmt: skip
    _spellings: ClassVar = {**Optimizer._spellings, "epsilon": "eps", "rho": "alpha"}

    def __init__(
        self, params=None, lr=None, alpha=None, eps=None, weight_decay=None, momentum=None, centered=None, *,
        maximize=None, **other,
    ):  # fmt: skip
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**options, "centered": centered, "maximize": maximize}, other)

    def _rule(self):
        centered = _agree(self, "centered")
        momentum = any(group["momentum"] for group in self.param_groups)
        return "rmsprop" + ("_centered" if centered else "") + ("_momentum" if momentum else "")

    def _hyper(self, group):
        return {**super()._hyper(group), "alpha": group["alpha"], "momentum": group["momentum"]}


class Adam(Optimizer):
    """`Adam(params=None, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, maximize=False)`.

    m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w = w - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t))
    + eps). Keras's beta_1, beta_2, epsilon and learning_rate are accepted. Source: Kingma, Ba 2014; lecture 003.

    >>> import pyneuro as pn
    >>> w = pn.tensor(1.0, requires_grad=True)
    >>> opt = Adam([w], lr=0.1)
    >>> (w * w / 2.0).backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.9
    """

    _defaults: ClassVar = {
        "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "maximize": False,
    }  # fmt: skip
    _spellings: ClassVar = {**Optimizer._spellings, "epsilon": "eps", "beta_1": "beta1", "beta_2": "beta2"}
    _name = "adam"

    def __init__(
        self, params=None, lr=None, betas=None, eps=None, weight_decay=None, amsgrad=None, *, maximize=None, **other
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "amsgrad": amsgrad, "maximize": maximize}, other)

    def _rule(self):
        return self._name + ("_amsgrad" if _agree(self, "amsgrad") else "")

    def _hyper(self, group):
        return {**super()._hyper(group), "beta1": group["betas"][0], "beta2": group["betas"][1]}


class AdamW(Adam):
    """`Adam` with decoupled weight decay, 0.01 by default: w = (1 - lr weight_decay) w, then the step of Adam.

    Source: Loshchilov, Hutter 2017.

    >>> import pyneuro as pn
    >>> w = pn.tensor(1.0, requires_grad=True)
    >>> opt = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (3.0 * w).backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.85
    """

    _defaults: ClassVar = {**Adam._defaults, "weight_decay": 1e-2}
    _name = "adamw"


def _agree(optimizer, option):
    """An option that all groups must share, because it decides which arrays there are."""
    values = {bool(group[option]) for group in optimizer.param_groups}
    if len(values) > 1:
        raise ValueError(f"{type(optimizer).__name__}: {option} must be the same in all parameter groups")
    return values.pop()
