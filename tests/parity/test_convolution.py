"""Convolutional layers and functions against PyTorch: options, defaults, gradients, initial values, training."""

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pyneuro as pn  # noqa: E402
from pyneuro import nn, optim  # noqa: E402
from tests import tolerances  # noqa: E402
from tests.parity import test_nn as parity  # noqa: E402

F, T = nn.functional, torch.nn.functional
REAL = ("float32", "float64")

# name of the layer, positional and keyword arguments, shape of the input
LAYERS = [
    ("Conv2d", (3, 6, 5), {}, (2, 3, 12, 11)),
    ("Conv2d", (1, 4, 3), {}, (2, 1, 8, 8)),
    ("Conv2d", (3, 4, (3, 2), (2, 1), (1, 2)), {}, (2, 3, 9, 7)),
    ("Conv2d", (2, 4, 3), {"padding": "same"}, (2, 2, 6, 5)),
    ("Conv2d", (2, 4, (2, 4)), {"padding": "same", "dilation": (1, 2)}, (2, 2, 6, 9)),
    ("Conv2d", (2, 4, 3), {"padding": "valid", "stride": 3}, (2, 2, 7, 8)),
    ("Conv2d", (4, 6, 3), {"groups": 2, "bias": False, "padding": 1}, (3, 4, 6, 5)),
    ("Conv2d", (6, 12, 3), {"groups": 6, "padding": 1}, (2, 6, 9, 10)),
    ("Conv2d", (3, 4, 3), {"dilation": 2, "stride": 2}, (2, 3, 9, 9)),
    ("Conv2d", (8, 5, 1), {}, (2, 8, 9, 9)),
    ("Conv2d", (2, 3, 7), {"padding": 3}, (1, 2, 2, 3)),
    ("Conv2d", (2, 3, 2), {"stride": 4}, (1, 2, 9, 10)),
    ("Conv2d", (3, 4, 3), {}, (3, 6, 5)),
    ("Conv1d", (3, 5, 4), {}, (2, 3, 10)),
    ("Conv1d", (4, 6, 3, 2, 1), {"groups": 2}, (2, 4, 9)),
    ("Conv1d", (3, 5, 4), {"padding": "same", "dilation": 3}, (2, 3, 20)),
    ("Conv1d", (3, 5, 3), {"padding": "valid", "bias": False}, (3, 12)),
    ("ConvTranspose2d", (3, 5, 3), {}, (2, 3, 6, 5)),
    ("ConvTranspose2d", (3, 5, (3, 2), 2, (1, 0), (1, 0)), {}, (2, 3, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {"groups": 2, "dilation": 2, "bias": False}, (2, 4, 5, 4)),
    ("ConvTranspose2d", (4, 2, 2, 2), {}, (4, 7, 6)),
]
NAMES = [f"{name}{args}{options}" for name, args, options, _ in LAYERS]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("algorithm", ["auto", "naive", "im2col", "direct"])
@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS, ids=NAMES)
def test_layers(name, args, options, shape, algorithm, dtype):
    rng = np.random.default_rng(3)
    ours, theirs = getattr(nn, name)(*args, algorithm=algorithm, **options), getattr(torch.nn, name)(*args, **options)
    parity.compare_modules(ours, theirs, rng.normal(size=shape), dtype)
    assert repr(ours) == repr(theirs)
    theirs.reset_parameters()
    ours.load_state_dict({k: v.detach().numpy() for k, v in theirs.state_dict().items()})
    x = rng.normal(size=shape).astype(dtype)
    parity.check(ours(x), theirs(torch.from_numpy(x)), dtype)


@pytest.mark.parametrize("name", ["Conv1d", "Conv2d", "ConvTranspose2d"])
def test_signatures(name):
    """The same arguments in the same order; `device` is not taken."""
    ours = [p for p in inspect.signature(getattr(nn, name)).parameters if p != "other"]
    theirs = [p for p in inspect.signature(getattr(torch.nn, name)).parameters if p != "device"]
    assert ours[: len(theirs) - 1] == theirs[:-1]
    assert theirs[-1] in ours


@pytest.mark.parametrize("dtype", REAL)
def test_functions(dtype):
    rng = np.random.default_rng(4)

    def both(ours, theirs, shapes, *args, **options):
        arrays = [rng.normal(size=s).astype(dtype) for s in shapes]
        a = [pn.tensor(v, requires_grad=True) for v in arrays]
        b = [torch.from_numpy(v).requires_grad_(True) for v in arrays]
        y, z = ours(*a, *args, **options), theirs(*b, *args, **options)
        parity.check(y, z, dtype)
        (y * y).sum().backward()
        (z * z).sum().backward()
        for p, q in zip(a, b, strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), **worst(q.grad.numpy(), dtype))

    both(F.conv1d, T.conv1d, [(2, 3, 9), (4, 3, 2), (4,)], 2, 1)
    both(F.conv1d, T.conv1d, [(3, 9), (4, 3, 2)], padding="same")
    both(F.conv2d, T.conv2d, [(2, 3, 9, 8), (4, 3, 2, 3), (4,)], (2, 1), (1, 0), 2)
    both(F.conv2d, T.conv2d, [(2, 4, 9, 8), (4, 2, 3, 3)], groups=2, padding="same")
    both(F.conv_transpose2d, T.conv_transpose2d, [(2, 4, 4, 5), (4, 2, 3, 3), (4,)], 2, 1, 1, 2, 1)


def worst(values, dtype):
    """Sums of squares: the bound of layers, relative to the largest gradient."""
    bound = tolerances.LAYERS[dtype]
    return {"rtol": bound["rtol"], "atol": bound["atol"] * max(1.0, float(np.abs(values).max()))}


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_batches_of_any_size(batch):
    layer, other = nn.Conv2d(2, 3, 3, padding=1), torch.nn.Conv2d(2, 3, 3, padding=1)
    parity.compare_modules(layer, other, np.ones((batch, 2, 4, 5)), "float32")


def test_input_that_is_not_contiguous():
    x = np.random.default_rng(0).normal(size=(2, 9, 7, 3)).astype(np.float32)
    layer, other = nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 3)
    other.load_state_dict({k: parity.to_torch(parity.values(v)) for k, v in layer.state_dict().items()})
    parity.check(layer(x.transpose(0, 3, 1, 2)), other(torch.from_numpy(x).permute(0, 3, 1, 2)), "float32")
    turned = pn.tensor(x).transpose(0, 3, 1, 2)
    assert turned.shape == (2, 3, 9, 7)
    np.testing.assert_array_equal(layer(turned).detach().numpy(), layer(x.transpose(0, 3, 1, 2)).detach().numpy())


STARTS = [
    ("conv1d", lambda lib: lib.Conv1d(8, 12, 5)),
    ("conv2d", lambda lib: lib.Conv2d(8, 12, (3, 5))),
    ("conv2d with groups", lambda lib: lib.Conv2d(8, 12, 3, groups=4)),
    ("conv_transpose2d", lambda lib: lib.ConvTranspose2d(8, 12, 3)),
]


@pytest.mark.parametrize("which", ["weight", "bias"])
@pytest.mark.parametrize("make", [m for _, m in STARTS], ids=[n for n, _ in STARTS])
def test_layers_start_as_pytorchs(make, which):
    pn.manual_seed(2)
    torch.manual_seed(2)
    n = 400 if which == "bias" else 20
    parity.same_distribution(
        parity.distribution(lambda: parity.values(getattr(make(nn), which)), n),
        parity.distribution(lambda: parity.values(getattr(make(torch.nn), which)), n),
    )


def small_net(lib):
    return lib.Sequential(
        lib.Conv2d(1, 4, 3, padding=1), lib.ReLU(), lib.Conv2d(4, 4, 3, stride=2, groups=2), lib.Tanh(),
        lib.ConvTranspose2d(4, 3, 2, 2), lib.Sigmoid(), lib.Flatten(), lib.Linear(108, 3),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("mode", ["plan", "eager"])
def test_twenty_steps_of_training(mode, dtype):
    """`fit` in both modes takes the steps that PyTorch's loop takes."""
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(90, 1, 8, 8)).astype(dtype), rng.integers(0, 3, 90)
    ours, theirs = small_net(nn).to(dtype), small_net(torch.nn).to(getattr(torch, dtype))
    theirs.load_state_dict({k: parity.to_torch(parity.values(v)) for k, v in ours.state_dict().items()})
    given = {"epochs": 2, "batch_size": 9, "shuffle": False, "verbose": 0, "mode": mode}
    assert ours.fit(x, y, optimizer=optim.SGD(lr=0.1), **given).steps == 20
    rule = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for i in [*range(0, 90, 9)] * 2:
        rule.zero_grad()
        T.cross_entropy(theirs(torch.from_numpy(x[i : i + 9])), torch.from_numpy(y[i : i + 9])).backward()
        rule.step()
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        np.testing.assert_allclose(
            p.detach().numpy(), q.detach().numpy(), rtol=0, atol=tolerances.MODES[dtype], err_msg=name
        )


@pytest.mark.parametrize("flip", [False, True])
def test_filter2d(flip):
    rng = np.random.default_rng(8)
    image, k = rng.normal(size=(3, 9, 8)), rng.normal(size=(2, 3))
    turned = k[::-1, ::-1] if flip else k
    theirs = T.conv2d(torch.from_numpy(image[:, None]), torch.from_numpy(turned.copy())[None, None])[:, 0].numpy()
    for given in (image, pn.tensor(image)):
        np.testing.assert_allclose(pn.filter2d(given, k, flip=flip).numpy(), theirs, **tolerances.LAYERS["float64"])
    np.testing.assert_allclose(
        pn.filter2d(image[0], pn.tensor(k), flip=flip).numpy(), theirs[0], **tolerances.LAYERS["float64"]
    )


@pytest.mark.parametrize("x", ["float32", "float64", "int64"])
@pytest.mark.parametrize("w", ["float32", "float64", "int64"])
def test_two_plain_inputs_have_the_type_that_a_dense_layer_gives_them(x, w):
    dense = nn.functional.linear(np.ones((2, 3), x), np.ones((4, 3), w)).dtype
    assert nn.functional.conv1d(np.ones((1, 2, 5), x), np.ones((3, 2, 2), w)).dtype == dense
    assert nn.functional.conv2d(np.ones((1, 2, 5, 5), x), np.ones((3, 2, 2, 2), w)).dtype == dense
    assert nn.functional.conv_transpose2d(np.ones((1, 2, 5, 5), x), np.ones((2, 3, 2, 2), w)).dtype == dense
