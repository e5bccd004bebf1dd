"""Capital letters of the Latin and the Cyrillic alphabet, 10 x 10 points: patterns for associative memories.

They were drawn for pyneuro and stand in `letters.txt`, where they can be looked at. Lecture 001 recalls such pictures
with Hopfield's network from noisy ones.
"""

import os
from functools import cache

import numpy as np

SIDE = 10
CYRILLIC = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@cache
def _pictures():
    """dict of letter -> bool (10, 10), in the order of the file; letters of both alphabets share a picture."""
    with open(os.path.join(os.path.dirname(__file__), "letters.txt"), encoding="utf-8") as file:
        blocks = [block.split("\n") for block in file.read().strip().split("\n\n")[1:]]
    pictures = {}
    for names, *rows in blocks:
        picture = np.array([[point == "#" for point in row] for row in rows])
        pictures.update(dict.fromkeys(names.split(), picture))
    return pictures


def letters(which="all", *, flat=True):
    """Pictures of capital letters as patterns of -1 and +1, +1 where there is ink. Drawn for pyneuro, no download.

    which: "latin" (26), "cyrillic" (33), "all" (48: those of both alphabets that differ in shape, Latin first), or the
    letters wanted, as in "HOPFIELD"; small letters are taken for capital ones.
    flat: rows of 100; False gives pictures (n, 10, 10).

    Returns (patterns int8 (n, 100), names, a tuple of letters). Raises ValueError for a letter that is not there.

    >>> from pyneuro import datasets, energy
    >>> patterns, names = datasets.letters("ЖУК")
    >>> net = energy.Hopfield().fit(patterns)
    >>> (net.recall(patterns[0], seed=0).state == patterns[0]).all().item()
    True
    >>> for row in datasets.letters("я", flat=False)[0][0]:
    ...     print("".join("#" if point > 0 else "." for point in row))
    .#########
    ##########
    ##......##
    ##......##
    ##########
    .#########
    ....###.##
    ..###...##
    .##.....##
    ##......##
    """
    if not isinstance(which, str):
        raise TypeError(f'letters: which must be "latin", "cyrillic", "all" or letters, got {which!r:.60}')
    pictures = _pictures()
    shapes = {id(picture): name for name, picture in reversed(pictures.items())}  # the first name of each picture
    known = {"latin": LATIN, "cyrillic": CYRILLIC, "all": [name for name in pictures if name in shapes.values()]}
    names = tuple(known.get(which, which.upper()))
    for name in names:
        if name not in pictures:
            raise ValueError(f"letters: there is no picture of {name!r}; known are {LATIN} and {CYRILLIC}")
    if not names:
        raise ValueError("letters: which is empty, give at least one letter")
    patterns = np.where(np.array([pictures[name] for name in names]), np.int8(1), np.int8(-1))
    return patterns.reshape(len(names), -1) if flat else patterns, names
