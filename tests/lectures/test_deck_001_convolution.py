"""Deck 001, "Why the Nobel prize in physics was given for machine learning": items 11 to 13, convolution."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn
from tests.lectures.lecture import same, set_weights, t64
from tests.tolerances import WINOGRAD

# The slide's 6 x 6 image: black up to the diagonal, white right of it; and its kernel, the discrete Laplacian.
IMAGE = np.array([[255 if q > p else 0 for q in range(6)] for p in range(6)])
K = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
EDGES = [[510, -510, 0, 0], [0, 510, -510, 0], [0, 0, 510, -510], [0, 0, 0, 510]]


def test_item_11_linear_filter():
    """(I * K)_pq = sum I_{p+i-1, q+j-1} K_ij where K fits wholly: the edges of the slide, exactly."""
    assert pn.filter2d(IMAGE, K).tolist() == EDGES
    assert pn.filter2d(np.stack([IMAGE, IMAGE.T]), K).tolist()[0] == EDGES
    for algorithm in ("naive", "im2col", "direct", "winograd2", "winograd4"):
        y = nn.functional.conv2d(t64(IMAGE[None, None]), t64(K[None, None]), algorithm=algorithm)
        if algorithm == "winograd4":  # divides by numbers that are no powers of two
            np.testing.assert_allclose(y.numpy(), [[EDGES]], rtol=0, atol=510 * WINOGRAD[algorithm]["float64"])
        else:
            assert y.tolist() == [[EDGES]]


def test_item_11_cross_correlation_and_convolution():
    """The slide's formula does not turn K (0.14); the convolution of mathematics does."""
    assert pn.filter2d(IMAGE, K, flip=True).tolist() == EDGES  # this K is the same when turned
    step = [[1, -1]]
    assert pn.filter2d(IMAGE, step).tolist() == (-pn.filter2d(IMAGE, step, flip=True)).tolist()
    k = np.arange(6.0).reshape(2, 3)
    by_hand = [
        [sum(IMAGE[p + i, q + j] * k[1 - i, 2 - j] for i in range(2) for j in range(3)) for q in range(4)]
        for p in range(5)
    ]
    assert pn.filter2d(IMAGE, k, flip=True).tolist() == by_hand


def layer():
    """Item 12's layer: one kernel, bias 0.5, logistic function."""
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Sigmoid()).to("float64")
    set_weights(net, K[None, None], [0.5])
    return net


def test_item_12_convolutional_layer():
    """z = sigma(b0 + sum b_ij x_{p+i-1, q+j-1}): the first row of the output."""
    z = layer()(t64(IMAGE[None, None] / 255))
    assert z.shape == (1, 1, 4, 4)
    same(z[0, 0, 0], [0.92414182, 0.18242552, 0.62245933, 0.62245933], 8)
    np.testing.assert_allclose(layer().predict(IMAGE[None, None] / 255), z.detach().numpy(), rtol=0, atol=1e-15)


def test_item_12_weight_sharing_and_local_connections():
    """One kernel serves every place: a shifted image gives a shifted answer; a pixel reaches 3 x 3 outputs only."""
    net = layer()
    assert sum(p.numel() for p in net.parameters()) == 10  # a dense layer would need 36 * 16 + 16
    rng = np.random.default_rng(12)
    picture = rng.normal(size=(1, 1, 9, 9))
    whole = net(t64(picture)).detach().numpy()
    moved = net(t64(picture[:, :, 1:, 2:])).detach().numpy()
    np.testing.assert_allclose(moved, whole[:, :, 1:, 2:], rtol=0, atol=1e-15)
    x = t64(picture, grad=True)
    net[0](x)[0, 0, 3, 4].backward()
    reached = np.argwhere(x.grad.numpy()[0, 0])
    assert {tuple(at) for at in reached} == {(3 + i, 4 + j) for i in range(3) for j in range(3) if K[i, j]}


def maps_of(net, side):
    """(maps, side) behind each convolution of AlexNet, by the formula of the output size; the last pooled side."""
    found = []
    for layer in net.features:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            padding = np.max(layer.padding)
            side = (side + 2 * padding - np.max(layer.kernel_size)) // np.max(layer.stride) + 1
            if isinstance(layer, nn.Conv2d):
                found.append((layer.out_channels, side))
    return found, side


def test_item_13_alexnet():
    """The figure: maps 48, 128, 192, 192, 128 in each of two towers, sides 55, 27, 13, 13, 13, dense 2 x 2048."""
    from pyneuro import models

    net = models.alexnet(groups=2)
    maps, last = maps_of(net, 227)
    assert maps == [(2 * 48, 55), (2 * 128, 27), (2 * 192, 13), (2 * 192, 13), (2 * 128, 13)]
    assert last == 6
    assert maps_of(net, 224)[0][0][1] == 54  # the figure's 224 does not give its own 55
    assert [m.groups for m in net.features if isinstance(m, nn.Conv2d)] == [1, 2, 1, 2, 2]
    assert [m.out_features for m in net.classifier if isinstance(m, nn.Linear)] == [2 * 2048, 2 * 2048, 1000]


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [({}, 62_378_344), ({"towers": 2}, 60_965_224), ({"variant": "torchvision"}, 61_100_840)],
)
def test_item_13_parameters(arguments, parameters):
    """Grouped 60,965,224, single tower 62,378,344; the net that torchvision calls AlexNet is another one."""
    from pyneuro import models

    with nn.init.loading(1 << 40):  # zeros: nothing is drawn
        net = models.alexnet(**arguments)
    assert sum(p.numel() for p in net.parameters()) == parameters
