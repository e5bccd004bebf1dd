"""CIFAR-10: 60 000 small colour pictures, from its archives, from an unpacked folder, or the first 5 000 of them.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The files carry no terms; cite the report.

Both published forms are read: binary (`cifar-10-binary.tar.gz`, or the folder `cifar-10-batches-bin`) and Python's
(`cifar-10-python.tar.gz`, `cifar-10-batches-py`), whose pickles are never run, see unpickle.py.
"""

import gzip
import io
import os
import tarfile
import zlib

import numpy as np

from pyneuro.datasets import images
from pyneuro.datasets.digits import scaled
from pyneuro.datasets.idx import DataError
from pyneuro.datasets.unpickle import read_pickle
from pyneuro.nn import _check

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

ROWS = 10_000  # pictures in each of the six files
PIXELS = 3 * 32 * 32
SMALL = 4000, 1000  # pictures of the small set
_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_FOLDERS = "cifar-10-batches-bin", "cifar-10-batches-py"
_MOST = 40 << 20  # bytes of one file; the largest has 31 035 704
_ARCHIVES = {
    **images.FILES["cifar10"],
    "cifar-10-python.tar.gz": (170498071, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
}
_SMALL_FILE = {
    "cifar10_small.npz": (14163561, "d3321874d2499de01b3f5477d0e922efd6608f63ca9fe26c6b75e91321067b15"),
}  # fmt: skip


def cifar10(path=None, *, small=False, flat=False, dtype="uint8", download=True):
    """50 000 + 10 000 colour pictures of 32 x 32 pixels in 10 classes, whose names are in `CIFAR10_CLASSES`.

    path: an archive or an unpacked folder, read as it is; None looks where `mnist` does, and fetches the binary archive
        (170 MB) when there is nothing.
    small: only the first 4000 pictures for training and the first 1000 for the test, for quick experiments.
    flat: rows of 3072 numbers instead of images (n, 3, 32, 32).
    dtype: "uint8", the raw pixels 0..255 (180 MB; networks convert batches as they train), or "float32" or "float64" in
        [0, 1].
    download: False fetches nothing, and raises FileNotFoundError (an OSError) when there is nothing.

    Returns X_train, y_train, X_test, y_test; y int64 with the classes 0..9. Raises DataError when a file is truncated,
    damaged or not the published one, OSError when none can be found or fetched, ImportError when a download needs
    pooch.

    >>> from pyneuro import datasets
    >>> X_train, y_train, X_test, y_test = datasets.cifar10()  # doctest: +SKIP
    >>> X_train.shape, datasets.CIFAR10_CLASSES[y_train[0]]  # doctest: +SKIP
    ((50000, 3, 32, 32), 'frog')
    """
    _check.choice("cifar10", "dtype", str(np.dtype(dtype)), ("float32", "float64", "uint8"))
    arrays = _small_set() if small and path is None else None
    if arrays is None:
        arrays = _whole(*_source(path, download))
        if small:
            first, last = SMALL
            arrays = [part[:n] for part, n in zip(arrays, (first, first, last, last), strict=True)]
    X, y, X_test, y_test = arrays
    return scaled("cifar10", X, 255, flat, dtype), y, scaled("cifar10", X_test, 255, flat, dtype), y_test


# ---- where ----


def _source(path, download):
    """(path of a folder with the six files, or of an archive; content of the archive or None)."""
    if path is not None:
        path = os.fspath(path)
        if not os.path.isdir(path):
            return path, None
        found = _unpacked(path)
        if found is None:
            raise DataError(f"{path} has neither data_batch_1.bin nor data_batch_1, nor a folder with one of them")
        return found, None
    for folder in images._folders("cifar10"):
        found = _unpacked(folder)
        if found is not None:
            return found, None
        for name, published in _ARCHIVES.items():
            data = images.read_published("cifar10", os.path.join(folder, name), *published)
            if data is not None:
                return os.path.join(folder, name), data
    if not download:
        raise FileNotFoundError(
            "cifar10 is not here: datasets.fetch('cifar10') fetches it (170 MB), PYNEURO_DATA names a folder to look in"
        )
    return images._find("cifar10", "cifar-10-binary.tar.gz")


def _unpacked(folder):
    """The folder with the six files: `folder` itself or the one in it, by its first file. None when there is none."""
    for inner in ("", *_FOLDERS):
        for ending in (".bin", ""):
            if os.path.isfile(os.path.join(folder, inner, _BATCHES[0] + ending)):
                return os.path.join(folder, inner)
    return None


def _small_set():
    """The small set from its own file, where that is at hand."""
    ((name, published),) = _SMALL_FILE.items()
    for folder in images._folders("cifar10-small"):
        data = images.read_published("cifar10-small", os.path.join(folder, name), *published)
        if data is not None:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                X, y, X_test, y_test = (file[key] for key in ("X_train", "y_train", "X_test", "y_test"))
            X, X_test = (np.ascontiguousarray(x.transpose(0, 3, 1, 2)) for x in (X, X_test))
            return X, y.astype(np.int64), X_test, y_test.astype(np.int64)
    return None


# ---- reading ----


def _whole(path, content):
    """Arrays (X, y, X_test, y_test) from a folder or an archive."""
    files = _members(path, content) if content is not None or not os.path.isdir(path) else _folder(path)
    n = (len(_BATCHES) - 1) * ROWS
    X, y = np.empty((n + ROWS, 3, 32, 32), np.uint8), np.empty(n + ROWS, np.int64)
    missing = list(_BATCHES)
    for batch, name, data in files:
        at = slice(_BATCHES.index(batch) * ROWS, (_BATCHES.index(batch) + 1) * ROWS)
        pixels, labels = _binary(name, data) if name.endswith(".bin") else _pickled(name, data)
        X[at], y[at] = pixels.reshape(ROWS, 3, 32, 32), labels
        missing.remove(batch)
    if missing:
        raise DataError(f"{path} has no {missing[0]}, which belongs to CIFAR-10")
    if y.min() < 0 or y.max() > 9:
        row = int(((y < 0) | (y > 9)).argmax())
        raise DataError(f"{path}: label {y[row]} in row {row % ROWS} of {_BATCHES[row // ROWS]}, expected 0 to 9")
    return X[:n], y[:n], X[n:], y[n:]


def _folder(folder):
    """(batch, path, content) of the files of an unpacked folder."""
    for batch in _BATCHES:
        path = next((p for p in (os.path.join(folder, batch + e) for e in (".bin", "")) if os.path.isfile(p)), None)
        if path is not None:
            with open(path, "rb") as file:
                yield batch, path, file.read(_MOST + 1)


class _Capped:
    """A stream that ends the reading of an archive that unpacks to more than CIFAR-10 can be."""

    def __init__(self, file, name):
        self.file, self.name, self.left = file, name, 8 * _MOST

    def read(self, n):
        self.left -= n
        if n > _MOST or self.left < 0:
            raise DataError(f"{self.name} is not CIFAR-10: it unpacks to more than {8 * _MOST} bytes")
        return self.file.read(n)


def _members(path, content):
    """(batch, name, content) of the files of an archive .tar.gz; `content`: its bytes when they were read already."""
    seen = set()
    try:
        with gzip.open(path if content is None else io.BytesIO(content)) as unpacked:
            stream = _Capped(unpacked, path)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 16) as archive:
                for member in archive:
                    batch = os.path.basename(member.name).removesuffix(".bin")
                    if not member.isreg() or batch not in _BATCHES or batch in seen:
                        continue
                    seen.add(batch)
                    if member.size > _MOST:
                        raise DataError(f"{path}: {member.name} has {member.size} bytes, too many for CIFAR-10")
                    yield batch, member.name, archive.extractfile(member).read()
            while stream.read(1 << 20):
                pass  # up to the checksum at the end
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is truncated, damaged or no archive .tar.gz ({error!s:.120})") from None


def _binary(name, data):
    """A label and 3072 pixels for each picture."""
    if len(data) != ROWS * (1 + PIXELS):
        raise DataError(
            f"{name} has {len(data)} bytes, expected {ROWS} pictures of {1 + PIXELS}: {ROWS * (1 + PIXELS)}"
        )
    rows = np.frombuffer(data, np.uint8).reshape(ROWS, 1 + PIXELS)
    return rows[:, 1:], rows[:, 0]


def _pickled(name, data):
    """A dict with the array "data" (pictures, 3072) and the list "labels"."""
    if len(data) > _MOST:
        raise DataError(f"{name} has more than {_MOST} bytes, too many for CIFAR-10")
    found = read_pickle(data, name)
    pixels = labels = None
    if isinstance(found, dict):
        pixels, labels = (found.get(key, found.get(key.encode())) for key in ("data", "labels"))
    if not isinstance(pixels, np.ndarray) or pixels.shape != (ROWS, PIXELS):
        raise DataError(f"{name} has no data of shape {(ROWS, PIXELS)}: {getattr(pixels, 'shape', None)}")
    if not isinstance(labels, list) or len(labels) != ROWS or not all(type(k) is int and 0 <= k <= 9 for k in labels):
        raise DataError(f"{name} has no list of {ROWS} labels from 0 to 9")
    return pixels, labels
