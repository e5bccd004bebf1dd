"""Networks and data that the tests of training share."""

import numpy as np

import pyneuro as pn
from pyneuro import nn


class Double(pn.Function):
    """y = 2 x, written in Python."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g


class Twice(nn.Module):
    """A user's own forward: one layer used twice, a skip, a product of a value with itself, a slice."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 8)
        self.b = nn.Linear(8, 8)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        h = self.a(x).tanh()
        h = h + self.b(h).sigmoid()
        h = self.b(h) * h
        return self.out((h * h)[:, 2:6]) + h.reshape((-1, 2, 4)).mean(dim=(1, 2)).reshape((-1, 1))


class Tied(nn.Module):
    """A weight that two layers share, and a frozen one."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)
        self.b = nn.Linear(6, 6)
        self.b.weight = self.a.weight
        self.c = nn.Linear(6, 3)
        self.b.bias.requires_grad = False

    def forward(self, x):
        return self.c(self.b(self.a(x).relu()).relu())


class Looks(nn.Module):
    """A dynamic network: what it does depends on a value."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 3)

    def forward(self, x):
        y = self.a(x)
        return y * 2.0 if y.sum().item() > 0 else y


def dense(hidden=16, dropout=0.0, features=6, classes=3, seed=1):
    """Linear, ReLU, dropout, Linear."""
    layers = [nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)]
    return nn.Sequential(*layers, seed=seed)


def wide(seed=1):
    """Weights large enough for the fused update, with an odd last layer."""
    return nn.Sequential(nn.Linear(300, 130), nn.ReLU(), nn.Linear(130, 90), nn.Tanh(), nn.Linear(90, 7), seed=seed)


def smooth(seed=1):
    """Activations whose derivative needs x, and a layer without bias."""
    layers = [nn.Linear(6, 9), nn.GELU(), nn.Linear(9, 8, bias=False), nn.SiLU(), nn.Linear(8, 3), nn.Softplus()]
    return nn.Sequential(*layers, seed=seed)


class Images(nn.Module):
    """(N, 16) as images (N, 4, 2, 2), normalized twice."""

    def __init__(self):
        super().__init__()
        self.groups = nn.GroupNorm(2, 4)
        self.instance = nn.InstanceNorm2d(4, affine=True)

    def forward(self, x):
        h = self.groups(x.reshape((-1, 4, 2, 2)))
        return (h + self.instance(h.tanh())).reshape((-1, 16))


def normalized(seed=1):
    """Normalisation over features, over groups of channels of a small image, and over one channel."""
    layers = [nn.LayerNorm(6), nn.Linear(6, 16, bias=False), nn.LayerNorm((16,), bias=False), nn.ReLU()]
    return nn.Sequential(*layers, Images(), nn.Linear(16, 3), seed=seed)


def data(rows=90, features=6, classes=3, seed=0):
    """Separable classes in Gaussian noise, float64."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features))
    return x, (x[:, :classes].argmax(axis=1)).astype(np.int64)


def copy_of(net, make):
    """Another network with the same weights."""
    other = make()
    other.to(next(net.parameters()).dtype)
    other.load_state_dict(net.state_dict())
    return other


def weights(net):
    """Copies of all values."""
    return {name: np.array(t.numpy()) for name, t in net.state_dict().items()}


def distance(a, b):
    """Largest difference of two networks' values."""
    return max(float(np.abs(p - q).max()) for p, q in zip(weights(a).values(), weights(b).values(), strict=True))


def same_bits(a, b):
    """Whether all values of two networks are equal in bits."""
    return all(p.tobytes() == q.tobytes() for p, q in zip(weights(a).values(), weights(b).values(), strict=True))


def tensors(x, y, dtype):
    """One batch as tensors."""
    return pn.tensor(np.asarray(x, dtype)), pn.tensor(y)
