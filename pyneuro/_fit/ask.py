"""`evaluate` and `predict`: forward only, in batches, through plans where the network allows."""

import math

import numpy as np

from pyneuro import _core
from pyneuro._fit import arrays
from pyneuro._fit import program as programs
from pyneuro._fit.metrics import metric_list
from pyneuro._fit.plans import Dynamic, cache_of, fingerprint, forward_plan, modes
from pyneuro._fit.runners import EagerRunner, PlanRunner, Rules
from pyneuro.nn import _check

BATCH = 256  # rows at a time; predictions do not depend on it beyond rounding


class Evaluator:
    """Losses and metrics of a network on given data, as often as asked for."""

    def __init__(self, net, x, y, weight, items, metrics, batch=BATCH):
        parts = [*x.parts, *(y.parts if y else []), *([weight] if weight else [])]
        self.rows = arrays.count_rows(parts)
        self.program = programs.Program(net, x, y, weight, items, metrics)
        self.batch = min(batch, self.rows)
        self.program.decide(slice(0, self.batch))
        for p in x.parts:
            if p.dtype != "int64":
                arrays.check_finite(p)
        self.epoch, self.runner = 0, None

    def _make(self):
        user_code = fingerprint(self.program.net) is None or self.program.identity() is None
        data = self.program, self.rows, self.batch, None, Rules()
        try:
            return PlanRunner(*data, user_code, 0, False, False, math.inf)
        except Dynamic:
            return EagerRunner(*data, 0, False, False)

    def prepare(self):
        """Compiles what is needed, and finds mistakes in the data."""
        plan = getattr(self.runner, "plan", None)
        if self.runner is None or (plan is not None and not plan.valid):
            self.runner, self.epoch = self._make(), 0

    def is_current(self):
        """Whether the plans are still what the network and the losses do."""
        return not isinstance(self.runner, PlanRunner) or self.runner.is_current()

    def forget_plans(self):
        """The network has changed: the plans are made again."""
        self.runner = None
        self.program.forget_outputs()

    @property
    def names(self):
        """Names of the losses and metrics; known once prepared."""
        return self.runner.names

    def run(self):
        """Dict of name -> mean over the samples."""
        self.prepare()
        self.epoch += 1
        self.runner.run(self.epoch)
        return {name: float(value) for name, value in zip(self.runner.names, self.runner.log[-1], strict=True)}


def evaluate(net, X, y, batch_size, loss, metrics, sample_weight, loss_weights):
    """See `Trainable.evaluate`."""
    trained, found = net.__dict__.get("_trained_with") or (None, [])
    items = trained
    if loss is not None or items is None:
        items = programs.loss_items("cross_entropy" if loss is None else loss, loss_weights)
        if trained and len(trained) == len(items):
            for item, before in zip(items, trained, strict=True):
                item.labels = before.labels
    if metrics is not None:
        found = metric_list(metrics)
    weight = arrays.weights("sample_weight", sample_weight) if sample_weight is not None else None
    batch = BATCH if batch_size is None else _check.size("evaluate", "batch_size", batch_size)
    x, targets = arrays.tree("X", X), arrays.tree("y", y) if y is not None else None
    return Evaluator(net, x, targets, weight, items, found, batch).run()


# ---- predictions ----


def predict(net, X, batch_size=None):
    """See `Trainable.predict`: (list of arrays, keys or None)."""
    batch = BATCH if batch_size is None else _check.size("predict", "batch_size", batch_size)
    x = arrays.tree("X", X)
    rows = arrays.count_rows(x.parts)
    batch = min(batch, rows)  # one whole batch, however much more was allowed: plans are kept by size
    key = _key(net, x, batch, rows)
    cache = cache_of(net)
    entry = cache.take(key)
    if entry is None:
        with modes(net, False):
            programs.decide_inputs(net, x, programs.real_dtype(net), slice(0, batch))
        try:
            entry = _build(net, x, batch, rows)
        except Dynamic:
            return _predict_eager(net, x, batch, rows)
    plan, tail, dtypes, keys = entry
    for p, dtype in zip(x.parts, dtypes, strict=True):
        p.dtype = dtype
    trainer = _core.Trainer(plan, tail, tuple(p.array for p in x.parts), None, batch, collect=True)
    trainer.run(1, math.inf)
    cache.give(key, entry)
    return trainer.outputs, keys


def _key(net, x, batch, rows):
    """What decides the plans of a prediction; None when user code does."""
    found = fingerprint(net)
    if found is None:
        return None
    shapes = tuple((p.array.shape[1:], p.array.dtype.str) for p in x.parts)
    return found, x.kind, shapes, batch, rows % batch, programs.real_dtype(net)  # a plan knows its instruction set


def _build(net, x, batch, rows):
    """(plan for whole batches, plan for the last or None, dtypes, keys). Raises Dynamic."""
    found = {}

    def make_plan(n):
        def run(make):
            inputs = [make(p.rows(slice(0, n))) for p in x.parts]
            outputs, found["keys"] = programs.flatten(programs.call(net, x, inputs), net._label())
            for output in outputs:
                if not output.shape or output.shape[0] != n:
                    raise Dynamic(f"an output of shape {tuple(output.shape)} for {n} rows")
            return inputs, outputs

        with modes(net, False):
            return forward_plan(net, run, x.parts)

    left = rows % batch
    whole, tail = make_plan(batch), make_plan(left) if left else None
    return whole, tail, [p.dtype for p in x.parts], found["keys"]


def _predict_eager(net, x, batch, rows):
    parts, keys = [], None
    with modes(net, False):
        for first in range(0, rows, batch):
            index = slice(first, min(first + batch, rows))
            inputs = [_core.Tensor(p.rows(index)) for p in x.parts]
            outputs, keys = programs.flatten(programs.call(net, x, inputs), net._label())
            parts.append([np.array(output.numpy()) for output in outputs])
    return [np.concatenate([part[i] for part in parts]) for i in range(len(parts[0]))], keys


def structure(outputs, keys):
    """One array, a tuple of them, or a dict, as the network returns."""
    if keys:
        return dict(zip(keys, outputs, strict=True))
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


__all__ = ["Evaluator", "evaluate", "predict", "structure"]
