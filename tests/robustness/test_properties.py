"""Ops, predict, evaluate, fit and batches with any array at all: a right answer (NumPy's), or a sentence.

`make fuzz` tries many more examples than an ordinary run.
"""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strange import DTYPES, REALS, arrays, as_tensor_type, fits_int64

import pyneuro as pn
from pyneuro import nn
from tests import tolerances


@pytest.fixture(autouse=True)
def quiet():
    """NumPy's warnings about overflow and NaN in the expected values."""
    with np.errstate(all="ignore"):
        yield


def close(got, want, ulps=0, atol=0.0):
    """Shape, dtype, NaN and infinities equal, the others within `ulps` units in the last place."""
    got = got.numpy()
    assert got.shape == want.shape and got.dtype == want.dtype
    info = np.finfo(got.dtype) if got.dtype.kind == "f" else None
    rtol = ulps * float(info.eps) if ulps else 0
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol + (ulps * float(info.tiny) if ulps else 0))


# ---- ops ----

UNARY = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "relu": lambda x: np.where(x < 0, 0, x),
    "sqrt": np.sqrt,
    "square": np.square,
    "reciprocal": lambda x: 1 / x,
    "softsign": lambda x: np.where(np.isinf(x), np.nan, x / (1 + np.abs(x))),
}
EITHER = {"abs": np.abs, "neg": np.negative, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.round}


@pytest.mark.parametrize("name", UNARY)
@given(data=st.data())
def test_real_functions(name, data):
    """Computed in float64 by NumPy and rounded; gradients have the shape of the input and do not fail."""
    x = as_tensor_type(data.draw(arrays(REALS)))
    y = getattr(pn, name)(x)
    want = UNARY[name](x.astype("f8")).astype(x.dtype)
    close(y, want, tolerances.ULPS[y.dtype])
    t = pn.tensor(x, requires_grad=True)
    getattr(t, name)().sum().backward()
    assert t.grad.shape == x.shape and t.grad.dtype == t.dtype


@pytest.mark.parametrize("name", EITHER)
@given(a=arrays())
def test_functions_of_reals_and_integers(name, a):
    assume(fits_int64(a))
    x = as_tensor_type(a)
    close(getattr(pn, name)(a), EITHER[name](x).astype(x.dtype))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "maximum", "minimum"])
@given(data=st.data())
def test_binary_functions_broadcast_as_numpy(name, data):
    ours = {"subtract": "sub", "multiply": "mul", "divide": "div"}.get(name, name)
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=4))
    a, b = (as_tensor_type(data.draw(arrays(REALS, st.just(s), permute=False))) for s in shapes.input_shapes)
    op = getattr(pn, ours)
    try:
        want = getattr(np, name)(a, b.astype(a.dtype))
    except ValueError:  # the cuts have left shapes that do not broadcast
        with pytest.raises(ValueError, match="shape"):
            op(pn.tensor(a), pn.tensor(b.astype(a.dtype)))
        return
    close(op(pn.tensor(a), pn.tensor(b.astype(a.dtype))), want)
    if a.dtype != b.dtype:
        with pytest.raises(TypeError, match=r"float32.*float64|float64.*float32"):
            op(pn.tensor(a), pn.tensor(b))


# Small enough that no sum overflows, whatever the order.
MODERATE = st.one_of(st.floats(-(2.0**100), 2.0**100, width=32), st.sampled_from([np.nan, np.inf, -np.inf, -0.0, 1.0]))


def draw_reduction(data):
    """An array, the dimensions to reduce (none: all of them), and how many elements make one result."""
    x = as_tensor_type(data.draw(arrays(hnp.floating_dtypes(sizes=(32, 64)), elements=MODERATE)))
    axes = data.draw(st.sets(st.integers(0, x.ndim - 1)).map(tuple)) if x.ndim else ()
    dims = axes or tuple(range(x.ndim))
    return x, axes, dims, int(np.prod([x.shape[d] for d in dims]))


@pytest.mark.parametrize("name", ["sum", "mean"])
@given(data=st.data())
def test_sums(name, data):
    x, axes, dims, count = draw_reduction(data)
    keep = data.draw(st.booleans())
    wide = x.astype("f8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy says so when a mean has no elements
        want = np.asarray(getattr(np, name)(wide, axis=dims, keepdims=keep))
    got = getattr(pn, name)(x, axes, keep).numpy()
    assert got.shape == want.shape and got.dtype == x.dtype
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    # Both add in double, in another order; the result is rounded once to the type of x.
    sizes = np.asarray(np.abs(np.where(np.isfinite(wide), wide, 0)).sum(axis=dims, keepdims=keep))
    allowed = 1e-15 * (count + 1) * sizes + np.finfo(x.dtype).eps * np.abs(want)
    assert (np.abs(got.astype("f8") - want) <= allowed)[finite].all()


@pytest.mark.parametrize("name", ["amax", "amin"])
@given(data=st.data())
def test_extremes(name, data):
    x, axes, dims, count = draw_reduction(data)
    keep = data.draw(st.booleans())
    if count:
        close(getattr(pn, name)(x, axes, keep), np.asarray(getattr(np, name)(x, axis=dims, keepdims=keep)))
    elif all(x.shape[d] for d in range(x.ndim) if d not in dims):
        with pytest.raises((ValueError, IndexError), match="shape"):
            getattr(pn, name)(x, axes, keep)
    else:  # no results, so none of them is missing
        assert getattr(pn, name)(x, axes, keep).numel() == 0


@given(data=st.data())
def test_matrix_products(data):
    """All ranks that NumPy takes; shapes that do not fit are named."""
    small = st.floats(-100, 100, width=32)
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)
    a, b = (data.draw(arrays(st.just("f8"), shapes, small)) for _ in range(2))
    if data.draw(st.booleans()) and b.ndim > 1:  # otherwise they would seldom fit
        b = np.resize(b, (*b.shape[:-2], a.shape[-1], b.shape[-1]))
    try:
        want = np.matmul(a, b)
    except ValueError:
        with pytest.raises(ValueError, match="shape"):
            pn.matmul(a, b)
        return
    close(pn.matmul(a, b), want, atol=tolerances.PRODUCTS)


# ---- networks ----


class Same(nn.Module):
    """The input itself, by way of an op."""

    def forward(self, x):
        return x * 1.0


ROWS = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)


@given(a=arrays(shapes=ROWS), batch_size=st.integers(1, 4))
def test_predict_takes_any_array(a, batch_size):
    """NaN and infinities go through: a prediction says what the network says."""
    want = a.astype(np.float32)
    net = Same()
    if not a.size:
        with pytest.raises(ValueError, match="empty"):
            net.predict(a, batch_size=batch_size)
        return
    np.testing.assert_array_equal(net.predict(a, batch_size=batch_size), want)


@given(data=st.data())
def test_evaluate_takes_any_array(data):
    numbers = st.one_of(st.floats(-1e3, 1e3, width=16))
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6))
    a, b = (data.draw(arrays(REALS, st.just(shape), numbers, permute=False)) for _ in range(2))
    rows, size = min(len(a), len(b)), min(a[:1].size, b[:1].size)
    assume(rows and size)
    a, b = (v[:rows].reshape(rows, -1)[:, :size] for v in (a, b))
    got = Same().evaluate(a, b, loss="mse", batch_size=data.draw(st.integers(1, 7)))["loss"]
    want = np.mean((a.astype("f8") - b.astype("f8")) ** 2)
    assert got == pytest.approx(want, **tolerances.SINGLE_MEAN)


@given(data=st.data())
def test_batches_hold_every_row_once(data):
    X = data.draw(arrays(shapes=hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=7), permute=False))
    assume(X.size)
    y = np.arange(len(X), dtype=data.draw(st.sampled_from(["i8", ">i4", "u1"])))[::-1]
    size, drop = data.draw(st.integers(1, 9)), data.draw(st.booleans())
    found = list(pn.batches(X, y, size, seed=1, drop_last=drop))
    rows = np.concatenate([yb.numpy() for _, yb in found])
    full = len(X) // size * size if drop and len(X) >= size else len(X)
    assert len(rows) == full and len(set(rows.tolist())) == full
    real = X.astype("f8" if X.dtype.kind == "f" and X.dtype.itemsize == 8 else "f4")
    np.testing.assert_array_equal(np.concatenate([xb.numpy() for xb, _ in found]), real[len(X) - 1 - rows])


def network(features, classes):
    return nn.Sequential(nn.Linear(features, 7), nn.Tanh(), nn.Linear(7, classes), seed=0)


STRIDES = st.sampled_from([slice(None, None, 2), slice(None, None, -2), slice(1, None, 2)])
TYPES = ["f4", "f8", ">f4", ">f8", "f2", "i1", "u1", ">i8", "i4", "?"]


@given(data=st.data())
def test_fit_in_both_modes_on_any_array(data):
    """The plan on the array as it came, teaching mode on a contiguous copy: the same network."""
    n, features, classes = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(2, 5)))
    rng = np.random.default_rng(n * features)
    X = (rng.standard_normal((2 * n, 2 * features)) * 3).astype(data.draw(st.sampled_from(TYPES)))
    X = X[data.draw(STRIDES), data.draw(STRIDES)]
    y = rng.integers(0, classes, n).astype(data.draw(st.sampled_from(["i8", ">i4", "u1", "i2"])))
    X.flags.writeable = y.flags.writeable = False
    options = {"epochs": 2, "seed": 1, "verbose": 0, "drop_last": data.draw(st.booleans())}
    options["batch_size"] = data.draw(st.integers(1, 17))
    fast, slow = network(features, classes), network(features, classes)
    a = fast.fit(X, y, **options)
    b = slow.fit(np.ascontiguousarray(X, np.float32), y.astype(np.int64), mode="eager", **options)
    assert (a.mode, b.mode) == ("plan", "eager")
    for p, q in zip(fast.parameters(), slow.parameters(), strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), **tolerances.FITS)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=tolerances.FITS["rtol"])


@given(data=st.data())
def test_fit_with_unusable_arrays_changes_nothing(data):
    """Whatever X and y are: it trains to finite weights, or it says why not and leaves the weights alone."""
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)
    X, y = data.draw(arrays(shapes=shapes)), data.draw(arrays(DTYPES, shapes))
    net = network(3, 2)
    before = [p.numpy().copy() for p in net.parameters()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net.fit(X, y, loss=data.draw(st.sampled_from(["mse", "cross_entropy", "hinge"])), verbose=0, epochs=1)
    except (ValueError, TypeError, IndexError, ArithmeticError):
        for p, old in zip(net.parameters(), before, strict=True):
            np.testing.assert_array_equal(p.numpy(), old)
    else:
        assert X.shape == (len(y), 3)
        assert all(np.isfinite(p.numpy()).all() for p in net.parameters())
