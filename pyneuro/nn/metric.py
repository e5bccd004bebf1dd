"""Losses of metric learning and the distances that they need, by PyTorch's names.

They compare two or three outputs with each other, so `fit` takes them inside a function of one's own, such as
`loss=lambda outputs: criterion(*outputs)` for a network that maps three inputs to anchor, positive and negative.
"""

from pyneuro.nn import _check, _metric
from pyneuro.nn.losses import Loss
from pyneuro.nn.module import Module


class _Compared(Module):
    """Base: options are attributes, and the ones that differ from their defaults stand in the repr."""

    _options = ()

    def _config(self):
        return {name: getattr(self, name) for name in self._options}

    extra_repr = Loss.extra_repr


class PairwiseDistance(_Compared):
    """`PairwiseDistance(p=2.0, eps=1e-6, keepdim=False)`: ||x1 - x2 + eps||_p over the last dimension.

    >>> [round(v, 4) for v in PairwiseDistance()([[0.0, 0.0]], [[3.0, 4.0]]).tolist()]
    [5.0]
    """

    _options = ("p", "eps", "keepdim")

    def __init__(self, p=2.0, eps=1e-6, keepdim=False):
        super().__init__()
        self.p, self.eps = _check.number("PairwiseDistance", "p", p, 0), _check.number("PairwiseDistance", "eps", eps)
        self.keepdim = bool(keepdim)

    def forward(self, x1, x2):
        """Two inputs (N, D) -> distances (N,)."""
        return _metric.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)


class CosineSimilarity(_Compared):
    """`CosineSimilarity(dim=1, eps=1e-8)`: the cosine of the angle between x1 and x2 along `dim`.

    >>> [round(v, 4) for v in CosineSimilarity()([[1.0, 0.0]], [[1.0, 1.0]]).tolist()]
    [0.7071]
    """

    _options = ("dim", "eps")

    def __init__(self, dim=1, eps=1e-8):
        super().__init__()
        self.dim = _check.size("CosineSimilarity", "dim", dim, least=-8)
        self.eps = _check.number("CosineSimilarity", "eps", eps, 0)

    def forward(self, x1, x2):
        """Two inputs (N, D) -> cosines (N,)."""
        return _metric.cosine_similarity(x1, x2, self.dim, self.eps)


class _MetricLoss(_Compared):
    """Base of the losses: `reduction` is "mean" (default), "sum" or "none"."""

    def __init__(self, margin, reduction):
        super().__init__()
        name = type(self).__name__
        self.margin = _check.number(name, "margin", margin)
        self.reduction = _check.choice(name, "reduction", reduction, ("mean", "sum", "none"))


class TripletMarginLoss(_MetricLoss):
    """`TripletMarginLoss(margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean")`.

    max(d(a, p) - d(a, n) + margin, 0): the anchor shall be closer to the positive (of its class) than to the negative.
    swap: take the smaller of d(a, n) and d(p, n). Inputs (N, D) of one shape, or (D,). Source: Weinberger, Saul 2009;
    Schroff et al. 2015; swap: Balntas et al. 2016.

    >>> round(TripletMarginLoss(margin=0.2)([[0.0]], [[1.0]], [[1.1]]).item(), 4)
    0.1
    """

    _options = ("margin", "p", "eps", "swap", "reduction")

    def __init__(self, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
        super().__init__(margin, reduction)
        self.p, self.eps = _check.number("TripletMarginLoss", "p", p, 0), _check.number("TripletMarginLoss", "eps", eps)
        self.swap = bool(swap)

    def forward(self, anchor, positive, negative):
        """Three inputs (N, D) -> scalar."""
        return _metric.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class CosineEmbeddingLoss(_MetricLoss):
    """`CosineEmbeddingLoss(margin=0.0, reduction="mean")`: angles instead of distances.

    Target 1 (the pair belongs together): 1 - cos; target -1: max(cos - margin, 0). Inputs (N, D), target (N,).

    >>> CosineEmbeddingLoss()([[1.0, 0.0]], [[0.0, 1.0]], [1]).item()
    1.0
    """

    _options = ("margin", "reduction")

    def __init__(self, margin=0.0, reduction="mean"):
        super().__init__(margin, reduction)

    def forward(self, input1, input2, target):
        """Two inputs (N, D) and target (N,) of 1 and -1 -> scalar."""
        return _metric.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class ContrastiveLoss(_MetricLoss):
    """`ContrastiveLoss(margin=1.0, reduction="mean")`: d^2 / 2 for similar pairs, max(margin - d, 0)^2 / 2 for others.

    d is the Euclidean distance; target 0 means similar and 1 different, as in the paper: Hadsell, Chopra, LeCun 2006.

    >>> ContrastiveLoss(reduction="none")([[0.0], [0.0]], [[2.0], [0.5]], [0, 1]).tolist()
    [2.0, 0.125]
    """

    _options = ("margin", "reduction")

    def __init__(self, margin=1.0, reduction="mean"):
        super().__init__(margin, reduction)

    def forward(self, input1, input2, target):
        """Two inputs (N, D) and target (N,) of 0 (similar) and 1 -> scalar."""
        return _metric.contrastive_loss(input1, input2, target, self.margin, self.reduction)
