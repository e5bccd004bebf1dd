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

from pyneuro.callbacks import Callback
from pyneuro.nn import _check

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "ReduceLROnPlateau",
    "StepLR",
]


def _check_optimizer(schedule, optimizer):
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"{type(schedule).__name__}: optimizer must be an optimiser, got {optimizer!r:.80}")
    return optimizer


class LRScheduler(Callback):
    """Base of the schedules: `get_lr` says the rates of the groups at `last_epoch`, often from the present ones.

    optimizer: whose groups are changed; last_epoch: -1 to start anew, else the epoch at which to go on (then each group
    needs "initial_lr").
    """

    def __init__(self, optimizer, last_epoch=-1):
        self.optimizer = _check_optimizer(self, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group["initial_lr"] = group["lr"]
            elif "initial_lr" not in group:
                raise KeyError(f"{type(self).__name__}: group {i} has no 'initial_lr', which going on needs")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def get_lr(self):
        """The rates of all groups at `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} does not say its rates: define get_lr(self)")

    def step(self):
        """Goes on by one epoch and writes the new rates into the optimiser's groups."""
        self.last_epoch += 1
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self):
        """The rates that the last step wrote."""
        return self._last_lr

    def state_dict(self):
        """What decides the rates to come, but for functions; plain numbers and lists."""
        return {k: v for k, v in self.__dict__.items() if k not in ("optimizer", "model", "params", "lr_lambdas")}

    def load_state_dict(self, state_dict):
        """Takes over `state_dict()`."""
        self.__dict__.update(state_dict)

    def on_train_begin(self, logs=None):
        """Refuses to schedule another optimiser than the one that trains."""
        _same_optimizer(self)

    def on_epoch_end(self, epoch, logs=None):
        """One step an epoch."""
        self.step()

    def _rates(self):
        return [group["lr"] for group in self.optimizer.param_groups]


def _same_optimizer(schedule):
    if schedule.model is not None and schedule.model.optimizer is not schedule.optimizer:
        raise ValueError(
            f"{type(schedule).__name__} belongs to another optimiser than fit trains with: give both the same object"
        )


class LambdaLR(LRScheduler):
    """Rate = initial rate times `lr_lambda(epoch)`; a list of functions gives one to each group."""

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        groups = len(_check_optimizer(self, optimizer).param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: {len(self.lr_lambdas)} functions for {groups} parameter groups")
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """Initial rates times the functions' values."""
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """The rate is multiplied by `gamma` after every `step_size` epochs."""

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
    """The rate is multiplied by `gamma` at each epoch in `milestones`."""

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones = sorted(_check.size("MultiStepLR", "a milestone", m, 0) for m in milestones)
        self.gamma = _check.number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The present rates, at milestones times gamma."""
        times = Counter(self.milestones)[self.last_epoch]
        return [rate * self.gamma**times for rate in self._rates()] if times else self._rates()


class ExponentialLR(LRScheduler):
    """The rate is multiplied by `gamma` after each epoch."""

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = _check.number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The present rates times gamma."""
        return self._rates() if self.last_epoch == 0 else [rate * self.gamma for rate in self._rates()]


class LinearLR(LRScheduler):
    """The factor on the rate grows linearly from `start_factor` to `end_factor` within `total_iters` epochs."""

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
    """The rate follows half a cosine from the initial rate to `eta_min` in `T_max` epochs, then back up, and so on."""

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


class ReduceLROnPlateau(Callback):
    """The rate is multiplied by `factor` when a quantity has not got better for more than `patience` epochs.

    mode "min" or "max"; better means by more than `threshold`, relative (threshold_mode "rel") or absolute ("abs");
    after a reduction `cooldown` epochs pass uncounted; no rate falls below `min_lr`; changes below `eps` are left out.
    monitor: which value of the epoch `fit` follows.
    """

    def __init__(
        self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
        min_lr=0.0, eps=1e-8, monitor=None,
    ):  # fmt: skip
        name = "ReduceLROnPlateau"
        self.optimizer = _check_optimizer(self, optimizer)
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
        name = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise KeyError(f"ReduceLROnPlateau: there is no {name!r}, only {', '.join(logs)}")
        self.step(logs[name])
