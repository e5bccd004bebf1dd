"""Ctrl-C: a real SIGINT at random moments of every long call. KeyboardInterrupt comes within 50 ms as a rule and 100 ms
at most, a training stays as of its last completed step, and everything goes on afterwards.

How soon is a promise, so it is measured here. A machine that is busy with other things lets a process wait for a core,
which is not our time. So at every moment the promise is kept by the time that passes or by the time for which the
process has a core, whichever is less; and in the better half of the moments by the time that passes, since a call that
merely slept would need no core.
"""

import random
import signal
import threading

import networks
import numpy as np
import pytest
from interrupting import interrupted

import pyneuro as pn
from pyneuro import _core, nn, optim
from pyneuro._fit.runners import PlanRunner

MOMENTS = 20
USUAL, MOST = 0.05, 0.1  # seconds


@pytest.fixture(autouse=True)
def python_handles_signals():
    """pytest's own handler, or none at all in some runners, is put back afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Begun(pn.callbacks.Callback):
    """Tells when the training begins. It has no hook that would cut the run in the core."""

    def __init__(self):
        self.event = threading.Event()

    def on_train_begin(self, logs=None):
        self.event.set()


def interrupted_fit(net, x, y, delay, **given):
    """Seconds from the signal to the exception, at some time after the training has begun."""
    begun = Begun()
    return interrupted(lambda: net.fit(x, y, callbacks=[begun], **given), delay, begun.event)


def check_latency(call, after=lambda: None, moments=MOMENTS, longest=0.15, alone=True):
    """The promise, at `moments` random moments; `after` is called behind each interrupt. A second try is allowed.

    alone: no other threads of this process compute, so that its own time tells of the call.
    """
    rng = random.Random()
    for attempt in (1, 2):
        found = []
        for _ in range(moments):
            found.append(interrupted(call, rng.uniform(0.005, longest)))
            after()
        passed, own = np.array(found)[:, 0], np.min(found, axis=1)
        better = np.sort(passed)[: (moments + 1) // 2]
        text = " and ".join(f"{np.median(t) * 1e3:.1f} ms, at most {max(t) * 1e3:.1f} ms" for t in (own, better))
        print(text)
        if max(better) < MOST and (not alone or (np.median(own) < USUAL and max(own) < MOST)):
            return
        assert attempt == 1, text


class EndAfter(pn.callbacks.Callback):
    """Ends a fit after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def on_train_begin(self, logs=None):
        self.model.stop_training = not self.left

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        self.model.stop_training = not self.left


def fit_steps(net, x, y, steps, **given):
    """Trains for so many steps and no more."""
    net.fit(x, y, epochs=10**6, callbacks=[EndAfter(steps)], **given)
    assert net.history.steps == steps


def big_data(rows=8192, features=784, classes=10):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, features), dtype=np.float32), rng.integers(0, classes, rows)


def big_net(hidden=1024):
    """Steps that take long: products of some 10^9 operations, and weights whose update is fused."""
    layers = [nn.Linear(784, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, 10), seed=0)


def test_fit_of_a_big_network():
    """Single steps of about 100 ms: they are given up in the middle."""
    x, y = big_data()
    net = big_net()
    given = {"optimizer": optim.Adam(lr=1e-4), "batch_size": 2048, "verbose": 0, "seed": 0}

    def check():
        assert all(np.isfinite(p.detach().numpy()).all() for p in net.parameters())
        if net.history:  # else the signal came while the arguments were read
            assert net.history.stopped_by == "KeyboardInterrupt"

    check_latency(lambda: net.fit(x, y, epochs=10**6, **given), check)
    assert net.fit(x[:256], y[:256], epochs=1, **{**given, "batch_size": 128}).steps == 2
    assert net.history.stopped_by == "epochs"


@pytest.mark.parametrize("more", [{}, {"verbose": 1}, {"clip_norm": 0.5}, {"mode": "eager"}], ids=str)
def test_an_interrupted_fit_is_as_of_its_last_step(more, capsys):
    """At ten random moments: the same bits as a training of as many steps, and the history of the epochs completed."""
    x, y = networks.data(200)
    given = {"batch_size": 20, "seed": 3, "verbose": 0, **more}
    rng = random.Random()
    for _ in range(10):
        a, b = networks.dense(dropout=0.2), networks.dense(dropout=0.2)
        interrupted_fit(a, x, y, rng.uniform(0, 0.05), optimizer=optim.Adam(lr=1e-3), epochs=10**7, **given)
        steps, losses = a.history.steps, a.history.history.get("loss", [])
        assert a.history.stopped_by == "KeyboardInterrupt"
        assert not steps or a.optimizer.state_dict()["state"][0]["step"] == steps
        fit_steps(b, x, y, steps, optimizer=optim.Adam(lr=1e-3), **given)
        assert networks.same_bits(a, b)
        assert len(losses) in (steps // 10, steps // 10 - (steps % 10 == 0))
        assert losses == b.history.history.get("loss", [])[: len(losses)]
        a.fit(x, y, epochs=1, **given)
        assert a.history.steps == 10


def test_the_update_of_large_weights_is_never_torn():
    """All weights of an interrupted network belong to the same step: those that a training of so many steps has."""
    x, y = big_data(512)
    given = {"batch_size": 128, "seed": 3, "verbose": 0}
    rng = random.Random()
    for _ in range(4):
        a, b = big_net(512), big_net(512)
        interrupted_fit(a, x, y, rng.uniform(0, 0.1), optimizer=optim.SGD(lr=0.01), epochs=10**6, **given)
        steps = a.history.steps
        fit_steps(b, x, y, steps, optimizer=optim.SGD(lr=0.01), **given)
        assert networks.same_bits(a, b)


def test_predict_and_evaluate():
    """Afterwards they answer as before."""
    x, y = big_data()
    net = big_net()
    out, values = net.predict(x[:300]), net.evaluate(x[:300], y[:300])

    def forever(call):
        while True:
            call()

    check_latency(lambda: forever(lambda: net.predict(x)), moments=8)
    check_latency(lambda: forever(lambda: net.predict(x, batch_size=len(x))), moments=8)
    check_latency(lambda: forever(lambda: net.evaluate(x, y, batch_size=4096)), moments=8)
    assert np.array_equal(net.predict(x[:300]), out)
    assert net.evaluate(x[:300], y[:300]) == values


def test_data_are_looked_through():
    """Before the first step: 400 MB are checked for NaN, in parts."""
    x = np.zeros((50_000, 1000))
    net = nn.Sequential(nn.Linear(1000, 2), seed=0)
    y = np.zeros(len(x), np.int64)
    check_latency(lambda: net.fit(x, y, epochs=10**6, batch_size=len(x), verbose=0), moments=6, longest=0.3)


@pytest.mark.parametrize("name", ["permutation", "fit"])
def test_shuffling_ten_million_rows(name):
    """The order of an epoch is drawn in parts: one by itself, as `batches` does it, and that of each epoch of a fit."""
    rows = 10**7
    x = np.zeros((rows if name == "fit" else 1, 1), np.float32)
    net = nn.Sequential(nn.Linear(1, 1), seed=0)

    def forever():
        while name == "permutation":
            _core.permutation(3 * rows, 0)
        net.fit(x, x, loss="mse", batch_size=rows // 10, epochs=10**6, verbose=0)

    check_latency(forever, moments=6, longest=0.6)


@pytest.mark.parametrize("name", ["one product", "a chain of small ones", "backward", "elementwise"])
def test_teaching_mode(name):
    """One large product is given up between its tiles; the graph behind an interrupted backward can be swept again."""
    rng = np.random.default_rng(0)
    a = pn.tensor(rng.standard_normal((2500, 2500), dtype=np.float32), requires_grad=name == "backward")
    small = pn.tensor(rng.standard_normal((8, 8), dtype=np.float32))
    loss = (a @ a).sum() if name == "backward" else None

    def forever():
        while True:
            if name == "one product":
                a @ a
            elif name == "backward":
                a.grad = None
                loss.backward(retain_graph=True)
            elif name == "elementwise":
                a.exp().sin().sum()
            else:
                small @ small

    check_latency(forever, moments=8)
    if name == "backward":
        a.grad = None
        loss.backward()
        values = a.detach().numpy().astype(np.float64)
        expected = values.sum(axis=1)[None, :] + values.sum(axis=0)[:, None]
        np.testing.assert_allclose(a.grad.numpy(), expected, atol=1e-2)
    else:
        np.testing.assert_allclose((small @ small).numpy(), small.numpy() @ small.numpy(), rtol=1e-4)


def test_no_completed_epoch_is_missing_from_the_history(monkeypatch):
    """Ctrl-C lands where the means of the epochs are fetched from the core: they are fetched again."""
    x, y = networks.data(100)
    net, calls, read = networks.dense(), [], PlanRunner.log.fget

    def log(self):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return read(self)

    monkeypatch.setattr(PlanRunner, "log", property(log))
    with pytest.raises(KeyboardInterrupt):
        net.fit(x, y, batch_size=20, epochs=7, verbose=0)
    assert net.history.epoch == list(range(7)) and len(net.history.history["loss"]) == 7


def test_many_python_threads_beside():
    """Threads that keep the GIL busy: the signal is still heard in time, since asking waits for one switch at most."""
    x, y = networks.data(200)
    net, end = networks.dense(), threading.Event()

    def count():
        n = 0
        while not end.is_set():
            n += 1

    others = [threading.Thread(target=count) for _ in range(2)]
    for thread in others:
        thread.start()
    try:
        check_latency(lambda: net.fit(x, y, epochs=10**7, verbose=0), moments=10, alone=False)
    finally:
        end.set()
        for thread in others:
            thread.join()
