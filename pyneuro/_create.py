"""Functions that make tensors, by PyTorch's names. Shapes come as separate numbers or as one tuple."""

import math

import numpy as np

from pyneuro import _core

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "tensor",
    "zeros",
    "zeros_like",
]


def tensor(data, dtype=None, requires_grad=False, name=None) -> _core.Tensor:
    """A new tensor with a copy of `data`: a number, nested lists, an array, a Tensor, anything with `__array__`.

    `dtype`: "float32", "float64" or "int64"; by default Python floats and lists of them become float32, ints and bools
    int64, NumPy arrays keep float32 and float64. `name` is shown in drawings. TypeError for data that are no numbers,
    ValueError for more than 8 dimensions, MemoryError when it does not fit.

    >>> tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    >>> tensor(2.0, requires_grad=True, dtype="float64", name="w0")
    tensor(2., dtype=float64, name='w0', requires_grad=True)
    """
    return _core.Tensor(data, dtype, requires_grad, name)


def as_tensor(data, dtype=None) -> _core.Tensor:
    """`data` as a tensor without a copy where possible: a Tensor of that dtype itself, or the memory of an ndarray.

    >>> t = tensor([1.0])
    >>> as_tensor(t) is t
    True
    """
    return _core.as_tensor(data, dtype)


def from_numpy(array) -> _core.Tensor:
    """A tensor on the memory of a float32, float64 or int64 ndarray: writing to one changes the other.

    TypeError for other dtypes, ValueError for arrays that are read-only, byte-swapped or not C-contiguous.

    >>> a = np.zeros(2); t = from_numpy(a); a[0] = 5
    >>> t
    tensor([5., 0.], dtype=float64)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: array is of type {type(array).__name__}, expected an ndarray")
    if array.dtype.newbyteorder("=") not in (np.float32, np.float64, np.int64):
        raise TypeError(f"from_numpy: array has dtype {array.dtype}, expected float32, float64 or int64")
    if not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned and array.dtype.isnative):
        raise ValueError(
            "from_numpy: array must be C-contiguous, writable and in native byte order; use tensor() to copy it"
        )
    return _core.as_tensor(array)


def _shape(name, sizes):
    """The sizes as a tuple of ints; ValueError and MemoryError before anything is allocated."""
    if len(sizes) == 1 and (np.ndim(sizes[0]) or not hasattr(sizes[0], "__index__")):
        sizes = sizes[0]
    try:
        shape = tuple(n.__index__() for n in sizes)
    except (AttributeError, TypeError):
        raise TypeError(f"{name}: the shape is {sizes!r}, expected integers") from None
    if any(n < 0 for n in shape):
        raise ValueError(f"{name}: the shape is {shape}, expected sizes of 0 or more")
    if len(shape) > 8:
        raise ValueError(f"{name}: the shape has {len(shape)} dimensions, expected at most 8")
    if math.prod(shape) > 2**59:
        raise MemoryError(f"{name}: not enough memory for a tensor of shape {shape}")
    return shape


def _dtype(name, dtype, default="float32"):
    """The NumPy dtype for the argument `dtype`; TypeError for what no tensor has."""
    try:
        found = np.dtype(default if dtype is None else dtype)
    except TypeError:
        found = None
    if found is None or found.name not in ("float32", "float64", "int64", "bool"):
        raise TypeError(f"{name}: dtype is {dtype!r}, expected 'float32', 'float64' or 'int64'")
    return found


def _number(name, argument, value, finite=True):
    """`value`, which must be a number, and by default a finite one."""
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: {argument} is {value!r:.80}, expected a number")
    if finite and not isinstance(value, int) and not math.isfinite(value):
        raise ValueError(f"{name}: {argument} is {float(value)}, expected a finite number")
    return value


def _size(name, argument, value):
    """`value` as an int of 0 or more that a tensor can have as a size."""
    if not hasattr(value, "__index__"):
        raise TypeError(f"{name}: {argument} is {value!r:.80}, expected an integer")
    value = value.__index__()
    if not 0 <= value < 2**59:
        raise ValueError(f"{name}: {argument} is {value}, expected an integer from 0 to {2**59 - 1}")
    return value


def _finish(array, requires_grad):
    t = _core.as_tensor(array)
    if requires_grad:
        t.requires_grad = True
    return t


def zeros(*size, dtype=None, requires_grad=False) -> _core.Tensor:
    """A tensor of zeros, float32 by default.

    >>> zeros(2, 3).shape
    (2, 3)
    """
    return _finish(np.zeros(_shape("zeros", size), _dtype("zeros", dtype)), requires_grad)


def ones(*size, dtype=None, requires_grad=False) -> _core.Tensor:
    """A tensor of ones, float32 by default.

    >>> ones(2).tolist()
    [1.0, 1.0]
    """
    return _finish(np.ones(_shape("ones", size), _dtype("ones", dtype)), requires_grad)


def empty(*size, dtype=None, requires_grad=False) -> _core.Tensor:
    """A tensor to be filled; pyneuro fills it with zeros, so that no run depends on old memory.

    >>> empty(2, 0).shape
    (2, 0)
    """
    return zeros(*size, dtype=dtype, requires_grad=requires_grad)


def full(size, fill_value, dtype=None, requires_grad=False) -> _core.Tensor:
    """A tensor of `fill_value`; int64 for an int, else float32 by default.

    >>> full((2,), 7).tolist()
    [7, 7]
    """
    _number("full", "fill_value", fill_value, finite=False)
    dtype = _dtype("full", dtype, "int64" if isinstance(fill_value, int | np.integer) else "float32")
    return _finish(np.full(_shape("full", (size,)), fill_value, dtype), requires_grad)


def zeros_like(input, dtype=None, requires_grad=False) -> _core.Tensor:
    """Zeros of the shape and dtype of `input`.

    >>> zeros_like(tensor([1, 2])).tolist()
    [0, 0]
    """
    return zeros(*input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input, dtype=None, requires_grad=False) -> _core.Tensor:
    """Ones of the shape and dtype of `input`.

    >>> ones_like(tensor([1, 2])).tolist()
    [1, 1]
    """
    return ones(*input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def empty_like(input, dtype=None, requires_grad=False) -> _core.Tensor:
    """As `zeros_like`.

    >>> empty_like(tensor([1.0])).shape
    (1,)
    """
    return zeros_like(input, dtype, requires_grad)


def full_like(input, fill_value, dtype=None, requires_grad=False) -> _core.Tensor:
    """`fill_value` in the shape and dtype of `input`.

    >>> full_like(tensor([1.0, 2.0]), 3).tolist()
    [3.0, 3.0]
    """
    return full(tuple(input.shape), fill_value, dtype or input.dtype, requires_grad)


def arange(start, end=None, step=1, dtype=None, requires_grad=False) -> _core.Tensor:
    """Numbers from `start` (0 when one argument is given) up to `end`, exclusive; int64 when all are integers.

    >>> arange(3).tolist(), arange(0, 1, 0.5).tolist()
    ([0, 1, 2], [0.0, 0.5])
    """
    if end is None:
        start, end = 0, start
    for argument, value in (("start", start), ("end", end), ("step", step)):
        _number("arange", argument, value)
    if step == 0:
        raise ValueError("arange: step is 0, expected another number")
    if (end - start) // step >= 2**59:
        raise ValueError(f"arange: from {start} to {end} in steps of {step} are more numbers than a tensor can hold")
    values = np.arange(start, end, step)
    return _finish(
        values.astype(_dtype("arange", dtype, "int64" if values.dtype.kind in "iu" else "float32")), requires_grad
    )


def linspace(start, end, steps, dtype=None, requires_grad=False) -> _core.Tensor:
    """`steps` numbers from `start` to `end`, both included.

    >>> linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    _number("linspace", "start", start)
    _number("linspace", "end", end)
    steps = _size("linspace", "steps", steps)
    return _finish(np.linspace(start, end, steps, dtype=_dtype("linspace", dtype)), requires_grad)


def eye(n, m=None, dtype=None, requires_grad=False) -> _core.Tensor:
    """The identity matrix (n, m), m = n by default.

    >>> eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return _finish(np.eye(*_shape("eye", (n, n if m is None else m)), dtype=_dtype("eye", dtype)), requires_grad)


# ---- random: each call draws a fresh child of the root that manual_seed sets ----


def rand(*size, dtype=None, requires_grad=False) -> _core.Tensor:
    """Uniform numbers in [0, 1).

    >>> bool((rand(100) < 1).all())
    True
    """
    shape = _shape("rand", size)
    return _finish(_core.uniform(shape, 0.0, 1.0, _core.seed_child(), 0, _dtype("rand", dtype).name), requires_grad)


def randn(*size, dtype=None, requires_grad=False) -> _core.Tensor:
    """Standard normal numbers. `pn.manual_seed(s)` makes them repeatable.

    >>> _core.manual_seed(0); a = randn(3); _core.manual_seed(0)
    >>> bool((a == randn(3)).all())
    True
    """
    shape = _shape("randn", size)
    return _finish(_core.normal(shape, 0.0, 1.0, _core.seed_child(), 0, _dtype("randn", dtype).name), requires_grad)


def rand_like(input, dtype=None, requires_grad=False) -> _core.Tensor:
    """Uniform numbers in [0, 1) in the shape and dtype of `input`.

    >>> rand_like(zeros(2)).shape
    (2,)
    """
    return rand(*input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randn_like(input, dtype=None, requires_grad=False) -> _core.Tensor:
    """Standard normal numbers in the shape and dtype of `input`.

    >>> randn_like(zeros(2)).shape
    (2,)
    """
    return randn(*input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randint(low, high, size=None) -> _core.Tensor:
    """int64 numbers in low..high-1; `randint(high, size)` starts at 0.

    >>> t = randint(5, (100,))
    >>> int(t.min()) >= 0 and int(t.max()) < 5
    True
    """
    if size is None:
        low, high, size = 0, low, high
    _number("randint", "low", low)
    _number("randint", "high", high)
    if high <= low:
        raise ValueError(f"randint: low is {low} and high is {high}, expected low < high")
    u = _core.uniform(_shape("randint", (size,)), 0.0, 1.0, _core.seed_child(), 0, "float64")
    return _finish(np.minimum(np.floor(low + (high - low) * u), high - 1).astype(np.int64), False)


def randperm(n) -> _core.Tensor:
    """A random order of 0..n-1, int64.

    >>> sorted(randperm(3).tolist())
    [0, 1, 2]
    """
    return _finish(_core.permutation(_size("randperm", "n", n), _core.seed_child()), False)
