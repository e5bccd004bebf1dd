"""`sample` and `anneal`: shapes, seeds, threads, continuation, bad input."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import energy


def glass(n, seed=0):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.standard_normal((n, n)), 1) * 0.5
    return energy.Ising(upper + upper.T, rng.standard_normal(n) * 0.3)


MODELS = {"lattice": energy.Ising.lattice((8, 6)), "glass": glass(11)}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]


def bits(result):
    return result.spins.tobytes(), result.energy.tobytes(), result.magnetization.tobytes()


def test_shapes_types_and_counts(model):
    r = model.sample(T=1.5, sweeps=10, burn_in=3, replicas=4, record=2, seed=0)
    assert r.energy.shape == r.magnetization.shape == (4, 5)
    assert r.spins.shape == (4, model.n) and r.spins.dtype == np.int8 and set(np.unique(r.spins)) <= {-1, 1}
    assert r.work.proposals == 13 * 4 * model.n and 0 < r.work.acceptances < r.work.proposals
    assert r.sweeps == 13 and r.complete and r is model.result


def test_the_last_record_is_that_of_the_spins(model):
    r = model.sample(T=1.5, sweeps=50, replicas=3, seed=1)
    np.testing.assert_allclose(r.energy[:, -1], model.energy(r.spins), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(r.magnetization[:, -1], r.spins.mean(axis=1))


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(model):
    seen = set()
    for threads in (1, 2, 3, 4):
        pn.set_num_threads(threads)
        seen.add(bits(model.sample(T=2.0, sweeps=20, replicas=5, seed=7)))
    pn.set_num_threads(0)
    assert len(seen) == 1
    assert bits(model.sample(T=2.0, sweeps=20, replicas=5, seed=8)) not in seen


def test_a_run_that_is_continued_has_the_bits_of_a_long_one(model):
    one = model.sample(T=2.0, sweeps=100, burn_in=0, replicas=3, seed=3)
    first = model.sample(T=2.0, sweeps=50, burn_in=0, replicas=3, seed=3)
    second = model.sample(T=2.0, sweeps=50, start=first)
    np.testing.assert_array_equal(np.hstack([first.energy, second.energy]), one.energy)
    np.testing.assert_array_equal(second.spins, one.spins)


def test_annealing_finds_the_ground_state_of_a_ferromagnet():
    model = MODELS["lattice"]
    a = model.anneal(sweeps=400, reads=8, seed=0)
    assert a.best_energy == -96 == model.energy(a.best)
    np.testing.assert_array_equal(a.energies, model.energy(a.spins))
    assert a.temperatures[0] > 2 > a.temperatures[-1] and len(a.temperatures) == 400


@pytest.mark.parametrize(
    "schedule",
    [energy.Geometric(5, 0.5), energy.Linear(5, 0.5), energy.Logarithmic(5), lambda t: 5 / t, np.linspace(5, 0.5, 30)],
)
def test_schedules(schedule):
    a = MODELS["lattice"].anneal(schedule, sweeps=30, reads=2, seed=0, record=1)
    assert a.temperatures[0] == 5 and (np.diff(a.temperatures) < 0).all() and a.energy.shape == (2, 30)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"T": 0}, "T must be finite and greater than 0"),
        ({"T": float("nan")}, "T must be finite"),
        ({"T": [1.0, 2.0], "replicas": 3}, "one for each of 3 replicas"),
        ({"sweeps": -1}, "sweeps must be at least 0"),
        ({"burn_in": -1}, "burn_in must be at least 0"),
        ({"replicas": 0}, "replicas must be at least 1"),
        ({"rule": "Metropolis"}, "rule must be one of"),
        ({"method": "woolf"}, "method must be one of"),
        ({"order": "up"}, "order must be one of"),
        ({"engine": "none"}, "engine must be one of"),
        ({"start": np.zeros(48)}, "start must hold spins -1 and .1 only"),
        ({"start": np.ones(47)}, "start must have shape"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments, says):
    with pytest.raises(ValueError, match=says):
        MODELS["lattice"].sample(**{"T": 1.0, "sweeps": 2, **arguments})


def test_bad_schedules_get_a_sentence():
    model = MODELS["lattice"]
    with pytest.raises(ValueError, match="sweeps is 3"):
        model.anneal([2.0, 1.0], sweeps=3)
    with pytest.raises(ValueError, match="T = 0 at sweep 2"):
        model.anneal([2.0, 0.0])
    with pytest.raises(ValueError, match="T1 must be a finite temperature"):
        energy.Geometric(1, 0)
    with pytest.raises(TypeError, match="sweeps must be a whole number"):
        model.anneal(sweeps=1.5)
