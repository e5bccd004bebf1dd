"""The same bits for 1, 2 and 4 threads while all threads work, and nothing computed through NumPy."""

from contextlib import ExitStack
from unittest import mock

import networks
import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim


@pytest.fixture(autouse=True)
def threads_put_back():
    before = pn.get_num_threads()
    yield
    pn.set_num_threads(before)


def big(dropout=0.25):
    layers = [nn.Linear(200, 180), nn.ReLU(), nn.Dropout(dropout), nn.Linear(180, 120), nn.GELU(), nn.Linear(120, 10)]
    return nn.Sequential(*layers, seed=2)


def train(threads, optimizer, **more):
    pn.set_num_threads(threads)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((640, 200)).astype(np.float32), rng.integers(0, 10, 640)
    net = big()
    before = np.array(pn._core.thread_blocks())
    history = net.fit(x, y, optimizer=optimizer, epochs=2, batch_size=90, seed=4, verbose=0, **more)
    worked = np.array(pn._core.thread_blocks()) - before
    return net, history, worked


CASES = {
    "sgd": (lambda: optim.SGD(lr=0.05), {}),
    "momentum, clipped": (lambda: optim.Momentum(lr=0.05), {"clip_norm": 0.5}),
    "adam, metrics": (lambda: optim.Adam(lr=1e-3), {"metrics": ["accuracy"]}),
    "adamw, stop rule": (lambda: optim.AdamW(lr=1e-3), {"stop": pn.stop.GradBelow(1e-12)}),
}


@pytest.mark.parametrize("case", CASES)
def test_same_bits_for_any_number_of_threads(case):
    make, more = CASES[case]
    first, history, _ = train(1, make(), **more)
    for threads in (2, 4):
        net, again, worked = train(threads, make(), **more)
        assert networks.same_bits(first, net)
        assert again.history == history.history
        assert (worked[:threads] > 0).all(), "all threads take blocks"


def test_pooling_batch_norm_and_depthwise_convolution():
    """Ops that share out channels, blocks of samples and rows, in one plan."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((101, 3, 20, 20)).astype(np.float32), rng.integers(0, 5, 101)
    nets = []
    for threads in (1, 2, 4):
        pn.set_num_threads(threads)
        nets.append(nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(24, 24, 3, padding=1, groups=24), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 16, 1),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 5), seed=3,
        ))  # fmt: skip
        before = np.array(pn._core.thread_blocks())
        history = nets[-1].fit(x, y, optimizer="adam", epochs=2, batch_size=40, seed=4, verbose=0, mode="plan")
        assert history.mode == "plan"
        assert ((np.array(pn._core.thread_blocks()) - before)[:threads] > 0).all(), "all threads take blocks"
    states = [{k: v.numpy().tobytes() for k, v in net.state_dict().items()} for net in nets]
    assert states[0] == states[1] == states[2]


def test_a_last_batch_that_is_too_small_to_share():
    """Large batches are shared by the team, the last row is not: one member does it, the others wait."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((361, 200)).astype(np.float32), rng.integers(0, 10, 361)
    nets = []
    for threads in (1, 2, 4):
        pn.set_num_threads(threads)
        nets.append(nn.Sequential(nn.Linear(200, 180), nn.ReLU(), nn.Linear(180, 10), seed=2))
        before = np.array(pn._core.thread_blocks())
        nets[-1].fit(x, y, optimizer=optim.Adam(lr=1e-3), epochs=3, batch_size=360, seed=4, verbose=0)
        assert ((np.array(pn._core.thread_blocks()) - before)[:threads] > 0).all()
    assert networks.same_bits(nets[0], nets[1])
    assert networks.same_bits(nets[0], nets[2])


def test_same_bits_again_and_whatever_the_slices():
    """Callbacks between epochs, a progress bar and validation cut the run in other places: nothing changes."""
    first, history, _ = train(2, optim.Adam(lr=1e-3))

    class Look(pn.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            self.seen += 1

    look = Look()
    net, again, _ = train(2, optim.Adam(lr=1e-3), callbacks=[look])
    assert networks.same_bits(first, net)
    assert again.history == history.history
    assert look.seen == history.steps == 16


def test_nothing_is_computed_through_numpy():
    """numpy's products and functions are made to raise while a network is trained, evaluated and asked."""

    def forbidden(*args, **kwargs):
        raise AssertionError("NumPy was asked to compute")

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((100, 200)), rng.integers(0, 10, 100)
    net = big()
    names = (
        "matmul",
        "dot",
        "einsum",
        "tensordot",
        "inner",
        "vdot",
        "exp",
        "log",
        "tanh",
        "sqrt",
        "maximum",
        "mean",
        "sum",
    )
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(mock.patch.object(np, name, forbidden))
        history = net.fit(
            x, y, optimizer=optim.Adam(lr=1e-3), epochs=2, metrics=["accuracy"], validation_split=0.2, clip_norm=1.0,
            seed=0, verbose=0,
        )  # fmt: skip
        net.predict(x)
        net.evaluate(x, y)
    assert history.mode == "plan"


def test_small_networks_stay_on_one_thread():
    pn.set_num_threads(2)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), seed=0)
    x = np.random.default_rng(0).standard_normal((100, 2))
    before = np.array(pn._core.thread_blocks())
    net.fit(x, x[:, :1], loss="mse", epochs=2, batch_size=10, seed=0, verbose=0)
    assert not (np.array(pn._core.thread_blocks()) - before)[1:].any()
