"""Padding and resampling against PyTorch: values, gradients, options, layers, training in both modes."""

import itertools

import numpy as np
import pytest
from test_nn import compare_modules, values
from test_pooling import REAL, compare, image, images_and_labels

import pyneuro as pn
from pyneuro import nn
from tests import tolerances

torch = pytest.importorskip("torch")

F, TF = nn.functional, torch.nn.functional
MODES = ("constant", "reflect", "replicate", "circular")


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("mode", MODES)
def test_pad(mode, dtype):
    """One and two dimensions, more before than after, cutting off, nothing at all."""
    for shape, amounts in (
        ((2, 3, 4, 5), [(0, 0), (2, 1, 3, 0), (1, 2), (-1, 2, 3, -2), (0, 0, 1, 2), (-2, -3, 0, 0)]),
        ((3, 17), [(16, 16), (5, -3), (-16, 8)]),
        ((2, 3, 70), [(69, 3)]),
    ):
        for amount in amounts:
            if mode == "circular" and min(amount) < 0:
                continue  # PyTorch leaves elements unset there: see the test below
            if mode != "constant" and len(amount) != 2 * (len(shape) - 2) and len(shape) != 2:
                amount = (*amount, 0, 0)  # PyTorch's other modes want all dimensions behind the channels
            compare(lambda t, a=amount: F.pad(t, a, mode), lambda t, a=amount: TF.pad(t, a, mode), image(shape, dtype))


def test_a_ring_that_is_cut_off():
    x = np.arange(5.0)
    for before, after in ((-2, 4), (5, -4), (-1, -1)):
        expected = x[np.arange(-before, 5 + after) % 5]
        np.testing.assert_array_equal(values(F.pad(x, (before, after), "circular")), expected)


@pytest.mark.parametrize("dtype", REAL)
def test_pad_with_a_value(dtype):
    for amount, value in (((1, 2), 3.5), ((0, 0, 2, 1, 1, 1), -1), ((1, 0, 0, 1, 2, 0, 0, 2), np.inf)):
        given = amount, "constant", value
        compare(lambda t, o=given: F.pad(t, *o), lambda t, o=given: TF.pad(t, *o), image((2, 3, 4, 5), dtype))


def test_pad_of_integers():
    x = np.arange(6).reshape(2, 3) + 2**60
    y = F.pad(x, (1, 2, 0, 1), value=7)
    assert y.dtype == "int64"
    np.testing.assert_array_equal(values(y), values(TF.pad(torch.from_numpy(x), (1, 2, 0, 1), value=7)))
    assert F.pad(x, (1, 1), mode="reflect").tolist()[0][0] == 2**60 + 1


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "area"])
def test_interpolate(mode, dtype):
    """Larger, smaller, both at once, and the sizes at which a position rounds either way."""
    x = image((2, 3, 7, 9), dtype)
    corners = (None, False, True) if mode == "bilinear" else (None,)
    for size, align in itertools.product([7, (14, 18), (3, 4), (1, 20), (22, 1), (13, 5)], corners):
        given = size, None, mode, align
        compare(lambda t, o=given: F.interpolate(t, *o), lambda t, o=given: TF.interpolate(t, *o), x)
    factors = itertools.product([2, (1.5, 3), (0.3, 0.7), 1.7], corners, (None, True))
    for factor, align, again in factors:
        given = None, factor, mode, align, again
        compare(lambda t, o=given: F.interpolate(t, *o), lambda t, o=given: TF.interpolate(t, *o), x)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_pixels_are_those_of_pytorch(mode, dtype):
    """Of images; for sequences PyTorch itself rounds differently with the type and the kernel."""
    for n in range(1, 40):
        x = np.arange(n, dtype=dtype).reshape(1, 1, 1, n)
        for m in range(1, 80):
            size = 1, m
            ours, theirs = F.interpolate(x, size, mode=mode), TF.interpolate(torch.from_numpy(x), size, mode=mode)
            np.testing.assert_array_equal(values(ours), values(theirs), err_msg=f"{n} to {size}")


@pytest.mark.parametrize("dtype", REAL)
def test_interpolate_sequences(dtype):
    x = image((2, 3, 11), dtype)
    for size, mode, align in ((5, "linear", None), (23, "linear", True), (30, "nearest", None), (4, "area", None)):
        given = size, None, mode, align
        compare(lambda t, o=given: F.interpolate(t, *o), lambda t, o=given: TF.interpolate(t, *o), x)


LAYERS = [
    ("ZeroPad1d", (2,), {}, (2, 3, 5)),
    ("ZeroPad2d", ((1, 2, 0, 3),), {}, (2, 3, 4, 5)),
    ("ConstantPad1d", ((1, 2), 0.5), {}, (3, 5)),
    ("ConstantPad2d", (1, -1.5), {}, (3, 4, 5)),
    ("ReflectionPad1d", ((4, 1),), {}, (2, 3, 5)),
    ("ReflectionPad2d", (3,), {}, (2, 3, 4, 5)),
    ("ReplicationPad1d", (7,), {}, (2, 3, 5)),
    ("ReplicationPad2d", ((1, 2, 3, 9),), {}, (2, 3, 4, 5)),
    ("CircularPad1d", (5,), {}, (2, 3, 5)),
    ("CircularPad2d", ((1, 2, 3, 4),), {}, (2, 3, 4, 5)),
    ("Upsample", (), {"scale_factor": 2}, (2, 3, 4, 5)),
    ("Upsample", ((9, 3),), {"mode": "bilinear", "align_corners": True}, (2, 3, 4, 5)),
    ("Upsample", (), {"scale_factor": 2.5, "mode": "linear"}, (2, 3, 5)),
]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS)
def test_layer(name, args, options, shape, dtype):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    compare_modules(ours, theirs, image(shape, "float64"), dtype)


def test_training_in_both_modes():
    """`fit` and the loop written by hand give the same weights behind a padded convolution and an upsampling."""
    x, y = images_and_labels()
    layers = lambda: [  # noqa: E731
        nn.ReflectionPad2d(1), nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2, mode="bilinear"), nn.AvgPool2d(4),
        nn.ReplicationPad2d((0, 1, 0, 0)), nn.Upsample((4, 4)), nn.Flatten(), nn.Linear(64, 4),
    ]  # fmt: skip
    nets = [nn.Sequential(*layers(), seed=0) for _ in range(2)]
    nets[0].fit(x, y, optimizer=pn.optim.SGD(lr=0.1), epochs=1, batch_size=8, seed=5, verbose=0)
    optimiser = pn.optim.SGD(nets[1].parameters(), lr=0.1)
    for xb, yb in pn.batches(x, y, 8, seed=5):
        optimiser.zero_grad()
        F.cross_entropy(nets[1](xb), yb).backward()
        optimiser.step()
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        np.testing.assert_allclose(values(a), values(b), rtol=tolerances.MODES["float32"], atol=tolerances.SINGLE)


def test_summary():
    lines = []
    net = nn.Sequential(nn.ZeroPad2d((1, 2, 0, 0)), nn.Upsample(scale_factor=2, mode="bilinear"))
    net.summary((3, 4, 5), print_fn=lines.append)
    text = "\n".join(lines)
    assert "(None, 3, 4, 8)" in text and "(None, 3, 8, 16)" in text and f"{4 * 3 * 8 * 16:,}" in text


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: F.pad([1.0, 2.0], (1,)), ValueError, "pad has 1 numbers, expected two for each dimension"),
        (lambda: F.pad([1.0, 2.0], (1, 1, 1, 1)), ValueError, r"pad has 4 numbers, but x has shape \(2,\).*at most 2"),
        (lambda: F.pad([1.0, 2.0], (2, 0), "reflect"), ValueError,
         r"pad is \(2, 0\) for dimension 0 of x of shape \(2,\), expected at most 1 with mode 'reflect'"),
        (lambda: F.pad([1.0, 2.0], (0, 3), "circular"), ValueError, "expected at most 2 with mode 'circular'"),
        (lambda: F.pad(np.zeros((2, 0)), (0, 3), "replicate"), ValueError, "dimension 1 has no edge to repeat"),
        (lambda: F.pad([1.0, 2.0], (-1, -2)), ValueError, r"pad is \(-1, -2\).*cuts off more than x of shape \(2,\)"),
        (lambda: F.pad([1.0], (2**40, 0)), ValueError, r"expected numbers below 2\^31"),
        (lambda: F.pad([1.0], (0.5, 0)), TypeError, "pad: pad must be whole numbers"),
        (lambda: F.pad([1.0], (1, 0), "mirror"), ValueError, "pad: mode must be one of 'constant', 'reflect'"),
        (lambda: F.pad([1.0, 2.0], (1, 0), "reflect", 2), ValueError, "value is 2, which only mode 'constant' takes"),
        (lambda: nn.ZeroPad2d((1, 2)), ValueError, r"padding must be one number or \(left, right, top, bottom\)"),
        (lambda: nn.ZeroPad2d("same"), TypeError, "ZeroPad2d: padding must be whole numbers"),
        (lambda: nn.ConstantPad1d(1, "zero"), TypeError, "ConstantPad1d: value must be a number"),
        (lambda: nn.Sequential(nn.ReflectionPad2d(1))(np.zeros((2, 3))), ValueError,
         r"ReflectionPad2d\(\(1, 1, 1, 1\)\) \(layer 0\): x has shape \(2, 3\), expected \(N, C, H, W\) or"),
        (lambda: F.interpolate([[[1.0]]]), ValueError, "give either size or scale_factor"),
        (lambda: nn.Upsample(2, 2), ValueError, "Upsample: give either size or scale_factor"),
        (lambda: nn.Upsample(2, mode="bicubic"), ValueError, "mode 'bicubic' is not among"),
        (lambda: nn.Upsample(2, align_corners=True), ValueError, "align_corners is for modes 'linear' and 'bilinear'"),
        (lambda: nn.Upsample(0), ValueError, "Upsample: size must be at least 1, got 0"),
        (lambda: nn.Upsample(scale_factor=-1), ValueError, "scale_factor must be positive, got -1"),
        (lambda: nn.Upsample(2, mode="bilinear")([[[1.0]]]), ValueError, r"expected \(N, C, H, W\) for mode"),
        (lambda: F.interpolate([[[1.0]]], (2, 2)), ValueError, r"size is \(2, 2\), but x has shape \(1, 1, 1\)"),
        (lambda: F.interpolate([[[1.0]]], scale_factor=0.5), ValueError, r"leaves a size of \(0,\)"),
        (lambda: F.interpolate(np.zeros((1, 1, 0)), 3), ValueError, "expected a height and width of at least 1"),
        (lambda: F.interpolate([[[1.0]]], 2, antialias=True), ValueError, "antialias must be False"),
    ],
)  # fmt: skip
def test_refusals(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
