"""Tensors against PyTorch: values, gradients, shapes and dtypes of the functions that bear PyTorch's names."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _core
from tests import tolerances
from tests.ops import gradient_cases

torch = pytest.importorskip("torch")


def both(f, *arrays, dtype="float64", **kwargs):
    """f(library, *tensors) in both libraries: outputs and the gradients of all real inputs agree."""
    outs, grads = [], []
    for lib in (pn, torch):
        tensors = []
        for a in arrays:
            real = np.asarray(a).dtype.kind == "f"
            a = np.asarray(a, dtype) if real else np.asarray(a)
            t = pn.tensor(a) if lib is pn else torch.tensor(a)
            tensors.append(t.requires_grad_() if real else t)
        out = f(lib, *tensors, **kwargs)
        outs.append(out)
        if out.requires_grad:
            weights = (
                np.random.default_rng(5).uniform(-1, 1, tuple(out.shape)).astype(f"{out.dtype}".removeprefix("torch."))
            )
            out.backward(pn.tensor(weights) if lib is pn else torch.tensor(weights))
        grads.append([t.grad for t in tensors])
    ours, theirs = outs
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert ours.requires_grad == theirs.requires_grad
    if theirs.dtype is not torch.bool:
        assert f"torch.{ours.dtype}" == str(theirs.dtype)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), **tolerances.TENSORS[dtype])
    for a, b in zip(*grads, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a.numpy(), b.numpy(), **tolerances.TENSORS[dtype])


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(0)


NAMES = [
    "exp",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "relu",
    "abs",
    "neg",
    "square",
    "reciprocal",
    "softplus",
    "silu",
    "selu",
    "gelu",
]


@pytest.mark.parametrize("name", [*NAMES, "log", "sqrt", "softsign", "elu", "leaky_relu", "hardtanh"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 17), (0,), (2, 1, 100)])
def test_elementwise(name, shape, dtype, rng):
    x = rng.uniform(-3, 3, shape)
    x = np.abs(x) + 0.1 if name in ("log", "sqrt") else np.where(np.abs(x) < 0.01, 0.5, x)

    def f(lib, t):
        where = lib if hasattr(lib, name) else torch.nn.functional
        return getattr(where, name)(t)

    both(f, x, dtype=dtype)


def test_special_values(dtype):
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 1e30, -1e30])
    for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "relu", "abs", "reciprocal", "softplus", "sin"):
        x = special if name != "sin" else special[[0, 1, 2, 4, 5]]
        where = torch if hasattr(torch, name) else torch.nn.functional
        theirs = getattr(where, name)(torch.tensor(x.astype(dtype))).numpy()
        ours = getattr(pn, name)(pn.tensor(x.astype(dtype))).numpy()
        np.testing.assert_allclose(ours, theirs, tolerances.TENSORS[dtype]["rtol"], tolerances.SMALLEST, err_msg=name)


PAIRS = [*gradient_cases.PAIRS, ((4, 1), (4,)), ((0, 3), (1, 3))]


@pytest.mark.parametrize("shapes", PAIRS, ids=str)
def test_binary(shapes, dtype, rng):
    a, b = (rng.uniform(0.3, 2, s) for s in shapes)
    both(lambda lib, x, y: x + y, a, b, dtype=dtype)
    both(lambda lib, x, y: x - y, a, b, dtype=dtype)
    both(lambda lib, x, y: x * y, a, b, dtype=dtype)
    both(lambda lib, x, y: x / y, a, b, dtype=dtype)
    both(lambda lib, x, y: x**y, a, b, dtype=dtype)
    both(lambda lib, x, y: lib.maximum(x, y), a, b, dtype=dtype)
    both(lambda lib, x, y: lib.minimum(x, y), a, b, dtype=dtype)
    both(lambda lib, x, y: lib.where(x > y, x, y * 2), a, b, dtype=dtype)


@pytest.mark.parametrize(
    "f",
    [
        lambda lib, x: 2 + x,
        lambda lib, x: 2 - x,
        lambda lib, x: 2.5 * x,
        lambda lib, x: 1 / x,
        lambda lib, x: 2**x,
        lambda lib, x: x**2,
        lambda lib, x: x**3,
        lambda lib, x: x**-1,
        lambda lib, x: x**0.5,
        lambda lib, x: -x,
        lambda lib, x: abs(x),
        lambda lib, x: x.clamp(0.5, 1.2),
        lambda lib, x: lib.clamp(x, min=0.7),
        lambda lib, x: x.clip(max=1),
        lambda lib, x: x @ x.T,
        lambda lib, x: x.mm(x.t()),
        lambda lib, x: x.masked_fill(x > 1, 0.0),
        lambda lib, x: lib.outer(x[0], x[1]),
        lambda lib, x: lib.dot(x[0], x[1]),
        lambda lib, x: (x * 3).detach() * x,
        lambda lib, x: x.clone() * x,
        lambda lib, x: lib.zeros_like(x) + lib.ones_like(x) * x,
        lambda lib, x: x * lib.tensor([1, 2, 3, 4]),
        lambda lib, x: x.double() * 2,
    ],
    ids=lambda f: "",
)
def test_expressions(f, dtype, rng):
    both(f, rng.uniform(0.4, 1.6, (3, 4)), dtype=dtype)


@pytest.mark.parametrize("dim", [None, 0, 1, -1, (0, 2), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("keepdim", [False, True])
def test_reductions(dim, keepdim, dtype, rng):
    x = rng.permutation(30).reshape(2, 3, 5) / 7
    kwargs = {} if dim is None else {"dim": dim, "keepdim": keepdim}
    both(lambda lib, t: t.sum(**kwargs), x, dtype=dtype)
    both(lambda lib, t: t.mean(**kwargs), x, dtype=dtype)
    both(lambda lib, t: t.var(**kwargs), x, dtype=dtype)
    both(lambda lib, t: t.std(**kwargs), x, dtype=dtype)
    if not isinstance(dim, tuple) or len(dim) < 3:
        both(lambda lib, t: t.norm(**kwargs), x, dtype=dtype)
    if dim is not None:
        both(lambda lib, t: t.amax(**kwargs), x, dtype=dtype)
        both(lambda lib, t: t.logsumexp(**kwargs), x, dtype=dtype)
    if isinstance(dim, int):
        both(lambda lib, t: t.max(**kwargs).values, x, dtype=dtype)
        both(lambda lib, t: t.min(dim, keepdim)[0], x, dtype=dtype)
        both(lambda lib, t: t.max(**kwargs).indices, x, dtype=dtype)
        both(lambda lib, t: t.argmin(**kwargs), x, dtype=dtype)
        both(lambda lib, t: t.softmax(dim), x, dtype=dtype)
        both(lambda lib, t: t.log_softmax(dim), x, dtype=dtype)
    if dim is None:
        both(lambda lib, t: t.max(), x, dtype=dtype)
        both(lambda lib, t: t.argmax(), x, dtype=dtype)


def test_ties_share_the_gradient(dtype):
    x = np.array([[1.0, 3, 3], [2, 2, 2]])
    both(lambda lib, t: t.amax(1), x, dtype=dtype)
    both(lambda lib, t: t.amin(0), x, dtype=dtype)
    both(lambda lib, t: lib.maximum(t, t.detach()), x, dtype=dtype)


SHAPES = [
    lambda lib, x: x.reshape(6, -1),
    lambda lib, x: x.view(24) * x.flatten(),
    lambda lib, x: x.flatten(1),
    lambda lib, x: x.flatten(0, 1),
    lambda lib, x: x.transpose(0, 2),
    lambda lib, x: x.permute(2, 0, 1),
    lambda lib, x: x.permute((1, 2, 0)),
    lambda lib, x: x.mT,
    lambda lib, x: x.unsqueeze(0),
    lambda lib, x: x.unsqueeze(-1).squeeze(),
    lambda lib, x: x.unsqueeze(1).expand(-1, 5, -1, -1),
    lambda lib, x: lib.broadcast_to(x, (2, 2, 3, 4)),
    lambda lib, x: lib.cat([x, x * 2], 1),
    lambda lib, x: lib.stack([x, x * 2], -1),
    lambda lib, x: lib.split(x, 2, 1)[1],
    lambda lib, x: x.split([1, 2], dim=1)[1],
    lambda lib, x: x.chunk(3, 2)[1],
    lambda lib, x: x[0],
    lambda lib, x: x[-1, 1:, ::2],
    lambda lib, x: x[..., 1],
    lambda lib, x: x[:, None],
    lambda lib, x: x[:, 0, None, 1:3],
    lambda lib, x: x[[1, 0, 1]],
    lambda lib, x: x[:, [0, 2]],
    lambda lib, x: x[[0, 1], [1, 2]],
    lambda lib, x: x[[0, 1], :, [1, 2]],
    lambda lib, x: x[0, :, [1, 2]],
    lambda lib, x: x[lib.tensor([[0, 1], [1, 1]])],
    lambda lib, x: x[x > 0.5],
    lambda lib, x: x[:, lib.tensor([True, False, True])],
    lambda lib, x: x.index_select(2, lib.tensor([3, 0])),
    lambda lib, x: x.gather(2, lib.tensor([[[0], [1], [2]], [[3], [3], [0]]])),
]


@pytest.mark.parametrize("f", SHAPES, ids=range(len(SHAPES)))
def test_shapes_and_choice(f, dtype, rng):
    both(f, rng.uniform(0, 1, (2, 3, 4)), dtype=dtype)


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 4), (4, 5)),
        ((4,), (4,)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((0, 4), (4, 5)),
    ],
    ids=str,
)
def test_matmul(shapes, dtype, rng):
    a, b = (rng.normal(size=s) for s in shapes)
    both(lambda lib, x, y: x @ y, a, b, dtype=dtype)


def test_comparisons(dtype, rng):
    a = rng.integers(0, 3, (4, 5)).astype(float)
    for f in (
        lambda lib, x: x == 1,
        lambda lib, x: x != 1,
        lambda lib, x: (x > 0) & (x < 2),
        lambda lib, x: (x > 1) | (x == 0),
        lambda lib, x: ~(x >= 1),
        lambda lib, x: (x <= 1).all(1),
        lambda lib, x: (x > 1).any(),
        lambda lib, x: lib.isnan(x / x),
        lambda lib, x: lib.isfinite(1 / x),
    ):
        both(f, a, dtype=dtype)


def test_integers(rng):
    for f in (
        lambda lib, x: x * 2 + 1,
        lambda lib, x: x // 3,
        lambda lib, x: x % 3,
        lambda lib, x: -x,
        lambda lib, x: x.sum(0),
        lambda lib, x: x / 2,
        lambda lib, x: x * 0.5,
        lambda lib, x: x.float().exp(),
        lambda lib, x: x == 2,
        lambda lib, x: lib.maximum(x, x * 0 + 2),
    ):
        both(f, rng.integers(-5, 5, (3, 4)), dtype="float32")


def test_data_rules_are_pytorchs():
    for data in (1, 1.5, [1, 2], [1.0, 2], np.ones(2), np.ones(2, "f4"), np.float64(1), np.arange(2)):
        assert f"torch.{pn.tensor(data).dtype}" == str(torch.tensor(data).dtype)
    assert pn.arange(5).tolist() == torch.arange(5).tolist()
    np.testing.assert_allclose(pn.arange(0, 1, 0.1).numpy(), torch.arange(0, 1, 0.1).numpy(), rtol=tolerances.SINGLE)
    np.testing.assert_allclose(pn.linspace(-1, 2, 7).numpy(), torch.linspace(-1, 2, 7).numpy(), rtol=tolerances.SINGLE)
    assert pn.eye(2, 3).tolist() == torch.eye(2, 3).tolist()


def test_dlpack_and_array_between_the_libraries():
    t = pn.tensor([[1.0, 2.0], [3.0, 4.0]])
    theirs = torch.from_dlpack(t)
    theirs[0, 0] = 9
    assert t[0, 0].item() == 9
    del t
    assert theirs.sum().item() == 18
    x = torch.arange(6.0).reshape(2, 3)
    ours = pn.from_dlpack(x)
    ours[0, 1] = 7
    assert x[0, 1].item() == 7
    assert pn.from_dlpack(x.T).tolist() == x.T.tolist(), "other strides are copied"
    assert pn.from_dlpack(torch.tensor([True, False])).is_mask
    assert pn.tensor(x).tolist() == x.tolist() and pn.tensor(torch.tensor([1, 2])).dtype == "int64"
    with pytest.raises(TypeError, match="DLPack type code"):
        pn.from_dlpack(torch.zeros(2, dtype=torch.bfloat16))
    for dtype in (torch.float64, torch.int64, torch.float32):
        x = torch.arange(3, dtype=dtype)
        assert pn.from_dlpack(x).numpy().ctypes.data == x.data_ptr()
        assert torch.from_dlpack(pn.from_dlpack(x)).data_ptr() == x.data_ptr()
    before = _core.alloc_stats()["live_count"]
    for _ in range(10):
        torch.from_dlpack(pn.ones(3)).sum()
        pn.from_dlpack(torch.ones(3)).sum()
    assert _core.alloc_stats()["live_count"] == before


def test_accumulation_and_graph_semantics(dtype, rng):
    """A small recurrent computation with shared weights, swept twice."""
    w, x = rng.normal(size=(4, 4)) / 2, rng.normal(size=(3, 4))

    def f(lib, w, x):
        h = x
        for _ in range(5):
            h = (h @ w).tanh() + 0.1 * x
        loss = (h * h).sum()
        loss.backward(retain_graph=True)
        return loss

    both(f, w, x, dtype=dtype)
