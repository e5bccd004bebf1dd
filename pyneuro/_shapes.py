"""Shapes and choice by PyTorch's names: reshape, transpose, cat, split, gather, ... Each is also a method of Tensor."""

import collections.abc
import math

from pyneuro import _core

_ops = _core.ops

__all__ = [
    "broadcast_to",
    "cat",
    "chunk",
    "concat",
    "flatten",
    "flip",
    "gather",
    "index_select",
    "permute",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "tile",
    "transpose",
    "unsqueeze",
]


def _tensor(x):
    return x if isinstance(x, _core.Tensor) else _core.as_tensor(x)


def _sizes(sizes):
    """Sizes given one by one, or as one tuple."""
    return tuple(_each(sizes[0])) if len(sizes) == 1 else tuple(sizes)


def _each(dims):
    """Dimensions given as one int, or as several."""
    several = isinstance(dims, collections.abc.Iterable) and not hasattr(dims, "__index__")
    return dims if several else [dims]


def reshape(input, *shape) -> _core.Tensor:
    """The same elements, in the same order and memory, under another shape; one size may be -1.

    >>> import pyneuro as pn
    >>> pn.reshape(pn.arange(6), (2, -1)).shape
    (2, 3)
    """
    return _ops["reshape"](input, _sizes(shape))


def flatten(input, start_dim=0, end_dim=-1) -> _core.Tensor:
    """Joins the dimensions from start_dim to end_dim, both included. IndexError when there is no such dimension.

    >>> import pyneuro as pn
    >>> pn.flatten(pn.zeros(2, 3, 4), 1).shape
    (2, 12)
    """
    shape = _tensor(input).shape
    first, last = _dim("flatten", shape, start_dim), _dim("flatten", shape, end_dim)
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} for a tensor of shape {shape}")
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def _dim(name, shape, dim, extra=0):
    """dim as 0..rank-1; IndexError with both."""
    dim = _integer(name, "dim", dim)
    rank = max(len(shape) + extra, 1)
    if not -rank <= dim < rank:
        raise IndexError(
            f"{name}: dim is {dim}, but the tensor has shape {tuple(shape)}: allowed are {-rank} to {rank - 1}"
        )
    return dim % rank


def squeeze(input, dim=None) -> _core.Tensor:
    """Without the dimensions of size 1, or without `dim` if it has size 1.

    >>> import pyneuro as pn
    >>> pn.squeeze(pn.zeros(1, 3, 1)).shape
    (3,)
    """
    shape = _tensor(input).shape
    dims = range(len(shape)) if dim is None else [_dim("squeeze", shape, d) for d in _each(dim)]
    return reshape(input, [n for i, n in enumerate(shape) if n != 1 or i not in dims])


def unsqueeze(input, dim) -> _core.Tensor:
    """With a new dimension of size 1 at `dim`.

    >>> import pyneuro as pn
    >>> pn.unsqueeze(pn.zeros(3), 0).shape
    (1, 3)
    """
    shape = list(_tensor(input).shape)
    shape.insert(_dim("unsqueeze", shape, dim, extra=1), 1)
    return reshape(input, shape)


def transpose(input, dim0, dim1, *more) -> _core.Tensor:
    """Two dimensions exchanged. A copy: in pyneuro every tensor is contiguous.

    With all dimensions given, NumPy's transpose: `permute`.

    >>> import pyneuro as pn
    >>> pn.transpose(pn.zeros(2, 3), 0, 1).shape
    (3, 2)
    """
    if more:
        return permute(input, dim0, dim1, *more)
    shape = _tensor(input).shape
    dims = list(range(len(shape)))
    a, b = _dim("transpose", shape, dim0), _dim("transpose", shape, dim1)
    if not dims:
        return reshape(input, ())
    dims[a], dims[b] = b, a
    return _ops["transpose"](input, dims)


def permute(input, *dims) -> _core.Tensor:
    """Dimensions in the order `dims`. A copy.

    >>> import pyneuro as pn
    >>> pn.permute(pn.zeros(2, 3, 4), 2, 0, 1).shape
    (4, 2, 3)
    """
    shape = _tensor(input).shape
    return _ops["transpose"](input, [_dim("permute", shape, d) for d in _sizes(dims)])


def broadcast_to(input, *shape) -> _core.Tensor:
    """Repeated to `shape`; -1 keeps a size. A copy.

    >>> import pyneuro as pn
    >>> pn.broadcast_to(pn.tensor([1.0, 2.0]), (2, 2)).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    return _ops["expand"](input, _sizes(shape))


def _several(name, tensors):
    """`tensors` as a list that is not empty."""
    try:
        tensors = list(tensors)
    except TypeError:
        raise TypeError(f"{name}: tensors is of type {type(tensors).__name__}, expected a list of tensors") from None
    if not tensors:
        raise ValueError(f"{name}: tensors is empty, expected at least one tensor")
    return tensors


def _integer(name, argument, value):
    """`value` as an int; TypeError for anything else."""
    if not hasattr(value, "__index__"):
        raise TypeError(f"{name}: {argument} is {value!r:.80}, expected an integer")
    return value.__index__()


def cat(tensors, dim=0) -> _core.Tensor:
    """Tensors one behind the other along `dim`; the other sizes must agree.

    >>> import pyneuro as pn
    >>> pn.cat([pn.tensor([1.0]), pn.tensor([2.0, 3.0])]).tolist()
    [1.0, 2.0, 3.0]
    """
    return _ops["concat"](_several("cat", tensors), dim)


concat = cat


def stack(tensors, dim=0) -> _core.Tensor:
    """Tensors of one shape along a new dimension.

    >>> import pyneuro as pn
    >>> pn.stack([pn.tensor([1.0, 2.0]), pn.tensor([3.0, 4.0])]).shape
    (2, 2)
    """
    return _ops["stack"](_several("stack", tensors), dim)


def flip(input, dims) -> _core.Tensor:
    """The elements in reverse order along `dims`, an int or several.

    >>> import pyneuro as pn
    >>> pn.flip(pn.arange(3), 0).tolist()
    [2, 1, 0]
    """
    input = _tensor(input)
    dims = [_dim("flip", input.shape, d) for d in _each(dims)]
    return input[tuple(slice(None, None, -1 if d in dims else None) for d in range(input.ndim))]


def tile(input, *dims) -> _core.Tensor:
    """`input` beside itself, dims[d] times along dimension d, counted from the last one as in broadcasting.

    ValueError for a negative number.

    >>> import pyneuro as pn
    >>> pn.tile(pn.tensor([[1, 2]]), (2, 2)).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    input, counts = _tensor(input), [_integer("tile", "dims", n) for n in _sizes(dims)]
    if any(n < 0 for n in counts):
        raise ValueError(f"tile: dims is {tuple(counts)}, expected numbers of 0 or more")
    rank = max(input.ndim, len(counts))
    shape = [1] * (rank - input.ndim) + list(input.shape)
    for d, n in enumerate([1] * (rank - len(counts)) + list(counts)):
        if n == 1:
            continue
        # (outer, 1, rest) -> (outer, n, rest): n copies of each stretch from dimension d on.
        outer, rest = math.prod(shape[:d]), math.prod(shape[d:])
        input = _ops["expand"](reshape(input, (outer, 1, rest)), (outer, n, rest))
        shape[d] *= n
    return reshape(input, shape)


def split(input, split_size, dim=0) -> tuple[_core.Tensor, ...]:
    """Pieces of `split_size` along `dim` (the last may be smaller), or of the sizes in a list.

    >>> import pyneuro as pn
    >>> [p.tolist() for p in pn.split(pn.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    input = _tensor(input)
    dim = _dim("split", input.shape, dim)
    n = input.shape[dim]
    if not isinstance(split_size, collections.abc.Iterable):
        split_size = _integer("split", "split_size", split_size)
        if split_size <= 0:
            raise ValueError(f"split: split_size is {split_size}, expected at least 1")
        sizes = [min(split_size, n - at) for at in range(0, n, split_size)] or [0]
    else:
        sizes = [_integer("split", "split_size", size) for size in split_size]
        if sum(sizes) != n:
            raise ValueError(
                f"split: the sizes {sizes} add up to {sum(sizes)}, expected {n}, the size of dimension {dim}"
            )
    pieces, at = [], 0
    for size in sizes:
        pieces.append(input[(slice(None),) * dim + (slice(at, at + size),)])
        at += size
    return tuple(pieces)


def chunk(input, chunks, dim=0) -> tuple[_core.Tensor, ...]:
    """At most `chunks` pieces of equal size along `dim`; the last may be smaller.

    >>> import pyneuro as pn
    >>> [p.tolist() for p in pn.chunk(pn.arange(4), 2)]
    [[0, 1], [2, 3]]
    """
    input = _tensor(input)
    if _integer("chunk", "chunks", chunks) < 1:
        raise ValueError(f"chunk: chunks is {chunks}, expected at least 1")
    n = input.shape[_dim("chunk", input.shape, dim)]
    return split(input, max(-(-n // chunks), 1), dim)


def gather(input, dim, index) -> _core.Tensor:
    """y[.., j, ..] = input[.., index[.., j, ..], ..] along `dim`, as torch.gather.

    >>> import pyneuro as pn
    >>> pn.gather(pn.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, pn.tensor([[1], [0]])).tolist()
    [[2.0], [3.0]]
    """
    return _ops["gather"](input, index, dim)


def index_select(input, dim, index) -> _core.Tensor:
    """The slices `index` (int64) of `input` along `dim`.

    >>> import pyneuro as pn
    >>> pn.index_select(pn.tensor([1.0, 2.0, 3.0]), 0, pn.tensor([2, 0])).tolist()
    [3.0, 1.0]
    """
    return _ops["index_select"](input, index, dim)
