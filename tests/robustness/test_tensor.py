"""Bad input to tensors and ops: a sentence or a right answer, never a crash. Failing memory changes nothing."""

import gc
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pyneuro as pn
from pyneuro import _core


def live():
    gc.collect()
    stats = _core.alloc_stats()
    return stats["live_count"], stats["live_bytes"]


@pytest.fixture(autouse=True)
def no_leak():
    before = live()
    yield
    assert live() == before


# ---- data ----


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (1, "int64"),
        (True, "int64"),
        ([1.0, 2], "float32"),
        ([], "float32"),
        ([[1], [2]], "int64"),
        ((True, False), "int64"),
        (np.float64(1), "float64"),
        (np.float32(1), "float32"),
        (np.int32(1), "int64"),
        (np.ones(2), "float64"),
        (np.ones(2, "f2"), "float32"),
        (np.ones(2, "u1"), "int64"),
        (range(3), "int64"),
    ],
)
def test_dtypes_follow_pytorch(data, dtype):
    t = pn.tensor(data)
    assert t.dtype == dtype
    np.testing.assert_array_equal(t.numpy(), np.asarray(data))


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        ("text", TypeError, "expected numbers"),
        (None, TypeError, "data has dtype object"),
        ([None], TypeError, "data has dtype object"),
        (np.array([1, "a"], object), TypeError, "data has dtype object"),
        (np.array([1j]), TypeError, "data has dtype complex128"),
        (np.array(["2020-01-01"], "M8[D]"), TypeError, "expected numbers"),
        (np.zeros(2, [("a", "f4")]), TypeError, "expected numbers"),
        (np.zeros(2, "g"), TypeError, "expected numbers"),
        ([[1, 2], [3]], ValueError, "inhomogeneous"),
        (np.zeros((1,) * 9), ValueError, "data has 9 dimensions, expected at most 8"),
        (np.array([2**63], "u8"), ValueError, "unsigned integers of 2\\*\\*63"),
        ([2**70], TypeError, "object"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), TypeError, "masked array"),
        ({1.0}, TypeError, "object"),
    ],
    ids=str,
)
def test_data_that_are_no_numbers(data, error, text):
    with pytest.raises(error, match=text):
        pn.tensor(data)


@pytest.mark.parametrize("dtype", ["float16", "f4x", int, bool, "complex64", 3, object])
def test_dtype_argument(dtype):
    if dtype in (int,):
        assert pn.tensor([1.5], dtype=dtype).tolist() == [1]
        return
    with pytest.raises(TypeError, match="expected 'float32', 'float64' or 'int64'"):
        pn.tensor([1.0], dtype=dtype)


@given(
    array=hnp.arrays(
        dtype=st.one_of(
            hnp.boolean_dtypes(),
            hnp.integer_dtypes(endianness="?"),
            hnp.unsigned_integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
        ),
        shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    data=st.data(),
)
def test_any_array_is_copied_right(array, data):
    """Every dtype and byte order, strides of either sign, repeated axes, no elements, read-only."""
    if array.ndim:
        index = tuple(
            data.draw(st.sampled_from([slice(None), slice(None, None, -1), slice(1, None, 2)])) for _ in array.shape
        )
        array = array[index].transpose(data.draw(st.permutations(range(array.ndim))))
        if data.draw(st.booleans()):
            array = np.broadcast_to(array, (2, *array.shape))
    array.flags.writeable = False
    if array.dtype.kind == "u" and array.size and array.max() >= 2**63:
        return
    t = pn.tensor(array)
    expected = array.astype({"f": "f8" if array.dtype.itemsize == 8 else "f4"}.get(array.dtype.kind, "i8"))
    assert t.shape == array.shape
    np.testing.assert_array_equal(t.numpy(), expected)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(pn.tensor(array, dtype="float32").numpy(), array.astype("f4"))
    if array.ndim:
        rows = _core.gather_rows(array, None, "float64")
        np.testing.assert_array_equal(rows, array.astype("f8"))
        if len(array):
            picked = np.array([len(array) - 1, 0])
            np.testing.assert_array_equal(_core.gather_rows(array, picked, "float64"), array[picked].astype("f8"))


def test_gather_rows_checks_its_arguments():
    with pytest.raises(IndexError, match="index has value 3 at position 1, allowed are 0 to 2"):
        _core.gather_rows(np.zeros((3, 2)), np.array([0, 3]), "float32")
    with pytest.raises(TypeError, match="expected a NumPy array"):
        _core.gather_rows([[1]], None, "float32")
    with pytest.raises(ValueError, match="no dimension"):
        _core.gather_rows(np.array(1.0), None, "float32")
    labels = _core.gather_rows(np.array([1.0, 1.5, np.nan, 1e30]), None, "int64")
    assert labels[0] == 1 and (labels[1:] == np.iinfo("i8").min).all(), "no label has the smallest int64"


# ---- sharing memory ----


def test_numpy_is_a_view_that_keeps_the_memory():
    t = pn.tensor([1.0, 2.0])
    a = t.numpy()
    a[0] = 5
    assert t.tolist() == [5.0, 2.0]
    del t
    gc.collect()
    assert a.tolist() == [5.0, 2.0] and a.flags.writeable
    w = pn.tensor([1.0], requires_grad=True)
    assert w.numpy().flags.writeable
    y = (w * 2).numpy()
    with pytest.raises(ValueError, match="read-only"):
        y[0] = 1


def test_as_tensor_shares_what_it_can():
    a = np.zeros(3)
    t = pn.as_tensor(a)
    a[1] = 7
    assert t.tolist() == [0.0, 7.0, 0.0]
    del a
    gc.collect()
    assert t.tolist() == [0.0, 7.0, 0.0]
    for other in (np.zeros(6)[::2], np.zeros(3, ">f8"), np.frombuffer(b"\0" * 24), np.zeros(3, "i4")):
        assert pn.as_tensor(other).tolist() == [0.0] * 3
        with pytest.raises((TypeError, ValueError)):
            pn.from_numpy(other)
    raw = np.zeros(25, "u1")[1:].view("f8")
    assert not raw.flags.aligned and pn.as_tensor(raw).tolist() == [0.0] * 3


def test_array_protocol():
    t = pn.tensor([1.0, 2.0])
    assert np.asarray(t).dtype == np.float32 and np.asarray(t, np.float64).dtype == np.float64
    assert np.array(t, copy=True).base is None
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        assert np.shares_memory(np.asarray(t, copy=False), t.numpy())
        with pytest.raises(ValueError, match="needs a copy"):
            np.asarray(t, np.float64, copy=False)
    for result in (np.float64(2) * t, np.float32(2) * t, 2 * t, np.array([2.0]) * t, t * np.array([2, 2])):
        assert isinstance(result, pn.Tensor) and result.dtype == "float32" and result.tolist() == [2.0, 4.0]
    with pytest.raises(TypeError, match=r"np\.exp does not take a Tensor"):
        np.exp(t)


def test_dlpack_between_numpy_and_us():
    t = pn.tensor([[1.0, 2.0]])
    a = np.from_dlpack(t)
    a = a if a.flags.writeable else t.numpy()
    a[0, 0] = 9
    assert t.tolist() == [[9.0, 2.0]]
    b = np.arange(3.0)
    s = pn.from_dlpack(b)
    b[0] = 5
    assert s.tolist() == [5.0, 1.0, 2.0]
    assert pn.from_dlpack(np.arange(4, dtype="i2")[::2]).tolist() == [0, 2]
    assert pn.from_dlpack(np.zeros((0, 3))).shape == (0, 3)
    capsule = t.__dlpack__()
    assert pn.from_dlpack(capsule).tolist() == [[9.0, 2.0]]
    with pytest.raises(ValueError, match="PyCapsule"):
        pn.from_dlpack(capsule)
    t.__dlpack__(max_version=(1, 0))  # never consumed: freed with the capsule
    assert t.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match=r"use t\.detach"):
        (pn.ones(1, requires_grad=True) * 2).__dlpack__()
    with pytest.raises(TypeError, match="expected an array with __dlpack__"):
        pn.from_dlpack(3)


# ---- operators ----


def test_mixed_dtypes_name_both():
    a, b = pn.ones(2), pn.ones(2, dtype="float64")
    for f in (lambda: a + b, lambda: a @ b, lambda: a == b, lambda: pn.cat([a, b]), lambda: pn.maximum(a, b)):
        with pytest.raises(TypeError, match=r"float32.*float64"):
            f()
    assert (a + pn.tensor([1, 2])).tolist() == [2.0, 3.0]
    assert (pn.tensor([1, 2]) * 0.5).tolist() == [0.5, 1.0]
    assert (pn.tensor([1, 2]) / 2).dtype == "float32"


def test_messages_name_the_op_and_both_shapes():
    a, b = pn.zeros(2, 3), pn.zeros(4, 5)
    with pytest.raises(ValueError, match=r"matmul: a has shape \(2, 3\).*\(4, 5\)"):
        a @ b
    with pytest.raises(ValueError, match=r"add: .*\(2, 3\).*\(4, 5\)"):
        a + b
    old = _core.set_layer("Linear(3, 4) (layer 0)")
    try:
        with pytest.raises(ValueError, match=r"^Linear\(3, 4\) \(layer 0\): a has shape \(2, 3\)"):
            a @ b
    finally:
        _core.set_layer(old)
    assert old is None
    with pytest.raises(TypeError, match="the label is of type"):
        _core.set_layer(3)


def test_what_is_no_operand():
    t = pn.ones(2)
    for f in (
        lambda: t + "a",
        lambda: "a" * t,
        lambda: t @ 2,
        lambda: t // "a",
        lambda: t & t,
        lambda: t % None,
        lambda: t < "a",
    ):
        with pytest.raises(TypeError):
            f()
    assert (t == None) is False and (t != "a") is True  # noqa: E711
    with pytest.raises(TypeError, match="modulus"):
        pow(t, 2, 3)
    with pytest.raises(TypeError, match="object"):
        t + np.array([None, None])


def test_integers():
    a = pn.tensor([-7, 7, 5])
    assert (a // 2).tolist() == [-4, 3, 2] and (a % 3).tolist() == [2, 1, 2]
    assert (a * a - 1).tolist() == [48, 48, 24] and abs(a).tolist() == [7, 7, 5] and (-a).dtype == "int64"
    assert (~(a > 5)).tolist() == [1, 0, 1] and ((a > 0) & (a < 6)).is_mask
    assert (pn.tensor(2**62) * 4).item() == 0, "int64 wraps as in NumPy"
    assert (pn.tensor([-(2**63)]) // -1).item() == -(2**63)
    with pytest.raises(ValueError, match="integer division by zero"):
        a // pn.tensor([1, 0, 1])
    assert a.sum().item() == 5 and a.max().item() == 7
    assert (a > 0).mean().item() == pytest.approx(2 / 3) and a.exp().dtype == "float32"


def test_truth_and_numbers():
    assert bool(pn.tensor([3.0])) and not pn.tensor(0) and float(pn.tensor([[2.5]])) == 2.5 and int(pn.tensor(2.7)) == 2
    assert [10, 20][pn.tensor(1)] == 20
    for bad in (pn.ones(2), pn.zeros(0)):
        with pytest.raises(RuntimeError, match="truth value of a tensor of shape"):
            bool(bad)
        with pytest.raises(RuntimeError, match=r"item\(\) needs a tensor of one element"):
            bad.item()
    with pytest.raises(TypeError, match="index"):
        [1][pn.tensor(1.0)]
    with pytest.raises(TypeError):
        len(pn.tensor(1.0))
    with pytest.raises(TypeError, match="iteration"):
        list(pn.tensor(1.0))
    assert [t.item() for t in pn.tensor([1.0, 2.0])] == [1.0, 2.0] and 2.0 in pn.tensor([1.0, 2.0])
    assert f"{pn.tensor(1.23456):.2f}" == "1.23" and "tensor" in f"{pn.ones(2)}"


# ---- indexing ----


@given(data=st.data())
def test_indexing_as_numpy_does(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    x = np.arange(math.prod(shape), dtype="f8").reshape(shape)
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=8))
    np.testing.assert_array_equal(pn.tensor(x)[key].numpy(), x[key])
    y = pn.tensor(x)
    y[key] = -1.0
    x[key] = -1
    np.testing.assert_array_equal(y.numpy(), x)


@given(data=st.data())
def test_indexing_with_arrays(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    x = np.arange(math.prod(shape), dtype="f8").reshape(shape)
    count = data.draw(st.integers(1, len(shape)))
    index_shape = data.draw(hnp.array_shapes(max_dims=2, max_side=3))
    key = []
    for n in shape[:count]:
        array = data.draw(hnp.arrays(np.int64, index_shape, elements=st.integers(-n, n - 1)))
        key.append(data.draw(st.sampled_from([array, array.tolist(), pn.tensor(array), slice(None)])))
    expected = x[tuple(k.numpy() if isinstance(k, pn.Tensor) else k for k in key)]
    got = pn.tensor(x, requires_grad=True)
    picked = got[tuple(key)]
    np.testing.assert_array_equal(picked.numpy(), expected)
    picked.sum().backward()
    counts = np.zeros(shape)
    np.add.at(counts, tuple(k.numpy() if isinstance(k, pn.Tensor) else k for k in key), 1.0)
    np.testing.assert_array_equal(got.grad.numpy(), counts)


def test_indexing_with_masks():
    x = np.arange(12.0).reshape(3, 4)
    t = pn.tensor(x)
    np.testing.assert_array_equal(t[t > 5].numpy(), x[x > 5])
    np.testing.assert_array_equal(t[np.array([True, False, True])].numpy(), x[[0, 2]])
    np.testing.assert_array_equal(t[[True, False, True], 1].numpy(), x[[0, 2], 1])
    np.testing.assert_array_equal(t[:, pn.tensor([1, 0, 0, 1]) == 1].numpy(), x[:, [0, 3]])
    t[t > 5] = 0.0
    assert t.sum().item() == 15


@pytest.mark.parametrize(
    ("key", "error", "text"),
    [
        (3, IndexError, r"index 3 is out of range for dimension 0 of a tensor of shape \(3, 4\)"),
        ((0, -5), IndexError, "index -5 is out of range for dimension 1"),
        ((0, 0, 0), IndexError, r"too many indices: 3 for a tensor of shape \(3, 4\)"),
        ((..., ...), IndexError, "one ellipsis"),
        ("a", TypeError, "an index is of type"),
        (1.0, TypeError, "an index is of type"),
        (True, TypeError, "a single bool"),
        ([0, 3], IndexError, "index 3 is out of range for a dimension of size 3"),
        (([0, 1], [0, 1, 2]), IndexError, "cannot be broadcast"),
        ([True, False], IndexError, "a mask has size 2 in dimension 0"),
        ([0.5], IndexError, "expected integers or bools"),
        ((None,) * 7, IndexError, "more than 8 dimensions"),
        (slice(None, None, 0), ValueError, "zero"),
        (10**30, IndexError, "fit"),
    ],
    ids=str,
)
def test_bad_indices(key, error, text):
    t = pn.zeros(3, 4)
    with pytest.raises(error, match=text):
        t[key]
    with pytest.raises((IndexError, TypeError, ValueError)):
        t[pn.tensor([7])]
    if key != (None,) * 7:
        with pytest.raises((IndexError, TypeError, ValueError)):
            t[key] = 1.0
    assert t.sum().item() == 0


# ---- ops ----


def test_arguments_of_ops():
    op = _core.ops
    x = pn.ones(2, 3)
    for call, text in (
        (lambda: op["relu"](), "relu: x is missing"),
        (lambda: op["relu"](x, 0, 1), "takes at most 2 arguments, got 3"),
        (lambda: op["relu"](x, slope=1), "relu has no argument slope"),
        (lambda: op["relu"](x, 0, grad_at_zero=1), "argument grad_at_zero is given twice"),
        (lambda: op["relu"](x, "a"), "relu: grad_at_zero is 'a', expected a number"),
        (lambda: op["sum"](x, dim="a"), "sum: dim is 'a', expected integers"),
        (lambda: op["softmax"](x, dim=None), "softmax: dim is None, expected an integer"),
        (lambda: op["softmax"](x, dim=2**70), "expected an integer"),
        (lambda: op["reshape"](x), r"reshape\(x, shape\): shape is missing"),
        (lambda: op["cross_entropy"](x, [0.5, 1.0]), "cross_entropy: target has dtype float32, expected int64"),
        (lambda: op["add"](x, None), "add: b is missing"),
        (lambda: op["linear"](x, x, None, 3), "takes at most 3 arguments"),
    ):
        with pytest.raises(TypeError, match=text):
            call()
    for call, error, text in (
        (lambda: op["mse"](x, x, "avg"), ValueError, r"mse: reduction is 'avg', expected one of mean\|sum\|none"),
        (lambda: op["sum"](x, dim=(0,) * 9), ValueError, "dim has 9 entries, expected at most 8"),
        (lambda: op["sum"](x, dim=2), IndexError, "dim is 2"),
        (lambda: op["reshape"](x, (4,)), ValueError, r"x has shape \(2, 3\).*\(4,\)"),
        (lambda: op["reshape"](x, (2**40, 2**40)), ValueError, "cannot be reshaped"),
        (lambda: op["expand"](pn.ones(1), (2**40, 2**20)), MemoryError, "not enough memory"),
        (
            lambda: op["cross_entropy"](x, [0, 3]),
            ValueError,
            "^cross_entropy: target has label 3 at row 1, expected 0..2",
        ),
        (lambda: op["dropout"](x, 1.5), ValueError, "p is 1.5"),
        (lambda: op["concat"](x, pn.ones(3)), ValueError, "concat"),
    ):
        with pytest.raises(error, match=text):
            call()
    with pytest.raises((TypeError, ValueError)):
        op["concat"]()
    with pytest.raises(KeyError):
        _core.op_info("rleu")


def test_every_op_survives_odd_tensors():
    """No elements, one element, NaN, wrong ranks: an exception of a documented type, or a result."""
    rng = np.random.default_rng(0)
    pool = [
        np.zeros(s, d) for s in ((), (0,), (1,), (3,), (0, 3), (2, 3), (3, 0, 2), (1,) * 8) for d in ("f4", "f8", "i8")
    ]
    pool += [np.full((2, 3), np.nan), np.full((2, 3), np.inf), np.array([-1, 5]), np.array([[2**62]])]
    tensors = [pn.tensor(a) for a in pool] + [pn.tensor(a, requires_grad=True) for a in pool if a.dtype.kind == "f"]
    calls = passed = 0
    sentences = set()
    for name, op in _core.ops.items():
        fields = _core.op_info(name)["fields"]
        for _ in range(150):
            args = [tensors[i] for i in rng.integers(0, len(tensors), rng.integers(1, 4))]
            attrs = {
                f[0]: [0, 1, -1, (), (0,), (-1,), (2, 1), 0.5, 7][rng.integers(9)] for f in fields if rng.random() < 0.4
            }
            calls += 1
            try:
                out = op(*args, **attrs)
            except (TypeError, ValueError, IndexError, RuntimeError, MemoryError) as error:
                sentences.add(f"{name}: {error}")
                continue
            passed += 1
            if out.requires_grad:
                out.backward(np.ones(out.shape))
    for t in tensors:
        t.grad = None
    assert passed > calls / 20
    assert min(map(len, sentences)) > 15


@pytest.mark.parametrize("make", [pn.zeros, pn.ones, pn.rand, pn.randn, pn.empty])
def test_sizes(make):
    assert make(0).shape == (0,) and make(()).shape == () and make((2, 0)).shape == make(2, 0).shape
    with pytest.raises(ValueError, match="expected sizes of 0 or more"):
        make(-1)
    with pytest.raises(TypeError, match="expected integers"):
        make(1.5)
    with pytest.raises(ValueError, match="9 dimensions"):
        make((1,) * 9)
    for size in ((10**9, 10**9, 10), 10**30, (2**31, 2**31)):
        with pytest.raises(MemoryError):
            make(size)


def test_results_too_large_are_memory_errors():
    a = pn.zeros(10**6, 1)
    with pytest.raises(MemoryError, match=r"not enough memory for a tensor of shape \(1000000, 10000000"):
        a + pn.zeros(1, 10**7)


# ---- failing memory ----


def network(w, b, x, y):
    """A step of a small network, through most kinds of ops, backward included."""
    h = (x @ w.T + b).tanh()
    h = _core.ops["dropout"](h, 0.2)
    z = pn.cat([h, h * 2], 1)[:, 1:].reshape(-1, 7)
    loss = _core.ops["cross_entropy"](z, y) + (w**2).sum() * 1e-2 + pn.softmax(z).mean() + pn.stack([b, b]).max()
    loss.backward()
    return loss.item()


def small_things():
    """Calls outside of networks that allocate."""
    t = pn.tensor(np.arange(6.0).reshape(2, 3), name="t", requires_grad=True)
    t.detach().clone()[pn.tensor([1, 0])][:, ::-1]
    _core.gradients((t * t).sum(), [t])
    np.from_dlpack(t.detach())
    pn.from_dlpack(np.arange(3.0))
    _ = (pn.tensor([1, 2]) + 1) > 2
    return pn.draw((t * 2).sum())


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("what", ["network", "small things"])
def test_every_allocation_failed_in_turn(what, sticky, request):
    rng = np.random.default_rng(0)
    w, b = (pn.tensor(rng.normal(size=s), requires_grad=True) for s in ((4, 3), (4,)))
    x, y = pn.tensor(rng.normal(size=(5, 3))), pn.tensor(rng.integers(0, 7, 5))
    call = small_things if what == "small things" else lambda: network(w, b, x, y)
    weights = w.numpy().tobytes(), b.numpy().tobytes()
    _core.set_random(1, 0)
    expected = call()
    for t in (w, b):
        t.grad = None
    before, failures, k = live(), 0, 0
    gc.freeze()  # what the tests before have imported need not be searched for garbage a thousand times
    request.addfinalizer(gc.unfreeze)
    while True:
        k += 1
        _core.set_random(1, 0)
        _core.alloc_fail_at(k, sticky)
        try:
            call()
        except MemoryError as error:
            failures += type(error) is MemoryError
        finally:
            injected = _core.alloc_failures()
            _core.alloc_fail_at(0)
        if not injected:
            break
        assert failures == k, "a failed allocation went unnoticed"
        assert (w.numpy().tobytes(), b.numpy().tobytes()) == weights
        assert w.grad is None and b.grad is None
        assert live() == before
        assert _core.get_random()[:2] == (1, 0)
    assert failures > (100 if what == "network" else 20)
    for t in (w, b):
        t.grad = None
    _core.set_random(1, 0)
    assert what != "network" or call() == expected
    w.grad = b.grad = None


def test_nothing_is_written_to_stderr_by_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pn.tensor([1.0]).numpy()
        np.asarray(pn.tensor([1.0]))
        pn.tensor([np.nan, np.inf]).exp().log()


MISTAKES = [
    (lambda: pn.cat([]), ValueError, "cat: tensors is empty, expected at least one tensor"),
    (lambda: pn.stack([]), ValueError, "stack: tensors is empty, expected at least one tensor"),
    (lambda: pn.cat(3), TypeError, "cat: tensors is of type int, expected a list of tensors"),
    (lambda: pn.arange(1e30), ValueError, r"arange: from 0 to 1e\+30 in steps of 1 are more numbers than a tensor can"),
    (lambda: pn.arange(10**30), ValueError, "arange: from 0 to 1(0+) in steps of 1 are more numbers"),
    (lambda: pn.arange(0, math.inf), ValueError, "arange: end is inf, expected a finite number"),
    (lambda: pn.arange("a"), TypeError, "arange: end is 'a', expected a number"),
    (lambda: pn.arange(3, dtype="f16"), TypeError, "arange: dtype is 'f16', expected 'float32', 'float64' or 'int64'"),
    (lambda: pn.zeros(2, dtype=3), TypeError, "zeros: dtype is 3, expected"),
    (lambda: pn.ones(2, dtype="float16"), TypeError, "ones: dtype is 'float16', expected"),
    (lambda: pn.randn(2, dtype="float16"), TypeError, "randn: dtype is 'float16', expected"),
    (lambda: pn.full((2,), "a"), TypeError, "full: fill_value is 'a', expected a number"),
    (lambda: pn.linspace(0, 1, -1), ValueError, "linspace: steps is -1, expected an integer from 0 to"),
    (lambda: pn.linspace("a", 1, 2), TypeError, "linspace: start is 'a', expected a number"),
    (lambda: pn.randint(0, "a", (2,)), TypeError, "randint: high is 'a', expected a number"),
    (lambda: pn.randperm(-1), ValueError, "randperm: n is -1, expected an integer from 0 to"),
    (lambda: pn.randperm(1.5), TypeError, "randperm: n is 1.5, expected an integer"),
    (
        lambda: pn.from_dlpack(3),
        TypeError,
        "from_dlpack: obj is of type <class 'int'>, expected an array with __dlpack",
    ),
    (lambda: pn.set_num_threads("a"), TypeError, "set_num_threads: n is 'a', expected an integer"),
    (lambda: pn.set_num_threads(-1), ValueError, "set_num_threads: n is -1, expected at least 1"),
    (lambda: pn.set_num_threads(-(10**30)), ValueError, "set_num_threads: n is -1(0+), expected at least 1"),
    (lambda: pn.manual_seed(-1), ValueError, r"manual_seed: seed is -1, expected an integer from 0 to 2\*\*64 - 1"),
    (lambda: pn.manual_seed(2**64), ValueError, "manual_seed: seed is 18446744073709551616, expected"),
    (lambda: pn.manual_seed(1.5), TypeError, "manual_seed: seed is 1.5, expected an integer"),
    (lambda: pn.split(pn.ones(3), 1.5), TypeError, "split: split_size is 1.5, expected an integer"),
    (lambda: pn.chunk(pn.ones(3), "a"), TypeError, "chunk: chunks is 'a', expected an integer"),
    (lambda: pn.squeeze(pn.ones(3), 1.5), TypeError, "squeeze: dim is 1.5, expected an integer"),
    (lambda: pn.unsqueeze(pn.ones(3), "a"), TypeError, "unsqueeze: dim is 'a', expected an integer"),
    (lambda: pn.flip(pn.ones(3), "a"), TypeError, "flip: dim is 'a', expected an integer"),
    (lambda: pn.tile(pn.ones(3), 1.5), TypeError, "tile: dims is 1.5, expected an integer"),
    (lambda: pn.round(pn.ones(3), decimals="a"), TypeError, "round: decimals is 'a', expected an integer"),
]


@pytest.mark.parametrize(("mistake", "kind", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_name_the_argument(mistake, kind, message):
    with pytest.raises(kind, match=f"^{message}"):
        mistake()
