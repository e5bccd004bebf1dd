"""Every engine, method, rule and order against exact enumeration. Seeds are fresh; a failure prints them."""

import secrets

import numpy as np
import pytest

from tests.energy import law

REPLICAS, SWEEPS, RUNS = 600, 80, 8
CASES = [(name, task) for name, model in law.SMALL.items() for task in law.tasks(model, replicas=REPLICAS)]


def fresh_seeds(count):
    return [secrets.randbits(48) for _ in range(count)]


def p_values(model, T, task, wanted, seeds):
    runs = [law.sample(model, T, task, sweeps=0, burn_in=SWEEPS, replicas=REPLICAS, seed=seed) for seed in seeds]
    return [law.chi_square(run.spins, wanted) for run in runs]


def is_equilibrium(task):
    return task[2] != "lecture"


@pytest.mark.parametrize(("name", "task"), [case for case in CASES if is_equilibrium(case[1])])
def test_states_have_the_law_of_boltzmann(name, task):
    model, T, seeds = law.SMALL[name], law.TEMPERATURE[name], fresh_seeds(RUNS)
    law.check_uniform(p_values(model, T, task, law.boltzmann(model, T), seeds), (name, task, seeds))


@pytest.mark.parametrize(("name", "task"), [case for case in CASES if not is_equilibrium(case[1])])
def test_the_rule_of_the_lecture_has_a_law_of_its_own(name, task):
    """It is that of the transition matrix, whose chain in random order each engine follows; and never Boltzmann's."""
    model, T, seeds = law.SMALL[name], law.TEMPERATURE[name], fresh_seeds(RUNS)
    if task[3] in ("any", "random") and task[0] in ("reference", "rejection_free") and model.n <= 6:
        chain = model.transition_matrix(T, "lecture", proposals="draw")
        wanted = np.empty(2**model.n)
        wanted[law.numbers(chain.states())] = chain.stationary
        law.check_uniform(p_values(model, T, task, wanted, seeds), (name, task, seeds))
    found = p_values(model, T, task, law.boltzmann(model, T), seeds)
    assert np.prod(found) < 1e-3 or name in ("sparse", "open_lattice"), (name, task, seeds, found)


def test_the_alarm_rings():
    """The law at another temperature is told from the right one."""
    model, T = law.SMALL["dense"], law.TEMPERATURE["dense"]
    task = ("reference", "single", "metropolis", "random")
    with pytest.raises(AssertionError):
        law.check_uniform(p_values(model, T, task, law.boltzmann(model, 1.3 * T), fresh_seeds(RUNS)), task)


def test_all_engines_are_judged():
    """Engines of small models here, the others in test_physics.py."""
    from pyneuro import _core
    from tests.energy import test_physics

    judged = {task[0] for _, task in CASES} | {task[0] for _, task in test_physics.CASES}
    assert judged == set(_core.engine_names())
