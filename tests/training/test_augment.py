"""Changes of pictures: exact values against NumPy, what is drawn, the same bits everywhere, and what is refused."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim
from pyneuro.augment import Compose, Normalize, RandomAffine, RandomCrop, RandomHorizontalFlip, RandomShift, apply
from tests import tolerances

SHAPES = [(40, 3, 6, 5), (40, 1, 1, 1), (30, 2, 1, 7), (30, 1, 9, 2), (20, 4, 8, 8)]


def pictures(shape, dtype=np.float32, seed=0):
    """No zeros, so that what moves in can be told from what was there."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "u":
        return rng.integers(1, 256, shape).astype(dtype)
    return rng.uniform(0.5, 1.5, shape).astype(dtype)


def window(x, top, left, height, width):
    """(height, width) of x (C, H, W) from (top, left) on, zeros beyond."""
    c, h, w = x.shape
    wide = np.zeros((c, h + 60, w + 60), x.dtype)
    wide[:, 30 : 30 + h, 30 : 30 + w] = x
    return wide[:, 30 + top : 30 + top + height, 30 + left : 30 + left + width]


def places(x, y, tops, lefts):
    """For each picture the (top, left) whose window y is; all that fit."""
    found = []
    for a, b in zip(x, y, strict=True):
        fits = [(t, left) for t in tops for left in lefts if np.array_equal(window(a, t, left, *b.shape[1:]), b)]
        assert fits
        found.append(fits)
    return found


def is_uniform(values, options):
    """Chi-squared far from its tail: 5 sigma for a fixed seed is no matter of luck."""
    counts = np.array([values.count(option) for option in options])
    expected = len(values) / len(options)
    chi2 = ((counts - expected) ** 2 / expected).sum()
    k = len(options) - 1
    assert abs(chi2 - k) < 5 * np.sqrt(2 * k)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, ">f4", np.int16])
def test_shift_and_crop_are_windows(shape, dtype):
    x = pictures(shape, np.uint8 if np.dtype(dtype).kind in "ui" else np.float32).astype(dtype)
    real = np.float64 if dtype == np.float64 else np.float32
    y = apply(x, RandomShift((2, 1)), seed=1)
    assert y.dtype == real
    assert y.shape == x.shape
    places(x.astype(real), y, range(-2, 3), range(-1, 2))
    side = shape[2] + 1, shape[3]
    y = apply(x, RandomCrop(side, padding=(2, 3)), seed=1)
    assert y.shape == (*shape[:2], *side)
    places(x.astype(real), y, range(-2, shape[2] + 2 - side[0] + 3), range(-3, 4))


def test_shifts_and_crops_are_uniform():
    x = pictures((3000, 1, 7, 7))
    for change, options in ((RandomShift(1), (-1, 0, 1)), (RandomCrop(5), (0, 1, 2))):
        found = [fits[0] for fits in places(x, apply(x, change, seed=5), options, options)]
        is_uniform(found, [(top, left) for top in options for left in options])


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_flips(p):
    x = pictures((2000, 2, 3, 5))
    y = apply(x, RandomHorizontalFlip(p), seed=2)
    flipped = np.array([np.array_equal(a[:, :, ::-1], b) for a, b in zip(x, y, strict=True)])
    assert np.array_equal(y, np.where(flipped[:, None, None, None], x[..., ::-1], x))
    assert abs(flipped.mean() - p) <= 5 * np.sqrt(p * (1 - p) / len(x))


def affine(x, degrees, scale, shear, dtype):
    """The definition, pixel by pixel: x (C, H, W)."""
    c, h, w = x.shape
    t, k = np.deg2rad(degrees), np.tan(np.deg2rad(shear))
    forward = scale * np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) @ np.array([[1, k], [0, 1]])
    back, middle, y = np.linalg.inv(forward), np.array([(w - 1) / 2, (h - 1) / 2]), np.zeros((c, h, w))
    for i in range(h):
        for j in range(w):
            u, v = back @ (np.array([j, i]) - middle) + middle
            c0, r0 = int(np.floor(u)), int(np.floor(v))
            for row, column in ((r0, c0), (r0, c0 + 1), (r0 + 1, c0), (r0 + 1, c0 + 1)):
                if 0 <= row < h and 0 <= column < w:
                    y[:, i, j] += x[:, row, column] * (1 - abs(u - column)) * (1 - abs(v - row))
    return y.astype(dtype)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("shape", [(2, 7, 9), (1, 1, 1), (3, 4, 4), (1, 12, 3)])
def test_affine_maps(shape, dtype, bound):
    """At angles where no place falls on an edge between pixels by rounding."""
    x = pictures(shape).astype(dtype)
    for degrees, scale, shear in ((17, 1.1, 0), (-33, 0.7, 13), (3, 1.0, -7), (120, 1.3, 40), (0, 1.0, 0)):
        change = RandomAffine((degrees, degrees), scale=(scale, scale), shear=(shear, shear))
        y = apply(x[None], change)[0]
        np.testing.assert_allclose(y, affine(x, degrees, scale, shear, dtype), atol=bound)
    assert np.array_equal(apply(x[None], RandomAffine(0))[0], x)


def test_affine_draws_within_its_ranges():
    """A plane u = column tells where each pixel came from: the map is read off it."""
    n, side = 500, 9
    column = np.broadcast_to(np.arange(side, dtype=float), (side, side))
    x = np.broadcast_to(np.stack([column, column.T, np.ones((side, side))]), (n, 3, side, side))
    change = RandomAffine(10, translate=(0.1, 0.2), scale=(1.5, 2.0))
    y = apply(x, change, seed=3)
    assert (y[:, 2, 3:6, 3:6] > 1 - 1e-12).all()  # the middle comes from inside
    right = y[:, :2, 4, 5] - y[:, :2, 4, 4]  # what one step to the right is in the picture
    down = y[:, :2, 5, 4] - y[:, :2, 4, 4]
    scale = 1 / np.hypot(*right.T)
    degrees = -np.rad2deg(np.arctan2(right[:, 1], right[:, 0]))
    moved = 4 - y[:, :2, 4, 4]
    back = np.stack([right, down], 2)
    shift = np.einsum("nij,nj->ni", np.linalg.inv(back), moved)
    for values, low, high in ((scale, 1.5, 2), (degrees, -10, 10), (shift[:, 0], -0.9, 0.9), (shift[:, 1], -1.8, 1.8)):
        width = high - low
        assert values.min() >= low - 1e-9
        assert values.max() <= high + 1e-9
        assert abs(values.mean() - (low + high) / 2) < 5 * width / np.sqrt(12 * n)
        assert abs(values.std() - width / np.sqrt(12)) < 0.1 * width


def test_normalize_and_compose():
    x = pictures((4, 3, 5, 5), np.uint8)
    mean, std = [120.0, 110.0, 100.0], [60.0, 50.0, 70.0]
    y = apply(x, Normalize(mean, std))
    m, s = (np.array(v, np.float32)[:, None, None] for v in (mean, std))
    assert np.array_equal(y, (x.astype(np.float32) - m) / s)
    assert np.array_equal(y, nn.Normalize(mean, std).predict(x))
    both = Compose([Compose([RandomHorizontalFlip(1)]), Normalize(mean, std)])
    assert np.array_equal(apply(x, both), y[..., ::-1])
    assert np.array_equal(apply(x, []), x.astype(np.float32))
    assert (
        repr(both)
        == "Compose([RandomHorizontalFlip(p=1.0), Normalize(mean=(120.0, 110.0, 100.0), std=(60.0, 50.0, 70.0))])"
    )


def test_steps_seeds_and_places_draw_differently():
    x = np.broadcast_to(pictures((1, 1, 9, 9)), (400, 1, 9, 9))
    change = [RandomShift(4), RandomShift(4)]
    a = apply(x, change, seed=1, step=0)
    assert np.array_equal(a, apply(x, change, seed=1, step=0))
    for other in (apply(x, change, seed=2, step=0), apply(x, change, seed=1, step=1)):
        same = (a == other).all(axis=(1, 2, 3)).mean()
        assert same < 0.15
    assert len(np.unique(a.reshape(400, -1), axis=0)) > 150


def test_forms_of_pictures():
    """Any strides and byte order; (N, H, W); tensors; no rows."""
    x = pictures((5, 6, 7, 2)).transpose(0, 3, 1, 2)  # channels last in memory
    change = [RandomShift(2), RandomHorizontalFlip(), RandomAffine(20)]
    expected = apply(np.ascontiguousarray(x), change, seed=0)
    assert np.array_equal(apply(x, change, seed=0), expected)
    assert np.array_equal(apply(pn.tensor(np.ascontiguousarray(x)), change, seed=0), expected)
    assert np.array_equal(apply(x[:, 0], change, seed=0), expected[:, 0])
    assert np.array_equal(apply(x[::-1], RandomHorizontalFlip(1)), x[::-1, ..., ::-1])
    assert apply(x[:0], change).shape == (0, 2, 6, 7)


# ---- training ----


def network(seed=0):
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(4 * 16, 3), seed=seed)


CHANGES = [RandomCrop(6, padding=2), RandomHorizontalFlip(), RandomAffine(15, scale=(0.8, 1.2))]


def data(n=70, dtype=np.uint8):
    return pictures((n, 2, 6, 6), dtype), np.random.default_rng(1).integers(0, 3, n)


def train(net=None, epochs=3, changes=CHANGES, dtype=np.uint8, **more):
    net = net or network()
    x, y = data(dtype=dtype)
    more = {"optimizer": optim.SGD(lr=1e-3, momentum=0.9), "batch_size": 16, "seed": 4, "verbose": 0, **more}
    net.fit(x, y, epochs=epochs, augment=changes, **more)
    return net


def bits(net):
    return [p.numpy().tobytes() for p in net.parameters()]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_same_bits_for_any_number_of_threads(dtype):
    before, found = pn.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            pn.set_num_threads(threads)
            found.append(bits(train(dtype=dtype)))
    finally:
        pn.set_num_threads(before)
    assert found[0] == found[1] == found[2]
    assert bits(train(changes=None, dtype=dtype)) != found[0]


def test_fit_is_a_loop_with_apply():
    """What a step of fit sees is `apply` with its seed and step: plan, teaching mode and a hand-written loop agree."""
    net = train().to("float64")
    eager = train(mode="eager").to("float64")
    x, y = data()
    by_hand = network()
    optimizer = optim.SGD(by_hand.parameters(), lr=1e-3, momentum=0.9)
    step = 0
    for epoch in range(3):
        for xb, yb in pn.batches(x, y, 16, seed=4, epoch=epoch):
            changed = apply(xb, CHANGES, seed=4, step=step)
            optimizer.zero_grad()
            nn.functional.cross_entropy(by_hand(pn.tensor(changed)), yb).backward()
            optimizer.step()
            step += 1
    for other in (eager, by_hand):
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            np.testing.assert_allclose(p.numpy(), q.numpy(), atol=tolerances.MODES["float32"])


def test_a_stream_of_batches_is_changed_too():
    x, y = data(64)
    batches = [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16)]
    a, b = network(), network()
    more = {"optimizer": optim.SGD(lr=1e-3), "epochs": 2, "seed": 4, "verbose": 0, "augment": CHANGES}
    a.fit(batches, **more)
    more["optimizer"] = optim.SGD(lr=1e-3)
    b.fit(x, y, batch_size=16, shuffle=False, **more)
    assert bits(a) == bits(b)


def test_resumed_training_ends_in_the_same_bits(tmp_path):
    path = tmp_path / "run"
    train(epochs=2, checkpoint=path)
    resumed = train(network(seed=9), epochs=5, checkpoint=path, resume=True)
    assert bits(resumed) == bits(train(epochs=5))
    with pytest.raises(pn.checkpoint.CheckpointError, match=r"augment was .*RandomCrop.*, now it is \[\]"):
        train(epochs=6, checkpoint=path, resume=True, changes=None)


def test_validation_sees_pictures_as_they_are():
    x, y = data(dtype=np.float32)
    net = network()
    history = net.fit(
        x, y, augment=RandomShift(6), epochs=1, validation_data=(x, y), metrics=["accuracy"], seed=0, verbose=0
    )
    found = net.evaluate(x, y)
    assert history.history["val_loss"][-1] == pytest.approx(found["loss"], rel=1e-6)
    assert history.mode == "plan"


def test_images_of_one_channel_without_an_axis_for_it():
    x, y = data()
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), seed=0)
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), seed=0)
    for n, images in ((net, x[:, 0]), (other, x[:, :1])):
        n.fit(images, y, augment=CHANGES, optimizer=optim.SGD(lr=1e-3), epochs=2, seed=0, verbose=0)
    assert bits(net) == bits(other)


def test_a_step_that_overflows_is_named_and_changes_nothing():
    """The step is run again with the same pictures to find the op."""
    x, y = data(dtype=np.float32)
    net = network()
    with pytest.raises(FloatingPointError, match=r"step \d+ \(epoch \d+\)"):
        net.fit(x, y, augment=CHANGES, optimizer=optim.SGD(lr=1e30), epochs=3, seed=0, verbose=0)
    assert all(np.isfinite(p.numpy()).all() for p in net.parameters())


def test_it_helps_against_shifts():
    """A dense net trained on shifted pictures reads other shifts; without it does not."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    x = np.zeros((200, 1, 12, 12), np.float32)
    x[y == 0, 0, 5:7, 3:9] = 1
    x[y == 1, 0, 3:9, 5:7] = 1
    test = apply(x, RandomShift(3), seed=99)
    found = []
    for changes in (None, [RandomShift(3)]):
        net = nn.Sequential(nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 2), seed=0)
        net.fit(x, y, augment=changes, epochs=15, seed=0, verbose=0)
        found.append((net.predict_labels(test) == y).mean())
    assert found[1] > 0.95
    assert found[1] > found[0] + 0.1


# ---- what is refused ----


def fit(x, y, changes, **more):
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(x.shape[1:])), 3)).fit(
        x, y, augment=changes, verbose=0, **more
    )


IMAGES, LABELS = np.ones((4, 1, 5, 5)), np.zeros(4, int)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: RandomShift(-1), "RandomShift: pixels must be at least 0, got -1"),
        (lambda: RandomShift(1.5), "RandomShift: pixels must be a whole number"),
        (lambda: RandomShift((1, 2, 3)), r"pixels must be a number or \(rows, columns\)"),
        (lambda: RandomCrop(0), "RandomCrop: size must be at least 1, got 0"),
        (lambda: RandomHorizontalFlip(1.5), "RandomHorizontalFlip: p must be from 0 to 1, got 1.5"),
        (lambda: RandomAffine((20, 10)), "degrees goes from 20 to 10"),
        (lambda: RandomAffine(float("nan")), "degrees must be"),
        (lambda: RandomAffine(5, scale=(0, 1)), "scale must be from 0.001 to 1000.0, got 0"),
        (lambda: RandomAffine(5, scale=2), r"scale must be \(from, to\), got 2"),
        (lambda: RandomAffine(5, shear=89), "shear must be from -80 to 80, got -89"),
        (lambda: RandomAffine(5, translate=0.1), "translate must be"),
        (lambda: Normalize([0.5], [0]), "std must be above 0"),
        (lambda: Compose([RandomShift(1), "flip"]), "Compose: expected changes of pn.augment .*, got 'flip'"),
        (lambda: Compose(RandomHorizontalFlip), r"write RandomHorizontalFlip\(...\)"),
        (lambda: Compose([RandomShift(1)] * 17), "at most 16 changes, got 17"),
        (lambda: apply(np.ones((2, 5)), RandomShift(1)), r"X has shape \(2, 5\), expected pictures \(N, C, H, W\)"),
        (lambda: apply(IMAGES, RandomCrop(8, padding=1)), "a window of 8 x 8 cannot be cut from pictures of 5 x 5"),
        (lambda: apply(IMAGES, Normalize([0, 0], [1, 1])), "mean has 2 numbers, the pictures have 1 channels"),
        (lambda: fit(IMAGES, LABELS, [Normalize(0, 1)]), r"begin the network with the layer nn.Normalize\(mean, std\)"),
        (lambda: fit(IMAGES, LABELS, RandomCrop(4)), "makes pictures of 4 x 4 pixels, .* have 5 x 5"),
        (lambda: fit(np.ones((4, 25)), LABELS, RandomShift(1)), r"X must be \(N, C, H, W\) .* has shape \(4, 25\)"),
        (lambda: fit(IMAGES, np.ones((4, 5, 5)), RandomShift(1)), "y has shape .*, a picture for each picture"),
        (lambda: fit(IMAGES, LABELS, "flip"), "fit: augment: expected changes"),
    ],
)  # fmt: skip
def test_wrong_arguments(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_the_core_believes_no_list():
    """Numbers that Python would never send."""
    x = np.ones((2, 3, 4, 4))
    for code in ([], [9, 1, 0], [0], [0, 2, 1], [0, 2, 1, 1, 0], [2, 1, np.nan], [2, 0], [1, 4, 9, 9, 0, 0],
                 [4, 2, 0, 1], [0.0, 1e300, 1], [-1, 1, 1], [3, 8, *[0] * 8], [2, 1, 1] * 17):  # fmt: skip
        with pytest.raises(ValueError, match="augment"):
            pn._core.augment(x, np.array(code, float), 0, 0, "float32")
    with pytest.raises(ValueError, match="row of numbers"):
        pn._core.augment(x, np.ones((2, 2)), 0, 0, "float32")
    with pytest.raises(TypeError, match="float32 or float64"):
        pn._core.augment(x, np.array([2.0, 1, 1]), 0, 0, "int64")
    with pytest.raises(ValueError, match="pictures"):
        pn._core.augment(np.ones((2, 0, 4, 4)), np.array([2.0, 1, 1]), 0, 0, "float32")
