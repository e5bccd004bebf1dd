"""All fixed points and cycles, basins, and the capacity: against enumeration in Python and the theory."""

import itertools

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import energy


def follow(M, tie, sync):
    """state -> state of all 2^n, by the definition."""
    n = len(M)
    for s in itertools.product([-1, 1], repeat=n):
        new = np.array(s)
        for i in range(n):
            h = M[i] @ (np.array(s) if sync else new)
            new[i] = np.sign(h) if h else (1 if tie == "plus" else new[i])
        yield s, tuple(int(v) for v in new)


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("tie", ["keep", "plus"])
@pytest.mark.parametrize(("count", "n"), [(1, 1), (1, 6), (3, 9), (2, 11)])
def test_attractors_are_those_of_the_definition(mode, tie, count, n):
    X = energy.random_patterns(count, n, seed=n)
    net = energy.Hopfield(tie=tie).fit(X)
    after = dict(follow(X.T.astype(int) @ X - count * np.eye(n, dtype=int), tie, mode == "sync"))
    ends = {}
    for s in after:
        at = s
        for _ in range(2 * n + 2):  # even: the same of two states in turn for all of a basin
            at = after[at]
        ends.setdefault(frozenset([at, after[at]]), []).append(s)
    found = net.attractors(mode)
    got = {frozenset([tuple(s)]): b for s, b in zip(found.states.tolist(), found.basin, strict=True)}
    for pair, b in zip(found.cycles.tolist(), found.cycle_basin, strict=True):
        got[frozenset(map(tuple, pair))] = b
    assert got == {end: len(members) / 2**n for end, members in ends.items()}
    assert (np.diff(found.energy) >= 0).all()
    np.testing.assert_allclose(found.energy, net.energy(found.states))


def test_attractors_of_twenty_neurons():
    X = energy.random_patterns(2, 20, seed=0)
    found = energy.Hopfield().fit(X).attractors()
    assert {tuple(s) for s in (*X, *-X)} <= {tuple(s) for s in found.states}
    assert found.basin.sum() == 1
    with pytest.raises(ValueError, match="at most 20 neurons, this network has 21"):
        energy.Hopfield().fit(energy.random_patterns(2, 21, seed=0)).attractors()
    with pytest.raises(ValueError, match="mode must be"):
        energy.Hopfield().fit(X).attractors("both")


def test_attractors_of_real_weights_and_of_binary_states():
    rng = np.random.default_rng(0)
    a = np.triu(rng.normal(size=(10, 10)), 1)
    net = energy.Hopfield.from_weights(a + a.T)
    found = net.attractors()
    stable = {s for s, t in follow(net.M, "keep", True) if s == t}
    assert {tuple(s) for s in found.states.tolist()} == stable
    low = energy.Hopfield(binary=True).fit([[1, 0, 1, 0]]).attractors("sync")
    assert set(low.states.flat) | set(low.cycles.flat) == {0, 1}


def test_basins():
    net = energy.Hopfield().fit(energy.random_patterns(10, 300, seed=0))
    part = net.basins([0, 0.1, 0.3, 0.5], trials=30, seed=1)
    assert part.shape == (4, 10)
    assert (part[0] == 1).all() and (part[1] == 1).all() and part[3].mean() < 0.1
    assert part[1].mean() >= part[2].mean() >= part[3].mean()
    np.testing.assert_array_equal(part, net.basins([0, 0.1, 0.3, 0.5], trials=30, seed=1))


def test_the_capacity():
    """At alpha = 0.10 and N = 2000 the mean overlap is .998; it breaks down at 0.138."""
    seed = pn._core.seed_child()
    found = energy.capacity([0.1], n=2000, samples=100, seed=seed)
    assert abs(found.mean[0] - 0.998) <= 0.001, (seed, found)
    assert abs(found.mean[0] - energy.mean_field_overlap(0.1)) < 6 * found.error[0] + 5e-4, (seed, found)
    line = energy.capacity([0.12, 0.17], n=2000, samples=10, seed=seed)
    assert line.mean[0] > 0.98 and line.mean[1] < 0.8, (seed, line)


def test_capacity_is_what_the_classes_do():
    """One sample by hand: its patterns are those of recall at the same load, so overlaps agree in their law."""
    ours = energy.capacity([0.2], n=300, samples=200, seed=1)
    overlap = []
    for seed in range(200):
        X = energy.random_patterns(60, 300, seed=seed)
        overlap.append(X[0] @ energy.Hopfield().fit(X).recall(X[0], seed=seed).state.astype(float) / 300)
    error = np.hypot(ours.error[0], np.std(overlap) / np.sqrt(200))
    assert abs(ours.mean[0] - np.mean(overlap)) < 5 * error


def test_capacity_has_the_same_bits_for_any_number_of_threads():
    found = []
    try:
        for threads in (1, 2, 3):
            pn.set_num_threads(threads)
            found.append(
                energy.capacity([0.1, 0.2], n=200, samples=7, share=0.1, mode="sync", seed=3).overlap.tobytes()
            )
    finally:
        pn.set_num_threads(0)
    assert found.count(found[0]) == 3


def test_the_mean_field():
    assert energy.mean_field_overlap(0) == 1
    assert abs(energy.mean_field_overlap(0.05) - 0.99999) < 1e-5
    assert energy.mean_field_overlap(0.1379) > 0.96 and energy.mean_field_overlap(0.13825) == 0


BAD = {
    "alpha": (lambda: energy.capacity([-0.1]), ValueError, "alphas must be at least 0"),
    "no pattern": (lambda: energy.capacity([0.0001], n=100), ValueError, "alpha n at least 1"),
    "share": (lambda: energy.capacity([0.1], share=2), ValueError, "share must be from 0 to 1"),
    "samples": (lambda: energy.capacity([0.1], samples=0), ValueError, "samples must be at least 1"),
    "too many": (lambda: energy.capacity([0.1], n=40_000), ValueError, "neurons and patterns must be 1 to 32767"),
    "trials": (lambda: energy.Hopfield().fit([[1, -1]]).basins([0.1], 0), ValueError, "trials must be at least 1"),
    "weights alone": (lambda: energy.Hopfield.from_weights([[0.0]]).basins(0.1), RuntimeError, "knows no patterns"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_gets_a_sentence(name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()
