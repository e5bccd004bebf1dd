"""Row 9: does the chain sample what it says.

Every engine, method, rule and order on small models: chi-square of independent chains against the law by enumeration,
its p-values uniform over seeds. The kernels of Metropolis and Glauber keep detailed balance. Energies that are tracked
equal those computed anew after many flips. The square lattice has Onsager's energy and magnetisation. Machines with
hidden units and warm Hopfield networks have the laws of their energies.
"""

from __future__ import annotations

import secrets

import numpy as np
from scipy import stats

from pyneuro import energy
from tests.energy import law

from .figure import Figure, pick

CHAINS, SWEEPS = 400, 60  # of one chi-square
ONSAGER = {2.0: (-1.74556458, 0.91131938), 2.1: (-1.66208241, 0.86874762)}


def p_values(model, T, task, count):
    """p of `count` fresh seeds."""
    wanted = law.boltzmann(model, T)
    runs = (
        law.sample(model, T, task, sweeps=0, burn_in=SWEEPS, replicas=CHAINS, seed=secrets.randbits(48))
        for _ in range(count)
    )
    return [law.chi_square(run.spins, wanted) for run in runs]


def combined(found):
    """One p for many: the smallest one, their product, and their being uniform, each taken for what it is."""
    found = np.clip(found, 1e-300, 1)
    tests = [found.min() * len(found), stats.combine_pvalues(found)[1], stats.kstest(found, "uniform").pvalue]
    return min(1.0, min(tests) * len(tests))


def laws(count):
    """Spin models: (p of everything, how many chains)."""
    found = []
    for name, model in law.SMALL.items():
        for task in law.tasks(model, rules=("metropolis", "glauber"), replicas=CHAINS):
            found += p_values(model, law.TEMPERATURE[name], task, count)
    return combined(found), len(found) * CHAINS


def other_laws(count):
    """A restricted Boltzmann machine and a warm Hopfield network: (p, chains)."""
    rng = np.random.default_rng(1)
    machine = energy.RBM.from_weights(rng.normal(size=(6, 4)), rng.normal(size=6), rng.normal(size=4))
    states = (law.all_states(6) + 1) // 2
    chances = np.exp(machine.log_likelihood(states))
    net = energy.Hopfield(scale="neurons").fit(energy.random_patterns(2, 8, seed=3))
    spins = law.boltzmann(energy.Ising(net.M), 0.9)
    found = []
    for _ in range(count):
        drawn = machine.sample(CHAINS, steps=SWEEPS, seed=secrets.randbits(48))
        found.append(law.chi_square(np.where(drawn > 0.5, 1, -1), chances))
        start = energy.random_patterns(CHAINS, 8, seed=secrets.randbits(32))
        warm = net.recall(start, T=0.9, steps=SWEEPS, record=False, seed=secrets.randbits(32))
        found.append(law.chi_square(warm.state, spins))
    return combined(found), len(found) * CHAINS


def balance():
    """The largest violation of detailed balance of all small models, rules and proposals."""
    worst = 0.0
    for name, model in law.SMALL.items():
        if model.n > 8:
            continue
        for rule in ("metropolis", "glauber"):
            for proposals in ("flip", "draw"):
                report = model.transition_matrix(law.TEMPERATURE[name], rule, proposals=proposals)
                worst = max(worst, report.violation, report.total_variation)
    return worst


def bookkeeping(flips):
    """(engines that tell the energy of their spins, engines tried, the worst relative error)."""
    models = {
        "whole": energy.Ising.lattice((16, 16), J="+-J", seed=5),
        "real": energy.Ising.random_regular(256, 3, "gaussian", seed=5),
    }
    good, tried, worst = 0, 0, 0.0
    for kind, model in models.items():
        for task in law.tasks(model, rules=("metropolis",), replicas=64):
            if task[3] != "any":
                continue
            sweeps = max(1, flips // (64 * model.n))
            run = law.sample(model, 2.0, task, sweeps=sweeps, burn_in=0, record=max(1, sweeps), replicas=64)
            again = model.energy(run.spins)
            error = float(np.abs(run.energy[:, -1] - again).max() / np.abs(again).max())
            tried += 1
            good += error == 0 if kind == "whole" else error < 1e-9
            worst = max(worst, error)
    return good, tried, worst


def onsager(sweeps):
    """The largest distance from Onsager's values in standard errors."""
    square, worst = energy.Ising.lattice((64, 64)), 0.0
    for T, (e, m) in ONSAGER.items():
        run = square.sample(T, sweeps=sweeps, burn_in=sweeps // 4, replicas=8, start=np.ones(4096, np.int8), verbose=0)
        for of, wanted in (("energy", 4096 * e), ("abs_magnetization", m)):
            found = run.estimate(of)
            worst = max(worst, abs(found.mean - wanted) / found.error)
    return worst


def measure(size: str) -> list[Figure]:
    """All figures of this row."""
    p, chains = laws(pick(size, 1, 20, 1000))
    q, others = other_laws(pick(size, 2, 20, 1000))
    violation, sigmas = balance(), onsager(pick(size, 2000, 40000, 400000))
    good, tried, worst = bookkeeping(pick(size, 10**6, 10**8, 10**9))
    return [
        Figure("9-samplers-p", p, f"of {chains} chains", p > law.ALARM, "all engines, methods, rules, orders"),
        Figure("9-other-samplers-p", q, f"of {others} chains", q > law.ALARM, "RBM, warm Hopfield network"),
        Figure("9-detailed-balance-violation", violation, "at most", violation < 1e-12),
        Figure("9-energy-bookkeeping", good, f"of {tried} engines", good == tried, f"worst relative error {worst:.1e}"),
        Figure("9-onsager-distance", sigmas, "standard errors", sigmas < 4, "64 x 64, energy and |m|, T = 2.0 and 2.1"),
    ]
