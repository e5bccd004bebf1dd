"""Handwritten digits of 28 x 28 pixels for lectures, with network or without."""

import numpy as np

from pyneuro import _core
from pyneuro.datasets.digits import digits
from pyneuro.datasets.images import mnist
from pyneuro.nn import _check

SIZE = 28


def handwritten(train=5000, test=1000, *, seed=0, verbose=True):
    """Handwritten digits as images (N, 1, 28, 28) in [0, 1]: a part of MNIST, or the bundled digits where it is not.

    train, test: how many at most; seed: which ones. Where MNIST is neither here nor can be fetched, the 1797 bundled
    digits of 8 x 8 pixels come enlarged (bilinear, to 24 x 24 in a border of 2), 1438 and 359 of them at most: one
    program then runs with both. verbose: say in a line what there is.

    Returns X_train, y_train, X_test, y_test. ValueError for sizes below 1.

    >>> from pyneuro import datasets
    >>> X_train, y_train, X_test, y_test = datasets.handwritten(100, 50, verbose=False)  # doctest: +SKIP
    >>> X_train.shape, y_test.shape  # doctest: +SKIP
    ((100, 1, 28, 28), (50,))
    """
    train, test = _check.size("handwritten", "train", train), _check.size("handwritten", "test", test)
    try:
        X, y, X_test, y_test = mnist(flat=False)
        source = "MNIST"
    except (OSError, ImportError):
        X, y, X_test, y_test = digits(flat=False)
        X, X_test = _enlarged(X), _enlarged(X_test)
        source = "MNIST is neither here nor can it be fetched; the bundled digits, enlarged"
    first, second = _some(len(X), train, seed, 0), _some(len(X_test), test, seed, 1)
    if verbose:
        print(f"{source}: {len(first)} training and {len(second)} test images of {SIZE} x {SIZE} pixels")
    return X[first][:, None], y[first], X_test[second][:, None], y_test[second]


def _some(n, wanted, seed, stream):
    """Which `wanted` of n rows, in random order."""
    return _core.permutation(n, _check.size("handwritten", "seed", seed, least=0), stream)[:wanted]


def _enlarged(images):
    """8 x 8 pixels -> 28 x 28."""
    from pyneuro.nn import functional

    wide = functional.interpolate(images[:, None], 24, mode="bilinear").numpy()[:, 0]
    return np.pad(wide, ((0, 0), (2, 2), (2, 2)))
