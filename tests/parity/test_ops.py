"""Values and gradients of the ops (arithmetic, reductions, shapes, choice, products) against PyTorch at odd shapes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pyneuro import _core  # noqa: E402
from tests import tolerances  # noqa: E402

REAL = ("float32", "float64")


def check(ours, theirs, dtype, what):
    """Largest difference over largest value, at least 1."""
    worst = np.abs(ours - theirs).max(initial=0) / np.abs(theirs).max(initial=1)
    assert worst <= tolerances.OPS[dtype], f"{what}: {worst}"


def draw(rng, shape, dtype):
    """Random numbers; integers below `limit` for a shape written as (limit, "index", shape)."""
    if len(shape) == 3 and shape[1] == "index":
        return rng.integers(0, shape[0], shape[2])
    return np.asarray(rng.uniform(0.2, 2.0, shape) * rng.choice([-1, 1], shape), dtype)


def compare(name, attrs, theirs, shapes, dtype, positive=False):
    """Runs the op here and `theirs` there on the same numbers, with the same gradient of the output."""
    rng = np.random.default_rng(len(name) + sum(len(s) for s in shapes))
    arrays = [draw(rng, s, dtype) for s in shapes]
    if positive:
        arrays = [np.asarray(abs(a)) for a in arrays]
    real = [a.dtype.kind == "f" for a in arrays]
    ours = [_core.Tensor(a, requires_grad=r) for a, r in zip(arrays, real, strict=True)]
    others = [torch.from_numpy(a.copy()).requires_grad_(r) for a, r in zip(arrays, real, strict=True)]
    y, z = _core.ops[name](*ours, **attrs), theirs(*others)
    assert y.shape == tuple(z.shape)
    assert y.dtype == str(z.dtype).removeprefix("torch.")
    check(y.detach().numpy(), z.detach().numpy(), dtype, "value")
    if not z.dtype.is_floating_point:
        return
    gradient = np.asarray(rng.normal(size=tuple(z.shape)), dtype)
    y.backward(_core.Tensor(gradient))
    z.backward(torch.from_numpy(gradient))
    for i, (a, b) in enumerate(zip(ours, others, strict=True)):
        if real[i]:
            wanted = np.zeros(shapes[i]) if b.grad is None else b.grad.numpy()
            check(a.grad.numpy(), wanted, dtype, f"gradient {i}")


PAIRS = [
    [(3, 4), (3, 4)],
    [(3, 4), (4,)],
    [(3, 1), (1, 5)],
    [(), (2, 3)],
    [(2, 3), ()],
    [(70, 70), (70, 1)],
    [(2, 1, 4), (3, 1)],
    [(0, 3), (3,)],
    [(3, 1), (3, 0)],
    [(), (5000,)],
    [(2, 3, 2, 3), (3, 1, 3)],
]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shapes", PAIRS, ids=str)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum", "pow"])
def test_arithmetic(name, shapes, dtype):
    compare(name, {}, getattr(torch, name), shapes, dtype, positive=name == "pow")


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparisons(name):
    a = np.array([1.0, 2, 3, np.nan, 5])
    b = np.array([[1.0], [3], [np.nan]])
    for x, y in ((a, b), (np.arange(5), np.array([[2], [4]]))):
        ours = _core.ops[name](_core.Tensor(x), _core.Tensor(y))
        assert ours.dtype == "int64"
        np.testing.assert_array_equal(
            ours.numpy(),
            getattr(
                np,
                {"eq": "equal", "ne": "not_equal", "lt": "less"}.get(
                    name, {"le": "less_equal", "gt": "greater", "ge": "greater_equal"}.get(name)
                ),
            )(x, y),
        )


REDUCTIONS = [
    ((), ()),
    ((7,), ()),
    ((3, 5), (0,)),
    ((3, 5), (-1,)),
    ((70, 130), ()),
    ((70, 130), (0,)),
    ((130, 70), (1,)),
    ((2, 3, 4), (1,)),
    ((2, 3, 4), (0, 2)),
    ((3, 70, 2, 70), (1, 3)),
    ((2, 1, 3), (0, 1)),
]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("shape", "dim"), REDUCTIONS, ids=str)
def test_reductions(shape, dim, keepdim, dtype):
    dims = dim or tuple(range(len(shape)))
    attrs = {"dim": dim, "keepdim": keepdim}
    compare("sum", attrs, lambda x: torch.sum(x, dims, keepdim), [shape], dtype)
    compare("mean", attrs, lambda x: torch.mean(x, dims, keepdim), [shape], dtype)
    compare("max", attrs, lambda x: torch.amax(x, dims, keepdim), [shape], dtype)
    compare("min", attrs, lambda x: torch.amin(x, dims, keepdim), [shape], dtype)
    compare("logsumexp", attrs, lambda x: torch.logsumexp(x, dims, keepdim), [shape], dtype)
    if len(dim) == 1:
        one = {"dim": dim[0], "keepdim": keepdim}
        compare("argmax", one, lambda x: torch.argmax(x, dim[0], keepdim), [shape], dtype)
        compare("argmin", one, lambda x: torch.argmin(x, dim[0], keepdim), [shape], dtype)


def test_whole_numbers():
    x = np.random.default_rng(0).integers(-9, 9, (5, 6, 7))
    for name, theirs in (("sum", np.sum), ("max", np.max), ("min", np.min)):
        for dim in ((), (1,), (0, 2)):
            ours = _core.ops[name](_core.Tensor(x), dim=dim)
            np.testing.assert_array_equal(ours.numpy(), theirs(x, axis=dim or None))
    np.testing.assert_array_equal(_core.ops["argmax"](_core.Tensor(x), dim=1).numpy(), np.argmax(x, 1))


SHAPES = [
    ("reshape", {"shape": (2, -1, 3)}, lambda x: x.reshape(2, -1, 3), [(6, 4)]),
    ("expand", {"shape": (4, 3, 70)}, lambda x: x.expand(4, 3, 70), [(3, 1)]),
    ("expand", {"shape": (5, -1)}, lambda x: x.expand(5, -1), [(1, 7)]),
    ("transpose", {}, lambda x: x.T, [(33, 70)]),
    ("transpose", {"dims": (2, 0, 1)}, lambda x: x.permute(2, 0, 1), [(5, 34, 40)]),
    ("transpose", {"dims": (0, 2, 1, 3)}, lambda x: x.permute(0, 2, 1, 3), [(2, 40, 33, 3)]),
    ("transpose", {"dims": (3, -3, 2, 0)}, lambda x: x.permute(3, 1, 2, 0), [(2, 3, 4, 35)]),
    ("concat", {"dim": 0}, lambda *x: torch.cat(x, 0), [(2, 3), (1, 3), (0, 3)]),
    ("concat", {"dim": -1}, lambda *x: torch.cat(x, -1), [(70, 3), (70, 90)]),
    ("concat", {"dim": 1}, lambda *x: torch.cat(x, 1), [(2, 3, 4), (2, 1, 4)]),
    ("stack", {"dim": 0}, lambda *x: torch.stack(x, 0), [(3, 4), (3, 4)]),
    ("stack", {"dim": -1}, lambda *x: torch.stack(x, -1), [(3, 4), (3, 4), (3, 4)]),
    ("slice", {"start": (1, 0), "stop": (5, 70), "step": (2, 1)}, lambda x: x[1:5:2], [(6, 70)]),
    ("slice", {"start": (4, 2), "stop": (-1, 3), "step": (-1, 1)}, lambda x: x.flip(0)[:, 2:3], [(5, 6)]),
    ("gather", {"dim": 0}, lambda x, i: torch.gather(x, 0, i), [(5, 4), (5, "index", (9, 3))]),
    ("gather", {"dim": -1}, lambda x, i: torch.gather(x, -1, i), [(2, 3, 4), (4, "index", (2, 2, 6))]),
    ("index_select", {"dim": 1}, lambda x, i: torch.index_select(x, 1, i), [(3, 9, 17), (9, "index", (20,))]),
    ("index_select", {"dim": 0}, lambda x, i: torch.nn.functional.embedding(i, x), [(9, 5), (9, "index", (4, 6))]),
    ("where", {}, lambda c, a, b: torch.where(c != 0, a, b), [(2, "index", (3, 1)), (1, 4), ()]),
    ("clip", {"min": -0.7, "max": 0.9}, lambda x: torch.clamp(x, -0.7, 0.9), [(40, 9)]),
    ("prelu", {}, torch.prelu, [(3, 4, 5), (4,)]),
    ("prelu", {}, torch.prelu, [(3, 4, 5), (1,)]),
]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(
    ("name", "attrs", "theirs", "shapes"), SHAPES, ids=lambda v: str(v) if isinstance(v, str | dict) else ""
)
def test_shapes_and_choice(name, attrs, theirs, shapes, dtype):
    compare(name, attrs, theirs, shapes, dtype)


PRODUCTS = [
    [(3,), (3,)],
    [(3,), (3, 4)],
    [(2, 3), (3,)],
    [(2, 3), (3, 4)],
    [(65, 17), (17, 130)],
    [(5, 2, 3), (3, 4)],
    [(2, 3), (5, 3, 4)],
    [(5, 1, 2, 3), (4, 3, 2)],
    [(3,), (5, 3, 4)],
    [(5, 2, 3), (3,)],
    [(2, 0), (0, 4)],
]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("turn_a", [False, True])
@pytest.mark.parametrize("turn_b", [False, True])
@pytest.mark.parametrize("shapes", PRODUCTS, ids=str)
def test_matmul(shapes, turn_a, turn_b, dtype):
    def turned(shape, turn):
        return shape[:-2] + shape[:-3:-1] if turn and len(shape) > 1 else shape

    def theirs(a, b):
        a = a.mT if turn_a and a.ndim > 1 else a
        return a @ (b.mT if turn_b and b.ndim > 1 else b)

    stored = [turned(shapes[0], turn_a), turned(shapes[1], turn_b)]
    compare("matmul", {"transpose_a": turn_a, "transpose_b": turn_b}, theirs, stored, dtype)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(
    "shapes",
    [
        [(10, 2), (4, 2), (4,)],
        [(3,), (5, 3), (5,)],
        [(2, 7, 33), (65, 33), (65,)],
        [(32, 784), (11, 784)],
        [(1, 3), (1, 3)],
    ],
    ids=str,
)
def test_linear(shapes, dtype):
    compare("linear", {}, torch.nn.functional.linear, shapes, dtype)
