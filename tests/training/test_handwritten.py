"""`datasets.handwritten`: MNIST where it is, the bundled digits in its shape where it is not."""

import os

import numpy as np
import pytest

from pyneuro import datasets


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No MNIST anywhere, and no way to fetch it."""
    monkeypatch.setenv("PYNEURO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def test_without_network_the_bundled_digits_come(offline, capsys):
    X, y, X_test, y_test = datasets.handwritten()
    assert X.shape == (1438, 1, 28, 28) and X_test.shape == (359, 1, 28, 28)
    assert X.dtype == np.float32 and X.min() >= 0 and X.max() <= 1 and not X[:, :, :2].any() and not X[..., -2:].any()
    assert "MNIST is neither here" in capsys.readouterr().out
    small = datasets.digits(flat=False)
    order = np.argsort(y, kind="stable")
    assert np.array_equal(y[order], np.sort(small[1])) and len(np.unique(y_test)) == 10
    assert X.mean() == pytest.approx(small[0].mean() * (24 / 28) ** 2, rel=0.01)


def test_the_same_seed_takes_the_same_samples(offline):
    first, again = (datasets.handwritten(50, 20, seed=3, verbose=False) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = datasets.handwritten(50, 20, seed=4, verbose=False)
    assert not np.array_equal(first[0], other[0]) and len(other[0]) == 50 and len(other[2]) == 20


@pytest.mark.skipif("PYNEURO_DATA" not in os.environ, reason="needs MNIST in a folder")
def test_with_mnist(capsys):
    X, y, X_test, y_test = datasets.handwritten(300, 100)
    assert X.shape == (300, 1, 28, 28) and X_test.shape == (100, 1, 28, 28)
    assert "300 training and 100 test" in capsys.readouterr().out
    assert len(np.unique(y)) == 10 and len(np.unique(y_test)) == 10


def test_sizes():
    with pytest.raises(ValueError, match="train must be at least 1"):
        datasets.handwritten(0)
