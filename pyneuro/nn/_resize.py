"""Other sizes of maps as functions, by PyTorch's names: `nn.functional.pad` and `nn.functional.interpolate`."""

import math
import operator

from pyneuro import _core
from pyneuro.nn import _check
from pyneuro.nn._pooling import adaptive_avg_pool1d, adaptive_avg_pool2d

__all__ = ["interpolate", "pad"]

_ops = _core.ops
PAD_MODES = ("constant", "reflect", "replicate", "circular")
MODES = ("nearest", "nearest-exact", "linear", "bilinear", "area")


def _tensor(x):
    return x if isinstance(x, _core.Tensor) else _core.as_tensor(x)


def whole(name, argument, values):
    """`values` as a tuple of ints of any sign. TypeError when they are anything else."""
    try:
        return tuple(operator.index(n) for n in values)
    except TypeError:
        raise TypeError(f"{name}: {argument} must be whole numbers such as (1, 1), got {values!r:.80}") from None


def pad(input, pad, mode="constant", value=None):
    """`input` with more elements at both ends of its last dimensions.

    input (*) -> the same shape with before + after more along each padded dimension. pad: (before, after) of the last
    dimension, then of the one before, and so on; up to four dimensions. Negative numbers cut elements off.
    mode: "constant" puts `value` there (0 by default); "reflect" mirrors the elements without repeating the edge, at
    most size - 1 of them; "replicate" repeats the edge; "circular" goes on at the other end, at most once around.

    Gradients go back to where the elements came from. Integer input stays integer. Raises ValueError for an unknown
    mode, an odd count of numbers, more dimensions than input has, numbers too large for the mode, and for a value with
    another mode than "constant"; TypeError for numbers that are not whole. Source: PyTorch's nn.functional.pad.

    >>> pad([1.0, 2.0, 3.0], (2, 1)).tolist()
    [0.0, 0.0, 1.0, 2.0, 3.0, 0.0]
    >>> pad([1.0, 2.0, 3.0], (2, 1), mode="reflect").tolist()
    [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]
    """
    _check.choice("pad", "mode", mode, PAD_MODES)
    if mode != "constant" and value is not None:
        raise ValueError(f"pad: value is {value!r:.80}, which only mode 'constant' takes; mode is {mode!r}")
    value = 0.0 if value is None else _check.number("pad", "value", value)
    return _ops["pad"](input, whole("pad", "pad", pad), mode, value)


def scales(name, scale_factor, count):
    """`scale_factor`, one number or `count`, as a tuple of `count` positive floats."""
    several = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,)
    if len(several) not in (1, count):
        raise ValueError(
            f"{name}: scale_factor has {len(several)} numbers, expected {count} or one, got {several!r:.80}"
        )
    several = tuple(_check.number(name, "scale_factor", s) for s in several)
    if not all(0 < s < math.inf for s in several):
        raise ValueError(f"{name}: scale_factor must be positive, got {scale_factor!r:.80}")
    return several * count if len(several) == 1 else several


def options(name, size, scale_factor, mode, align_corners):
    """Raises ValueError for arguments of `interpolate` that contradict each other."""
    if mode == "bicubic":
        raise ValueError(f"{name}: mode 'bicubic' is not among {', '.join(map(repr, MODES))}; 'bilinear' comes nearest")
    _check.choice(name, "mode", mode, MODES)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{name}: give either size or scale_factor, got size={size}, scale_factor={scale_factor}")
    if align_corners is not None and mode not in ("linear", "bilinear"):
        raise ValueError(f"{name}: align_corners is for modes 'linear' and 'bilinear', mode is {mode!r}")


def _wanted(shape, size, scale_factor, recompute):
    """Sizes of the output, and scales (None where positions follow from the sizes alone)."""
    inner = shape[2:]
    if size is not None:
        several = tuple(size) if isinstance(size, (tuple, list)) else (size,) * len(inner)
        if len(several) != len(inner):
            raise ValueError(f"interpolate: size is {several!r:.80}, but x has shape {shape}: expected {len(inner)}")
        return tuple(_check.size("interpolate", "size", n) for n in several), (None,) * len(inner)
    factors = scales("interpolate", scale_factor, len(inner))
    sizes = tuple(math.floor(n * s) for n, s in zip(inner, factors, strict=True))
    if min(sizes) < 1:
        raise ValueError(f"interpolate: x has shape {shape}, and scale_factor {scale_factor} leaves a size of {sizes}")
    return sizes, (None,) * len(inner) if recompute else factors


def interpolate(
    input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None,
    antialias=False,
):  # fmt: skip
    """Images (N, C, H, W) or sequences (N, C, L) resampled to another size.

    size: of the output, one number or (height, width); or scale_factor: how many times as large, rounded down.
    mode: "nearest" takes pixel floor(o H / OH), "nearest-exact" the one whose middle is nearest, "bilinear" ("linear"
    for sequences) goes straight between neighbours, "area" is `adaptive_avg_pool2d`. align_corners (linear modes):
    whether the middles of the corner pixels meet, instead of the corners of the image. recompute_scale_factor: whether
    positions follow from the sizes alone, which a scale_factor such as 1.5 makes differ for odd sizes.

    Raises ValueError for both or neither of size and scale_factor, sizes below 1, another mode, align_corners without a
    linear mode, and antialias=True, which is not there. Source: PyTorch's nn.functional.interpolate.

    >>> interpolate([[[1.0, 2.0]]], scale_factor=2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    >>> interpolate([[[1.0, 2.0]]], 4, mode="linear").tolist()
    [[[1.0, 1.25, 1.75, 2.0]]]
    """
    options("interpolate", size, scale_factor, mode, align_corners)
    if antialias:
        raise ValueError("interpolate: antialias must be False; mode='area' averages when an image shrinks")
    x = _tensor(input)
    shape = tuple(x.shape)
    rank = {"linear": (3,), "bilinear": (4,)}.get(mode, (3, 4))
    if len(shape) not in rank:
        wanted = {(3,): "(N, C, L)", (4,): "(N, C, H, W)"}.get(rank, "(N, C, H, W) or (N, C, L)")
        raise ValueError(f"interpolate: x has shape {shape}, expected {wanted} for mode {mode!r}")
    sizes, factors = _wanted(shape, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return adaptive_avg_pool1d(x, sizes) if len(shape) == 3 else adaptive_avg_pool2d(x, sizes)
    op = _ops["interpolate"]
    if len(shape) == 4:
        return op(x, sizes, mode, bool(align_corners), *factors)
    x = _ops["reshape"](x, (*shape[:2], 1, shape[2]))
    line = "bilinear" if mode == "linear" else mode
    return _ops["reshape"](op(x, (1, *sizes), line, bool(align_corners), None, *factors), (*shape[:2], *sizes))
