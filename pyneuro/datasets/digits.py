"""The handwritten digits that come with the package: 1797 images of 8 x 8 pixels of 0..16, and their classes 0..9.

Origin: the test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, Bogazici University,
July 1998, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49. Thirteen people wrote them; a pixel counts
the inked points in a 4 x 4 block of a 32 x 32 bitmap, as NIST's preprocessing made it.
Licence: Creative Commons Attribution 4.0 International (CC BY 4.0), as that repository states.
Copy: `digits.csv.gz` of scikit-learn 1.9.1, values unchanged, repacked into `digits.npz` as `images` uint8 (1797, 8, 8)
and `labels` uint8 (1797,); its SHA-256 is 56691635b5c95f315ed55907c4fe83309809b3b822ee0b8d68e84bba3ffd4ca3.
"""

import os

import numpy as np

from pyneuro import _core
from pyneuro.nn import _check


def digits(*, test_size=0.2, seed=0, flat=True, channels=False, dtype="float32"):
    """Real handwritten digits, without any download. Source and licence: see this module.

    test_size: share of the samples held out, 0 <= test_size < 1.
    seed: which ones. The default is fixed, so that two calls never mix training and test samples.
    flat: rows of 64 numbers; False gives images (n, 8, 8).
    channels: images (n, 1, 8, 8), as convolutional layers take them.
    dtype: "float32" or "float64" in [0, 1], or "uint8" for the raw pixels 0..16.

    Returns X_train, y_train, X_test, y_test; y int64 with the classes 0..9. Raises ValueError or TypeError for other
    arguments.

    >>> X_train, y_train, X_test, y_test = digits(test_size=0)
    >>> X_train.shape, len(X_test), X_train.dtype, int(y_train.max())
    ((1797, 64), 0, dtype('float32'), 9)
    """
    share = _check.number("digits", "test_size", test_size, 0, 1)
    seed = _check.size("digits", "seed", seed, least=0)
    path = os.path.join(os.path.dirname(__file__), "digits.npz")
    with np.load(path, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"].astype(np.int64)
    X = scaled("digits", images[:, None] if channels else images, 16, flat and not channels, dtype)
    n = len(X)
    held_out = round(n * share)
    if held_out == n:
        raise ValueError(f"digits: test_size={test_size} leaves no sample to learn from")
    order = _core.permutation(n, seed, 0)
    train, test = order[held_out:], order[:held_out]
    return X[train], labels[train], X[test], labels[test]


def scaled(name, images, largest, flat, dtype):
    """Raw images uint8 (n, h, w) as the caller wants them: flat or not, raw or divided by `largest`."""
    dtype = _check.choice(name, "dtype", str(np.dtype(dtype)), ("float32", "float64", "uint8"))
    if flat:
        images = images.reshape(len(images), -1)
    if dtype == "uint8":
        return images
    X = _core.gather_rows(images, None, dtype)
    return np.divide(X, largest, out=X)
