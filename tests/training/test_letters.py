"""The bundled letters: whole, distinct, in one piece, and good for recall."""

import itertools

import numpy as np
import pytest

from pyneuro import datasets, energy
from pyneuro.datasets.letters import CYRILLIC, LATIN

PARTS = {"Ё": 3, "Й": 2, "Ы": 2}  # dots, a breve, a bar


def pieces(picture):
    """Number of parts that touch nowhere, not even by corners."""
    left, count = {tuple(point) for point in np.argwhere(picture > 0).tolist()}, 0
    while left:
        count, edge = count + 1, [left.pop()]
        while edge:
            y, x = edge.pop()
            near = {(y + dy, x + dx) for dy, dx in itertools.product((-1, 0, 1), repeat=2)} & left
            left -= near
            edge.extend(near)
    return count


@pytest.mark.parametrize(("which", "count"), [("latin", 26), ("cyrillic", 33), ("all", 48)])
def test_alphabets(which, count):
    patterns, names = datasets.letters(which)
    assert patterns.shape == (count, 100) and patterns.dtype == np.int8 and set(np.unique(patterns)) == {-1, 1}
    assert len(set(names)) == count
    distances = (patterns[:, None] != patterns[None]).sum(-1) + 100 * np.eye(count, dtype=int)
    assert distances.min() >= 5, "two letters can hardly be told apart"
    ink = (patterns > 0).mean(1)
    assert ink.min() > 0.2 and ink.max() < 0.75
    for name, picture in zip(names, patterns.reshape(-1, 10, 10), strict=True):
        assert pieces(picture) == PARTS.get(name, 1), name
        assert (picture[0] > 0).any() and (picture[-1] > 0).any() and (picture[:, 0] > 0).any(), name


def test_all_letters_of_both_alphabets_are_there():
    everything, names = datasets.letters("all")
    rows = {row.tobytes() for row in everything}
    assert {row.tobytes() for row in datasets.letters(LATIN + CYRILLIC)[0]} == rows
    assert names[0] == "A" and names[-1] == "Я"
    assert "".join(datasets.letters("latin")[1]) == LATIN and "".join(datasets.letters("cyrillic")[1]) == CYRILLIC


def test_chosen_letters():
    patterns, names = datasets.letters("hop", flat=False)
    assert names == ("H", "O", "P") and patterns.shape == (3, 10, 10)
    np.testing.assert_array_equal(patterns.reshape(3, 100), datasets.letters("НОР")[0])
    patterns[0] = 0
    assert datasets.letters("H")[0].all(), "a caller's array is its own"


def test_noisy_letters_are_recalled():
    patterns, _ = datasets.letters("AXLO")
    net = energy.Hopfield().fit(patterns)
    noisy = patterns.copy()
    for k, row in enumerate(noisy):
        row[np.random.default_rng(k).choice(100, 10, replace=False)] *= -1
    assert ((net.recall(noisy, seed=0).state == patterns).mean(1) > 0.95).all()


@pytest.mark.parametrize(
    ("which", "error", "words"), [("", ValueError, "empty"), ("A!", ValueError, "'!'"), (3, TypeError, "which must be")]
)
def test_letters_that_are_not_there(which, error, words):
    with pytest.raises(error, match=words):
        datasets.letters(which)
