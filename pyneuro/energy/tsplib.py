"""Files of TSPLIB (Reinelt 1991): symmetric travelling salesman problems and tours."""

import math
import os
import re

import numpy as np

from pyneuro import _files
from pyneuro._files import FileFormatError

__all__ = ["distances", "read_problem", "read_tour"]

MAX_BYTES = 1 << 26
MAX_CITIES = 1024
KINDS = ("EUC_2D", "CEIL_2D", "MAN_2D", "MAX_2D", "ATT", "GEO", "EXPLICIT")
FORMATS = {"FULL_MATRIX": None, "UPPER_ROW": (1, 0), "LOWER_ROW": (-1, 1), "UPPER_DIAG_ROW": (0, 0),
           "LOWER_DIAG_ROW": (0, 1)}  # fmt: skip
SECTIONS = ("NODE_COORD_SECTION", "EDGE_WEIGHT_SECTION", "DISPLAY_DATA_SECTION", "TOUR_SECTION")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


class _File:
    """The entries `KEY : value` and the sections of a file, with the numbers of their lines."""

    def __init__(self, path):
        self.path = os.fspath(path)
        self.values, self.sections = {}, {}
        section = None
        for number, line in enumerate(_files.read_text(self.path, MAX_BYTES, "not plain text").split("\n"), 1):
            words = line.split()
            if not words or words == ["EOF"]:
                section = None if words else section
                continue
            if words[0].rstrip(":") in SECTIONS:
                section = self.sections.setdefault(words[0].rstrip(":"), [])
            elif NUMBER.fullmatch(words[0]) and section is not None:
                section.append((number, words))
            else:
                key, colon, value = line.partition(":")
                if not colon:
                    raise FileFormatError(f"{self.path}, line {number}: {line.strip()!r:.60} is no 'KEY : value'")
                self.values[key.strip()] = (number, value.strip())
                section = None

    def value(self, key, fallback=None):
        if key not in self.values and fallback is None:
            raise FileFormatError(f"{self.path} has no {key}")
        return self.values.get(key, (0, fallback))

    def dimension(self):
        number, text = self.value("DIMENSION")
        if not re.fullmatch(r"\d{1,9}", text) or not 3 <= int(text) <= MAX_CITIES:
            raise FileFormatError(
                f"{self.path}, line {number}: DIMENSION must be 3 to {MAX_CITIES} cities, got {text!r:.40}"
            )
        return int(text)

    def section(self, name):
        if name not in self.sections:
            raise FileFormatError(f"{self.path} has no {name}")
        return self.sections[name]


def _number(path, line, word):
    if not NUMBER.fullmatch(word) or not math.isfinite(float(word)):
        raise FileFormatError(f"{path}, line {line}: expected a number, got {word!r:.40}")
    return float(word)


def read_problem(path):
    """(name, coordinates float64 (n, 2) or None, distances float64 (n, n)) of a symmetric problem.

    Distances are those of TSPLIB for EUC_2D, CEIL_2D, MAN_2D, MAX_2D, ATT, GEO and EXPLICIT, whole numbers mostly.
    Raises FileFormatError, a ValueError, with the number of the line that is malformed; OSError when the file cannot be
    read.

    >>> import os, tempfile
    >>> from pyneuro.energy import tsplib
    >>> text = "DIMENSION: 3\\nEDGE_WEIGHT_TYPE: EUC_2D\\nNODE_COORD_SECTION\\n1 0 0\\n2 3 0\\n3 0 4\\nEOF\\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "three.tsp")
    ...     with open(path, "w") as file:
    ...         _ = file.write(text)
    ...     tsplib.read_problem(path)[2].tolist()
    [[0.0, 3.0, 4.0], [3.0, 0.0, 5.0], [4.0, 5.0, 0.0]]
    """
    file = _File(path)
    n = file.dimension()
    number, kind = file.value("EDGE_WEIGHT_TYPE")
    if kind not in KINDS:
        raise FileFormatError(f"{file.path}, line {number}: EDGE_WEIGHT_TYPE must be one of {', '.join(KINDS)}")
    name = file.value("NAME", "tsp")[1]
    if kind != "EXPLICIT":
        places = _places(file, "NODE_COORD_SECTION", n)
        return name, places, distances(places, kind)
    places = _places(file, "DISPLAY_DATA_SECTION", n) if "DISPLAY_DATA_SECTION" in file.sections else None
    return name, places, _weights(file, n)


def _places(file, section, n):
    """Coordinates (n, 2), each city once."""
    places = np.full((n, 2), np.nan)
    for number, words in file.section(section):
        if len(words) != 3:
            raise FileFormatError(f"{file.path}, line {number}: expected 'city x y', got {len(words)} words")
        city = _number(file.path, number, words[0])
        if city != int(city) or not 1 <= city <= n:
            raise FileFormatError(f"{file.path}, line {number}: cities are 1 to {n}, got {words[0]:.40}")
        if not np.isnan(places[int(city) - 1, 0]):
            raise FileFormatError(f"{file.path}, line {number}: city {int(city)} stands twice")
        places[int(city) - 1] = [_number(file.path, number, word) for word in words[1:]]
    missing = np.isnan(places[:, 0])
    if missing.any():
        raise FileFormatError(f"{file.path}: city {int(missing.argmax()) + 1} of {n} has no coordinates")
    if np.abs(places).max() > 1e9:
        raise FileFormatError(f"{file.path}: coordinates must lie within 1e9")
    return places


def _weights(file, n):
    """Distances (n, n) that stand in the file."""
    number, form = file.value("EDGE_WEIGHT_FORMAT")
    if form not in FORMATS:
        raise FileFormatError(f"{file.path}, line {number}: EDGE_WEIGHT_FORMAT must be one of {', '.join(FORMATS)}")
    found = []
    for number, words in file.section("EDGE_WEIGHT_SECTION"):
        found += [_number(file.path, number, word) for word in words]
        if len(found) > n * n:
            raise FileFormatError(f"{file.path}, line {number}: more than {n * n} distances")
    full = np.zeros((n, n))
    shift = FORMATS[form]
    rows, columns = np.indices((n, n)).reshape(2, -1)
    if shift:
        rows, columns = np.tril_indices(n, shift[0]) if shift[1] else np.triu_indices(n, shift[0])
    if len(found) != len(rows):
        raise FileFormatError(f"{file.path}: {form} of {n} cities has {len(rows)} distances, got {len(found)}")
    full[rows, columns] = found
    if shift:
        full[columns, rows] = found
    if (full != full.T).any() or full.min() < 0:
        i, j = np.argwhere((full != full.T) | (full < 0))[0] + 1
        raise FileFormatError(f"{file.path}: the distances of {i} and {j} are not symmetric or negative")
    return full


def distances(places, kind="EUC_2D"):
    """Distances float64 (n, n) between `places` (n, 2), as TSPLIB defines them.

    >>> from pyneuro.energy import tsplib
    >>> tsplib.distances([[0, 0], [1, 1]]).tolist(), tsplib.distances([[0, 0], [1, 1]], "CEIL_2D").tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [[0.0, 2.0], [2.0, 0.0]])
    """
    places = np.asarray(places, float)
    across = places[:, None] - places[None]
    if kind == "GEO":
        return _geographic(places)
    if kind in ("MAN_2D", "MAX_2D"):
        sides = np.abs(across)
        return np.floor((sides.sum(axis=2) if kind == "MAN_2D" else sides.max(axis=2)) + 0.5)
    square = (across**2).sum(axis=2)
    if kind == "ATT":
        exact = np.sqrt(square / 10)
        near = np.floor(exact + 0.5)
        return np.where(near < exact, near + 1, near)
    return np.ceil(np.sqrt(square)) if kind == "CEIL_2D" else np.floor(np.sqrt(square) + 0.5)


def _geographic(places):
    """Degrees and minutes DDD.MM on TSPLIB's Earth, whose pi is 3.141592."""
    degrees = np.trunc(places)
    radians = 3.141592 * (degrees + 5 * (places - degrees) / 3) / 180
    latitude, longitude = radians[:, 0], radians[:, 1]
    q1 = np.cos(longitude[:, None] - longitude)
    q2, q3 = np.cos(latitude[:, None] - latitude), np.cos(latitude[:, None] + latitude)
    angle = np.arccos(np.clip(0.5 * ((1 + q1) * q2 - (1 - q1) * q3), -1, 1))
    found = np.trunc(6378.388 * angle + 1)
    np.fill_diagonal(found, 0)
    return found


def read_tour(path):
    """The tour in a TSPLIB file, int64 (n,), counted from 0. Raises as `read_problem` does."""
    file = _File(path)
    n = file.dimension()
    tour = []
    for number, words in file.section("TOUR_SECTION"):
        for word in words:
            city = _number(file.path, number, word)
            if city == -1:
                continue
            if city != int(city) or not 1 <= city <= n or len(tour) == n:
                raise FileFormatError(f"{file.path}, line {number}: a tour has the cities 1 to {n}, got {word:.40}")
            tour.append(int(city) - 1)
    if len(set(tour)) != n:
        raise FileFormatError(f"{file.path}: the tour visits {len(set(tour))} of {n} cities")
    return np.array(tour, np.int64)
