"""U-Net: a picture in, a picture of scores out, as for segmentation."""

from itertools import pairwise

from pyneuro import _shapes, nn
from pyneuro.nn import _check
from pyneuro.nn.module import Module, redraw


def _two_convolutions(fan_in, out):
    return nn.Sequential(nn.Conv2d(fan_in, out, 3, padding=1), nn.ReLU(), nn.Conv2d(out, out, 3, padding=1), nn.ReLU())


class UNet(Module):
    """`UNet(in_channels=1, num_classes=2, width=16, depth=2)`: down by halves, up again, with a bridge at each size.

    x (N, in_channels, H, W) -> raw scores (N, num_classes, H, W). On the way down each size has two convolutions 3x3
    with ReLU and a max-pool 2; on the way up a transposed convolution doubles the size, the maps of the way down are
    put beside (`cat`), and two convolutions follow. Maps: width, 2 width, ..., width 2^depth at the bottom.
    Convolutions are padded, so that sizes stay (those of 2015 were not, and cut the bridges).

    depth: how often sizes are halved, 1 to 6; H and W must be multiples of 2^depth (ValueError otherwise).
    The loss "cross_entropy" takes one class number for each pixel, (N, H, W).

    Source: Ronneberger, Fischer, Brox 2015.

    >>> import numpy as np
    >>> UNet(1, 3, width=4)(np.zeros((2, 1, 16, 20), np.float32)).shape
    (2, 3, 16, 20)
    """

    def __init__(self, in_channels=1, num_classes=2, width=16, depth=2):
        super().__init__()
        self.in_channels = _check.size("UNet", "in_channels", in_channels)
        self.num_classes = _check.size("UNet", "num_classes", num_classes)
        self.width = _check.size("UNet", "width", width)
        self.depth = _check.size("UNet", "depth", depth)
        if self.depth > 6:
            raise ValueError(f"UNet: depth must be at most 6, got {self.depth}")
        maps = [self.width << level for level in range(self.depth + 1)]
        self.down = nn.ModuleList(_two_convolutions(a, b) for a, b in pairwise([in_channels, *maps[:-1]]))
        self.pool = nn.MaxPool2d(2)
        self.bottom = _two_convolutions(maps[-2], maps[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * m, m, 2, stride=2) for m in reversed(maps[:-1]))
        self.merge = nn.ModuleList(_two_convolutions(2 * m, m) for m in reversed(maps[:-1]))
        self.head = nn.Conv2d(self.width, self.num_classes, 1)

    def forward(self, x):
        """x (N, in_channels, H, W) -> (N, num_classes, H, W)."""
        shape, step = tuple(getattr(x, "shape", ())), 1 << self.depth
        if len(shape) != 4 or shape[2] % step or shape[3] % step:
            raise ValueError(
                f"x has shape {shape}, expected (N, {self.in_channels}, H, W), H and W multiples of 2^depth = {step}"
            )
        bridges = []
        for block in self.down:
            x = block(x)
            bridges.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(_shapes.cat([bridges.pop(), up(x)], 1))
        return self.head(x)

    def _label(self):
        return f"UNet({self.in_channels}, {self.num_classes}, width={self.width}, depth={self.depth})"

    def _config(self):
        return {key: getattr(self, key) for key in ("in_channels", "num_classes", "width", "depth")}


def unet(in_channels=1, num_classes=2, *, width=16, depth=2, seed=None):
    """A small `UNet`, drawn from `seed`: 116,770 parameters with the default sizes.

    >>> net = unet(1, 2, seed=0)
    >>> sum(p.numel() for p in net.parameters())
    116770
    """
    net = UNet(in_channels, num_classes, width, depth)
    if seed is not None:
        redraw(net, _check.size("unet", "seed", seed, least=0))
    return net
