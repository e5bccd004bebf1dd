"""Max-Cut files and graphs, D-Wave's convention, QUBO."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from pyneuro.energy import Ising, formats

GSET = Path(os.environ.get("PYNEURO_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "gset"


def write(path, text):
    path.write_text(text)
    return path


def cut_by_hand(edges, s):
    return sum(w for i, j, w in edges if s[i] != s[j])


# ---- Max-Cut ----


def test_a_file(tmp_path):
    path = write(tmp_path / "g.txt", "4 5\n1 2 1\n2 3 -2\n3 4 1.5\n\n1 4\n1 3 7\n")
    model = Ising.from_maxcut(path)
    edges = [(0, 1, 1), (1, 2, -2), (2, 3, 1.5), (0, 3, 1), (0, 2, 7)]
    for given in (model, Ising.from_maxcut(str(path)), Ising.from_maxcut(edges)):
        for s in itertools.product((-1, 1), repeat=4):
            assert given.cut(s) == cut_by_hand(edges, s)
    states = np.array(list(itertools.product((-1, 1), repeat=4)))
    best = model.exact(1.0)
    assert model.cut(best.ground_states).max() == max(cut_by_hand(edges, s) for s in states)
    np.testing.assert_array_equal(model.cut((states + 1) // 2, binary=True), model.cut(states))


def test_a_cut_knows_nothing_of_fields():
    assert Ising([[0, -1], [-1, 0]], h=[3.0, 0.25]).cut([[1, -1], [1, 1]]).tolist() == [1, 0]


def test_large_files(tmp_path):
    """A random graph written out, and the files of the G-set where they are."""
    n, ends = 800, Ising.random_regular(800, 12, seed=4).edges()
    lines = [f"{i + 1} {j + 1} {1 - 2 * (k % 2)}" for k, (i, j) in enumerate(zip(*ends[:2], strict=True))]
    made = write(tmp_path / "made.txt", f"{n} {len(lines)}\n" + "\n".join(lines))
    for path in [made, *sorted(GSET.glob("G*.txt"))]:
        table = np.loadtxt(path, skiprows=1)
        i, j, w = table[:, 0].astype(int) - 1, table[:, 1].astype(int) - 1, table[:, 2]
        model = Ising.from_maxcut(path)
        assert [model.n, len(model.edges()[0])] == [int(word) for word in path.read_text().split(maxsplit=2)[:2]]
        s = np.random.default_rng().choice([-1, 1], model.n)
        assert model.cut(s) == w[s[i] != s[j]].sum()


def test_networkx_graphs():
    networkx = pytest.importorskip("networkx")
    graph = networkx.Graph()
    graph.add_edge("a", "b", weight=2.0)
    graph.add_edge("b", "c")
    graph.add_node("alone")
    model = Ising.from_maxcut(graph)
    assert model.labels == ("a", "b", "c", "alone") and model.cut([1, -1, 1, 1]) == 3
    petersen = Ising.from_maxcut(networkx.petersen_graph())
    assert petersen.labels is None and petersen.cut(petersen.exact(1.0).ground_states).max() == 12
    for bad in (networkx.DiGraph([(0, 1)]), networkx.MultiGraph([(0, 1), (0, 1)]), networkx.Graph()):
        with pytest.raises(ValueError, match="graph"):
            Ising.from_maxcut(bad)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: expected two numbers"),
        ("3\n", "line 1: expected two numbers"),
        ("3 1 1\n1 2 1\n", "line 1: expected two numbers"),
        ("x 1\n1 2 1\n", "line 1"),
        ("-3 1\n1 2 1\n", "line 1"),
        ("0 0\n", "line 1: a graph needs at least one vertex"),
        ("3 2\n1 2 1\n1 4 1\n", "line 3: the vertices are 1 to 3, got 1 4"),
        ("3 2\n1 2 1\n0 2 1\n", "line 3: the vertices are 1 to 3, got 0 2"),
        ("3 2\n1 2 1\n\n2 2 1\n", "line 4: an edge from 2 to itself"),
        ("3 2\n1 2 1\n2 1 1\n", "line 3: the edge 2 1 is given twice"),
        ("3 2\n1 2 1\n1 3 x\n", "line 3: the weight must be a finite number, got 'x'"),
        ("3 2\n1 2 1\n1 3 nan\n", "line 3: the weight"),
        ("3 2\n1 2 1\n1 3 1e999\n", "line 3: the weight"),
        ("3 2\n1 2 1\n1 3 1_0\n", "line 3: the weight"),
        ("3 2\n1 2 1\n1.5 3 1\n", "line 3: expected two vertices and a weight"),
        ("3 2\n1 2 1\n1 3 1 1\n", "line 3: expected two vertices and a weight"),
        ("3 2\n1 2 1\n1\n", "line 3: expected two vertices and a weight"),
        ("3 2\n1 2 1\n", "promises 2 edges, the file has 1"),
        ("3 1\n1 2 1\n1 3 1\n", "line 3: the first line promises 1 edges, here is one more"),
        ("3 900000000\n1 2 1\n", "line 1: 900000000 edges do not fit into a file of"),
        ("900000000 1\n1 2 1\n", "line 1: 900000000 vertices are too many for 1 edges"),
        ("3 1\n1 \u00e9 1\n", "line 2: not a text of numbers"),
    ],
)
def test_malformed_files_are_refused_with_their_line(text, words, tmp_path):
    with pytest.raises(formats.FileFormatError, match=words):
        Ising.from_maxcut(write(tmp_path / "g.txt", text))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        Ising.from_maxcut(tmp_path / "nothing.txt")
    with pytest.raises(formats.FileFormatError, match="not a regular file"):
        Ising.from_maxcut(tmp_path)


@pytest.mark.parametrize("edges", [[(0, 1, 2, 3)], [(0,)], [], 5, [5]])
def test_edges_that_are_none(edges):
    with pytest.raises((ValueError, TypeError), match=r"edge|graph"):
        Ising.from_maxcut(edges)


def test_pairs_of_arrays():
    assert Ising.from_maxcut((np.array([0, 1]), np.array([1, 2]))).cut([1, -1, 1]) == 2


# ---- D-Wave's convention ----


def random_dwave(rng, n=6):
    h = {i: float(x) for i, x in enumerate(rng.normal(size=n))}
    return h, {(i, j): float(rng.normal()) for i in range(n) for j in range(i + 1, n) if rng.random() < 0.6}


def dwave_energy(h, J, s):
    return sum(x * s[i] for i, x in h.items()) + sum(x * s[i] * s[j] for (i, j), x in J.items())


def test_ising_both_ways():
    rng = np.random.default_rng()
    h, J = random_dwave(rng)
    model = Ising.from_ising(h, J)
    states = np.array(list(itertools.product((-1, 1), repeat=6)))
    np.testing.assert_allclose(model.energy(states), [dwave_energy(h, J, s) for s in states], atol=1e-12)
    assert model.to_ising() == (h, J)
    assert Ising.from_ising(list(h.values()), J).to_ising() == (h, J)
    assert Ising.from_ising([], {(0, 1): -1.0}).M.tolist() == [[0, 1], [1, 0]]


def test_names_of_spins():
    h, J = {"x": 1.0, "y": 0.0, "z": 0.0}, {("x", "y"): 2.0, ("y", "z"): -1.0}
    model = Ising.from_ising(h, J)
    assert model.labels == ("x", "y", "z") and model.to_ising() == (h, J)
    assert Ising.from_ising({}, {(7, 3): 1.0}).labels == (3, 7)


def test_dimod():
    dimod = pytest.importorskip("dimod")
    rng = np.random.default_rng()
    h, J = random_dwave(rng)
    for bqm in (
        dimod.BQM.from_ising(h, J, 1.5),
        dimod.BQM.from_ising(h, J, 1.5).change_vartype("BINARY", inplace=False),
    ):
        model = Ising.from_ising(bqm)
        for s in itertools.product((-1, 1), repeat=6):
            assert model.energy(s) + model.offset == pytest.approx(dimod.BQM.from_ising(h, J, 1.5).energy(list(s)))
    back = dimod.BQM.from_ising(*model.to_ising(), offset=model.offset)
    assert back.energy([1] * 6) == pytest.approx(dwave_energy(h, J, [1] * 6) + 1.5)
    qubo, offset = dimod.BQM.from_ising(h, J).to_qubo()
    mine, mine_offset = Ising.from_ising(h, J).to_qubo()
    for x in itertools.product((0, 1), repeat=6):
        assert dimod.BQM.from_qubo(mine, mine_offset).energy(list(x)) == pytest.approx(
            dimod.BQM.from_qubo(qubo, offset).energy(list(x))
        )


@pytest.mark.parametrize(
    ("h", "J", "words"),
    [
        ({}, {}, "at least one spin"),
        ({}, [(0, 1)], "dict"),
        ({}, {(0, 1): np.nan}, "finite"),
        ({}, {(0, 0): 1.0}, "itself"),
        ({}, {(0, 1): 1.0, (1, 0): 1.0}, "twice"),
        ({0: np.inf}, {}, "finite"),
    ],
)
def test_ising_that_is_none(h, J, words):
    with pytest.raises((ValueError, TypeError), match=words):
        Ising.from_ising(h, J)


# ---- QUBO ----


def test_qubo_both_ways():
    rng = np.random.default_rng()
    Q = rng.normal(size=(5, 5))
    model = Ising.from_qubo(Q, offset=2.5)
    x = np.array(list(itertools.product((0, 1), repeat=5)))
    wanted = np.einsum("ai,ij,aj->a", x, Q, x) + 2.5
    np.testing.assert_allclose(model.energy(x, binary=True) + model.offset, wanted, atol=1e-12)
    back, offset = model.to_qubo()
    again = [sum(w * row[i] * row[j] for (i, j), w in back.items()) + offset for row in x.tolist()]
    np.testing.assert_allclose(again, wanted, atol=1e-12)
    as_dict = Ising.from_qubo({(i, j): Q[i, j] for i in range(5) for j in range(5)}, 2.5)
    np.testing.assert_allclose(as_dict.M, model.M, atol=1e-15)


@pytest.mark.parametrize("Q", [{}, np.zeros((2, 3)), {0: 1.0}, {(0, 1): np.nan}, [["a"]]])
def test_qubo_that_is_none(Q):
    with pytest.raises((ValueError, TypeError)):
        Ising.from_qubo(Q)
