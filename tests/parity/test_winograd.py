"""Winograd's convolution against PyTorch's sums in float64: all passes, both tiles, ragged planes and blocks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pyneuro import _core, get_num_threads, nn, set_num_threads, tensor  # noqa: E402
from tests import tolerances  # noqa: E402

REAL, TILES = ("float32", "float64"), ("winograd2", "winograd4")
CHANNELS = [(1, 16), (3, 33), (16, 3), (33, 1), (16, 16), (33, 33)]
PLANES = [(7, 5, 0), (4, 9, 1), (3, 3, 2), (1, 6, (1, 0)), (8, 4, 1), (5, 2, (0, 3)), (10, 11, 1)]  # h, w, padding


def passes(x, w, b, gy, algorithm, dtype, **options):
    """(y, gx, gw, gb) of conv2d."""
    leaves = [tensor(a.astype(dtype), requires_grad=True) for a in (x, w, b)]
    y = nn.functional.conv2d(*leaves, algorithm=algorithm, **options)
    (y * tensor(gy.astype(dtype))).sum().backward()
    return [a.detach().numpy() for a in (y, *(leaf.grad for leaf in leaves))]


def exact(x, w, b, gy, **options):
    """The same by PyTorch in float64."""
    leaves = [torch.from_numpy(a).requires_grad_(True) for a in (x, w, b)]
    y = torch.nn.functional.conv2d(*leaves, **options)
    y.backward(torch.from_numpy(gy))
    return [a.detach().numpy() for a in (y, *(leaf.grad for leaf in leaves))]


def draw(rng, n, c, o, h, w, padding, groups=1, kernel=3):
    """x, w, b, gy of size 1; representable in float32."""
    pad = padding if isinstance(padding, tuple) else (padding, padding)
    shapes = (n, c, h, w), (o, c // groups, kernel, kernel), (o,), (n, o, h + 2 * pad[0] - kernel + 1)
    shapes = (*shapes[:3], (*shapes[3], w + 2 * pad[1] - kernel + 1))
    return [rng.normal(size=s).astype(np.float32).astype(np.float64) for s in shapes]


def check(given, algorithm, dtype, **options):
    found = passes(*given, algorithm, dtype, **options)
    for name, a, b in zip(("y", "gx", "gw", "gb"), found, exact(*given, **options), strict=True):
        error = np.abs(a - b).max() / max(1.0, np.abs(b).max())
        assert error <= tolerances.WINOGRAD[algorithm][dtype], (name, error)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("algorithm", TILES)
@pytest.mark.parametrize("batch", [1, 3, 16, 17, 33])
def test_all_passes(batch, algorithm, dtype):
    """Planes and paddings in turn: whole tiles, ragged ones, and planes smaller than one."""
    rng = np.random.default_rng(batch)
    for k, (c, o) in enumerate(CHANNELS):
        h, w, padding = PLANES[(batch + k) % len(PLANES)]
        check(draw(rng, batch, c, o, h, w, padding), algorithm, dtype, padding=padding)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("kernel", [2, 4, 5])
def test_other_kernels(kernel, dtype):
    """Tiles of 6 x 6 inputs for kernels of 2 x 2 to 5 x 5: planes as large as the kernel, ragged tiles, any padding."""
    rng = np.random.default_rng(kernel)
    for batch, (c, o), (h, w, padding) in (
        (1, (3, 33), (kernel, kernel + 1, 0)),
        (17, (16, 3), (4, 9, kernel - 1)),
        (33, (5, 20), (10, 11, (1, kernel // 2))),
    ):
        check(draw(rng, batch, c, o, h, w, padding, kernel=kernel), "winograd4", dtype, padding=padding)
    check(draw(rng, 5, 6, 12, 6, 7, 1, 2, kernel), "winograd4", dtype, padding=1, groups=2)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("algorithm", TILES)
def test_groups(algorithm, dtype):
    rng = np.random.default_rng(1)
    for groups in (2, 6):
        check(draw(rng, 5, 6, 12, 6, 7, 1, groups), algorithm, dtype, padding=1, groups=groups)


@pytest.mark.parametrize("algorithm", ["direct", "winograd4"])
def test_parts_of_a_large_batch(algorithm):
    """Teaching mode lays out 16 MiB at a time: here one block of samples, the last one incomplete; any team."""
    given = draw(np.random.default_rng(4), 40, 4, 4, 128, 128, 1)
    found, before = [], get_num_threads()
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            found.append(passes(*given, algorithm, "float64", padding=1))
    finally:
        set_num_threads(before)
    for a, b, want in zip(*found, exact(*given, padding=1), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - want).max() <= tolerances.SAME * np.abs(want).max()


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("algorithm", TILES)
def test_transposed(algorithm, dtype):
    rng = np.random.default_rng(2)
    x, w, b = (rng.normal(size=s).astype(dtype) for s in ((18, 5, 6, 7), (5, 4, 3, 3), (4,)))
    ours = nn.functional.conv_transpose2d(x, w, b, padding=1, algorithm=algorithm).numpy()
    x, w, b = (torch.from_numpy(a.astype("float64")) for a in (x, w, b))
    theirs = torch.nn.functional.conv_transpose2d(x, w, b, padding=1).numpy()
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() <= tolerances.WINOGRAD[algorithm][dtype]


# Layers of ResNet-20, of the MNIST network and of AlexNet, and other kernels: channels, side of the plane, padding,
# side of the kernel.
LAYERS = [(16, 16, 32, 1, 3), (32, 32, 16, 1, 3), (64, 64, 8, 1, 3), (32, 64, 26, 0, 3), (256, 384, 13, 1, 3)]
LAYERS += [(96, 256, 27, 2, 5), (64, 48, 13, 1, 4), (48, 64, 12, 0, 2)]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_error_on_layers_of_networks(layer):
    c, o, size, padding, kernel = layer
    given = draw(np.random.default_rng(3), 16 if c < 96 else 2, c, o, size, size, padding, kernel=kernel)
    want = exact(*given, padding=padding)
    for algorithm in TILES if kernel == 3 else ("winograd4",):
        mean, largest = tolerances.WINOGRAD_LAYERS[algorithm]
        for a, b in zip(passes(*given, algorithm, "float32", padding=padding)[:3], want[:3], strict=True):
            scale = np.sqrt(np.mean(b**2))
            assert np.sqrt(np.mean((a - b) ** 2)) <= mean * scale
            assert np.abs(a - b).max() <= largest * scale


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_only_small_square_kernels(name):
    x, op = np.zeros((1, 2, 9, 9), np.float32), _core.ops[name]
    sizes = {"winograd2": "3 x 3", "winograd4": "2 x 2 to 5 x 5"}
    refused = [((3, 2), {}), ((6, 6), {}), ((3, 3), {"stride": 2}), ((3, 3), {"dilation": (1, 2)})]
    for algorithm, kernel, options in [(a, *r) for a in TILES for r in refused] + [("winograd2", (5, 5), {})]:
        says = rf"kernels of {sizes[algorithm]} with stride 1 and dilation 1, but weight has shape"
        with pytest.raises(ValueError, match=says):
            op(tensor(x), tensor(np.zeros((2, 2, *kernel), np.float32)), algorithm=algorithm, **options)
