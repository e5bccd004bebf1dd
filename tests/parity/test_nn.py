"""Layers, losses, initial values and `state_dict` against PyTorch on random inputs, weights exchanged by state_dict."""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pyneuro as pn  # noqa: E402
from pyneuro import nn  # noqa: E402
from tests import tolerances  # noqa: E402

REAL = ("float32", "float64")


def to_torch(array, grad=False):
    """A PyTorch tensor with the same values."""
    tensor = torch.from_numpy(np.array(array))
    return tensor.requires_grad_(grad) if grad else tensor


def values(tensor):
    """Values of a tensor of either library."""
    return tensor.detach().numpy()


def check(ours, theirs, dtype, what=""):
    assert tuple(ours.shape) == tuple(theirs.shape), what
    np.testing.assert_allclose(values(ours), values(theirs), **tolerances.LAYERS[dtype], err_msg=what)


def compare_modules(ours, theirs, x, dtype):
    """Same weights, same input: outputs, input gradient and all parameter gradients agree."""
    ours.to(dtype)
    theirs.to(getattr(torch, dtype))
    theirs.load_state_dict({k: to_torch(values(v)) for k, v in ours.state_dict().items()})
    a, b = pn.tensor(x.astype(dtype), requires_grad=True), to_torch(x.astype(dtype), grad=True)
    y, z = ours(a), theirs(b)
    check(y, z, dtype, "output")
    seed = np.random.default_rng(1).normal(size=tuple(z.shape)).astype(dtype)
    (y * pn.tensor(seed)).sum().backward()
    (z * to_torch(seed)).sum().backward()
    check(a.grad, b.grad, dtype, "gradient of x")
    for (name, p), (other, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        check(p.grad, q.grad, dtype, f"gradient of {name}")


LAYERS = [
    ("linear", lambda: nn.Linear(7, 5), lambda: torch.nn.Linear(7, 5), (4, 7)),
    ("linear without bias", lambda: nn.Linear(7, 5, bias=False), lambda: torch.nn.Linear(7, 5, bias=False), (3, 7)),
    ("linear on three dimensions", lambda: nn.Linear(7, 5), lambda: torch.nn.Linear(7, 5), (2, 3, 7)),
    ("linear on one sample", lambda: nn.Linear(7, 5), lambda: torch.nn.Linear(7, 5), (7,)),
    ("flatten", nn.Flatten, torch.nn.Flatten, (2, 3, 4)),
    ("flatten two", lambda: nn.Flatten(0, 1), lambda: torch.nn.Flatten(0, 1), (2, 3, 4)),
    ("identity", nn.Identity, torch.nn.Identity, (2, 3)),
    ("relu", nn.ReLU, torch.nn.ReLU, (4, 5)),
    ("leaky relu", lambda: nn.LeakyReLU(0.2), lambda: torch.nn.LeakyReLU(0.2), (4, 5)),
    ("prelu", nn.PReLU, torch.nn.PReLU, (4, 5)),
    ("prelu by channel", lambda: nn.PReLU(5), lambda: torch.nn.PReLU(5), (4, 5, 3)),
    ("elu", lambda: nn.ELU(0.7), lambda: torch.nn.ELU(0.7), (4, 5)),
    ("selu", nn.SELU, torch.nn.SELU, (4, 5)),
    ("gelu", nn.GELU, torch.nn.GELU, (4, 5)),
    ("gelu tanh", lambda: nn.GELU("tanh"), lambda: torch.nn.GELU("tanh"), (4, 5)),
    ("silu", nn.SiLU, torch.nn.SiLU, (4, 5)),
    ("sigmoid", nn.Sigmoid, torch.nn.Sigmoid, (4, 5)),
    ("tanh", nn.Tanh, torch.nn.Tanh, (4, 5)),
    ("softsign", nn.Softsign, torch.nn.Softsign, (4, 5)),
    ("softplus", nn.Softplus, torch.nn.Softplus, (4, 5)),
    ("softplus beta", lambda: nn.Softplus(2.0), lambda: torch.nn.Softplus(2.0), (4, 5)),
    ("hardtanh", lambda: nn.Hardtanh(-0.4, 0.6), lambda: torch.nn.Hardtanh(-0.4, 0.6), (4, 5)),
    ("log sigmoid", nn.LogSigmoid, torch.nn.LogSigmoid, (4, 5)),
    ("softmax", lambda: nn.Softmax(1), lambda: torch.nn.Softmax(1), (4, 5, 2)),
    ("log softmax", lambda: nn.LogSoftmax(dim=-1), lambda: torch.nn.LogSoftmax(dim=-1), (4, 5)),
]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("ours", "theirs", "shape"), [t[1:] for t in LAYERS], ids=[t[0] for t in LAYERS])
def test_layer(ours, theirs, shape, dtype):
    x = np.random.default_rng(0).normal(size=shape) * 2
    compare_modules(ours(), theirs(), x, dtype)


@pytest.mark.parametrize("dtype", REAL)
def test_deep_network(dtype):
    ours = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 9), nn.Tanh(), nn.Sequential(nn.Linear(9, 8), nn.ReLU()), nn.Linear(8, 3)
    )
    t = torch.nn
    theirs = t.Sequential(
        t.Flatten(), t.Linear(12, 9), t.Tanh(), t.Sequential(t.Linear(9, 8), t.ReLU()), t.Linear(8, 3)
    )
    compare_modules(ours, theirs, np.random.default_rng(2).normal(size=(6, 3, 4)), dtype)


def test_embedding():
    ours, theirs = nn.Embedding(11, 4), torch.nn.Embedding(11, 4)
    theirs.load_state_dict({k: to_torch(values(v)) for k, v in ours.state_dict().items()})
    x = np.random.default_rng(0).integers(0, 11, size=(3, 5))
    y, z = ours(x), theirs(to_torch(x))
    check(y, z, "float32")
    (y * y).sum().backward()
    (z * z).sum().backward()
    check(ours.weight.grad, theirs.weight.grad, "float32")


# ---- losses ----


def scores(rng, shape, kind):
    x = rng.normal(size=shape)
    return 1 / (1 + np.exp(-x)) if kind == "probability" else x


def targets(rng, shape, kind):
    if kind == "real":
        return rng.normal(size=shape)
    if kind == "binary":
        return rng.integers(0, 2, size=shape).astype(float)
    return rng.random(size=shape)


ELEMENTWISE = [
    ("mse", nn.MSELoss, torch.nn.MSELoss, "score", "real", {}),
    ("l1", nn.L1Loss, torch.nn.L1Loss, "score", "real", {}),
    ("huber", nn.HuberLoss, torch.nn.HuberLoss, "score", "real", {"delta": 0.7}),
    ("smooth l1", nn.SmoothL1Loss, torch.nn.SmoothL1Loss, "score", "real", {"beta": 0.6}),
    ("smooth l1, beta 0", nn.SmoothL1Loss, torch.nn.SmoothL1Loss, "score", "real", {"beta": 0.0}),
    ("bce", nn.BCELoss, torch.nn.BCELoss, "probability", "soft", {}),
    ("bce with logits", nn.BCEWithLogitsLoss, torch.nn.BCEWithLogitsLoss, "score", "soft", {}),
]


def compare_losses(ours, theirs, x, t, dtype):
    a, b = pn.tensor(x.astype(dtype), requires_grad=True), to_torch(x.astype(dtype), grad=True)
    real = t.dtype.kind == "f"
    y, z = ours(a, t.astype(dtype) if real else t), theirs(b, to_torch(t.astype(dtype) if real else t))
    check(y, z, dtype, "loss")
    y.sum().backward()
    z.sum().backward()
    check(a.grad, b.grad, dtype, "gradient")


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", ELEMENTWISE, ids=[c[0] for c in ELEMENTWISE])
def test_elementwise_loss(case, reduction, dtype):
    _, ours, theirs, kind, target, options = case
    rng = np.random.default_rng(3)
    for shape in ((5,), (4, 3), (2, 3, 4)):
        x, t = scores(rng, shape, kind), targets(rng, shape, target)
        compare_losses(ours(reduction=reduction, **options), theirs(reduction=reduction, **options), x, t, dtype)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weighted_binary_losses(reduction):
    rng = np.random.default_rng(4)
    x, t, w, p = rng.normal(size=(6, 3)), rng.random((6, 3)), rng.random((6, 3)), rng.random(3) + 0.5
    both = {"reduction": reduction}
    sure = 1 / (1 + np.exp(-x))
    compare_losses(nn.BCELoss(w, **both), torch.nn.BCELoss(to_torch(w), **both), sure, t, "float64")
    for ours, theirs in (
        ({"weight": w}, {"weight": to_torch(w)}),
        ({"pos_weight": p}, {"pos_weight": to_torch(p)}),
        ({"weight": w, "pos_weight": p}, {"weight": to_torch(w), "pos_weight": to_torch(p)}),
    ):
        compare_losses(
            nn.BCEWithLogitsLoss(**ours, **both), torch.nn.BCEWithLogitsLoss(**theirs, **both), x, t, "float64"
        )


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(reduction, smoothing, weighted, dtype):
    rng = np.random.default_rng(5)
    w = rng.random(4).astype(dtype) + 0.1 if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing}
    ours = nn.CrossEntropyLoss(w, **options)
    theirs = torch.nn.CrossEntropyLoss(None if w is None else to_torch(w), **options)
    for shape in ((7, 4), (3, 4, 5), (4,)):
        x = rng.normal(size=shape) * 3
        rows = shape[:1] + shape[2:] if len(shape) > 1 else ()
        t = np.asarray(rng.integers(0, 4, size=rows))
        compare_losses(ours, theirs, x, t, dtype)
        if t.ndim:
            t.flat[0] = -100
            compare_losses(ours, theirs, x, t, dtype)
    x, t = rng.normal(size=(6, 4)), rng.dirichlet(np.ones(4), size=6)
    compare_losses(ours, theirs, x, t, dtype)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nll(reduction):
    rng = np.random.default_rng(6)
    w = rng.random(4)
    x = np.log(rng.dirichlet(np.ones(4), size=9))
    t = rng.integers(0, 4, size=9)
    compare_losses(nn.NLLLoss(reduction=reduction), torch.nn.NLLLoss(reduction=reduction), x, t, "float64")
    options = {"reduction": reduction, "ignore_index": 2}
    compare_losses(nn.NLLLoss(w, **options), torch.nn.NLLLoss(to_torch(w), **options), x, t, "float64")


def test_functional_names():
    rng = np.random.default_rng(7)
    x, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    F, G = nn.functional, torch.nn.functional
    for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"):
        check(getattr(F, name)(x, t), getattr(G, name)(to_torch(x), to_torch(t)), "float64", name)
    for name in ("relu", "sigmoid", "tanh", "selu", "silu", "softplus", "softsign", "logsigmoid", "gelu", "elu",
                 "leaky_relu", "hardtanh"):  # fmt: skip
        check(getattr(F, name)(x), getattr(G, name)(to_torch(x)), "float64", name)
    for name in ("softmax", "log_softmax"):
        check(getattr(F, name)(x, 0), getattr(G, name)(to_torch(x), 0), "float64", name)
    assert np.array_equal(F.one_hot([2, 0, 1]).numpy(), G.one_hot(torch.tensor([2, 0, 1])).numpy())
    check(F.linear(x, t[:2], t[0, :2]), G.linear(to_torch(x), to_torch(t[:2]), to_torch(t[0, :2])), "float64")


# ---- state ----


class Ours(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 4)])
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.register_buffer("count", np.zeros(2, np.float32))
        self.register_buffer("scratch", np.zeros(2, np.float32), persistent=False)
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 1), "b": nn.PReLU(4)})
        self.last = nn.Linear(4, 2, bias=False)

    def forward(self, x):
        for layer in self.body:
            x = layer(x).relu()
        return self.last(x * self.scale)


class Theirs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        t = torch.nn
        self.body = t.ModuleList([t.Linear(3, 4), t.Linear(4, 4)])
        self.scale = t.Parameter(torch.ones(4))
        self.register_buffer("count", torch.zeros(2))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.heads = t.ModuleDict({"a": t.Linear(4, 1), "b": t.PReLU(4)})
        self.last = t.Linear(4, 2, bias=False)

    forward = Ours.forward


def test_state_dict_names_order_and_shapes():
    ours, theirs = Ours(), Theirs()
    expected = [(k, tuple(v.shape)) for k, v in theirs.state_dict().items()]
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == expected
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, method)()] == [n for n, _ in getattr(theirs, method)()], method


def test_state_dict_both_ways():
    ours, theirs = Ours(), Theirs()
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(8).normal(size=(5, 3)).astype(np.float32)
    check(ours(x), theirs(to_torch(x)), "float32")
    again = Theirs()
    again.load_state_dict({k: torch.from_dlpack(v) for k, v in Ours().state_dict().items()})
    ours.load_state_dict({k: v.to(torch.bfloat16) for k, v in again.state_dict().items()})
    for name, value in again.state_dict().items():
        assert np.array_equal(ours.state_dict()[name].numpy(), value.to(torch.bfloat16).float().numpy()), name


def test_tied_and_frozen_parameters():
    def build(lib):
        net = lib.Sequential(lib.Linear(3, 3), lib.Tanh(), lib.Linear(3, 3))
        net[2].weight = net[0].weight
        return net

    ours, theirs = build(nn), build(torch.nn)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    ours[0].bias.requires_grad_(False)
    theirs[0].bias.requires_grad_(False)
    theirs.load_state_dict({k: to_torch(values(v)) for k, v in ours.state_dict().items()})
    x = np.random.default_rng(9).normal(size=(4, 3)).astype(np.float32)
    ours(x).sum().backward()
    theirs(to_torch(x)).sum().backward()
    check(ours[0].weight.grad, theirs[0].weight.grad, "float32")
    assert ours[0].bias.grad is None


def test_repr():
    def build(lib):
        return lib.Sequential(
            lib.Linear(3, 4), lib.ReLU(), lib.LeakyReLU(0.1), lib.ELU(), lib.GELU(), lib.Softmax(dim=1), lib.Flatten(),
            lib.PReLU(), lib.Dropout(0.3), lib.Identity(), lib.Sequential(lib.Linear(4, 2, bias=False), lib.Tanh()),
            lib.Hardtanh(), lib.Embedding(5, 2),
        )  # fmt: skip

    ours, theirs = repr(build(nn)), repr(build(torch.nn)).replace(", inplace=False", "")
    assert ours == theirs


# ---- initial values ----


def distribution(make, n=40):
    """All drawn numbers of `n` tensors, sorted."""
    return np.sort(np.concatenate([np.ravel(make()) for _ in range(n)]))


def same_distribution(a, b):
    """Two-sample Kolmogorov-Smirnov: the distance stays below the bound for p = 1e-7 (asymptotic formula)."""
    grid = np.concatenate([a, b])
    distance = np.abs(np.searchsorted(a, grid, "right") / len(a) - np.searchsorted(b, grid, "right") / len(b)).max()
    bound = math.sqrt(-math.log(1e-7 / 2) / 2 * (len(a) + len(b)) / (len(a) * len(b)))
    assert distance < bound, (distance, bound)


RULES = [
    ("uniform_", (-2.0, 3.0)),
    ("normal_", (1.0, 2.0)),
    ("xavier_uniform_", ()),
    ("xavier_uniform_", (2.0,)),
    ("xavier_normal_", ()),
    ("kaiming_uniform_", ()),
    ("kaiming_uniform_", (0.5, "fan_out")),
    ("kaiming_normal_", (0.0, "fan_in", "relu")),
    ("kaiming_normal_", (0.0, "fan_out", "tanh")),
    ("orthogonal_", (1.5,)),
]


@pytest.mark.parametrize(("name", "arguments"), RULES)
@pytest.mark.parametrize("shape", [(30, 20), (8, 4, 3, 3)])
def test_init_distribution(name, arguments, shape):
    pn.manual_seed(1)
    torch.manual_seed(1)
    ours = distribution(lambda: values(getattr(nn.init, name)(pn.zeros(*shape), *arguments)))
    theirs = distribution(lambda: values(getattr(torch.nn.init, name)(torch.empty(*shape), *arguments)))
    same_distribution(ours, theirs)


STARTS = [
    (lambda lib: lib.Linear(30, 20), "weight"),
    (lambda lib: lib.Linear(30, 20), "bias"),
    (lambda lib: lib.Embedding(30, 20), "weight"),
    (lambda lib: lib.PReLU(5), "weight"),
]


@pytest.mark.parametrize(("make", "name"), STARTS, ids=["linear weight", "linear bias", "embedding", "prelu"])
def test_layers_start_as_pytorchs(make, name):
    pn.manual_seed(2)
    torch.manual_seed(2)
    n = 400 if name == "bias" else 40
    same_distribution(
        distribution(lambda: values(getattr(make(nn), name)), n),
        distribution(lambda: values(getattr(make(torch.nn), name)), n),
    )


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (4, 2, 3)])
def test_orthogonal(shape):
    w = values(nn.init.orthogonal_(pn.zeros(*shape, dtype="float64"))).reshape(shape[0], -1)
    small = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(small, np.eye(len(small)), atol=tolerances.SAME)


def test_gains():
    names = ("linear", "sigmoid", "tanh", "relu", "selu", "conv2d")
    for name, param in itertools.chain(((n, None) for n in names), (("leaky_relu", None), ("leaky_relu", 0.3))):
        assert nn.init.calculate_gain(name, param) == pytest.approx(
            torch.nn.init.calculate_gain(name, param), rel=tolerances.LAST_PLACE
        )


def test_dropout_statistics_and_gradient():
    layer = nn.Dropout(0.3)
    x = pn.ones(200, 500)
    x.requires_grad = True
    y = layer(x)
    kept = values(y) != 0
    assert abs(kept.mean() - 0.7) < 5 * math.sqrt(0.21 / kept.size)
    np.testing.assert_allclose(values(y)[kept], 1 / 0.7, rtol=tolerances.SINGLE)
    y.sum().backward()
    np.testing.assert_array_equal(values(x.grad), values(y))
    assert np.array_equal(values(layer.eval()(x)), values(x))
    assert np.array_equal(values(nn.Dropout(keep=1)(x)), values(x))
    assert not values(nn.Dropout(p=1)(x)).any()
