"""The cells that Hubel and Wiesel found in the visual cortex, as Gabor filters: the model of convolution networks.

A simple cell answers to an edge or bar of one direction at one place. A complex cell answers to the direction wherever
in its field the edge is: it adds the squares of two simple cells a quarter of a wave apart (the energy model).
"""

import numpy as np

from pyneuro import _core
from pyneuro.nn import _check, functional
from pyneuro.nn._state import to_numpy


def gabor(size=15, wavelength=6.0, angle=0.0, phase=0.0, sigma=None, aspect=0.5):
    """A Gabor filter (size, size), a wave under a Gaussian.

    exp(-(u^2 + (aspect v)^2) / (2 sigma^2)) cos(2 pi u / L + phase): u runs across the stripes, at `angle` radians from
    the x axis, v along them; wavelength L and sigma (None: 0.56 L, one octave) in pixels. The mean is taken off and the
    length is 1, so that even light gives 0. Source: Daugman 1985; lecture 003 (Hubel, Wiesel 1962). ValueError for an
    even size.

    >>> from pyneuro import inspect
    >>> g = inspect.gabor(9, wavelength=4)
    >>> g.shape, bool(abs(g.sum()) < 1e-5), round(float((g * g).sum()), 5)
    ((9, 9), True, 1.0)
    """
    size = _check.size("gabor", "size", size, 3)
    if size % 2 == 0:
        raise ValueError(f"gabor: size must be odd, so that the filter has a middle, got {size}")
    wavelength = _check.number("gabor", "wavelength", wavelength, 1e-6)
    sigma = 0.56 * wavelength if sigma is None else _check.number("gabor", "sigma", sigma, 1e-6)
    y, x = np.mgrid[-(size // 2) : size // 2 + 1, -(size // 2) : size // 2 + 1]
    u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    wave = np.exp(-(u**2 + (aspect * v) ** 2) / (2 * sigma**2)) * np.cos(2 * np.pi * u / wavelength + phase)
    wave -= wave.mean()
    return (wave / np.sqrt((wave**2).sum())).astype(np.float32)


def simple_cells(X, angles=4, *, phase=0.0, **options):
    """Answers of simple cells: images (N, H, W), (N, 1, H, W) or (H, W) -> (N, angles, H, W), not below 0.

    angles: how many directions between 0 and 180 degrees, or a list in radians. phase: 0 answers to bars, pi / 2 to
    edges. options: those of `gabor`. Beyond the border it is dark. ValueError for other shapes.

    >>> import numpy as np
    >>> from pyneuro import inspect
    >>> bars = np.tile(np.sin(np.arange(30) * 2 * np.pi / 6), (30, 1))  # stripes from top to bottom
    >>> inspect.simple_cells(bars, 4)[0, :, 10:20, 10:20].mean(axis=(1, 2)).argmax().item()
    0
    """
    return np.array(_answers(X, angles, phase, options).relu().numpy())


def complex_cells(X, angles=4, **options):
    """Answers of complex cells, sqrt(even^2 + odd^2): shapes and options as of `simple_cells`.

    They keep the direction and forget where exactly the edge is. Source: Adelson, Bergen 1985.

    >>> import numpy as np
    >>> from pyneuro import inspect
    >>> bars = np.tile(np.sin(np.arange(40) * 2 * np.pi / 6), (40, 1))
    >>> middle = inspect.complex_cells(bars, 4)[0, 0, 15:25, 15:25]
    >>> bool(middle.std() < 0.05 * middle.mean())  # wherever the bar is
    True
    """
    even, odd = _answers(X, angles, 0.0, options), _answers(X, angles, np.pi / 2, options)
    return np.array((even * even + odd * odd).sqrt().numpy())


def _answers(X, angles, phase, options):
    """The images convolved with one Gabor filter for each angle."""
    array = np.asarray(to_numpy(X), np.float32)
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or array.shape[1] != 1:
        raise ValueError(f"X has shape {np.shape(X)}, expected grey images: (H, W), (N, H, W) or (N, 1, H, W)")
    if isinstance(angles, (int, np.integer)):
        angles = np.arange(_check.size("simple_cells", "angles", angles)) * np.pi / angles
    bank = np.stack([gabor(angle=angle, phase=phase, **options) for angle in angles])[:, None]
    return functional.conv2d(_core.Tensor(array), _core.Tensor(bank), padding="same")
