"""Models of spins made in every way there is, and the sentences for what is none."""

import copy
import itertools
import pickle
import signal
import time

import numpy as np
import pytest

from pyneuro import energy
from pyneuro.energy import Ising
from tests.training.interrupting import interrupted


def neighbours(model):
    start, to, _ = model.rows()
    return [to[a:b].tolist() for a, b in itertools.pairwise(start.tolist())]


def random_matrix(n, rng, density=1.0):
    M = np.triu(np.where(rng.random((n, n)) < density, rng.normal(size=(n, n)), 0.0), 1)
    return M + M.T


class Sparse:
    """What a scipy.sparse matrix shows of itself."""

    def __init__(self, M):
        self.shape = M.shape
        self.row, self.col = np.nonzero(M)
        self.data = M[self.row, self.col]

    def tocoo(self):
        return self


# ---- matrices and edges ----


def test_one_model_in_all_forms():
    rng = np.random.default_rng()
    M, h = random_matrix(9, rng, 0.4), rng.normal(size=9)
    M[7, 8] = M[8, 7] = 1.5
    i, j = np.nonzero(np.triu(M))
    w = M[i, j]
    triples = list(zip(i.tolist(), j.tolist(), w.tolist(), strict=True))
    s = rng.choice([-1, 1], (6, 9))
    wanted = -0.5 * np.einsum("ri,ij,rj->r", s, M, s) - s @ h
    for given in (M, M.tolist(), Sparse(M), (i, j, w), (j, i, w), tuple(map(list, (i, j, w))), triples):
        model = Ising(given, h)
        np.testing.assert_array_equal(model.M, M)
        np.testing.assert_array_equal(model.h, h)
        np.testing.assert_allclose(model.energy(s), wanted, rtol=1e-12)
        np.testing.assert_allclose(model.local_field(s), s @ M + h, rtol=1e-12, atol=1e-14)


def test_real_sparse_matrices():
    sparse = pytest.importorskip("scipy.sparse")
    M = random_matrix(20, np.random.default_rng(), 0.2)
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.lil_matrix):
        np.testing.assert_array_equal(Ising(kind(M)).M, M)
    twice = sparse.coo_matrix(([1.0, 1.0, 2.0], ([0, 0, 1], [1, 1, 0])), (3, 3))
    assert Ising(twice).M[0].tolist() == [0, 2, 0]


def test_rows_are_symmetric_and_ascend():
    start, to, weight = Ising((np.array([3, 0, 1]), np.array([1, 2, 0]), 2.0), n=6).rows()
    assert start.tolist() == [0, 2, 4, 5, 6, 6, 6] and to.tolist() == [1, 2, 0, 3, 0, 1] and set(weight) == {2.0}
    assert [part.tolist() for part in Ising([(3, 1, 0.5), (0, 2, 1)]).edges()] == [[0, 1], [2, 3], [1.0, 0.5]]


def test_symmetrised_on_request():
    M = np.array([[5.0, 1.0], [3.0, 0.0]])
    assert Ising(M, symmetrize=True).M.tolist() == [[0, 2], [2, 0]]
    assert Ising(Sparse(M), symmetrize=True).M.tolist() == [[0, 2], [2, 0]]


def test_fields():
    assert Ising([[0, 1], [1, 0]]).h is None and Ising([[0, 1], [1, 0]], h=0).h is None
    assert Ising([[0, 1], [1, 0]], h=2).h.tolist() == [2, 2]
    assert Ising([(0, 1, 1)], h=[0, 1, 2]).n == 3
    assert Ising.lattice((3, 4), h=np.arange(12.0).reshape(3, 4)).h.tolist() == list(range(12))


@pytest.mark.parametrize(
    ("M", "error", "words"),
    [
        ([[0, 1], [2, 0]], ValueError, r"M must be symmetric, but M\[0, 1\] = 1 and M\[1, 0\] = 2; symmetrize=True"),
        ([[1, 2], [2, 0]], ValueError, r"diagonal of M must be 0, but M\[0, 0\] = 1; symmetrize=True"),
        ([[0, np.nan], [np.nan, 0]], ValueError, r"M must be finite, but M\[0, 1\] = nan"),
        ([[0, np.inf], [np.inf, 0]], ValueError, "M must be finite"),
        (np.zeros((2, 3)), ValueError, r"M must be square, \(n, n\), got shape \(2, 3\)"),
        (np.zeros((0, 0)), ValueError, "M must be square"),
        (np.zeros(4), ValueError, "M must be square"),
        ([[0, 1], [1]], ValueError, "unequal length"),
        ([["a", "b"], ["b", "a"]], TypeError, "M must be a matrix of numbers"),
        (np.zeros((2, 2), complex), TypeError, "complex128"),
        (Sparse(np.array([[0.0, 1.0], [2.0, 0.0]])), ValueError, r"M\[0, 1\] = 1 and M\[1, 0\] = 2"),
        (Sparse(np.array([[0.0, 1.0], [0.0, 0.0]])), ValueError, r"M\[0, 1\] = 1 and M\[1, 0\] = 0"),
        (Sparse(np.array([[3.0, 1.0], [1.0, 0.0]])), ValueError, r"M\[0, 0\] = 3"),
        (Sparse(np.array([[0.0, np.nan], [1.0, 0.0]])), ValueError, r"M\[0, 1\] = nan"),
        (Sparse(np.ones((2, 3))), ValueError, r"got shape \(2, 3\)"),
        (([0, 1], [1, 2], [1.0]), ValueError, "of one length"),
        (([0, 0], [1, 1], [1.0, 2.0]), ValueError, r"the edge \(0, 1\) is given twice"),
        (([0, 1], [1, 0], 1.0), ValueError, r"the edge \(0, 1\) is given twice"),
        (([0, 1], [1, 1], 1.0), ValueError, "edge number 1 couples spin 1 to itself"),
        (([0, -1], [1, 2], 1.0), ValueError, "ends at spin -1"),
        (([0], [2**40], 1.0), ValueError, "at most"),
        (([0.5], [1], 1.0), TypeError, "whole numbers"),
        (([0], [1], [np.nan]), ValueError, r"edge \(0, 1\) has nan"),
        ((["a"], ["b"], 1.0), TypeError, "whole numbers"),
    ],
)
def test_couplings_that_are_none(M, error, words):
    with pytest.raises(error, match=words):
        Ising(M)


@pytest.mark.parametrize(
    ("h", "error", "words"),
    [
        ([1, 2, 3], ValueError, r"h must have shape \(2,\) for 2 spins, got \(3,\)"),
        ([[1, 2]], ValueError, "h must have shape"),
        ([1, np.nan], ValueError, "h must be finite, got nan for spin 1"),
        ("ab", TypeError, "h must be numbers"),
    ],
)
def test_fields_that_are_none(h, error, words):
    with pytest.raises(error, match=words):
        Ising(np.array([[0.0, 1.0], [1.0, 0.0]]), h)


def test_spins_that_are_none():
    model = Ising.lattice(4)
    for spins, words in [
        ([1, 1, 0, -1], "-1 and \\+1, got 0"),
        ([1, 0, 0, 1], "binary=True"),
        ([1, 1, 1], "4"),
        ([[[1, 1, 1, 1]]], "shape"),
        ([1, 1, np.nan, 1], "nan"),
        ([0.5, 1, 1, 1], "0.5"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.energy(spins)
    with pytest.raises(ValueError, match="binary=True"):
        model.energy([2, 0, 0, 1], binary=True)
    with pytest.raises(TypeError):
        model.energy(["a", "b", "c", "d"])
    assert model.energy([1, 0, 0, 1], binary=True) == model.energy([1, -1, -1, 1]) == 0


# ---- lattices ----


def test_square_lattice():
    model = Ising.lattice((3, 4))
    assert (model.n, model.shape, repr(model)) == (12, (3, 4), "Ising(square 3 x 4, periodic, J=1)")
    assert neighbours(model)[0] == [1, 3, 4, 8] and neighbours(model)[5] == [1, 4, 6, 9]
    assert neighbours(Ising.lattice((3, 4), periodic=False))[0] == [1, 4]
    assert neighbours(Ising.lattice((3, 4), periodic=(True, False)))[0] == [1, 4, 8]
    picture = np.ones((3, 4))
    assert model.energy(picture) == -24 and model.energy(np.stack([picture] * 2)).tolist() == [-24, -24]


@pytest.mark.parametrize(
    ("shape", "kind", "degree"),
    [
        (7, "ring", 2),
        ((4, 5), "square", 4),
        ((3, 4, 5), "cubic", 6),
        ((4, 5), "triangular", 6),
        ((4, 6), "honeycomb", 3),
    ],
)
def test_regular_lattices(shape, kind, degree):
    model = Ising.lattice(shape, kind=kind)
    start, to, weight = model.rows()
    assert np.all(np.diff(start) == degree) and set(weight) == {1.0}
    assert all(row == sorted(set(row)) for row in neighbours(model)) and to.max() == model.n - 1
    assert f"Ising({kind}" in repr(model)
    open_model = Ising.lattice(shape, kind=kind, periodic=False)
    assert len(open_model.edges()[0]) < model.n * degree // 2
    # it is connected, and looks the same from every site but the border's
    reached = np.linalg.matrix_power((open_model.M != 0) + np.eye(model.n), model.n)
    assert (reached > 0).all()


def test_triangles_are_frustrated_and_honeycombs_are_not():
    triangular = Ising.lattice((3, 3), J=-1, kind="triangular").exact(1.0)
    assert triangular.ground_energy == -9  # each of 18 triangles has one unhappy bond of 27 in two of them
    honeycomb = Ising.lattice((4, 4), J=-1, kind="honeycomb").exact(1.0)
    assert (honeycomb.ground_energy, honeycomb.degeneracy) == (-24, 2)
    flat = Ising.lattice((4, 4), J=1, kind="honeycomb").exact(1.0)
    assert honeycomb.density_of_states == flat.density_of_states


def test_a_triangular_lattice_by_hand():
    assert neighbours(Ising.lattice((4, 5), kind="triangular"))[6] == [0, 1, 5, 7, 11, 12]
    assert neighbours(Ising.lattice((4, 4), kind="honeycomb"))[5] == [4, 6, 9]


@pytest.mark.parametrize("kind", ["square", "triangular", "honeycomb"])
def test_random_bonds(kind):
    one, two = (Ising.lattice((6, 6), J="+-J", kind=kind, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.M, two.M)
    assert set(one.edges()[2]) == {-1.0, 1.0} and one.seed == 5
    assert (Ising.lattice((6, 6), J="+-J", kind=kind, seed=6).M != one.M).any()
    other = Ising.lattice((6, 6), J="+-J", kind=kind)
    np.testing.assert_array_equal(Ising.lattice((6, 6), J="+-J", kind=kind, seed=other.seed).M, other.M)
    w = Ising.lattice((40, 40), J="gaussian", kind=kind, seed=1).edges()[2]
    assert abs(w.mean()) < 0.15 and abs(w.std() - 1) < 0.1
    signs = Ising.lattice((60, 60), J="+-J", kind=kind, seed=2).edges()[2]
    assert abs(signs.mean()) < 0.1


def test_bonds_one_by_one():
    J = np.arange(1.0, 13.0).reshape(2, 2, 3)
    model = Ising.lattice((2, 3), J=J, periodic=False)
    bonds = {(i, j): w for i, j, w in zip(*(part.tolist() for part in model.edges()), strict=True)}
    assert bonds == {(0, 3): 1, (1, 4): 2, (2, 5): 3, (0, 1): 7, (1, 2): 8, (3, 4): 10, (4, 5): 11}
    signs = np.where(np.arange(18).reshape(2, 3, 3) % 2, 0.5, -0.5)
    implicit, rows = Ising.lattice((3, 3), J=signs), Ising.lattice((3, 3), J=signs * [[1, 1, 2]])
    assert implicit._hypercubic and not rows._hypercubic
    assert implicit.M[0].tolist() == [0, 0.5, 0.5, -0.5, 0, 0, -0.5, 0, 0]  # right, left, down, up
    s = np.random.default_rng().choice([-1, 1], (5, 9))
    np.testing.assert_allclose(rows.energy(s), -0.5 * np.einsum("ri,ij,rj->r", s, rows.M, s))


def test_large_lattices_are_made_at_once():
    start = time.perf_counter()
    model = Ising.lattice((4096, 4096))
    assert time.perf_counter() - start < 1 and model.n == 1 << 24
    assert model._couplings.degree == 4 and model._couplings.whole
    assert Ising.lattice((256, 256, 256), J=-0.5)._couplings.degree == 6


def test_ctrl_c_within_one_long_call():
    model = Ising.lattice((4096, 4096))
    spins = np.ones(model.n, np.int8)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for call in (lambda: model._couplings.local_field(spins[None]), model.rows):
            passed, had = interrupted(call, 0.05)
            assert min(passed, had) < 0.1
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_part_after_the_other_gives_the_same():
    """Energies of large models are added up in parts; the sum is that of a small piece of code."""
    model = Ising.lattice((300, 400), J="gaussian", h=0.3, seed=1)
    s = np.random.default_rng().choice([-1, 1], model.n)
    i, j, w = model.edges()
    assert model.energy(s) == pytest.approx(-(w * s[i] * s[j]).sum() - 0.3 * s.sum(), rel=1e-11)
    np.testing.assert_allclose(model.local_field(s) @ s, -2 * model.energy(s) - 0.3 * s.sum(), rtol=1e-11)


def test_facts_of_a_lattice_are_those_of_its_rows():
    rng = np.random.default_rng()
    for shape in ((1,), (2,), (5,), (1, 4), (2, 3), (3, 3), (2, 2, 3)):
        lattice = Ising.lattice(shape, J=-3.0, periodic=False)
        edges = Ising(lattice.edges(), n=lattice.n)
        for name in ("degree", "whole", "n"):
            assert getattr(lattice._couplings, name) == getattr(edges._couplings, name), (shape, name)
        s = rng.choice([-1, 1], (3, lattice.n))
        np.testing.assert_array_equal(lattice.energy(s.reshape(-1, *shape)), edges.energy(s))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (((),), ValueError, "1 to 3 axes"),
        (((2, 2, 2, 2),), ValueError, "1 to 3 axes"),
        (((0, 3),), ValueError, "at least one site"),
        (((2.5, 3),), TypeError, "whole numbers of sites"),
        (("a",), TypeError, "whole numbers"),
        (((2, 4),), ValueError, "axis 0 of the lattice needs at least 3 sites, got 2"),
        (((1 << 20, 1 << 20),), ValueError, "sites"),
        (((4, 4), "spin glass"), ValueError, "J must be a number, an array"),
        (((4, 4), np.ones((4, 4))), ValueError, r"J must be a number or have shape \(2, 4, 4\)"),
        (((4, 4), np.nan), ValueError, "J must be finite"),
        (((4, 4), 1.0, "yes"), ValueError, "periodic must be a bool"),
        (((4, 4), 1.0, (True,)), ValueError, "one for each of 2 axes"),
    ],
)
def test_lattices_that_are_none(arguments, error, words):
    with pytest.raises(error, match=words):
        Ising.lattice(*arguments)


def test_kinds_that_are_none():
    for kind, shape, words in [
        ("kagome", (4, 4), "kind must be one of"),
        ("cubic", (4, 4), "a cubic lattice has 3 axes"),
        ("triangular", (2, 4), "needs at least 3 sites, axis 0 has 2"),
        ("honeycomb", (5, 4), "an even number of sites, axis 0 has 5"),
        ("honeycomb", (4, 2), "at least 4 sites, axis 1 has 2"),
    ]:
        with pytest.raises(ValueError, match=words):
            Ising.lattice(shape, kind=kind)


def test_villain():
    model = Ising.villain((4, 6))
    M, at = model.M, np.arange(24).reshape(4, 6)
    for x in range(4):
        for y in range(6):
            a, b = at[x, y], at[x, (y + 1) % 6]
            c, d = at[(x + 1) % 4, y], at[(x + 1) % 4, (y + 1) % 6]
            assert M[a, b] * M[b, d] * M[d, c] * M[c, a] == -1
    assert model._hypercubic
    for shape, words in (((3, 4), "even number of rows"), ((4, 4, 4), "square lattice")):
        with pytest.raises(ValueError, match=words):
            Ising.villain(shape)


def test_sherrington_kirkpatrick():
    model = Ising.sherrington_kirkpatrick(200, seed=3)
    w = model.edges()[2]
    assert len(w) == 200 * 199 // 2 and abs(w.mean()) < 5 * w.std() / len(w) ** 0.5
    assert w.std() * 200**0.5 == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(model.M, Ising.sherrington_kirkpatrick(200, seed=3).M)
    for n in (1, 0, -3):
        with pytest.raises(ValueError, match="n must be at least 2"):
            Ising.sherrington_kirkpatrick(n)


@pytest.mark.parametrize(("n", "degree"), [(4, 3), (10, 3), (50, 3), (2000, 3), (30, 12), (6, 5), (5, 0)])
def test_random_regular_graphs(n, degree):
    model = Ising.random_regular(n, degree, seed=n)
    start, to, weight = model.rows()
    assert np.all(np.diff(start) == degree) and set(weight) <= {1.0}
    assert all(len(set(row)) == len(row) and i not in row for i, row in enumerate(neighbours(model)))
    again = Ising.random_regular(n, degree, seed=n)
    np.testing.assert_array_equal(to, again.rows()[1])


def test_random_regular_graphs_that_are_none():
    for n, degree in ((5, 3), (4, 4), (3, 5)):
        with pytest.raises(ValueError, match="no graph"):
            Ising.random_regular(n, degree)
    with pytest.raises(TypeError, match="n must be a whole number"):
        Ising.random_regular(2.5)
    assert set(Ising.random_regular(20, J="+-J", seed=1).edges()[2]) == {-1.0, 1.0}


# ---- files ----

MODELS = [
    lambda: Ising.lattice((3, 5)),
    lambda: Ising.lattice((3, 4, 5), J="+-J", h=0.3, seed=1, periodic=(True, False, True)),
    lambda: Ising.lattice((4, 4), kind="honeycomb", J="gaussian"),
    lambda: Ising([[0, 1.5], [1.5, 0]], h=[0.0, 1.0]),
    lambda: Ising(np.zeros((3, 3))),
    lambda: Ising.from_qubo({(0, 0): 1.0, (0, 3): 2.0}, offset=4.0),
]


@pytest.mark.parametrize("make", MODELS)
def test_saved_and_loaded(make, tmp_path):
    import pyneuro as pn

    model, path = make(), tmp_path / "model.safetensors"
    model.save(path)
    again = pn.load(path)
    assert type(again) is Ising and repr(again) == repr(model)
    assert again.shape == model.shape and again.offset == model.offset
    np.testing.assert_array_equal(again.M, model.M)
    assert (again.h is None) == (model.h is None) and (model.h is None or (again.h == model.h).all())
    assert set(again.state_dict()) == set(model.state_dict())
    again.load_state_dict(model.state_dict())
    assert again.exact(1.0).lnZ == model.exact(1.0).lnZ if model.n < 20 else again.n == 60


@pytest.mark.parametrize("make", MODELS)
def test_copied_and_pickled(make):
    model = make()
    for again in (copy.deepcopy(model), copy.copy(model), pickle.loads(pickle.dumps(model))):
        assert type(again) is Ising and repr(again) == repr(model)
        assert (again.seed, again.labels, again.offset) == (model.seed, model.labels, model.offset)
        np.testing.assert_array_equal(again.M, model.M)
        assert again.h is model.h or (again.h == model.h).all()


def test_a_state_that_does_not_fit():
    model = energy.Ising([[0, 1.5], [1.5, 0]])
    state = model.state_dict()
    for name, value, words in [
        ("weight", np.array([1.0, 2.0]), "symmetric"),
        ("weight", np.array([np.nan, np.nan]), "finite"),
        ("to", np.array([5, 0], np.int32), "spin 5"),
        ("start", np.array([0, -1, 2]), "order"),
        ("start", np.array([0, 1, 7]), "shape"),
        ("weight", np.array([1.0]), r"weight is float64 \(2,\) here"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.load_state_dict({**state, name: value})
        assert model.M.tolist() == [[0, 1.5], [1.5, 0]]
