"""MNIST and Fashion-MNIST, and how all data sets are found: in a folder, in the cache, or downloaded once.

A file is looked for in the folder that the environment variable PYNEURO_DATA names (there in `mnist/`,
`fashion-mnist/` or `cifar10/`, or directly), then in the cache of the user, then fetched by pooch from the first mirror
that answers. Whatever its origin, a file is used only if it has the SHA-256 below; a download ends when it grows past
the known size, never follows a redirect to another scheme, and reaches its place only when complete.

MNIST: Y. LeCun, C. Cortes, C. J. C. Burges 1998, from NIST's SD-1 and SD-3. The files carry no terms; copies are
commonly labelled CC BY-SA 3.0. Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf 2017, MIT licence (c) Zalando SE.
"""

import hashlib
import os

import numpy as np

from pyneuro.datasets.digits import scaled
from pyneuro.datasets.idx import DataError, parse_idx
from pyneuro.nn import _check

_PARTS = (
    "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)  # fmt: skip

MIRRORS = {
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
    ),
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
}

# data set -> file -> (bytes, SHA-256)
FILES = {
    "cifar10": {
        "cifar-10-binary.tar.gz": (
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    },
    "mnist": {
        "train-images-idx3-ubyte.gz": (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        "train-labels-idx1-ubyte.gz": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        "t10k-images-idx3-ubyte.gz": (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        "t10k-labels-idx1-ubyte.gz": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        "train-labels-idx1-ubyte.gz": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        "t10k-images-idx3-ubyte.gz": (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        "t10k-labels-idx1-ubyte.gz": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    },
}


def mnist(*, flat=True, channels=False, dtype="float32"):
    """60 000 + 10 000 handwritten digits of 28 x 28 pixels. Where the files come from: see this module.

    flat: rows of 784 numbers; False gives images (n, 28, 28).
    channels: images (n, 1, 28, 28), as convolutional layers take them.
    dtype: "float32" or "float64" in [0, 1], or "uint8" for the raw pixels 0..255.

    Returns X_train, y_train, X_test, y_test; y int64 with the classes 0..9. Raises DataError when a file is not the
    published one, OSError when none can be found or fetched, ImportError when a download needs pooch.

    >>> from pyneuro import datasets
    >>> X_train, y_train, X_test, y_test = datasets.mnist()  # doctest: +SKIP
    >>> X_train.shape, y_test.shape  # doctest: +SKIP
    ((60000, 784), (10000,))
    """
    return _load("mnist", flat, channels, dtype)


def fashion_mnist(*, flat=True, channels=False, dtype="float32"):
    """60 000 + 10 000 pictures of clothes of 28 x 28 pixels, as `mnist`.

    Classes 0..9: T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot.

    >>> from pyneuro import datasets
    >>> X_train, y_train, X_test, y_test = datasets.fashion_mnist(flat=False)  # doctest: +SKIP
    >>> X_train.shape, y_test.shape  # doctest: +SKIP
    ((60000, 28, 28), (10000,))
    """
    return _load("fashion-mnist", flat, channels, dtype)


def _load(name, flat, channels, dtype):
    arrays = []
    for part in _PARTS:
        path, data = _find(name, part)
        values = parse_idx(data, path)
        if values.ndim == 3 and channels:
            values = values[:, None]
        arrays.append(
            values.astype(np.int64) if values.ndim == 1 else scaled(name, values, 255, flat and not channels, dtype)
        )
    return tuple(arrays)


def fetch(name, to=None):
    """Makes sure that all files of a data set are there, downloading what is missing.

    name: "mnist", "fashion-mnist" or "cifar10". to: a folder for PYNEURO_DATA, the files go to `to/name/`; None: the
    cache.
    Returns the list of paths. Errors as in `mnist`, ValueError for another name.

    >>> fetch("mnst")
    Traceback (most recent call last):
    ValueError: fetch: name must be one of 'cifar10', 'mnist', 'fashion-mnist', got 'mnst'; did you mean 'mnist'?
    """
    name = _check.choice("fetch", "name", str(name).replace("_", "-"), tuple(FILES))
    folder = _cache(name) if to is None else os.path.join(os.fspath(to), name)
    paths = []
    for part in FILES[name]:
        path = os.path.join(folder, part)
        if _read(name, part, path) is None:
            _copy_or_download(name, part, folder)
        paths.append(path)
    return paths


def _copy_or_download(name, part, folder):
    from pyneuro._files import replace_file

    for other in _folders(name):
        data = _read(name, part, os.path.join(other, part))
        if data is not None:
            os.makedirs(folder, exist_ok=True)
            replace_file(os.path.join(folder, part), [data])
            return
    _download(name, part, folder)


def _find(name, part):
    """(path, content) of one file, verified."""
    for folder in _folders(name):
        path = os.path.join(folder, part)
        data = _read(name, part, path)
        if data is not None:
            return path, data
    folder = _cache(name)
    _download(name, part, folder)
    path = os.path.join(folder, part)
    return path, _read(name, part, path)


def _folders(name):
    """Where to look, in order: the folder of PYNEURO_DATA, then the cache."""
    own = os.environ.get("PYNEURO_DATA")
    return ([os.path.join(own, name), own] if own else []) + [_cache(name)]


def _cache(name):
    """The folder of the user's cache, by the customs of the system (those that pooch follows too)."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~\\AppData\\Local")
    elif os.path.isdir(os.path.expanduser("~/Library/Caches")):
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "pyneuro", name)


def _read(name, part, path):
    """Content of the file at `path`, or None when there is none. DataError unless it is the published file."""
    return read_published(name, path, *FILES[name][part])


def read_published(name, path, size, sha256):
    """The same for a file of which length and SHA-256 are given."""
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            data = file.read(size + 1)
    except FileNotFoundError:
        return None
    if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(
            f"{path} is not the published file of {name} (its SHA-256 differs): delete it, it is fetched anew"
        )
    return data


# ---- downloads ----


class _Capped:
    """A file that refuses to grow past the known size."""

    def __init__(self, file, most):
        self.file, self.left = file, most

    def write(self, chunk):
        self.left -= len(chunk)
        if self.left < 0:
            raise OSError("the server sends more than the published file has")
        return self.file.write(chunk)

    def flush(self):
        self.file.flush()


def _download(name, part, folder):
    """Fetches one file into `folder` from the first mirror that delivers the published bytes."""
    try:
        import pooch
    except ImportError:
        raise ImportError(
            f"{name} is not here yet, and downloading needs pooch: pip install 'pyneuro[data]', or set PYNEURO_DATA to "
            f"a folder that has {name}/{part}"
        ) from None
    pooch.get_logger().setLevel("WARNING")
    size, sha256 = FILES[name][part]
    failures = []
    for mirror in MIRRORS[name]:
        try:
            pooch.retrieve(
                mirror + part, known_hash=f"sha256:{sha256}", fname=part, path=folder, downloader=_downloader(size)
            )
            return
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; ValueError: wrong checksum
            failures.append(f"{mirror}: {error!s:.200}")
    raise OSError(
        f"{name}: {part} could not be fetched; without network set PYNEURO_DATA to a folder that has it "
        f"({'; '.join(failures)})"
    )


def _downloader(size):
    """For pooch: streams one URL into a file, at most `size` bytes, with redirects kept to the same scheme."""
    import pooch

    def same_scheme(response, *args, **kwargs):
        scheme = response.url.partition(":")[0]
        target = response.headers.get("location", "")
        if response.is_redirect and "://" in target and target.partition(":")[0] != scheme:
            raise OSError(f"redirected from {scheme} to {target:.80}")

    def download(url, output_file, pup):
        fetch_url = pooch.HTTPDownloader(timeout=20, hooks={"response": same_scheme})
        with open(output_file, "wb") as file:
            fetch_url(url, _Capped(file, size), pup)

    return download
