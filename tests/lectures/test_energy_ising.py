"""Deck 001: items 14 and 17, the exact part of 19, and the data of the Ising model."""

import numpy as np
import pytest

from pyneuro import energy
from tests.tolerances import NEARLY_BITS


@pytest.mark.parametrize(
    ("n", "J", "spectrum"),
    [
        (4, 1, {-4: 2, 0: 12, 4: 2}),
        (4, -1, {-4: 2, 0: 12, 4: 2}),
        (3, -1, {-1: 6, 3: 2}),
        (5, -1, {-3: 10, 1: 20, 5: 2}),
    ],
    ids=["ring of 4", "antiferromagnetic ring of 4", "frustrated triangle", "frustrated ring of 5"],
)
def test_item_14_spectra(n, J, spectrum):
    assert energy.Ising.lattice(n, J=J).exact(1.0).density_of_states == spectrum


def test_item_14_energy_is_the_quadratic_form():
    rng = np.random.default_rng()
    M = np.triu(rng.normal(size=(7, 7)), 1)
    M = M + M.T
    s = rng.choice([-1, 1], (20, 7))
    np.testing.assert_allclose(energy.Ising(M).energy(s), [-0.5 * x @ M @ x for x in s], rtol=1e-12)


TRIANGLE = [[0, 1, -0.7], [1, 0, 0.5], [-0.7, 0.5, 0]]
BOLTZMANN = [0.161790, 0.241363, 0.008055, 0.088792]
LECTURE = [0.134975, 0.293677, 0.007077, 0.064271]


@pytest.mark.parametrize("proposals", ["flip", "draw"])
@pytest.mark.parametrize("rule", ["metropolis", "glauber"])
def test_item_17_equilibrium_rules_have_the_law_of_boltzmann(rule, proposals):
    t = energy.Ising(TRIANGLE).transition_matrix(1.0, rule, proposals=proposals)
    np.testing.assert_allclose(t.boltzmann, BOLTZMANN + BOLTZMANN[::-1], atol=5.1e-7)
    np.testing.assert_allclose(t.stationary, t.boltzmann, atol=NEARLY_BITS)
    assert t.violation < 1e-15 and t.current < 1e-15


@pytest.mark.parametrize(("proposals", "current"), [("draw", 0.0028531), ("flip", 0.0057063)])
def test_item_17_the_rule_of_the_lecture_has_not(proposals, current):
    t = energy.Ising(TRIANGLE).transition_matrix(1.0, "lecture", proposals=proposals)
    np.testing.assert_allclose(t.stationary, LECTURE + LECTURE[::-1], atol=5.1e-7)
    assert t.total_variation == pytest.approx(0.1046295, abs=5.1e-8)
    assert t.current == pytest.approx(current, abs=5.1e-8)
    assert t.violation > 1e-3


def test_item_17_two_states():
    """One spin in a field, dE = 1: the share of the upper state."""
    spin = energy.Ising([[0.0]], h=0.5)
    assert spin.transition_matrix(1.0, "lecture").stationary[0] == pytest.approx(0.2119416, abs=5.1e-8)
    assert spin.transition_matrix(1.0, "glauber").stationary[0] == pytest.approx(0.2689414, abs=5.1e-8)
    assert spin.exact(1.0).probabilities[0] == pytest.approx(0.2689414, abs=5.1e-8)


def test_item_19_a_mask_makes_a_restricted_machine():
    """Couplings between two groups alone: given one group the spins of the other are independent."""
    W = np.array([[1.0, -1.0], [0.5, 0.0], [-0.5, 2.0]])
    M = np.block([[np.zeros((3, 3)), W], [W.T, np.zeros((2, 2))]])
    h = np.array([0.1, -0.2, 0.3, -0.5, 0.25])
    joint = energy.Ising(M, h).exact(1.0).probabilities.reshape(8, 4)
    given = joint / joint.sum(1, keepdims=True)
    states = energy.Ising.lattice(3).exact(1.0).states()
    p = 1 / (1 + np.exp(-2 * (states @ W + h[3:])))
    a, b = p[:, 0], p[:, 1]
    np.testing.assert_allclose(given, np.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], 1), rtol=1e-12)


def test_density_of_states_of_the_4_by_4_torus():
    half = {-32: 2, -24: 32, -20: 64, -16: 424, -12: 1728, -8: 6688, -4: 13568}
    wanted = {**half, 0: 20524, **{-e: count for e, count in reversed(half.items())}}
    assert energy.Ising.lattice((4, 4)).exact(1.0).density_of_states == wanted


def test_villain_4_by_4():
    x = energy.Ising.villain((4, 4)).exact(1.0)
    assert (x.ground_energy, x.degeneracy, len(x.ground_states)) == (-16, 272, 272)
