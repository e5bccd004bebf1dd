"""A network, its losses and its metrics as one function from arrays to scalars: what is recorded, or run step by step.

Which dtype each array gets is decided by the first run: integers stay integers where an op asks for them (labels, the
indices of an embedding) and become real numbers everywhere else.
"""

import inspect
import itertools
import operator

import numpy as np

from pyneuro import _core
from pyneuro._fit import answers, arrays, columns, scrutiny
from pyneuro.nn import _check, losses

Tensor = _core.Tensor


def flatten(value, name="the network"):
    """Outputs of a network as (list of Tensors, keys or None). TypeError for anything but tensors in it."""
    keys = list(value) if isinstance(value, dict) else None
    items = list(value.values()) if keys else list(value) if isinstance(value, (tuple, list)) else [value]
    for item in items:
        if not isinstance(item, Tensor):
            raise TypeError(f"{name} returned {type(item).__name__}, expected a Tensor or a tuple or dict of Tensors")
    return items, keys


# ---- losses ----


class LossItem:
    """One loss with its weight; `key` names the output it belongs to, None when there is one."""

    def __init__(self, loss, weight=1.0, key=None):
        self.fn = losses.get(loss)
        self.is_by_name = isinstance(loss, str)
        self.weight = _check.number("loss", "its weight", weight)
        self.key = key
        self.is_own = isinstance(self.fn, losses.Loss)  # one of pyneuro's, which can give a value an element
        self.takes_classes = isinstance(self.fn, (losses.CrossEntropyLoss, losses.NLLLoss))
        self.labels = None  # what the labels are: the kind of `answers.Labels`, once data with both answers was seen

    def identity(self):
        """What decides the recorded operations; None for a callable of the user's."""
        if not self.is_own:
            return None
        return type(self.fn), repr(self.fn), id(self.fn) if self.fn._buffers else 0, self.weight

    def __call__(self, output, target, weight):
        """Scalar: the loss, with sample weights sum(w_i l_i) / N as in Keras."""
        if weight is None:
            value = self.fn(output, target)
        else:
            value = self._weighted(output, target, weight)
        self._check_tensor(value)
        if value.numel() != 1:
            raise ValueError(f"the loss has shape {tuple(value.shape)}, expected a single number: reduction='mean'")
        return value * self.weight if self.weight != 1.0 else value

    def _check_tensor(self, value):
        if not isinstance(value, Tensor):
            name = getattr(self.fn, "__name__", type(self.fn).__name__)
            raise TypeError(
                f"loss {name} returned {type(value).__name__}, expected a Tensor: compute it from the network's output "
                "with operations of tensors"
            )

    def _weighted(self, output, target, weight):
        rows = weight.shape[0]
        each = self.fn.with_reduction("none")(output, target) if self.is_own else self.fn(output, target)
        self._check_tensor(each)
        if not each.shape or each.shape[0] != rows:
            raise ValueError(
                f"sample_weight and class_weight need one loss value a sample: the loss has shape {tuple(each.shape)} "
                f"for {rows} rows; give a loss with reduction='none'"
            )
        if len(each.shape) > 1:
            adds = self.is_own and self.fn.reduction == "sum"
            each = (each.sum if adds else each.mean)(dim=tuple(range(1, len(each.shape))))
        total = (each * weight).sum()
        return total if self.is_own and self.fn.reduction == "sum" else total / float(rows)


def loss_items(loss, loss_weights=None):
    """`loss` as a list of LossItem. A list or dict gives one to each output; an entry may be a pair (loss, weight)."""
    if isinstance(loss, dict):
        entries = list(loss.items())
    elif isinstance(loss, (list, tuple)) and not _is_pair(loss):
        entries = list(enumerate(loss))
    else:
        entries = [(None, loss)]
    if not entries:
        raise ValueError("loss is empty: give a name, a callable, or one for each output")
    items = []
    for key, entry in entries:
        entry, weight = entry if _is_pair(entry) else (entry, 1.0)
        if loss_weights is not None:
            weight = _weight_of(loss_weights, key, len(entries))
        items.append(LossItem(entry, weight, key))
    return items


def _is_pair(entry):
    return isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[1], (int, float))


def _weight_of(weights, key, n):
    try:
        if len(weights) != n:
            raise ValueError(f"loss_weights has {len(weights)} entries for {n} losses")
        return weights[0 if key is None else key]
    except (TypeError, KeyError, IndexError):
        raise ValueError(f"loss_weights must have one number for each loss, got {weights!r:.80}") from None


def check_ending(net, items):
    """A loss on raw scores behind a layer that makes probabilities squeezes them twice, and trains badly unnoticed."""
    from pyneuro import nn

    last = net
    while isinstance(last, nn.Sequential) and len(last):
        last = last[-1]
    fn = items[0].fn
    if type(last) is nn.Softmax and isinstance(fn, losses.CrossEntropyLoss):
        raise ValueError(
            f"fit: the network ends with {last._label()}, but {type(fn).__name__} takes raw scores: leave the layer "
            "out, or end with nn.LogSoftmax and take loss='nll'"
        )
    if type(last) is nn.Sigmoid and isinstance(fn, losses.BCEWithLogitsLoss):
        raise ValueError(
            f"fit: the network ends with {last._label()}, but {type(fn).__name__} takes raw scores: leave the layer "
            "out, or take loss='bce'"
        )


# ---- the program ----


class Shape:
    """What is remembered of an output."""

    def __init__(self, shape):
        self.shape = shape


class Program:
    """net, losses and metrics over given data. `names` are those of the scalars it returns."""

    def __init__(self, net, x, y, weight, items, metrics):
        self.net, self.x, self.y, self.weight, self.items, self.metrics = net, x, y, weight, items, metrics
        self.real = real_dtype(net)
        self.names = self.columns = None  # of what is shown, and how many scalars a run gives
        self.show = None  # (means of the scalars, rows) -> values shown
        self.trained = None  # parameters that are known, when those that nobody trains are to be looked for
        self.counted = False  # rows with ignore_index may be there
        self.augment = self.draws = None  # see pictures.py; (seed, step) of a step in teaching mode
        self._labels = _note_labels(y, items)
        self._inputs_ready = self._targets_ready = False  # their dtypes are known
        if weight is not None:
            weight.dtype = self.real

    @property
    def parts(self):
        """All arrays in the order of the plan's inputs."""
        return [*self.x.parts, *(self.y.parts if self.y else []), *([self.weight] if self.weight else [])]

    def identity(self):
        """What decides the recorded operations besides network and shapes; None when user code does."""
        items = [item.identity() for item in self.items]
        if None in items or not all(m.is_own for m in self.metrics):
            return None
        return tuple(items), tuple(m.name for m in self.metrics), self.weight is not None

    def decide(self, index):
        """Decides about the dtypes of the inputs: real numbers, and integers where the network takes only these."""
        if not self._inputs_ready:
            decide_inputs(self.net, self.x, self.real, index)
            self._inputs_ready = True

    def decide_as(self, first):
        """Decides and checks as `first` did, a program of the same network on other rows, without running it."""
        for p, q in zip(self.x.parts, first.x.parts, strict=True):
            p.dtype = q.dtype
        if self.y:
            prepare_targets(self.y, *first._outputs, self.items, self.real)
        self.names, self.columns, self.show = first.names, first.columns, first.show
        self._inputs_ready = self._targets_ready = True

    def forget_outputs(self):
        """The network has changed: targets are compared with its outputs again."""
        self._targets_ready = False

    def run(self, index, make):
        """Runs the network, losses and metrics on rows `index`; `make` turns an array into a Tensor.

        Returns (tensors of the inputs in the order of `parts`, scalars).
        """
        inputs = [make(self._changed(p, index) if self.augment and self.draws else p.rows(index)) for p in self.x.parts]
        output = call(self.net, self.x, inputs)
        outputs, keys = flatten(output)
        targets, weight = [], None
        self._check_keys(keys)
        if self.y:
            if not self._targets_ready:
                self._outputs = [Shape(tuple(output.shape)) for output in outputs], keys
                ignored = prepare_targets(self.y, *self._outputs, self.items, self.real)
                self.counted = self.counted or ignored
                self._targets_ready = True
            targets = [make(p.rows(index)) for p in self.y.parts]
        if self.weight is not None:
            weight = make(self.weight.rows(index))
        scalars = self._scalars(inputs[0].shape[0], output, outputs, keys, targets, weight)
        return [*inputs, *targets, *([] if weight is None else [weight])], scalars

    def _changed(self, p, index):
        """Rows of pictures as the C loop changes them in this step."""
        code, shape = self.augment
        rows = p.array[index]
        return _core.augment(rows.reshape(-1, *shape), code, *self.draws, p.dtype).reshape(rows.shape)

    def examine(self, inputs, scalars):
        """What a run has shown: mistakes in the data, and parameters that nobody trains."""
        own = all(item.is_own for item in self.items)  # of these targets are checked by `prepare_targets`
        parts = [*self.x.parts, *(self.y.parts if self.y and not own else ())]
        scrutiny.examine(parts, inputs[: len(parts)], scalars, self.trained)

    def _scalars(self, rows, output, outputs, keys, targets, weight):
        pairs = self._pairs(output, outputs, keys, targets)
        found = [
            item(out, target, weight) if self.y else self._without_target(item, out) for item, _, out, target in pairs
        ]
        table = columns.Columns(rows)
        if len(pairs) > 1:
            table.total("loss", sum(found[1:], found[0]), 1, len(pairs))
        for (item, key, _, target), value in zip(pairs, found, strict=True):
            name = "loss" if len(pairs) == 1 else f"{key}_loss"
            columns.add_loss(table, name, item.fn, value, target, weight is not None, self.counted)
        for item, key, out, target in pairs:
            for metric in self.metrics:
                self._add_metric(
                    table, metric, metric.name if len(pairs) == 1 else f"{key}_{metric.name}", item, out, target
                )
        self.names, self.columns, self.show = table.names, len(table.values), table.rule()
        return table.values

    def _add_metric(self, table, metric, name, item, output, target):
        net = self.net if len(self.items) == 1 else None
        value = metric(output, target, item, net, self._labels.get(item.key))
        if metric.counts_classes(item) and self.counted and target.dtype == "int64":
            columns.add_hits(table, name, value, item.fn, target, metric.are_misses)
        else:
            columns.add_loss(table, name, metric.fn, value, target, False, self.counted)

    @staticmethod
    def _without_target(item, output):
        if item.is_own:
            raise ValueError(f"y is missing: loss {item.fn!r} compares outputs with targets")
        return item.fn(output)

    def _pairs(self, output, outputs, keys, targets):
        """(loss, key, output, target) for each output that has a loss."""
        items = self.items
        if len(outputs) == 1 and len(items) == 1:
            return [(items[0], items[0].key, outputs[0], targets[0] if targets else None)]
        if len(items) == 1 and not items[0].is_own:  # a callable of the user's sees the whole
            return [(items[0], None, output, self.y.build(targets) if self.y else None)]
        names = keys or list(range(len(outputs)))
        if len(items) == 1 and items[0].key is None:
            items = [LossItem(items[0].fn, items[0].weight, name) for name in names]
        if len(items) != len(outputs) or (targets and len(targets) != len(outputs)):
            raise ValueError(
                f"the network has {len(outputs)} outputs, but there are {len(items)} losses and {len(targets)} targets"
            )
        position = {name: i for i, name in enumerate(names)}
        found = []
        for i, item in enumerate(items):
            k = position.get(item.key, i)
            t = self.y.keys.index(names[k]) if targets and self.y.kind == "dict" and names[k] in self.y.keys else k
            label = item.key if isinstance(item.key, str) else f"output_{k}"
            found.append((item, label, outputs[k], targets[t] if targets else None))
        return found

    def _check_keys(self, names):
        """A dict of losses or targets names outputs of the network: each of them, and no other."""
        whole = len(self.items) == 1 and self.items[0].key is None and not self.items[0].is_own
        if not names or whole:  # outputs without names, or a callable that takes them all
            return
        losses_of = [item.key for item in self.items if isinstance(item.key, str)]
        targets_of = self.y.keys if self.y and self.y.kind == "dict" else []
        for what, keys in (("losses", losses_of), ("targets", targets_of)):
            if keys and sorted(map(str, keys)) != sorted(map(str, names)):
                given, there = ", ".join(map(str, keys)), ", ".join(map(str, names))
                raise ValueError(f"there are {what} for {given}, but the outputs are {there}")


def call(net, x, inputs):
    """The network on its inputs: several ones as arguments, a dict as keyword arguments."""
    try:
        if x.kind == "dict":
            return net(**x.build(inputs))
        return net(*inputs)
    except ValueError as error:
        _explain(error, x, inputs)
        raise


def _explain(error, x, inputs):
    """One number a row is mostly one sample without its axis of rows: then the shape of a batch would say nothing."""
    for p, tensor in zip(x.parts, inputs, strict=True):
        batch = f"shape {tuple(tensor.shape)}"
        if p.array.ndim == 1 and len(error.args) == 1 and batch in str(error.args[0]):
            text = str(error.args[0]).replace(batch, f"shape {p.array.shape}", 1)
            error.args = (f"{text}; rows are samples, one sample alone is {p.name.partition(' ')[0]}[None]",)
            return


def check_arguments(net, x):
    """Several inputs must be what the network's forward takes. TypeError otherwise: targets may have got among them."""
    if x.kind == "one":
        return
    signature = inspect.signature(net.forward)
    try:
        if x.kind == "dict":
            signature.bind(**dict.fromkeys(x.keys))
        else:
            signature.bind(*x.parts)
    except TypeError:
        given = f"a dict with {', '.join(map(repr, x.keys))}" if x.kind == "dict" else f"{len(x.parts)} arrays"
        raise TypeError(
            f"X is {given}, which means that many inputs, but {net._label()}.forward takes {signature}; targets are an "
            "argument of their own: fit(X, y)"
        ) from None


def real_dtype(net):
    """ "float32" or "float64": that of the first real parameter or buffer, float32 when there is none."""
    for tensor in itertools.chain(net.parameters(), net.buffers()):
        if tensor.dtype != "int64":
            return tensor.dtype
    return "float32"


def decide_inputs(net, x, real, index):
    """Sets the dtype of each input. Integers are tried as real numbers first, then as integers, on the rows `index`."""
    check_arguments(net, x)
    whole = [p for p in x.parts if p.array.dtype.kind in "biu"]
    for p in x.parts:
        p.dtype = real
    if not whole:
        return
    first = None
    old = _core.set_grad_enabled(False)
    try:
        for choice in itertools.product((False, True), repeat=min(len(whole), 4)):
            for p, integer in zip(whole, choice, strict=False):
                p.dtype = "int64" if integer else real
            try:
                call(net, x, [Tensor(p.rows(index)) for p in x.parts])
                return
            except TypeError as error:
                first = first or error
    finally:
        _core.set_grad_enabled(old)
    raise first


# ---- targets ----


def _note_labels(y, items):
    """What the labels of each loss are, by its key, and a note on the loss when that is clear. Class numbers are not
    looked at."""
    found = {}
    for i, p in enumerate(y.parts if y else ()):
        item = items[i] if len(items) == len(y.parts) else items[0]
        if y.kind == "dict":
            item = next((it for it in items if it.key == y.keys[i]), item)
        if item.takes_classes:
            continue
        found[item.key] = labels = answers.Labels(p)
        if item.labels is None and labels.kind != "ones":
            item.labels = labels.kind
    return found


def prepare_targets(y, outputs, keys, items, real):
    """Decides the dtype of each target by its loss, and checks class numbers against the outputs.

    Returns whether there are class numbers that do not count (ignore_index).
    """
    ignored = False
    for i, p in enumerate(y.parts):
        item = items[i] if len(items) == len(y.parts) else items[0]
        output = outputs[i] if i < len(outputs) else outputs[0]
        if y.kind == "dict" and keys and y.keys[i] in keys:
            output = outputs[keys.index(y.keys[i])]
            item = next((it for it in items if it.key == y.keys[i]), item)
        if item.takes_classes:
            ignored |= _prepare_classes(p, output, item, real)
        elif _compares_classes(item, p, output) or (not item.is_own and p.array.dtype.kind in "biu"):
            p.dtype = "int64"
        else:
            p.dtype = real
        if p.dtype == real:
            arrays.check_finite(p)
            _check_range(p, item.fn)
    return ignored


def _compares_classes(item, p, output):
    """Class numbers (N,) against K scores under the indicator loss, which compares the largest with them."""
    shape = tuple(output.shape)
    if not isinstance(item.fn, losses.ZeroOneLoss) or p.array.dtype.kind not in "biu" or len(shape) < 2:
        return False
    return p.array.ndim == len(shape) - 1 and shape[1] > 1


def _check_range(p, loss):
    """Class numbers where a loss wants probabilities or signs would be learnt without a word, and wrongly."""
    array = p.array
    if isinstance(loss, (losses.BCELoss, losses.BCEWithLogitsLoss)):
        bad, expected = (array < 0) | (array > 1), "0, 1 or a probability between them"
    elif isinstance(loss, losses.HingeLoss):
        bad, expected = array == 0, "-1 or 1"
    else:
        return
    if bad.any():
        row = int(bad.reshape(len(bad), -1).any(axis=1).argmax())
        value = array[row].reshape(-1)[int(bad[row].reshape(-1).argmax())]
        raise ValueError(
            f"{p.name} has {float(value):g} at row {p.first + row}, but {type(loss).__name__} takes {expected}"
        )


def _prepare_classes(p, output, item, real):
    shape = tuple(output.shape)
    if len(shape) < 2:
        raise ValueError(f"the network's output has shape {shape}, expected one score for each class: (N, K)")
    array, classes = p.array, shape[1]
    one_hot = array.ndim == len(shape) and array.shape[1:] == shape[1:] and (array.dtype.kind == "f" or classes > 1)
    if one_hot and isinstance(item.fn, losses.CrossEntropyLoss):
        p.dtype = real
        if item.is_by_name:
            _check_distributions(p, classes)
        return False
    if array.dtype.kind == "f":
        raise TypeError(
            f"{p.name} has dtype {array.dtype} and shape {array.shape}, but the loss takes class numbers as integers "
            f"(N,), or probabilities of shape {('N', *shape[1:])}; convert with y.astype('int64')".replace("'N'", "N")
        )
    if array.ndim == len(shape) and array.shape[1] == 1:
        p.array = array = array[:, 0]  # (N, 1) means (N,)
    p.dtype = "int64"
    bad = _core.check_labels(array, classes, item.fn.ignore_index)
    if bad is not None:
        row, label = bad
        hint = "; for two classes and one output take loss='bce_with_logits'" if classes == 1 else ""
        if len(shape) > 2:
            hint = f", dimension 1 of its output of shape {shape}"
        raise ValueError(
            f"{p.name} has label {label} at row {p.first + row}, expected 0..{classes - 1}: the network has {classes} "
            f"output{'s' if classes > 1 else ''}{hint}"
        )
    return bool((array == item.fn.ignore_index).any())


def _check_distributions(p, classes):
    """Real targets under loss="cross_entropy", which is also what `fit` takes when no loss is given."""
    for first in range(0, len(p.array), 1 << 14):
        rows = np.asarray(p.array[first : first + (1 << 14)], np.float64)
        sums = rows.sum(axis=1)
        bad = (rows < -1e-6).any(axis=1) | (np.abs(sums - 1) > 1e-3)
        if bad.any():
            row = int(bad.reshape(len(rows), -1).any(axis=1).argmax())
            numbers = ", ".join(f"{v:g}" for v in rows[row].reshape(classes, -1)[:4, 0]) + (
                ", .." if classes > 4 else ""
            )
            raise ValueError(
                f"{p.name} has the numbers {numbers} in row {p.first + row}, but loss='cross_entropy' takes class "
                "numbers or probabilities that sum to 1; for a regression take loss='mse', for several labels a row "
                "loss='bce_with_logits'"
            )


def _weight(names, k, value):
    """The weight of class k: a finite number of at least 0."""
    weight = _check.number(names, f"weight of class {k}", value, 0)
    if weight == np.inf:
        raise ValueError(f"{names}: weight of class {k} must be finite, got inf")
    return weight


def class_weights(y, class_weight, names="class_weight"):
    """One weight a row from a dict class -> weight (classes not in it weigh 1) or a sequence by class number."""
    p = y.parts[0] if y is not None and len(y.parts) == 1 else None
    if p is None:
        raise ValueError(f"{names} needs one target with class numbers")
    labels = p.array
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    labels = labels.reshape(len(labels), -1)
    if labels.shape[1] != 1 or not np.array_equal(labels, labels.astype(np.int64)):
        raise ValueError(f"{names} needs one class number a row, {p.name} has shape {p.array.shape}")
    labels = labels[:, 0].astype(np.int64)
    try:
        pairs = class_weight.items() if hasattr(class_weight, "items") else enumerate(class_weight)
        given = {operator.index(k): _weight(names, k, v) for k, v in pairs}
    except TypeError:
        raise TypeError(
            f"{names} must be a dict of class number -> weight or a list of weights, got {class_weight!r:.80}"
        ) from None
    if not hasattr(class_weight, "items") and labels.max() >= len(given):
        raise ValueError(f"{names} has {len(given)} weights, but {p.name} has class {labels.max()}")
    found, inverse = np.unique(labels, return_inverse=True)
    return np.array([given.get(int(c), 1.0) for c in found])[inverse.reshape(-1)]
