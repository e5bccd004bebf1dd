"""Whether a sampler samples what it says: chi-square against enumeration, and distances of means in standard errors."""

import numpy as np
from scipy import stats

from pyneuro import _core, energy

ALARM = 1e-6
RULES = ("metropolis", "glauber", "lecture")
ORDERS = ("any", "random", "sequential", "checkerboard")


def spin_glass(n, seed, field=True, whole=False):
    """Every spin coupled to every other: real numbers, or integers from -2 to 2."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.integers(-2, 3, (n, n)) if whole else rng.standard_normal((n, n)) * 0.6, 1).astype(float)
    h = rng.integers(-1, 2, n).astype(float) if whole else rng.standard_normal(n) * 0.4
    return energy.Ising(upper + upper.T, h if field else None)


def sparse(n, seed):
    """A ring with one long bond, real weights."""
    rng = np.random.default_rng(seed)
    M = np.zeros((n, n))
    for i in range(n):
        M[i, (i + 1) % n] = M[(i + 1) % n, i] = rng.standard_normal()
    M[0, n // 2] = M[n // 2, 0] = 0.8
    return energy.Ising(M, rng.standard_normal(n) * 0.2)


SMALL = {
    "dense": spin_glass(6, 1),
    "no_field": spin_glass(5, 2, field=False),
    "whole": spin_glass(6, 3, whole=True),
    "sparse": sparse(8, 4),
    "open_lattice": energy.Ising.lattice((3, 4), periodic=False),
}

TEMPERATURE = {"dense": 1.7, "no_field": 1.7, "whole": 4.0, "sparse": 1.7, "open_lattice": 2.5}


def tasks(model, names=None, rules=RULES, replicas=1):
    """(engine, method, rule, order) of everything that any engine takes for this model."""
    for name in names or _core.engine_names():
        for method in ("single", "wolff", "swendsen_wang", "rejection_free"):
            for rule in rules if method in ("single", "rejection_free") else ("metropolis",):
                for order in ORDERS if method == "single" else ("any",):
                    if _core.engine_takes(model._couplings, (method, rule, order, replicas, False), name):
                        yield name, method, rule, order


def sample(model, T, task, **more):
    name, method, rule, order = task
    order = None if order == "any" else order
    return model.sample(T, method=method, rule=rule, order=order, engine=name, verbose=0, **more)


def numbers(spins):
    """The number of each state: bit i is spin i."""
    return (spins > 0) @ (1 << np.arange(spins.shape[1]))


def all_states(n):
    return (((np.arange(2**n)[:, None] >> np.arange(n)) & 1) * 2 - 1).astype(np.int8)


def boltzmann(model, T):
    e = model.energy(all_states(model.n))
    p = np.exp(-(e - e.min()) / T)
    return p / p.sum()


def chi_square(spins, law):
    """p of the states (replicas, n) under the probabilities of all 2^n; states expected fewer than 5 times are one."""
    counts, wanted = np.bincount(numbers(spins), minlength=len(law)), law * len(spins)
    rare = wanted < 5
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        wanted = np.append(wanted[~rare], wanted[rare].sum())
    if wanted[-1] < 1e-9:
        assert counts[-1] == 0
        counts, wanted = counts[:-1], wanted[:-1]
    return stats.chisquare(counts, wanted * (counts.sum() / wanted.sum())).pvalue


def check_uniform(p_values, what):
    """p-values of independent runs are uniform; alarms on both sides."""
    smallest = min(min(p_values) * len(p_values), stats.combine_pvalues(np.clip(p_values, 1e-300, 1))[1])
    assert smallest > ALARM, (what, p_values)
    if len(p_values) >= 8:
        assert stats.kstest(p_values, "uniform").pvalue > ALARM, (what, p_values)


def check_mean(estimate, wanted, what, sigmas=4.0):
    """The mean is as it should be, within so many standard errors."""
    assert abs(estimate.mean - wanted) < sigmas * estimate.error, (what, estimate.mean, estimate.error, wanted)
