"""Parallel tempering, population annealing, critical temperatures, and the statistics of records."""

import secrets

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import energy
from tests.energy import law

MODEL = law.SMALL["dense"]
LADDER = (1.0, 4.0, 4)


def temper(**more):
    return MODEL.sample(LADDER, method="tempering", verbose=0, **{"sweeps": 40, "replicas": 3, "seed": 2, **more})


def bits(r):
    return r.spins.tobytes(), r.energy.tobytes(), r.magnetization.tobytes()


@pytest.mark.parametrize("rule", ["metropolis", "glauber"])
def test_every_rung_has_its_law(rule):
    seeds = [secrets.randbits(48) for _ in range(8)]
    runs = [temper(sweeps=0, burn_in=60, replicas=400, seed=seed, rule=rule) for seed in seeds]
    for k, T in enumerate(runs[0].ladder):
        found = [law.chi_square(r.at(k).spins, law.boltzmann(MODEL, T)) for r in runs]
        law.check_uniform(found, (rule, T, seeds))


def test_tempering_keeps_its_books():
    r = temper()
    assert r.energy.shape == (12, 40) and r.ladder.tolist() == pytest.approx([1, 4 ** (1 / 3), 4 ** (2 / 3), 4])
    np.testing.assert_allclose(r.energy[:, -1], MODEL.energy(r.spins), rtol=1e-12, atol=1e-12)
    assert (r.temperature == np.repeat(r.ladder, 3)).all()
    assert ((r.swap_rates > 0.2) & (r.swap_rates <= 1)).all() and r.round_trips > 0
    assert (np.diff([r.at(k).energy.mean() for k in range(4)]) > 0).all()


def test_tempering_goes_on_where_it_was():
    one, first = temper(sweeps=41, burn_in=0), temper(sweeps=20, burn_in=0)
    second = temper(sweeps=21, start=first, seed=None, replicas=None)
    np.testing.assert_array_equal(np.hstack([first.energy, second.energy]), one.energy)
    np.testing.assert_array_equal(second.spins, one.spins)
    assert second.round_trips == one.round_trips


def test_ladders_give_the_same_bits_on_any_number_of_threads():
    seen = set()
    for threads in (1, 2, 3, 4):
        pn.set_num_threads(threads)
        p = MODEL.sample(LADDER, method="population", replicas=50, seed=1, verbose=0)
        seen.add((bits(temper()), bits(p), p.log_z.tobytes(), p.family.tobytes()))
    pn.set_num_threads(0)
    assert len(seen) == 1


def test_population_annealing_estimates_ln_z_and_energies():
    seeds = [secrets.randbits(48) for _ in range(24)]
    runs = [MODEL.sample((1.0, 8.0, 8), method="population", replicas=400, seed=s, verbose=0) for s in seeds]
    wanted = MODEL.exact(runs[0].ladder)
    for found, exact in (([r.log_z for r in runs], wanted.lnZ), ([r.energy.mean(0) for r in runs], wanted.mean_energy)):
        error = np.std(found, axis=0, ddof=1) / np.sqrt(len(runs))
        far = np.abs(np.mean(found, axis=0) - exact) / (error + 1e-3)
        assert (far < 6).all(), (seeds, far)
    r = runs[0]
    assert r.energy.shape == (400, 8) and (np.diff(r.families) <= 0).all() and r.crowding[-1] > r.crowding[0] >= 1
    np.testing.assert_allclose(r.energy[:, -1], MODEL.energy(r.spins), rtol=1e-12, atol=1e-12)
    assert len(np.unique(r.family)) == r.families[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"T": 2.0}, "at least 2 temperatures"),
        ({"T": (1.0, 1.0)}, "all different"),
        ({"T": (0.0, 1.0, 5)}, "greater than 0"),
        ({"T": [1.0, -2.0]}, "greater than 0"),
        ({"T": LADDER, "replicas": 0}, "replicas must be at least 1"),
        ({"T": LADDER, "start": np.ones(5)}, "start"),
    ],
)
@pytest.mark.parametrize("method", ["tempering", "population"])
def test_bad_ladders_get_a_sentence(method, arguments, says):
    with pytest.raises(ValueError, match=says):
        MODEL.sample(**arguments, method=method, sweeps=2, verbose=0)


def test_the_critical_temperature_of_the_square_lattice():
    seed = secrets.randbits(48)
    found = energy.find_tc(sizes=(8, 16), T=(2.0, 2.6), sweeps=1000, replicas=12, seed=seed)
    assert abs(found.T - 2.269185) < 6 * found.error + 0.005 and found.error < 0.05, found
    again = energy.find_tc(sizes=(8, 16), T=(2.0, 2.6), sweeps=1000, replicas=12, seed=seed)
    assert (again.T, again.error) == (found.T, found.error)


def test_where_nothing_crosses_is_said():
    with pytest.raises(ValueError, match="do not cross"):
        energy.find_tc(sizes=(8, 16), T=(5.0, 6.0), sweeps=50, replicas=2, seed=0)
    with pytest.raises(ValueError, match="two different sides"):
        energy.find_tc(sizes=(8, 8))


def test_autocorrelation_time_and_errors_of_a_known_chain():
    """x_t = a x_(t-1) + noise has tau = (1 + a) / (2 (1 - a)), here 9.5."""
    rng, a = np.random.default_rng(0), 0.9
    x = np.zeros((8, 20000))
    noise = rng.standard_normal(x.shape)
    for t in range(1, x.shape[1]):
        x[:, t] = a * x[:, t - 1] + noise[:, t]
    tau = energy.autocorrelation_time(x)
    assert tau == pytest.approx(9.5, rel=0.1)
    wanted = x.std() * np.sqrt(2 * 9.5 / x.size)
    assert energy.binned_error(x, bins=50) == pytest.approx(wanted, rel=0.15)
    assert energy.autocorrelation_time(np.ones(50)) == 0.5 and np.isnan(energy.autocorrelation_time([1.0, 2.0]))
