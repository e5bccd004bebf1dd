"""Metrics of `fit` and `evaluate`: by name, by (name, k), losses, or callables of the user's."""

import re

from pyneuro import _core
from pyneuro._fit import answers
from pyneuro.nn import _check, losses

_NAMES = ("accuracy", "acc", "binary_accuracy", "top_k_accuracy")
_DECISIONS = (
    losses.CrossEntropyLoss, losses.NLLLoss, losses.BCELoss, losses.BCEWithLogitsLoss, losses.HingeLoss,
)  # fmt: skip
_TOP = re.compile(r"top_([1-9][0-9]{0,8})_accuracy")


class Metric:
    """One metric under the name it has in the history."""

    def __init__(self, metric):
        self.fn = self.k = None
        if _is_top(metric):
            self.k = _check.size("metrics", "k of top_k_accuracy", metric[1])
            self.name = f"top_{self.k}_accuracy"
        elif isinstance(metric, str):
            self.name, top = metric, _TOP.fullmatch(metric)
            if top or metric == "top_k_accuracy":
                self.k = int(top[1]) if top else 5
            elif metric not in _NAMES:
                known = (*_NAMES, "top_5_accuracy", "top_3_accuracy", *losses.BY_NAME)
                self.name = _check.choice("metrics", "a name", metric, known)
                self.fn = losses.get(metric)
        elif callable(metric):
            self.name = getattr(metric, "__name__", type(metric).__name__)
            self.fn = losses.get(metric)
        else:
            raise TypeError(f'a metric must be a name, ("top_k_accuracy", k) or a callable, got {metric!r:.80}')
        self.is_own = self.fn is None or isinstance(self.fn, losses.Loss)
        self.are_misses = isinstance(self.fn, losses.ZeroOneLoss)

    def counts_classes(self, item):
        """Whether it is a share of right or wrong classes, of which rows with ignore_index are none."""
        return item.takes_classes and (self.fn is None or self.are_misses)

    def __call__(self, output, target, item, net, labels):
        """Scalar, a mean over the samples. `labels`: what the targets are, None for class numbers."""
        if self.k is not None:
            return self._top(output, target)
        if self.fn is None:
            return accuracy(output, target, item, net, labels, self.name == "binary_accuracy")
        if not isinstance(self.fn, losses.Loss):
            return self.fn(output, target)
        if self.are_misses and isinstance(item.fn, _DECISIONS) and self.fn.reduction == "mean":
            return 1.0 - accuracy(output, target, item, net, labels, False)  # of the answers, not of the scores
        return self.fn(output, target)

    def _top(self, output, target):
        if not _has_classes(output) or output.shape[1] < self.k:
            raise ValueError(
                f"metrics: {self.name} needs at least {self.k} classes, the network's output has shape "
                f"{tuple(output.shape)}"
            )
        return _core.ops["top_k_accuracy"](output, _classes(output, target), self.k)


def _is_top(metric):
    return (
        isinstance(metric, (tuple, list))
        and len(metric) == 2
        and metric[0] == "top_k_accuracy"
        and (isinstance(metric[1], int))
    )


def _has_classes(output):
    return len(output.shape) > 1 and output.shape[1] > 1


def accuracy(output, target, item, net, labels, binary):
    """Share of right answers: the largest of K scores, or one score against its threshold."""
    yes_no = isinstance(item.fn, (losses.BCELoss, losses.BCEWithLogitsLoss))  # several such answers a sample
    if _has_classes(output) and not binary and not (yes_no and target.shape == output.shape):
        return _core.ops["accuracy"](output, _classes(output, target))
    kind = answers.kind_of(net, item.fn, item.labels)
    if target.dtype == "int64":
        target = _core.ops["cast"](target, output.dtype)
    if labels is not None and labels.kind == "other":
        if not yes_no:
            raise ValueError(
                f"metrics: accuracy needs targets of 0 and 1, or of -1 and 1, but {labels.sentence()}; "
                "for a regression take 'mse' or 'mae'"
            )
        target = _core.ops["cast"](target > 0.5, output.dtype)  # probabilities
    elif item.labels == "signs" or isinstance(item.fn, losses.HingeLoss) or (labels and labels.kind == "signs"):
        target = _core.ops["cast"](target > 0.0, output.dtype)
    return _core.ops["binary_accuracy"](output, target, answers.cut(kind))


def _classes(output, target):
    """Class numbers of targets: as they are, of one-hot rows, or of real numbers."""
    if target.shape == output.shape:
        return _core.ops["argmax"](target, 1)
    if len(target.shape) == len(output.shape) and target.shape[1] == 1:
        target = target.reshape((target.shape[0], *target.shape[2:]))
    return target if target.dtype == "int64" else _core.ops["cast"](target, "int64")


def metric_list(metrics):
    """`metrics` as a list of Metric; one name or callable stands for a list with it."""
    if metrics is None:
        return []
    if not isinstance(metrics, (str, list, tuple, set)) and not callable(metrics):
        raise TypeError(f"metrics must be a list of names or callables, got {metrics!r:.80}")
    given = [metrics] if isinstance(metrics, str) or callable(metrics) or _is_top(metrics) else list(metrics)
    found = [Metric(m) for m in given]
    names = [m.name for m in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"metrics: {name!r} is given twice")
    return found
