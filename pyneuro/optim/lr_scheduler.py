"""Learning-rate schedules by PyTorch's names and formulas.

A schedule is bound to an optimiser. In a hand-written loop call `.step()` after each epoch; in `fit` give it among the
callbacks, which steps it at the end of each epoch. `ReduceLROnPlateau` then follows `monitor`, "val_loss" where there
is validation, else "loss".

>>> from pyneuro import nn, optim
>>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
>>> schedule = StepLR(opt, step_size=2, gamma=0.5)
>>> rates = []
>>> for epoch in range(4):
...     rates.append(opt.lr)
...     schedule.step()
>>> rates
[1.0, 1.0, 0.5, 0.5]
"""

import math
from collections import Counter

from pyneuro.callbacks import Callback, MissingValueError
from pyneuro.nn import _check
from pyneuro.optim._compound import ChainedScheduler, OneCycleLR, SequentialLR
from pyneuro.optim._schedule import LRScheduler, check_optimizer

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LambdaLR(LRScheduler):
    """Rate = initial rate times `lr_lambda(epoch)`; a list of functions gives one to each group.

    `LambdaLR(optimizer, lr_lambda, last_epoch=-1)`. ValueError when there are not as many functions as groups.

    >>> from pyneuro import nn, optim
    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = LambdaLR(opt, lambda epoch: 1 / (1 + epoch))
    >>> schedule.step()
    >>> opt.lr
    0.5
    """

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        groups = len(check_optimizer(self, optimizer).param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: {len(self.lr_lambdas)} functions for {groups} parameter groups")
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """Initial rates times the functions' values."""
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """The rate is multiplied by `gamma` after every `step_size` epochs.

    `StepLR(optimizer, step_size, gamma=0.1, last_epoch=-1)`.

    >>> from pyneuro import nn, optim
    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = StepLR(opt, step_size=1, gamma=0.5)
    >>> schedule.step()
    >>> opt.lr
    0.5
    """

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        self.step_size = _check.size("StepLR", "step_size", step_size)
        self.gamma = _check.number("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The present rates, at multiples of step_size times gamma."""
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self._rates()
        return [rate * self.gamma for rate in self._rates()]


class MultiStepLR(LRScheduler):
    """The rate is multiplied by `gamma` at each epoch in `milestones`.

    `MultiStepLR(optimizer, milestones, gamma=0.1, last_epoch=-1)`.

    >>> from pyneuro import nn, optim
    >>> opt, rates = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), []
    >>> schedule = MultiStepLR(opt, milestones=[1, 3], gamma=0.5)
    >>> for epoch in range(4):
    ...     rates.append(opt.lr)
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones = sorted(_check.size("MultiStepLR", "a milestone", m, 0) for m in milestones)
        self.gamma = _check.number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The present rates, at milestones times gamma."""
        times = Counter(self.milestones)[self.last_epoch]
        return [rate * self.gamma**times for rate in self._rates()] if times else self._rates()


class ExponentialLR(LRScheduler):
    """The rate is multiplied by `gamma` after each epoch: `ExponentialLR(optimizer, gamma, last_epoch=-1)`.

    >>> from pyneuro import nn, optim
    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = ExponentialLR(opt, gamma=0.5)
    >>> schedule.step()
    >>> opt.lr
    0.5
    """

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = _check.number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The present rates times gamma."""
        return self._rates() if self.last_epoch == 0 else [rate * self.gamma for rate in self._rates()]


class LinearLR(LRScheduler):
    """The factor on the rate grows linearly from `start_factor` to `end_factor` within `total_iters` epochs.

    `LinearLR(optimizer, start_factor=1/3, end_factor=1, total_iters=5, last_epoch=-1)`: a warm-up.

    >>> from pyneuro import nn, optim
    >>> opt, rates = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), []
    >>> schedule = LinearLR(opt, start_factor=0.5, total_iters=2)
    >>> for epoch in range(4):
    ...     rates.append(opt.lr)
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1):
        self.start_factor = _check.number("LinearLR", "start_factor", start_factor, 0, 1)
        self.end_factor = _check.number("LinearLR", "end_factor", end_factor, 0, 1)
        if not self.start_factor:
            raise ValueError("LinearLR: start_factor must be above 0")
        self.total_iters = _check.size("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The present rates times the ratio of two neighbouring factors."""
        if self.last_epoch == 0:
            return [rate * self.start_factor for rate in self._rates()]
        if self.last_epoch > self.total_iters:
            return self._rates()
        slope = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * slope
        return [rate * (1.0 + slope / before) for rate in self._rates()]


class CosineAnnealingLR(LRScheduler):
    """The rate follows half a cosine from the initial rate to `eta_min` in `T_max` epochs, then back up, and so on.

    `CosineAnnealingLR(optimizer, T_max, eta_min=0, last_epoch=-1)`. Source: Loshchilov, Hutter 2016.

    >>> from pyneuro import nn, optim
    >>> opt, rates = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), []
    >>> schedule = CosineAnnealingLR(opt, T_max=2)
    >>> for epoch in range(3):
    ...     rates.append(round(opt.lr, 6))
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 0.0]
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        self.T_max = _check.size("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = _check.number("CosineAnnealingLR", "eta_min", eta_min, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The present rates, moved by the ratio of two neighbouring values of the cosine."""
        now, last, low = self.last_epoch, self.T_max, self.eta_min
        if now == 0:
            return self._rates()
        if (now - 1 - last) % (2 * last) == 0:
            rise = (1 - math.cos(math.pi / last)) / 2
            return [rate + (base - low) * rise for rate, base in zip(self._rates(), self.base_lrs, strict=True)]
        ratio = (1 + math.cos(math.pi * now / last)) / (1 + math.cos(math.pi * (now - 1) / last))
        return [ratio * (rate - low) + low for rate in self._rates()]


class MultiplicativeLR(LambdaLR):
    """The rate is multiplied by `lr_lambda(epoch)` after each epoch; a list of functions gives one to each group.

    `MultiplicativeLR(optimizer, lr_lambda, last_epoch=-1)`.

    >>> from pyneuro import nn, optim
    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = MultiplicativeLR(opt, lambda epoch: 0.5)
    >>> schedule.step()
    >>> opt.lr
    0.5
    """

    def get_lr(self):
        """The present rates times the functions' values."""
        if self.last_epoch == 0:
            return self._rates()
        return [rate * f(self.last_epoch) for rate, f in zip(self._rates(), self.lr_lambdas, strict=True)]


class ConstantLR(LRScheduler):
    """The rate is multiplied by `factor` until epoch `total_iters`, and is the initial one from then on.

    `ConstantLR(optimizer, factor=1/3, total_iters=5, last_epoch=-1)`.

    >>> from pyneuro import nn, optim
    >>> opt, rates = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), []
    >>> schedule = ConstantLR(opt, factor=0.5, total_iters=2)
    >>> for epoch in range(3):
    ...     rates.append(opt.lr)
    ...     schedule.step()
    >>> rates
    [0.5, 0.5, 1.0]
    """

    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1):
        self.factor = _check.number("ConstantLR", "factor", factor, 0, 1)
        if not self.factor:
            raise ValueError("ConstantLR: factor must be above 0")
        self.total_iters = _check.size("ConstantLR", "total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The present rates, times or divided by the factor at the beginning and the end."""
        if self.last_epoch == 0:
            return [rate * self.factor for rate in self._rates()]
        return [rate * (1.0 / self.factor if self.last_epoch == self.total_iters else 1.0) for rate in self._rates()]


class PolynomialLR(LRScheduler):
    """Rate = initial rate times (1 - epoch / total_iters)^power, and 0 from `total_iters` on.

    `PolynomialLR(optimizer, total_iters=5, power=1, last_epoch=-1)`.

    >>> from pyneuro import nn, optim
    >>> opt, rates = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), []
    >>> schedule = PolynomialLR(opt, total_iters=4)
    >>> for epoch in range(6):
    ...     rates.append(round(opt.lr, 6))
    ...     schedule.step()
    >>> rates
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1):
        self.total_iters = _check.size("PolynomialLR", "total_iters", total_iters)
        self.power = _check.number("PolynomialLR", "power", power, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The present rates times the ratio of two neighbouring powers."""
        now, last = self.last_epoch, self.total_iters
        if now == 0 or now > last:
            return self._rates()
        ratio = ((1.0 - now / last) / (1.0 - (now - 1) / last)) ** self.power
        return [rate * ratio for rate in self._rates()]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the initial rate to `eta_min` in `T_0` epochs, then at once from the top again, in `T_mult`
    times as many epochs, and so on.

    `CosineAnnealingWarmRestarts(optimizer, T_0, T_mult=1, eta_min=0, last_epoch=-1)`. Source: Loshchilov, Hutter 2016.

    >>> from pyneuro import nn, optim
    >>> opt, rates = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), []
    >>> schedule = CosineAnnealingWarmRestarts(opt, T_0=2)
    >>> for epoch in range(4):
    ...     rates.append(round(opt.lr, 6))
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 1.0, 0.5]
    """

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1):
        name = "CosineAnnealingWarmRestarts"
        self.T_0, self.T_mult = _check.size(name, "T_0", T_0), _check.size(name, "T_mult", T_mult)
        self.eta_min = _check.number(name, "eta_min", eta_min, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The cosine at the place of this epoch in its cycle."""
        place, cycle = self.last_epoch, self.T_0
        while place >= cycle:
            place, cycle = place - cycle, cycle * self.T_mult
            if self.T_mult == 1:
                place %= cycle
        height = (1 + math.cos(math.pi * place / cycle)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


class ReduceLROnPlateau(Callback):
    """The rate is multiplied by `factor` when a quantity has not got better for more than `patience` epochs.

    mode "min" or "max"; better means by more than `threshold`, relative (threshold_mode "rel") or absolute ("abs");
    after a reduction `cooldown` epochs pass uncounted; no rate falls below `min_lr`; changes below `eps` are left out.
    monitor: which value of the epoch `fit` follows.

    >>> from pyneuro import nn, optim
    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = ReduceLROnPlateau(opt, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> opt.lr
    0.5
    """

    def __init__(
        self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
        min_lr=0.0, eps=1e-8, monitor=None,
    ):  # fmt: skip
        name = "ReduceLROnPlateau"
        self.optimizer = check_optimizer(self, optimizer)
        self.mode = _check.choice(name, "mode", mode, ("min", "max"))
        self.threshold_mode = _check.choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.factor = _check.number(name, "factor", factor, 0)
        if self.factor >= 1:
            raise ValueError(f"{name}: factor must be below 1, got {factor}")
        self.patience = _check.size(name, "patience", patience, 0)
        self.threshold = _check.number(name, "threshold", threshold, 0)
        self.cooldown = _check.size(name, "cooldown", cooldown, 0)
        groups = len(optimizer.param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * groups
        if len(self.min_lrs) != groups:
            raise ValueError(f"{name}: {len(self.min_lrs)} values of min_lr for {groups} parameter groups")
        self.eps = _check.number(name, "eps", eps, 0)
        self.monitor = monitor
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics):
        """Looks at the value of an epoch and reduces the rates if it is time."""
        value = float(metrics)
        self.last_epoch += 1
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _is_better(self, value):
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1.0 + sign * self.threshold)
        return sign * value > sign * (self.best + sign * self.threshold)

    def _reduce(self):
        for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            rate = max(group["lr"] * self.factor, low)
            if group["lr"] - rate > self.eps:
                group["lr"] = rate

    get_last_lr = LRScheduler.get_last_lr
    state_dict = LRScheduler.state_dict
    load_state_dict = LRScheduler.load_state_dict
    on_train_begin = LRScheduler.on_train_begin

    def on_epoch_end(self, epoch, logs=None):
        """One step an epoch, on the monitored value. KeyError naming what there is when it is missing."""
        logs = logs or {}
        self.step(logs[self._check(logs)])

    def _check(self, logs):
        """The name of the value to follow, among those that there will be."""
        name = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise MissingValueError(f"ReduceLROnPlateau: there is no {name!r}, only {', '.join(logs)}")
        return name
