"""What every engine has to keep, whoever wrote it: bits, books, records, interruptions."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _core, energy
from tests.energy import law

sys.path.append(str(Path(__file__).resolve().parents[1] / "training"))
from interrupting import interrupted

MODELS = {
    "lattice": energy.Ising.lattice((16, 24)),
    "cubic +-J": energy.Ising.lattice((6, 6, 6), J="+-J", seed=1),
    "fields": energy.Ising.lattice((10, 10), h=np.linspace(-1, 1, 100)),
    "regular": energy.Ising.random_regular(90, 3, seed=2),
    "gaussian": energy.Ising.lattice((9, 8), J="gaussian", seed=3),
    "dense": energy.Ising.sherrington_kirkpatrick(40, seed=4),
}
CASES = [
    (name, replicas, task)
    for name, model in MODELS.items()
    for replicas in (3, 70)
    for task in law.tasks(model, rules=("metropolis",), replicas=replicas)
    if replicas == 3 or not _core.engine_takes(model._couplings, (*task[1:], 3, False), task[0])
]
every_engine = pytest.mark.parametrize(("name", "replicas", "task"), CASES)


def run(name, replicas, task, sweeps=30, **more):
    return law.sample(MODELS[name], 1.5, task, sweeps=sweeps, replicas=replicas, **{"seed": 5, "burn_in": 0, **more})


def bits(r):
    return r.spins.tobytes(), r.energy.tobytes(), r.magnetization.tobytes(), r.streams.tobytes(), r.work.acceptances


def test_every_engine_is_here():
    assert {task[0] for _, _, task in CASES} == set(_core.engine_names())


@every_engine
def test_the_same_bits_on_any_number_of_threads(name, replicas, task):
    seen = set()
    for threads in (1, 2, 3, 4):
        pn.set_num_threads(threads)
        seen.add(bits(run(name, replicas, task)))
    pn.set_num_threads(0)
    assert len(seen) == 1
    assert bits(run(name, replicas, task, seed=6)) not in seen


@every_engine
def test_slices_change_no_bit(name, replicas, task, monkeypatch):
    whole = bits(run(name, replicas, task))
    monkeypatch.setattr("pyneuro.energy._runs.SLICE_SECONDS", 0.0)
    assert bits(run(name, replicas, task)) == whole


@every_engine
def test_a_continued_run_has_the_bits_of_a_long_one(name, replicas, task):
    one, first = run(name, replicas, task, 60), run(name, replicas, task, 30)
    second = run(name, replicas, task, 30, start=first, seed=None)
    np.testing.assert_array_equal(second.spins, one.spins)
    np.testing.assert_allclose(np.hstack([first.energy, second.energy]), one.energy, rtol=1e-12, atol=1e-12)
    if MODELS[name]._couplings.whole:
        np.testing.assert_array_equal(np.hstack([first.energy, second.energy]), one.energy)


@every_engine
def test_the_books_are_kept(name, replicas, task):
    """After many flips the energy that was kept is that of the spins: exact for whole couplings."""
    r, model = run(name, replicas, task, 2000, record=500), MODELS[name]
    assert r.energy.shape == (replicas, 4) and set(np.unique(r.spins)) <= {-1, 1}
    wanted = model.energy(r.spins)
    if model._couplings.whole:
        np.testing.assert_array_equal(r.energy[:, -1], wanted)
    np.testing.assert_allclose(r.energy[:, -1], wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(r.magnetization[:, -1], r.spins.mean(axis=1), atol=1e-15)
    assert 0 < r.work.acceptances <= r.work.proposals


@every_engine
def test_annealing_gives_energies_of_its_spins(name, replicas, task):
    if task[1] != "single":
        return
    order = None if task[3] == "any" else task[3]
    a = MODELS[name].anneal(sweeps=50, reads=replicas, rule=task[2], order=order, engine=task[0], seed=1)
    np.testing.assert_allclose(a.energies, MODELS[name].energy(a.spins), rtol=1e-12, atol=1e-12)
    assert a.best_energy == a.energies.min() < 0.6 * MODELS[name].anneal([50.0], reads=replicas, seed=1).energies.min()


BIG = {
    "lattice": energy.Ising.lattice((2048, 1024)),
    "dense": energy.Ising.sherrington_kirkpatrick(1000, seed=4),
    "regular": energy.Ising.random_regular(20000, 3, seed=2),
}
INTERRUPTED = [
    (name, replicas, task)
    for name, model in BIG.items()
    for replicas in (2, 64)
    for task in law.tasks(model, rules=("metropolis",), replicas=replicas)
    if task[3] == "any" and (replicas == 2 or not _core.engine_takes(model._couplings, (*task[1:], 2, False), task[0]))
]


@pytest.fixture
def python_handles_signals():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("name", "replicas", "task"), INTERRUPTED)
def test_an_interrupted_run_keeps_what_is_done(name, replicas, task, python_handles_signals):
    model = BIG[name]

    def call():
        law.sample(model, 2.0, task, sweeps=10**6, burn_in=0, replicas=replicas, record=1000, seed=0)

    # Setting up is not the sampler's loop: the signal is sent when sweeps run, later and later where that takes long.
    waits, model.result = [], None
    while len(waits) < 6 and (model.result is None or min(waits) >= 0.1):
        waits.append(min(interrupted(call, 0.4 * 2.2 ** len(waits))))
    r = model.result
    assert min(waits) < 0.1, waits
    assert not r.complete and r.sweeps < 10**6 and r.spins.shape == (replicas, model.n)
    assert set(np.unique(r.spins)) == {-1, 1}
    if r.energy.size:
        assert np.isfinite(r.energy).all() and (r.energy != 0).all()
