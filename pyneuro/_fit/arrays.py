"""Data as users give them: arrays, tensors of any library, lists; tuples or dicts of these; iterables of batches."""

from collections.abc import Iterable, Mapping

import numpy as np

from pyneuro import _core
from pyneuro.nn._state import to_numpy


class Part:
    """One array: rows along the first axis. `name` is what messages call it; `dtype` what the network gets."""

    def __init__(self, name, array, first=0):
        self.name = name
        self.array = array
        self.dtype = None
        self.first = first  # row of the user's array that is row 0 here: messages name the user's rows

    def rows(self, index):
        """New array with the rows at `index` (int64 array, slice or None for all) in `dtype`."""
        if isinstance(index, slice):
            return _core.gather_rows(self.array[index], None, self.dtype)
        return _core.gather_rows(self.array, index, self.dtype)


class Tree:
    """Parts and the structure they came in: "one", "tuple" or "dict"."""

    def __init__(self, kind, parts, keys=None):
        self.kind, self.parts, self.keys = kind, parts, keys

    def build(self, values):
        """The structure again, around other values."""
        if self.kind == "dict":
            return dict(zip(self.keys, values, strict=True))
        return values[0] if self.kind == "one" else tuple(values)


def is_array(value):
    """Whether `value` counts as one array: it has a shape, or is a list of numbers or of lists."""
    return isinstance(value, (_core.Tensor, np.ndarray)) or hasattr(value, "shape") or hasattr(value, "__array__")


def tree(name, value):
    """`value` as a Tree. A tuple or dict means several arrays, and so does a list of arrays with two or more axes.

    Raises TypeError for data that are no numbers, ValueError for ragged lists.
    """
    if isinstance(value, Mapping):
        if not value:
            raise ValueError(f"{name} is an empty dict, expected one array for each name")
        return Tree("dict", [part(f"{name}[{key!r}]", v) for key, v in value.items()], list(value))
    several = isinstance(value, tuple) and any(is_array(v) or isinstance(v, list) for v in value)
    if isinstance(value, list) and value and all(is_array(v) and len(v.shape) > 1 for v in value):
        several = True
    if several:
        return Tree("tuple", [part(f"{name}[{i}]", v) for i, v in enumerate(value)])
    return Tree("one", [part(name, value)])


def part(name, value):
    """`value` as a Part."""
    if isinstance(value, (str, bytes)) or callable(value):
        raise TypeError(f"{name} must be an array of numbers, got {value!r:.80}")
    try:
        array = to_numpy(value)
    except ValueError as error:
        if isinstance(value, list) and all(is_array(v) for v in value):
            shapes = ", ".join(str(tuple(v.shape)) for v in value[:4]) + (", ..." if len(value) > 4 else "")
            raise ValueError(
                f"{name} is a list of arrays of shapes {shapes}, which are no rows of one array; X and y are two "
                "arguments, fit(X, y), and several inputs or outputs are a tuple"
            ) from None
        raise ValueError(f"{name} is not an array: {error}") from None
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        hint = " (rows of different lengths, text or missing values)" if array.dtype.kind == "O" else ""
        raise TypeError(
            f"{name} has dtype {array.dtype}{hint}, expected numbers: bool, integers or floats up to 64 bits"
        )
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose masked values would count as data; fill them with .filled(value)"
        )
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number, expected one row a sample")
    if array.ndim > 8:
        raise ValueError(f"{name} has {array.ndim} dimensions, at most 8 are possible")
    return Part(name, array)


def weights(name, value):
    """Sample weights as a Part. ValueError naming the row of a number that is negative or not finite."""
    p = part(name, value)
    p.dtype = "float64"
    check_finite(p)
    negative = (p.array < 0).reshape(len(p.array), -1)
    if negative.any():
        row = int(negative.any(axis=1).argmax())
        found = float(p.array[row].reshape(-1)[int(negative[row].argmax())])
        raise ValueError(f"{name} is {found:g} in row {row}, expected numbers of at least 0")
    return p


def count_rows(parts):
    """The common number of rows. ValueError when there are none, or when parts differ."""
    first = parts[0]
    for p in parts:
        if len(p.array) != len(first.array):
            many = p.array.ndim > 1 and p.array.shape[1] == len(first.array)
            hint = "; for several outputs give a tuple of arrays" if many and p.name.startswith("y") else ""
            raise ValueError(f"{p.name} has {len(p.array)} rows, but {first.name} has {len(first.array)}{hint}")
        if not p.array.size:
            raise ValueError(f"{p.name} is empty: its shape is {p.array.shape}")
    return len(first.array)


def cut(parts, index):
    """The same parts with the rows of a slice: views, nothing is copied."""
    return [Part(p.name, p.array[index], p.first + (index.start or 0)) for p in parts]


def is_stream(X, y):
    """Whether X is an iterable of batches and not data: only without y, and only if it is no array."""
    if y is not None or X is None or is_array(X) or isinstance(X, (tuple, Mapping, str, bytes)):
        return False
    if isinstance(X, list):
        return bool(X) and all(isinstance(batch, tuple) for batch in X)
    return callable(X) or isinstance(X, Iterable)


def check_finite(p):
    """Raises ValueError naming the first row with NaN or infinity; returns a bound on |x| of its numbers in p.dtype."""
    if p.array.dtype.kind != "f":
        return 2.0 ** (8 * p.array.dtype.itemsize)  # integers are finite: their type is bound enough
    largest, row = _check_in_parts(p)
    if row is None:
        return largest
    values = np.asarray(p.array[row], np.float64).reshape(-1)
    bad = values[~np.isfinite(values)]
    if not bad.size:
        raise ValueError(f"{p.name} has a number in row {p.first + row} that is too large for {p.dtype}")
    raise ValueError(f"{p.name} holds {'NaN' if np.isnan(bad[0]) else 'infinity'} in row {p.first + row}")


PART = 1 << 22  # bytes looked at in one go: Ctrl-C is heard in between


def _check_in_parts(p):
    """What _core.check_finite returns for all of p."""
    rows = max(1, PART // max(1, p.array[:1].nbytes))
    largest = 0.0
    for first in range(0, len(p.array), rows):
        found, row = _core.check_finite(p.array[first : first + rows], p.dtype)
        if row is not None:
            return found, first + row
        largest = max(largest, found)
    return largest, None
