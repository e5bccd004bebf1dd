"""Checkpoints: a resumed run ends in the bits of an uninterrupted one, wherever it was stopped."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from unittest import mock

import networks
import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _files, nn, optim
from pyneuro.checkpoint import CheckpointError

EPOCHS = 6


def make():
    return networks.dense(dropout=0.3)


def optimizers():
    return {
        "sgd": lambda: optim.SGD(lr=0.1),
        "momentum": lambda: optim.Momentum(lr=0.05),
        "adam": lambda: optim.Adam(lr=0.01),
        "rmsprop": lambda: optim.RMSprop(lr=0.01, momentum=0.5, centered=True),
    }


def given(optimizer, path=None, **more):
    return {
        "optimizer": optimizer, "epochs": EPOCHS, "batch_size": 8, "seed": 5, "verbose": 0, "metrics": ["accuracy"],
        "checkpoint": path, "resume": path is not None, "validation_split": 0.1, **more,
    }  # fmt: skip


class Interrupt(pn.callbacks.Callback):
    """Raises KeyboardInterrupt after a number of steps."""

    def __init__(self, steps):
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


class InterruptInC(pn.callbacks.Callback):
    """Keeps the list of callbacks alike in the run that goes on."""


@pytest.mark.parametrize("rule", optimizers())
@pytest.mark.parametrize("mode", ["plan", "eager"])
def test_interrupted_anywhere(rule, mode, tmp_path):
    """Stopped in the middle of epochs, again and again, resumed each time by new objects."""
    x, y = networks.data()
    whole = make()
    first = whole.fit(x, y, **given(optimizers()[rule](), mode=mode, callbacks=[Interrupt(0)]))
    path = tmp_path / "run.safetensors"
    stops = 0
    for steps in (3, 7, 13, 22, 0):
        net = make()
        try:
            last = net.fit(x, y, **given(optimizers()[rule](), path, mode=mode, callbacks=[Interrupt(steps)]))
        except KeyboardInterrupt:
            stops += 1
            assert net.history.stopped_by == "KeyboardInterrupt"
    assert stops == 4
    assert networks.same_bits(whole, net)
    assert last.history == first.history
    assert last.steps == first.steps


def test_finished_by_more_epochs(tmp_path):
    x, y = networks.data()
    path = tmp_path / "run.safetensors"
    a, b, c = make(), make(), make()
    a.fit(x, y, **given(optim.Adam(lr=0.01)))
    b.fit(x, y, **given(optim.Adam(lr=0.01), path, epochs=2))
    c.fit(x, y, **given(optim.Adam(lr=0.01), path))
    assert networks.same_bits(a, c)
    assert len(c.history.history["val_loss"]) == EPOCHS
    d = make()
    assert d.fit(x, y, **given(optim.Adam(lr=0.01), path)).steps == c.history.steps  # nothing is left to do
    assert networks.same_bits(c, d)


def test_schedules_and_stopping_rules_go_on(tmp_path):
    """Their counters, best values and best weights are in the file."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 6)), rng.integers(0, 3, 60)
    path = tmp_path / "run.safetensors"

    def run(epochs, path=None):
        net, opt = networks.dense(64), optim.Adam(lr=0.03)
        early = pn.callbacks.EarlyStopping(patience=6, restore_best_weights=True)
        schedules = [optim.StepLR(opt, 3, 0.7), optim.ReduceLROnPlateau(opt, patience=1)]
        rule = pn.stop.Patience(7)
        more = given(opt, path, epochs=epochs, callbacks=[*schedules, early], stop=rule, validation_split=0.3)
        return net, net.fit(x, y, **more), opt

    whole, history, opt = run(60)
    assert history.stopped_by == "EarlyStopping"
    assert len(history.epoch) < 60
    for epochs in (2, 5, len(history.epoch) - 1):
        run(epochs, path)
    again, resumed, other = run(60, path)
    assert networks.same_bits(whole, again)
    assert resumed.history == history.history
    assert other.lr == opt.lr


def schedule_by_epoch(opt):
    parts = [optim.LinearLR(opt, total_iters=2), optim.CosineAnnealingWarmRestarts(opt, 3, 2)]
    return optim.SequentialLR(opt, parts, milestones=[2])


@pytest.mark.parametrize(
    "make_schedule", [schedule_by_epoch, lambda opt: optim.OneCycleLR(opt, 0.05, epochs=8, steps_per_epoch=4)]
)
def test_compound_schedules_go_on(tmp_path, make_schedule):
    """By epoch, and by batch with the momentum: the same bits and the same rate as without a break."""
    x, y = networks.data(60)
    path = tmp_path / "run.safetensors"

    def run(epochs, path=None):
        net, opt = networks.dense(), optim.Adam(lr=0.01)
        net.fit(x, y, **given(opt, path, epochs=epochs, batch_size=15, callbacks=[make_schedule(opt)]))
        return net, opt

    whole, opt = run(8)
    for epochs in (3, 4):
        run(epochs, path)
    again, other = run(8, path)
    assert networks.same_bits(whole, again)
    assert other.param_groups[0]["lr"] == opt.param_groups[0]["lr"] != 0.01
    assert other.param_groups[0]["betas"] == opt.param_groups[0]["betas"]


def test_seed_comes_from_the_checkpoint(tmp_path):
    x, y = networks.data()
    path = tmp_path / "run.safetensors"
    net = make()
    net.fit(x, y, **given(optim.SGD(lr=0.1), path, epochs=2, seed=None))
    again = make()
    history = again.fit(x, y, **given(optim.SGD(lr=0.1), path, seed=None))
    assert history.seed == net.history.seed


def test_what_does_not_belong_is_refused(tmp_path):
    x, y = networks.data()
    path = tmp_path / "run.safetensors"
    make().fit(x, y, **given(optim.Adam(lr=0.01), path, epochs=1))
    whole = path.read_bytes()
    cases = [
        ({"batch_size": 9}, make, optim.Adam, "batch_size was 8, now it is 9"),
        ({"drop_last": True}, make, optim.Adam, "drop_last"),
        ({"seed": 6}, make, optim.Adam, "seed 5"),
        ({}, make, optim.SGD, "trained with Adam, now with SGD"),
        ({}, lambda: networks.dense(17), optim.Adam, "0.weight was"),
        ({}, networks.Twice, optim.Adam, "is missing"),
        ({"callbacks": [Interrupt(0)]}, make, optim.Adam, "callbacks were"),
        ({"metrics": []}, make, optim.Adam, "losses or metrics|rows was"),
    ]
    for more, net, rule, match in cases:
        other = net()
        before = networks.weights(other)
        with pytest.raises(ValueError, match=match):
            other.fit(x, y, **given(rule(lr=0.01), path, **more))
        assert all(np.array_equal(before[k], v) for k, v in networks.weights(other).items())
        assert path.read_bytes() == whole
    with pytest.raises(CheckpointError, match="rows was 81, now it is 72"):
        make().fit(x[:80], y[:80], **given(optim.Adam(lr=0.01), path))


def test_damaged_files_are_refused(tmp_path):
    x, y = networks.data()
    path = tmp_path / "run.safetensors"
    make().fit(x, y, **given(optim.Adam(lr=0.01), path, epochs=1))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for i in range(60):
        bad = bytearray(whole)
        if i % 2:
            bad = bad[: rng.integers(len(bad))]
        else:
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        net = make()
        before = networks.weights(net)
        with pytest.raises(ValueError):
            net.fit(x, y, **given(optim.Adam(lr=0.01), path))
        assert all(np.array_equal(before[k], v) for k, v in networks.weights(net).items())
    net = make()
    net.save(path)
    with pytest.raises(ValueError, match="no checkpoint of fit"):
        net.fit(x, y, **given(optim.Adam(lr=0.01), path))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_last_checkpoint(call, tmp_path):
    x, y = networks.data()
    path = tmp_path / "run.safetensors"
    make().fit(x, y, **given(optim.Adam(lr=0.01), path, epochs=2))
    kept = path.read_bytes()
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch.object(_files.os, call, side_effect=full), pytest.raises(OSError, match="space"):
        make().fit(x, y, **given(optim.Adam(lr=0.01), path))
    assert path.read_bytes() == kept
    assert os.listdir(tmp_path) == [path.name]


# ---- kill -9 ----

CHILD = """
    import sys, numpy as np
    sys.path.insert(0, {tests!r})
    import networks
    from pyneuro import optim
    x, y = networks.data(400)
    net = networks.dense(dropout=0.3)
    print("ready", flush=True)
    net.fit(x, y, optimizer=optim.Adam(lr=0.01), epochs=40, batch_size=16, seed=3, verbose=0,
            checkpoint=sys.argv[1] or None, resume=bool(sys.argv[1]))
    import hashlib
    print(hashlib.sha256(b"".join(v.tobytes() for v in networks.weights(net).values())).hexdigest(), flush=True)
"""


def child(path):
    code = textwrap.dedent(CHILD.format(tests=os.path.dirname(__file__)))
    command = [sys.executable, "-c", code, str(path)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_at_random_moments(tmp_path):
    """SIGKILL, ten times in one run: the last start ends in the bits of a run that was never killed."""
    whole = child("").communicate(timeout=120)[0].split()[-1]
    path, rng = tmp_path / "run.safetensors", np.random.default_rng()
    for _ in range(10):
        process = child(path)
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert child(path).communicate(timeout=120)[0].split()[-1] == whole


# ---- Ctrl-C ----


def interrupted(net, run, after=0.1):
    """Sends SIGINT to this process some time after `run` has begun its first epoch; returns the seconds until
    KeyboardInterrupt arrived."""
    sent = []

    def send():
        while net.history is None or net.history.mode is None:
            time.sleep(0.005)
        time.sleep(after)
        sent.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT) if sys.platform == "win32" else os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
        return time.perf_counter() - sent[0]
    finally:
        sender.join()


LONG = {
    "tiny": (lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2), seed=0), 2, 1000, 10),
    "wide": (lambda: nn.Sequential(nn.Linear(600, 900), nn.ReLU(), nn.Linear(900, 2), seed=0), 600, 3000, 1500),
}


@pytest.mark.parametrize("name", LONG)
def test_interrupt_latency_and_state(name):
    """KeyboardInterrupt comes soon; weights and History are those of the last completed step, and the run can go on."""
    build, features, rows, batch = LONG[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, features)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    for _ in range(3):
        net = build()
        more = {"epochs": 10**9, "batch_size": batch, "seed": 0, "verbose": 0}
        waited = interrupted(net, lambda net=net, more=more: net.fit(x, y, optimizer=optim.SGD(lr=0.01), **more))
        assert waited < 1.0  # 100 ms on a machine that is not shared; tests/reliability measures it
        steps = net.history.steps
        assert steps > 0 or name == "wide"
        assert len(net.history.history.get("loss", [])) == steps // -(-rows // batch)
        again = build()

        class End(pn.callbacks.Callback):
            left = steps

            def on_train_batch_end(self, batch, logs=None):
                self.left -= 1
                self.model.stop_training = self.left == 0

        if 0 < steps < 2000:
            again.fit(x, y, optimizer=optim.SGD(lr=0.01), callbacks=[End()], **more)
            assert networks.same_bits(net, again)
