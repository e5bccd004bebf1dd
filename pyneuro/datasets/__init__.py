"""Data sets for lectures: bundled digits, MNIST and Fashion-MNIST, and toys in the plane.

Real data come as four arrays, `X_train, y_train, X_test, y_test`; toys as two, `X, y`. X is float32 with one sample a
row, y int64 class numbers from 0 (regression: float32).

>>> from pyneuro import datasets
>>> X_train, y_train, X_test, y_test = datasets.digits()
>>> X_train.shape, X_test.shape
((1438, 64), (359, 64))
"""

from pyneuro.datasets.digits import digits
from pyneuro.datasets.handwritten import handwritten
from pyneuro.datasets.images import DataError, fashion_mnist, fetch, mnist
from pyneuro.datasets.toys import circles, gauss, moons, regression, spiral, xor

__all__ = [
    "DataError", "circles", "digits", "fashion_mnist", "fetch", "gauss", "handwritten", "mnist", "moons", "regression",
    "spiral", "xor",
]  # fmt: skip
