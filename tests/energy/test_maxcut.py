"""`max_cut`: the right cut where it is known, targets, seeds, time, interruption, bad input."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _core, energy

GSET = Path(os.environ.get("PYNEURO_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "gset"


def random_graph(n, edges, seed):
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(n, 1)
    some = rng.permutation(len(i))[:edges]
    return energy.Ising((i[some], j[some], -rng.choice([-1.0, 1.0, 2.0], edges)), n=n)


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_cut_of_small_graphs(seed):
    model = random_graph(16, 40, seed)
    best = model.cut(model.exact(T=1.0).ground_states[0])
    r = model.max_cut(seconds=10, target=best, seed=seed)
    assert r.cut == best == model.cut(r.spins) and r.seconds < 5 and r.complete
    assert r is model.result and r.cuts.max() == best and r.spins.dtype == np.int8


def test_a_graph_of_800_vertices():
    """Random spins cut half of the 19176 edges; the largest cut known is 11624, in a second or two."""
    model = energy.Ising.from_maxcut(GSET / "G1.txt")
    assert model.max_cut(seconds=60, target=11600).cut >= 11600


def test_rounds_have_the_bits_of_their_seed_and_grow():
    model, seen = random_graph(60, 300, 5), set()
    for threads in (1, 2, 3):
        pn.set_num_threads(threads)
        r = model.max_cut(seconds=0.5, seed=11, reads=8)
        seen.add((r.cuts[0], r.cuts[1]))
    pn.set_num_threads(0)
    assert len(seen) == 1 and r.sweeps[1] == 2 * r.sweeps[0] and len(r.cuts) == len(r.sweeps)


def test_the_time_is_kept():
    model = energy.Ising.lattice((100, 100), J=-1.0)
    began = time.perf_counter()
    r = model.max_cut(seconds=0.3, seed=0)
    assert time.perf_counter() - began < 5 and r.cut == model.cut(r.spins)


def test_an_interruption_keeps_what_is_found(monkeypatch):
    model = random_graph(60, 300, 5)
    calls = []
    genuine = energy.maxcut.Run.begin

    def begin(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return genuine(self, *arguments)

    monkeypatch.setattr(energy.maxcut.Run, "begin", begin)
    with pytest.raises(KeyboardInterrupt):
        model.max_cut(seconds=60, seed=0)
    assert not model.result.complete and len(model.result.cuts) == 2
    assert model.result.cut == model.cut(model.result.spins) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seconds": 0}, "seconds must be greater than 0"),
        ({"seconds": float("nan")}, "seconds must be greater than 0"),
        ({"target": float("inf")}, "target must be finite"),
        ({"reads": 0}, "reads must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        random_graph(5, 5, 0).max_cut(**arguments)


def test_a_model_with_fields_has_no_cut():
    with pytest.raises(ValueError, match="fields"):
        energy.Ising([[0, 1], [1, 0]], h=[1.0, 0]).max_cut(seconds=1)


@pytest.mark.parametrize("engine", ["dense_fields", "sparse_fields"])
def test_energies_after_many_flips(engine):
    rng = np.random.default_rng(2)
    n = 64
    upper = np.triu(rng.standard_normal((n, n)), 1)
    model = energy.Ising(upper + upper.T, rng.standard_normal(n))
    r = model.sample(T=20.0, sweeps=20000, burn_in=0, replicas=32, record=20000, engine=engine, seed=0)
    assert engine in _core.engine_names() and r.work.acceptances > 10**7
    np.testing.assert_allclose(r.energy[:, -1], model.energy(r.spins), rtol=1e-12)
