"""Row 12: from SIGINT to KeyboardInterrupt, in every long call, on a machine under load.

A thread sends SIGINT to the own process at a random moment; the time is taken where the exception is caught. Afterwards
the network must still be usable: finite weights, a History, and another short fit.
"""

from __future__ import annotations

import multiprocessing
import random
import signal

import numpy as np

import pyneuro as pn
from pyneuro import energy, nn, optim
from tests.training.interrupting import interrupted

from . import nets
from .figure import Figure, pick


def burn(stop) -> None:
    """Load: keeps a core busy."""
    while not stop.is_set():
        sum(range(10_000))


def long_calls() -> dict:
    """Name -> (call that would take many seconds, check that its object is still usable)."""
    x, y = nets.data(60_000, 784, 10)
    small = nets.dense(784, 10, 128)
    big = nn.Sequential(nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10), seed=0)
    tiny = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), seed=0)
    xs, ys = nets.data(1000, 2, 2)
    ys = ys[:, None].astype(np.float32)
    a = pn.tensor(np.random.default_rng(0).standard_normal((4096, 4096), dtype=np.float32))

    def usable(net, inputs, targets, loss):
        def check():
            assert all(np.isfinite(p.detach().numpy()).all() for p in net.parameters())
            history = net.fit(inputs[:64], targets[:64], loss=loss, optimizer=optim.SGD(lr=1e-3), epochs=1, verbose=0)
            assert len(history.history["loss"]) == 1

        return check

    def fit(net, inputs, targets, loss, batch):
        rule = optim.Adam(lr=1e-4)
        given = {"loss": loss, "optimizer": rule, "epochs": 100_000, "batch_size": batch, "verbose": 0, "seed": 0}
        return lambda: net.fit(inputs, targets, **given)

    def multiply():
        while True:
            a @ a

    glass = energy.Ising.sherrington_kirkpatrick(30, seed=0)

    def enumerate_all():
        while True:
            assert glass.exact(1.0).mean_spins is not None

    lattice = energy.Ising.lattice((1024, 1024))

    def sample():
        lattice.sample(2.3, sweeps=10**7, replicas=2, record=0, verbose=0)

    def has_spins():
        assert set(np.unique(lattice.result.spins)) == {-1, 1} and not lattice.result.complete

    return {
        "fit-small": (fit(small, x, y, "cross_entropy", 32), usable(small, x, y, "cross_entropy")),
        "fit-large-batch": (fit(big, x, y, "cross_entropy", 4096), usable(big, x, y, "cross_entropy")),
        "fit-tiny": (fit(tiny, xs, ys, "mse", 10), usable(tiny, xs, ys, "mse")),
        "predict": (lambda: [big.predict(x) for _ in range(1000)], usable(big, x, y, "cross_entropy")),
        "evaluate": (lambda: [big.evaluate(x, y) for _ in range(1000)], usable(big, x, y, "cross_entropy")),
        "exact": (enumerate_all, lambda: None),
        "sample": (sample, has_spins),
        "matmul": (multiply, lambda: None),
    }


def measure(size: str) -> list[Figure]:
    """Worst and 99.9 % latency over all calls, by the clock on the wall.

    The sample runs beside anything, so the time for which the process had a core counts there when that is less.
    """
    rng = random.Random()
    load = multiprocessing.get_context("spawn")
    stop = load.Event()
    burner = load.Process(target=burn, args=(stop,), daemon=True)
    burner.start()
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    found = []
    try:
        for name, (call, check) in long_calls().items():
            for _ in range(pick(size, 5, 100, 1000)):
                passed, had = interrupted(call, rng.uniform(0.02, 0.25))
                found.append((float(min(passed, had) if size == "sample" else passed), name))
            check()
    finally:
        signal.signal(signal.SIGINT, previous)
        stop.set()
        burner.join(5)
    times = np.array([seconds for seconds, _ in found]) * 1e3
    worst, where = max(found)
    tail = float(np.quantile(times, 0.999))
    return [
        Figure("12-sigint-to-exception-99.9-percent", round(tail, 2), "ms", tail < (50 if len(times) >= 500 else 100)),
        Figure(
            "12-sigint-to-exception-worst", round(worst * 1e3, 2), "ms", worst < 0.1, f"{where}, {len(times)} signals"
        ),
    ]
