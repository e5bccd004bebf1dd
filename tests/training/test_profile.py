"""`net.profile`: what is measured, that nothing changes by it, and what it refuses. No test looks at a time."""

import signal
import sys
import threading

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim

RNG = np.random.default_rng(0)
X = RNG.random((16, 1, 12, 12), dtype=np.float32)
Y = RNG.integers(0, 10, 16)


def small():
    """Conv2d, activation, pooling, dense: 1 x 12 x 12 -> 10."""
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 10)
    return nn.Sequential(*layers, seed=0)


def ops(profile):
    """(layer, op, pass) of all rows, without reorders between layouts: where those stand hangs on shapes."""
    found = [(row.layer.partition("(")[0].strip(), row.op.partition(" ")[0], row.phase) for row in profile.rows]
    return [row for row in found if row[1] != "reorder"]


def test_forward_alone():
    profile = small().profile(X, print_fn=None)
    assert ops(profile) == [
        ("Conv2d", "conv2d+relu", "forward"),
        ("MaxPool2d", "max_pool2d", "forward"),
        ("Linear", "linear", "forward"),
    ]
    assert not profile.training and profile.repeats == 10 and profile.samples == 16
    assert all(row.seconds > 0 and row.calls == 1 for row in profile.rows)
    assert profile.seconds == pytest.approx(sum(profile.by_layer().values()))


def test_a_training_step_has_every_pass():
    profile = small().profile(X, Y, print_fn=None)
    found = ops(profile)
    for layer, op in (("Conv2d", "conv2d"), ("MaxPool2d", "max_pool2d"), ("ReLU", "relu"), ("Linear", "linear")):
        assert (layer, op, "forward") in found and (layer, op, "backward") in found
    assert [row.phase for row in profile.rows][-2:] == ["check", "update"] and profile.rows[-1].seconds > 0


def test_flops_are_those_of_the_products():
    """2 a multiply-add and one for each bias; the first layer's input gets no gradient, and none is counted."""
    rows = {(row.op.partition(" ")[0], row.phase): row.flops for row in small().profile(X, Y, print_fn=None).rows}
    dense, conv = 2 * 16 * 144 * 10, 2 * 16 * 4 * 9 * 144
    assert dense <= rows["linear", "forward"] <= 1.01 * dense
    assert rows["linear", "backward"] == 2 * rows["linear", "forward"]
    assert conv <= rows["conv2d", "forward"] <= 1.1 * conv
    assert rows["conv2d", "backward"] == rows["conv2d", "forward"]


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw", "rmsprop", "adagrad", "gd"])
def test_nothing_changes(optimizer):
    net = small()
    before = {name: np.array(value.numpy()) for name, value in net.state_dict().items()}
    net.profile(X, Y, optimizer=optimizer, print_fn=None)
    for name, value in net.state_dict().items():
        assert np.array_equal(value.numpy(), before[name]), name


def test_batch_norm_keeps_its_running_statistics():
    net = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(400, 10))
    before = {name: np.array(value.numpy()) for name, value in net.state_dict().items()}
    for profile in (net.profile(X, Y, print_fn=None), net.profile(X, print_fn=None)):
        assert any(row.layer.startswith("BatchNorm2d") for row in profile.rows)
    for name, value in net.state_dict().items():
        assert np.array_equal(value.numpy(), before[name]), name


def test_the_users_optimiser_is_not_touched():
    net = small()
    own = optim.Adam(net.parameters(), lr=0.1, betas=(0.8, 0.9))
    net.profile(X, Y, optimizer=own, print_fn=None)
    assert own.lr == 0.1 and own.state_dict()["state"] == {}


def test_a_training_afterwards_is_the_same():
    weights = []
    for measured in (False, True):
        net = nn.Sequential(nn.Linear(144, 32), nn.Dropout(0.5), nn.Linear(32, 10), seed=0)
        if measured:
            net.profile(X.reshape(16, -1), Y, print_fn=None)
        net.fit(X.reshape(16, -1), Y, epochs=2, seed=0, verbose=0)
        weights.append(np.array(net[0].weight.numpy()))
    assert np.array_equal(*weights)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_and_both_types(threads, dtype):
    net = nn.Sequential(nn.Linear(300, 400), nn.Tanh(), nn.Linear(400, 10), seed=0).to(dtype)
    pn.set_num_threads(threads)
    try:
        profile = net.profile(RNG.random((64, 300)), np.zeros(64, int), repeats=3, print_fn=None)
    finally:
        pn.set_num_threads(0)
    assert profile.threads == threads and profile.repeats == 3 and profile.peak > 0
    assert profile.rows[0].gflops > 0


def test_the_table():
    lines = []
    profile = small().profile(X, Y, print_fn=lines.append)
    assert lines == [repr(profile)]
    table = repr(profile).splitlines()
    assert "One training step on 16 samples" in table[0] and table[1].split()[0] == "layer"
    assert len(table) == len(profile.rows) + 5 and table[-1].startswith("whole") and table[-1].endswith("100.0%")
    assert len({len(line) for line in table[1:]}) == 1


def test_many_layers_are_added_up_by_op():
    layers = [layer for _ in range(12) for layer in (nn.Linear(16, 16), nn.Tanh())]
    profile = nn.Sequential(*layers, nn.Linear(16, 10), seed=0).profile(np.ones((4, 16)), Y[:4], print_fn=None)
    by_op = profile.by_op()
    assert sum(row.calls for row in by_op) == sum(row.calls for row in profile.rows)
    assert sum(row.seconds for row in by_op) == pytest.approx(profile.seconds)
    assert sum(row.flops for row in by_op) == profile.flops
    assert [row.seconds for row in by_op] == sorted((row.seconds for row in by_op), reverse=True)
    first, second = repr(profile).split("\n\n")
    assert second.startswith("All layers together") and len(second.splitlines()) == len(by_op) + 5
    assert "12 x linear+tanh" in second and "12 x" not in first
    assert "\n\n" not in repr(small().profile(X, Y, print_fn=None))


def test_the_table_in_a_notebook():
    profile = small().profile(X, print_fn=None)
    text = profile._repr_html_()
    assert text.count("<tr>") == len(profile.rows) + 2 and "Conv2d(1, 4, 3, padding=1) (layer 0)" in text


def test_repeated_calls_of_one_layer_are_one_row():
    shared = nn.Linear(4, 4)
    profile = nn.Sequential(shared, nn.Flatten(), shared, seed=0).profile(np.ones((2, 4)), print_fn=None)
    assert [(row.op, row.calls) for row in profile.rows] == [("linear", 2)]
    assert "2 x linear" in repr(profile)


def test_several_inputs():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(4, 2)

        def forward(self, x, y):
            return self.a(x) + self.b(y)

    data = np.ones((5, 3)), np.ones((5, 4))
    profile = Sum().profile(data, np.zeros((5, 2)), loss="mse", print_fn=None)
    assert {"Linear(3, 2) (layer a)", "Linear(4, 2) (layer b)"} <= set(profile.by_layer())


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_it_can_be_interrupted():
    """Ctrl-C ends a long measurement, and leaves a network that goes on."""
    net, main = small(), threading.get_ident()
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        net.profile(np.repeat(X, 8, axis=0), np.repeat(Y, 8), repeats=1 << 16)
    timer.join()
    assert net.profile(X, Y, repeats=1, print_fn=None).repeats == 1


def test_what_it_refuses():
    net = small()
    with pytest.raises(ValueError, match="repeats"):
        net.profile(X, repeats=0)
    with pytest.raises(TypeError, match="from 1 to 65536"):
        net.profile(X, repeats=1 << 17)
    with pytest.raises(ValueError, match="has 3 rows"):
        net.profile(X, Y[:3])
    with pytest.raises(ValueError, match=r"Conv2d\(1, 4, 3, padding=1\)"):
        net.profile(X[:, :, :, 0], print_fn=None)
    with pytest.raises(ValueError, match="no parameters to train"):
        net.requires_grad_(False).profile(X, Y)
    hooked = small()
    hooked.register_forward_hook(lambda module, args, output: None)
    with pytest.raises(ValueError, match="does not run as a plan"):
        hooked.profile(X)
    large = small()
    large[4].weight.numpy()[:] = large[0].weight.numpy()[:] = 1e38
    with pytest.raises(FloatingPointError, match="not finite"):
        large.profile(X, Y, print_fn=None)
