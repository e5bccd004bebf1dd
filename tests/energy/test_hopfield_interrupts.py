"""Ctrl-C in the long calls of Hopfield networks: the exception comes soon, and what was done is kept."""

import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from pyneuro import energy

sys.path.append(str(Path(__file__).resolve().parents[1] / "training"))
from interrupting import interrupted

MOST = 0.1  # seconds; on a busy machine the time for which the process had a core counts when that is less


@pytest.fixture(autouse=True)
def python_handles_signals():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def memory(n, count, **given):
    return energy.Hopfield(**given).fit(energy.random_patterns(count, n, seed=0))


def latency(call):
    """Seconds; the least of a few tries when the first is slow, because others may have the core in one of them."""
    found = []
    while len(found) < 3 and min(found, default=MOST) >= MOST:
        found.append(min(interrupted(call, random.uniform(0.05, 0.2))))
    return min(found)


@pytest.mark.parametrize(("n", "count"), [(3000, 100), (2000, 1000)])
@pytest.mark.parametrize("mode", ["async", "sync"])
def test_recall(n, count, mode):
    net = memory(n, count)
    x = energy.random_patterns(40, n, seed=1)
    assert latency(lambda: net.recall(x, mode=mode, T=1.0, steps=100_000, seed=0)) < MOST
    out = net.result
    assert out.state.shape == (40, n) and set(np.unique(out.state)) == {-1, 1}
    assert out.steps.max() >= 1 and out.energy.shape == (40, out.steps.max() + 1)
    assert np.isfinite(out.energy[out.steps > 0, 0]).all()


def test_a_record_that_was_cut_is_the_beginning_of_the_whole():
    net = memory(500, 20)
    x = energy.random_patterns(1, 500, seed=1)[0]
    interrupted(lambda: net.recall(x, T=1.0, steps=1_000_000, seed=5), 0.1)
    part = net.result
    whole = net.recall(x, T=1.0, steps=part.steps, seed=5)
    assert part.steps > 0
    np.testing.assert_array_equal(part.energy, whole.energy)


def test_storing():
    x = energy.random_patterns(8000, 6000, seed=0)
    assert latency(lambda: [energy.Hopfield().fit(x) for _ in range(100)]) < MOST


@pytest.mark.parametrize("rule", ["storkey", "perceptron"])
def test_learning(rule):
    x = energy.random_patterns(3000, 1500, seed=0)
    net = memory(1500, 5)
    before = net.M
    net.rule, net.epochs = rule, 100_000
    assert latency(lambda: [net.fit(x) for _ in range(100)]) < MOST
    np.testing.assert_array_equal(net.M, before)


def test_unlearning():
    net = memory(800, 300)
    assert latency(lambda: net.unlearn(1_000_000, seed=0)) < MOST
    assert len(net.result) >= 1 and np.isfinite(net.result).all()
    np.testing.assert_array_equal(net.M, net.M.T)


def test_capacity():
    assert latency(lambda: energy.capacity([0.1], n=2000, samples=1_000_000, seed=0)) < MOST
    assert np.isfinite(energy.capacity.result.overlap).any()


def test_attractors():
    net = memory(20, 3)
    assert latency(lambda: [net.attractors() for _ in range(1000)]) < MOST


def others():
    """Calls that would take many seconds."""
    x, real = energy.random_patterns(400, 300, seed=0), np.random.default_rng(0).normal(size=(3000, 500))
    line, m = energy.SequenceMemory().fit(energy.random_patterns(50, 400, seed=0)), memory(300, 20).M
    pair = energy.BAM().fit(x[:, :150], x[:, 150:])
    cities = energy.TSP(np.random.default_rng(0).random((60, 2)))
    starts = energy.random_patterns(20_000, 300, seed=1)
    return {
        "dense": lambda: energy.DenseMemory().fit(x).recall(starts),
        "modern": lambda: energy.ModernHopfield(0.01).fit(real).recall(real, steps=2000, tolerance=0.0),
        "pairs": lambda: [pair.recall(starts[:, :150]) for _ in range(1000)],
        "sequence": lambda: line.recall(starts[:1, :1].repeat(400, 1), steps=200_000),
        "graded": lambda: energy.GradedHopfield(m).run(np.full((50, 300), 0.1), time=1e4, dt=1e-3),
        "tank": lambda: energy.HopfieldTank().solve(cities, runs=50, steps=100_000),
        "two_opt": lambda: cities.two_opt(100_000),
    }


@pytest.mark.parametrize("name", list(others()))
def test_later_memories_and_tours(name):
    assert latency(others()[name]) < MOST


def test_what_was_done_of_a_search_is_kept():
    net = energy.HopfieldTank()
    interrupted(lambda: net.solve(energy.TSP.ten_cities(), runs=20_000, seed=0), 1.0)
    found = net.result
    assert 0 < len(found.valid) < 20_000 and found.activity.shape == (len(found.valid), 10, 10)
