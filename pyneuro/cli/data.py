"""What `--data` names: a data set of the package or a file, with a part held out for the test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arguments import NAMED

TEST_SHARE = 0.2


@dataclass
class Data:
    """Samples for training and for the test.

    Attributes:
        x, y: training samples (n, features), float32 or raw pixels uint8, and classes (n,) int64.
        xt, yt: the test part.
        names: of the classes.
        image: (h, w) of a sample when it is a picture, else None.
        title: for people.
        channels: of a picture.
        drawn: whether the test part was drawn from the samples by the seed, because a file has no part of its own.
    """

    x: np.ndarray
    y: np.ndarray
    xt: np.ndarray
    yt: np.ndarray
    names: list[str]
    image: tuple[int, int] | None
    title: str
    drawn: bool = False
    channels: int = 1

    def pictures(self, x: np.ndarray) -> np.ndarray:
        """Samples (n, features) as (n, channels, h, w)."""
        return x.reshape(len(x), self.channels, *self.image)


def split(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training and for the test: a fifth of them, at least one, drawn by the seed."""
    from pyneuro import _core

    order = _core.permutation(n, seed, 0)
    held_out = max(1, round(n * TEST_SHARE))
    return order[held_out:], order[:held_out]


def load(name: str, seed: int = 0) -> Data:
    """Loads `digits`, `mnist`, `fashion-mnist`, `cifar10`, its first pictures `cifar10-small`, or a file.

    Raises:
        ValueError: one sentence that names the file and the place.
        OSError: the file cannot be opened, or the data set cannot be fetched.
    """
    return _named(name, seed) if name in NAMED else _file(name, seed)


def _named(name: str, seed: int) -> Data:
    from pyneuro import datasets

    figures = [str(k) for k in range(10)]
    if name == "digits":
        return Data(*datasets.digits(test_size=TEST_SHARE, seed=seed), figures, (8, 8), "handwritten digits, 8 x 8")
    if name == "mnist":
        return Data(*datasets.mnist(), figures, (28, 28), "MNIST, handwritten digits, 28 x 28")
    if name.startswith("cifar10"):
        arrays = datasets.cifar10(small=name == "cifar10-small", flat=True)
        title = "CIFAR-10, colour pictures, 32 x 32"
        return Data(*arrays, list(datasets.CIFAR10_CLASSES), (32, 32), title, channels=3)
    clothes = ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
    return Data(*datasets.fashion_mnist(), clothes, (28, 28), "Fashion-MNIST, pictures of clothes, 28 x 28")


def _file(name: str, seed: int) -> Data:
    from .tables import read

    table = read(name)
    image = {64: (8, 8), 784: (28, 28)}.get(table.x.shape[1])
    if table.test is not None:
        return Data(table.x, table.y, *table.test, table.names, image, name)
    if len(table.x) < 2:
        raise ValueError(f"{name}: one sample is not enough: one is for training, one for the test")
    train, test = split(len(table.x), seed)
    return Data(table.x[train], table.y[train], table.x[test], table.y[test], table.names, image, name, drawn=True)


def standardised(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(x - mean) / scale as float32; raw pixels, of which there may be many, without a copy in float64."""
    if x.dtype != np.uint8:
        return ((x - mean) / scale).astype(np.float32)
    x = np.subtract(x, mean.astype(np.float32), dtype=np.float32)
    return np.divide(x, scale.astype(np.float32), out=x)


def channel_statistics(x: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel of pictures (n, channels, h, w); 1 for a channel that never changes."""
    sums, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for first in range(0, len(x), 1000):
        part = x[first : first + 1000].astype(np.float64)
        sums += part.sum(axis=(0, 2, 3))
        squares += np.square(part).sum(axis=(0, 2, 3))
    n = x.size / x.shape[1]
    mean = sums / n
    std = np.sqrt(np.maximum(squares / n - mean**2, 0))
    return mean.tolist(), np.where(std > 0, std, 1.0).tolist()


def takes_pictures(net) -> bool:
    """Whether the first layer with weights is a convolution."""
    from pyneuro import nn

    first = next((m for m in net.modules() if m._parameters), None)
    return isinstance(first, nn.Conv2d)


def standardise(x: np.ndarray, image: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of each feature, float64: (x - mean) / scale has mean 0 and deviation 1.

    A feature that never changes keeps its scale. In pictures the scale is at least 3 % of the range: a pixel that was
    inked once in a thousand samples would else shout.
    """
    mean, scale = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    if image:
        scale = np.maximum(scale, 0.03 * float(x.max() - x.min()))
    return mean, np.where(scale > 0, scale, 1.0)
