"""Convolutional networks for digits: LeNet-5 and a plain net of two convolutions."""

from pyneuro import nn
from pyneuro.nn import _check

_SIZES = {28: 2, 32: 0}  # side of the pictures -> zeros that C1 puts around them


def lenet5(variant="classic", *, num_classes=10, in_channels=1, size=28, trainable_pooling=False, seed=None):
    """LeNet-5: C1 6@5x5, S2, C3 16@5x5, S4, C5 120@5x5, F6 84, scores.

    variant: "classic" (1998: tanh, average pooling) or "modern" (ReLU, max pooling).
    num_classes, in_channels: of the data.    size: side of the pictures, 28 (C1 pads by 2, to the 32 of 1998) or 32.
    trainable_pooling: S2 and S4 multiply each map by a coefficient, add a bias and squash, as in 1998 (12 and 32
        parameters more); by default they are plain means, which learns no worse and is what most people call LeNet-5.
    seed: see `nn.Sequential`.

    Returns a Sequential that maps (N, in_channels, size, size) to raw scores (N, num_classes); 61,706 parameters. Apart
    from the paper: C3 sees all maps of S2 (there 60 of the 96 pairs), and the last layer is linear (there it measured
    distances to drawn characters). Errors: ValueError for other variants and sizes.

    Source: LeCun, Bottou, Bengio, Haffner 1998; lectures 001 and 003.

    >>> import numpy as np
    >>> net = lenet5(seed=0)
    >>> net(np.zeros((2, 1, 28, 28), np.float32)).shape, sum(p.numel() for p in net.parameters())
    ((2, 10), 61706)
    """
    variant = _check.choice("lenet5", "variant", variant, ("classic", "modern"))
    padding = _SIZES[_check.choice("lenet5", "size", size, tuple(_SIZES))]
    if trainable_pooling and variant == "modern":
        raise ValueError("lenet5: trainable_pooling is of variant='classic'; maxima have no coefficient")
    squash, pool = (nn.Tanh, nn.AvgPool2d) if variant == "classic" else (nn.ReLU, nn.MaxPool2d)

    def subsampling(maps):
        # a coefficient and a bias for each map are a convolution of one pixel with as many groups as maps
        extra = [nn.Conv2d(maps, maps, 1, groups=maps, init=1.0, bias_init=0.0), squash()] if trainable_pooling else []
        return [pool(2), *extra]

    return nn.Sequential(
        nn.Conv2d(in_channels, 6, 5, padding=padding), squash(), *subsampling(6),
        nn.Conv2d(6, 16, 5), squash(), *subsampling(16),
        nn.Conv2d(16, 120, 5), squash(), nn.Flatten(),
        nn.Linear(120, 84), squash(), nn.Linear(84, num_classes), seed=seed,
    )  # fmt: skip


def mnist_cnn(*, num_classes=10, in_channels=1, size=28, seed=None):
    """Two convolutions and two dense layers: the first net of many tutorials, beyond 99 % on MNIST.

    conv3x3 32, ReLU, conv3x3 64, ReLU, max-pool 2, dropout 0.25, dense 128, ReLU, dropout 0.5, scores. Nothing is
    padded: 28 -> 26 -> 24 -> 12, so that 9216 numbers enter the dense layers.

    num_classes, in_channels, size: of the pictures, at least 6 pixels a side.    seed: see `nn.Sequential`.
    Returns a Sequential that maps (N, in_channels, size, size) to raw scores (N, num_classes). ValueError below 6.

    >>> net = mnist_cnn(seed=0)
    >>> sum(p.numel() for p in net.parameters())
    1199882
    """
    side = (_check.size("mnist_cnn", "size", size, 6) - 4) // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(64 * side * side, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, num_classes),
        seed=seed,
    )  # fmt: skip
