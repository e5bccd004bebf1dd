"""Lecture 001, item 17: cooling, acceptance, and what the lecture's rule samples on its three spins."""

import numpy as np
import pytest
from scipy import stats

from pyneuro import energy

COOLING = {1: 10, 2: 5.9061611, 10: 3.0279311, 100: 1.7840672, 1000: 1.2645814, 10**6: 0.6749683}
BOLTZMANN = (0.161790, 0.241363, 0.008055, 0.088792)  # ---, --+, -+-, -++, and mirrored
DECK = (0.134975, 0.293677, 0.007077, 0.064271)
THREE = energy.Ising([[0, 1, -0.7], [1, 0, 0.5], [-0.7, 0.5, 0]])


def test_item_17_cooling():
    schedule = energy.Logarithmic(10)
    found = [schedule(t, None) for t in COOLING]
    np.testing.assert_allclose(found, list(COOLING.values()), atol=6e-8)


def test_item_17_annealing_follows_the_schedule():
    a = THREE.anneal(energy.Logarithmic(10), sweeps=100, reads=4, seed=0)
    np.testing.assert_allclose(a.temperatures[[0, 1, 9, 99]], list(COOLING.values())[:4], atol=6e-8)


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [("lecture", DECK, BOLTZMANN), ("metropolis", BOLTZMANN, DECK), ("glauber", BOLTZMANN, DECK)],
)
def test_item_17_what_is_sampled(rule, right, wrong):
    """20 000 chains of 100 sweeps; every p below 1e-6 is an alarm."""
    r = THREE.sample(1.0, sweeps=0, burn_in=100, replicas=20000, rule=rule, order="random", verbose=0)
    states = (r.spins > 0) @ [4, 2, 1]
    counts = np.bincount(states, minlength=8)

    def p(law):
        wanted = np.array([*law, *law[::-1]])
        return stats.chisquare(counts, wanted / wanted.sum() * len(states)).pvalue

    assert p(right) > 1e-6, r.seed
    assert p(wrong) < 1e-12, r.seed
