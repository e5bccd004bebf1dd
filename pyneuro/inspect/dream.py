"""Activation maximisation: the image that a unit likes best, by gradient ascent on the image."""

from dataclasses import dataclass

import numpy as np

from pyneuro import _core, _shapes, autograd
from pyneuro._fit import program
from pyneuro.inspect import _watch
from pyneuro.nn import _check, functional


@dataclass(frozen=True)
class Maximized:
    """What `maximize` returns. image: array (C, H, W). values: what the unit answered at each step (steps,).

    >>> import numpy as np
    >>> from pyneuro import inspect, nn
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), seed=0)
    >>> found = inspect.maximize(net, 0, 1, (1, 8, 8), steps=10)
    >>> isinstance(found, inspect.Maximized), found.image.shape, bool(found.values[-1] > found.values[0])
    (True, (1, 8, 8), True)
    """

    image: np.ndarray
    values: np.ndarray


def maximize(
    net, layer, channel, shape, *, steps=100, lr=0.1, jitter=2, decay=0.01, blur=0.5, bounds=None, start=None, seed=0
):  # fmt: skip
    """The image for which `channel` of `layer` answers most: its mean over positions and nothing else.

    layer: module, name or place; for edges and textures take an early convolution, for patterns and parts a later one,
    for a class the last layer. A unit behind a ReLU that is silent has no gradient: take the layer in front of it.
    shape: of the image, (C, H, W). Each of the `steps` moves the image by lr times the gradient, divided by its root
    mean square. What keeps the image smooth: jitter, it is shifted at random by up to so many pixels before it is
    shown; decay, the share by which it shrinks towards 0 in each step; blur, the width in pixels of the Gaussian that
    it is blurred with in every fourth. bounds: (low, high) of pixels. start: the first image; None draws it small.

    Returns a `Maximized` with `image`, `values`. Source: Erhan et al. 2009; Olah, Mordvintsev, Schubert 2017; lecture
    003. Raises ValueError for a channel or shape that does not fit.

    >>> from pyneuro import inspect, nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), seed=0)
    >>> found = inspect.maximize(net, 1, 0, (1, 2, 2), steps=50, jitter=0, blur=0)
    >>> bool(((found.image.ravel() > 0) == (net[1].weight.numpy()[0] > 0)).all())
    True
    """
    path, module = _watch.layer_of("maximize", net, layer)
    channel = _check.size("maximize", "channel", channel, 0)
    steps = _check.size("maximize", "steps", steps)
    if len(shape) != 3:
        raise ValueError(f"maximize: shape is {tuple(shape)}, expected that of one image: (C, H, W)")
    real, rng = program.real_dtype(net), np.random.default_rng(seed)
    low, high = bounds or (None, None)
    first = rng.normal(0, 0.1, shape) + (0 if bounds is None else (low + high) / 2) if start is None else start
    x, values = _core.Tensor(np.asarray(first, real)[None]), []
    kernel = _gaussian(blur, x.shape[1], real) if blur else None
    with _watch.differentiating(net), _watch.watching({path: module}) as seen:
        for step in range(steps):
            x = x.detach().requires_grad_()
            net(_shifted(x, *rng.integers(-jitter, jitter + 1, 2)) if jitter else x)
            answer = _answer(seen.get(path), module, channel)
            (gradient,) = autograd.grad(answer, x)
            values.append(answer.item())
            with autograd.no_grad():
                x = _ascended(x, gradient, lr, decay, kernel if step % 4 == 3 else None, low, high)
    return Maximized(np.array(x.detach().numpy()[0]), np.array(values))


def _ascended(x, gradient, lr, decay, kernel, low, high):
    """The image after one step."""
    if gradient is None:
        return x
    x = (x + lr * gradient / ((gradient * gradient).mean().sqrt() + 1e-12)) * (1 - decay)
    if kernel is not None:
        x = functional.conv2d(x, kernel, padding="same", groups=x.shape[1])
    return x if low is None else x.clamp(low, high)


def _answer(output, module, channel):
    """Mean answer of the channel, a scalar tensor."""
    if not isinstance(output, _core.Tensor) or output.ndim < 2:
        raise ValueError(f"maximize: {module._label()} makes no channels; its output must be (N, C, ...)")
    if channel >= output.shape[1]:
        raise ValueError(f"maximize: channel is {channel}, but {module._label()} has {output.shape[1]}, counted from 0")
    return output[:, channel].mean()


def _shifted(x, down, right):
    """The image, shifted in a circle."""
    for dim, by in ((2, int(down)), (3, int(right))):
        by %= x.shape[dim]
        if by:
            index = [slice(None)] * 4
            index[dim] = slice(x.shape[dim] - by, None)
            head = x[tuple(index)]
            index[dim] = slice(0, x.shape[dim] - by)
            x = _shapes.cat([head, x[tuple(index)]], dim)
    return x


def _gaussian(width, channels, real):
    """Depthwise kernel (C, 1, k, k)."""
    reach = max(1, int(3 * width + 0.5))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    square = np.outer(line, line) / line.sum() ** 2
    return _core.Tensor(np.tile(square.astype(real), (channels, 1, 1, 1)))
