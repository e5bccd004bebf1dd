"""Pictures of one's own: a folder with one subfolder for each class, read by Pillow."""

import os

import numpy as np

from pyneuro.datasets.idx import DataError
from pyneuro.nn import _check

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def image_folder(path, size=None, *, gray=False):
    """Reads the pictures in the subfolders of `path`; each subfolder is a class, in alphabetical order.

    size: to which all are scaled (bilinear), a number of pixels for squares or (height, width); None: all must have one
        size already.
    gray: one channel instead of three. Transparency is dropped, of animations the first picture counts.

    Files are those ending in bmp, gif, jpeg, jpg, pgm, png, ppm, tif, tiff or webp; other files and names that begin
    with a dot are passed over. Returns X uint8 (n, 3, h, w), or (n, 1, h, w) when gray, y int64 (n,) and the list of
    class names. Raises DataError naming the file that cannot be read, or that has another size than the first, and when
    there are no classes or no pictures; ImportError when Pillow is missing; OSError for an unreadable folder.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> from pyneuro import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, ink in (("dark", 0), ("light", 255)):
    ...         os.mkdir(os.path.join(folder, name))
    ...         Image.new("RGB", (8, 6), (ink, 0, 0)).save(os.path.join(folder, name, "1.png"))
    ...     X, y, names = datasets.image_folder(folder)
    >>> X.shape, y.tolist(), names, X[1, :, 0, 0].tolist()
    ((2, 3, 6, 8), [0, 1], ['dark', 'light'], [255, 0, 0])
    """
    path, size = os.fspath(path), _size(size)
    names = sorted(e.name for e in os.scandir(path) if e.is_dir() and not e.name.startswith("."))
    if not names:
        raise DataError(f"{path} has no subfolders: each class needs one, with its pictures in it")
    files, y = [], []
    for k, name in enumerate(names):
        inside = sorted(n for n in os.listdir(os.path.join(path, name)) if _is_picture(n))
        if not inside:
            raise DataError(f"{os.path.join(path, name)} has no pictures ({', '.join(ENDINGS)})")
        files += [os.path.join(path, name, n) for n in inside]
        y += [k] * len(inside)
    return _read_all(files, size, "L" if gray else "RGB"), np.array(y, np.int64), names


def _size(size):
    """`size` as (height, width) or None."""
    if size is None:
        return None
    height, width = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size, size)
    return _check.size("image_folder", "size", height), _check.size("image_folder", "size", width)


def _is_picture(name):
    return not name.startswith(".") and name.lower().endswith(ENDINGS)


def _read_all(files, size, mode):
    """uint8 (n, channels, h, w)."""
    X = None
    for i, file in enumerate(files):
        picture = _read(file, size, mode)
        if X is None:
            _check.memory("image_folder", "X", (len(files), *picture.shape[:2], 2), "float32")
            X = np.empty((len(files), picture.shape[2], *picture.shape[:2]), np.uint8)
        if picture.shape[:2] != X.shape[2:]:
            raise DataError(
                f"{file} has {picture.shape[0]} x {picture.shape[1]} pixels, {files[0]} has {X.shape[2]} x "
                f"{X.shape[3]}: give a size to which all are scaled"
            )
        X[i] = picture.transpose(2, 0, 1)
    return X


def _read(file, size, mode):
    """One picture, uint8 (h, w, channels)."""
    import warnings

    try:
        from PIL import Image
    except ImportError:
        raise ImportError("image_folder reads pictures with Pillow: pip install 'pyneuro[images]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as picture:
                picture = picture.convert(mode)
                if size is not None and picture.size != (size[1], size[0]):
                    picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
                pixels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise DataError(f"{file} cannot be read as a picture ({error!s:.120})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{file} is too large for a picture ({error!s:.120})") from None
    return pixels[:, :, None] if mode == "L" else pixels
