"""Hopfield networks: storing and recall against the definition in NumPy, exact ties, records, bad input, files."""

import itertools

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _core, energy

WALSH = np.array([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1] * 4, [1, 1, -1, -1] * 2])


def draw(rng, *shape):
    return rng.choice([-1, 1], shape).astype(np.int8)


def network(M, tie="keep"):
    """A network of any weights, by the core's own entry point."""
    net = energy.Hopfield(tie=tie)
    net._net = _core.hopfield_weights(np.array(M, float, order="C"), 1.0)
    return net


def symmetric(rng, n, whole=False):
    a = rng.integers(-3, 4, (n, n)).astype(float) if whole else rng.normal(size=(n, n))
    a = np.triu(a, 1)
    return a + a.T


def walk(M, s, tie):
    """One sequential sweep of the definition."""
    s = s.copy()
    for i in range(len(s)):
        h = M[i] @ s
        s[i] = np.sign(h) if h else (1 if tie == "plus" else s[i])
    return s


@pytest.mark.parametrize("n", [1, 4, 31, 120])
@pytest.mark.parametrize("count", [1, 3, 33, 64])
@pytest.mark.parametrize("scale", ["patterns", "neurons"])
def test_the_weights_are_hebbs(n, count, scale):
    X = draw(np.random.default_rng(n), count, n)
    net = energy.Hopfield(scale=scale).fit(X)
    M = X.T.astype(float) @ X
    np.fill_diagonal(M, 0)
    np.testing.assert_array_equal(net.M, M / (count if scale == "patterns" else n))
    assert net._net.dense == (4 * count > n)
    s = draw(np.random.default_rng(1), 5, n)
    np.testing.assert_allclose(net.energy(s), [-0.5 * a @ net.M @ a for a in s.astype(float)], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("tie", ["keep", "plus"])
@pytest.mark.parametrize(("count", "n"), [(3, 40), (20, 40), (2, 17), (8, 8)])
def test_sequential_recall_is_the_definition(tie, count, n):
    rng = np.random.default_rng(count)
    X = draw(rng, count, n)
    net = energy.Hopfield(tie=tie).fit(X)
    K = X.T.astype(int) @ X - count * np.eye(n, dtype=int)  # whole: ties are exact
    for s in draw(rng, 20, n):
        out = net.recall(s, order="sequential", record="states")
        want = s
        for t in range(out.steps):
            want = walk(K, want, tie)
            np.testing.assert_array_equal(out.states[t + 1], want)
        np.testing.assert_array_equal(walk(K, want, tie), want)
        assert out.converged and out.cycle == 1
        np.testing.assert_allclose(out.energy, net.energy(out.states), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tie", ["keep", "plus"])
@pytest.mark.parametrize(("count", "n"), [(3, 40), (20, 40), (2, 17), (8, 8)])
def test_synchronous_recall_is_the_definition(tie, count, n):
    rng = np.random.default_rng(count)
    X = draw(rng, count, n)
    net = energy.Hopfield(tie=tie).fit(X)
    K = X.T.astype(int) @ X - count * np.eye(n, dtype=int)
    starts = draw(rng, 50, n)
    out = net.recall(starts, mode="sync", record="states")
    for r, s in enumerate(starts):
        for t in range(out.states.shape[1]):
            np.testing.assert_array_equal(out.states[r, t], s)
            h = K @ s
            s = np.where(h == 0, 1 if tie == "plus" else s, np.sign(h))
    assert set(out.cycle) <= {1, 2}
    np.testing.assert_allclose(out.energy, [net.energy(states) for states in out.states], rtol=1e-12, atol=1e-12)


def test_the_synchronous_two_cycle():
    out = network([[0, 1], [1, 0]]).recall([1, -1], mode="sync", record="states")
    assert out.cycle == 2 and not out.converged
    assert out.states.tolist()[:3] == [[1, -1], [-1, 1], [1, -1]]
    assert network([[0, 1], [1, 0]]).recall([1, -1], seed=0).converged


def test_the_energy_never_rises_one_by_one():
    """1000 random symmetric matrices, lecture item 18."""
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 24))
        net = network(symmetric(rng, n, whole=seed % 2), tie=("keep", "plus")[seed // 2 % 2])
        out = net.recall(draw(rng, 3, n), order=("random", "sequential")[seed // 4 % 2], seed=seed)
        assert (np.diff(out.energy) <= 0).all()
        assert out.converged.all()
        np.testing.assert_allclose(out.energy[:, -1], net.energy(out.state), rtol=1e-9, atol=1e-9)


def test_the_two_step_function_never_rises_all_at_once():
    """-1/2 y(t+1)'M y(t), and a cycle has at most two states."""
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 24))
        M = symmetric(rng, n, whole=seed % 2)
        out = network(M, tie=("keep", "plus")[seed // 2 % 2]).recall(draw(rng, 4, n), mode="sync", record="states")
        y = out.states.astype(float)
        pairs = -0.5 * np.einsum("rti,ij,rtj->rt", y[:, 1:], M, y[:, :-1])
        assert (np.diff(pairs) <= 1e-9).all()
        assert set(out.cycle) <= {1, 2}


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("count", [20, 200])
def test_the_same_bits_for_any_number_of_threads(mode, count):
    rng = np.random.default_rng(0)
    X, starts = draw(rng, count, 300), draw(rng, 70, 300)
    net = energy.Hopfield().fit(X)
    found = []
    try:
        for threads in (1, 2, 3, 4):
            pn.set_num_threads(threads)
            cold = net.recall(starts, mode=mode, seed=5)
            warm = net.recall(starts, mode=mode, seed=5, T=0.7, steps=40)
            found.append([cold.state.tobytes(), cold.energy.tobytes(), warm.state.tobytes(), warm.energy.tobytes()])
    finally:
        pn.set_num_threads(0)
    assert found.count(found[0]) == 4


def boltzmann(net, n, T):
    states = np.array(list(itertools.product([-1, 1], repeat=n)))
    weight = np.exp(-net.energy(states) / T)
    return states, weight / weight.sum()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("order", ["random", "sequential"])
def test_warm_recall_samples_the_boltzmann_distribution(count, order):
    n, runs, T = 6, 20_000, 1.3
    net = energy.Hopfield(scale="neurons").fit(draw(np.random.default_rng(3), count, n))
    states, p = boltzmann(net, n, T)
    seed = _core.seed_child()
    out = net.recall(np.ones((runs, n), int), T=T, steps=30, order=order, seed=seed, record=False)
    found = np.bincount(((out.state + 1) // 2) @ (1 << np.arange(n)[::-1]), minlength=len(states))
    chi = ((found - runs * p) ** 2 / (runs * p)).sum()
    assert chi < 63 + 6.5 * np.sqrt(2 * 63), f"seed {seed}: chi-square {chi} of 63 degrees of freedom"


def test_warm_synchronous_recall_is_littles_chain():
    """Its stationary law, by the transition matrix of all 2^n states."""
    n, runs, T = 4, 20_000, 1.5
    net = energy.Hopfield().fit(draw(np.random.default_rng(4), 3, n))
    states = np.array(list(itertools.product([-1, 1], repeat=n)))
    up = 1 / (1 + np.exp(-2 * states @ net.M / T))
    P = np.prod(np.where(states[None] > 0, up[:, None], 1 - up[:, None]), axis=2)
    law = np.linalg.matrix_power(P, 200)[0]
    seed = _core.seed_child()
    out = net.recall(np.ones((runs, n), int), T=T, steps=60, mode="sync", seed=seed, record=False)
    found = np.bincount(((out.state + 1) // 2) @ (1 << np.arange(n)[::-1]), minlength=len(states))
    chi = ((found - runs * law) ** 2 / (runs * law)).sum()
    assert chi < 15 + 6.5 * np.sqrt(2 * 15) + 15, f"seed {seed}: chi-square {chi} of 15 degrees of freedom"


def test_a_recall_in_pieces_is_one_recall():
    """More steps than the core is asked for at once, and more rows."""
    rng = np.random.default_rng(0)
    net = energy.Hopfield().fit(draw(rng, 2, 12))
    start = draw(rng, 12)
    long = net.recall(start, T=2.0, steps=300, seed=9, record="states")
    short = net.recall(start, T=2.0, steps=100, seed=9, record="states")
    np.testing.assert_array_equal(long.states[:101], short.states)
    assert long.energy.shape == (301,) and long.steps == 300 and long.cycle == 0


def test_binary_states():
    X = np.array([[1, 0, 1, 0], [1, 1, 0, 0]])
    net = energy.Hopfield(binary=True).fit(X)
    np.testing.assert_array_equal(net.M, energy.Hopfield().fit(2 * X - 1).M)
    out = net.recall([1, 0, 1, 1], seed=0, record="states")
    assert out.state.tolist() == [1, 0, 1, 0] and set(out.states.flat) <= {0, 1}
    assert net.energy([1, 0, 1, 0]) == energy.Hopfield().fit(2 * X - 1).energy([1, -1, 1, -1])
    assert energy.Hopfield().fit(X, binary=True).recall([1, 0, 1, 1], binary=True, seed=0).state.tolist() == [
        1,
        0,
        1,
        0,
    ]


def test_overlaps_and_a_record_that_is_not_wanted():
    net = energy.Hopfield().fit(WALSH)
    np.testing.assert_array_equal(net.overlap(WALSH), np.eye(3))
    assert net.overlap(-WALSH[0]).tolist() == [-1, 0, 0]
    out = net.recall(WALSH[0], record=False)
    assert out.energy is None and out.states is None
    assert net.recall(WALSH[0], steps=0).steps == 0


BAD = {
    "unequal lengths": (lambda: energy.Hopfield().fit([[1, -1], [1]]), ValueError, "patterns must have equal lengths"),
    "0 and 1": (lambda: energy.Hopfield().fit([[0, 1]]), ValueError, "0 and 1 are taken with binary=True"),
    "-1 where 0 is meant": (lambda: energy.Hopfield(binary=True).fit([[-1, 1]]), ValueError, "must be 0 and 1"),
    "NaN": (lambda: energy.Hopfield().fit([[np.nan, 1.0]]), ValueError, "must be -1 and \\+1, got nan"),
    "text": (lambda: energy.Hopfield().fit([["a", "b"]]), TypeError, "patterns must be numbers"),
    "no patterns": (lambda: energy.Hopfield().fit(np.ones((0, 3))), ValueError, "at least one row"),
    "no neurons": (lambda: energy.Hopfield().fit(np.ones((3, 0))), ValueError, "at least one neuron"),
    "three dimensions": (lambda: energy.Hopfield().fit(np.ones((2, 3, 4))), ValueError, r"\(2, 3, 4\)"),
    "not yet": (lambda: energy.Hopfield().recall([1, 1]), RuntimeError, "call fit first"),
    "a scale": (lambda: energy.Hopfield(scale="neuron"), ValueError, "did you mean 'neurons'"),
    "a tie": (lambda: energy.Hopfield(tie=0), ValueError, "tie must be one of"),
    "a wrong length": (lambda: energy.Hopfield().fit(WALSH).recall([1, 1]), ValueError, "x must have 8 neurons"),
    "a wrong spin": (lambda: energy.Hopfield().fit(WALSH).recall([2] * 8), ValueError, "x must be -1 and"),
    "no steps at T": (lambda: energy.Hopfield().fit(WALSH).recall(WALSH[0], T=1), ValueError, "steps must be given"),
    "T below 0": (lambda: energy.Hopfield().fit(WALSH).recall(WALSH[0], T=-1, steps=2), ValueError, "T must be"),
    "T infinite": (lambda: energy.Hopfield().fit(WALSH).recall(WALSH[0], T=np.inf, steps=2), ValueError, "finite"),
    "a mode": (lambda: energy.Hopfield().fit(WALSH).recall(WALSH[0], mode="asinc"), ValueError, "mean 'async'"),
    "steps below 0": (lambda: energy.Hopfield().fit(WALSH).recall(WALSH[0], steps=-1), ValueError, "steps must be"),
    "a record": (lambda: energy.Hopfield().fit(WALSH).recall(WALSH[0], record="all"), ValueError, "record must be"),
    "asymmetric": (lambda: network([[0, 1], [2, 0]]), ValueError, r"M\[0, 1\] = 1 and M\[1, 0\] = 2"),
    "a diagonal": (lambda: network([[1, 1], [1, 0]]), ValueError, r"diagonal of M must be 0, but M\[0, 0\] = 1"),
    "weights of NaN": (lambda: network([[0, np.nan], [np.nan, 0]]), ValueError, "M must be finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_gets_a_sentence(name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()


def test_a_failed_fit_changes_nothing():
    net = energy.Hopfield().fit(WALSH)
    before = net.M
    with pytest.raises(ValueError, match="equal lengths"):
        net.fit([[1, -1], [1]])
    np.testing.assert_array_equal(net.M, before)


def test_files(tmp_path):
    net = energy.Hopfield(scale="neurons", tie="plus").fit(WALSH)
    net.save(tmp_path / "net.safetensors")
    again = pn.load(tmp_path / "net.safetensors")
    assert (again.scale, again.tie) == ("neurons", "plus")
    np.testing.assert_array_equal(again.M, net.M)
    np.testing.assert_array_equal(again.recall(WALSH, seed=1).energy, net.recall(WALSH, seed=1).energy)
    other = energy.Hopfield().load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other.patterns, net.patterns)
    with pytest.raises(ValueError, match="patterns"):
        net.load_state_dict({"patterns": np.zeros((3, 8), np.int8)})
    np.testing.assert_array_equal(again.M, net.M)
