"""Networks and layers of the convolution tables, written once for both libraries: `lib` is pyneuro.nn or torch.nn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def lenet(lib, dropout: bool = True):
    """LeNet-5 as in the lectures: tanh and average pooling, 28 x 28."""
    return lib.Sequential(
        lib.Conv2d(1, 6, 5, padding=2), lib.Tanh(), lib.AvgPool2d(2), lib.Conv2d(6, 16, 5), lib.Tanh(),
        lib.AvgPool2d(2), lib.Flatten(), lib.Linear(400, 120), lib.Tanh(), lib.Linear(120, 84), lib.Tanh(),
        lib.Linear(84, 10),
    )  # fmt: skip


def mnist_cnn(lib, dropout: bool = True):
    """Two convolutions of 3 x 3, dropout, two dense layers; dropout=False for comparing weights."""
    drop = (lambda p: lib.Dropout(p)) if dropout else (lambda p: lib.Identity())
    return lib.Sequential(
        lib.Conv2d(1, 32, 3), lib.ReLU(), lib.Conv2d(32, 64, 3), lib.ReLU(), lib.MaxPool2d(2), drop(0.25),
        lib.Flatten(), lib.Linear(9216, 128), lib.ReLU(), drop(0.5), lib.Linear(128, 10),
    )  # fmt: skip


def resnet20(lib, dropout: bool = True):
    """He et al. 2015 for 32 x 32 with projections (option B): 3 x 3 blocks of 16, 32 and 64 channels."""

    class Block(lib.Module):
        def __init__(self, fan_in, out, stride):
            super().__init__()
            self.a = lib.Conv2d(fan_in, out, 3, stride, 1, bias=False)
            self.a_norm = lib.BatchNorm2d(out)
            self.b = lib.Conv2d(out, out, 3, 1, 1, bias=False)
            self.b_norm = lib.BatchNorm2d(out)
            self.relu = lib.ReLU()
            self.short = None
            if stride > 1:
                self.short = lib.Sequential(lib.Conv2d(fan_in, out, 1, stride, bias=False), lib.BatchNorm2d(out))

        def forward(self, x):
            h = self.b_norm(self.b(self.relu(self.a_norm(self.a(x)))))
            return self.relu(h + (x if self.short is None else self.short(x)))

    blocks = [
        Block(16 if k == 0 else 16 << (k - (i == 0)), 16 << k, 2 if k and i == 0 else 1)
        for k in range(3)
        for i in range(3)
    ]
    return lib.Sequential(
        lib.Conv2d(3, 16, 3, 1, 1, bias=False), lib.BatchNorm2d(16), lib.ReLU(), *blocks, lib.AvgPool2d(8),
        lib.Flatten(), lib.Linear(64, 10),
    )  # fmt: skip


def alexnet(lib, dropout: bool = True):
    """Krizhevsky et al. 2012 as one tower, 227 x 227."""
    drop = (lambda: lib.Dropout(0.5)) if dropout else lib.Identity
    return lib.Sequential(
        lib.Conv2d(3, 96, 11, 4), lib.ReLU(), lib.MaxPool2d(3, 2), lib.Conv2d(96, 256, 5, padding=2), lib.ReLU(),
        lib.MaxPool2d(3, 2), lib.Conv2d(256, 384, 3, padding=1), lib.ReLU(), lib.Conv2d(384, 384, 3, padding=1),
        lib.ReLU(), lib.Conv2d(384, 256, 3, padding=1), lib.ReLU(), lib.MaxPool2d(3, 2), lib.Flatten(),
        lib.Linear(9216, 4096), lib.ReLU(), drop(), lib.Linear(4096, 4096), lib.ReLU(), drop(), lib.Linear(4096, 1000),
    )  # fmt: skip


@dataclass(frozen=True)
class Network:
    """One row: a training step, or with `trains` False a forward pass, of `batch` images of `shape`."""

    name: str
    make: Callable
    shape: tuple[int, int, int]
    classes: int
    batch: int
    steps: int  # of one turn
    goal: float  # against PyTorch with two threads on Zen 4
    lr: float = 0.01
    momentum: float = 0.0
    trains: bool = True
    compare: int = 3  # steps after which float64 weights are compared
    compare_batch: int = 0  # images in each of them; 0: batch

    def data(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """X (rows, C, H, W) float32 in 0..1 and labels, at random: only the time counts."""
        rng = np.random.default_rng(0)
        rows = steps * self.batch
        return rng.random((rows, *self.shape), dtype=np.float32), rng.integers(0, self.classes, rows)


NETWORKS = [
    Network("LeNet-5 tanh, batch 64, SGD", lenet, (1, 28, 28), 10, 64, 400, 6.0),
    Network("MNIST CNN, batch 64, SGD", mnist_cnn, (1, 28, 28), 10, 64, 60, 4.0),
    Network("ResNet-20, batch 128, momentum", resnet20, (3, 32, 32), 10, 128, 16, 2.5, 0.05, 0.9),
    Network("AlexNet 227, forward, batch 1", alexnet, (3, 227, 227), 1000, 1, 60, 1.3, trains=False),
    Network("AlexNet 227, forward, batch 16", alexnet, (3, 227, 227), 1000, 16, 8, 1.4, trains=False),
    Network("AlexNet 227, batch 16, momentum", alexnet, (3, 227, 227), 1000, 16, 8, 1.4, 1e-3, 0.9, True, 1, 2),
]


@dataclass(frozen=True)
class Layer:
    """One convolution: x (n, c, side, side), kernel k, o filters."""

    name: str
    n: int
    c: int
    side: int
    o: int
    k: int
    stride: int = 1
    padding: int = 0

    def goal(self, which: str) -> float:
        """Against oneDNN: Winograd for 3 x 3 at stride 1; more where oneDNN is far below the peak; else about even."""
        if self.k == 3 and self.stride == 1 and self.c >= 16:
            return 1.3
        weak = self.c <= 3 and which == "input"  # of a first layer
        return 1.2 if weak or self.k == 1 or self.c == 16 or self.name.startswith("LeNet") else 0.97

    @property
    def out(self) -> int:
        """Side of y."""
        return (self.side + 2 * self.padding - self.k) // self.stride + 1

    def flops(self) -> float:
        """Of one pass."""
        return 2.0 * self.n * self.o * self.out**2 * self.c * self.k**2


LAYERS = [
    Layer("LeNet 1", 64, 1, 28, 6, 5, padding=2),
    Layer("LeNet 2", 64, 6, 14, 16, 5),
    Layer("MNIST CNN 1", 64, 1, 28, 32, 3),
    Layer("MNIST CNN 2", 64, 32, 26, 64, 3),
    Layer("ResNet 16", 128, 16, 32, 16, 3, padding=1),
    Layer("ResNet 16 -> 32", 128, 16, 32, 32, 3, 2, 1),
    Layer("ResNet 32", 128, 32, 16, 32, 3, padding=1),
    Layer("ResNet 64", 128, 64, 8, 64, 3, padding=1),
    Layer("1 x 1, 64", 64, 64, 28, 64, 1),
    Layer("AlexNet 1", 16, 3, 227, 96, 11, 4),
    Layer("AlexNet 2", 16, 96, 27, 256, 5, padding=2),
    Layer("AlexNet 3", 16, 256, 13, 384, 3, padding=1),
    Layer("AlexNet 4", 16, 384, 13, 384, 3, padding=1),
    Layer("AlexNet 5", 16, 384, 13, 256, 3, padding=1),
]


def random_layers(count: int = 3) -> list[Layer]:
    """Shapes drawn anew at each run; the seed is printed."""
    seed = int(np.random.SeedSequence().entropy % 2**32)
    rng = np.random.default_rng(seed)
    print(f"\nrandom layers: seed {seed}")
    found = []
    for i in range(count):
        c, o, side = (int(v) for v in rng.integers((8, 20, 9), (100, 130, 40)))
        k, stride = (3, 1) if i == 0 else (int(rng.integers(1, 6)), int(rng.integers(1, 3)))
        n, padding = int(rng.integers(1, 6)) * 16 - int(rng.integers(0, 3)), k // 2
        name = f"{n} x {c} x {side}^2, {o} of {k}^2{f' / {stride}' if stride > 1 else ''}"
        found.append(Layer(name, n, c, side, o, k, stride, padding))
    return found
