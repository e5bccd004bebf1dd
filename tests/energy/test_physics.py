"""Large lattices: the exact values of Onsager and Kaufman, and engines against the reference. Seeds are fresh."""

import secrets

import numpy as np
import pytest

from pyneuro import _core, energy
from tests.energy import law

SQUARE = energy.Ising.lattice((64, 64))
ONSAGER = {2.0: (-1.74556458, 0.91131938), 2.1: (-1.66208241, 0.86874762), 2.5: (-1.10607920, 0.0)}
LARGE = {
    "square": SQUARE,
    "square +-J": energy.Ising.lattice((64, 64), J="+-J", seed=1),
    "cubic +-J": energy.Ising.lattice((16, 16, 16), J="+-J", seed=2),
    "antiferromagnet, open": energy.Ising.lattice((64, 32), J=-1.0, periodic=False),
    "regular graph": energy.Ising.random_regular(400, 3, seed=3),
}


def replicas_for(model, task):
    """As few as the engine takes, but 4."""
    name, method, rule, order = task
    for replicas in (4, 64):
        if _core.engine_takes(model._couplings, (method, rule, order, replicas, False), name):
            return replicas
    return None


CASES = [
    (name, task)
    for name, model in LARGE.items()
    for task in law.tasks(model, replicas=64)
    if task[3] == "any" and (name == "square" or task[0] not in ("reference", "wolff", "swendsen_wang"))
]


def agrees(run, wanted, scale=1.0):
    """All that `wanted` names is within 4 standard errors; what is far out at first is looked at again, longer."""
    for longer, sigmas in ((1, 3), (4, 4)):
        seed = secrets.randbits(48)
        r = run(seed, longer)
        found = {of: r.estimate(of) for of in wanted}
        far = {of: abs(e.mean - wanted[of] * (scale if of == "energy" else 1)) / e.error for of, e in found.items()}
        if max(far.values()) < sigmas:
            return
    raise AssertionError((seed, far, found))


def runner(model, T, task):
    """From all up below T_c, where random starts freeze in stripes; above T_c clusters are small, so there are more."""
    start = np.ones(model.n, np.int8) if T < 2.3 else None
    sweeps = 100 if T < 2.3 or task[1] != "wolff" else 3000

    def run(seed, longer):
        replicas = replicas_for(model, task)
        more = {"replicas": replicas, "start": start, "seed": seed}
        return law.sample(model, T, task, sweeps=sweeps * longer, burn_in=sweeps, **more)

    return run


ONSAGER_CASES = [(T, task) for T in ONSAGER for name, task in CASES if name == "square" and task[2] != "lecture"]


@pytest.mark.parametrize(("T", "task"), ONSAGER_CASES)
def test_onsager(T, task):
    energy, magnetization = ONSAGER[T]
    of = "abs_magnetization" if T < 2.2 else "magnetization"
    agrees(runner(SQUARE, T, task), {"energy": energy, of: magnetization}, 4096)


@pytest.mark.parametrize("T", ONSAGER)
def test_the_rule_of_the_lecture_fails_onsagers_test(T):
    found = law.sample(
        SQUARE, T, ("reference", "single", "lecture", "any"), sweeps=500, burn_in=100, replicas=4, start=np.ones(4096)
    ).estimate("energy")
    assert abs(found.mean / 4096 - ONSAGER[T][0]) > 8 * found.error / 4096


def test_kaufmans_torus():
    model = energy.Ising.lattice((8, 8))
    for method in ("single", "wolff", "swendsen_wang", "rejection_free"):

        def run(seed, longer, method=method):
            return model.sample(2.5, sweeps=500 * longer, burn_in=200, replicas=16, method=method, seed=seed)

        agrees(run, {"energy": -1.22232064}, 64)


@pytest.mark.parametrize(("name", "task"), [case for case in CASES if case[0] != "square" and case[1][2] != "lecture"])
def test_engines_agree_with_the_reference(name, task):
    """At a temperature where all is in equilibrium soon."""
    model, T = LARGE[name], 3.0
    judge = runner(model, T, ("reference", "single", "glauber", "any"))(secrets.randbits(48), 4).estimate("energy")

    seeds = [secrets.randbits(48) for _ in range(2)]
    for seed, longer in zip(seeds, (1, 4), strict=True):
        found = runner(model, T, task)(seed, longer).estimate("energy")
        far = abs(found.mean - judge.mean) / np.hypot(found.error, judge.error)
        if far < 3:
            return
    assert far < 4.5, (seeds, found, judge)
