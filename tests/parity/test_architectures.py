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


def give(theirs, ours):
    """PyTorch takes the `state_dict` of ours: its names, shapes and types, one missing or too many is an error."""
    state = {name: to_torch(value.numpy()) for name, value in ours.state_dict().items()}
    theirs.load_state_dict(state)
    for name, value in theirs.state_dict().items():
        assert value.dtype == state[name].dtype and torch.equal(value, state[name]), name


def test_pytorch_loads_our_alexnet():
    ours, theirs = models.alexnet("torchvision", seed=1).eval(), TorchAlexNet().eval()
    give(theirs, ours)
    x = np.random.default_rng(0).normal(size=(1, 3, 95, 95)).astype(np.float32)
    with torch.no_grad():
        check(ours(pn.tensor(x)), theirs(to_torch(x)), "float32")


class TorchBlock(t.Module):
    """torchvision's BasicBlock; option A of the paper as a function."""

    def __init__(self, a, b, stride, option):
        super().__init__()
        self.conv1 = t.Conv2d(a, b, 3, stride, 1, bias=False)
        self.bn1 = t.BatchNorm2d(b)
        self.relu = t.ReLU()
        self.conv2 = t.Conv2d(b, b, 3, 1, 1, bias=False)
        self.bn2 = t.BatchNorm2d(b)
        self.stride, self.more, self.option = stride, b - a, option
        self.downsample = None
        if option == "B" and (stride != 1 or a != b):
            self.downsample = t.Sequential(t.Conv2d(a, b, 1, stride, bias=False), t.BatchNorm2d(b))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.option == "none":
            return self.relu(y)
        if self.option == "A":
            before = self.more // 2
            x = t.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.more - before))
        return self.relu(y + (self.downsample(x) if self.downsample is not None else x))


class TorchResNet(t.Module):
    def __init__(self, widths, blocks, option, stem, classes):
        super().__init__()
        kernel, stride, padding = stem
        self.conv1 = t.Conv2d(3, widths[0], kernel, stride, padding, bias=False)
        self.bn1 = t.BatchNorm2d(widths[0])
        self.relu = t.ReLU()
        self.maxpool = t.MaxPool2d(3, 2, 1) if stride == 2 else t.Identity()
        a = widths[0]
        for i, b in enumerate(widths):
            layers = [TorchBlock(a, b, 2 if i else 1, option)]
            layers += [TorchBlock(b, b, 1, option) for _ in range(blocks - 1)]
            self.add_module(f"layer{i + 1}", t.Sequential(*layers))
            a = b
        self.stages = len(widths)
        self.avgpool = t.AdaptiveAvgPool2d((1, 1))
        self.fc = t.Linear(a, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(self.avgpool(x).flatten(1))


def test_resnet18_of_torchvision_loads():
    """122 names, among them the running statistics; random weights; evaluation mode."""
    theirs = TorchResNet((64, 128, 256, 512), 2, "B", (7, 2, 3), 1000).eval()
    state = theirs.state_dict()
    assert len(state) == 122
    with nn.init.loading(1 << 40):
        ours = models.resnet18().eval()
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {k: tuple(v.shape) for k, v in state.items()}
    rng = np.random.default_rng(0)
    for name, value in state.items():
        if "running" in name:
            value.copy_(torch.tensor(rng.uniform(0.5, 1.5, tuple(value.shape))))
    ours.load_state_dict(state)
    x = rng.normal(size=(1, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        check(ours(pn.tensor(x)), theirs(to_torch(x)), "float32")


def test_pytorch_loads_our_resnet18():
    """Running statistics and counts included: those of two batches seen in training."""
    rng = np.random.default_rng(1)
    ours, theirs = models.resnet18(seed=1), TorchResNet((64, 128, 256, 512), 2, "B", (7, 2, 3), 1000).eval()
    for _ in range(2):
        ours(pn.tensor(rng.normal(size=(2, 3, 40, 40)).astype(np.float32)))
    give(theirs, ours.eval())
    assert theirs.bn1.num_batches_tracked == 2
    x = rng.normal(size=(1, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        check(ours(pn.tensor(x)), theirs(to_torch(x)), "float32")


@pytest.mark.parametrize("option", ["A", "B", "none"])
def test_resnet20_output_gradients_and_running_statistics(option):
    theirs = TorchResNet((16, 32, 64), 3, option, (3, 1, 1), 10).double()
    made = models.plain20() if option == "none" else models.resnet20(shortcut=option)
    ours = made.to("float64")
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(4, 3, 9, 12))
    labels = np.arange(4)
    a, b = ours(pn.tensor(x)), theirs(to_torch(x))
    check(a, b, "float64")
    nn.functional.cross_entropy(a, labels).backward()
    t.functional.cross_entropy(b, torch.tensor(labels)).backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        check(p.grad, q.grad, "float64", name)
    for (name, p), q in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        if p.dtype != "int64":
            check(p, q, "float64", name)


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalize_is_the_transform_as_a_layer(dtype):
    """(x - mean) / std by channel, for pixels as bytes too; the gradient is divided by std."""
    mean, std = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]
    layer = nn.Normalize(mean, std)
    x = np.random.default_rng(0).random((2, 3, 4, 5)).astype(dtype)
    a, b = pn.tensor(x, requires_grad=True), to_torch(x, grad=True)
    m, s = (torch.tensor(v, dtype=b.dtype)[:, None, None] for v in (mean, std))
    y, z = layer(a), (b - m) / s
    check(y, z, dtype)
    y.sum().backward()
    z.sum().backward()
    check(a.grad, b.grad, dtype)
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    check(pn.tensor(layer.predict(pixels)), (torch.tensor(pixels) - m.float()) / s.float(), "float32")
    assert nn.Normalize(1.0, 2.0)([[3.0, 5.0]]).tolist() == [[1.0, 2.0]]
    assert not layer.state_dict()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Normalize([0.5, 0.5], 1.0), "mean has 2 numbers, std has 1"),
        (lambda: nn.Normalize([0.5], [0.0]), "std must be above 0, got 0"),
        (lambda: nn.Normalize([], []), "expected one each for a channel"),
        (lambda: nn.Normalize([float("nan")], [1.0]), "mean must be"),
        (lambda: nn.Normalize([0, 0, 0], [1, 1, 1])(np.zeros((2, 4, 4, 3))), r"\(2, 4, 4, 3\), expected \(N, 3, ...\)"),
    ],
)
def test_normalize_refuses(make, words):
    with pytest.raises(ValueError, match=words):
        make()
