"""Convolutional layers and `pn.filter2d`: what does not fit gets one sentence that names the layer and both shapes."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn


def zeros(*shape):
    return np.zeros(shape, np.float32)


def says(error, sentence, call):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == sentence


def test_channels_last():
    net = nn.Sequential(nn.Conv2d(3, 96, 11, stride=4), nn.ReLU())
    sentence = (
        "Conv2d(3, 96, 11, stride=4) (layer 0): x has shape (16, 227, 227, 3), expected (N, 3, H, W). "
        "Is it channels-last? Use x.transpose(0, 3, 1, 2)"
    )
    says(ValueError, sentence, lambda: net(zeros(16, 227, 227, 3)))
    assert net(zeros(1, 227, 227, 3).transpose(0, 3, 1, 2)).shape == (1, 96, 55, 55)
    line = nn.Sequential(nn.Conv1d(3, 4, 2))
    sentence = (
        "Conv1d(3, 4, 2) (layer 0): x has shape (5, 7, 3), expected (N, 3, L). "
        "Is it channels-last? Use x.transpose(0, 2, 1)"
    )
    says(ValueError, sentence, lambda: line(zeros(5, 7, 3)))


def test_the_same_sentence_from_fit_and_predict():
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Flatten(), nn.Linear(36, 2))
    sentence = "Conv2d(2, 4, 3, padding=1) (layer 0): x has shape (8, 3, 3, 3), expected (N, 2, H, W)"
    x, y = zeros(40, 3, 3, 3), np.zeros(40, np.int64)
    says(ValueError, sentence, lambda: net.fit(x, y, loss="cross_entropy", batch_size=8, verbose=0))
    says(ValueError, sentence, lambda: net.predict(x[:8]))


WRONG_INPUT = [
    (lambda: nn.Conv2d(1, 2, 3), (5, 5), "Conv2d(1, 2, 3): x has shape (5, 5), expected (N, 1, H, W)"),
    (lambda: nn.Conv2d(1, 2, 3), (2, 5, 5), "Conv2d(1, 2, 3): x has shape (2, 5, 5), expected (N, 1, H, W)"),
    (lambda: nn.Conv1d(1, 2, 3), (5,), "Conv1d(1, 2, 3): x has shape (5,), expected (N, 1, L)"),
    (
        lambda: nn.Conv1d(1, 2, 3, stride=2),
        (4, 1, 2),
        "Conv1d(1, 2, 3, stride=2): x has shape (4, 1, 2) and weight (2, 1, 3): the output would have "
        "floor((N + 2p - F) / s) + 1 = floor((2 + 0 - 3) / 2) + 1 = 0 elements, needed is at least 1",
    ),
    (
        lambda: nn.Conv2d(1, 2, 5, padding=1),
        (4, 1, 9, 2),
        "Conv2d(1, 2, 5, padding=1): x has shape (4, 1, 9, 2) and weight (2, 1, 5, 5): the output would have "
        "floor((N + 2p - F) / s) + 1 = floor((2 + 2 - 5) / 1) + 1 = 0 columns, needed is at least 1",
    ),
    (
        lambda: nn.ConvTranspose2d(2, 3, 2, stride=2),
        (1, 3, 4, 4),
        "ConvTranspose2d(2, 3, 2, stride=2): x has shape (1, 3, 4, 4), expected (N, 2, H, W)",
    ),
]


@pytest.mark.parametrize(("make", "shape", "sentence"), WRONG_INPUT, ids=[s for _, _, s in WRONG_INPUT])
def test_wrong_input(make, shape, sentence):
    says(ValueError, sentence, lambda: make()(zeros(*shape)))


WRONG_ARGUMENT = [
    (lambda: nn.Conv2d(4, 6, 3, groups=3), ValueError, "Conv2d: in_channels 4 cannot be shared out to 3 groups"),
    (lambda: nn.Conv2d(6, 4, 3, groups=3), ValueError, "Conv2d: out_channels 4 cannot be shared out to 3 groups"),
    (lambda: nn.Conv2d(1, 1, 0), ValueError, "Conv2d: kernel_size must be at least 1, got 0"),
    (lambda: nn.Conv2d(1, 1, 3, stride=0), ValueError, "Conv2d: stride must be at least 1, got 0"),
    (lambda: nn.Conv2d(1, 1, 3, padding=-1), ValueError, "Conv2d: padding must be at least 0, got -1"),
    (lambda: nn.Conv2d(1, 1, 3, dilation=0), ValueError, "Conv2d: dilation must be at least 1, got 0"),
    (lambda: nn.Conv2d(1, 1, 2.5), TypeError, "Conv2d: kernel_size must be a whole number, got 2.5"),
    (
        lambda: nn.Conv2d(1, 1, (3, 3, 3)),
        ValueError,
        "Conv2d: kernel_size has 3 numbers, expected 2 or one, got (3, 3, 3)",
    ),
    (
        lambda: nn.Conv2d(1, 1, 3, padding="some"),
        ValueError,
        "Conv2d: padding must be one of 'same', 'valid', got 'some'; did you mean 'same'?",
    ),
    (
        lambda: nn.Conv2d(1, 1, 3, 2, "same"),
        ValueError,
        "Conv2d: padding='same' keeps the size and needs stride 1, got stride (2, 2)",
    ),
    (
        lambda: nn.Conv2d(1, 1, 3, padding_mode="circular"),
        ValueError,
        "Conv2d: padding_mode must be 'zeros', the only one here, got 'circular'; put nn.CircularPad2d before the "
        "layer and leave padding at 0",
    ),
    (
        lambda: nn.Conv1d(1, 1, 3, padding_mode="reflect"),
        ValueError,
        "Conv1d: padding_mode must be 'zeros', the only one here, got 'reflect'; put nn.ReflectionPad1d before the "
        "layer and leave padding at 0",
    ),
    (
        lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"),
        ValueError,
        "ConvTranspose2d: padding_mode must be 'zeros', the only one here, got 'reflect'",
    ),
    (
        lambda: nn.Conv2d(3, 4),
        TypeError,
        "Conv2d: kernel_size is missing; give Conv2d(in_channels, out_channels, kernel_size)",
    ),
    (
        lambda: nn.ConvTranspose2d(kernel_size=2),
        TypeError,
        "ConvTranspose2d: in_channels is missing; give ConvTranspose2d(in_channels, out_channels, kernel_size)",
    ),
    (
        lambda: nn.Conv1d(3, filters=4, kernel_size=3),
        TypeError,
        "Conv1d calls it out_channels and takes in_channels before it: Conv1d(in_channels, out_channels, kernel_size)",
    ),
    (lambda: nn.BatchNorm2d(), TypeError, "BatchNorm2d: num_features is missing; give BatchNorm2d(num_features)"),
    (
        lambda: nn.InstanceNorm1d(),
        TypeError,
        "InstanceNorm1d: num_features is missing; give InstanceNorm1d(num_features)",
    ),
    (
        lambda: nn.AdaptiveAvgPool1d(),
        TypeError,
        "AdaptiveAvgPool1d: output_size is missing; give AdaptiveAvgPool1d(output_size)",
    ),
    (
        lambda: nn.AdaptiveMaxPool2d(),
        TypeError,
        "AdaptiveMaxPool2d: output_size is missing; give AdaptiveMaxPool2d(output_size)",
    ),
    *(
        (
            call,
            ValueError,
            f"{name}: algorithm is {algorithm!r}, which is for kernels of "
            f"{'2 x 2 to 5 x 5' if algorithm == 'winograd4' else '3 x 3'} with stride 1 and dilation 1, but "
            f"the kernel is {kernel}, stride {stride} and dilation {dilation}",
        )
        for name, algorithm, kernel, stride, dilation, call in [
            ("Conv2d", "winograd2", (3, 5), (1, 1), (1, 1), lambda: nn.Conv2d(1, 1, (3, 5), algorithm="winograd2")),
            ("Conv2d", "winograd2", (5, 5), (1, 1), (1, 1), lambda: nn.Conv2d(1, 1, 5, algorithm="winograd2")),
            ("Conv2d", "winograd4", (6, 6), (1, 1), (1, 1), lambda: nn.Conv2d(1, 1, 6, algorithm="winograd4")),
            ("Conv2d", "winograd4", (1, 1), (1, 1), (1, 1), lambda: nn.Conv2d(1, 1, 1, algorithm="winograd4")),
            ("Conv2d", "winograd4", (3, 4), (1, 1), (1, 1), lambda: nn.Conv2d(1, 1, (3, 4), algorithm="winograd4")),
            ("Conv2d", "winograd4", (3, 3), (2, 2), (1, 1), lambda: nn.Conv2d(1, 1, 3, 2, algorithm="winograd4")),
            ("Conv1d", "winograd4", (3,), (1,), (1,), lambda: nn.Conv1d(1, 1, 3, algorithm="winograd4")),
            (
                "conv_transpose2d",
                "winograd2",
                (3, 3),
                (1, 1),
                (2, 2),
                lambda: nn.functional.conv_transpose2d(
                    zeros(1, 1, 4, 4), zeros(1, 1, 3, 3), dilation=2, algorithm="winograd2"
                ),
            ),
        ]
    ),
    (
        lambda: nn.Conv2d(1, 1, 3, stride=2, strides=2),
        TypeError,
        "Conv2d: stride and strides are two spellings of one argument, give one of them",
    ),
    (
        lambda: nn.Conv2d(1, 1, 3, bias=0.5),
        TypeError,
        "Conv2d: bias must be True or False, got 0.5; bias_init= sets its values",
    ),
    (
        lambda: nn.Conv2d(1, 1, 3, algorithm="fast"),
        ValueError,
        "Conv2d: algorithm must be one of 'auto', 'naive', 'im2col', 'direct', 'winograd2', 'winograd4', got 'fast'",
    ),
    (
        lambda: nn.ConvTranspose2d(1, 1, 3, 2, output_padding=2),
        ValueError,
        "ConvTranspose2d: output_padding (2, 2) must be less than the stride (2, 2) or the dilation (1, 1)",
    ),
    (
        lambda: nn.ConvTranspose2d(1, 1, 3, padding="same"),
        TypeError,
        "ConvTranspose2d: padding must be a whole number or 2 of them, got 'same'",
    ),
    (
        lambda: pn.filter2d(zeros(3), zeros(2, 2)),
        ValueError,
        "filter2d: image has shape (3,), expected (H, W) or (N, H, W)",
    ),
    (lambda: pn.filter2d(zeros(3, 3), zeros(2)), ValueError, "filter2d: K has shape (2,), expected (kh, kw)"),
    (
        lambda: pn.filter2d(zeros(2, 3, 4), zeros(2, 5)),
        ValueError,
        "filter2d: K has shape (2, 5) and does not fit into an image of shape (3, 4)",
    ),
]


@pytest.mark.parametrize(("call", "error", "sentence"), WRONG_ARGUMENT, ids=[s for _, _, s in WRONG_ARGUMENT])
def test_wrong_argument(call, error, sentence):
    says(error, sentence, call)


def test_maps_in_front_of_a_dense_layer():
    """When flattening is what is missing, the sentence says so; otherwise it does not."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(72, 2))
    sentence = (
        "Linear(72, 2) (layer 1): x has shape (1, 2, 6, 6), expected (*, 72); nn.Flatten() before it makes (1, 72)"
    )
    says(ValueError, sentence, lambda: net(zeros(1, 1, 8, 8)))
    says(ValueError, sentence.split(";")[0].replace("6, 6", "6, 5"), lambda: net(zeros(1, 1, 8, 7)))


LAYERS = [
    (lambda: nn.Conv2d(2, 3, 3), (1, 2, 4, 5)),
    (lambda: nn.Conv2d(2, 3, 3), (2, 4, 5)),
    (lambda: nn.Conv1d(2, 3, 3), (1, 2, 5)),
    (lambda: nn.ConvTranspose2d(2, 3, 3), (1, 2, 4, 5)),
    (lambda: nn.BatchNorm1d(2), (3, 2)),
    (lambda: nn.BatchNorm2d(2, affine=False), (1, 2, 4, 5)),
    (lambda: nn.GroupNorm(1, 2), (1, 2, 4, 5)),
    (lambda: nn.InstanceNorm2d(2, affine=True), (1, 2, 4, 5)),
    (lambda: nn.InstanceNorm1d(2, affine=True), (2, 5)),
    (lambda: nn.Linear(5, 3), (1, 5)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=[make()._label() + str(shape) for make, shape in LAYERS])
def test_arrays_take_the_type_of_the_layer(make, shape):
    """float64, integers and lists are converted as by every layer; a Tensor of another type is a mistake."""
    x = np.random.default_rng(0).integers(-9, 9, shape)
    for dtype, other in (("float32", "float64"), ("float64", "float32")):
        net = make().to(dtype)
        want = net(x.astype(dtype))
        for given in (x.astype(other), x, x.tolist(), x.astype(other).tolist(), pn.tensor(x)):
            got = net(given)
            assert got.dtype == dtype
            np.testing.assert_array_equal(got.detach().numpy(), want.detach().numpy())
        with pytest.raises(TypeError, match=rf'x has dtype {other} but .*; convert x with .to\("{dtype}"\)'):
            net(pn.tensor(x.astype(other)))


def test_functions_take_the_type_of_the_tensor_beside():
    x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    for a, b in ((x, pn.tensor(w, dtype="float32")), (pn.tensor(x, dtype="float32"), w)):
        assert nn.functional.conv2d(a, b).dtype == nn.functional.conv_transpose2d(a, b).dtype == "float32"
    assert nn.functional.conv2d(x, w).dtype == "float64"


def test_words_of_keras_that_mean_the_same():
    layer = nn.Conv2d(2, 3, 3, strides=2, dilation_rate=2, use_bias=False)
    assert repr(layer) == "Conv2d(2, 3, kernel_size=(3, 3), stride=(2, 2), dilation=(2, 2), bias=False)"


@pytest.mark.parametrize("algorithm", ["naive", "im2col", "direct"])
def test_nan_stays_where_it_reaches(algorithm):
    """A missing pixel spoils the outputs whose window holds it, and no other."""
    x = np.ones((1, 1, 6, 6), np.float32)
    x[0, 0, 2, 3] = np.nan
    y = nn.functional.conv2d(x, np.ones((1, 1, 3, 3), np.float32), padding=1, algorithm=algorithm).numpy()[0, 0]
    spoilt = {tuple(at) for at in np.argwhere(np.isnan(y))}
    assert spoilt == {(p, q) for p in (1, 2, 3) for q in (2, 3, 4)}


@pytest.mark.parametrize(
    ("algorithm", "kernel", "most"),
    [
        ("winograd2", 3, 3),
        ("winograd4", 2, 5),
        ("winograd4", 3, 5),
        ("winograd4", 4, 6),
        ("winograd4", 5, 5),
        ("auto", 3, 5),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_how_far_a_nan_reaches_with_winograd(algorithm, kernel, most, value):
    """With tiles of 6 x 6 inputs up to 6 x 6 outputs, with 4 x 4 its window's; never another sample's."""
    sides = set()
    for at in range(8, 13):  # everywhere in a tile
        x = np.ones((16, 12, 24, 24), np.float32)
        x[3, 2, at, at + 1] = value
        y = nn.functional.conv2d(x, np.ones((12, 12, kernel, kernel), np.float32), algorithm=algorithm).numpy()
        assert np.isfinite(np.delete(y, 3, axis=0)).all()
        spoilt = ~np.isfinite(y[3, 0])
        assert spoilt[at + 1 - kernel : at + 1, at + 2 - kernel : at + 2].all()
        sides |= {np.ptp(line.nonzero()[0]) + 1 for line in (spoilt.any(0), spoilt.any(1))}
    assert max(sides) == most


def test_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3, 14, 14)).astype(np.float32), rng.integers(0, 4, 60)
    results = []
    before = pn.get_num_threads()
    try:
        for threads in (1, 2, 4):
            pn.set_num_threads(threads)
            net = nn.Sequential(
                nn.Conv2d(3, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, 8, 5, stride=2), nn.Tanh(),
                nn.ConvTranspose2d(8, 4, 2, 2), nn.Flatten(), nn.Linear(400, 4), seed=1,
            )  # fmt: skip
            net.fit(x, y, epochs=2, batch_size=20, seed=0, verbose=0)
            results.append([p.detach().numpy().tobytes() for p in net.parameters()])
    finally:
        pn.set_num_threads(before)
    assert results[0] == results[1] == results[2]
