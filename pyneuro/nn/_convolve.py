"""Convolutions as functions: what `nn.functional` and `pn.filter2d` offer, and the reading of their arguments."""

from pyneuro import _core
from pyneuro.nn import _check

_ops = _core.ops
_conv2d, _conv_transpose2d, _reshape = _ops["conv2d"], _ops["conv_transpose2d"], _ops["reshape"]
ALGORITHMS = ("auto", "naive", "im2col", "direct", "winograd2", "winograd4")
_WINOGRAD = {"winograd2": ((3, 3),), "winograd4": ((2, 2), (3, 3), (4, 4), (5, 5))}  # kernels


def numbers(name, argument, value, n, least):
    """`value`, a whole number or `n` of them, as a tuple of `n`. TypeError or ValueError with the layer's name."""
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            value = value * n
        if len(value) != n:
            raise ValueError(f"{name}: {argument} has {len(value)} numbers, expected {n} or one, got {value!r:.80}")
        return tuple(_check.size(name, argument, v, least) for v in value)
    return (_check.size(name, argument, value, least),) * n


def padding_of(name, padding, kernel, stride, dilation):
    """`padding` as the op takes it: (rows, columns) or, for "same", (top, bottom, left, right).

    "same" keeps the size: dilation (kernel - 1) zeros for each dimension, the odd one behind, as in PyTorch; it needs
    stride 1. "valid" is 0. ValueError for other words and for "same" with a stride.
    """
    if padding == "valid":
        return (0,) * len(kernel)
    if padding != "same":
        if isinstance(padding, str):
            _check.choice(name, "padding", padding, ("same", "valid"))
        return numbers(name, "padding", padding, len(kernel), 0)
    if any(s != 1 for s in stride):
        raise ValueError(f"{name}: padding='same' keeps the size and needs stride 1, got stride {stride}")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple(part for total in totals for part in (total // 2, total - total // 2))


def _expect(x, weight_shape, channels, letters):
    """Raises ValueError when `x` is not (N, channels, *letters) or, without the batch, (channels, *letters)."""
    shape = tuple(x.shape)
    rank = len(letters) + 2
    if len(weight_shape) != rank:
        raise ValueError(f"weight has shape {weight_shape}, expected {rank} dimensions")
    if (len(shape) == rank and shape[1] == channels) or (len(shape) == rank - 1 and shape[0] == channels):
        return
    hint = ""
    if len(shape) == rank and shape[-1] == channels:
        hint = f". Is it channels-last? Use x.transpose(0, {rank - 1}, {', '.join(map(str, range(1, rank - 1)))})"
    raise ValueError(f"x has shape {shape}, expected (N, {channels}, {', '.join(letters)}){hint}")


def _batched(op, x, weight, bias, attributes):
    """`op` on (N, C, H, W), or on one (C, H, W), whose result then has no batch either."""
    shape = tuple(x.shape)
    if len(shape) != 3:
        return op(x, weight, bias, *attributes)
    y = op(_reshape(x, (1, *shape)), weight, bias, *attributes)
    return _reshape(y, tuple(y.shape)[1:])


def run_conv2d(x, weight, bias, attributes):
    """The op with its attributes as they are kept by a layer: stride, padding, dilation, groups, algorithm."""
    x = _check.tensor(x, weight)
    if len(x.shape) == 3:
        _expect(x, tuple(weight.shape), weight.shape[1] * attributes[3], ("H", "W"))
    return _batched(_conv2d, x, weight, bias, attributes)


def run_conv_transpose2d(x, weight, bias, attributes):
    """The op with its attributes: stride, padding, dilation, groups, algorithm, output_padding."""
    x = _check.tensor(x, weight)
    if len(x.shape) == 3:
        _expect(x, tuple(weight.shape), weight.shape[0], ("H", "W"))
    return _batched(_conv_transpose2d, x, weight, bias, attributes)


def run_conv1d(x, weight, bias, attributes):
    """conv2d on one row: x (N, C, L) or (C, L), weight (O, C / groups, k). Attributes hold one number each, "same" two.

    The copies of shape cost nothing: they are views.
    """
    x = _check.tensor(x, weight)
    stride, padding, dilation, groups, algorithm = attributes
    shape, kernel = tuple(x.shape), tuple(weight.shape)
    _expect(x, kernel, kernel[1] * groups if len(kernel) == 3 else 0, ("L",))
    padding = (0, 0, *padding) if len(padding) == 2 else (0, *padding)
    both = sum(padding) if len(padding) == 4 else 2 * padding[1]
    reach = dilation[0] * (kernel[2] - 1) + 1
    if shape[-1] + both < reach:
        raise ValueError(
            f"x has shape {shape} and weight {kernel}: the output would have floor((N + 2p - F) / s) + 1 = "
            f"floor(({shape[-1]} + {both} - {reach}) / {stride[0]}) + 1 = "
            f"{(shape[-1] + both - reach) // stride[0] + 1} elements, needed is at least 1"
        )
    rows = _reshape(x, (shape[0] if len(shape) == 3 else 1, shape[-2], 1, shape[-1]))
    weight = _reshape(weight, (kernel[0], kernel[1], 1, kernel[2]))
    y = _conv2d(rows, weight, bias, (1, *stride), padding, (1, *dilation), groups, algorithm)
    sizes = tuple(y.shape)
    return _reshape(y, (sizes[0], sizes[1], sizes[3]) if len(shape) == 3 else (sizes[1], sizes[3]))


def attributes_of(name, kernel, stride, padding, dilation, groups, algorithm):
    """(stride, padding, dilation, groups, algorithm) as the ops take them, for a kernel of the given sizes."""
    stride = numbers(name, "stride", stride, len(kernel), 1)
    dilation = numbers(name, "dilation", dilation, len(kernel), 1)
    padding = padding_of(name, padding, kernel, stride, dilation)
    _check.choice(name, "algorithm", algorithm, ALGORITHMS)
    if algorithm in _WINOGRAD and not ((*kernel,) in _WINOGRAD[algorithm] and stride == dilation == (1, 1)):
        sizes = " to ".join(f"{k} x {k}" for k in sorted({_WINOGRAD[algorithm][0][0], _WINOGRAD[algorithm][-1][0]}))
        raise ValueError(
            f"{name}: algorithm is {algorithm!r}, which is for kernels of {sizes} with stride 1 and dilation 1, but "
            f"the kernel is {tuple(kernel)}, stride {stride} and dilation {dilation}"
        )
    return stride, padding, dilation, _check.size(name, "groups", groups), algorithm


def _kernel(name, weight, rank):
    shape = tuple(weight.shape)
    if len(shape) != rank:
        raise ValueError(f"{name}: weight has shape {shape}, expected {rank} dimensions")
    return shape[2:]


def _tensors(input, weight):
    """The weight as a Tensor beside its input. Two that are none are float64 if one of them is, as in `linear`."""
    plain = not isinstance(input, _core.Tensor) and not isinstance(weight, _core.Tensor)
    if plain and "float64" in (_core.as_tensor(input).dtype, _core.as_tensor(weight).dtype):
        return _core.as_tensor(input, "float64"), _core.as_tensor(weight, "float64")
    return input, _check.tensor(weight, input)


# ---- functions ----


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, algorithm="auto"):
    """Cross-correlation along one dimension: input (N, C, L) or (C, L), weight (O, C / groups, k) -> (N, O, P).

    P = floor((L + 2 padding - dilation (k - 1) - 1) / stride) + 1. Arguments and errors as in `conv2d`.

    >>> conv1d([[[1.0, 2.0, 4.0, 8.0]]], [[[-1.0, 1.0]]]).tolist()
    [[[1.0, 2.0, 4.0]]]
    """
    input, weight = _tensors(input, weight)
    kernel = _kernel("conv1d", weight, 3)
    return run_conv1d(
        input, weight, bias, attributes_of("conv1d", kernel, stride, padding, dilation, groups, algorithm)
    )


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, algorithm="auto"):
    """Cross-correlation, which networks call convolution: y[n, o, p, q] = bias[o] + sum of x w over the window at p, q.

    input (N, C, H, W) or (C, H, W); weight (O, C / groups, kh, kw); bias (O,) or None -> (N, O, P, Q) with
    P = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1.

    stride, dilation: a number or (rows, columns).     padding: the same, "valid" (0), or "same", which keeps the size
    at stride 1.     groups: that many separate convolutions side by side; C means depthwise.
    algorithm: "auto" chooses by shape; "naive" is the definition as loops, "im2col" a matrix product; "direct" sums
    over taps with 16 samples side by side, for batches that fill most of such a block; "winograd2" and "winograd4" are
    Winograd's with stride and dilation 1: "winograd2" for kernels of 3 x 3 in tiles of 2 x 2 outputs, 9/4 times fewer
    multiplications; "winograd4" in tiles of 4 x 4 for 3 x 3 (4 times fewer), 3 x 3 for 4 x 4 (4), 2 x 2 for 5 x 5
    (2.8), 5 x 5 for 2 x 2 (2.8). The price is a rounding error of about twice ("winograd2") or 5 to 6 times
    ("winograd4") that of a plain sum, as root mean square. With "winograd4", which "auto" may choose, a NaN or an
    infinity in x may reach whole tiles, up to 6 x 6 outputs; with the other algorithms it reaches the outputs whose
    window holds it alone.

    Raises ValueError naming both shapes when they do not fit or nothing would come out. Source: lectures 001 and 003;
    PyTorch's function.

    >>> x = [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]]
    >>> conv2d(x, [[[[1.0, 0.0], [0.0, -1.0]]]]).tolist()
    [[[[-4.0, -4.0], [-4.0, -4.0]]]]
    """
    input, weight = _tensors(input, weight)
    kernel = _kernel("conv2d", weight, 4)
    return run_conv2d(
        input, weight, bias, attributes_of("conv2d", kernel, stride, padding, dilation, groups, algorithm)
    )


def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *, algorithm="auto"
):
    """Transposed convolution, the input gradient of `conv2d`: every number of the input spreads the kernel over y.

    input (N, C, H, W) or (C, H, W); weight (C, O / groups, kh, kw); bias (O,) or None -> (N, O, P, Q) with
    P = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1.

    output_padding: rows and columns added behind, less than the stride or the dilation. The others as in `conv2d`,
    padding as numbers only. Raises ValueError as `conv2d`. Source: PyTorch's function.

    >>> conv_transpose2d([[[[1.0, 2.0]]]], [[[[1.0, 10.0]]]], stride=(1, 2)).tolist()
    [[[[1.0, 10.0, 2.0, 20.0]]]]
    """
    (input, weight), name = _tensors(input, weight), "conv_transpose2d"
    kernel = _kernel(name, weight, 4)
    padding = numbers(name, "padding", padding, 2, 0)
    attributes = attributes_of(name, kernel, stride, padding, dilation, groups, algorithm)
    more = numbers(name, "output_padding", output_padding, 2, 0)
    return run_conv_transpose2d(input, weight, bias, (*attributes, more))


def _real(x, dtype):
    """`x` as a Tensor of a real type: of `dtype` when it is not one already."""
    if isinstance(x, _core.Tensor):
        return x if x.dtype != "int64" else _ops["cast"](x, dtype)
    return _core.as_tensor(x, dtype)


def filter2d(image, K, *, flip=False):
    """The lectures' linear filter I*K: (I*K)[p, q] = sum over i, j of I[p + i, q + j] K[i, j], where K fits wholly.

    image (H, W) or (N, H, W), of any numbers; K (kh, kw) -> (H - kh + 1, W - kw + 1), or that for each of N. Integers
    become float32, a K that is no Tensor takes the image's type. Gradients flow to both.

    flip: False is the cross-correlation of the slides; True turns K by 180 degrees first, which is the convolution of
    mathematics (scipy.signal.convolve2d with mode="valid").

    Raises ValueError when a shape has other dimensions or K is larger than the image. Source: lecture 001.

    >>> import pyneuro as pn
    >>> pn.filter2d([[0, 1, 2], [3, 4, 5]], [[1, 0], [0, -1]]).tolist()
    [[-4.0, -4.0]]
    >>> pn.filter2d([[0, 1, 2], [3, 4, 5]], [[1, 0], [0, -1]], flip=True).tolist()
    [[4.0, 4.0]]
    """
    given = image if isinstance(image, _core.Tensor) else _core.as_tensor(image)
    other = K.dtype if isinstance(K, _core.Tensor) and K.dtype != "int64" else "float32"
    x = given if given.dtype != "int64" else _ops["cast"](given, other)
    kernel = _real(K, x.dtype)
    shape, window = tuple(x.shape), tuple(kernel.shape)
    if len(shape) not in (2, 3):
        raise ValueError(f"filter2d: image has shape {shape}, expected (H, W) or (N, H, W)")
    if len(window) != 2 or 0 in window:
        raise ValueError(f"filter2d: K has shape {window}, expected (kh, kw)")
    if window[0] > shape[-2] or window[1] > shape[-1]:
        raise ValueError(f"filter2d: K has shape {window} and does not fit into an image of shape {shape[-2:]}")
    if flip:
        kernel = _ops["slice"](kernel, (window[0] - 1, window[1] - 1), (-1, -1), (-1, -1))
    x = _reshape(x, (shape[0] if len(shape) == 3 else 1, 1, *shape[-2:]))
    y = _conv2d(x, _reshape(kernel, (1, 1, *window)))
    sizes = tuple(y.shape)
    return _reshape(y, (*shape[:-2], *sizes[2:]))
