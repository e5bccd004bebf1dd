"""Pooling, dropout of channels and Unflatten against PyTorch: values, gradients, options, training in both modes."""

import itertools

import numpy as np
import pytest
from test_nn import check, compare_modules, to_torch, values

import pyneuro as pn
from pyneuro import nn
from tests import tolerances

torch = pytest.importorskip("torch")

F, TF = nn.functional, torch.nn.functional
REAL = ("float32", "float64")
IMAGES = ((2, 3, 7, 9), (3, 16, 37))


def compare(ours, theirs, x):
    """Output and gradient of a function of one tensor."""
    a, b = pn.tensor(x, requires_grad=True), to_torch(x, grad=True)
    y, z = ours(a), theirs(b)
    dtype = str(x.dtype)
    check(y, z, dtype)
    g = np.random.default_rng(1).normal(size=tuple(z.shape)).astype(dtype)
    y.backward(pn.tensor(g))
    z.backward(to_torch(g))
    check(a.grad, b.grad, dtype, "gradient")


def image(shape, dtype, kind="plain"):
    """Random numbers; "ties": whole numbers, "nan": some of them NaN."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    if kind == "ties":
        x = np.round(x)
    if kind == "nan":
        x[rng.random(shape) < 0.05] = np.nan
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("kind", ["plain", "ties", "nan"])
def test_max_pool(kind, dtype):
    """Every combination of options that PyTorch takes; ties go to the first maximum, NaN wins."""
    options = itertools.product((1, 2, 3, (2, 3)), (None, 1, 3, (2, 1)), (0, 1), (1, 2), (False, True), IMAGES)
    for kernel, stride, padding, dilation, ceil_mode, shape in options:
        if 2 * padding > np.min(kernel):
            continue
        given = kernel, stride, padding, dilation, ceil_mode
        compare(
            lambda t, o=given: F.max_pool2d(t, *o), lambda t, o=given: TF.max_pool2d(t, *o), image(shape, dtype, kind)
        )


@pytest.mark.parametrize("dtype", REAL)
def test_avg_pool(dtype):
    options = itertools.product(
        (1, 2, 3, (2, 3)), (None, 1, 3), (0, 1), (False, True), (False, True), (None, 3, -2), IMAGES
    )
    for kernel, stride, padding, *rest, shape in options:
        if 2 * padding > np.min(kernel):
            continue
        given = kernel, stride, padding, *rest
        compare(lambda t, o=given: F.avg_pool2d(t, *o), lambda t, o=given: TF.avg_pool2d(t, *o), image(shape, dtype))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("size", [1, (1, 1), (3, 4), (7, 9), (10, 12), (None, 5), (2, None)])
def test_adaptive(size, dtype):
    for shape in IMAGES:
        x = image(shape, dtype)
        compare(lambda t: F.adaptive_avg_pool2d(t, size), lambda t: TF.adaptive_avg_pool2d(t, size), x)
        for kind in ("ties", "nan"):
            x = image(shape, dtype, kind)
            compare(lambda t: F.adaptive_max_pool2d(t, size), lambda t: TF.adaptive_max_pool2d(t, size), x)


LAYERS = [
    ("MaxPool2d", (2,), {}, (2, 3, 8, 10)),
    ("MaxPool2d", (3, 2, 1), {"dilation": 2, "ceil_mode": True}, (2, 3, 9, 10)),
    ("AvgPool2d", (2,), {}, (2, 3, 8, 10)),
    ("AvgPool2d", (3, 2, 1, True, False), {"divisor_override": 5}, (3, 9, 10)),
    ("MaxPool1d", (3, 2, 1), {"dilation": 2, "ceil_mode": True}, (2, 3, 11)),
    ("MaxPool1d", (2,), {}, (3, 11)),
    ("AvgPool1d", (3, 2, 1, True), {"count_include_pad": False}, (2, 3, 10)),
    ("AdaptiveAvgPool2d", ((None, 2),), {}, (2, 3, 7, 5)),
    ("AdaptiveMaxPool2d", (3,), {}, (2, 3, 7, 5)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool1d", (4,), {}, (3, 7)),
    ("Unflatten", (1, (2, -1)), {}, (3, 8, 2)),
    ("Unflatten", (-1, (2, 2)), {}, (3, 4)),
]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS)
def test_layer(name, args, options, shape, dtype):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    compare_modules(ours, theirs, image(shape, "float64"), dtype)


def images_and_labels():
    rng = np.random.default_rng(3)
    return rng.normal(size=(40, 3, 8, 9)).astype(np.float32), rng.integers(0, 4, 40)


@pytest.mark.parametrize(
    "layers",
    [
        lambda lib: [lib.MaxPool2d(2), lib.Flatten(), lib.Linear(48, 4)],
        lambda lib: [lib.AvgPool2d(2), lib.Flatten(), lib.Linear(48, 4)],
        lambda lib: [
            lib.Linear(9, 9),
            lib.MaxPool2d(3, 2, 1),
            lib.AdaptiveAvgPool2d(1),
            lib.Flatten(),
            lib.Linear(3, 4),
        ],
        lambda lib: [
            lib.Linear(9, 8),
            lib.AvgPool2d(3, 1, 1),
            lib.AdaptiveMaxPool2d(2),
            lib.Flatten(),
            lib.Linear(12, 4),
        ],
    ],
)
def test_training_in_both_modes(layers):
    """20 steps of fit, of a loop by hand, and of PyTorch reach the same weights."""
    x, y = images_and_labels()
    ours, by_hand = nn.Sequential(*layers(nn), seed=0), nn.Sequential(*layers(nn), seed=0)
    theirs = torch.nn.Sequential(*layers(torch.nn))
    theirs.load_state_dict({k: to_torch(values(v)) for k, v in ours.state_dict().items()})
    ours.fit(x, y, optimizer=pn.optim.SGD(lr=0.1), epochs=4, batch_size=8, shuffle=False, verbose=0)
    hand, sgd = pn.optim.SGD(by_hand.parameters(), lr=0.1), torch.optim.SGD(theirs.parameters(), lr=0.1)
    for step in range(20):
        part = slice(8 * (step % 5), 8 * (step % 5) + 8)
        for net, optimiser, lib, loss in ((by_hand, hand, pn.tensor, F), (theirs, sgd, torch.tensor, TF)):
            optimiser.zero_grad()
            loss.cross_entropy(net(lib(x[part])), lib(y[part])).backward()
            optimiser.step()
    for a, b, c in zip(ours.parameters(), by_hand.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(values(a), values(b), rtol=tolerances.MODES["float32"], atol=tolerances.SINGLE)
        check(b, c, "float32")


def test_dropout_of_channels():
    """Whole channels, the right share of them, the same mask for the gradient."""
    x = pn.ones(40, 100, 3, 5)
    x.requires_grad = True
    y = nn.Dropout2d(0.3)(x)
    kept = values(y)[:, :, 0, 0] != 0
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.21 / kept.size)
    np.testing.assert_allclose(values(y), np.broadcast_to(kept[..., None, None] / 0.7, y.shape), rtol=tolerances.SINGLE)
    y.sum().backward()
    np.testing.assert_array_equal(values(x.grad), values(y))
    assert np.array_equal(values(nn.Dropout2d(0.3).eval()(x)), values(x))
    assert np.array_equal(values(F.dropout2d(x, 0.3, training=False)), values(x))
    assert not values(F.dropout2d(x, 1)).any()


def test_dropout_of_channels_draws_the_same_masks_in_both_modes():
    x, y = images_and_labels()
    nets = [nn.Sequential(nn.Dropout2d(0.4), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(48, 4), seed=0) for _ in range(2)]
    nets[0].fit(x, y, optimizer=pn.optim.SGD(lr=0.1), epochs=1, batch_size=8, seed=5, verbose=0)
    optimiser = pn.optim.SGD(nets[1].parameters(), lr=0.1)
    for xb, yb in pn.batches(x, y, 8, seed=5):
        optimiser.zero_grad()
        F.cross_entropy(nets[1](xb), yb).backward()
        optimiser.step()
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        np.testing.assert_allclose(values(a), values(b), rtol=tolerances.MODES["float32"], atol=tolerances.SINGLE)


def test_no_samples():
    x = np.zeros((0, 3, 4, 4), np.float32)
    assert F.max_pool2d(x, 2).shape == F.avg_pool2d(x, 2).shape == F.adaptive_max_pool2d(x, 2).shape == (0, 3, 2, 2)
    assert F.adaptive_avg_pool1d(x[..., 0], 1).shape == (0, 3, 1) and F.dropout2d(x).shape == x.shape


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nn.MaxPool2d(5)(np.zeros((1, 1, 3, 9), np.float32)), ValueError,
         r"x has shape \(1, 1, 3, 9\), .*floor\(\(N \+ 2p - F\) / s\) \+ 1 = floor\(\(3 \+ 0 - 5\) / 5\) \+ 1 = 0"),
        (lambda: nn.AvgPool2d(2)([[1.0]]), ValueError, r"x has shape \(1, 1\), expected \(N, C, H, W\) or \(C, H, W\)"),
        (lambda: F.max_pool1d([1.0], 1), ValueError, r"max_pool1d: x has shape \(1,\), expected \(N, C, L\)"),
        (lambda: nn.MaxPool2d(2, padding=2)(np.zeros((1, 4, 4))), ValueError, "padding is 2, expected at most half"),
        (lambda: nn.MaxPool2d(0), ValueError, "MaxPool2d: kernel_size must be at least 1, got 0"),
        (lambda: nn.MaxPool2d(), TypeError, "MaxPool2d needs kernel_size"),
        (lambda: nn.MaxPool2d(1.5), TypeError, "MaxPool2d: kernel_size must be a whole number"),
        (lambda: nn.MaxPool2d((1, 2, 3)), ValueError, "kernel_size must be one number or 2"),
        (lambda: nn.MaxPool2d(2, padding="same"), ValueError, "padding='same' depends on .*; ceil_mode=True gives"),
        (lambda: nn.MaxPool2d((3, 5), 2, "same"), ValueError, r"padding=\(1, 2\) gives the same size here"),
        (lambda: nn.AvgPool2d(2, 1, "same"), ValueError, "put a padding layer such as nn.ConstantPad2d"),
        (lambda: nn.MaxPool2d(2, ceil_mode="yes"), TypeError, "MaxPool2d: ceil_mode must be True or False, got 'yes'"),
        (lambda: nn.AvgPool2d(3, 2, 1, 1), TypeError, "AvgPool2d: ceil_mode must be True or False, got 1"),
        (lambda: F.avg_pool1d([[1.0]], 1, 1, 0, False, None), TypeError, "count_include_pad must be True or False"),
        (lambda: nn.MaxPool2d(2, return_indices=True), TypeError, "return_indices"),
        (lambda: nn.MaxPool2d(2, kernel=3), TypeError, "did you mean kernel_size"),
        (lambda: nn.MaxPool2d(2, pool_size=3), TypeError, "two spellings"),
        (lambda: nn.AvgPool2d(2, divisor_override=0), ValueError, "divisor_override must not be 0"),
        (lambda: nn.AdaptiveAvgPool2d(0), ValueError, "output_size must be at least 1"),
        (lambda: nn.AdaptiveAvgPool2d(1)(np.zeros((1, 0, 4))), ValueError, "expected a height and width"),
        (lambda: nn.Dropout2d(2), ValueError, "p must be from 0 to 1"),
        (lambda: nn.Dropout2d()([1.0]), ValueError, r"x has shape \(1,\), expected \(N, C, ...\)"),
        (lambda: nn.Unflatten(1, (2, 3))([[1.0, 2.0]]), ValueError, r"x has shape \(1, 2\), expected a size of"),
        (lambda: nn.Unflatten(2, (2,))([[1.0, 2.0]]), IndexError, r"dim is 2, but x has shape \(1, 2\)"),
    ],
)  # fmt: skip
def test_refusals(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize("n", [7, 8])
def test_what_is_advised_instead_of_same(n):
    """The output is as large as Keras's: ceil(N / stride)."""
    x = np.zeros((1, 1, n, n), np.float32)
    for kernel, stride, options in ((2, 2, {"ceil_mode": True}), (3, 2, {"padding": 1}), (5, 3, {"padding": 2})):
        assert nn.MaxPool2d(kernel, stride, **options)(x).shape[2] == -(-n // stride)


def test_spellings_of_keras():
    layer = nn.MaxPool2d(pool_size=(2, 3), strides=1, padding="valid")
    assert (layer.kernel_size, layer.stride, layer.padding) == ((2, 3), 1, 0)
