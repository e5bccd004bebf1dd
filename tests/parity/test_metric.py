"""Losses of metric learning, distances and norms against PyTorch, gradients included."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pyneuro as pn  # noqa: E402
from pyneuro import nn  # noqa: E402
from tests import tolerances  # noqa: E402

REAL = ("float32", "float64")
F, G = nn.functional, torch.nn.functional


def compare(ours, theirs, arrays, dtype, fixed=()):
    """Values and all gradients of two functions of the same arrays; `fixed` ones come last and have no gradient."""
    a = [pn.tensor(x.astype(dtype), requires_grad=True) for x in arrays]
    b = [torch.tensor(x.astype(dtype), requires_grad=True) for x in arrays]
    y, z = ours(*a, *fixed), theirs(*b, *map(torch.tensor, fixed))
    assert tuple(y.shape) == tuple(z.shape)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), **tolerances.LAYERS[dtype])
    y.sum().backward()
    z.sum().backward()
    for p, q in zip(a, b, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), **tolerances.LAYERS[dtype])


def arrays(n, shape=(6, 5), seed=0):
    return list(np.random.default_rng(seed).normal(size=(n, *shape)))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("p", "dim"), [(2, 1), (1, 1), (float("inf"), -1), (3, 0), (2.5, None), (0.5, 1)])
def test_norm_and_normalize(p, dim, dtype):
    compare(lambda x: pn.norm(x, p, dim), lambda x: torch.linalg.vector_norm(x, p, dim), arrays(1), dtype)
    if dim is not None:
        compare(lambda x: F.normalize(x, p, dim), lambda x: G.normalize(x, p, dim), arrays(1), dtype)


def test_norm_of_zero_has_gradient_zero():
    """As in PyTorch: where the root has no derivative."""
    for p in (2, 3):
        compare(lambda x, p=p: pn.norm(x, p, 1), lambda x, p=p: x.norm(p, 1), [np.zeros((2, 3))], "float64")
    compare(F.normalize, G.normalize, [np.zeros((2, 3))], "float64")


@pytest.mark.parametrize("dtype", REAL)
def test_distances(dtype):
    for p, keep in itertools.product((1.0, 2.0, 3.0, float("inf")), (False, True)):
        ours, theirs = nn.PairwiseDistance(p, keepdim=keep), torch.nn.PairwiseDistance(p, keepdim=keep)
        compare(ours, theirs, arrays(2), dtype)
    compare(F.pairwise_distance, G.pairwise_distance, [np.ones((4, 3)), np.ones((4, 3))], dtype)
    for dim in (0, 1, -1):
        compare(nn.CosineSimilarity(dim), torch.nn.CosineSimilarity(dim), arrays(2), dtype)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"margin": 0.3}, {"swap": True}, {"p": 1.0, "margin": 2.0}])
def test_triplet(options, reduction, dtype):
    given = {**options, "reduction": reduction}
    compare(nn.TripletMarginLoss(**given), torch.nn.TripletMarginLoss(**given), arrays(3), dtype)
    compare(nn.TripletMarginLoss(**given), torch.nn.TripletMarginLoss(**given), arrays(3, (5,)), dtype)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("margin", [0.0, 0.2, -0.5])
def test_cosine_embedding(margin, reduction, dtype):
    given = {"margin": margin, "reduction": reduction}
    target = np.array([1, -1, 1, -1, -1, 1])
    compare(nn.CosineEmbeddingLoss(**given), torch.nn.CosineEmbeddingLoss(**given), arrays(2), dtype, [target])


def hadsell(a, b, target, margin):
    """The formula of the paper, written in PyTorch."""
    d = (a - b).norm(dim=1)
    return ((1 - target) * d**2 / 2 + target * torch.clamp(margin - d, min=0) ** 2 / 2).mean()


@pytest.mark.parametrize("dtype", REAL)
def test_contrastive(dtype):
    target = np.array([0, 1, 1, 0, 1, 1])
    for margin in (1.0, 4.0):
        compare(nn.ContrastiveLoss(margin), lambda *x, m=margin: hadsell(*x, m), arrays(2), dtype, [target])


def test_gradients_against_differences():
    a, b, c = (pn.tensor(x, requires_grad=True) for x in arrays(3, (4, 3)))
    assert pn.gradcheck(lambda *x: nn.TripletMarginLoss(margin=0.5)(*x), (a, b, c))
    assert pn.gradcheck(lambda *x: nn.CosineEmbeddingLoss(0.1)(*x, [1, -1, 1, -1]), (a, b))
    assert pn.gradcheck(lambda *x: nn.ContrastiveLoss(2.0)(*x, [0, 1, 0, 1]), (a, b))


def test_repr_and_bad_arguments():
    assert repr(nn.TripletMarginLoss()) == "TripletMarginLoss()"
    assert repr(nn.TripletMarginLoss(0.5, swap=True)) == "TripletMarginLoss(margin=0.5, swap=True)"
    with pytest.raises(ValueError, match=r"positive has shape \(2, 4\), expected equal"):
        F.triplet_margin_loss(np.ones((2, 3)), np.ones((2, 4)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"target has shape \(2, 3\), expected one number a pair: \(2,\)"):
        F.contrastive_loss(np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="reduction must be one of"):
        nn.CosineEmbeddingLoss(reduction="all")
    with pytest.raises(ValueError, match="norm: p is 0"):
        pn.norm(np.ones(3), 0)
