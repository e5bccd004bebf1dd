"""Values of an epoch from values of its batches: what losses and metrics are on all rows at once.

A run of the program gives scalars, and a runner their means over rows. For a loss that is a mean over samples this is
its value on all rows. A loss with reduction="sum" adds up, and one that is divided by class weights or by the number of
rows that count (ignore_index) is a quotient of two sums: such sums are recorded as columns of their own.
"""

from pyneuro import _core
from pyneuro.nn import losses

_ops = _core.ops


class Columns:
    """The scalars of one recording. `values`: what is recorded, the loss first; `names`: what is shown."""

    def __init__(self, rows):
        self.rows = float(rows)
        self.values, self.names, self._rules = [], [], []

    def mean(self, name, value):
        """A mean over samples."""
        self._add(name, ("mean", self._column(value)))

    def sum(self, name, value):
        """A sum over samples: batches add up."""
        self._column(value)  # recorded as it is, because the first one is what is minimised
        self._add(name, ("sum", self._column(value / self.rows)))

    def quotient(self, name, value, share):
        """A mean over those samples that count: `share`, their number or weight divided by the rows. Without any of
        them the value of a batch is NaN, and it adds nothing."""
        self._column(value)
        part = _ops["where"](share > 0.0, value, _ops["mul"](share, 0.0)) * share
        self._add(name, ("quotient", self._column(part), self._column(share)))

    def parts(self, name, part, share):
        """The same of a value that is divided by all rows already."""
        self._add(name, ("quotient", self._column(part), self._column(share)))

    def total(self, name, value, first, count):
        """The sum of `count` shown values from number `first` on."""
        self._column(value)
        self._add(name, ("total", first, count))

    def _column(self, value):
        self.values.append(value)
        return len(self.values) - 1

    def _add(self, name, rule):
        self.names.append(name)
        self._rules.append(rule)

    @property
    def plain(self):
        """Whether all are means, so that what is recorded is what is shown."""
        return all(rule[0] == "mean" for rule in self._rules)

    def rule(self):
        """A function (means of the columns over rows, number of rows) -> list of values shown, without tensors."""
        if self.plain:
            return as_they_are
        return Shown(self._rules)


def as_they_are(means, rows):
    """The rule of columns that are all means."""
    return [float(v) for v in means]


class Shown:
    """See `Columns.rule`."""

    def __init__(self, rules):
        self._rules = list(rules)

    def __call__(self, means, rows):
        """The values."""
        shown = [self._value(rule, means, rows) for rule in self._rules]
        for i, rule in enumerate(self._rules):
            if rule[0] == "total":
                shown[i] = sum(shown[rule[1] : rule[1] + rule[2]])
        return shown

    @staticmethod
    def _value(rule, means, rows):
        if rule[0] == "total":
            return 0.0
        value = float(means[rule[1]])
        if rule[0] == "sum":
            return value * rows
        if rule[0] == "quotient":
            share = float(means[rule[2]])
            return value / share if share else float("nan")
        return value


def add_loss(columns, name, fn, value, target, is_weighted, counted):
    """The value of a loss. is_weighted: with weights of samples. counted: whether rows with ignore_index may occur."""
    if isinstance(fn, losses.Loss) and fn.reduction == "sum":
        columns.sum(name, value)
    elif _is_quotient(fn, target, counted) and not is_weighted:
        columns.quotient(name, value, _share(fn, target, value.dtype, columns.rows))
    else:
        columns.mean(name, value)


def _is_quotient(fn, target, counted):
    takes_classes = isinstance(fn, (losses.CrossEntropyLoss, losses.NLLLoss))
    if not takes_classes or target.dtype != "int64" or fn.reduction != "mean":
        return False
    return counted or fn._buffers.get("weight") is not None


def _counts(fn, target, dtype):
    """1 where a target counts, 0 where it is ignore_index: of the target's shape, and (which as integers)."""
    counts = _ops["ne"](target, fn.ignore_index)
    return counts, _ops["cast"](counts, dtype)


def _share(fn, target, dtype, rows):
    """What the loss was divided by, by rows: the weights of the targets that count."""
    counts, factor = _counts(fn, target, dtype)
    weight = fn._buffers.get("weight")
    if weight is not None:
        classes = _ops["where"](counts, target, 0)  # any class where there is none
        weight = weight if weight.dtype == dtype else _ops["cast"](weight, dtype)
        factor = _ops["index_select"](weight, classes, 0) * factor
    return factor.sum() / rows


def add_hits(columns, name, value, fn, target, are_misses):
    """A share of right (or wrong) classes among the rows that count."""
    _, factor = _counts(fn, target, value.dtype)
    share = factor.mean()
    columns.parts(name, share - (1.0 - value) if are_misses else value, share)
