"""Residual networks: blocks that learn what to add to their input, and the same nets without the additions."""

from pyneuro import nn
from pyneuro.nn import _check, functional, init
from pyneuro.nn.module import Module

_HE = init.Rule(init.kaiming_normal_, 0.0, "fan_out", "relu")  # He et al. 2015, as torchvision draws its nets
_SHORTCUTS = ("A", "B", "none")


def _convolution(fan_in, out, kernel_size, stride=1):
    return nn.Conv2d(fan_in, out, kernel_size, stride=stride, padding=kernel_size // 2, bias=False, init=_HE)


class BasicBlock(Module):
    """`BasicBlock(in_channels, channels, stride=1, shortcut="B")`: y = relu(F(x) + shortcut(x)).

    x (N, in_channels, H, W) -> (N, channels, H / stride, W / stride). F: conv3x3, batch norm, ReLU, conv3x3, batch
    norm. The shortcut is x itself; where the shape changes it is

        "A"     every stride-th pixel of x, with maps of zeros before and behind: no parameters
        "B"     a convolution 1x1 with batch norm (`downsample`)
        "none"  nothing at all, everywhere: y = relu(F(x)), the plain net that very deep ones were compared with

    Names of the layers are torchvision's. ValueError for another shortcut, and for "A" when the maps get fewer.

    Source: He, Zhang, Ren, Sun 2015 ("Deep residual learning"); lecture 003.

    >>> import numpy as np
    >>> from pyneuro import models
    >>> block = models.BasicBlock(4, 8, stride=2)
    >>> block(np.zeros((2, 4, 6, 6), np.float32)).shape, sum(p.numel() for p in block.parameters())
    ((2, 8, 3, 3), 944)
    """

    def __init__(self, in_channels, channels, stride=1, shortcut="B"):
        super().__init__()
        self.in_channels = _check.size("BasicBlock", "in_channels", in_channels)
        self.channels = _check.size("BasicBlock", "channels", channels)
        self.stride = _check.size("BasicBlock", "stride", stride)
        self.shortcut = _check.choice("BasicBlock", "shortcut", shortcut, _SHORTCUTS)
        changes = in_channels != channels or stride != 1
        if shortcut == "A" and channels < in_channels:
            raise ValueError(f"BasicBlock: shortcut='A' adds maps of zeros, it cannot make {channels} of {in_channels}")
        self.conv1 = _convolution(in_channels, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2 = _convolution(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        if shortcut == "B" and changes:
            self.downsample = nn.Sequential(_convolution(in_channels, channels, 1, stride), nn.BatchNorm2d(channels))
        else:
            self.downsample = None

    def forward(self, x):
        """x (N, in_channels, H, W) -> (N, channels, H / stride, W / stride)."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.shortcut != "none":
            y = y + (self._padded(x) if self.downsample is None else self.downsample(x))
        return self.relu(y)

    def _padded(self, x):
        """Option A: x itself, or its pixels at every stride with maps of zeros around."""
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        more = self.channels - self.in_channels
        return functional.pad(x, (0, 0, 0, 0, more // 2, more - more // 2)) if more else x

    def _label(self):
        return f"BasicBlock({self.in_channels}, {self.channels}, stride={self.stride}, shortcut={self.shortcut!r})"

    def _config(self):
        return {key: getattr(self, key) for key in ("in_channels", "channels", "stride", "shortcut")}


def _stages(widths, blocks, shortcut):
    """{"layer1": ..., ...}: `blocks` blocks a stage; from the second stage on the first one halves the size."""
    stages, fan_in = {}, widths[0]
    for i, width in enumerate(widths):
        first = BasicBlock(fan_in, width, 2 if i else 1, shortcut)
        rest = [BasicBlock(width, width, 1, shortcut) for _ in range(blocks - 1)]
        stages[f"layer{i + 1}"], fan_in = nn.Sequential(first, *rest), width
    return stages


def _cifar(depth, shortcut, num_classes, in_channels, seed):
    layers = {"conv1": _convolution(in_channels, 16, 3), "bn1": nn.BatchNorm2d(16), "relu": nn.ReLU()}
    layers |= _stages((16, 32, 64), (depth - 2) // 6, shortcut)
    layers |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(64, num_classes)}
    return nn.Sequential(layers, seed=seed)


def resnet20(*, num_classes=10, in_channels=3, shortcut="A", seed=None):
    """ResNet-20 for pictures of about 32 x 32 pixels (CIFAR-10): conv3x3 16, three stages of 3 `BasicBlock`s with 16,
    32 and 64 maps, average over all places, scores. 269,722 parameters.

    shortcut: "A" (zeros, as in the paper's nets for CIFAR) or "B" (1x1 convolutions, 2,752 parameters more).
    num_classes, in_channels: of the data.    seed: see `nn.Sequential`.

    Returns a Sequential that maps (N, in_channels, H, W) to raw scores (N, num_classes). The paper's recipe: momentum
    0.9, weight decay 1e-4, batch 128, lr 0.1, divided by 10 at half and three quarters of the training, pictures
    shifted by up to 4 pixels and flipped. ValueError for another shortcut.

    Source: He, Zhang, Ren, Sun 2015, section 4.2; lecture 003.

    >>> net = resnet20(seed=0)
    >>> sum(p.numel() for p in net.parameters())
    269722
    """
    return _cifar(20, shortcut, num_classes, in_channels, seed)


def resnet32(*, num_classes=10, in_channels=3, shortcut="A", seed=None):
    """ResNet-32: as `resnet20`, with 5 blocks a stage; 464,154 parameters.

    >>> len(resnet32(seed=0).layer1)
    5
    """
    return _cifar(32, shortcut, num_classes, in_channels, seed)


def resnet44(*, num_classes=10, in_channels=3, shortcut="A", seed=None):
    """ResNet-44: as `resnet20`, with 7 blocks a stage; 658,586 parameters.

    >>> len(resnet44(seed=0).layer1)
    7
    """
    return _cifar(44, shortcut, num_classes, in_channels, seed)


def resnet56(*, num_classes=10, in_channels=3, shortcut="A", seed=None):
    """ResNet-56: as `resnet20`, with 9 blocks a stage; 853,018 parameters.

    >>> len(resnet56(seed=0).layer1)
    9
    """
    return _cifar(56, shortcut, num_classes, in_channels, seed)


def plain20(*, num_classes=10, in_channels=3, seed=None):
    """`resnet20` without its shortcuts: the same layers and parameters, nothing added. Lecture 003 compares the two:
    the deeper a plain net is, the worse it trains, while residual nets gain.

    >>> sum(p.numel() for p in plain20(seed=0).parameters())
    269722
    """
    return _cifar(20, "none", num_classes, in_channels, seed)


def plain32(*, num_classes=10, in_channels=3, seed=None):
    """`resnet32` without its shortcuts, see `plain20`.

    >>> len(plain32(seed=0).layer1)
    5
    """
    return _cifar(32, "none", num_classes, in_channels, seed)


def plain44(*, num_classes=10, in_channels=3, seed=None):
    """`resnet44` without its shortcuts, see `plain20`.

    >>> len(plain44(seed=0).layer1)
    7
    """
    return _cifar(44, "none", num_classes, in_channels, seed)


def plain56(*, num_classes=10, in_channels=3, seed=None):
    """`resnet56` without its shortcuts, see `plain20`.

    >>> len(plain56(seed=0).layer1)
    9
    """
    return _cifar(56, "none", num_classes, in_channels, seed)


def resnet18(*, num_classes=1000, in_channels=3, seed=None):
    """ResNet-18 for ImageNet's pictures: conv7x7 64 stride 2, max-pool, four stages of 2 `BasicBlock`s with 64, 128,
    256 and 512 maps, average over all places, scores. 11,689,512 parameters.

    `state_dict` has torchvision's names and shapes. (N, in_channels, 224, 224) -> (N, num_classes); other sizes too.
    num_classes, in_channels: of the data.    seed: see `nn.Sequential`.

    >>> net = resnet18(num_classes=5, seed=0)
    >>> list(net.state_dict())[-2:], tuple(net.fc.weight.shape)
    (['fc.weight', 'fc.bias'], (5, 512))
    """
    layers = {
        "conv1": nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False, init=_HE),
        "bn1": nn.BatchNorm2d(64), "relu": nn.ReLU(), "maxpool": nn.MaxPool2d(3, 2, 1),
        **_stages((64, 128, 256, 512), 2, "B"),
        "avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(512, num_classes),
    }  # fmt: skip
    return nn.Sequential(layers, seed=seed)
