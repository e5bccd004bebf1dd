"""Learning rules of Hopfield networks against their definitions in NumPy, and what they promise."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import energy


def stable(net):
    """Whether each neuron of each pattern keeps its state."""
    X = net.patterns.astype(float)
    return (X * (X @ net.M) > 0).all()


def test_storkey_is_the_definition():
    X = energy.random_patterns(6, 17, seed=0).astype(float)
    n = X.shape[1]
    W = np.zeros((n, n))
    for x in X:
        h = (W @ x)[:, None] - W * x - np.diag(W)[:, None] * x[:, None]  # h_ij: without the parts of i and j
        W = W + (np.outer(x, x) - x[:, None] * h.T - h * x) / n
        np.fill_diagonal(W, 0)
    np.testing.assert_allclose(energy.Hopfield(rule="storkey").fit(X).M, W, atol=1e-13)


def test_the_pseudo_inverse_is_a_projection():
    X = energy.random_patterns(60, 100, correlation=0.4, seed=0)
    net = energy.Hopfield(rule="pseudo_inverse").fit(X)
    P = X.T @ np.linalg.solve((X.astype(float) @ X.T), X)
    np.testing.assert_allclose(net.M, P - np.diag(np.diag(P)), atol=1e-12)
    assert stable(net)
    assert not stable(energy.Hopfield().fit(X))


def test_the_pseudo_inverse_of_dependent_patterns():
    X = energy.random_patterns(3, 20, seed=0)
    both = energy.Hopfield(rule="pseudo_inverse").fit(np.concatenate([X, -X, X]))
    np.testing.assert_allclose(both.M, energy.Hopfield(rule="pseudo_inverse").fit(X).M, atol=1e-13)


def perceptron(X, margin, epochs):
    n = X.shape[1]
    W, wrong = np.zeros((n, n)), []
    for _ in range(epochs):
        count = 0
        for x in X:
            e = (x * (W @ x) <= margin * np.linalg.norm(W, axis=1)).astype(float)
            W += np.outer(x, x) * (e[:, None] + e)
            np.fill_diagonal(W, 0)
            count += int(e.sum())
        wrong.append(count)
        if not count:
            break
    return W / n, wrong


@pytest.mark.parametrize("n", [16, 100])
@pytest.mark.parametrize("margin", [0, 0.4])
def test_perceptrons_are_the_definition(n, margin):
    X = energy.random_patterns(n // 4, n, seed=2)
    net = energy.Hopfield(rule="perceptron", margin=margin, epochs=50).fit(X)
    W, wrong = perceptron(X.astype(float), margin, 50)
    np.testing.assert_allclose(net.M, W, atol=1e-12)
    assert net.errors.tolist() == wrong
    assert wrong[-1] == 0 and stable(net)


def test_perceptrons_store_what_hebb_cannot():
    X = energy.random_patterns(120, 200, seed=1)
    assert stable(energy.Hopfield(rule="perceptron").fit(X))
    assert not stable(energy.Hopfield().fit(X))
    assert energy.Hopfield(rule="perceptron", epochs=1).fit(X).errors[-1] > 0


def test_alike_patterns():
    """Hebb's rule mixes patterns that are alike; the pseudo-inverse tells them apart."""
    X = energy.random_patterns(10, 200, correlation=0.5, seed=3)
    spoilt = energy.flipped(X, 0.02, seed=4)
    right = {}
    for rule in ("hebb", "pseudo_inverse", "storkey"):
        out = energy.Hopfield(rule=rule).fit(X).recall(spoilt, seed=5)
        right[rule] = (out.state == X).mean()
    assert right["pseudo_inverse"] == 1
    assert right["hebb"] < 0.9 and right["storkey"] > right["hebb"] + 0.03, right


def unlearn(M, times, rate, net):
    """The definition, with the states that the network itself comes to."""
    for s in net:
        M = M - rate / len(M) * np.outer(s, s)
        np.fill_diagonal(M, 0)
    return M


def test_unlearning_takes_away_what_it_dreams():
    net = energy.Hopfield(scale="neurons").fit(energy.random_patterns(12, 100, seed=0))
    before = net.M
    energies = net.unlearn(1, rate=0.25, seed=3)
    change = (before - net.M) * 100 / 0.25
    s = np.sign(change[0] + np.eye(100)[0])
    np.testing.assert_allclose(change + np.eye(100), np.outer(s, s), atol=1e-9)
    other = energy.Hopfield.from_weights(before)
    assert other.recall(s, seed=0).steps == 1
    assert energies.tolist() == [other.energy(s)]
    np.testing.assert_array_equal(net.M, net.M.T)


def test_unlearning_makes_memories_equal():
    """1983: above its capacity a network recalls more after it has unlearnt."""
    X = energy.random_patterns(40, 200, seed=0)
    net = energy.Hopfield(scale="neurons").fit(X)
    before = (net.recall(X, seed=1).state == X).mean()
    net.unlearn(600, rate=0.01, seed=2)
    assert (net.recall(X, seed=1).state == X).mean() > before + 0.05


@pytest.mark.parametrize("rule", ["storkey", "perceptron"])
def test_the_same_bits_for_any_number_of_threads(rule):
    X, found = energy.random_patterns(20, 130, seed=0), []
    try:
        for threads in (1, 2, 3, 4):
            pn.set_num_threads(threads)
            found.append(energy.Hopfield(rule=rule).fit(X).M.tobytes())
    finally:
        pn.set_num_threads(0)
    assert found.count(found[0]) == 4


@pytest.mark.parametrize("rule", ["pseudo_inverse", "storkey", "perceptron"])
def test_files_keep_what_was_learnt(rule, tmp_path):
    X = energy.random_patterns(5, 30, seed=0)
    net = energy.Hopfield(rule=rule).fit(X)
    net.unlearn(3, seed=0)
    net.save(tmp_path / "net.safetensors")
    again = pn.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(again.M, net.M)
    np.testing.assert_array_equal(again.patterns, X)
    assert sorted(net.state_dict()) == ["patterns", "weights"]
    given = energy.Hopfield.from_weights(net.M)
    assert sorted(given.state_dict()) == ["weights"]
    given.save(tmp_path / "given.safetensors")
    np.testing.assert_array_equal(pn.load(tmp_path / "given.safetensors").M, net.M)


def test_random_patterns():
    X = energy.random_patterns(100, 2000, bias=0.2, seed=0).astype(float)
    assert abs(X.mean() - 0.2) < 0.01
    X = energy.random_patterns(50, 5000, bias=0.5, correlation=0.3, seed=0)
    X = X.astype(float)
    products = (X @ X.T / 5000)[np.triu_indices(50, 1)]
    assert abs(products.mean() - (0.25 + 0.3 * 0.75)) < 0.02
    turned = energy.flipped(X[0], 0.1, seed=1)
    assert (turned != X[0]).sum() == 500
    assert set(energy.flipped([0, 1, 0, 1], 0.5, seed=1, binary=True)) <= {0, 1}


BAD = {
    "a rule": (lambda: energy.Hopfield(rule="storkie"), ValueError, "did you mean 'storkey'"),
    "a margin": (lambda: energy.Hopfield(rule="perceptron", margin=-1), ValueError, "margin must be at least 0"),
    "no epochs": (lambda: energy.Hopfield(rule="perceptron", epochs=0), ValueError, "epochs must be at least 1"),
    "asymmetric": (lambda: energy.Hopfield.from_weights([[0, 1], [2, 0]]), ValueError, "symmetrize=True"),
    "a diagonal": (lambda: energy.Hopfield.from_weights([[1.0]]), ValueError, "diagonal of M must be 0"),
    "not square": (lambda: energy.Hopfield.from_weights([[1.0, 2.0]]), ValueError, r"\(1, 2\)"),
    "NaN": (lambda: energy.Hopfield.from_weights([[0, np.nan], [np.nan, 0]]), ValueError, "finite"),
    "no patterns": (
        lambda: energy.Hopfield.from_weights([[0, 1], [1, 0]]).overlap([1, 1]),
        RuntimeError,
        "no patterns",
    ),
    "times": (lambda: energy.Hopfield().fit([[1, -1]]).unlearn(-1), ValueError, "times must be at least 0"),
    "a bias": (lambda: energy.random_patterns(2, 3, bias=2), ValueError, "bias must be from -1 to 1"),
    "a share": (lambda: energy.flipped([1, 1], 1.5), ValueError, "share must be from 0 to 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_gets_a_sentence(name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()


def test_symmetrized_weights():
    net = energy.Hopfield.from_weights([[5, 1], [2, 0]], symmetrize=True)
    assert net.M.tolist() == [[0, 1.5], [1.5, 0]]
