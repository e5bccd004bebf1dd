"""Files of named arrays: safetensors, read with hard limits and replaced atomically.

Both model files (`pyneuro.io`) and checkpoints stand on these few functions. The format is plain safetensors, so every
other reader of that format can open them. What this module adds are rules:

* A file is replaced in one step: temporary file in the same folder, flush, fsync, `os.replace`, fsync of the folder. A
  crash at any moment leaves either the old file or the new one.
* A reader believes nothing. The header is checked against the length of the file before anything of the size it claims
  is allocated.
* The metadata carry two SHA-256 sums: `sha256` of the tensor bytes and `header_sha256` of names, types, shapes and the
  other metadata. Where they are present they are verified; a file that has one of them must have both.

Nothing here runs code from a file: no pickle, no eval, no import by a name that a file gives.
"""

import contextlib
import hashlib
import json
import os
import secrets
import stat

import numpy as np

MAX_HEADER = 1 << 20  # bytes
MAX_TENSORS = 65_536
MAX_RANK = 8
MAX_NAME = 256  # characters

# safetensors type -> NumPy type as stored (little endian). BF16 has no NumPy type and is widened by hand.
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_SUMS = ("sha256", "header_sha256")


class FileFormatError(ValueError):
    """A file that is not what it should be: truncated, altered, of another kind, or beyond the limits. Nothing was
    loaded from it.

    >>> import os, tempfile
    >>> import pyneuro as pn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.safetensors")
    ...     pn.io.replace_file(path, [b"no network"])
    ...     try:
    ...         pn.load(path)
    ...     except pn.io.FileFormatError as error:
    ...         print("not a safetensors file" in str(error))
    True
    """


def replace_file(path, chunks):
    """Writes `chunks` (bytes-like objects, in order) to `path` in one atomic step.

    The old file stays until the new one is complete and on disk. Permissions of an existing file are kept; a symbolic
    link is followed.
    Raises OSError as the operating system reports it (no space, no permission, no such folder); the old file is then
    untouched.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a")
    ...     replace_file(path, [b"one ", b"two"])
    ...     with open(path, "rb") as file:
    ...         file.read()
    b'one two'
    """
    path = os.path.realpath(os.fsdecode(path))
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {folder}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} cannot be written: it is a folder, give the path of a file")
    temporary = os.path.join(folder, f".pyneuro-{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temporary, path)
    except BaseException:
        _remove(temporary)
        raise
    _sync_folder(folder)


def _remove(path):
    with contextlib.suppress(OSError):
        os.unlink(path)


def _sync_folder(folder):
    """Makes the new directory entry durable. Systems that cannot open folders (Windows) order this themselves."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def write_arrays(path, arrays, metadata):
    """Saves `arrays` (dict of name -> ndarray) and `metadata` (dict of str -> str) as a safetensors file with both
    checksums.

    The same content gives the same bytes. Raises ValueError when a name, a rank or the header is beyond what
    `read_arrays` accepts.
    """
    from safetensors.numpy import save

    for name, array in arrays.items():
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or name == "__metadata__":
            raise ValueError(f"the name of a saved array must have 1 to {MAX_NAME} characters, got {name!r:.80}")
        if array.ndim > MAX_RANK:
            raise ValueError(f"{name} has {array.ndim} dimensions, a file holds at most {MAX_RANK}")
    if len(arrays) > MAX_TENSORS:
        raise ValueError(f"{len(arrays)} arrays are too many, a file holds at most {MAX_TENSORS}")
    blank = dict.fromkeys(_SUMS, "0" * 64)  # same length as the sums, so that the header keeps its length
    data = save({name: np.asarray(array, order="C") for name, array in arrays.items()}, {**metadata, **blank})
    size = int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8 : 8 + size]))
    payload = memoryview(data)[8 + size :]
    meta = dict(sorted(metadata.items()))
    meta["sha256"] = hashlib.sha256(payload).hexdigest()
    meta["header_sha256"] = _header_sum(header, meta)
    header["__metadata__"] = meta  # in sorted order: the library's own order changes from run to run
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(f"the header would take {len(text)} bytes, a file may have at most {MAX_HEADER}")
    replace_file(path, [len(text).to_bytes(8, "little"), text, payload])


def read_text(path, most, otherwise):
    """The ASCII text of a regular file of at most `most` bytes.

    Raises FileFormatError otherwise, for other bytes with the number of their line and the words `otherwise`; OSError
    when the file cannot be read.
    """
    path = os.fspath(path)
    info = os.stat(path)
    if not stat.S_ISREG(info.st_mode):
        raise FileFormatError(f"{path} is not a regular file")
    if info.st_size > most:
        raise FileFormatError(f"{path} has {info.st_size} bytes, at most {most} are read")
    with open(path, "rb") as file:
        data = file.read(info.st_size)
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}, line {data.count(10, 0, error.start) + 1}: {otherwise}") from None


def read_arrays(path):
    """Reads what `write_arrays`, `safetensors.torch.save_file` or any other writer of the format has saved.

    Returns `(arrays, metadata)`: dict of name -> ndarray (own, writable memory; bfloat16 is widened to float32) and
    dict of str -> str.
    Raises FileFormatError when the file is truncated, altered, of another kind or beyond the limits above; OSError when
    it cannot be read.
    """
    path = os.fspath(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise FileFormatError(f"{path} is not a regular file")
    with open(path, "rb") as file:
        info = os.fstat(file.fileno())
        head = file.read(8)
        size = int.from_bytes(head, "little")
        if len(head) < 8 or size < 2:
            raise FileFormatError(f"{path} is not a safetensors file: it has {info.st_size} bytes and no header")
        if size > MAX_HEADER:
            raise FileFormatError(
                f"{path} is not a safetensors file that pyneuro reads: header of {size} bytes, at most {MAX_HEADER} "
                f"are allowed"
            )
        if size > info.st_size - 8:
            raise FileFormatError(
                f"{path} is truncated or not a safetensors file: header of {size} bytes in a file of {info.st_size} "
                f"bytes"
            )
        text = file.read(size)
        tensors, metadata = _parse_header(path, text, info.st_size - 8 - size)
        data = head + text + file.read(info.st_size - 8 - size)
    if len(data) != info.st_size:
        raise FileFormatError(f"{path} changed while it was read")
    _verify(path, tensors, metadata, memoryview(data)[8 + size :])
    return _decode(path, tensors, data), metadata


def _parse_header(path, text, available):
    """Header text -> (dict of name -> entry, metadata). All limits are checked here, against `available` bytes of
    data."""
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(
            f"{path} is not a safetensors file: its header is not valid JSON ({error!s:.120})"
        ) from None
    if not isinstance(header, dict) or text[:1] != b"{":
        raise FileFormatError(f"{path} is not a safetensors file: its header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FileFormatError(f"{path}: the metadata in the header must map text to text")
    if len(header) > MAX_TENSORS:
        raise FileFormatError(f"{path} declares {len(header)} tensors, at most {MAX_TENSORS} are allowed")
    total = sum(_check_entry(path, name, entry) for name, entry in header.items())
    if total != available:
        raise FileFormatError(
            f"{path} is truncated or has been altered: its header declares {total} bytes of tensors, the file has "
            f"{available}"
        )
    return header, metadata


def _unique(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _no_constant(text):
    raise ValueError(f"{text} is not JSON")


def _check_entry(path, name, entry):
    """Bytes that one tensor of the header takes, after all that it says about itself has been found possible."""
    where = f"{path}: tensor {name!r:.80}"
    if not 0 < len(name) <= MAX_NAME:
        raise FileFormatError(f"{where} has a name of {len(name)} characters, 1 to {MAX_NAME} are allowed")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FileFormatError(f"{where} must have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise FileFormatError(f"{where} has the type {dtype!r:.40}, known are {', '.join(_DTYPES)}")
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 1 << 63 for n in shape):
        raise FileFormatError(f"{where} has the shape {shape!r:.80}, expected a list of sizes")
    if len(shape) > MAX_RANK:
        raise FileFormatError(f"{where} has {len(shape)} dimensions, at most {MAX_RANK} are allowed")
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(type(n) is int and 0 <= n < 1 << 63 for n in offsets)
    ):
        raise FileFormatError(f"{where} has the offsets {offsets!r:.80}, expected two numbers")
    size = np.dtype(_DTYPES[dtype]).itemsize
    for n in shape:
        size *= n  # Python integers do not overflow
    if size != offsets[1] - offsets[0]:
        raise FileFormatError(
            f"{where} of shape {tuple(shape)} needs {size} bytes, its offsets give {offsets[1] - offsets[0]}"
        )
    return size


def _header_sum(tensors, metadata):
    """SHA-256 over everything in the header that means something: types, shapes and offsets by name, and the metadata
    but this sum itself."""
    seen = {name: [e["dtype"], e["shape"], e["data_offsets"]] for name, e in tensors.items() if name != "__metadata__"}
    rest = {key: value for key, value in metadata.items() if key != "header_sha256"}
    text = json.dumps([seen, rest], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _verify(path, tensors, metadata, payload):
    present = [key for key in _SUMS if key in metadata]
    if not present and "pyneuro" not in metadata:
        return  # a file of somebody else: there is nothing to compare with
    if len(present) < 2:
        raise FileFormatError(f"{path} has been altered: it lacks its checksum")
    if metadata["sha256"] != hashlib.sha256(payload).hexdigest():
        raise FileFormatError(
            f"{path} has been altered or damaged: the SHA-256 of its tensors is not the one in its header"
        )
    if metadata["header_sha256"] != _header_sum(tensors, metadata):
        raise FileFormatError(
            f"{path} has been altered or damaged: the SHA-256 of its header is not the one that was saved"
        )


def _decode(path, tensors, data):
    """The arrays themselves. The safetensors library has the last word on overlap, holes and order of the tensors."""
    from safetensors import SafetensorError, deserialize

    try:
        parts = deserialize(data)
    except (SafetensorError, ValueError) as error:
        raise FileFormatError(f"{path} is not a valid safetensors file: {error!s:.200}") from None
    arrays = {}
    for name, part in parts:
        entry = tensors.get(name)
        if entry is None or list(part["shape"]) != entry["shape"] or part["dtype"] != entry["dtype"]:
            raise FileFormatError(
                f"{path} is not a valid safetensors file: tensor {name!r:.80} is declared in two ways"
            )
        stored = np.frombuffer(part["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = stored.astype(stored.dtype.newbyteorder("="), copy=True)
    if len(arrays) != len(tensors):
        raise FileFormatError(
            f"{path} is not a valid safetensors file: {len(tensors)} tensors declared, {len(arrays)} found"
        )
    return arrays
