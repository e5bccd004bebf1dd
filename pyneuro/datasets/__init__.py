"""Data sets for lectures: bundled digits and letters, MNIST, Fashion-MNIST, CIFAR-10, folders of images, and toys.

Real data come as four arrays, `X_train, y_train, X_test, y_test`; toys as two, `X, y`. X is float32 with one sample a
row, y int64 class numbers from 0 (regression: float32). Pictures for convolutional layers are (n, channels, h, w);
those of CIFAR-10 and of folders are uint8 from 0 to 255, and networks convert them batch by batch.

>>> from pyneuro import datasets
>>> X_train, y_train, X_test, y_test = datasets.digits()
>>> X_train.shape, X_test.shape
((1438, 64), (359, 64))
"""

from pyneuro.datasets.cifar import CIFAR10_CLASSES, cifar10
from pyneuro.datasets.digits import digits
from pyneuro.datasets.folder import image_folder
from pyneuro.datasets.handwritten import handwritten
from pyneuro.datasets.images import DataError, fashion_mnist, fetch, mnist
from pyneuro.datasets.letters import letters
from pyneuro.datasets.toys import circles, gauss, moons, regression, spiral, xor

__all__ = [
    "CIFAR10_CLASSES", "DataError", "cifar10", "circles", "digits", "fashion_mnist", "fetch", "gauss", "handwritten",
    "image_folder", "letters", "mnist", "moons", "regression", "spiral", "xor",
]  # fmt: skip
