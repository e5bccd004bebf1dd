"""Arrays as a user may bring them: every numeric dtype and byte order, any strides, no elements, read-only, NaN."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)
REALS = hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
CUTS = st.sampled_from([slice(None), slice(None, None, -1), slice(1, None, 2), slice(None, None, 3)])


@st.composite
def arrays(draw, dtypes=DTYPES, shapes=None, elements=None, permute=True):
    """An array of one of `dtypes` that need not be contiguous, aligned or writable."""
    if shapes is None:
        shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    a = draw(hnp.arrays(draw(dtypes), shapes, elements=elements))
    if a.dtype.kind == "f" and elements is None and a.size and draw(st.booleans()):
        a.flat[draw(st.integers(0, a.size - 1))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    if a.ndim:
        a = a[tuple(draw(CUTS) for _ in a.shape)]
        a = a.transpose(draw(st.permutations(range(a.ndim)))) if permute else a
    if draw(st.booleans()) and a.size:
        a = unaligned(a)
    a.flags.writeable = draw(st.booleans()) and a.flags.writeable
    return a


def unaligned(a):
    """The same values one byte beside where they would be aligned."""
    room = np.empty(a.nbytes + 1, np.uint8)
    b = room[1:].view(a.dtype).reshape(a.shape)
    b[...] = a
    return b


def fits_int64(a):
    """Whether a tensor can hold it: an unsigned number above the range of int64 is refused."""
    return a.dtype.kind != "u" or not a.size or int(a.max()) < 2**63


def as_tensor_type(a):
    """The array that a tensor of `a` holds: float64 stays, other floats become float32, all others int64."""
    if a.dtype.kind == "f":
        return a.astype("f8" if a.dtype.itemsize == 8 else "f4")
    return a.astype("i8")
