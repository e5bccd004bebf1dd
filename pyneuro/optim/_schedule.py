"""The base of the learning-rate schedules."""

from pyneuro.callbacks import Callback


def check_optimizer(schedule, optimizer):
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"{type(schedule).__name__}: optimizer must be an optimiser, got {optimizer!r:.80}")
    return optimizer


class LRScheduler(Callback):
    """Base of the schedules: `get_lr` says the rates of the groups at `last_epoch`, often from the present ones.

    optimizer: whose groups are changed; last_epoch: -1 to start anew, else the epoch at which to go on (then each group
    needs "initial_lr", else KeyError).

    >>> from pyneuro import nn, optim
    >>> class Halves(LRScheduler):
    ...     def get_lr(self):
    ...         return [base / 2**self.last_epoch for base in self.base_lrs]
    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = Halves(opt)
    >>> schedule.step()
    >>> opt.lr
    0.5
    """

    def __init__(self, optimizer, last_epoch=-1):
        self.optimizer = check_optimizer(self, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])  # of several schedules the first one decides
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

    def _restart(self):
        """Back to epoch 0, whatever another schedule has written meanwhile."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self.last_epoch = -1
        self.step()

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
        same_optimizer(self)

    def on_epoch_end(self, epoch, logs=None):
        """One step an epoch."""
        self.step()

    def _rates(self):
        return [group["lr"] for group in self.optimizer.param_groups]


def same_optimizer(schedule):
    if schedule.model is not None and schedule.model.optimizer is not schedule.optimizer:
        raise ValueError(
            f"{type(schedule).__name__} belongs to another optimiser than fit trains with: give both the same object"
        )
