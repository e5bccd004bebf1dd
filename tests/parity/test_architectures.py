"""Models with PyTorch's layers: torchvision's names and shapes load, outputs and gradients agree."""

import numpy as np
import pytest
from test_nn import check, to_torch

import pyneuro as pn
from pyneuro import models, nn

torch = pytest.importorskip("torch")
t = torch.nn


class TorchAlexNet(t.Module):
    """The architecture of torchvision's alexnet, so that its `state_dict` has the same names and shapes."""

    def __init__(self):
        super().__init__()
        self.features = t.Sequential(
            t.Conv2d(3, 64, 11, 4, 2), t.ReLU(), t.MaxPool2d(3, 2), t.Conv2d(64, 192, 5, padding=2), t.ReLU(),
            t.MaxPool2d(3, 2), t.Conv2d(192, 384, 3, padding=1), t.ReLU(), t.Conv2d(384, 256, 3, padding=1), t.ReLU(),
            t.Conv2d(256, 256, 3, padding=1), t.ReLU(), t.MaxPool2d(3, 2),
        )  # fmt: skip
        self.avgpool = t.AdaptiveAvgPool2d((6, 6))
        self.classifier = t.Sequential(
            t.Dropout(), t.Linear(9216, 4096), t.ReLU(), t.Dropout(), t.Linear(4096, 4096), t.ReLU(),
            t.Linear(4096, 1000),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def test_alexnet_of_torchvision_loads():
    theirs = TorchAlexNet().eval()
    state = theirs.state_dict()
    with nn.init.loading(1 << 40):
        ours = models.alexnet("torchvision").eval()
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {k: tuple(v.shape) for k, v in state.items()}
    ours.load_state_dict(state)
    x = np.random.default_rng(0).normal(size=(1, 3, 95, 95)).astype(np.float32)
    with torch.no_grad():
        check(ours(pn.tensor(x)), theirs(to_torch(x)), "float32")


class TorchUNet(t.Module):
    def __init__(self):
        super().__init__()

        def two(a, b):
            return t.Sequential(t.Conv2d(a, b, 3, padding=1), t.ReLU(), t.Conv2d(b, b, 3, padding=1), t.ReLU())

        self.down = t.ModuleList([two(1, 4), two(4, 8)])
        self.bottom = two(8, 16)
        self.up = t.ModuleList([t.ConvTranspose2d(16, 8, 2, 2), t.ConvTranspose2d(8, 4, 2, 2)])
        self.merge = t.ModuleList([two(16, 8), two(8, 4)])
        self.head = t.Conv2d(4, 3, 1)

    def forward(self, x):
        a = self.down[0](x)
        b = self.down[1](t.functional.max_pool2d(a, 2))
        x = self.bottom(t.functional.max_pool2d(b, 2))
        x = self.merge[0](torch.cat([b, self.up[0](x)], 1))
        return self.head(self.merge[1](torch.cat([a, self.up[1](x)], 1)))


def test_unet_output_and_gradients():
    theirs = TorchUNet().double()
    ours = models.UNet(1, 3, width=4).to("float64")
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 12))
    labels = np.random.default_rng(1).integers(0, 3, (2, 8, 12))
    a, b = ours(pn.tensor(x)), theirs(to_torch(x))
    check(a, b, "float64")
    nn.functional.cross_entropy(a, labels).backward()
    t.functional.cross_entropy(b, torch.tensor(labels)).backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        check(p.grad, q.grad, "float64", name)


def test_lenet_loads_what_pytorch_has():
    theirs = t.Sequential(
        t.Conv2d(1, 6, 5, padding=2), t.Tanh(), t.AvgPool2d(2), t.Conv2d(6, 16, 5), t.Tanh(), t.AvgPool2d(2),
        t.Conv2d(16, 120, 5), t.Tanh(), t.Flatten(), t.Linear(120, 84), t.Tanh(), t.Linear(84, 10),
    )  # fmt: skip
    ours = models.lenet5()
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(3, 1, 28, 28)).astype(np.float32)
    check(ours(pn.tensor(x)), theirs(to_torch(x)), "float32")
