"""Reader for IDX files, LeCun's format of MNIST, gzipped or not. It believes nothing that a file says about itself.

Layout: two zero bytes, a type code, the number of dimensions, then one big-endian size each, then the values.
"""

import os
import stat
import zlib

import numpy as np

_TYPES = {0x08: "|u1", 0x09: "|i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_EXPANSION = 1032  # deflate cannot unpack to more than this many times its size
_MAX_RANK = 8


class DataError(ValueError):
    """A data file that is not what it should be. Nothing was taken from it.

    >>> parse_idx(b"no digits", "digits.idx")
    Traceback (most recent call last):
    pyneuro.datasets.idx.DataError: digits.idx ...
    """


def read_idx(path):
    """Reads the IDX file at `path`; returns an ndarray in native byte order.

    Memory is taken only after the sizes in the header were found possible for a file of this length, and never for more
    than they say. Raises DataError when the file is truncated, altered, longer than it says, or no IDX file; OSError
    when it cannot be read.
    """
    path = os.fspath(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise DataError(f"{path} is not a regular file")
    with open(path, "rb") as file:
        data = file.read()
    return parse_idx(data, path)


def parse_idx(data, name="the file"):
    """The same for the bytes `data`; `name` is for messages."""
    packed = data[:2] == b"\x1f\x8b"
    head = _unpack(data, 4 + 4 * _MAX_RANK, name)[0] if packed else data[: 4 + 4 * _MAX_RANK]
    dtype, shape, start = _header(head, name)
    size = dtype.itemsize
    for n in shape:
        size *= n  # Python integers do not overflow
    if size > (len(data) * _MOST_EXPANSION if packed else len(data)):
        raise DataError(f"{name} says that it holds {size} bytes of values, it has {len(data)} bytes")
    if packed:
        data, ended = _unpack(data, start + size + 1, name)
        if not ended and len(data) <= start + size:
            raise DataError(f"{name} is truncated")
    if len(data) != start + size:
        found = "more" if len(data) > start + size else len(data) - start
        raise DataError(f"{name} says that it holds {size} bytes of values, it has {found}")
    values = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=dtype.itemsize > 1)


def _unpack(data, most, name):
    """At most `most` bytes of the gzip stream `data`, and whether it ends there. Checks its CRC when it does."""
    stream = zlib.decompressobj(31)
    try:
        result = stream.decompress(data, most)
    except zlib.error as error:
        raise DataError(f"{name} is damaged or not a gzip file ({error})") from None
    if stream.eof and stream.unused_data:
        raise DataError(f"{name} has bytes behind its end")
    return result, stream.eof


def _header(head, name):
    """(dtype, shape, length) of an IDX header."""
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
        raise DataError(f"{name} is not an IDX file")
    rank = head[3]
    if not 1 <= rank <= _MAX_RANK or len(head) < 4 + 4 * rank:
        raise DataError(f"{name} is not an IDX file: {rank} dimensions in {len(head)} bytes")
    shape = [int.from_bytes(head[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return np.dtype(_TYPES[head[2]]), shape, 4 + 4 * rank
