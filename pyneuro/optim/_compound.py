"""Schedules of several phases: one cycle, and schedules made of schedules."""

import math
from bisect import bisect_right

from pyneuro.nn import _check
from pyneuro.optim._schedule import LRScheduler, check_optimizer


class OneCycleLR(LRScheduler):
    """The rate rises from max_lr / div_factor to `max_lr` and falls far below the first one; a step is one batch.

    `OneCycleLR(optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
    anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25,
    final_div_factor=1e4, three_phase=False, last_epoch=-1)`. total_steps, or epochs times steps_per_epoch: updates of
    the whole training. pct_start: share of them in which the rate rises; "cos" or "linear". cycle_momentum: momentum,
    or the first of betas, moves against the rate, between its two values. three_phase: it falls as long as it rises,
    and then to the end. `fit` steps it after each batch. ValueError when it is stepped more than total_steps times.
    Source: Smith, Topin 2017.

    >>> from pyneuro import nn, optim
    >>> opt, rates = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), []
    >>> schedule = OneCycleLR(opt, max_lr=1.0, total_steps=5, pct_start=0.6, anneal_strategy="linear")
    >>> for batch in range(5):
    ...     rates.append(round(opt.lr, 2))
    ...     schedule.step()
    >>> rates
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """

    def __init__(
        self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
        anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
        final_div_factor=1e4, three_phase=False, last_epoch=-1,
    ):  # fmt: skip
        name, groups = "OneCycleLR", check_optimizer(self, optimizer).param_groups
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError(f"{name}: give total_steps, or epochs and steps_per_epoch")
        if total_steps is None:
            total_steps = _check.size(name, "epochs", epochs) * _check.size(name, "steps_per_epoch", steps_per_epoch)
        self.total_steps = _check.size(name, "total_steps", total_steps)
        self.pct_start = _check.number(name, "pct_start", pct_start, 0, 1)
        self.anneal_strategy = _check.choice(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.three_phase, self.cycle_momentum = bool(three_phase), bool(cycle_momentum)
        high, div = _for_groups(name, "max_lr", max_lr, groups), _check.number(name, "div_factor", div_factor, 0)
        final = _check.number(name, "final_div_factor", final_div_factor, 0)
        if not div or not final:
            raise ValueError(f"{name}: div_factor and final_div_factor must be above 0")
        self._rates_of_phases = [(rate / div, rate, rate / div / final) for rate in high]
        self._momenta = None
        if self.cycle_momentum:
            if not {"momentum", "betas"} & set(optimizer.defaults):
                raise ValueError(f"{name}: {type(optimizer).__name__} has no momentum: give cycle_momentum=False")
            low, top = (
                _for_groups(name, argument, value, groups)
                for argument, value in (("base_momentum", base_momentum), ("max_momentum", max_momentum))
            )
            self._momenta = list(zip(low, top, strict=True))
        for group, rates in zip(groups, self._rates_of_phases, strict=True):
            if last_epoch == -1:
                group["lr"] = group["initial_lr"] = rates[0]
        super().__init__(optimizer, last_epoch)

    def _phases(self):
        """(last step, numbers of the rates it goes from and to, numbers of the momenta) of each phase."""
        first, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if not self.three_phase:
            return [(first, 0, 1, 1, 0), (end, 1, 2, 0, 1)]
        return [(first, 0, 1, 1, 0), (2 * self.pct_start * self.total_steps - 2, 1, 0, 0, 1), (end, 0, 2, 1, 1)]

    def get_lr(self):
        """The rates of this step; writes the momenta too."""
        now, start = self.last_epoch, 0.0
        if now > self.total_steps:
            raise ValueError(f"OneCycleLR: step {now}, but total_steps is {self.total_steps}")
        phases = self._phases()
        while len(phases) > 1 and now > phases[0][0]:
            start = phases.pop(0)[0]
        end, *ends = phases[0]
        share = (now - start) / (end - start) if end != start else 1.0
        if self._momenta:
            for group, pair in zip(self.optimizer.param_groups, self._momenta, strict=True):
                self._set_momentum(group, self._between(pair[ends[2]], pair[ends[3]], share))
        return [self._between(rates[ends[0]], rates[ends[1]], share) for rates in self._rates_of_phases]

    @staticmethod
    def _set_momentum(group, value):
        if "betas" in group:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value

    def _between(self, start, end, share):
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def on_train_batch_end(self, batch, logs=None):
        """One step a batch."""
        self.step()

    def on_epoch_end(self, epoch, logs=None):
        """Nothing: a step is one batch."""


def _for_groups(name, argument, value, groups):
    """One number for each group from a number or a list."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * len(groups)
    if len(values) != len(groups):
        raise ValueError(f"{name}: {len(values)} values of {argument} for {len(groups)} parameter groups")
    return [_check.number(name, argument, v, 0) for v in values]


class SequentialLR(LRScheduler):
    """Several schedules one after the other: the next one begins at each epoch in `milestones`, from the initial rate.

    `SequentialLR(optimizer, schedulers, milestones)`: one milestone less than schedules, growing. Raises ValueError
    when their numbers do not fit, or a schedule has another optimiser.

    >>> from pyneuro import nn, optim
    >>> opt, rates = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), []
    >>> warm, rest = optim.LinearLR(opt, start_factor=0.5, total_iters=2), optim.ExponentialLR(opt, gamma=0.5)
    >>> schedule = SequentialLR(opt, [warm, rest], milestones=[2])
    >>> for epoch in range(5):
    ...     rates.append(opt.lr)
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1):
        self.optimizer = check_optimizer(self, optimizer)
        self._schedulers = _check_parts(self, schedulers, optimizer)
        self.milestones = [_check.size("SequentialLR", "a milestone", m, 0) for m in milestones]
        if len(self.milestones) != len(self._schedulers) - 1 or sorted(self.milestones) != self.milestones:
            raise ValueError(
                f"SequentialLR: {len(self._schedulers)} schedules need {len(self._schedulers) - 1} growing milestones, "
                f"got {self.milestones}"
            )
        self.last_epoch = last_epoch + 1
        first = self._present()
        first._restart()
        self._last_lr = first.get_last_lr()

    def _present(self):
        return self._schedulers[bisect_right(self.milestones, self.last_epoch)]

    def step(self):
        """Goes on by one epoch in the schedule whose turn it is."""
        self.last_epoch += 1
        present = self._present()
        if self.last_epoch in self.milestones:
            present._restart()
        else:
            present.step()
        self._last_lr = present.get_last_lr()

    def _restart(self):
        self.last_epoch = 0
        self._present()._restart()
        self._last_lr = self._present().get_last_lr()

    def state_dict(self):
        """What decides the rates to come, of all parts too."""
        state = {k: v for k, v in super().state_dict().items() if k != "_schedulers"}
        return {**state, "_schedulers": [schedule.state_dict() for schedule in self._schedulers]}

    def load_state_dict(self, state_dict):
        """Takes over `state_dict()`."""
        state = dict(state_dict)
        for schedule, part in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            schedule.load_state_dict(part)
        super().load_state_dict(state)


class ChainedScheduler(SequentialLR):
    """Several schedules at once: each epoch all of them change the rate, one after the other.

    `ChainedScheduler(schedulers, optimizer=None)`.

    >>> from pyneuro import nn, optim
    >>> opt, rates = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), []
    >>> both = [optim.ConstantLR(opt, factor=0.5, total_iters=2), optim.ExponentialLR(opt, gamma=0.5)]
    >>> schedule = ChainedScheduler(both)
    >>> for epoch in range(4):
    ...     rates.append(opt.lr)
    ...     schedule.step()
    >>> rates
    [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(self, schedulers, optimizer=None):
        self._schedulers = _check_parts(self, schedulers, optimizer)
        self.optimizer = self._schedulers[0].optimizer
        self._last_lr = self._rates()

    def step(self):
        """Goes on by one epoch in all schedules."""
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = self._rates()

    def _restart(self):
        for schedule in self._schedulers:
            schedule.last_epoch = -1
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self.step()


def _check_parts(schedule, parts, optimizer):
    """The schedules as a list; ValueError when there are none, or they have several optimisers."""
    name, found = type(schedule).__name__, list(parts)
    if not found:
        raise ValueError(f"{name}: got an empty list of schedules")
    for part in found:
        if not isinstance(part, LRScheduler):
            raise TypeError(f"{name}: a part must be a schedule that follows epochs, got {part!r:.80}")
        if part.optimizer is not (optimizer or found[0].optimizer):
            raise ValueError(f"{name}: all schedules must belong to the same optimizer")
    return found
