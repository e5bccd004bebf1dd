"""Rare ways through the binding: operations in place, exchange of memory, functions that change their mind."""

import importlib.util

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _core, nn, optim

ROOT = np.random.default_rng(0)
X, Y = ROOT.standard_normal((24, 4)).astype(np.float32), ROOT.integers(0, 3, 24)


# ---- tensors ----


def grow(t, by):
    t += by


def cut(t, by):
    t /= by


def hooked(hook):
    w = pn.ones(2, requires_grad=True)
    w.register_hook(hook)
    (w * 2.0).sum().backward()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grow(pn.tensor([1, 2]), 0.5), TypeError, "tensor of dtype int64 gave float32, which it cannot"),
        (lambda: grow(pn.ones(2), pn.ones((2, 2))), ValueError, r"\(2,\) gave shape \(2, 2\), which it cannot"),
        (lambda: pn.ones(2).copy_(pn.ones(2, requires_grad=True)), RuntimeError, "would lose its gradient"),
        (lambda: pn.ones(2)[pn.tensor([0.0])], IndexError, "an index tensor has dtype float32, expected int64"),
        (lambda: pn.zeros((1,) * 8)[None], IndexError, "the result would have more than 8 dimensions"),
        (lambda: pn.from_dlpack(np.zeros((1,) * 9)), ValueError, "the tensor has 9 dimensions, expected at most 8"),
        (lambda: hooked(lambda g: pn.ones(5)), ValueError, r"gradient of shape \(5,\) .* expected \(2,\)"),
        (lambda: _core.set_isa("avx1024"), ValueError, "the instruction set is 'avx1024', this machine and build have"),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_operators_that_are_seldom_written():
    t = pn.tensor([1.0, -3.0])
    assert (+t).tolist() == [1.0, -3.0]
    same = t
    cut(t, 2.0)
    assert same.tolist() == [0.5, -1.5]
    assert (t ** pn.tensor(2.0)).tolist() == [0.25, 2.25], "a square, whatever the exponent is made of"
    assert pn.tensor([1.7, -2.5], dtype="float64").to("int64").tolist() == [1, -2]
    assert pn.tensor([3, 4]).to("int64").tolist() == [3, 4]
    assert pn.Tensor(np.array([1, 2, 300], np.float16)).tolist() == [1.0, 2.0, 300.0]


def test_half_precision_labels():
    """Class numbers as float16 are gathered like any other; half a class is none."""
    rows = _core.gather_rows(np.array([1, 2.5, 7], np.float16), None, "int64")
    assert rows.tolist() == [1, -(2**63), 7]


def test_modes_can_be_asked_for():
    recorder = _core.Recorder()
    assert not _core.is_recording()
    with recorder:
        assert _core.is_recording()
    assert _core.is_training()
    old = _core.set_training(False)
    assert not _core.is_training()
    _core.set_training(old)


def test_the_core_is_loaded_once():
    spec = importlib.util.spec_from_file_location("pyneuro._core", _core.__file__)
    again = importlib.util.module_from_spec(spec)
    with pytest.raises(ImportError, match="can be loaded once in a process"):
        spec.loader.exec_module(again)
    assert pn.ones(2).sum().item() == 2.0


def test_parameters_of_another_shape_than_their_gradient():
    w = pn.ones((2, 3), requires_grad=True)
    opt = optim.SGD([w], lr=0.5)
    w.grad = pn.ones((2, 3))
    opt.step()
    w.data = pn.ones((3, 2))
    with pytest.raises(ValueError, match=r"gradient of parameter 0 has shape \(2, 3\), expected \(3, 2\)"):
        opt.step()
    assert w.tolist() == [[1.0, 1.0]] * 3


WRITES = {
    "element": lambda y: y.__setitem__(0, 1.0),
    "copy_": lambda y: y.copy_(pn.zeros((2, 3))),
    "data": lambda y: setattr(y, "data", pn.zeros((2, 3))),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_recording_notices_what_is_written_behind_its_back(write):
    """exp has read y before it was written: a plan would compute something else."""
    recorder = _core.Recorder()
    with recorder:
        x = recorder.input(np.ones((2, 3), np.float32))
        y = x * 2.0
        z = y.exp()
        WRITES[write](y)
    with pytest.raises(RuntimeError, match="exp reads a tensor that was written in place"):
        _core.Plan(recorder, [x], [z])


# ---- metrics and losses at the ends ----


def test_a_score_that_is_nan_never_hits():
    nan = float("nan")
    scores = pn.tensor([[0.1, 0.9], [nan, 0.9], [0.1, nan], [0.9, 0.1]])
    target = pn.tensor([1, 1, 1, 1])
    accuracy, best = _core.ops["accuracy"], _core.ops["top_k_accuracy"]
    assert accuracy(scores, target).item() == 0.25
    assert best(scores, target, 2).item() == 0.5
    assert accuracy(scores[:1], pn.tensor([0])).item() == 0.0
    assert accuracy(pn.tensor([[0.5, 0.5, 0.1]]), pn.tensor([0])).item() == 1.0, "the first of equals"
    assert accuracy(pn.tensor([[0.5, 0.5, 0.1]]), pn.tensor([1])).item() == 0.0
    single = pn.tensor([nan, 0.7, 0.2])
    assert accuracy(single, pn.tensor([1, 1, 0])).item() == pytest.approx(2 / 3)
    assert _core.ops["binary_accuracy"](single, pn.tensor([1.0, 1.0, 1.0])).item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_certain_probabilities_have_a_finite_slope(dtype):
    """PyTorch's guard: (y - t) / max(y (1 - y), 1e-12); the loss of a certain but wrong answer is 100."""
    y = pn.tensor([0.0, 1.0, 0.0, 1.0, 0.5], dtype=dtype, requires_grad=True)
    loss = nn.functional.binary_cross_entropy(y, pn.tensor([0.0, 1.0, 1.0, 0.0, 1.0], dtype=dtype), reduction="sum")
    loss.backward()
    np.testing.assert_allclose(loss.item(), 200 + np.log(2), rtol=1e-6)
    np.testing.assert_allclose(y.grad.numpy(), [0, 0, -1e12, 1e12, -2], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [-0.1, 1.5])
def test_what_is_no_probability(dtype, bad):
    y = pn.tensor([0.5, bad], dtype=dtype)
    with pytest.raises(ValueError, match="bce"):
        nn.functional.binary_cross_entropy(y, pn.tensor([0.0, 1.0], dtype=dtype))
    y[1] = float("nan")
    assert np.isnan(nn.functional.binary_cross_entropy(y, pn.tensor([0.0, 1.0], dtype=dtype)).item())


# ---- memory and attributes ----


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "f2", "f4", "f8", "?"])
def test_dlpack_of_every_type(dtype):
    array = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    for view in (array, array.T, array[:, ::-1], array[:0]):
        t = pn.from_dlpack(view)
        assert t.dtype == ("float64" if dtype == "f8" else "float32" if dtype[0] == "f" else "int64")
        assert t.tolist() == view.tolist()
    with pytest.raises((BufferError, TypeError)):
        pn.from_dlpack(np.zeros(2, "c8"))


def test_dlpack_arguments():
    t = pn.tensor([1.0, 2.0])
    copied, shared = (np.from_dlpack(Exported(t, copy=flag)) for flag in (True, False))
    assert np.shares_memory(shared, t.numpy())
    assert not np.shares_memory(copied, t.numpy())
    assert copied.tolist() == [1.0, 2.0]
    assert t.__dlpack__(dl_device=(1, 0), stream=None) is not None
    with pytest.raises(BufferError, match="only be exported to the CPU, not to device type 2"):
        t.__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError, match=r"dl_device is of type .*str.*, expected a pair"):
        t.__dlpack__(dl_device="cpu")
    with pytest.raises(TypeError, match=r"max_version is of type .*int.*, expected a pair"):
        t.__dlpack__(max_version=3)
    with pytest.raises(BufferError, match="stream must be None"):
        t.__dlpack__(stream=1)

    class Old:  # a library from before versions
        def __dlpack__(self):
            return np.arange(3.0).__dlpack__()

        def __dlpack_device__(self):
            return 1, 0

    assert pn.from_dlpack(Old()).tolist() == [0.0, 1.0, 2.0]


class Exported:
    """Hands over a tensor with `copy` chosen, whatever the reader asks for."""

    def __init__(self, tensor, copy):
        self.tensor, self.copy = tensor, copy

    def __dlpack__(self, **given):
        return self.tensor.__dlpack__(**{**given, "copy": self.copy})

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


def test_attributes_refuse_what_does_not_fit():
    t = pn.tensor([1.0, 2.0], requires_grad=True)
    for call, error, message in (
        (
            lambda: setattr(t, "grad", pn.tensor([1.0, 2.0], dtype="float64")),
            TypeError,
            "grad has dtype float64, expected",
        ),
        (lambda: setattr(t, "grad", pn.tensor([1.0])), ValueError, r"grad has shape \(1,\), expected \(2,\)"),
        (lambda: setattr(t, "grad", t), RuntimeError, "cannot be its own gradient"),
        (lambda: setattr(t, "kind", "weight"), ValueError, "not one of 'tensor', 'parameter' and 'buffer'"),
        (lambda: setattr(t, "kind", 3), ValueError, "not one of"),
        (lambda: setattr(t, "name", 3), TypeError, "name is of type .*int.*, expected a string"),
        (lambda: setattr(t, "data", pn.tensor([1, 2])), TypeError, "dtype int64, but the tensor requires grad"),
        (lambda: setattr(t, "data", "a"), TypeError, "."),
        (lambda: delattr(t, "data"), AttributeError, "data cannot be deleted"),
        (lambda: delattr(t, "requires_grad"), AttributeError, "requires_grad cannot be deleted"),
        (lambda: t.__delitem__(0), TypeError, "elements of a tensor cannot be deleted"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert (t.tolist(), t.grad, t.kind, t.name) == ([1.0, 2.0], None, "tensor", None)
    t.name = "w"
    t.data = pn.tensor([3.0])
    assert (t.name, t.shape, t.data.requires_grad, t.tolist()) == ("w", (1,), False, [3.0])
    t.name = None
    assert t.name is None


def test_graph_nodes_say_what_they_are():
    x = pn.tensor([1.0, 2.0], requires_grad=True)
    y = (x * 2.0).sum()
    node = y.grad_fn
    assert node.name == "sum"
    assert node.layer is None
    assert [t.shape for t in node.inputs] == [(2,)]
    assert "sum" in repr(node)


# ---- operations of one's own ----


class Halves(pn.Function):
    """y = x / 2; its backward may say None: no gradient."""

    silent = False

    @staticmethod
    def forward(ctx, x):
        return x / 2

    @staticmethod
    def backward(ctx, g):
        return None if Halves.silent else g / 2


class Split(nn.Module):
    """The hidden values go through Halves and past it: two gradients add up in one place."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        h = self.a(x)
        return self.b(Halves.apply(h) + h.tanh())


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_of_own_operations_are_added(dtype, silent, monkeypatch):
    monkeypatch.setattr(Halves, "silent", silent)
    found = []
    for mode in (None, "eager"):
        pn.manual_seed(4)
        net = Split().to(dtype)
        net.fit(X, Y, optimizer=optim.SGD(lr=0.3), epochs=2, batch_size=8, seed=1, verbose=0, mode=mode)
        found.append([p.detach().numpy() for p in net.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


class Changes(pn.Function):
    """Returns one array, and from the second call on two."""

    calls = 0

    @staticmethod
    def forward(ctx, x):
        Changes.calls += 1
        return x * 2 if Changes.calls < 3 else (x * 2, x)

    @staticmethod
    def backward(ctx, g):
        return g * 2


class Fickle(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)

    def forward(self, x):
        return Changes.apply(self.a(x))


def test_an_own_operation_that_changes_its_mind():
    net = Fickle()
    before = net.a.weight.numpy().copy()
    with pytest.raises(ValueError, match="Changes: forward returned 2 arrays, expected 1 as before"):
        net.fit(X, Y, optimizer=optim.SGD(lr=0.0), epochs=5, batch_size=8, verbose=0)
    assert np.array_equal(net.a.weight.numpy(), before)


def test_an_own_operation_with_too_many_dimensions():
    class Deep(Halves):
        @staticmethod
        def forward(ctx, x):
            return np.ones((1,) * 9)

    with pytest.raises(ValueError, match="Deep: forward returned an array of more than 8 dimensions"):
        Deep.apply(pn.ones(1))


def test_labels_that_a_loss_of_ones_own_makes():
    """Nobody can check them before the step: their loss is NaN, which ends the step that made them."""

    def shifted(output, target):
        return nn.functional.cross_entropy(output, target * 7 + 1)

    net = nn.Sequential(nn.Linear(4, 3), seed=1)
    before = net[0].weight.numpy().copy()
    for mode in (None, "eager"):
        with pytest.raises((FloatingPointError, ValueError, IndexError), match="cross_entropy"):
            net.fit(X, Y, loss=shifted, epochs=1, batch_size=8, seed=0, verbose=0, mode=mode)
        assert np.array_equal(net[0].weight.numpy(), before)
