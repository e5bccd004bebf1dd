"""What the terminal can show: block characters or ASCII, colours or not; pictures of digits, confusion matrices."""

from __future__ import annotations

import os
import sys
from typing import TextIO

import numpy as np

SHADES = " .:-=+*#%@"  # ten steps of ink for terminals that know ASCII only


def can_show(text: str, stream: TextIO | None = None) -> bool:
    """Whether the stream's encoding has all characters of `text` (default stream: stdout).

    Example:
        >>> import io
        >>> can_show("\\u2580", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
        False
    """
    stream = sys.stdout if stream is None else stream
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def has_colours(stream: TextIO | None = None) -> bool:
    """Whether grey levels may be used: a terminal, not a dumb one, and nobody has set NO_COLOR."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and "NO_COLOR" not in os.environ


def picture(image: np.ndarray, style: str = "blocks") -> list[str]:
    """Lines of text that show an image.

    Args:
        image: (h, w), any numbers; the smallest is paper, the largest ink.
        style: "grey" (half blocks in 24 grey levels, two pixels a character), "blocks" (half blocks, ink or paper) or
            "ascii" (two characters a pixel).

    Returns:
        ceil(h / 2) lines for "grey" and "blocks", h lines for "ascii".

    Example:
        >>> print("|".join(picture(np.eye(4))))
        ▀▄  |  ▀▄
        >>> print("|".join(picture(np.eye(2), "ascii")))
        @@  |  @@
    """
    image = np.asarray(image, dtype=np.float64)
    image = image - image.min()
    image = image / (image.max() or 1.0)
    if style == "ascii":
        levels = (image * (len(SHADES) - 1)).round().astype(int)
        return ["".join(SHADES[level] * 2 for level in row) for row in levels]
    if len(image) % 2:
        image = np.vstack([image, np.zeros(image.shape[1])])
    upper, lower = image[0::2], image[1::2]
    if style == "blocks":
        ink = image >= 0.45
        return ["".join(" ▄▀█"[2 * a + b] for a, b in zip(*rows)) for rows in zip(ink[0::2], ink[1::2])]
    lines = []
    for above, below in zip(232 + (upper * 23).round().astype(int), 232 + (lower * 23).round().astype(int)):
        cells = "".join(f"\x1b[38;5;{a};48;5;{b}m▀" for a, b in zip(above, below))
        lines.append(cells + "\x1b[0m")
    return lines


def style_of(stream: TextIO | None = None) -> str:
    """The best style of `picture` that the stream can show."""
    if not can_show("▀▄█", stream):
        return "ascii"
    return "grey" if has_colours(stream) else "blocks"


def side_by_side(pictures: list[list[str]], titles: list[str], width: int, gap: int = 3) -> list[str]:
    """Lines that show several pictures in a row, each under its title.

    Args:
        pictures: lines of each, all of the same number.
        titles: one each.
        width: columns a picture takes on the screen (colour codes do not count).
        gap: columns between two.

    Example:
        >>> print("\\n".join(side_by_side([["##", "##"], ["..", ".."]], ["a", "b"], 2, 1)))
        a  b
        ## ..
        ## ..
    """
    column = max(width, *(len(title) for title in titles)) + gap
    lines = ["".join(title.ljust(column) for title in titles).rstrip()]
    for parts in zip(*pictures):
        lines.append((" " * (column - width)).join(parts))
    return lines


def confusion(true: np.ndarray, found: np.ndarray, names: list[str]) -> list[str]:
    """Lines of a confusion matrix: row = true class, column = class found; zeros are dots.

    Args:
        true: (n,) class numbers.
        found: (n,) class numbers.
        names: of the classes, K of them.

    Example:
        >>> print("\\n".join(confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), ["no", "yes"])))
               no yes
          no    1   1
         yes    .   1
    """
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (true, found), 1)
    wide = max(len(str(counts.max())), *(len(name) for name in names)) + 1
    lines = [" " * (wide + 1) + "".join(name.rjust(wide) for name in names)]
    for name, row in zip(names, counts):
        lines.append(" " + name.rjust(wide - 1) + " " + "".join((str(c) if c else ".").rjust(wide) for c in row))
    return lines
