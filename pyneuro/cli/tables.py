"""Readers for `--data FILE.csv` and `FILE.npz`. They trust nothing: sizes are checked before memory is taken.

CSV: one sample a line; comma, semicolon or tab; a first line of names is recognised by holding no number. One column
has the class (words or whole numbers): the one called label, target, class or y, else the last. The others are numbers.
NPZ: arrays `x_train` and `y_train`, perhaps `x_test` and `y_test`; or `X` and `y`, `x` and `y`, `data` and `target`.
Samples lie along the first axis. Nothing is ever unpickled.
"""

from __future__ import annotations

import csv
import io
import math
import struct
import zipfile
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LABEL_NAMES = ("label", "target", "class", "y")
PAIRS = (("x_train", "y_train"), ("X_train", "y_train"), ("X", "y"), ("x", "y"), ("data", "target"))
MOST_CLASSES = 1000
MOST_COLUMNS = 1 << 20
# A compressed file may unpack to this many times its size, and 64 MB more: real data sets stay below 30, bombs do not.
MOST_EXPANSION = 64
FREE_BYTES = 64 << 20


@dataclass
class Table:
    """Samples and labels as read.

    Attributes:
        x: (n, features) float32.
        y: (n,) int64, 0 .. K-1.
        names: of the K classes.
        columns: of the features, empty when the file does not name them.
        test: the same for the file's own test part, or None.
    """

    x: np.ndarray
    y: np.ndarray
    names: list[str]
    columns: list[str]
    test: tuple[np.ndarray, np.ndarray] | None = None


def read(path: str | Path) -> Table:
    """Reads a .csv (.tsv, .txt) or .npz file; see the module's text for the formats.

    Raises:
        ValueError: one sentence that names the file and the place.
        OSError: the file cannot be opened.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".npz":
        return read_npz(path)
    if ending in (".csv", ".tsv", ".txt"):
        return read_csv(path)
    from .arguments import NAMED

    raise ValueError(f"{path} is none of {', '.join(NAMED)}, and data files end with .csv or .npz")


# --- labels


def classes_of(values: np.ndarray, path: Path) -> tuple[np.ndarray, list[str]]:
    """Class numbers 0 .. K-1 (n,) int64 and the K names, from words or whole numbers.

    Whole numbers that already run from 0 keep their value; anything else is numbered in sorted order.
    """
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"{path}: the label of sample {row} is {values[row]}, expected a class")
        if (values != np.rint(values)).any():
            row = int(np.flatnonzero(values != np.rint(values))[0])
            raise ValueError(f"{path}: the label of sample {row} is {values[row]}, expected a whole number or a word")
        if np.abs(values).max(initial=0) >= 2.0**53:
            raise ValueError(f"{path}: the labels are too large for class numbers")
        values = values.astype(np.int64)
    known, numbers = np.unique(values, return_inverse=True)
    if len(known) > MOST_CLASSES:
        raise ValueError(
            f"{path}: the labels have {len(known)} different values, expected at most {MOST_CLASSES} classes"
        )
    if len(known) < 2:
        raise ValueError(f"{path}: all samples have the label {known[0]}, expected at least two classes")
    if values.dtype.kind in "iub" and known[0] >= 0 and known[-1] < 2 * len(known):
        return values.astype(np.int64), [str(k) for k in range(int(known[-1]) + 1)]
    return numbers.reshape(-1).astype(np.int64), [_shown(str(name)) for name in known]


def _shown(name: str) -> str:
    """A class name fit for a terminal: no control characters, not longer than a column can be."""
    return "".join(c if c.isprintable() else "?" for c in name[:24])


# --- CSV


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _label_column(header: list[str], width: int) -> int:
    lowered = [name.strip().lower() for name in header]
    return next((lowered.index(name) for name in LABEL_NAMES if name in lowered), width - 1)


def _dialect(line: str) -> str:
    """The delimiter of a line: whichever of , ; and tab occurs most often."""
    return max(",;\t", key=line.count)


def read_csv(path: Path) -> Table:
    """Reads a CSV file into a Table; raises ValueError naming line and column."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            first = file.readline(MOST_COLUMNS * 32)
            delimiter = _dialect(first)
            file.seek(0)
            return _csv_table(csv.reader(file, delimiter=delimiter), path)
        except UnicodeDecodeError:
            raise ValueError(f"{path}: not a text file in UTF-8") from None
        except csv.Error as error:
            raise ValueError(f"{path}: {error}") from None


def _csv_table(rows, path: Path) -> Table:
    first = next(rows, None)
    while first is not None and not any(cell.strip() for cell in first):
        first = next(rows, None)
    if first is None:
        raise ValueError(f"{path}: the file is empty")
    width = len(first)
    if not 2 <= width <= MOST_COLUMNS:
        raise ValueError(
            f"{path}: line {rows.line_num} has {width} column(s), expected a label and at least one number"
        )
    header = not any(_is_number(cell) for cell in first)
    label = _label_column(first if header else [], width)
    x, labels = array("f"), []
    if not header:
        _csv_row(first, width, label, x, labels, path, rows.line_num)
    for row in rows:
        if row:
            _csv_row(row, width, label, x, labels, path, rows.line_num)
    if not labels:
        raise ValueError(f"{path}: there is no sample below the line of names")
    features = np.frombuffer(x, dtype=np.float32).reshape(len(labels), width - 1)
    names = [cell.strip() for i, cell in enumerate(first) if header and i != label]
    numeric = all(_is_number(text) for text in labels)
    values = np.array([float(text) for text in labels]) if numeric else np.array(labels)
    return Table(features, *classes_of(values, path), names)


def _csv_row(row: list[str], width: int, label: int, x: array, labels: list[str], path: Path, line: int) -> None:
    """Appends one line to x and labels."""
    if len(row) != width:
        raise ValueError(f"{path}: line {line} has {len(row)} column(s), expected {width}")
    labels.append(row[label].strip())
    if not labels[-1]:
        raise ValueError(f"{path}: line {line} has no label in column {label + 1}")
    for i, cell in enumerate(row):
        if i == label:
            continue
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not abs(value) <= 3.4028234e38:  # NaN and infinity too
            what = "is empty" if not cell.strip() else f"holds {cell[:40]!r}"
            raise ValueError(f"{path}: line {line}, column {i + 1} {what}, expected a number")
        x.append(value)


# --- NPZ


def read_npz(path: Path) -> Table:
    """Reads an NPZ file into a Table."""
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check_archive(archive, path)
                return _npz_table(*_npz_parts(archive, path), path)
        except _DAMAGED as error:
            raise ValueError(f"{path}: not a readable npz file ({' '.join(str(error).split())})") from None


# what zipfile and its decompressor raise for damaged files; OSError: a seek to where no file is
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, RuntimeError)


def _npz_parts(archive: zipfile.ZipFile, path: Path) -> tuple[np.ndarray, np.ndarray, tuple | None]:
    """(x, y, None or the test part) by the names that are known."""
    names = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    pair = next((pair for pair in PAIRS if pair[0] in names and pair[1] in names), None)
    if pair is None:
        found = ", ".join(sorted(names)[:8]) or "nothing"
        raise ValueError(f"{path}: expected the arrays x_train and y_train, or X and y; found {found}")
    x, y = (_member(archive, names[name], path) for name in pair)
    test = [name.replace("train", "test") for name in pair]
    if test == list(pair) or not all(name in names for name in test):
        return x, y, None
    return x, y, tuple(_member(archive, names[name], path) for name in test)


def _check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuses archives that would unpack to far more than their size: sizes are known before anything is unpacked."""
    for info in archive.infolist():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise ValueError(f"{path}: {info.filename!r:.80} is packed in a way that npz files are not")
    packed = path.stat().st_size
    if sum(info.file_size for info in archive.infolist()) > MOST_EXPANSION * packed + FREE_BYTES:
        raise ValueError(f"{path}: would unpack to more than {MOST_EXPANSION} times its size")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    """One array; its header is compared with the bytes that are there before memory is taken."""
    place = f"{path}: array {info.filename.removesuffix('.npy')!r}"
    with archive.open(info) as packed:
        data = packed.read(info.file_size)
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[
            version
        ]
        shape, fortran, dtype = read_header(stream)
    except Exception:  # a parser of foreign bytes: whatever it stumbled over, the file is at fault
        raise ValueError(f"{place} has no readable header") from None
    if dtype.hasobject or dtype.kind not in "biufUS":
        raise ValueError(f"{place} has dtype {dtype}, expected numbers")
    if len(shape) > 8 or any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError(f"{place} claims shape {shape}, which is not what the file holds")
    if not math.prod(shape):
        raise ValueError(f"{place} is empty")
    flat = np.frombuffer(data, dtype=dtype, offset=stream.tell(), count=math.prod(shape))
    if dtype.kind == "S":
        flat = np.array([word.decode("latin-1") for word in flat])
    elif dtype.kind == "U" and dtype.itemsize:
        # NumPy takes any four bytes for a character; Python's strings know better, and crash or cannot be printed
        codes = np.frombuffer(data, dtype=np.dtype("u4").newbyteorder(dtype.byteorder), offset=stream.tell())
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise ValueError(f"{place} holds characters that do not exist")
    return flat.reshape(shape, order="F" if fortran else "C")


def _features(x: np.ndarray, y: np.ndarray, path: Path, part: str) -> np.ndarray:
    """Samples as (n, features) float32, checked."""
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{path}: {part} samples have dtype {x.dtype}, expected numbers")
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(
            f"{path}: {part} samples have shape {x.shape} and labels {y.shape}, expected (n, ...) and (n,)"
        )
    with np.errstate(over="ignore"):
        flat = np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float32)
    if not np.isfinite(flat).all():
        row = int(np.flatnonzero(~np.isfinite(flat).all(axis=1))[0])
        raise ValueError(f"{path}: {part} sample {row} holds a value that is not a finite float32")
    return flat


def _npz_table(x: np.ndarray, y: np.ndarray, later, path: Path) -> Table:
    y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
    features = _features(x, y, path, "training")
    if later is None:
        return Table(features, *classes_of(y, path), [])
    xt, yt = later[0], later[1].reshape(-1) if later[1].ndim == 2 and later[1].shape[1] == 1 else later[1]
    test = _features(xt, yt, path, "test")
    if test.shape[1] != features.shape[1]:
        raise ValueError(f"{path}: test samples have {test.shape[1]} features, training samples {features.shape[1]}")
    # numbered together, so that a class means the same in both parts
    numbers, names = classes_of(np.concatenate([y, yt]), path)
    return Table(features, numbers[: len(y)], names, [], (test, numbers[len(y) :]))
