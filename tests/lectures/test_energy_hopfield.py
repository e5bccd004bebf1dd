"""Hopfield networks of lecture 001: its formulas where they are right, and what is right where they are not."""

import numpy as np
import pytest

from pyneuro import energy

WALSH = np.array([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1] * 4, [1, 1, -1, -1] * 2])
SQUARE = [[1, -1, 1, -1], [1, 1, -1, -1]]


def one_bit_errors(x):
    spoilt = np.repeat([x], len(x), 0)
    np.fill_diagonal(spoilt, -np.asarray(x))
    return spoilt


@pytest.mark.parametrize("count", [1, 2, 3])
def test_hebbs_rule_takes_the_identity_of_neurons_off(count):
    """The slide prints I_N and M_ij = 0: it is I_d, and M_ii = 0."""
    M = energy.Hopfield().fit(WALSH[:count]).M
    assert (np.diag(M) == 0).all()
    np.testing.assert_array_equal(M, WALSH[:count].T @ WALSH[:count] / count - np.eye(8))


def test_two_scales_of_the_same_dynamics():
    """The lecture divides by patterns, physics by neurons: energies differ by d / N, the way is the same."""
    deck, physics = energy.Hopfield().fit(WALSH), energy.Hopfield(scale="neurons").fit(WALSH)
    np.testing.assert_allclose(deck.M * 3, physics.M * 8)
    starts = energy.random_patterns(20, 8, seed=0)
    a, b = deck.recall(starts, seed=1), physics.recall(starts, seed=1)
    np.testing.assert_array_equal(a.state, b.state)
    np.testing.assert_allclose(a.energy * 3, b.energy * 8)


def test_the_energy_is_a_sum_of_squared_overlaps():
    """-1/2 x'Mx = -(1/2N) sum <x_i, x>^2 + d/2."""
    net = energy.Hopfield().fit(WALSH)
    states = energy.random_patterns(50, 8, seed=1).astype(float)
    np.testing.assert_allclose(net.energy(states), -((states @ WALSH.T) ** 2).sum(axis=1) / 6 + 4)


def test_synchronous_updates_do_not_always_descend():
    net = energy.Hopfield.from_weights([[0, 1], [1, 0]])
    out = net.recall([1, -1], mode="sync", record="states")
    assert out.states[:3].tolist() == [[1, -1], [-1, 1], [1, -1]]
    assert (out.cycle, out.converged) == (2, False)


def test_what_sign_of_zero_is():
    keep = energy.Hopfield.from_weights(np.zeros((2, 2))).recall([1, -1], mode="sync")
    plus = energy.Hopfield.from_weights(np.zeros((2, 2)), tie="plus").recall([1, -1], mode="sync")
    assert keep.state.tolist() == [1, -1] and plus.state.tolist() == [1, 1]


def test_two_patterns_and_their_negatives():
    net = energy.Hopfield().fit(SQUARE)
    np.testing.assert_array_equal(net.M, -np.eye(4)[::-1])
    want = sorted([*SQUARE, *(-np.array(SQUARE)).tolist()])
    assert sorted(net.attractors().states.tolist()) == want
    assert sorted(net.attractors("sync").states.tolist()) == want


@pytest.mark.parametrize(("count", "pattern", "error"), [(1, -28, -14), (2, -12, -6)])
def test_walsh_patterns_are_repaired_in_one_step(count, pattern, error):
    net = energy.Hopfield().fit(WALSH[:count])
    out = net.recall(one_bit_errors(WALSH[0]), mode="sync", record="states")
    assert net.energy(WALSH[0]) == pattern
    assert (out.energy[:, 0] == error).all()
    assert (out.states[:, 1] == WALSH[0]).all()


def test_three_walsh_patterns_are_too_many():
    net = energy.Hopfield().fit(WALSH)
    out = net.recall(one_bit_errors(WALSH[0]), mode="sync")
    assert abs(net.energy(WALSH[0]) + 6.6667) < 5e-5
    np.testing.assert_allclose(out.energy[:, 0], -3.3333, atol=5e-5)
    assert not (out.state == WALSH[0]).all(axis=1).any()


def test_the_ball_rolls_downhill():
    """Item 18, on 1000 random symmetric matrices with diagonal 0: the energy never rises one by one."""
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        a = np.triu(rng.normal(size=(8, 8)), 1)
        out = energy.Hopfield.from_weights(a + a.T).recall(rng.choice([-1, 1], 8), seed=seed)
        assert (np.diff(out.energy) <= 0).all() and out.converged


def test_attention_is_one_step_of_a_modern_network():
    memory = energy.ModernHopfield(beta=2**-0.5).fit([[1, 0], [0, 1], [1, 1]])
    out = memory.recall(np.eye(2), steps=1, values=[[1, 2], [3, 4], [5, 6]]).output
    np.testing.assert_allclose(out, [[3, 4], [3.40667256, 4.40667256]], atol=5e-9)
