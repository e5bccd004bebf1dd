"""Recording and backward: what is kept, what is refused, what is let go."""

import copy
import gc
import pickle
import signal
import threading
import time
import weakref

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _core
from tests import tolerances


@pytest.fixture(autouse=True)
def no_leak():
    """Every test gives back what the core allocated for it."""
    gc.collect()
    before = _core.alloc_stats()
    yield
    gc.collect()
    after = _core.alloc_stats()
    assert (after["live_count"], after["live_bytes"]) == (before["live_count"], before["live_bytes"])


def leaf(data, dtype="float64"):
    return pn.tensor(data, dtype=dtype, requires_grad=True)


# ---- backward ----


def test_gradients_accumulate_until_none():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    (3 * x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    assert x.grad is x.grad
    x.grad = None
    assert x.grad is None


def test_backward_needs_a_scalar_or_a_gradient():
    x = leaf([1.0, 2.0])
    y = x * 2
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        y.backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\), expected \(2,\)"):
        y.backward(np.ones(3))
    with pytest.raises(TypeError, match="gradient has dtype float32, expected float64"):
        y.backward(pn.ones(2))
    with pytest.raises(RuntimeError, match="does not require grad"):
        pn.tensor(1.0).backward()
    assert x.grad is None
    y.backward([1.0, 10.0])
    assert x.grad.tolist() == [2.0, 20.0]


def test_second_backward_needs_retain_graph():
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8
    with pytest.raises(
        RuntimeError, match=r"mul: trying to backward through the graph a second time.*retain_graph=True"
    ):
        y.backward()
    assert x.grad.item() == 8


def test_a_part_that_keeps_nothing_can_be_shared():
    """As in PyTorch: x + 1 saves no values, so two losses may be swept one after the other."""
    x = leaf([1.0, 2.0])
    shared = x + 1
    (shared * shared).sum().backward()
    (shared * 3).sum().backward()
    assert x.grad.tolist() == [7.0, 9.0]


def test_a_tensor_used_many_times():
    x = leaf(3.0)
    y = x * x * x + x / x - (x - x) + pn.stack([x, x, x]).sum()
    y.backward()
    assert x.grad.item() == pytest.approx(27 + 3)


def test_the_gradient_given_is_not_changed_and_not_shared():
    x = leaf([1.0, 2.0])
    g = pn.tensor([1.0, 1.0], dtype="float64")
    y = x.reshape(2, 1)
    y.backward(g.reshape(2, 1))
    x.grad += 5
    assert g.tolist() == [1.0, 1.0]
    x.backward(x.grad)
    assert x.grad.tolist() == [12.0, 12.0]


def test_retain_grad_and_gradients_of_inner_tensors():
    x = leaf(2.0)
    y = x * 3
    z = y * y
    y.retain_grad()
    assert y.retains_grad and not z.retains_grad
    assert [g.item() for g in _core.gradients(z, [y, x, z], retain_graph=True)] == [12, 36, 1]
    assert x.grad is None
    z.backward()
    assert (y.grad.item(), x.grad.item(), z.grad) == (12, 36, None)


def test_gradients_of_what_is_not_reached_is_none():
    x, other = leaf(1.0), leaf(1.0)
    assert _core.gradients(x * 2, [other, x])[0] is None
    with pytest.raises(RuntimeError, match="tensor 0 does not require grad"):
        _core.gradients(x * 2, [pn.tensor(1.0)])


def test_outputs_in_any_order_of_use():
    """The sweep follows the order of execution, not of discovery."""
    rng = np.random.default_rng(0)
    x = leaf(rng.normal(size=4))
    values = [x]
    for _ in range(200):
        i, j = rng.integers(0, len(values), 2)
        values.append((values[i] * 0.7 + values[j] * 0.3).tanh())
    total = pn.stack(values[-20:]).sum()
    total.backward()
    direction = rng.normal(size=4)

    def value(t):
        values = [x.numpy() + t * direction]
        local = np.random.default_rng(0)
        local.normal(size=4)
        for _ in range(200):
            i, j = local.integers(0, len(values), 2)
            values.append(np.tanh(values[i] * 0.7 + values[j] * 0.3))
        return sum(v.sum() for v in values[-20:])

    numeric = (value(1e-6) - value(-1e-6)) / 2e-6
    assert float(x.grad.numpy() @ direction) == pytest.approx(numeric, rel=tolerances.DIRECTION)


# ---- modes, leaves, views ----


def test_no_grad_and_detach():
    x = leaf(2.0)
    with pn.no_grad():
        y = x * 2
        with pn.enable_grad():
            z = x * 2
    assert not y.requires_grad and y.is_leaf and z.requires_grad and not z.is_leaf
    d = z.detach()
    assert d.is_leaf and not d.requires_grad
    d += 1
    assert z.item() == 5, "detach shares memory"

    @pn.no_grad()
    def decorated():
        return (x * 2).requires_grad

    assert decorated() is False and pn.is_grad_enabled()


def test_modes_belong_to_a_thread():
    seen = []
    with pn.no_grad():
        thread = threading.Thread(target=lambda: seen.append(pn.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_requires_grad_is_for_real_leaves():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="can only be changed on leaf"):
        (x * 2).requires_grad = False
    with pytest.raises(RuntimeError, match="dtype int64"):
        pn.tensor([1], requires_grad=True)
    assert pn.tensor([1.0]).requires_grad_().requires_grad


# ---- writing in place ----


def test_leaves_that_require_grad_are_written_under_no_grad_only():
    w = leaf([1.0, 2.0])
    message = "a leaf Variable that requires grad is being used in an in-place operation"
    for write in (
        lambda: w.__iadd__(1),
        lambda: w.__imul__(2),
        lambda: w.zero_(),
        lambda: w.fill_(1),
        lambda: w.copy_([0.0, 0.0]),
        lambda: w.__setitem__(0, 1.0),
        lambda: w.add_(1),
        lambda: w.clamp_(0, 1),
    ):
        with pytest.raises(RuntimeError, match=message):
            write()
    assert w.tolist() == [1.0, 2.0]
    view = w.numpy()
    with pn.no_grad():
        w -= 0.5
        w[1] = 7
    assert view.tolist() == [0.5, 7.0], "the memory never moves"


def test_a_value_that_backward_needs_must_not_change():
    x = leaf([1.0, 2.0])
    y = x * x
    with pn.no_grad():
        x += 1
    with pytest.raises(RuntimeError, match=r"mul: .*modified by an in-place operation.*version 1, expected 0"):
        y.sum().backward()
    assert x.grad is None
    z = x.exp()
    z.detach().zero_()
    with pytest.raises(RuntimeError, match=r"exp: .*its output of shape \(2,\) is at version 1"):
        z.sum().backward()
    s = x + 1
    with pn.no_grad():
        x += 1
    s.sum().backward()  # a sum reads no values
    assert x.grad.tolist() == [1.0, 1.0]


def test_other_data_of_another_shape_stops_old_graphs():
    x = leaf([1.0, 2.0])
    y = (x + 1).sum()
    x.data = np.ones(5)
    assert x.shape == (5,)
    with pytest.raises(RuntimeError, match="add: input 0 was given other data"):
        y.backward()


def test_in_place_on_a_computed_tensor_makes_a_new_one():
    x = leaf(2.0)
    total = 0
    for _ in range(3):
        total += x * x
    total.backward()
    assert x.grad.item() == 12
    y = pn.zeros(1, dtype="float64")
    y += x
    assert y.requires_grad
    with pytest.raises(RuntimeError, match="was computed and requires grad"):
        y[0] = 1
    a = pn.zeros(2)
    b = a
    b += 1
    assert a.tolist() == [1.0, 1.0]


# ---- hooks ----


def test_hooks_see_and_replace_gradients():
    seen = []
    x = leaf(3.0)
    y = x * 2
    first = y.register_hook(lambda g: seen.append(g.item()))
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: seen.append(g.item()))
    (y * y).backward()
    assert seen == [12, 240] and x.grad.item() == 240
    first.remove()
    first.remove()
    with pytest.raises(RuntimeError, match="does not require gradient"):
        pn.tensor(1.0).register_hook(print)


def test_a_hook_that_fails_changes_nothing():
    x = leaf(3.0)
    y = x * 2
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (y * y).backward()
    assert x.grad is None
    z = x * 2
    z.register_hook(lambda g: pn.zeros(3, dtype="float64"))
    with pytest.raises(ValueError, match=r"a hook returned a gradient of shape \(3,\)"):
        z.backward()
    w = x * 2
    w.register_hook(lambda g: "text")
    with pytest.raises(TypeError, match="expected a Tensor"):
        w.backward()


def test_hooks_that_hold_their_own_tensor_are_collected():
    def make():
        w = leaf(1.0)
        w.register_hook(lambda g: w)
        y = w * 2
        y.register_hook(lambda g: (y, None)[1])
        loss = (y * y).sum()
        y.register_hook(lambda g: (loss, None)[1])
        loss.backward()
        return weakref.ref(w), weakref.ref(loss)

    w, loss = make()
    gc.collect()
    assert w() is None and loss() is None


def test_backward_inside_backward():
    x = leaf(2.0)
    y = x * 3
    z = y * y
    inner = []

    def hook(g):
        with pn.enable_grad():
            (leaf(1.0) * 2).backward()  # another graph is fine
        with pytest.raises(RuntimeError, match="another backward is under way in the same graph"):
            z.backward()
        inner.append(True)

    y.register_hook(hook)
    z.backward()
    assert inner == [True] and x.grad.item() == 36


# ---- length ----


def test_a_chain_of_a_million_operations():
    """Neither backward nor destruction recurses."""
    x = leaf(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + x
    y.backward()
    assert x.grad.item() == 1_000_001
    del y


def test_a_wide_graph():
    xs = [leaf(float(i)) for i in range(3000)]
    y = pn.stack(xs).sum() * 2
    y.backward()
    assert all(x.grad.item() == 2 for x in xs)


# ---- user functions ----


class Product(pn.Function):
    @staticmethod
    def forward(ctx, a, b, factor):
        ctx.save_for_backward(a, b)
        ctx.factor = factor
        return a * b * factor, a + b

    @staticmethod
    def backward(ctx, g, h):
        a, b = ctx.saved_arrays
        return g * b * ctx.factor + h, g * a * ctx.factor + h, None


def test_function_forward_and_backward():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    p, s = Product.apply(a, b, 10)
    assert p.tolist() == [30.0, 80.0] and s.tolist() == [4.0, 6.0]
    assert repr(p.grad_fn) == "<Product>"
    (p.sum() + (s * 2).sum()).backward()
    assert a.grad.tolist() == [32.0, 42.0] and b.grad.tolist() == [12.0, 22.0]
    with pytest.raises(RuntimeError, match="second time"):
        p.sum().backward()
    only, _ = Product.apply(a, b, 1)
    only.sum().backward()  # the second result is not used: its gradient is zero
    assert a.grad.tolist() == [35.0, 46.0]


def test_function_owns_its_arrays():
    kept = []

    class Keep(pn.Function):
        @staticmethod
        def forward(ctx, x):
            kept.append(x)
            return x

        @staticmethod
        def backward(ctx, g):
            kept.append(g)
            g *= 5
            return g

    x = leaf([1.0])
    y = Keep.apply(x)
    kept[0][:] = 99
    assert x.item() == 1 and y.item() == 1
    (y * 1).sum().backward()
    assert x.grad.item() == 5 and all(a.base is None for a in kept)


@pytest.mark.parametrize(
    ("result", "error", "text"),
    [
        (lambda g: g[:1], ValueError, r"Bad: a gradient from backward has shape \(1,\), expected \(2,\)"),
        (lambda g: (g, g), ValueError, "Bad: backward returned 2 gradients, expected 1"),
        (lambda g: 1 / 0, ZeroDivisionError, "division"),
        (lambda g: np.array(["a", "b"]), TypeError, "expected numbers"),
    ],
)
def test_function_with_a_wrong_backward(result, error, text):
    class Bad(pn.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return result(g)

    x = leaf([1.0, 2.0])
    y = Bad.apply(x).sum()
    with pytest.raises(error, match=text):
        y.backward()
    assert x.grad is None


def test_function_with_a_wrong_forward():
    class Bad(pn.Function):
        forward = staticmethod(lambda ctx, x: [])

    with pytest.raises(ValueError, match="Bad: forward returned 0 arrays, expected 1 to 4"):
        Bad.apply(leaf(1.0))
    with pytest.raises(TypeError, match="at least one Tensor"):
        Bad.apply(1.0)
    with pytest.raises(NotImplementedError, match="forward"):
        pn.Function.apply(leaf(1.0))


def test_a_function_whose_context_holds_the_result_is_collected():
    class Hold(pn.Function):
        @staticmethod
        def forward(ctx, x):
            Hold.ctx = ctx
            return x

        @staticmethod
        def backward(ctx, g):
            return g

    x = leaf(1.0)
    y = Hold.apply(x)
    Hold.ctx.y = y
    gone = weakref.ref(y)
    Hold.ctx = None
    y.backward()
    del y
    gc.collect()
    assert gone() is None


# ---- copies ----


def test_copy_and_pickle():
    w = pn.tensor([1.0, 2.0], requires_grad=True, name="w")
    w.kind = "parameter"
    (w * w).sum().backward()
    c = copy.deepcopy(w)
    assert c.tolist() == w.tolist() and c.grad.tolist() == [2.0, 4.0] and c.kind == "parameter" and c.name == "w"
    p = pickle.loads(pickle.dumps(w))
    assert p.requires_grad and p.name == "w" and p.kind == "parameter" and p.grad is None and p.tolist() == w.tolist()
    m = pickle.loads(pickle.dumps(w > 1))
    assert m.is_mask and m.tolist() == [0, 1]
    with pytest.raises(RuntimeError, match="only leaf tensors"):
        copy.deepcopy(w * 2)
    pair = copy.deepcopy([w, w])
    assert pair[0] is pair[1]


# ---- a look at the graph ----


def test_drawing_shows_the_gradient_of_every_node():
    w = pn.tensor(2.0, requires_grad=True, dtype="float64", name="w0")
    y = (w * -1.0 + 3.0).sigmoid()
    before = pn.draw(y)
    y.backward()
    after = pn.draw(y)
    assert [b.gradient for b in before.boxes] == [b.gradient for b in after.boxes]
    shown = {b.title: (b.value, b.gradient) for b in after.boxes if not b.leaf}
    assert shown == {"mul": ("-2", "0.1966"), "add": ("1", "0.1966"), "sigmoid": ("0.7311", "1")}
    assert w.grad.item() == pytest.approx(-0.19661193)
    svg = after.svg
    assert svg.startswith("<svg") and "#1a7f37" in svg and "#cf222e" in svg and "sigmoid" in svg


def test_drawing_calls_no_hook_and_has_a_limit(tmp_path):
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: 1 / 0)
    pn.draw(y).save(tmp_path / "y.svg")
    assert (tmp_path / "y.svg").read_text().endswith("</svg>")
    with pytest.raises(ValueError, match=r"the graph has 2 operations, a drawing takes at most 1"):
        pn.draw(y * 2, max_nodes=1)
    with pytest.raises(TypeError, match="expected a Tensor"):
        pn.draw(1.0)
    with pytest.raises(ValueError, match=r"expected one that ends in \.svg"):
        pn.draw(y).save(tmp_path / "y.png")


# ---- long operations ----


def test_long_operations_let_other_threads_run():
    x = pn.zeros(1500, 1500)
    ticks, done = [], threading.Event()

    def count():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    start = time.perf_counter()
    for _ in range(3):
        x @ x
    end = time.perf_counter()
    done.set()
    thread.join()
    inside = [t for t in ticks if start < t < end]
    assert len(inside) >= 3, "the GIL was held during a matrix product"


def test_blocks_are_counted_and_threads_change_no_bit():
    rng = np.random.default_rng(0)
    a, b = (pn.tensor(rng.normal(size=(700, 600)).astype("f4")) for _ in range(2))
    before = pn.get_num_threads()
    results = []
    try:
        for n in (1, 2, 4):
            pn.set_num_threads(n)
            counts = np.array(_core.thread_blocks())
            r = (a @ b.T).relu().sum(0)
            used = np.count_nonzero(np.array(_core.thread_blocks()) - counts)
            results.append(r.numpy().tobytes())
            assert used >= 1 if n == 1 else used >= 2
    finally:
        pn.set_num_threads(before)
    assert len(set(results)) == 1


def test_interrupting_a_long_operation():
    """Ctrl-C ends a product of large matrices, forward or backward; gradients are whole or not there."""
    w = pn.ones(1200, 1200, requires_grad=True)
    (w @ w @ w).sum().backward()
    expected, w.grad = w.grad.numpy(), None
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    def work():
        while True:
            (w @ w @ w).sum().backward()
            w.grad = None

    total = 0.0
    for seconds in (0.02, 0.05, 0.1, 0.2):
        timer = threading.Timer(seconds, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            work()
        total += time.perf_counter() - sent[-1]
        timer.join()
        if w.grad is not None:  # it came between two lines of Python
            np.testing.assert_array_equal(w.grad.numpy(), expected)
        w.grad = None
    assert total / 4 < 1, "seconds: a machine under load may be late, but not by a product of matrices"


def test_linear_does_not_read_its_output():
    """Its derivative needs the inputs alone, so the output may be written to, as in PyTorch."""
    x, w = (pn.ones(*shape, requires_grad=True) for shape in ((5, 2), (3, 2)))
    y = pn.nn.functional.linear(x, w)
    total = y.sum()
    with pn.no_grad():
        y += 1
    total.backward()
    assert w.grad.tolist() == [[5.0, 5.0]] * 3 and x.grad.tolist() == [[3.0, 3.0]] * 5
