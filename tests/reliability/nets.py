"""Small networks and data that several rows train."""

from __future__ import annotations

import hashlib

import numpy as np

import pyneuro as pn
from pyneuro import nn, optim


def data(n: int = 256, features: int = 20, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """X (n, features) float32 and labels (n,) of a random linear teacher."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, features), dtype=np.float32)
    return x, (x @ rng.standard_normal((features, classes), dtype=np.float32)).argmax(1)


def dense(features: int = 20, classes: int = 5, hidden: int = 32, seed: int = 0) -> nn.Sequential:
    """Linear, ReLU, Linear."""
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes), seed=seed)


def with_dropout(features: int = 20, classes: int = 5, seed: int = 0) -> nn.Sequential:
    """Two hidden layers with tanh, dropout between."""
    first = nn.Linear(features, 48), nn.Tanh(), nn.Dropout(0.3)
    return nn.Sequential(*first, nn.Linear(48, 24), nn.Sigmoid(), nn.Linear(24, classes), seed=seed)


def wide(features: int = 20, classes: int = 5, seed: int = 0) -> nn.Sequential:
    """Large enough for two threads to share every product."""
    return nn.Sequential(
        nn.Linear(features, 512), nn.ReLU(), nn.Linear(512, 300), nn.GELU(), nn.Linear(300, classes), seed=seed
    )


def pictures(n: int = 96, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """X (n, 2, 12, 12) float32 and labels (n,): which of `classes` patterns lies in the noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return rng.standard_normal((n, 2, 12, 12), np.float32) + rng.standard_normal((classes, 2, 12, 12), np.float32)[y], y


def convolutional(classes: int = 5, seed: int = 0) -> nn.Sequential:
    """Every way to convolve: direct, Winograd, strided, transposed; batch norm, pooling, dropped channels.

    Layers 0, 3, 6, 9 and 12 have weights and are no norms.
    """
    return nn.Sequential(
        nn.Conv2d(2, 8, 5, padding=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(2), nn.Tanh(),
        nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.Dropout2d(0.2), nn.LeakyReLU(),
        nn.ConvTranspose2d(12, 6, 2, stride=2), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(54, classes), seed=seed,
    )  # fmt: skip


def fit(net: nn.Module, x: np.ndarray, y: np.ndarray, optimizer=None, **more):
    """Three epochs with Adam unless told otherwise."""
    given = {"loss": "cross_entropy", "optimizer": optimizer or optim.Adam(lr=1e-3), "epochs": 3, "batch_size": 32}
    return net.fit(x, y, **{**given, "seed": 0, "verbose": 0, **more})


def digest(net: nn.Module) -> str:
    """SHA-256 of all parameters and buffers, names included."""
    total = hashlib.sha256()
    for name, value in net.state_dict().items():
        array = np.ascontiguousarray(value.detach().numpy() if isinstance(value, pn.Tensor) else value)
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
