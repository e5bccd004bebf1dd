"""Pictures changed at random while a network trains: `net.fit(X, y, augment=[augment.RandomCrop(32, padding=4), ...])`.

Every epoch sees other versions of the same pictures, so that a network learns what does not matter: where a thing is,
which way it looks. The changes are made in C while a batch is gathered. What a picture gets is decided by the seed of
the fit, the step of the training and its place in the batch, in a stream of its own: the same for any number of
threads, and again after a checkpoint. Validation, `evaluate` and `predict` see pictures as they are.

Pictures are (N, C, H, W), or (N, H, W) with one channel, of any numeric type; what moves in from outside is 0. Names
and meanings are torchvision's. Scaling by mean and deviation is no random change: all data that a network sees need it,
so it is a layer, `nn.Normalize(mean, std)`, and `fit` refuses it in the list; `apply` takes it.

>>> import numpy as np
>>> from pyneuro import augment
>>> picture = np.arange(12).reshape(1, 1, 3, 4)
>>> augment.apply(picture, augment.RandomHorizontalFlip(p=1))[0, 0, 0].tolist()
[3.0, 2.0, 1.0, 0.0]
"""

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.nn import _check

__all__ = ["Compose", "Normalize", "RandomAffine", "RandomCrop", "RandomHorizontalFlip", "RandomShift", "apply"]

MOST = 16  # changes in a list


def _pair(name, argument, value, least):
    """`value` as (rows, columns)."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{name}: {argument} must be a number or (rows, columns), got {value!r:.80}")
    return tuple(_check.size(name, argument, v, least) for v in pair)


def _range(name, argument, value, low, high):
    """`value` as (from, to): a pair, or a number for -value to value."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (-value, value)
    if len(pair) != 2:
        raise ValueError(f"{name}: {argument} must be a number or (from, to), got {value!r:.80}")
    first, last = (_check.number(name, argument, v, low, high) for v in pair)
    if first > last:
        raise ValueError(f"{name}: {argument} goes from {first:g} to {last:g}, expected the smaller number first")
    return first, last


class Transform:
    """What all changes share. `numbers(shape)` is what the core gets, for pictures of that shape (channels, rows,
    columns); `behind(shape)` is their shape afterwards."""

    kind = None

    def behind(self, shape):
        """The shape of a picture behind this change."""
        return shape

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class RandomShift(Transform):
    """`RandomShift(pixels)`: moves each picture up to so many pixels each way; zeros move in.

    pixels: whole number, or (rows, columns). All moves, none among them, are equally likely.

    >>> import numpy as np
    >>> x = np.ones((1, 1, 4, 4))
    >>> float(apply(x, RandomShift(1), seed=3).sum()) in (16, 12, 9)
    True
    """

    kind = 0

    def __init__(self, pixels):
        self.pixels = _pair("RandomShift", "pixels", pixels, 0)

    def numbers(self, shape):
        """Rows, columns."""
        return self.pixels


class RandomCrop(Transform):
    """`RandomCrop(size, padding=0)`: a window of the picture with `padding` rows and columns of zeros around it.

    size: side of the window, or (height, width). padding: whole number, or (rows, columns). All places are equally
    likely. `RandomCrop(32, padding=4)` on pictures of 32 x 32 is the usual one for CIFAR-10; in `fit` the window must
    have the pictures' size. ValueError when the window is larger than what it is cut from.

    >>> import numpy as np
    >>> apply(np.ones((2, 3, 8, 8)), RandomCrop(5, padding=1)).shape
    (2, 3, 5, 5)
    """

    kind = 1

    def __init__(self, size, padding=0):
        self.size = _pair("RandomCrop", "size", size, 1)
        self.padding = _pair("RandomCrop", "padding", padding, 0)

    def numbers(self, shape):
        """Height, width, rows and columns of zeros."""
        for side, have, more in zip(self.size, shape[1:], self.padding, strict=True):
            if side > have + 2 * more:
                raise ValueError(
                    f"RandomCrop: a window of {self.size[0]} x {self.size[1]} cannot be cut from pictures of "
                    f"{shape[1]} x {shape[2]} with padding {self.padding}"
                )
        return *self.size, *self.padding

    def behind(self, shape):
        """The window."""
        return shape[0], *self.size


class RandomHorizontalFlip(Transform):
    """`RandomHorizontalFlip(p=0.5)`: left and right change places with probability p.

    >>> import numpy as np
    >>> apply([[[[1.0, 2.0]]]], RandomHorizontalFlip(1)).tolist()
    [[[[2.0, 1.0]]]]
    """

    kind = 2

    def __init__(self, p=0.5):
        self.p = _check.number("RandomHorizontalFlip", "p", p, 0, 1)

    def numbers(self, shape):
        """p."""
        return (self.p,)


class RandomAffine(Transform):
    """`RandomAffine(degrees, translate=None, scale=None, shear=None)`: turned, moved, scaled and sheared a little.

    degrees: turn clockwise, from -degrees to degrees, or (from, to). translate: (a, b), moved by up to a times the
    width and b times the height. scale: (from, to), factors. shear: degrees along the rows, as for the turn, at most
    80. All are uniform. The middle of the picture stays; pixels are interpolated between four neighbours (torchvision's
    "bilinear"), zeros lie beyond the edge.

    >>> import numpy as np
    >>> turned = apply(np.arange(9).reshape(1, 1, 3, 3), RandomAffine((90, 90)))
    >>> np.round(turned[0, 0], 4).tolist()
    [[6.0, 3.0, 0.0], [7.0, 4.0, 1.0], [8.0, 5.0, 2.0]]
    """

    kind = 3

    def __init__(self, degrees, translate=None, scale=None, shear=None):
        self.degrees = _range("RandomAffine", "degrees", degrees, -360, 360)
        self.translate = (0.0, 0.0) if translate is None else _range("RandomAffine", "translate", (0, 0), 0, 1)
        if translate is not None:
            if not isinstance(translate, (tuple, list)) or len(translate) != 2:
                raise ValueError(
                    f"RandomAffine: translate must be (of the width, of the height), got {translate!r:.80}"
                )
            self.translate = tuple(_check.number("RandomAffine", "translate", v, 0, 1) for v in translate)
        if scale is not None and not isinstance(scale, (tuple, list)):
            raise ValueError(f"RandomAffine: scale must be (from, to), got {scale!r:.80}")
        self.scale = (1.0, 1.0) if scale is None else _range("RandomAffine", "scale", scale, 1e-3, 1e3)
        self.shear = (0.0, 0.0) if shear is None else _range("RandomAffine", "shear", shear, -80, 80)

    def numbers(self, shape):
        """Degrees; pixels of the width and of the height; factors; degrees of the shear."""
        return *self.degrees, self.translate[0] * shape[2], self.translate[1] * shape[1], *self.scale, *self.shear


class Normalize(Transform):
    """`Normalize(mean, std)`: (x - mean) / std, with a number for each channel, or one for all.

    For `apply` only: in a network it is the layer `nn.Normalize`, which all its data pass, not only those of training.

    >>> apply([[[[1.0, 3.0]]]], Normalize(2, 0.5)).tolist()
    [[[[-2.0, 2.0]]]]
    """

    kind = 4

    def __init__(self, mean, std):
        self.mean, self.std = _check.channels("Normalize", mean, std)

    def numbers(self, shape):
        """Means, deviations."""
        lists = [values * shape[0] if len(values) == 1 else values for values in (self.mean, self.std)]
        if len(lists[0]) != shape[0]:
            raise ValueError(f"Normalize: mean has {len(self.mean)} numbers, the pictures have {shape[0]} channels")
        return *lists[0], *lists[1]


class Compose:
    """`Compose(transforms)`: several changes, one after another; a plain list does the same.

    >>> both = Compose([RandomShift(1), RandomHorizontalFlip()])
    >>> len(both.transforms)
    2
    """

    def __init__(self, transforms):
        self.transforms = listed("Compose", transforms)

    def __repr__(self):
        return f"Compose({self.transforms})"


def listed(name, transforms):
    """`transforms` (one, a Compose, or a list of these) as a list. TypeError for anything else in it."""
    if isinstance(transforms, Compose):
        return list(transforms.transforms)
    if isinstance(transforms, Transform):
        return [transforms]
    if not isinstance(transforms, (list, tuple)):
        hint = f"; write {transforms.__name__}(...)" if isinstance(transforms, type) else ""
        raise TypeError(
            f"{name}: expected changes of pn.augment such as [RandomShift(2)], got {transforms!r:.80}{hint}"
        )
    found = [t for item in transforms for t in listed(name, item)]
    if len(found) > MOST:
        raise ValueError(f"{name}: a list has at most {MOST} changes, got {len(found)}")
    return found


def encode(transforms, shape):
    """(numbers for the core, shape behind) of a list for pictures of `shape` (channels, rows, columns)."""
    code = []
    for transform in transforms:
        numbers = transform.numbers(shape)
        code += [transform.kind, len(numbers), *numbers]
        shape = transform.behind(shape)
    return np.array(code, np.float64), shape


def apply(X, transforms, *, seed=None, step=0):
    """Changes pictures as a training does; for looking at them, and for hand-written loops.

    X: (N, C, H, W), or (N, H, W) with one channel; any numeric type, or a Tensor. transforms: one, a list or a Compose.
    seed: None draws a fresh one. step: batch number `step` of a fit with the same seed is changed in the same way.

    Returns a new array (N, C, H', W'), float64 for float64 and float32 else. ValueError for other shapes.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).random((8, 3, 32, 32))
    >>> crops = [RandomCrop(32, padding=4), RandomHorizontalFlip()]
    >>> a, b, c = (apply(x, crops, seed=1, step=step) for step in (0, 0, 1))
    >>> bool((a == b).all()), bool((a == c).all())
    (True, False)
    """
    from pyneuro._fit import arrays

    array, changes = arrays.part("X", X).array, listed("augment.apply", transforms)
    if array.ndim not in (3, 4) or 0 in array.shape[1:]:
        raise ValueError(f"augment.apply: X has shape {array.shape}, expected pictures (N, C, H, W) or (N, H, W)")
    step = _check.size("augment.apply", "step", step, 0)
    dtype = "float64" if array.dtype == np.float64 else "float32"
    pictures = array if array.ndim == 4 else array[:, None]
    code, _ = encode(changes, pictures.shape[1:])
    if not len(code):
        result = _core.gather_rows(pictures, None, dtype)
    else:
        result = _core.augment(pictures, code, arguments.seed("augment.apply", seed), step, dtype)
    return result if array.ndim == 4 else result[:, 0]
