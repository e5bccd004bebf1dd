"""The travelling salesman: TSPLIB's files and lengths, all tours, Hopfield and Tank's network; graded neurons."""

import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import energy
from pyneuro.energy import tsplib

OPTIMA = {
    "burma14": 3323, "ulysses16": 6859, "ulysses22": 7013, "bays29": 2020, "att48": 10628, "eil51": 426,
    "berlin52": 7542, "kroA100": 21282,
}  # fmt: skip


TSPLIB = Path(os.environ.get("PYNEURO_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "tsplib"


# ---- graded neurons ----


def graded_energy(M, inputs, V, gain, tau):
    """With the integral by quadrature."""
    total = -0.5 * V @ M @ V - inputs @ V
    for v in V:
        x = (np.arange(20_000) + 0.5) / 20_000 * v
        total += np.arctanh(x).mean() * v / gain / tau
    return total


def test_graded_neurons_are_the_definition():
    rng = np.random.default_rng(0)
    a = np.triu(rng.normal(size=(6, 6)), 1)
    M, inputs, V = a + a.T, rng.normal(size=6) / 3, rng.uniform(-0.8, 0.8, (3, 6))
    net = energy.GradedHopfield(M, inputs, gain=1.5, tau=0.7)
    np.testing.assert_allclose(net.energy(V), [graded_energy(M, inputs, v, 1.5, 0.7) for v in V], rtol=1e-5)
    out = net.run(V, time=0.5, dt=0.01, every=1, record="states")
    u = np.arctanh(V) / 1.5
    for t in range(51):
        np.testing.assert_allclose(out.states[:, t], np.tanh(1.5 * u), atol=1e-12)
        u = u + 0.01 * 0.7 * (np.tanh(1.5 * u) @ M + inputs - u / 0.7)
    np.testing.assert_allclose(out.time, np.arange(51) * 0.01)
    np.testing.assert_allclose(out.energy, [net.energy(states) for states in out.states], atol=1e-12)


def test_the_graded_energy_falls_and_high_gain_is_the_network_of_1982():
    X = energy.random_patterns(2, 120, seed=0)
    memory = energy.Hopfield(scale="neurons").fit(X)
    net = energy.GradedHopfield(memory.M, gain=20.0)
    out = net.run(0.2 * energy.flipped(X, 0.1, seed=1))
    assert (np.diff(out.energy) <= 1e-9).all()
    np.testing.assert_array_equal(np.sign(out.V), X)
    np.testing.assert_allclose(out.energy[:, -1], memory.energy(X) + 120 * np.log(2) / 20, rtol=0.001)
    low = energy.GradedHopfield(memory.M, gain=0.5).run(0.2 * X[0], time=60.0)
    assert np.abs(low.V).max() < 1e-3  # below the critical gain nothing is remembered


def test_graded_files(tmp_path):
    net = energy.GradedHopfield([[0, 1], [1, 0]], [0.5, 0], gain=3, tau=2)
    net.save(tmp_path / "net.safetensors")
    again = pn.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(again.run([0.1, -0.2]).energy, net.run([0.1, -0.2]).energy)


# ---- problems and tours ----


def test_the_ten_cities():
    cities = energy.TSP.ten_cities()
    lengths, best = cities.all_tours()
    assert len(lengths) == 181_440
    np.testing.assert_allclose(np.sort(lengths)[:4], [2.690671, 2.751738, 2.769332, 2.774177], atol=5e-7)
    assert abs(lengths.mean() - 4.765546) < 5e-7
    assert best.tolist() == [0, 2, 1, 9, 8, 7, 6, 5, 4, 3]
    assert cities.length(best) == pytest.approx(lengths.min())


@pytest.mark.parametrize("n", [3, 4, 7])
def test_all_tours_are_all_tours(n):
    rng = np.random.default_rng(n)
    cities = energy.TSP(rng.random((n, 2)))
    every = [cities.length([0, *rest]) for rest in itertools.permutations(range(1, n)) if rest[0] < rest[-1]]
    lengths, best = cities.all_tours()
    np.testing.assert_allclose(np.sort(lengths), np.sort(every))
    assert cities.length(best) == pytest.approx(min(every))


@pytest.mark.parametrize("name", OPTIMA)
def test_lengths_of_tsplib(name):
    """The distances are the library's: its best tours have the lengths that are known."""
    problem = energy.TSP.read(TSPLIB / f"{name}.tsp")
    path = TSPLIB / f"{name}.opt.tour"
    if path.exists():
        assert problem.length(tsplib.read_tour(path)) == OPTIMA[name]
    found = problem.length(problem.two_opt(200, seed=0))
    assert OPTIMA[name] <= found <= 1.06 * OPTIMA[name]


def test_two_opt_leaves_nothing_to_turn_round():
    cities = energy.TSP(np.random.default_rng(0).random((30, 2)))
    tour = cities.two_opt(1, seed=3)
    best = cities.length(tour)
    for i, j in itertools.combinations(range(31), 2):
        turned = np.concatenate([tour[:i], tour[i:j][::-1], tour[j:]])
        assert cities.length(turned) >= best - 1e-9


def test_the_same_bits_for_any_number_of_threads():
    cities, found = energy.TSP.ten_cities(), []
    try:
        for threads in (1, 2, 3):
            pn.set_num_threads(threads)
            out = energy.HopfieldTank().solve(cities, runs=7, steps=500, seed=1)
            found.append([out.activity.tobytes(), out.energy.tobytes(), cities.two_opt(9, seed=1).tobytes()])
    finally:
        pn.set_num_threads(0)
    assert found.count(found[0]) == 3


# ---- Hopfield and Tank ----


def tank_energy(d, V, A, B, C, D, goal, u0):
    n = len(d)
    total = C / 2 * (V.sum() - goal) ** 2
    for i, j in itertools.permutations(range(n), 2):
        total += A / 2 * V[:, i] @ V[:, j] + B / 2 * V[i] @ V[j]
    for x, y in itertools.product(range(n), repeat=2):
        total += D / 2 * d[x, y] * (V[x] * (np.roll(V[y], -1) + np.roll(V[y], 1))).sum()
    entropy = V * np.log(V) + (1 - V) * np.log(1 - V) + np.log(2)
    return total + u0 / 2 * entropy.sum()


def test_the_network_is_the_definition():
    """Energy by its formula; the way by the slope of that energy."""
    cities = energy.TSP(np.random.default_rng(0).random((4, 2)))
    net = energy.HopfieldTank(u0=0.5, dt=1e-4)
    parameters = (cities.distances, net.A, net.B, net.C, net.D, 6.0, 0.5)

    def of(V):
        return tank_energy(parameters[0], V, *parameters[1:])

    V = [net.solve(cities, runs=1, steps=s, seed=2) for s in (0, 1)]
    assert V[0].energy[0, 0] == pytest.approx(of(V[0].activity[0]), rel=1e-12)
    first, second = V[0].activity[0], V[1].activity[0]
    assert abs(first.sum() - 4) < 0.5
    slope = np.zeros((4, 4))
    for at in np.ndindex(4, 4):
        e = np.zeros((4, 4))
        e[at] = 1e-6
        slope[at] = (of(first + e) - of(first - e)) / 2e-6
    u = [0.25 * (np.log(v) - np.log(1 - v)) for v in (first, second)]
    np.testing.assert_allclose(u[1] - u[0], -1e-4 * slope, rtol=1e-4, atol=1e-9)


def test_the_energy_falls_and_tours_are_tours():
    cities = energy.TSP.ten_cities()
    seed = pn._core.seed_child()
    found = energy.HopfieldTank().solve(cities, runs=200, seed=seed)
    assert (np.diff(found.energy) <= 1e-6).all(), seed
    assert 1 <= found.valid.sum() < 120, seed  # Wilson and Pawley (1988): 15 of 100; the paper: 16 of 20
    for tour, length in zip(found.tours[found.valid], found.lengths[found.valid], strict=True):
        assert sorted(tour) == list(range(10)) and length == pytest.approx(cities.length(tour))
    assert (found.tours[~found.valid] == -1).all() and np.isnan(found.lengths[~found.valid]).all()
    assert found.best_length == np.nanmin(found.lengths) >= 2.690671 - 1e-6
    assert np.nanmean(found.lengths) < 4.765546  # better than chance


@pytest.mark.parametrize("name", ["burma14", "ulysses16", "bays29"])
def test_tours_of_more_cities_need_other_weights(name):
    problem = energy.TSP.read(TSPLIB / f"{name}.tsp")
    found = energy.HopfieldTank(D=200.0, goal=problem.n + 2).solve(problem, runs=8, steps=4000, seed=0)
    assert found.valid.sum() >= 6
    assert OPTIMA[name] < found.best_length < 2.2 * OPTIMA[name]
    assert not energy.HopfieldTank().solve(problem, runs=4, steps=2000, seed=0).valid.any()


def test_the_table():
    found = [energy.HopfieldTank().solve(energy.TSP.read(TSPLIB / "burma14.tsp"), runs=5, seed=0)]
    text = found[0].table(energy.HopfieldTank().solve(energy.TSP.ten_cities(), runs=20, seed=0))
    assert len(text.splitlines()) == 3 and "burma14" in text and "3323" in text and "2.69067" in text


# ---- bad input ----

GOOD = "NAME: a\nDIMENSION: 3\nEDGE_WEIGHT_TYPE: EUC_2D\nNODE_COORD_SECTION\n1 0 0\n2 3 0\n3 0 4\nEOF\n"
WEIGHTS = "DIMENSION: 3\nEDGE_WEIGHT_TYPE: EXPLICIT\nEDGE_WEIGHT_FORMAT: {}\nEDGE_WEIGHT_SECTION\n{}\nEOF\n"
FILES = {
    "no dimension": (GOOD.replace("DIMENSION", "SIZE"), "has no DIMENSION"),
    "a dimension": (GOOD.replace("N: 3", "N: many"), "line 2: DIMENSION must be 3 to"),
    "a kind": (GOOD.replace("EUC_2D", "EUC_3D"), "line 3: EDGE_WEIGHT_TYPE must be one of"),
    "no section": (GOOD.replace("NODE_COORD_SECTION", "COMMENT: x"), "no 'KEY : value'"),
    "no coordinates": ("DIMENSION: 3\nEDGE_WEIGHT_TYPE: GEO\n", "has no NODE_COORD_SECTION"),
    "a word": (GOOD.replace("3 0\n", "3 x\n"), "line 6: expected a number, got 'x'"),
    "too few words": (GOOD.replace("2 3 0", "2 3"), "line 6: expected 'city x y', got 2 words"),
    "a city": (GOOD.replace("2 3 0", "9 3 0"), "line 6: cities are 1 to 3, got 9"),
    "twice": (GOOD.replace("2 3 0", "1 3 0"), "line 6: city 1 stands twice"),
    "missing": (GOOD.replace("2 3 0\n", ""), "city 2 of 3 has no coordinates"),
    "far": (GOOD.replace("2 3 0", "2 3e12 0"), "within 1e9"),
    "not text": (GOOD.replace("4\n", "4\n\xe9"), "line 8: not plain text"),
    "a format": (WEIGHTS.format("ROWS", "1"), "line 3: EDGE_WEIGHT_FORMAT must be one of"),
    "too few": (WEIGHTS.format("UPPER_ROW", "1 2"), "UPPER_ROW of 3 cities has 3 distances, got 2"),
    "too many": (WEIGHTS.format("FULL_MATRIX", "1 2 3 4 5 6 7 8 9 10"), "line 5: more than 9 distances"),
    "asymmetric": (WEIGHTS.format("FULL_MATRIX", "0 1 2 1 0 3 2 4 0"), "distances of 2 and 3 are not symmetric"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_malformed_file_gets_a_sentence_with_its_line(name, tmp_path):
    text, message = FILES[name]
    path = tmp_path / "a.tsp"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(pn.io.FileFormatError, match=message):
        energy.TSP.read(path)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("FULL_MATRIX", "0 1 2 1 0 3 2 3 0"),
        ("UPPER_ROW", "1 2\n3"),
        ("LOWER_ROW", "1 2 3"),
        ("UPPER_DIAG_ROW", "0 1 2 0 3 0"),
        ("LOWER_DIAG_ROW", "0 1 0 2 3 0"),
    ],
)
def test_the_forms_of_explicit_distances(form, words, tmp_path):
    path = tmp_path / "a.tsp"
    path.write_text(WEIGHTS.format(form, words))
    assert energy.TSP.read(path).distances.tolist() == [[0, 1, 2], [1, 0, 3], [2, 3, 0]]


def test_files_of_tours(tmp_path):
    path = tmp_path / "a.tour"
    path.write_text("DIMENSION: 3\nTOUR_SECTION\n1 3\n2\n-1\nEOF\n")
    assert tsplib.read_tour(path).tolist() == [0, 2, 1]
    for text, message in (("1 2", "visits 2 of 3"), ("1 2 4", "line 3: a tour has"), ("1 2 3 1", "line 3: a tour has")):
        path.write_text(f"DIMENSION: 3\nTOUR_SECTION\n{text}\n-1\n")
        with pytest.raises(ValueError, match=message):
            tsplib.read_tour(path)
    with pytest.raises(ValueError, match="not a regular file"):
        tsplib.read_tour(tmp_path)


def test_kinds_of_distances():
    places = [[0, 0], [1, 1], [3, -1]]
    assert tsplib.distances(places, "MAN_2D")[0].tolist() == [0, 2, 4]
    assert tsplib.distances(places, "MAX_2D")[0].tolist() == [0, 1, 3]
    assert tsplib.distances(places, "CEIL_2D")[0].tolist() == [0, 2, 4]
    assert tsplib.distances(places, "ATT")[0].tolist() == [0, 1, 1]
    assert energy.TSP(places).distances[0, 1] == math.sqrt(2)


SQUARE = [[0, 0], [0, 1], [1, 1], [1, 0]]
BAD = {
    "nothing": (lambda: energy.TSP(), TypeError, "coordinates or distances"),
    "two cities": (lambda: energy.TSP(SQUARE[:2]), ValueError, "at least 3 cities"),
    "asymmetric": (lambda: energy.TSP(distances=[[0, 1, 1], [2, 0, 1], [1, 1, 0]]), ValueError, "symmetric"),
    "a tour": (lambda: energy.TSP(SQUARE).length([0, 1, 1, 2]), ValueError, "each of the cities 0 to 3 once"),
    "twelve": (lambda: energy.TSP(np.eye(12)[:, :2]).all_tours(), ValueError, "at most 11 cities"),
    "a problem": (lambda: energy.HopfieldTank().solve(SQUARE), TypeError, "problem must be a TSP"),
    "dt": (lambda: energy.HopfieldTank(dt=0), ValueError, "dt must be above 0"),
    "A": (lambda: energy.HopfieldTank(A=-1), ValueError, "A must be from 0"),
    "outputs": (lambda: energy.GradedHopfield([[0, 1], [1, 0]]).run([1, 0]), ValueError, "inside -1 and 1, got 1"),
    "M": (lambda: energy.GradedHopfield([[0, 1], [2, 0]]), ValueError, "M must be symmetric"),
    "gain": (lambda: energy.GradedHopfield([[0.0]], gain=0), ValueError, "gain must be above 0"),
    "time": (lambda: energy.GradedHopfield([[0.0]]).run([0], time=-1), ValueError, "time must be at least 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_gets_a_sentence(name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()
