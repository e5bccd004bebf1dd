"""Ctrl-C in every long call of Boltzmann machines: quickly, the last complete step kept, nothing lost on resuming."""

import random

import numpy as np
import pytest

from pyneuro import energy
from tests.training.interrupting import interrupted

LIMIT = 0.1  # seconds; a machine under load may not give this process a core for longer: its own time counts then


def soon(call):
    """The shortest of three: seconds from the signal to the exception."""
    return min(min(interrupted(call, random.uniform(0.05, 0.2))) for _ in range(3))


def pictures(rows=4000, units=784):
    return np.random.default_rng(0).random((rows, units)) < 0.2


def large(**given):
    return energy.RBM(**{"n_components": 256, "n_iter": 100_000, "seed": 0, **given})


CALLS = {
    "pcd": lambda: large().fit(pictures()),
    "cd": lambda: large(persistent=False, k=5).fit(pictures()),
    "tempered": lambda: large(temperatures=10, momentum=0.5).fit(pictures()),
    "large steps": lambda: large(n_components=2000, batch_size=2000).fit(pictures(2000, 1500)),
    "sample": lambda: large(n_visible=784).sample(100, steps=10_000_000),
    "ais": lambda: large(n_visible=784).ais(chains=100, betas=10_000_000),
    "enumeration": lambda: [large(n_components=24, n_visible=500).exact() for _ in range(1000)],
    "pseudo-likelihood": lambda: [large(n_visible=784).pseudo_likelihood(pictures()) for _ in range(1000)],
    "transform": lambda: [large(n_visible=784).transform(pictures(20_000)) for _ in range(1000)],
    "machine": lambda: energy.BoltzmannMachine(40, 20, n_iter=10**9).fit(pictures(100, 40)),
    "machine, enumeration": lambda: [energy.BoltzmannMachine(25, 0, "hopfield").lnZ() for _ in range(1000)],
    "machine, samples": lambda: energy.BoltzmannMachine(40, 20, schedule=[(10**7, 1.0)]).sample(100),
    "encoders": lambda: energy.encoders(40, 10, runs=5, cycles=10**9, steady=0),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_end_soon(name):
    assert soon(CALLS[name]) < LIMIT


@pytest.mark.parametrize(
    "given",
    [{}, {"persistent": False, "k": 2}, {"temperatures": 3, "momentum": 0.5, "sparsity": 0.1}],
    ids=["pcd", "cd", "tempered"],
)
def test_interrupted_and_resumed_is_as_never_stopped(given):
    X = pictures(1500, 100)
    rbm = energy.RBM(n_components=50, n_iter=100_000, batch_size=20, seed=4, **given)
    interrupted(lambda: rbm.fit(X), 0.15)
    assert rbm.history.stopped_by == "KeyboardInterrupt"
    epochs = int(rbm.state_dict()["progress"][0]) + 2
    rbm.n_iter = epochs
    rbm.fit(X, resume=True)
    whole = energy.RBM(n_components=50, n_iter=epochs, batch_size=20, seed=4, **given).fit(X)
    for name, array in whole.state_dict().items():
        assert (rbm.state_dict()[name] == array).all(), name
    assert rbm.history["reconstruction_error"] == whole.history["reconstruction_error"]


def test_an_interrupted_machine_resumes_in_the_same_bits():
    V = pictures(30, 12)
    given = {"n_visible": 12, "n_hidden": 6, "seed": 1, "batch_size": 7}
    bm = energy.BoltzmannMachine(n_iter=10**6, **given)
    interrupted(lambda: bm.fit(V), 0.15)
    bm.n_iter = int(bm.state_dict()["progress"][0]) + 2
    bm.fit(V, resume=True)
    whole = energy.BoltzmannMachine(n_iter=bm.n_iter, **given).fit(V)
    assert (bm.W == whole.W).all() and (bm.b == whole.b).all()


def test_samples_so_far_are_kept():
    rbm = large(n_visible=784)
    interrupted(lambda: rbm.sample(20, steps=10_000_000, seed=0), 0.2)
    assert rbm.result.shape == (20, 784) and set(np.unique(rbm.result)) == {0, 1}
