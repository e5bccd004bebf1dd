"""What raw outputs mean: where one score is cut, which labels answer, which probabilities. One rule for all who ask.

Metrics ask while a network is recorded, `predict_labels` and `predict_proba` afterwards. The last layer and the loss
decide what the numbers are; the targets decide whether the labels are 0 and 1, or -1 and +1.
"""

import math

import numpy as np

from pyneuro import _core
from pyneuro.nn import losses

PART = 1 << 16  # rows of targets that are looked at in one go


class Labels:
    """What targets of yes-or-no answers are: kind "zero_one", "signs" (-1 and +1), "ones" (all 1: either) or "other".

    row, value: of the first target that is neither, in `part`.
    """

    def __init__(self, part):
        self.part, self.row, self.value = part, None, None
        zero = minus = False
        for first in range(0, len(part.array), PART):
            rows = part.array[first : first + PART]
            is_zero, is_minus = rows == 0, rows == -1
            zero, minus = zero or bool(is_zero.any()), minus or bool(is_minus.any())
            odd = ~((rows == 1) | is_zero | is_minus)
            if odd.any():
                at = int(odd.reshape(-1).argmax())
                self.row, self.value = first + at * len(rows) // rows.size, float(rows.reshape(-1)[at])
                break
        mixed = self.row is not None or (zero and minus)
        self.kind = "other" if mixed else "signs" if minus else "zero_one" if zero else "ones"

    def sentence(self):
        """What was found, for a message."""
        if self.row is None:
            return f"{self.part.name} has 0 and -1 in it"
        return f"{self.part.name} has {self.value:g} at row {self.part.first + self.row}"


def kind_of(net, loss, labels):
    """What the numbers are: "probabilities", "log" (of probabilities), "scores" (logits), "margins" (0 between -1 and
    +1) or "numbers" (estimates of 0 and 1 themselves, as of a regression).

    net: None when it has several outputs, so that its last layer says nothing. loss: None before any training. labels:
    the kind of the labels it was trained on, or None.
    """
    from pyneuro import nn

    last = net
    while isinstance(last, nn.Sequential) and len(last):
        last = last[-1]
    if isinstance(last, (nn.Sigmoid, nn.Softmax)) or isinstance(loss, losses.BCELoss):
        return "probabilities"
    if isinstance(last, (nn.LogSoftmax, nn.LogSigmoid)) or isinstance(loss, losses.NLLLoss):
        return "log"
    if isinstance(loss, losses.HingeLoss) or labels == "signs":
        return "margins"
    if loss is None or isinstance(loss, (losses.BCEWithLogitsLoss, losses.CrossEntropyLoss)):
        return "scores"
    return "numbers"


def cut(kind, threshold=0.5):
    """The raw output at which the probability is `threshold`: larger ones answer yes."""
    if kind == "scores":
        return math.log(threshold / (1 - threshold)) if 0 < threshold < 1 else math.copysign(math.inf, threshold - 0.5)
    if kind == "margins":
        return 2 * threshold - 1
    if kind == "log":
        return math.log(threshold) if threshold > 0 else -math.inf
    return threshold


def _trained(net):
    """(loss, kind of labels) of the last fit; (None, None) before any."""
    items = (net.__dict__.get("_trained_with") or (None,))[0]
    return (items[0].fn, items[0].labels) if items else (None, None)


def _columns(outputs):
    return outputs.shape[1] if outputs.ndim > 1 else 1


def labels(net, outputs, threshold):
    """Raw outputs (N, K), (N, 1) or (N,) -> class numbers (N,), or one answer an output where each column has its own.

    Answers are 0 and 1; -1 and +1 after a training on such labels.
    """
    loss, trained = _trained(net)
    columns = _columns(outputs)
    if columns > 1 and not isinstance(loss, (losses.BCELoss, losses.BCEWithLogitsLoss)):
        return outputs.argmax(axis=1)
    found = (outputs > outputs.dtype.type(cut(kind_of(net, loss, trained), threshold))).astype("int64")
    if trained == "signs" or isinstance(loss, losses.HingeLoss):
        found = 2 * found - 1
    return found if columns > 1 or outputs.ndim > 2 else found.reshape(len(found))


def probabilities(net, outputs):
    """Raw outputs (N, K), (N, 1) or (N,) -> probabilities of the same shape. ValueError when they are none."""
    loss, trained = _trained(net)
    columns = _columns(outputs)
    kind = kind_of(net, loss, trained)
    if kind == "probabilities":
        return outputs
    if kind == "log":
        return _op("exp", outputs)
    if kind == "scores":
        several = columns > 1 and not isinstance(loss, losses.BCEWithLogitsLoss)
        return _op("softmax", outputs, 1) if several else _op("sigmoid", outputs)
    name = getattr(loss, "__name__", type(loss).__name__)
    if not isinstance(loss, losses.Loss) and columns > 1:
        return _op("softmax", outputs, 1)  # a function of the user's on K columns: scores, as most are
    if isinstance(loss, losses.HingeLoss) or trained == "other":
        why = "are no probabilities" if isinstance(loss, losses.HingeLoss) else "follow targets other than 0 and 1"
        raise ValueError(
            f"predict_proba: outputs of a network trained with {name} {why}: predict(X) returns them as they are"
        )
    estimate = (outputs + 1) / 2 if kind == "margins" else outputs
    estimate = np.clip(estimate, 0, 1)
    if columns == 1:
        return estimate
    total = estimate.sum(axis=1, keepdims=True)
    return np.where(total > 0, estimate / np.where(total > 0, total, 1), outputs.dtype.type(1 / columns))


def _op(name, outputs, *attributes):
    old = _core.set_grad_enabled(False)
    try:
        return np.array(_core.ops[name](_core.as_tensor(outputs), *attributes).numpy())
    finally:
        _core.set_grad_enabled(old)
