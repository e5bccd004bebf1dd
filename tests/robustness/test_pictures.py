"""CIFAR-10 and folders of pictures: what comes back, and that nothing truncated, altered or hostile does harm."""

import contextlib
import gzip
import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest

from pyneuro import datasets
from pyneuro.datasets import cifar, images
from pyneuro.datasets.idx import DataError
from pyneuro.datasets.unpickle import read_pickle

ROWS = 4


@pytest.fixture(autouse=True)
def little(monkeypatch, tmp_path):
    """Six files of 4 pictures, and nothing but private folders."""
    monkeypatch.setattr(cifar, "ROWS", ROWS)
    monkeypatch.setattr(images, "_cache", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.delenv("PYNEURO_DATA", raising=False)


def pictures():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (6 * ROWS, 3072)).astype(np.uint8)
    return X, rng.integers(0, 10, 6 * ROWS)


def python2_pickle(X, labels):
    """The bytes that Python 2 wrote for a batch: protocol 2, text and pixels as strings of bytes."""

    def text(word):
        return b"U" + bytes([len(word)]) + word

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04(K\x01"
        + b"".join(b"J" + struct.pack("<i", n) for n in X.shape) + b"\x86cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87R"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", X.size)
        + X.tobytes() + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(b"K" + bytes([k]) for k in labels) + b"e"
    return b"\x80\x02}q\x01(" + text(b"labels") + numbers + text(b"data") + array + b"u."


def files(kind):
    """Dict of name -> bytes of the six files in one of the two forms."""
    X, y = pictures()
    found = {}
    for i, name in enumerate(cifar._BATCHES):
        rows, labels = X[i * ROWS : (i + 1) * ROWS], y[i * ROWS : (i + 1) * ROWS]
        if kind == "bin":
            found[f"cifar-10-batches-bin/{name}.bin"] = np.hstack([labels[:, None].astype(np.uint8), rows]).tobytes()
        else:
            found[f"cifar-10-batches-py/{name}"] = python2_pickle(rows, labels)
    return found


def archive(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in {"cifar-10-batches-bin/readme.html": b"hello", **members}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def put(folder, members):
    for name, data in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def check(arrays):
    X, y = pictures()
    n = 5 * ROWS
    assert np.array_equal(arrays[0], X[:n].reshape(n, 3, 32, 32))
    assert np.array_equal(arrays[2], X[n:].reshape(ROWS, 3, 32, 32))
    assert np.array_equal(np.concatenate([arrays[1], arrays[3]]), y)
    assert arrays[0].dtype == np.uint8
    assert arrays[1].dtype == np.int64


@pytest.mark.parametrize("kind", ["bin", "py"])
def test_folders_and_archives(kind, tmp_path):
    """The folder, the folder above it, and the archive give the same arrays."""
    put(tmp_path, files(kind))
    (tmp_path / "a.tar.gz").write_bytes(archive(files(kind)))
    for path in (tmp_path, tmp_path / f"cifar-10-batches-{kind}", tmp_path / "a.tar.gz"):
        check(datasets.cifar10(path))


def test_where_it_is_looked_for(tmp_path, monkeypatch):
    """PYNEURO_DATA first; an archive there counts only as the published file."""
    monkeypatch.setenv("PYNEURO_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(images.MIRRORS, "cifar10", ())
    name, data = "cifar-10-python.tar.gz", archive(files("py"))
    put(tmp_path / "data" / "cifar10", {name: data})
    with pytest.raises(DataError, match="not the published file of cifar10"):
        datasets.cifar10()
    monkeypatch.setitem(cifar._ARCHIVES, name, (len(data), hashlib.sha256(data).hexdigest()))
    check(datasets.cifar10())
    put(tmp_path / "data" / "cifar10", files("bin"))
    (tmp_path / "data" / "cifar10" / name).write_bytes(b"folders come first")
    check(datasets.cifar10())
    monkeypatch.setenv("PYNEURO_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(OSError, match=r"cifar10: cifar-10-binary.tar.gz could not be fetched"):
        datasets.cifar10()


def test_forms_of_the_arrays(tmp_path, monkeypatch):
    put(tmp_path, files("bin"))
    X, _, X_test, _ = datasets.cifar10(tmp_path, flat=True, dtype="float32")
    raw = datasets.cifar10(tmp_path)
    np.testing.assert_array_equal(X, raw[0].reshape(-1, 3072).astype(np.float32) / np.float32(255))
    assert X_test.shape == (ROWS, 3072)
    monkeypatch.setattr(cifar, "SMALL", (3, 2))
    small = datasets.cifar10(tmp_path, small=True)
    assert np.array_equal(small[0], raw[0][:3])
    assert np.array_equal(small[2], raw[2][:2])
    with pytest.raises(ValueError, match="dtype must be one of"):
        datasets.cifar10(tmp_path, dtype="int8")


@pytest.mark.parametrize("kind", ["bin", "py"])
def test_every_truncation_and_wrong_sizes_give_a_sentence(kind, tmp_path):
    members = files(kind)
    name, data = list(members.items())[2]
    put(tmp_path, members)
    cuts = {*range(60), *range(60, len(data), 997), *range(len(data) - 60, len(data))}
    for n in cuts:
        (tmp_path / name).write_bytes(data[:n])
        with pytest.raises(DataError, match=r"data_batch_3"):
            datasets.cifar10(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match="has no data_batch_3, which belongs to CIFAR-10"):
        datasets.cifar10(tmp_path)


@pytest.mark.parametrize("kind", ["bin", "py"])
def test_changed_bytes_are_found_or_harmless(kind, tmp_path):
    """Any byte changed: another picture, or a sentence; never another exception."""
    members = files(kind)
    name, data = next(iter(members.items()))
    put(tmp_path, members)
    rng = np.random.default_rng(1)
    for at in [*range(min(250, len(data))), *rng.integers(0, len(data), 50)]:
        changed = bytearray(data)
        changed[at] ^= int(rng.integers(1, 256))
        (tmp_path / name).write_bytes(changed)
        with contextlib.suppress(DataError):
            X, y, _, _ = datasets.cifar10(tmp_path)
            assert X.shape == (5 * ROWS, 3, 32, 32)
            assert ((y >= 0) & (y < 10)).all()


def test_labels_out_of_range(tmp_path):
    members = files("bin")
    name, data = list(members.items())[1]
    put(tmp_path, {**members, name: bytes([10]) + data[1:]})
    with pytest.raises(DataError, match="label 10 in row 0 of data_batch_2, expected 0 to 9"):
        datasets.cifar10(tmp_path)


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_pickles_are_never_run(tmp_path, capsys):
    """Whatever a pickle wants besides data is a sentence that names it."""
    for protocol in range(5):
        for thing in (Evil(), {"data": Evil()}, [Evil()], np.array([Evil()])):
            with pytest.raises(DataError, match=r"no data needs|other numbers"):
                read_pickle(pickle.dumps(thing, protocol))
    for floats in (np.zeros(3), np.zeros(3, np.int64), np.zeros((2, 2), np.uint8, order="F"), 1.5, {1, 2}, 2j):
        with pytest.raises(DataError):
            read_pickle(pickle.dumps(floats, 2))
    assert capsys.readouterr().out == ""
    members = files("py")
    name = next(iter(members))
    put(tmp_path, {**members, name: pickle.dumps({"data": Evil()}, 2)})
    with pytest.raises(DataError, match=r"data_batch_1 wants .* print, which no data needs"):
        datasets.cifar10(tmp_path)
    assert capsys.readouterr().out == ""


def test_pickles_of_data():
    value = {"a": [1, 2, 70000, -3], "b": (None, True, "ü"), "c": np.arange(6, dtype=np.uint8).reshape(2, 3), 1: {}}
    for protocol in range(5):
        found = read_pickle(pickle.dumps(value, protocol))
        assert np.array_equal(found.pop("c"), value["c"])
        assert found == {k: v for k, v in value.items() if k != "c"}
    for bad in (b"", b".", b"(.", b"N", b"NN.", b"h\x01.", b"e.", b"0.", b"R.", b"b.", b"\x87.", b"cos\nsystem\n."):
        with pytest.raises(DataError):
            read_pickle(bad)


def test_archives_that_are_none(tmp_path):
    good = archive(files("bin"))
    target = tmp_path / "a.tar.gz"
    for bad in (b"", b"no archive", good[: len(good) // 2], good[:-9], gzip.compress(b"x" * 5000)):
        target.write_bytes(bad)
        with pytest.raises(DataError, match=r"a\.tar\.gz"):
            datasets.cifar10(target)
    target.write_bytes(archive({f"cifar-10-batches-bin/{n}": b"short" for n in ("data_batch_1.bin",)}))
    with pytest.raises(DataError, match="has 5 bytes, expected 4 pictures of 3073: 12292"):
        datasets.cifar10(target)
    with pytest.raises(FileNotFoundError):
        datasets.cifar10(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"has neither data_batch_1\.bin nor data_batch_1"):
        datasets.cifar10(tmp_path)


def test_archive_that_unpacks_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "_MOST", 1 << 16)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("filler")
        info.size = 1 << 20
        tar.addfile(info, io.BytesIO(bytes(1 << 20)))
    (tmp_path / "a.tar.gz").write_bytes(out.getvalue())
    with pytest.raises(DataError, match="unpacks to more than 524288 bytes"):
        datasets.cifar10(tmp_path / "a.tar.gz")


# ---- folders of pictures ----


@pytest.fixture
def folder(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    root = tmp_path / "pets"
    for k, name in enumerate(("cats", "dogs")):
        (root / name).mkdir(parents=True)
        for i in range(3):
            pixels = np.full((5, 7, 3), 40 * k + 10 * i, np.uint8)
            pixels[0, 1] = (255, 0, i)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    (root / "dogs" / "notes.txt").write_text("no picture")
    (root / ".hidden").mkdir()
    return root


def test_image_folder(folder):
    X, y, names = datasets.image_folder(folder)
    assert (X.shape, X.dtype, names, y.tolist()) == ((6, 3, 5, 7), np.uint8, ["cats", "dogs"], [0, 0, 0, 1, 1, 1])
    assert X[4, :, 2, 2].tolist() == [50, 50, 50]
    assert X[2, :, 0, 1].tolist() == [255, 0, 2]
    assert datasets.image_folder(folder, 4, gray=True)[0].shape == (6, 1, 4, 4)
    assert datasets.image_folder(folder, (3, 9))[0].shape == (6, 3, 3, 9)


def test_image_folder_with_what_is_no_picture(folder):
    Image = pytest.importorskip("PIL.Image")
    good = (folder / "cats" / "1.png").read_bytes()
    for n in range(0, len(good), 3):
        (folder / "cats" / "1.png").write_bytes(good[:n])
        with contextlib.suppress(DataError):
            assert datasets.image_folder(folder)[0].shape == (6, 3, 5, 7)  # all pixels were there
    (folder / "cats" / "1.png").write_bytes(b"not at all")
    with pytest.raises(DataError, match=r"1\.png cannot be read as a picture"):
        datasets.image_folder(folder)
    Image.new("RGB", (8, 8)).save(folder / "cats" / "1.png")
    with pytest.raises(DataError, match=r"1\.png has 8 x 8 pixels, .*0\.png has 5 x 7: give a size"):
        datasets.image_folder(folder)
    assert datasets.image_folder(folder, 5)[0].shape == (6, 3, 5, 5)


def test_image_folder_with_a_picture_like_a_bomb(folder, monkeypatch):
    Image = pytest.importorskip("PIL.Image")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.raises(DataError, match="too large for a picture"):
        datasets.image_folder(folder)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match="too large for a picture"):
        datasets.image_folder(folder)


def test_image_folder_without_what_it_needs(folder, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="has no subfolders"):
        datasets.image_folder(folder / "cats")
    (folder / "birds").mkdir()
    with pytest.raises(DataError, match="birds has no pictures"):
        datasets.image_folder(folder)
    with pytest.raises(FileNotFoundError):
        datasets.image_folder(tmp_path / "nothing")
    with pytest.raises(ValueError, match="size must be at least 1"):
        datasets.image_folder(folder, 0)
    (folder / "birds").rmdir()
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pyneuro\[images\]"):
        datasets.image_folder(folder)
