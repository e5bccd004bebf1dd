"""Data sets: what they hold, that they repeat, where they are looked for, and what a download may do."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import datasets
from pyneuro.datasets import DataError, images

TOYS = ["moons", "circles", "xor", "gauss", "spiral"]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


# ---- digits ----


def test_digits_shapes_types_and_split():
    X, y, X_test, y_test = datasets.digits()
    assert X.shape == (1438, 64)
    assert X_test.shape == (359, 64)
    assert X.dtype == np.float32
    assert y.dtype == np.int64
    assert X.min() == 0
    assert X.max() == 1
    assert np.array_equal(np.unique(y), np.arange(10))
    again = datasets.digits()
    assert all(np.array_equal(a, b) for a, b in zip((X, y, X_test, y_test), again, strict=True))
    other = datasets.digits(seed=1)
    assert not np.array_equal(other[0], X)
    whole, labels, none, _ = datasets.digits(test_size=0, flat=False, dtype="uint8")
    assert whole.shape == (1797, 8, 8)
    assert np.array_equal(datasets.digits(test_size=0, channels=True, dtype="uint8")[0], whole[:, None])
    assert whole.dtype == np.uint8
    assert len(none) == 0
    both = np.concatenate([np.column_stack([X * 16, y]), np.column_stack([X_test * 16, y_test])])
    assert sorted(map(tuple, both)) == sorted(
        map(tuple, np.column_stack([whole.reshape(-1, 64), labels]).astype(float))
    )


def test_digits_are_scikit_learns():
    sk = pytest.importorskip("sklearn.datasets")
    X, y, _, _ = datasets.digits(test_size=0, dtype="float64")
    theirs = sk.load_digits()
    order = pn._core.permutation(len(X), 0, 0)
    assert np.array_equal(X * 16, theirs.data[order])
    assert np.array_equal(y, theirs.target[order])


@pytest.mark.parametrize("bad", [{"test_size": 1}, {"test_size": -0.1}, {"dtype": "int32"}, {"seed": -1}])
def test_digits_bad_values(bad):
    with pytest.raises(ValueError, match="digits"):
        datasets.digits(**bad)


def test_digits_bad_types():
    for bad in ({"test_size": "a"}, {"seed": 0.5}):
        with pytest.raises(TypeError, match="digits"):
            datasets.digits(**bad)


# ---- toys ----


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("n", [1, 2, 101, 500])
def test_toys(name, n):
    make = getattr(datasets, name)
    X, y = make(n, noise=0.2, seed=3)
    assert X.shape == (n, 2)
    assert X.dtype == np.float32
    assert y.shape == (n,)
    assert y.dtype == np.int64
    assert set(y.tolist()) <= {0, 1}
    again = make(n, noise=0.2, seed=3)
    assert np.array_equal(X, again[0])
    assert np.array_equal(y, again[1])
    assert not np.array_equal(X, make(n, noise=0.2, seed=4)[0])


@pytest.mark.parametrize("name", TOYS)
def test_toys_without_seed_follow_manual_seed(name):
    make = getattr(datasets, name)
    pn.manual_seed(5)
    a, b = make(20)[0], make(20)[0]
    assert not np.array_equal(a, b)
    pn.manual_seed(5)
    assert np.array_equal(a, make(20)[0])


def test_toys_are_the_playgrounds():
    X, y = datasets.gauss(4000, noise=0.5, seed=0)
    for label, centre in ((1, 2), (0, -2)):
        cloud = X[y == label]
        np.testing.assert_allclose(cloud.mean(0), centre, atol=5 * 2 / np.sqrt(2000))
        np.testing.assert_allclose(cloud.var(0), 4, rtol=5 * np.sqrt(2 / 2000))
    X, y = datasets.circles(1000, seed=0)
    r = np.hypot(X[:, 0], X[:, 1])
    assert r[y == 1].max() <= 2.5
    assert r[y == 0].min() >= 3.5
    assert r.max() <= 5.000001
    X, y = datasets.xor(1000, seed=0)
    assert np.array_equal(X[:, 0] * X[:, 1] >= 0, y == 1)
    assert np.abs(X).min() >= 0.3
    X, y = datasets.spiral(1000, seed=0)
    r, angle = np.hypot(X[:, 0], X[:, 1]), np.arctan2(X[:, 0], X[:, 1])
    turn = angle - 1.75 * 2 * np.pi * r / 5 - np.where(y == 1, 0, np.pi)
    keep = r > 1e-6
    np.testing.assert_allclose(np.exp(1j * turn[keep]), 1, atol=1e-4)


def test_noise_moves_the_border_of_circles_and_xor():
    for make in (datasets.circles, datasets.xor):
        clean, noisy = make(2000, seed=1)[1], make(2000, noise=0.5, seed=1)
        X, y = noisy
        assert len(clean) == len(y)
        inside = np.hypot(X[:, 0], X[:, 1]) < 2.5 if make is datasets.circles else X[:, 0] * X[:, 1] >= 0
        assert 0.01 < (inside != (y == 1)).mean() < 0.5


def test_regression():
    for kind, columns in (("line", 1), ("sine", 1), ("plane", 2), ("gauss", 2)):
        X, y = datasets.regression(kind, 400, noise=0, seed=0)
        assert X.shape == (400, columns)
        assert y.shape == (400,)
        assert X.dtype == y.dtype == np.float32
    X, y = datasets.regression("plane", noise=0, seed=0)
    np.testing.assert_allclose(y, X.sum(1) / 10, atol=1e-6)
    X, y = datasets.regression("sine", 3000, noise=0.3, seed=0)
    residual = y - np.sin(np.pi * X[:, 0])
    assert residual.std() == pytest.approx(0.3, rel=5 / np.sqrt(6000))
    X, y = datasets.regression("gauss", 3000, noise=0, seed=0)
    near = np.hypot(X[:, 0] - 4, X[:, 1] - 2.5) < 0.3
    assert (y[near] > 0.8).all()
    assert np.abs(y).max() <= 1


@pytest.mark.parametrize("make", [datasets.moons, datasets.spiral, datasets.regression])
def test_toys_bad_arguments(make):
    for bad in ({"n": 0}, {"noise": -1}, {"noise": float("nan")}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            make(**bad)
    with pytest.raises(TypeError, match="whole number"):
        make(n=2.5)
    with pytest.raises(ValueError, match="did you mean 'sine'"):
        datasets.regression("sin")


# ---- MNIST and its like, on small files of the same format ----


def idx(array):
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


@pytest.fixture
def little(monkeypatch, tmp_path):
    """Makes "mnist" a data set of 5 + 3 images; gives a dict of file -> bytes. Cache and folders are private."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, size=s).astype(np.uint8) for s in ((5, 28, 28), (5,), (3, 28, 28), (3,))]
    files = {part: idx(a) for part, a in zip(images._PARTS, arrays, strict=True)}
    facts = {part: (len(data), hashlib.sha256(data).hexdigest()) for part, data in files.items()}
    monkeypatch.setitem(images.FILES, "mnist", facts)
    monkeypatch.setattr(images, "_cache", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.delenv("PYNEURO_DATA", raising=False)
    monkeypatch.setitem(images.MIRRORS, "mnist", ())
    return files, arrays


def put(folder, files):
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("inner", ["mnist", "."])
def test_folder_is_looked_at_first(little, tmp_path, monkeypatch, inner):
    files, (images_, labels, test_images, _) = little
    put(tmp_path / "data" / inner, files)
    monkeypatch.setenv("PYNEURO_DATA", str(tmp_path / "data"))
    X, y, X_test, y_test = datasets.mnist()
    np.testing.assert_array_equal(X, images_.reshape(5, 784).astype(np.float32) / np.float32(255))
    assert X.dtype == np.float32
    assert y.tolist() == labels.tolist()
    assert y.dtype == y_test.dtype == np.int64
    assert X_test.shape == (3, 784)
    raw = datasets.mnist(flat=False, dtype="uint8")
    assert np.array_equal(raw[2], test_images)
    assert raw[0].dtype == np.uint8


def test_changed_file_is_refused(little, tmp_path, monkeypatch):
    files, _ = little
    put(tmp_path / "data" / "mnist", files)
    monkeypatch.setenv("PYNEURO_DATA", str(tmp_path / "data"))
    part = images._PARTS[1]
    for data in (files[part][:-1], files[part] + b"\0", bytes([files[part][0] ^ 1]) + files[part][1:], b""):
        (tmp_path / "data" / "mnist" / part).write_bytes(data)
        with pytest.raises(DataError, match=part):
            datasets.mnist()


REQUESTS = []  # paths asked of the server below


class Server(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, and misbehaviour by the first part of the path."""

    def log_message(self, *args):
        """Stays silent."""

    def do_GET(self):
        REQUESTS.append(self.path)
        kind, _, rest = self.path[1:].partition("/")
        if kind == "endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    self.wfile.write(bytes(1 << 16))
        elif kind == "elsewhere":
            self.send_response(302)
            self.send_header("Location", f"ftp://127.0.0.1/{rest}")
            self.end_headers()
        elif kind == "moved":
            self.send_response(302)
            self.send_header("Location", f"/good/{rest}")
            self.end_headers()
        elif kind == "broken":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"short")
        elif kind == "wrong":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"something else")
        else:
            super().do_GET()


@pytest.fixture
def server(little, tmp_path):
    """Base address of a server that has the little files below /good/."""
    pytest.importorskip("pooch")
    put(tmp_path / "www" / "good", little[0])
    handler = functools.partial(Server, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        REQUESTS.clear()
        yield f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()
        thread.join()


def test_download_goes_to_the_cache_once(server, little, tmp_path, monkeypatch):
    monkeypatch.setitem(images.MIRRORS, "mnist", (server + "good/",))
    first = datasets.mnist()
    assert len(REQUESTS) == 4
    second = datasets.mnist()
    assert len(REQUESTS) == 4
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert sorted(os.listdir(tmp_path / "cache" / "mnist")) == sorted(images._PARTS)


@pytest.mark.parametrize("bad", ["missing", "broken", "wrong", "endless", "elsewhere"])
def test_second_mirror_helps(server, little, tmp_path, monkeypatch, bad):
    monkeypatch.setitem(images.MIRRORS, "mnist", (server + bad + "/", server + "good/"))
    assert datasets.mnist()[0].shape == (5, 784)
    assert sorted(os.listdir(tmp_path / "cache" / "mnist")) == sorted(images._PARTS)


def test_redirect_within_the_scheme_is_followed(server, little, monkeypatch):
    monkeypatch.setitem(images.MIRRORS, "mnist", (server + "moved/",))
    assert datasets.mnist()[0].shape == (5, 784)


@pytest.mark.parametrize("bad", ["missing", "wrong", "endless", "elsewhere"])
def test_without_a_good_mirror_nothing_stays(server, little, tmp_path, monkeypatch, bad):
    monkeypatch.setitem(images.MIRRORS, "mnist", (server + bad + "/",))
    with pytest.raises(OSError, match=r"PYNEURO_DATA.*127\.0\.0\.1"):
        datasets.mnist()
    left = [f for _, _, files in os.walk(tmp_path / "cache") for f in files]
    assert left == []


def test_fetch_prepares_a_folder(server, little, tmp_path, monkeypatch):
    monkeypatch.setitem(images.MIRRORS, "mnist", (server + "good/",))
    paths = datasets.fetch("mnist", tmp_path / "room")
    assert [Path(p) for p in paths] == [tmp_path / "room" / "mnist" / part for part in images._PARTS]
    monkeypatch.setitem(images.MIRRORS, "mnist", ())
    monkeypatch.setenv("PYNEURO_DATA", str(tmp_path / "room"))
    assert datasets.mnist()[0].shape == (5, 784)
    datasets.fetch("mnist", tmp_path / "copy")  # from the folder, without network
    assert (tmp_path / "copy" / "mnist" / images._PARTS[0]).read_bytes() == little[0][images._PARTS[0]]
    with pytest.raises(ValueError, match="did you mean 'mnist'"):
        datasets.fetch("mnits", tmp_path)


def test_without_pooch_the_message_helps(little, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(ImportError, match=r"pyneuro\[data\].*PYNEURO_DATA"):
        datasets.mnist()


def test_mirrors_and_sums_are_complete():
    for name, facts in images.FILES.items():
        assert tuple(facts) == (("cifar-10-binary.tar.gz",) if name == "cifar10" else images._PARTS)
        assert len(images.MIRRORS[name]) == 2
        assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in images.MIRRORS[name])


# ---- the real files, where they are at hand ----


@pytest.mark.parametrize(
    ("name", "load", "mean", "std"),
    [("mnist", datasets.mnist, 33.318421, 78.567490), ("fashion-mnist", datasets.fashion_mnist, 72.940352, 90.021182)],
)
def test_real_files(name, load, mean, std, monkeypatch):
    folder = os.environ.get("PYNEURO_DATA") or str(SHARED)
    if not os.path.isfile(os.path.join(folder, name, images._PARTS[0])):
        pytest.skip(f"set PYNEURO_DATA to a folder with {name}")
    monkeypatch.setenv("PYNEURO_DATA", folder)
    X, y, X_test, y_test = load(dtype="uint8")
    assert X.shape == (60000, 784)
    assert X_test.shape == (10000, 784)
    assert X.mean(dtype=np.float64) == pytest.approx(mean, abs=1e-5)
    assert X.std(dtype=np.float64) == pytest.approx(std, abs=1e-5)
    assert np.bincount(y_test).sum() == 10000
    assert set(np.unique(y).tolist()) == set(range(10))
    scaled = load()[2]
    assert scaled.dtype == np.float32
    assert np.array_equal(scaled, X_test.astype(np.float32) / np.float32(255))


def test_cifar10_is_not_fetched_unasked(monkeypatch, tmp_path):
    monkeypatch.setenv("PYNEURO_DATA", str(tmp_path))
    monkeypatch.setattr(images, "_cache", lambda name: str(tmp_path))
    monkeypatch.setattr(images, "_download", lambda *a: pytest.fail("a download"))
    with pytest.raises(FileNotFoundError, match=r"datasets.fetch\('cifar10'\) fetches it \(170 MB\)"):
        datasets.cifar10(small=True, download=False)


def test_the_small_cifar10(monkeypatch):
    folder = os.environ.get("PYNEURO_DATA") or str(SHARED)
    if not os.path.isdir(os.path.join(folder, "cifar10-small")):
        pytest.skip("set PYNEURO_DATA to a folder with cifar10-small")
    monkeypatch.setenv("PYNEURO_DATA", folder)
    X, y, X_test, y_test = datasets.cifar10(small=True)
    assert (X.shape, X_test.shape, X.dtype) == ((4000, 3, 32, 32), (1000, 3, 32, 32), np.uint8)
    assert X.flags.c_contiguous
    assert y[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert y_test[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert datasets.CIFAR10_CLASSES[y[0]] == "frog"
    assert X[0, :, 0, 0].tolist() == [59, 62, 63]  # the frog's first pixel, as in the published file


def test_images_with_channels(little, tmp_path, monkeypatch):
    files, arrays = little
    put(tmp_path / "data" / "mnist", files)
    monkeypatch.setenv("PYNEURO_DATA", str(tmp_path / "data"))
    X, _, X_test, _ = datasets.mnist(channels=True, dtype="uint8")
    assert np.array_equal(X, arrays[0][:, None])
    assert X_test.shape == (3, 1, 28, 28)
