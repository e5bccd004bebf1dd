"""Exact values of small machines, and what is estimated or sampled beside them."""

import itertools

import numpy as np
import pytest

from pyneuro import energy
from tests.energy.chances import ALARM, chi_square, fresh_seed


def binary(nv, nh, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return energy.RBM.from_weights(scale * rng.normal(size=(nv, nh)), rng.normal(size=nv), rng.normal(size=nh))


def gaussian(nv=3, nh=4, sigma=(0.5, 1.0, 2.0), seed=0):
    rng = np.random.default_rng(seed)
    given = {"visible": "gaussian", "sigma": np.array(sigma)}
    return energy.RBM.from_weights(rng.normal(size=(nv, nh)), rng.normal(size=nv), rng.normal(size=nh), **given)


def softmax(groups=2, classes=3, nh=4, seed=0):
    rng = np.random.default_rng(seed)
    nv, given = groups * classes, {"visible": "softmax", "classes": classes}
    return energy.RBM.from_weights(rng.normal(size=(nv, nh)), rng.normal(size=nv), rng.normal(size=nh), **given)


def all_states(rbm):
    if rbm.visible == "softmax":
        eye = np.eye(rbm.classes)
        return np.array([np.concatenate(s) for s in itertools.product(eye, repeat=rbm.n_visible // rbm.classes)])
    return np.array(list(itertools.product((0.0, 1.0), repeat=rbm.n_visible)))


@pytest.mark.parametrize(
    "rbm", [binary(3, 7), binary(9, 4), binary(8, 8, scale=5), softmax(3, 4, 6)], ids=["v", "h", "cold", "softmax"]
)
def test_sums_over_either_layer_agree(rbm):
    v = all_states(rbm)
    p = np.exp(rbm.log_likelihood(v))
    assert abs(p.sum() - 1) < 1e-12
    exact, h = rbm.exact(), rbm.transform(v)
    assert abs(exact.visible - p @ v).max() < 1e-12
    assert abs(exact.hidden - p @ h).max() < 1e-12
    assert abs(exact.correlations - (p[:, None] * v).T @ h).max() < 1e-12


def test_density_of_gaussian_units_integrates_to_one():
    rbm, x = gaussian(), np.linspace(-14, 14, 71)
    grid = np.stack(np.meshgrid(*(s * x for s in rbm.sigma), indexing="ij"), -1).reshape(-1, 3)
    density = np.exp(rbm.log_likelihood(grid)) * np.prod(rbm.sigma) * (x[1] - x[0]) ** 3
    assert abs(density.sum() - 1) < 1e-9
    exact = rbm.exact()
    assert abs(density @ grid - exact.visible * rbm.sigma).max() < 1e-9
    assert abs(density @ rbm.transform(grid) - exact.hidden).max() < 1e-9


@pytest.mark.parametrize("rbm", [binary(6, 5), binary(4, 7), softmax(), gaussian()], ids=["h", "v", "softmax", "gauss"])
def test_gradient_is_the_slope_of_the_likelihood(rbm):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(7, 3)) if rbm.visible == "gaussian" else all_states(rbm)[rng.integers(0, 9, 7)]
    for array, slope in zip((rbm.W, rbm.b, rbm.c), rbm.gradient(X), strict=True):
        for place in np.ndindex(array.shape):
            kept, values = array[place], []
            for step in (1e-5, -1e-5):
                array[place] = kept + step
                values.append(rbm.log_likelihood(X).mean())
            array[place] = kept
            assert abs((values[0] - values[1]) / 2e-5 - slope[place]) < 1e-8


def test_enumeration_is_cut_into_blocks_that_add_up():
    rbm = binary(30, 13, scale=0.3)
    turned = energy.RBM.from_weights(rbm.W.T.copy(), rbm.c, rbm.b)  # the other layer is the smaller one
    assert abs(rbm.lnZ() - turned.lnZ()) < 1e-10
    assert abs(rbm.exact().correlations - turned.exact().correlations.T).max() < 1e-11


def test_too_many_units_are_refused_with_the_cost():
    with pytest.raises(ValueError, match=r"2\^26 terms; at most 25 units .*use ais"):
        energy.RBM(n_components=26, n_visible=30, seed=0).lnZ()
    with pytest.raises(ValueError, match=r"2\^25 terms; at most 24"):
        energy.RBM(n_components=5, n_visible=20, seed=0).expected_cd(np.zeros((1, 20)))


@pytest.mark.parametrize(
    "make", [lambda: binary(10, 6, scale=0.7), softmax, gaussian], ids=["binary", "softmax", "gaussian"]
)
def test_importance_sampling_meets_the_exact_value_within_its_error(make):
    rbm, seed = make(), fresh_seed()
    exact, found = rbm.lnZ(), [rbm.ais(chains=200, betas=200, seed=seed + i) for i in range(20)]
    z = np.array([(a.lnZ - exact) / a.error for a in found])
    assert abs(z).max() < 7, f"seed {seed}"
    assert abs(z.mean()) * 20**0.5 < 7, f"seed {seed}"
    assert 0.3 < z.std() < 2.5, f"seed {seed}"  # the bars are neither too short nor too long
    assert all(a.low <= a.lnZ <= a.high for a in found)


def test_data_for_the_base_of_importance_sampling():
    rbm, rng = binary(10, 6, scale=0.3), np.random.default_rng(0)
    estimate = rbm.ais(chains=300, betas=300, X=rng.random((50, 10)) < 0.4, seed=0)
    assert abs(estimate.lnZ - rbm.lnZ()) < 7 * estimate.error


def test_exact_pseudo_likelihood_is_the_sum_over_all_sites():
    rbm, v = binary(6, 4), all_states(binary(6, 4))
    logp, wanted = rbm.log_likelihood(v), np.zeros(len(v))
    for i in range(6):
        turned = v.copy()
        turned[:, i] = 1 - turned[:, i]
        wanted += logp - np.logaddexp(logp, rbm.log_likelihood(turned))
    assert abs(rbm.pseudo_likelihood(v) - wanted).max() < 1e-12


def test_few_sites_estimate_the_pseudo_likelihood_without_bias():
    rbm, seed = binary(12, 5), fresh_seed()
    X = np.tile(all_states(binary(12, 5))[1234], (4000, 1))
    exact, found = rbm.pseudo_likelihood(X[:1])[0], rbm.pseudo_likelihood(X, sites=2, seed=seed)
    assert abs(found.mean() - exact) < 6 * found.std() / len(X) ** 0.5, f"seed {seed}"


@pytest.mark.parametrize("rbm", [binary(5, 3, scale=0.6), softmax(2, 3, 3)], ids=["binary", "softmax"])
def test_chains_sample_the_law_of_the_machine(rbm):
    v, seed = all_states(rbm), fresh_seed()
    sample = rbm.sample(20000, steps=60, seed=seed)  # independent chains
    code = 2.0 ** np.arange(rbm.n_visible)
    place = {value: i for i, value in enumerate(v @ code)}
    counts = np.bincount([place[value] for value in sample @ code], minlength=len(v))
    assert chi_square(counts, np.exp(rbm.log_likelihood(v))) > ALARM, f"seed {seed}"


def test_gaussian_chains_sample_the_moments_of_the_machine():
    rbm, seed = gaussian(nh=2), fresh_seed()
    sample, exact = rbm.sample(40000, steps=60, seed=seed) / rbm.sigma, rbm.exact()
    error = sample.std(0) / len(sample) ** 0.5
    assert (abs(sample.mean(0) - exact.visible) < 6 * error).all(), f"seed {seed}"


CHAINS = {
    "pcd": {"n_chains": 64, "k": 5},
    "cd": {"persistent": False, "k": 3},
    "tempered": {"n_chains": 64, "temperatures": 5, "k": 2},
}


@pytest.mark.parametrize("kind", CHAINS)
def test_learning_raises_the_exact_likelihood(kind):
    stripes = np.array(list(itertools.product((0, 1), repeat=3)))
    pictures = np.concatenate([np.repeat(stripes, 3, 1), np.tile(stripes, 3)])  # bars and stripes of 3 x 3
    rbm = energy.RBM(16, 0.1, 16, 3000, seed=1, dtype="float64", **CHAINS[kind]).fit(pictures)
    entropy = 12 / 16 * np.log(16) + 4 / 16 * np.log(8)  # two of the 14 pictures are there twice
    independent = 9 * np.log(2)
    assert -independent + 2.5 < -entropy - 0.8 < rbm.log_likelihood(pictures).mean() < -entropy
