"""Dense associative memory, modern Hopfield networks, pairs and sequences, against their definitions."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import energy

FUNCTIONS = {
    "polynomial": lambda z, k: z**k,
    "rectified": lambda z, k: np.maximum(z, 0) ** k,
    "exponential": lambda z, k: np.exp(z),
}


def dense_energy(X, s, function, degree):
    total = FUNCTIONS[function]((X @ s).astype(float), degree).sum()
    return -np.log(total) if function == "exponential" else -total


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("degree", [2, 3, 5])
def test_dense_recall_is_the_definition(function, degree):
    X = energy.random_patterns(7, 21, seed=0).astype(int)
    memory = energy.DenseMemory(function, degree).fit(X)
    for seed in range(10):
        s = energy.random_patterns(1, 21, seed=100 + seed)[0].astype(int)
        out = memory.recall(s, order="sequential", record="states")
        for t in range(out.steps):
            np.testing.assert_allclose(out.energy[t], dense_energy(X, s, function, degree), rtol=1e-12)
            for i in range(21):
                up, down = s.copy(), s.copy()
                up[i], down[i] = 1, -1
                e = [dense_energy(X, v, function, degree) for v in (up, down)]
                if abs(e[0] - e[1]) > 1e-9:
                    s[i] = 1 if e[0] < e[1] else -1
            np.testing.assert_array_equal(out.states[t + 1], s)
        assert out.converged
        assert (np.diff(out.energy) <= 1e-9 * np.abs(out.energy[1:])).all()


def test_the_square_is_hebbs_network():
    X = energy.random_patterns(5, 61, seed=1)
    starts = energy.random_patterns(20, 61, seed=2)
    ours = energy.DenseMemory(degree=2).fit(X).recall(starts, seed=3)
    hebb = energy.Hopfield(scale="neurons").fit(X).recall(starts, seed=3)
    np.testing.assert_array_equal(ours.state, hebb.state)
    np.testing.assert_allclose(ours.energy, 2 * 61 * hebb.energy - 5 * 61, rtol=1e-12)


def test_how_much_they_hold():
    """200 patterns in 60 neurons: Hebb's network holds 8, cubes some, the exponential all."""
    X = energy.random_patterns(200, 60, seed=0)
    spoilt = energy.flipped(X, 0.05, seed=1)
    right = {f: (energy.DenseMemory(f).fit(X).recall(spoilt, seed=2).state == X).all(axis=1).mean() for f in FUNCTIONS}
    assert right["exponential"] > 0.99
    assert (energy.Hopfield().fit(X).recall(spoilt, seed=2).state == X).all(axis=1).mean() < 0.05


def test_the_exponential_of_many_neurons_does_not_overflow():
    X = energy.random_patterns(30, 3000, seed=0)
    out = energy.DenseMemory("exponential").fit(X).recall(energy.flipped(X, 0.3, seed=1), seed=2)
    assert np.isfinite(out.energy).all() and (out.state == X).all()
    np.testing.assert_allclose(out.energy[:, -1], -3000)


# ---- modern ----


def attention(Q, K, V, beta):
    S = beta * Q @ K.T
    S = np.exp(S - S.max(axis=1, keepdims=True))
    return S / S.sum(axis=1, keepdims=True) @ V


@pytest.mark.parametrize(("rows", "count", "n", "m"), [(1, 1, 1, 1), (5, 7, 3, 2), (33, 100, 64, 48)])
def test_one_step_is_attention(rows, count, n, m):
    rng = np.random.default_rng(0)
    Q, K, V = rng.normal(size=(rows, n)), rng.normal(size=(count, n)), rng.normal(size=(count, m))
    memory = energy.ModernHopfield(beta=n**-0.5).fit(K)
    np.testing.assert_allclose(memory.recall(Q, steps=1, values=V).output, attention(Q, K, V, n**-0.5), atol=1e-12)
    np.testing.assert_allclose(memory.recall(Q, steps=1).output, attention(Q, K, K, n**-0.5), atol=1e-12)
    two = memory.recall(Q, steps=2, values=V)
    np.testing.assert_allclose(two.output, attention(attention(Q, K, K, n**-0.5), K, V, n**-0.5), atol=1e-12)


def test_the_attention_of_the_lecture():
    memory = energy.ModernHopfield(beta=2**-0.5).fit([[1, 0], [0, 1], [1, 1]])
    out = memory.recall(np.eye(2), steps=1, values=[[1, 2], [3, 4], [5, 6]])
    np.testing.assert_allclose(out.output, [[3, 4], [3.40667256, 4.40667256]], atol=5e-9)


def modern_energy(X, q, beta):
    lse = np.log(np.exp(beta * X @ q).sum()) / beta
    return -lse + q @ q / 2 + np.log(len(X)) / beta + (X**2).sum(axis=1).max() / 2


def test_the_modern_energy_never_rises():
    rng = np.random.default_rng(1)
    for beta in (0.1, 1.0, 3.0):
        X, q = rng.normal(size=(20, 6)), rng.normal(size=(40, 6))
        memory = energy.ModernHopfield(beta).fit(X)
        out = memory.recall(q, steps=200)
        assert (np.diff(out.energy) <= 1e-12).all() and (out.energy >= -1e-12).all()
        np.testing.assert_allclose(memory.energy(q), [modern_energy(X, v, beta) for v in q], rtol=1e-12)
        np.testing.assert_allclose(out.energy[:, -1], memory.energy(out.state), atol=1e-12)
        np.testing.assert_allclose(out.weights.sum(axis=1), 1)


def test_a_modern_memory_of_many_patterns():
    X = energy.random_patterns(1000, 60, seed=0).astype(float)
    out = energy.ModernHopfield(beta=1.0).fit(X).recall(energy.flipped(X[:50], 0.1, seed=1))
    assert out.converged.all() and (np.sign(out.state) == X[:50]).all()


@pytest.mark.parametrize("call", ["dense", "modern", "pairs"])
def test_the_same_bits_for_any_number_of_threads(call):
    X, starts = energy.random_patterns(40, 90, seed=0), energy.random_patterns(50, 90, seed=1)
    models = {
        "dense": lambda: energy.DenseMemory().fit(X).recall(starts, seed=1).state,
        "modern": lambda: energy.ModernHopfield(0.1).fit(X).recall(starts, steps=5).state,
        "pairs": lambda: energy.BAM().fit(X[:, :50], X[:, 50:]).recall(starts[:, :50]).y,
    }
    found = []
    try:
        for threads in (1, 2, 3):
            pn.set_num_threads(threads)
            found.append(models[call]().tobytes())
    finally:
        pn.set_num_threads(0)
    assert found.count(found[0]) == 3


# ---- pairs and sequences ----


@pytest.mark.parametrize("tie", ["keep", "plus"])
def test_pairs_are_the_definition(tie):
    x, y = energy.random_patterns(4, 30, seed=0).astype(int), energy.random_patterns(4, 17, seed=1).astype(int)
    memory, W = energy.BAM(tie).fit(x, y), y.T @ x
    for seed in range(10):
        a, b = energy.random_patterns(1, 30, seed=50 + seed)[0].astype(int), np.ones(17, int)
        out = memory.recall(a)
        energies = [-b @ W @ a]
        for _ in range(out.steps):
            h = W @ a
            b = np.where(h == 0, 1 if tie == "plus" else b, np.sign(h))
            h = W.T @ b
            a = np.where(h == 0, 1 if tie == "plus" else a, np.sign(h))
            energies.append(-b @ W @ a)
        np.testing.assert_array_equal(out.x, a)
        np.testing.assert_array_equal(out.y, b)
        np.testing.assert_array_equal(out.energy, energies)
        assert out.converged and (np.diff(energies) <= 0).all()


def test_pairs_lead_to_each_other():
    x, y = energy.random_patterns(4, 60, seed=0), energy.random_patterns(4, 40, seed=1)
    memory = energy.BAM().fit(x, y)
    np.testing.assert_array_equal(memory.recall(energy.flipped(x, 0.1, seed=2)).y, y)
    np.testing.assert_array_equal(memory.recall(y=energy.flipped(y, 0.1, seed=2)).x, x)
    names = energy.BAM(binary=True).fit((x + 1) // 2, (y + 1) // 2)
    np.testing.assert_array_equal(names.recall((x[0] + 1) // 2).y, (y[0] + 1) // 2)


def test_sequences():
    x = energy.random_patterns(6, 300, seed=0)
    states = energy.SequenceMemory().fit(x).recall(energy.flipped(x[:2], 0.1, seed=1), steps=12)
    for r in (0, 1):
        for t in range(1, 13):
            np.testing.assert_array_equal(states[r, t], x[(r + t) % 6])
    open_end = energy.SequenceMemory(closed=False).fit(x).recall(x[4], steps=5)
    np.testing.assert_array_equal(open_end[1:], np.repeat(x[5:], 5, 0))


def test_files(tmp_path):
    x, path = energy.random_patterns(4, 30, seed=0), tmp_path / "memory.safetensors"
    start = energy.random_patterns(3, 30, seed=1)
    energy.DenseMemory("rectified", 4, tie="plus").fit(x).save(path)
    again = pn.load(path)
    assert (again.function, again.degree, again.tie) == ("rectified", 4, "plus")
    np.testing.assert_array_equal(again.patterns, x)
    energy.ModernHopfield(0.3).fit(x / 3).save(path)
    again = pn.load(path)
    assert again.beta == 0.3
    np.testing.assert_array_equal(again.patterns, x / 3)
    energy.BAM().fit(x[:, :10], x[:, 10:]).save(path)
    np.testing.assert_array_equal(pn.load(path).y, x[:, 10:])
    energy.SequenceMemory(closed=False).fit(x).save(path)
    again = pn.load(path)
    assert not again.closed and again.recall(start, 2).shape == (3, 3, 30)
    with pytest.raises(ValueError, match="must be -1"):
        again.load_state_dict({"patterns": np.zeros((4, 30), np.int8)})


X = [[1, -1, 1], [1, 1, -1]]
BAD = {
    "a function": (lambda: energy.DenseMemory("exp"), ValueError, "function must be one of"),
    "a degree": (lambda: energy.DenseMemory(degree=100), ValueError, "at most 64"),
    "not yet": (lambda: energy.DenseMemory().recall([1]), RuntimeError, "call fit first"),
    "a length": (lambda: energy.DenseMemory().fit(X).recall([1]), ValueError, "x must have 3 neurons"),
    "unequal": (lambda: energy.DenseMemory().fit([[1], [1, 1]]), ValueError, "equal lengths"),
    "beta": (lambda: energy.ModernHopfield(0), ValueError, "beta must be above 0"),
    "NaN": (lambda: energy.ModernHopfield().fit([[np.nan]]), ValueError, "patterns must be finite"),
    "rows": (lambda: energy.ModernHopfield().fit([[1.0], [1.0, 2.0]]), ValueError, "rows of equal lengths"),
    "values": (lambda: energy.ModernHopfield().fit(X).recall(X[0], values=[[1]]), ValueError, "each pattern, 2"),
    "a width": (lambda: energy.ModernHopfield().fit(X).recall([1.0]), ValueError, "x must have 3 numbers"),
    "not modern yet": (lambda: energy.ModernHopfield().recall([1.0]), RuntimeError, "call fit first"),
    "pairs": (lambda: energy.BAM().fit(X, X[:1]), ValueError, r"as many rows, .*\(2, 3\) and \(1, 3\)"),
    "neither": (lambda: energy.BAM().fit(X, X).recall(), TypeError, "give x or y"),
    "both": (lambda: energy.BAM().fit(X, X).recall(X, X[:1]), ValueError, "as many rows"),
    "no pairs yet": (lambda: energy.BAM().recall([1]), RuntimeError, "call fit first"),
    "one pattern": (lambda: energy.SequenceMemory().fit(X[:1]), ValueError, "at least 2 patterns"),
    "steps": (lambda: energy.SequenceMemory().fit(X).recall(X[0], -1), ValueError, "steps must be at least 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_gets_a_sentence(name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()
