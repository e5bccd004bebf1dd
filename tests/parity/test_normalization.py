"""Layer norm, group norm and instance norm against PyTorch: values, gradients, names, and 20 steps of training."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pyneuro as pn  # noqa: E402
from pyneuro import nn, optim  # noqa: E402
from tests import tolerances  # noqa: E402

REAL = ("float32", "float64")
LAYERS = [
    ("LayerNorm", (5,), {}, (4, 5)),
    ("LayerNorm", ((3, 7),), {}, (2, 3, 7)),
    ("LayerNorm", ((7,), 1e-2), {"bias": False}, (2, 3, 7)),
    ("LayerNorm", (5,), {"elementwise_affine": False}, (600, 5)),
    ("LayerNorm", (5000,), {}, (3, 5000)),
    ("LayerNorm", (4,), {}, (0, 4)),
    ("GroupNorm", (2, 6), {}, (3, 6, 4, 5)),
    ("GroupNorm", (1, 6, 0.1), {}, (2, 6, 9)),
    ("GroupNorm", (6, 6), {"bias": False}, (2, 6, 4)),
    ("GroupNorm", (3, 6), {"affine": False}, (2, 6, 3, 1, 2)),
    ("GroupNorm", (2, 8), {}, (5, 8)),
    ("GroupNorm", (2, 4), {}, (2, 4, 50, 70)),
    ("GroupNorm", (2, 4), {}, (0, 4, 3)),
    ("GroupNorm", (1, 3), {}, (1, 3, 150, 150)),
    ("LayerNorm", ((3, 20, 300),), {}, (2, 3, 20, 300)),
    ("InstanceNorm1d", (3,), {"affine": True}, (2, 3, 5)),
    ("InstanceNorm1d", (3,), {}, (3, 70)),
    ("InstanceNorm2d", (3,), {}, (2, 3, 4, 5)),
    ("InstanceNorm2d", (3,), {"affine": True}, (2, 3, 5, 4)),
    ("InstanceNorm2d", (3,), {"affine": True, "bias": False}, (3, 5, 4)),
]


def random_state(layer, rng):
    """Other values than ones and zeros."""
    return {name: rng.normal(size=tuple(v.shape)).astype(v.dtype) for name, v in layer.state_dict().items()}


def near(ours, theirs, dtype, what):
    """Relative to the largest value: a gradient that cancels to 0 has the rounding of its terms."""
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    assert a.shape == b.shape and a.dtype == b.dtype, what
    rule = tolerances.LAYERS[dtype]
    scale = max(1.0, float(np.abs(b).max(initial=0)))
    np.testing.assert_allclose(a / scale, b / scale, **rule, err_msg=what)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAYERS, ids=str)
def test_layer(name, arguments, options, shape, dtype):
    rng = np.random.default_rng(0)
    ours, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    assert repr(ours) == repr(theirs)
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]
    for key, value in theirs.state_dict().items():
        assert np.array_equal(ours.state_dict()[key].numpy(), value.numpy()), "first values"
    ours.to(dtype), theirs.to(getattr(torch, dtype))
    state = random_state(ours, rng)
    ours.load_state_dict(state)
    theirs.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    x = (rng.normal(size=shape) * 2 + 1).astype(dtype)
    a, b = pn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = ours(a), theirs(b)
    near(y, z, dtype, "output")
    g = rng.normal(size=shape).astype(dtype)
    y.backward(pn.tensor(g))
    z.backward(torch.from_numpy(g))
    near(a.grad, b.grad, dtype, "gradient of x")
    for (key, p), (other, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert key == other
        near(p.grad, q.grad, dtype, f"gradient of {key}")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_functions(weighted, biased):
    rng = np.random.default_rng(1)
    F, G = nn.functional, torch.nn.functional

    def check(name, shape, parameters, *arguments, **options):
        x, w, b = rng.normal(size=shape), rng.normal(size=parameters), rng.normal(size=parameters)
        given = {"weight": w} if weighted else {}
        given |= {"bias": b} if biased else {}
        y = getattr(F, name)(x, *arguments, **given, **options)
        z = getattr(G, name)(torch.tensor(x), *arguments, **{k: torch.tensor(v) for k, v in given.items()}, **options)
        near(y, z, "float64", name)

    check("layer_norm", (2, 3, 5), (3, 5), (3, 5))
    check("layer_norm", (2, 3, 5), (5,), (5,), eps=0.3)
    check("group_norm", (2, 6, 5, 4), (6,), 3)
    check("group_norm", (4, 6), (6,), 2, eps=0.3)
    check("instance_norm", (2, 3, 5, 4), (3,))
    check("instance_norm", (2, 3, 7), (3,), eps=0.3)


def test_a_row_far_from_zero_keeps_its_digits():
    """Against exact arithmetic: the mean is a million deviations away."""
    x = np.random.default_rng(2).normal(size=(4, 1000)) + 1e6
    for dtype, bound in (("float64", tolerances.SAME), ("float32", tolerances.SINGLE)):
        exact = x.astype(dtype).astype(np.longdouble)
        exact -= exact.mean(1, keepdims=True)
        exact /= np.sqrt((exact**2).mean(1, keepdims=True) + np.longdouble(1e-5))
        y = nn.functional.layer_norm(x.astype(dtype), (1000,)).numpy()
        assert float(np.abs(y - exact).max()) < bound


def add_layers(net, lib):
    net.a = lib.Linear(6, 16)
    net.features = lib.LayerNorm(16)
    net.groups = lib.GroupNorm(2, 4)
    net.instance = lib.InstanceNorm2d(4, affine=True)
    net.out = lib.Linear(16, 3)


class Ours(nn.Module):
    def __init__(self):
        super().__init__()
        add_layers(self, nn)

    def forward(self, x):
        h = self.features(self.a(x)).reshape((-1, 4, 2, 2))
        h = self.instance(self.groups(h).tanh())
        return self.out(h.reshape((-1, 16)))


class Theirs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        add_layers(self, torch.nn)

    forward = Ours.forward


@pytest.mark.parametrize("mode", ["plan", "eager"])
@pytest.mark.parametrize("dtype", REAL)
def test_twenty_steps(dtype, mode):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(90, 6)).astype(dtype), rng.integers(0, 3, 90)
    ours, theirs = Ours().to(dtype), Theirs().to(getattr(torch, dtype))
    ours.load_state_dict(theirs.state_dict())
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for epoch in range(2):
        for xb, yb in pn.batches(x, y, 9, seed=3, epoch=epoch, dtype=dtype):
            sgd.zero_grad()
            torch.nn.functional.cross_entropy(theirs(torch.tensor(xb.numpy())), torch.tensor(yb.numpy())).backward()
            sgd.step()
    history = ours.fit(x, y, optimizer=optim.SGD(lr=0.1), epochs=2, batch_size=9, seed=3, verbose=0, mode=mode)
    assert (history.steps, history.mode) == (20, mode)
    for key, value in theirs.state_dict().items():
        difference = np.abs(ours.state_dict()[key].numpy() - value.numpy()).max()
        assert difference < tolerances.MODES[dtype], key


def test_the_same_bits_for_any_number_of_threads():
    before = pn.get_num_threads()
    results = []
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(300, 512)).astype(np.float32), rng.integers(0, 10, 300)
    try:
        for threads in (1, 2, 4):
            pn.set_num_threads(threads)
            images = nn.Sequential(
                nn.LayerNorm(512), nn.Linear(512, 512), Reshape(8, 8, 8), nn.GroupNorm(4, 8),
                nn.InstanceNorm2d(8, affine=True), nn.Flatten(), nn.Linear(512, 10), seed=5,
            )  # fmt: skip
            images.fit(x, y, optimizer="sgd", epochs=2, batch_size=100, seed=6, verbose=0, mode="plan")
            results.append([v.numpy().tobytes() for v in images.state_dict().values()])
    finally:
        pn.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", REAL)
def test_rows_of_one_value_and_of_none(dtype):
    """One value less its mean is 0 exactly (PyTorch's float32 leaves a rounding); sums of nothing are 0."""
    layer = nn.LayerNorm(1, dtype=dtype)
    x = pn.tensor(np.random.default_rng(5).normal(size=(5, 1)).astype(dtype), requires_grad=True)
    y = layer(x)
    (y * pn.tensor(np.arange(1, 6, dtype=dtype).reshape(5, 1))).sum().backward()
    assert not y.numpy().any() and not x.grad.numpy().any() and not layer.weight.grad.numpy().any()
    assert layer.bias.grad.tolist() == [15.0]
    layer = nn.GroupNorm(2, 4, dtype=dtype)
    layer(np.zeros((2, 4, 0), dtype)).sum().backward()
    assert not layer.weight.grad.numpy().any() and not layer.bias.grad.numpy().any()


class Reshape(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape((-1, *self.shape))


REFUSALS = [
    (lambda: nn.GroupNorm(4, 6), ValueError, "num_channels is 6, which cannot be divided into num_groups = 4"),
    (lambda: nn.LayerNorm(()), ValueError, "normalized_shape must have 1 to 8 sizes"),
    (lambda: nn.LayerNorm("5"), TypeError, "normalized_shape must be a whole number"),
    (lambda: nn.LayerNorm(5.5), TypeError, "normalized_shape must be a size or several"),
    (lambda: nn.LayerNorm(5, eps=-1), ValueError, "eps must be at least 0"),
    (lambda: nn.LayerNorm(5, 1e-5, epsilon=1e-5), TypeError, "eps and epsilon are two spellings"),
    (lambda: nn.GroupNorm(2, 4, affine=1), TypeError, "affine must be True or False"),
    (lambda: nn.InstanceNorm2d(3, track_running_stats=True), ValueError, "track_running_stats must be False"),
    (lambda: nn.LayerNorm(5)(np.zeros((2, 4))), ValueError, r"x has shape \(2, 4\), expected \(\*, 5\)"),
    (
        lambda: nn.GroupNorm(1, 3)(np.zeros((2, 8, 8, 3), np.float32)),
        ValueError,
        r"^GroupNorm\(1, 3\): x has shape \(2, 8, 8, 3\), expected \(N, 3, H, W\). Is it channels-last\?",
    ),
    (lambda: nn.GroupNorm(1, 3)(np.zeros(3, np.float32)), ValueError, r"x has shape \(3,\), expected \(N, C, \*\)"),
    (lambda: nn.GroupNorm(2, 2)(np.zeros((1, 2), np.float32)), ValueError, "each of the 2 groups is one value"),
    (lambda: nn.InstanceNorm2d(2)(np.zeros((3, 2, 1, 1), np.float32)), ValueError, "each channel is one value"),
    (lambda: nn.InstanceNorm2d(2)(np.zeros((3, 2), np.float32)), ValueError, r"expected \(N, 2, H, W\)"),
    (lambda: nn.InstanceNorm1d(2)(np.zeros((3, 2, 4, 4), np.float32)), ValueError, r"expected \(N, 2, L\)"),
    (lambda: nn.InstanceNorm1d(2)(np.zeros((3, 5, 4), np.float32)), ValueError, r"expected \(N, 2, \*\)"),
    (
        lambda: nn.functional.instance_norm(np.zeros((2, 3, 4)), use_input_stats=False),
        ValueError,
        "statistics are always those of the sample",
    ),
    (lambda: nn.functional.instance_norm(np.zeros((2, 3))), ValueError, r"expected \(N, C, \*\) with positions"),
]


@pytest.mark.parametrize(("call", "error", "sentence"), REFUSALS)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def test_keras_spelling():
    assert nn.LayerNorm(5, epsilon=1e-3).eps == nn.GroupNorm(1, 5, epsilon=1e-3).eps == 1e-3
