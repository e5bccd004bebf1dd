"""Deck 003, "Introduction to artificial neural networks": items 34, 35, 37 and 38: convolution."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn
from tests.lectures.lecture import t64
from tests.tolerances import WINOGRAD

F = nn.functional
X = [[2, 1, 3, 1, 2], [3, 4, 2, 0, 1], [2, 0, 1, 2, 3], [1, 3, 2, 4, 0]]
K = [[2, -1, -1], [-1, 0, 0], [-1, 0, 2]]
# The stride figure (indoml.com); its fourth row is not legible and assumed.
SIX = [[int(d) for d in row] for row in ("492583", "562403", "245452", "565478", "577921", "585384")]
EDGE = [[1, 0, -1]] * 3


def equal(t, numbers, algorithm):
    """Every number exactly; up to rounding where an algorithm divides by numbers that are no powers of two."""
    if algorithm == "winograd4":
        bound = np.abs(numbers).max() * WINOGRAD[algorithm]["float64"]
        np.testing.assert_allclose(t.detach().numpy(), numbers, rtol=0, atol=bound)
    else:
        assert t.tolist() == numbers


@pytest.mark.parametrize("algorithm", ["auto", "naive", "im2col", "direct", "winograd2", "winograd4"])
def test_item_34_convolution_and_both_gradients(algorithm):
    """3 x 3 on 4 x 5 gives 2 x 3; with dY = 1 both gradients."""
    x, k = t64([[X]], grad=True), t64([[K]], grad=True)
    y = F.conv2d(x, k, algorithm=algorithm)
    equal(y, [[[[-3, -2, 6], [1, 11, 0]]]], algorithm)
    y.sum().backward()
    equal(k.grad, [[[[15, 11, 9], [12, 9, 9], [9, 12, 12]]]], algorithm)
    gx = [[[[2, 1, 0, -2, -1], [1, 0, -1, -2, -1], [-2, -2, 0, 2, 2], [-1, -1, 1, 2, 2]]]]
    equal(x.grad, gx, algorithm)
    assert pn.filter2d(X, K).tolist() == [[-3, -2, 6], [1, 11, 0]]
    # The input gradient is a transposed convolution of dY.
    spread = F.conv_transpose2d(t64(np.ones((1, 1, 2, 3))), k.detach(), algorithm=algorithm)
    equal(spread, gx, algorithm)


@pytest.mark.parametrize("algorithm", ["auto", "naive", "im2col", "direct", "winograd2", "winograd4"])
def test_item_34_stride(algorithm):
    """6 x 6 with a 3 x 3 edge kernel: stride 1 gives 4 x 4, stride 2 every second number of it."""
    x, k = t64([[SIX]]), t64([[EDGE]])
    one = F.conv2d(x, k, algorithm=algorithm)
    equal(one, [[[[2, 6, -4, 5], [0, 4, 0, -1], [-5, 0, 3, 6], [-2, 5, 0, 3]]]], algorithm)
    if algorithm.startswith("winograd"):
        with pytest.raises(ValueError, match=r"which is for kernels of [2-5x to]+ with stride 1"):
            F.conv2d(x, k, stride=2, algorithm=algorithm)
    else:
        assert F.conv2d(x, k, stride=2, algorithm=algorithm).tolist() == [[[[2, -4], [-5, 3]]]]


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_item_35_output_size(kernel, padding, stride):
    """floor((N + 2p - F) / s) + 1, in both directions."""
    x = np.zeros((1, 1, 7, 10), np.float32)
    sizes = tuple((n + 2 * padding - kernel) // stride + 1 for n in x.shape[2:])
    assert nn.Conv2d(1, 1, kernel, stride, padding)(x).shape == (1, 1, *sizes)


def test_item_35_the_same_size_and_no_size():
    """F = 3, p = 1, s = 1 keeps N; where nothing comes out, the sentence shows the formula with its numbers."""
    x = np.zeros((1, 1, 7, 10), np.float32)
    assert nn.Conv2d(1, 1, 3, padding=1)(x).shape == nn.Conv2d(1, 1, 3, padding="same")(x).shape == x.shape
    formula = r"floor\(\(N \+ 2p - F\) / s\) \+ 1 = floor\(\(7 \+ 2 - 10\) / 4\) \+ 1 = 0 rows"
    with pytest.raises(ValueError, match=r"^Conv2d\(1, 1, 10, stride=4, padding=1\): x has shape .*" + formula):
        nn.Conv2d(1, 1, 10, 4, 1)(x)


def test_item_35_convolutions_of_the_chain():
    """AlexNet's convolutions: 227 -> 55, 27 -> 27, 13 -> 13 -> 13 -> 13 (pooling stands between them)."""
    chain = [(227, 11, 4, 0, 55), (27, 5, 1, 2, 27), (13, 3, 1, 1, 13), (13, 3, 1, 1, 13), (13, 3, 1, 1, 13)]
    for n, f, s, p, wanted in chain:
        x = np.zeros((1, 1, n, n), np.float32)
        assert nn.Conv2d(1, 1, f, s, p)(x).shape == (1, 1, wanted, wanted)


def test_item_37_several_filters():
    """32x32x3, 6 filters 5x5x3 -> 28x28x6, 10 filters 5x5x6 -> 24x24x10; 456 and 1510 parameters."""
    net = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.Conv2d(6, 10, 5), nn.ReLU(), seed=0)
    x = np.random.default_rng(37).normal(size=(2, 3, 32, 32)).astype(np.float32)
    assert net[0](x).shape == (2, 6, 28, 28)
    assert net(x).shape == (2, 10, 24, 24)
    assert [sum(p.numel() for p in net[i].parameters()) for i in (0, 2)] == [456, 1510]
    # a filter sums over the whole depth: map 4 is the sum of three single filters and its bias
    maps = [pn.filter2d(x[:, c], net[0].weight.detach()[4, c]) for c in range(3)]
    total = (maps[0] + maps[1] + maps[2] + net[0].bias.detach()[4]).numpy()
    np.testing.assert_allclose(net[0](x).detach().numpy()[:, 4], total, rtol=0, atol=1e-5)


def test_item_38_why_not_a_perceptron():
    """A 32 x 32 image and 1024 hidden neurons: 1,048,576 weights; six 5 x 5 filters need 150."""
    dense, filters = nn.Linear(32 * 32, 1024), nn.Conv2d(1, 6, 5)
    assert dense.weight.numel() == 1_048_576
    assert filters.weight.numel() == 150


def test_item_35_the_whole_chain():
    """AlexNet: 227 -> 55, 27, 27, 13, 13, 13, 13, 6 -> 9216, 4096, 4096, 1000."""
    from pyneuro import models

    net, x, seen = models.alexnet().eval(), np.zeros((1, 3, 227, 227), np.float32), []
    with pn.no_grad():
        for layer in [*net.features, net.flatten, *net.classifier]:
            x = layer(x)
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.Flatten, nn.Linear)):
                seen.append(x.shape[-1])
    assert seen == [55, 27, 27, 13, 13, 13, 13, 6, 9216, 4096, 4096, 1000]
