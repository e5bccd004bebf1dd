"""Rounding, division with remainder, products and running sums, repetition and names of arguments against PyTorch."""

import numpy as np
import pytest
from test_tensor_ops import both

import pyneuro as pn
from pyneuro import nn
from tests import tolerances

torch = pytest.importorskip("torch")

DTYPES = ("float32", "float64")
EDGES = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -1.5, 0.3, -0.3, 7.0, -7.0, 1e20, -1e20, 2.0**23 + 1, 2.0**22 + 0.5]
EDGES += [2.0**52 + 1, 2.0**51 + 0.5, 1e-30, -1e-30, np.inf, -np.inf]


def same_bits(ours, theirs):
    """Equal, the sign of zero included; NaN equals NaN."""
    ours, theirs = ours.numpy(), theirs.numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(np.signbit(ours[ours == 0]), np.signbit(theirs[theirs == 0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["floor", "ceil", "round", "sign"])
def test_rounding(name, dtype):
    x = np.concatenate([np.random.default_rng(0).normal(size=500) * 4, EDGES]).astype(dtype)
    same_bits(getattr(pn, name)(pn.tensor(x)), getattr(torch, name)(torch.tensor(x)))
    assert np.isnan(getattr(pn, name)(pn.tensor(np.nan)).item())
    both(lambda lib, t: getattr(t, name)() * t, x[:50], dtype=dtype)
    whole = np.arange(-3, 4)
    same_bits(getattr(pn, name)(pn.tensor(whole)), getattr(torch, name)(torch.tensor(whole)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_to_decimals(dtype):
    both(lambda lib, t: lib.round(t, decimals=2), np.linspace(-1, 1, 30), dtype=dtype)
    both(lambda lib, t: lib.round(t, decimals=-1), np.linspace(-100, 100, 30), dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_division_with_remainder(dtype):
    rng = np.random.default_rng(1)
    a = np.concatenate([rng.normal(size=400) * 9, EDGES, [1.0, 5.0, -5.0, np.nan, 1.0]]).astype(dtype)
    b = np.concatenate([rng.normal(size=400), EDGES[::-1], [0.1, np.inf, np.inf, 1.0, np.nan]]).astype(dtype)
    b[:100] = np.round(b[:100] * 4) / 2  # exact quotients, and zeros
    ours, theirs = (pn.tensor(a), pn.tensor(b)), (torch.tensor(a), torch.tensor(b))
    same_bits(ours[0] // ours[1], theirs[0] // theirs[1])
    same_bits(ours[0] % ours[1], theirs[0] % theirs[1])
    same_bits(pn.floor_divide(ours[0], 2), torch.floor_divide(theirs[0], 2))
    same_bits(pn.remainder(ours[0], -0.5), torch.remainder(theirs[0], -0.5))
    same_bits(7 // ours[1], 7 // theirs[1])
    same_bits(-7.5 % ours[1], -7.5 % theirs[1])


def test_gradient_of_the_remainder():
    """From PyTorch's derivative formulas: 1 and -floor(a / b), summed where an operand was repeated."""
    both(lambda lib, x, y: x % y, np.array([[7.5, -7.5], [1.0, -3.25]]), np.array([2.0, -0.75]))
    assert not (pn.tensor(1.0, requires_grad=True) // 2).requires_grad, "piecewise constant: no gradient"


def test_division_of_integers():
    whole = np.arange(-6, 7)
    for f in (
        lambda x: x // 4,
        lambda x: x % 4,
        lambda x: x // -4,
        lambda x: x % -4,
        lambda x: x // 2.0,
        lambda x: 9 % x,
    ):
        a, b = pn.tensor(whole[whole != 0]), torch.tensor(whole[whole != 0])
        ours, theirs = f(a), f(b)
        assert f"torch.{ours.dtype}" == str(theirs.dtype)
        assert ours.tolist() == theirs.tolist()
    with pytest.raises(ValueError, match="integer division by zero"):
        pn.tensor([1]) % 0
    t = pn.tensor([7.0, -7.0])
    same = t
    t //= 2
    t %= 3
    assert same is t and t.tolist() == [0.0, 2.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_running_sums_and_products(dim, dtype):
    rng = np.random.default_rng(2)
    x = rng.uniform(0.5, 1.5, (2, 3, 5)) * rng.choice([-1, 1], (2, 3, 5))
    both(lambda lib, t: t.cumsum(dim), x, dtype=dtype)
    both(lambda lib, t: t.prod(dim), x, dtype=dtype)
    both(lambda lib, t: lib.prod(t, dim, True), x, dtype=dtype)
    both(lambda lib, t: lib.prod(t), x, dtype=dtype)
    for zeros in ((0,), (0, 1), (0, 15, 16)):  # the gradient at the only zero of a group is the product of the others
        y = x.copy()
        y.reshape(-1)[list(zeros)] = 0
        both(lambda lib, t: t.prod(dim), y, dtype=dtype)
        both(lambda lib, t: t.prod(), y, dtype=dtype)


def test_running_sums_and_products_of_integers():
    x = np.arange(-5, 7).reshape(3, 4)
    for f in (lambda t: t.cumsum(0), lambda t: t.cumsum(1), lambda t: t.prod(), lambda t: t.prod(1)):
        assert f(pn.tensor(x)).tolist() == f(torch.tensor(x)).tolist()
    assert pn.tensor([2**62]).repeat(3).cumsum(0).tolist() == torch.tensor([2**62]).repeat(3).cumsum(0).tolist()
    assert pn.zeros(0).prod().item() == 1 and pn.zeros(0, 2).cumsum(0).shape == (0, 2)
    with pytest.raises(TypeError, match="cumsum: dim is missing"):
        pn.ones(2).cumsum()


def test_products_of_several_dimensions():
    x = np.random.default_rng(3).uniform(0.5, 1.5, (2, 3, 4))
    both(lambda lib, t: t.prod((0, 2)) if lib is pn else t.prod(2).prod(0), x)


@pytest.mark.parametrize(
    "f",
    [
        lambda lib, x: x.repeat(2, 1, 3),
        lambda lib, x: x.repeat((4, 2, 1, 2)),
        lambda lib, x: x.repeat(1, 1, 1),
        lambda lib, x: x.repeat(2, 0, 1),
        lambda lib, x: x.tile(2),
        lambda lib, x: lib.tile(x, (2, 1, 3, 2)),
        lambda lib, x: x.tile((3, 1, 1)),
        lambda lib, x: x.sum().repeat(2, 2),
        lambda lib, x: x.where(x > 0.5, x * 0),
        lambda lib, x: x.where(x > 0.5, lib.tensor(1.0, dtype=x.dtype)),
        lambda lib, x: x.flip(0),
        lambda lib, x: lib.flip(x, (0, 2)),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_repetition_and_choice(f, dtype):
    both(f, np.random.default_rng(4).uniform(0, 1, (2, 3, 4)), dtype=dtype)


def test_repetition_of_many_dimensions_and_refusals():
    x = np.arange(2.0).reshape((2,) + (1,) * 7)
    both(lambda lib, t: t.repeat((2,) * 8), x)
    assert pn.tensor([1, 2]).repeat(2).tolist() == [1, 2, 1, 2]
    with pytest.raises(ValueError, match=r"repeat: sizes is \(2,\), expected at least one for each dimension"):
        pn.ones(2, 3).repeat(2)
    with pytest.raises(ValueError, match=r"tile: dims is .* expected numbers of 0 or more"):
        pn.ones(2).tile(-1)


REDUCTIONS = [
    "sum",
    "mean",
    "prod",
    "var",
    "std",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "all",
    "any",
    "logsumexp",
    "norm",
]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_take_numpys_names(name):
    x = np.random.default_rng(5).permutation(12).reshape(3, 4) / 7.0
    torch_names = {"dim": 1, "keepdim": True} if name == "norm" else {"axis": 1, "keepdims": True}
    by_torch, plain = getattr(torch.tensor(x), name)(**torch_names), getattr(pn.tensor(x), name)(dim=1, keepdim=True)
    ours = getattr(pn.tensor(x), name)(axis=1, keepdims=True)
    assert ours.tolist() == plain.tolist()
    np.testing.assert_allclose(ours.numpy(), by_torch.numpy(), rtol=tolerances.NEARLY_BITS)
    assert getattr(pn, name)(pn.tensor(x), axis=0).shape == (4,)
    with pytest.raises(TypeError, match=f"{name}: give dim or axis, not both"):
        getattr(pn, name)(pn.tensor(x), dim=0, axis=1)
    with pytest.raises(TypeError, match=f"{name}: there is no argument 'axes'"):
        getattr(pn, name)(pn.tensor(x), axes=1)


def test_numpys_names_elsewhere():
    x = pn.tensor([[1.0, 3.0], [2.0, 0.0]])
    assert x.max(axis=1).values.tolist() == [3.0, 2.0] and x.min(axis=0, keepdims=True)[1].tolist() == [[0, 1]]
    assert x.cumsum(axis=0).tolist() == [[1.0, 3.0], [3.0, 3.0]]
    assert x.softmax(axis=0).tolist() == x.softmax(0).tolist()
    assert x.log_softmax(axis=0).tolist() == x.log_softmax(0).tolist()
    with pytest.raises(TypeError, match="cumsum: there is no argument 'keepdims'"):
        x.cumsum(axis=0, keepdims=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_variance_without_correction(dtype):
    x = np.random.default_rng(6).normal(size=(3, 5))
    for f in (
        lambda lib, t: t.var(unbiased=False),
        lambda lib, t: t.std(1, False),
        lambda lib, t: t.var(False),
        lambda lib, t: t.var(0, correction=0),
        lambda lib, t: t.std(0, True, True),
        lambda lib, t: t.var(dim=1, keepdim=True, correction=2),
    ):
        both(f, x, dtype=dtype)


def test_norm_of_nothing_has_derivative_0():
    both(lambda lib, t: t.norm(dim=1), np.array([[0.0, 0.0], [3.0, 4.0]]))


@pytest.mark.filterwarnings("ignore:reduction")  # PyTorch's own remark about "mean"
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div(reduction, log_target, dtype):
    rng = np.random.default_rng(7)
    y, t = np.log(rng.dirichlet(np.ones(5), 4)), rng.dirichlet(np.ones(5), 4)
    t = np.log(t) if log_target else t

    def loss(lib, y, t):
        f = (nn if lib is pn else torch.nn).functional.kl_div
        return f(y, t, reduction=reduction, log_target=log_target)

    both(loss, y, t, dtype=dtype)
    ours = nn.KLDivLoss(reduction=reduction, log_target=log_target)(pn.tensor(y), pn.tensor(t))
    theirs = torch.nn.KLDivLoss(reduction=reduction, log_target=log_target)(torch.tensor(y), torch.tensor(t))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=tolerances.SAME)


def test_kl_div_where_the_target_is_0():
    y, t = np.log([[0.5, 0.25, 0.25]]), np.array([[0.0, 1.0, 0.0]])
    ours = nn.functional.kl_div(pn.tensor(y), t, reduction="none")
    np.testing.assert_allclose(ours.numpy(), [[0.0, np.log(4), 0.0]])
    with pytest.raises(ValueError, match=r"kl_div.*reduction.*batchmaen"):
        nn.functional.kl_div(pn.tensor(y), t, "batchmaen")
    with pytest.raises(ValueError, match=r"input has shape \(1, 3\), target has shape \(1, 2\)"):
        nn.functional.kl_div(pn.tensor(y), t[:, 1:])


def test_kl_div_trains():
    """A distribution is fitted to another one: the softmax of the scores goes to the target."""
    target = np.array([[0.7, 0.2, 0.1]], "f4")
    net = nn.Sequential(nn.Linear(1, 3), nn.LogSoftmax(), seed=0)
    x = np.ones((1, 1), "f4")
    net.fit(x, target, loss=nn.KLDivLoss("batchmean"), optimizer=pn.optim.SGD(lr=0.5), epochs=200, verbose=0)
    np.testing.assert_allclose(np.exp(net.predict(x)), target, atol=tolerances.REACHED)
