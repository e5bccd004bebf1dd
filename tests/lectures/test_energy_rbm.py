"""Item 19: the restricted Boltzmann machine with 3 visible and 2 hidden units, against its exact numbers."""

import itertools

import numpy as np

from pyneuro import energy

W = [[1, -1], [0.5, 0], [-0.5, 2]]
DATA = [[1, 0, 1], [1, 1, 1], [0, 0, 1], [1, 0, 0]]


def machine():
    return energy.RBM.from_weights(W, b=[0.1, -0.2, 0.3], c=[-0.5, 0.25])


def test_partition_function_and_likelihood():
    assert abs(machine().lnZ() - 4.4138106127) < 5e-11
    assert abs(machine().log_likelihood(DATA).mean() + 1.9899359716) < 5e-11


def test_exact_gradient():
    wanted = [[0.16928175, 0.17003349], [-0.10550275, -0.19109052], [0.00904861, -0.06413281]]
    assert abs(machine().gradient(DATA)[0] - wanted).max() < 5e-9


def test_expected_contrastive_divergence_is_not_the_gradient():
    wanted = [[0.15074132, 0.15911837], [-0.11382151, -0.18724390], [0.01706453, -0.03677558]]
    dW, db, dc = machine().expected_cd(DATA)
    assert abs(dW - wanted).max() < 5e-9
    longer = machine().expected_cd(DATA, k=200)
    for short, long, exact in zip((dW, db, dc), longer, machine().gradient(DATA), strict=True):
        assert abs(long - exact).max() < 1e-12  # with more sweeps the bias goes away
        assert abs(short - exact).max() > 1e-3


def test_free_energies_sum_the_hidden_units():
    rbm, v = machine(), np.array(list(itertools.product((0, 1), repeat=3)))
    h = np.array(list(itertools.product((0, 1), repeat=2)))
    table = [[rbm.energy([a], [b])[0] for b in h] for a in v]
    assert abs(rbm.free_energy(v) + np.log(np.exp(-np.array(table)).sum(1))).max() < 1e-13
