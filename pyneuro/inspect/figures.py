"""Pictures of what was found, as matplotlib figures: large text, colours that colour-blind people tell apart."""

import math

import numpy as np

from pyneuro.nn._state import to_numpy

TEXT = 16  # points: readable from the back of a hall


def show(images, titles=None, *, columns=None, signed=False, share=False, cmap=None, size=1.7, title=None):
    """Images side by side: (N, H, W), (N, 1, H, W) or (N, 3, H, W) -> a matplotlib Figure.

    titles: one for each. columns: how many in a row; None: about as many as rows, at most 8. signed: weights around 0,
    orange above and purple below. share: one scale of brightness for all instead of one each. size: of an image in
    inches. Raises ImportError without matplotlib, ValueError for other shapes.

    >>> import numpy as np
    >>> from pyneuro import inspect
    >>> figure = inspect.show(np.zeros((6, 8, 8)), titles=list("abcdef"), columns=3)
    >>> len(figure.axes)
    6
    """
    array = _as_pictures(images)
    columns = columns or min(8, max(1, math.ceil(math.sqrt(2 * len(array)))), len(array))
    figure, axes = _grid(len(array), columns, size, titles is not None, title)
    limits = _limits(array, signed, share)
    for ax, image, (low, high) in zip(axes, array, limits, strict=False):
        ax.imshow(image, cmap=cmap or ("PuOr_r" if signed else "gray"), vmin=low, vmax=high, interpolation="nearest")
    for ax, text in zip(axes, () if titles is None else titles, strict=False):
        ax.set_title(str(text), fontsize=TEXT)
    return figure


def overlay(images, heats, titles=None, *, columns=None, size=2.2, title=None):
    """Images (N, H, W) or (N, C, H, W) with heat maps (N, H, W) over them, and lines at half of the highest heat.

    >>> import numpy as np
    >>> from pyneuro import inspect
    >>> figure = inspect.overlay(np.zeros((2, 8, 8)), np.random.default_rng(0).random((2, 8, 8)))
    >>> len(figure.axes)
    2
    """
    array, heats = _as_pictures(images), to_numpy(heats)
    if heats.shape != array.shape[:3]:
        raise ValueError(f"overlay: heats have shape {heats.shape}, the images need {array.shape[:3]}")
    columns = columns or min(6, len(array))
    figure, axes = _grid(len(array), columns, size, titles is not None, title)
    for ax, image, heat in zip(axes, array, heats, strict=False):
        ax.imshow(image, cmap="gray", interpolation="nearest")
        ax.imshow(heat, cmap="inferno", alpha=0.55, interpolation="bilinear", vmin=0)
        if heat.max() > 0:
            ax.contour(heat, levels=[heat.max() / 2], colors="white", linewidths=2)
    for ax, text in zip(axes, () if titles is None else titles, strict=False):
        ax.set_title(str(text), fontsize=TEXT)
    return figure


def _as_pictures(images):
    """(N, H, W) or (N, H, W, 3), as imshow wants them."""
    array = to_numpy(images)
    if array.ndim == 4 and array.shape[1] in (1, 3):
        array = array[:, 0] if array.shape[1] == 1 else np.moveaxis(array, 1, 3)
    if array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3):
        return array
    raise ValueError(f"images have shape {np.shape(images)}, expected (N, H, W), (N, 1, H, W) or (N, 3, H, W)")


def _limits(array, signed, share):
    """(lowest, highest) of each image, or of all."""
    groups = [array] * len(array) if share else list(array)
    found = [(float(g.min()), float(g.max())) for g in groups]
    return [(-max(abs(a), abs(b)), max(abs(a), abs(b))) for a, b in found] if signed else found


def _grid(n, columns, size, titled, title):
    """A figure with n axes without ticks, more than n hidden."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'pyneuro[plot]'") from None
    rows = math.ceil(n / columns)
    height = rows * (size + (0.45 if titled else 0.1)) + (0.5 if title else 0)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * size, height), layout="constrained", squeeze=False)
    for ax in axes.flat[n:]:
        ax.remove()
    for ax in axes.flat[:n]:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    if title:
        figure.suptitle(title, fontsize=TEXT)
    return figure, list(axes.flat[:n])
