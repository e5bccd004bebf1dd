"""Direct convolution on blocks of 16 samples against PyTorch's sums in float64: all passes, ragged blocks too."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pyneuro import nn, tensor  # noqa: E402
from tests import tolerances  # noqa: E402

REAL = ("float32", "float64")
# shape of a sample, shape of the weights, options: odd sizes, strides over the kernel, kernels larger than the image,
# many channels (cut into several windows), long rows, depthwise, planes that share cache sets
CASES = [
    ((3, 9, 8), (5, 3, 3, 3), {"padding": 1}),
    ((4, 7, 9), (6, 2, 5, 3), {"stride": 2, "padding": 2, "groups": 2}),
    ((6, 8, 8), (12, 1, 3, 3), {"padding": 1, "groups": 6}),
    ((2, 3, 4), (3, 2, 7, 7), {"padding": 3}),
    ((2, 8, 9), (3, 2, 2, 2), {"stride": 3}),
    ((5, 6, 7), (17, 5, 1, 1), {"stride": (1, 2)}),
    ((10, 8, 8), (9, 10, 1, 1), {"padding": 1}),
    ((2, 12, 11), (4, 2, 2, 3), {"stride": (3, 1), "padding": (0, 2), "dilation": (2, 3)}),
    ((3, 3, 150), (7, 3, 3, 3), {"padding": 1}),
    ((80, 6, 5), (19, 80, 3, 3), {"padding": 1}),
    ((1, 28, 28), (6, 1, 5, 5), {"padding": 2}),
    ((3, 23, 23), (8, 3, 11, 11), {"stride": 4}),
    ((16, 16, 16), (16, 16, 3, 3), {"padding": 0}),
]
TURNED = [
    ((4, 5, 6), (4, 3, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((4, 3, 4), (4, 2, 2, 3), {"stride": (3, 1), "groups": 2, "dilation": (1, 2)}),
    ((70, 4, 4), (70, 9, 2, 2), {"stride": 2}),
]


def passes(op, x, w, b, gy, dtype, **options):
    """(y, gx, gw, gb) of one of our convolutions."""
    leaves = [tensor(a.astype(dtype), requires_grad=True) for a in (x, w, b)]
    y = getattr(nn.functional, op)(*leaves, algorithm="direct", **options)
    (y * tensor(gy.astype(dtype))).sum().backward()
    return [a.detach().numpy() for a in (y, *(leaf.grad for leaf in leaves))]


def exact(op, x, w, b, seed, **options):
    """gy, and the same by PyTorch in float64."""
    leaves = [torch.from_numpy(a).requires_grad_(True) for a in (x, w, b)]
    y = getattr(torch.nn.functional, op)(*leaves, **options)
    gy = draw(np.random.default_rng(seed), tuple(y.shape))
    y.backward(torch.from_numpy(gy))
    return gy, [a.detach().numpy() for a in (y, *(leaf.grad for leaf in leaves))]


def draw(rng, shape):
    """Normal numbers that float32 holds."""
    return rng.normal(size=shape).astype(np.float32).astype(np.float64)


def check(op, batch, case, dtype):
    shape, weight, options = case
    rng = np.random.default_rng(batch)
    outs = weight[0] if op == "conv2d" else weight[1] * options.get("groups", 1)
    given = draw(rng, (batch, *shape)), draw(rng, weight), draw(rng, (outs,))
    gy, want = exact(op, *given, batch, **options)
    for name, a, b in zip(("y", "gx", "gw", "gb"), passes(op, *given, gy, dtype, **options), want, strict=True):
        error = np.abs(a - b).max() / max(1.0, np.abs(b).max())
        assert error <= tolerances.OPS[dtype], (name, error)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("batch", [1, 3, 16, 17, 33])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_passes(case, batch, dtype):
    check("conv2d", batch, case, dtype)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("batch", [2, 16, 19])
@pytest.mark.parametrize("case", TURNED, ids=str)
def test_transposed(case, batch, dtype):
    check("conv_transpose2d", batch, case, dtype)


@pytest.mark.parametrize("options", [{"stride": 5000}, {"dilation": 5000, "padding": 5000}], ids=str)
def test_taps_and_outputs_must_not_lie_too_far_apart(options):
    x, w = np.zeros((1, 1, 3, 3), np.float32), np.zeros((1, 1, 3, 3), np.float32)
    with pytest.raises(
        ValueError, match="algorithm is direct, for which stride and the kernel with its dilation may be"
    ):
        nn.functional.conv2d(x, w, algorithm="direct", **options)
    assert nn.functional.conv2d(x, w, **options).shape[0] == 1  # another algorithm is chosen
