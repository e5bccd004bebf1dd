"""Distances between rows, and the losses that learn them: functions of `nn.functional` by PyTorch's names.

Metric learning (lecture 004) trains a network so that distances between its outputs mean something: samples of one
class end up close together, others apart.
"""

from pyneuro import _core, _functions, _reductions
from pyneuro.nn import _check

Tensor = _core.Tensor
_ops = _core.ops
_REDUCTIONS = ("mean", "sum", "none")


def _tensor(x):
    return x if isinstance(x, Tensor) else _core.as_tensor(x)


def _reduce(name, values, reduction):
    _check.choice(name, "reduction", reduction, _REDUCTIONS)
    return values if reduction == "none" else _ops[reduction](values)


def _real(target, like):
    target = _tensor(target)
    return target if target.dtype == like.dtype else _ops["cast"](target, like.dtype)


def _equal(name, **inputs):
    """Raises ValueError unless all inputs have one shape: nothing is broadcast where pairs are meant."""
    shapes = {argument: tuple(x.shape) for argument, x in inputs.items()}
    first, *others = shapes
    for other in others:
        if shapes[other] != shapes[first]:
            raise ValueError(
                f"{name}: {first} has shape {shapes[first]}, {other} has shape {shapes[other]}, expected equal shapes"
            )


def _labels(name, target, rows, like):
    """Targets, one a pair, as real numbers. ValueError for another shape."""
    target = _real(target, like)
    if tuple(target.shape) != rows:
        raise ValueError(f"{name}: target has shape {tuple(target.shape)}, expected one number a pair: {rows}")
    return target


def normalize(input, p=2.0, dim=1, eps=1e-12):
    """x / max(||x||_p, eps) along `dim`: vectors of length 1.

    >>> [round(v, 4) for v in normalize([[3.0, 4.0]]).tolist()[0]]
    [0.6, 0.8]
    """
    x = _tensor(input)
    return x / _functions.clamp(_reductions.norm(x, p, dim, True), min=eps)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """||x1 - x2 + eps||_p over the last dimension: (N, D) and (N, D) -> (N,), with `keepdim` (N, 1).

    Shapes are broadcast, as in PyTorch. eps keeps the root away from 0, where it has no derivative.

    >>> [round(v, 4) for v in pairwise_distance([[0.0, 0.0]], [[3.0, 4.0]]).tolist()]
    [5.0]
    """
    return _reductions.norm(_tensor(x1) - _tensor(x2) + eps, p, -1, keepdim)


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """The cosine of the angle between x1 and x2 along `dim`: x1 . x2 / (max(||x1||, eps) max(||x2||, eps)).

    >>> [round(v, 4) for v in cosine_similarity([[1.0, 0.0]], [[1.0, 1.0]]).tolist()]
    [0.7071]
    """
    return _reductions.sum(normalize(x1, 2, dim, eps) * normalize(x2, 2, dim, eps), dim)


def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"
):  # fmt: skip
    """max(d(a, p) - d(a, n) + margin, 0), see `nn.TripletMarginLoss`.

    >>> round(triplet_margin_loss([[0.0]], [[1.0]], [[1.5]]).item(), 4)
    0.5
    """
    anchor, positive, negative = _tensor(anchor), _tensor(positive), _tensor(negative)
    _equal("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = _functions.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduce("triplet_margin_loss", _functions.clamp(near - far + margin, min=0.0), reduction)


def cosine_embedding_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """1 - cos for pairs with target 1, max(cos - margin, 0) for pairs with target -1, see `nn.CosineEmbeddingLoss`.

    >>> cosine_embedding_loss([[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [2.0, 0.0]], [1, -1], reduction="none").tolist()
    [1.0, 1.0]
    """
    a, b = _tensor(input1), _tensor(input2)
    _equal("cosine_embedding_loss", input1=a, input2=b)
    target = _labels("cosine_embedding_loss", target, tuple(a.shape)[:-1], a)
    squares = (_reductions.sum(a * a, -1) + 1e-12) * (_reductions.sum(b * b, -1) + 1e-12)
    cos = _reductions.sum(a * b, -1) / _functions.sqrt(squares)
    apart = _functions.where(target == -1, _functions.clamp(cos - margin, min=0.0), cos * 0.0)
    return _reduce("cosine_embedding_loss", _functions.where(target == 1, 1 - cos, apart), reduction)


def contrastive_loss(input1, input2, target, margin=1.0, reduction="mean"):
    """d^2 / 2 for pairs with target 0 (similar), max(margin - d, 0)^2 / 2 for target 1, see `nn.ContrastiveLoss`.

    >>> contrastive_loss([[0.0], [0.0]], [[2.0], [0.5]], [0, 1], reduction="none").tolist()
    [2.0, 0.125]
    """
    a, b = _tensor(input1), _tensor(input2)
    _equal("contrastive_loss", input1=a, input2=b)
    target = _labels("contrastive_loss", target, tuple(a.shape)[:-1], a)
    d = a - b
    near = _reductions.sum(d * d, -1)
    gap = _functions.clamp(margin - _reductions.norm(d, 2, -1), min=0.0)
    return _reduce("contrastive_loss", (near * (1 - target) + gap * gap * target) / 2, reduction)
