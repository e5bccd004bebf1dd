"""General Boltzmann machines: one family, exact values, learning, the encoders of 1985."""

import itertools

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import energy
from tests.energy.chances import ALARM, chi_square, fresh_seed

V = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]])


def machine(nv=4, nh=3, mask="full", seed=0, **given):
    bm = energy.BoltzmannMachine(nv, nh, mask, seed=seed, **given)
    rng = np.random.default_rng(seed)
    W = np.triu(rng.normal(size=(bm.n, bm.n)) * bm.mask, 1)
    bm.W[...], bm.b[...] = W + W.T, rng.normal(size=bm.n)
    return bm


def states(n):
    return np.array(list(itertools.product((0, 1), repeat=n)))


def bits(bm):
    return {name: array.tobytes() for name, array in bm.state_dict().items()}


@pytest.fixture
def threads():
    yield pn.set_num_threads
    pn.set_num_threads(0)


@pytest.mark.parametrize("mask", ["full", "restricted"])
def test_enumeration_is_the_sum_over_all_states(mask):
    bm = machine(mask=mask, schedule=[(1, 1.7)])
    s = states(7)
    p = np.exp(-bm.energy(s) / 1.7)
    lnZ, pairs = bm.exact()
    assert abs(lnZ - np.log(p.sum())) < 1e-12
    p /= p.sum()
    assert abs(pairs - (p[:, None] * s).T @ s).max() < 1e-12
    marginal = np.array([p[(s[:, :4] == v).all(1)].sum() for v in V])
    assert abs(bm.log_likelihood(V) - np.log(marginal)).max() < 1e-12


def test_a_restricted_machine_is_an_rbm():
    rng = np.random.default_rng(1)
    rbm = energy.RBM.from_weights(rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3))
    bm, v = energy.BoltzmannMachine.from_rbm(rbm), states(5)
    assert abs(bm.lnZ() - rbm.lnZ()) < 1e-12
    assert abs(bm.log_likelihood(v) - rbm.log_likelihood(v)).max() < 1e-12
    dW, db = bm.gradient(v[3:9])
    wanted = rbm.gradient(v[3:9])
    assert abs(dW[:5, 5:] - wanted[0]).max() < 1e-12
    assert abs(db - np.concatenate(wanted[1:])).max() < 1e-12


def test_a_machine_without_hidden_units_is_a_hopfield_network():
    net = energy.Hopfield().fit([[1, 1, 1, 1, -1, -1], [1, -1, 1, -1, 1, -1]])
    bm, u = energy.BoltzmannMachine.from_hopfield(net), states(6)
    shift = bm.energy(u) - net.energy(2 * u - 1)
    assert abs(shift - net.M.sum() / 2).max() < 1e-12
    assert abs(bm.lnZ() + net.M.sum() / 2 - energy.Ising(net.M).exact(1.0).lnZ) < 1e-12


def test_long_enumerations_do_not_drift():
    bm = machine(6, 8)
    assert abs(bm.lnZ() - np.log(np.exp(-bm.energy(states(14))).sum())) < 1e-11


@pytest.mark.parametrize("mask", ["full", "restricted"])
def test_gradient_is_the_slope_of_the_likelihood(mask):
    bm = machine(mask=mask, schedule=[(1, 1.5)])
    dW, db = bm.gradient(V)
    for i, j in itertools.combinations(range(7), 2):
        values = []
        for step in (1e-5, -1e-5):
            bm.W[i, j] += step
            bm.W[j, i] += step
            values.append(bm.log_likelihood(V).mean())
            bm.W[i, j] -= step
            bm.W[j, i] -= step
        assert not bm.mask[i, j] or abs((values[0] - values[1]) / 2e-5 - dW[i, j]) < 1e-8
    assert (dW[~bm.mask] == 0).all() and db.shape == (7,)


@pytest.mark.parametrize("clamp", [None, [1, -1, 0, -1]])
def test_annealings_sample_the_law_of_the_machine(clamp):
    bm, seed = machine(4, 2, schedule=[(5, 2.0), (40, 1.0)]), fresh_seed()
    s = states(6)
    p = np.exp(-bm.energy(s))
    if clamp is not None:
        p *= (s[:, 0] == 1) & (s[:, 2] == 0)
    found = bm.sample(20000, clamp, seed=seed) @ (1 << np.arange(6)[::-1])
    assert chi_square(np.bincount(found, minlength=64), p / p.sum()) > ALARM, f"seed {seed}"


def test_learning_raises_the_exact_likelihood():
    bm = energy.BoltzmannMachine(4, 2, n_iter=150, learning_rate=0.5, looks=20, repeats=5, seed=3)
    before = bm.log_likelihood(V).mean()
    after = bm.fit(V).log_likelihood(V).mean()
    assert before < -2.5 and -1.8 < after < -np.log(3)
    assert len(bm.history["difference"]) == 150


KINDS = {
    "plain": {},
    "batches": {"batch_size": 2, "momentum": 0.5, "weight_decay": 0.01},
    "1985": {"step": "sign", "noise": (0.15, 0.05)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_same_bits_for_any_number_of_threads_and_after_resuming(kind, threads, tmp_path):
    given, found = {"n_iter": 6, "seed": 2, **KINDS[kind]}, []
    for n in (1, 2, 3, 4):
        threads(n)
        bm = energy.BoltzmannMachine(4, 3, **given).fit(V)
        found.append((bits(bm), bm.sample(5, seed=1).tobytes()))
    assert all(other == found[0] for other in found[1:])
    energy.BoltzmannMachine(4, 3, **{**given, "n_iter": 2}).fit(V).save(tmp_path / "bm.safetensors")
    again = pn.load(tmp_path / "bm.safetensors")
    again.n_iter = 6
    assert bits(again.fit(V, resume=True)) == found[0][0]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"n_visible": 0}, "n_visible must be at least 1"),
        ({"mask": "hopfield"}, "has no hidden units"),
        ({"mask": [[0, 1], [1, 0]]}, r"symmetric of shape \(6, 6\)"),
        ({"schedule": [(2, 0.0)]}, "temperatures above 0"),
        ({"schedule": [2, 1]}, "pairs"),
        ({"noise": (2, 0)}, "noise must be from 0 to 1"),
        ({"step": "signs"}, "did you mean 'sign'"),
    ],
)
def test_arguments_that_make_no_sense(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        energy.BoltzmannMachine(**given)


def test_data_and_states_that_make_no_sense():
    bm = energy.BoltzmannMachine(4, 2, seed=0)
    before = bits(bm)
    for data, sentence in (
        ([[0, 0.5, 1, 1]], "must be 0 and 1"),
        ([[0, 1]], "2 numbers in a row"),
        ([[2, 0, 0, 0]], "between"),
    ):
        with pytest.raises(ValueError, match=sentence):
            bm.fit(data)
    lopsided = {"W": np.triu(np.ones((6, 6)), 1), "b": np.zeros(6)}
    with pytest.raises(ValueError, match="symmetric"):
        bm.load_state_dict(lopsided)
    with pytest.raises(ValueError, match="clamp must be"):
        bm.sample(1, clamp=[0, 1, 2, 0])
    with pytest.raises(ValueError, match=r"2\^26 terms"):
        energy.BoltzmannMachine(20, 6, seed=0).lnZ()
    assert bits(bm) == before


def test_encoders_find_their_codes(threads):
    threads(1)
    found = energy.encoders(4, 2, runs=40, cycles=1000, seed=5)
    threads(3)
    again = energy.encoders(4, 2, runs=40, cycles=1000, seed=5)
    assert found.W.tobytes() == again.W.tobytes() and (found.cycles == again.cycles).all()
    assert found.solved >= 32  # of 1985: 250 of 250, median 110 cycles
    assert 40 < found.median < 300
    assert energy.encoders(4, 3, runs=20, seed=1).solved == 20


def test_a_solved_encoder_completes_patterns():
    found = energy.encoders(4, 3, runs=1, cycles=1500, distance=2, steady=0, seed=2)  # goes on to the end
    assert found.completed(reads=30, seed=1) > 0.35  # by chance 1 in 16
