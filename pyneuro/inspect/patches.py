"""Which pieces of real images a unit likes best, and how much of the image it sees."""

from dataclasses import dataclass

import numpy as np

from pyneuro import nn
from pyneuro.inspect import _watch
from pyneuro.inspect.layers import activations
from pyneuro.nn import _check


@dataclass(frozen=True)
class Patches:
    """What `top_patches` returns, best first.

    patches: array (n, C, h, w), zeros beyond the border. rows: (n,) which image each is from. corners: (n, 2) its first
    row and column there, negative in front of the border. values: (n,) what the unit answered.

    >>> import numpy as np
    >>> from pyneuro import inspect, nn
    >>> found = inspect.top_patches(nn.Sequential(nn.Conv2d(1, 2, 3), seed=0), 0, 1, np.eye(6)[None, None], n=1)
    >>> isinstance(found, inspect.Patches), found.patches.shape
    (True, (1, 1, 3, 3))
    """

    patches: np.ndarray
    rows: np.ndarray
    corners: np.ndarray
    values: np.ndarray


_WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
_WHOLE = (nn.Flatten, nn.Linear, nn.ConvTranspose2d, nn.Upsample, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def receptive_field(net, layer):
    """What a unit of `layer` sees of the image: ((h, w), (stride down, right), (first row, column)) in pixels.

    The unit at position (i, j) of a map sees h x w pixels from row first + stride i on; a negative first row lies in
    the padding. For networks whose layers follow one another in the order in which they are registered, such as
    nn.Sequential, up to the first dense layer. ValueError behind that, and behind layers that enlarge.

    >>> from pyneuro import inspect, nn
    >>> net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5))
    >>> inspect.receptive_field(net, 3)
    ((14, 14), (2, 2), (0, 0))
    """
    path, _ = _watch.layer_of("receptive_field", net, layer)
    size, step, first = [1, 1], [1, 1], [0, 0]
    for name, module in net.named_modules():
        if module._modules:
            continue
        if isinstance(module, _WHOLE):
            raise ValueError(f"receptive_field: behind {module._label()} a unit may see the whole image")
        if isinstance(module, _WINDOWS):
            _widen(module, size, step, first)
        if name == path:
            break
    return tuple(size), tuple(step), tuple(first)


def _widen(module, size, step, first):
    """Takes the window of one layer into account, for both directions."""
    for d in range(2):
        kernel, stride = _pair(module.kernel_size)[d], _pair(module.stride)[d]
        reach = (kernel - 1) * _pair(getattr(module, "dilation", 1))[d]
        named = {"same": reach // 2, "valid": 0}
        padding = named[module.padding] if isinstance(module.padding, str) else _pair(module.padding)[d]
        size[d] += reach * step[d]
        first[d] -= padding * step[d]
        step[d] *= stride


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)


def top_patches(net, layer, channel, X, n=9):
    """The n images of X (N, C, H, W) that excite `channel` of `layer` most, each cut to what the unit sees.

    Of each image the position with the highest answer counts. See `receptive_field` for which networks. Source: Zeiler,
    Fergus 2013; lecture 003 (section on edges, textures, parts). Returns `Patches`; ValueError as there.

    >>> import numpy as np
    >>> from pyneuro import inspect, nn
    >>> net = nn.Sequential(nn.Conv2d(1, 1, 3, bias=False))
    >>> net[0].weight.numpy()[:] = 1 / 9  # answers to bright spots
    >>> X = np.zeros((2, 1, 8, 8))
    >>> X[1, 0, 3:6, 4:7] = 1
    >>> found = inspect.top_patches(net, 0, 0, X, n=1)
    >>> found.rows.tolist(), found.corners.tolist(), round(float(found.values[0]), 6)
    ([1], [[3, 4]], 1.0)
    """
    array = _watch.pictures("top_patches", net, X)
    (height, width), step, first = receptive_field(net, layer)
    path, module = _watch.layer_of("top_patches", net, layer)
    maps = activations(net, array, [layer])[path]
    channel, n = _check.size("top_patches", "channel", channel, 0), _check.size("top_patches", "n", n)
    if maps.ndim != 4 or channel >= maps.shape[1]:
        raise ValueError(f"top_patches: {module._label()} makes {maps.shape}, which has no channel {channel} of maps")
    flat = maps[:, channel].reshape(len(maps), -1)
    rows = np.argsort(-flat.max(axis=1), kind="stable")[:n]
    places = np.stack(np.unravel_index(flat[rows].argmax(axis=1), maps.shape[2:]), axis=1)
    corners = places * step + first
    border = (height, height), (width, width)
    wide = np.pad(array[rows], ((0, 0), (0, 0), *border))
    cut = [image[:, r + height : r + 2 * height, c + width : c + 2 * width] for image, (r, c) in zip(wide, corners)]
    return Patches(np.stack(cut), rows, corners, flat[rows].max(axis=1))
