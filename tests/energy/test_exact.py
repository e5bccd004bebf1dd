"""Exact engines against brute force in NumPy, the same bits in slices and on threads, and what they refuse."""

import itertools
import signal

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _core, energy
from pyneuro.energy import exact as engine
from tests.tolerances import LAST_PLACE, NEARLY_BITS, SAME
from tests.training.interrupting import interrupted

SIZES = (1, 2, 3, 6, 10, 11, 12)


def random_model(n, field, real, seed=0):
    rng = np.random.default_rng([n, field, real, seed])
    M = rng.normal(size=(n, n)) if real else rng.integers(-3, 4, (n, n)).astype(float)
    M = np.triu(M, 1)
    h = rng.normal(size=n) if real else rng.integers(-2, 3, n).astype(float)
    return energy.Ising(M + M.T, h if field else None)


def all_states(n):
    return np.array(list(itertools.product((-1, 1), repeat=n)), np.int8)


def brute_force(model):
    s = all_states(model.n).astype(float)
    e = -0.5 * np.einsum("ai,ij,aj->a", s, model.M, s)
    return s, e if model.h is None else e - s @ model.h


@pytest.mark.parametrize("real", [False, True], ids=["whole", "real"])
@pytest.mark.parametrize("field", [False, True], ids=["no field", "field"])
@pytest.mark.parametrize("n", SIZES)
def test_everything_against_brute_force(n, field, real):
    model = random_model(n, field, real)
    s, e = brute_force(model)
    temperatures = [0.7, 3.0]
    x = model.exact(temperatures)
    np.testing.assert_array_equal(x.states(), s)
    np.testing.assert_allclose(x.energies, e, rtol=SAME, atol=SAME)
    assert x.ground_energy == pytest.approx(e.min(), abs=SAME)
    ground = s[e < e.min() + 1e-9]
    np.testing.assert_array_equal(x.ground_states, ground)
    assert x.degeneracy == len(ground)
    levels, counts = np.unique(e.round(9), return_counts=True)
    np.testing.assert_allclose(list(x.density_of_states), levels, atol=1e-8)
    assert list(x.density_of_states.values()) == counts.tolist()
    for k, T in enumerate(temperatures):
        check_law(x, k, s, e, T)


def check_law(x, k, s, e, T):
    w = np.exp(-(e - e.min()) / T)
    p, m = w / w.sum(), s.mean(1)

    def same(values, wanted):
        np.testing.assert_allclose(np.asarray(values)[k], wanted, rtol=SAME, atol=SAME)

    same(x.lnZ, np.log(w.sum()) - e.min() / T)
    same(x.free_energy, -T * np.log(w.sum()) + e.min())
    same(x.mean_energy, p @ e)
    same(x.energy_variance, p @ (e - p @ e) ** 2)
    same(x.specific_heat, p @ (e - p @ e) ** 2 / T**2)
    same(x.entropy, -(p @ np.log(p)))
    same(x.probabilities, p)
    same(x.mean_spins, p @ s)
    same(x.correlations, np.einsum("a,ai,aj->ij", p, s, s))
    same(x.mean_magnetization, p @ m)
    same(x.mean_abs_magnetization, p @ np.abs(m))
    same(x.binder, 1 - p @ m**4 / (3 * (p @ m**2) ** 2))
    same(x.magnetization_law, [p[np.abs(m - level) < 1e-9].sum() for level in np.linspace(-1, 1, s.shape[1] + 1)])


def test_one_temperature_gives_plain_numbers():
    x = random_model(5, True, True).exact(1.5)
    assert type(x.lnZ) is type(x.mean_energy) is float
    assert x.mean_spins.shape == (5,) and x.probabilities.shape == (32,)
    assert repr(x) == f"Exact(n=5, T=1.5, ground_energy={x.ground_energy:g})"


@pytest.mark.parametrize("J", [1.0, 0.5, 0.1, 3.7e-5, -0.3])
def test_levels_of_multiples_of_one_number_are_counted(J):
    counts = list(energy.Ising.lattice((4, 4), J=J).exact(1.0).density_of_states.values())
    assert counts == list(energy.Ising.lattice((4, 4)).exact(1.0).density_of_states.values())


def test_rounding_does_not_part_levels():
    """sqrt 2 and 1 have no common unit: levels of the listed energies are joined."""
    M = np.sqrt(2) * energy.Ising.lattice(9).M
    M[0, 4] = M[4, 0] = 1.0
    counts = energy.Ising(M).exact(1.0).density_of_states
    _, wanted = np.unique(brute_force(energy.Ising(M))[1].round(9), return_counts=True)
    assert list(counts.values()) == wanted.tolist()


def test_slices_and_threads_change_no_bit(monkeypatch):
    model = random_model(15, True, True)
    seen = set()
    for threads, states in itertools.product((1, 2, 3, 4), (1 << 25, 1 << 12)):
        monkeypatch.setattr(engine, "SLICE", states)
        pn.set_num_threads(threads)
        x = model.exact(1.3)
        seen.add((x.lnZ, x.mean_energy, x.mean_spins.tobytes(), x.correlations.tobytes(), x.energies.tobytes()))
    pn.set_num_threads(0)
    assert len(seen) == 1


def test_a_walk_that_begins_anywhere_gives_the_same():
    """Slices that begin between the places where the walk is computed anew."""
    model = random_model(20, False, True)
    plan = _core.enumeration(model._couplings, 0.0)
    whole, parts = (np.zeros((plan["parts"], plan["sums"])) for _ in range(2))
    _core.enumerate_weights(model._couplings, 0.0, 0, plan["steps"], -3.0, 0.4, whole)
    for start, stop in ((0, 7), (7, 8), (8, plan["steps"])):
        _core.enumerate_weights(model._couplings, 0.0, start, stop, -3.0, 0.4, parts)
    np.testing.assert_array_equal(whole, parts)


def test_larger_models():
    """24 spins by the torus's own formula, and 26 by a chain's."""
    torus = energy.Ising.lattice((4, 6)).exact([1.0, 2.5])
    np.testing.assert_allclose(torus.lnZ, energy.reference.kaufman_lnz((4, 6), [1.0, 2.5]), rtol=NEARLY_BITS)
    chain = energy.Ising.lattice(26, J=0.7, h=0.2, periodic=False).exact(1.1)
    wanted = energy.reference.Chain(26, T=1.1, J=0.7, h=0.2, periodic=False)
    assert chain.lnZ == pytest.approx(wanted.lnZ, rel=SAME)
    assert chain.mean_energy == pytest.approx(26 * wanted.energy, rel=SAME)
    assert chain.mean_magnetization == pytest.approx(wanted.magnetization, rel=SAME)
    assert chain.correlations[0, 9] == pytest.approx(wanted.correlation(9), rel=SAME)


def test_extreme_temperatures():
    model = energy.Ising.lattice((3, 3))
    cold, hot = model.exact(1e-300), model.exact(1e300)
    assert cold.mean_energy == -18 and cold.probabilities[[0, -1]].tolist() == [0.5, 0.5]
    assert hot.lnZ == pytest.approx(9 * np.log(2), rel=LAST_PLACE) and hot.entropy == pytest.approx(9 * np.log(2))


def test_no_couplings_at_all():
    x = energy.Ising(np.zeros((3, 3))).exact(1.0)
    assert x.density_of_states == {0.0: 8} and x.degeneracy == 8 and len(x.ground_states) == 8


# ---- transition matrices ----


@pytest.mark.parametrize("proposals", ["flip", "draw"])
@pytest.mark.parametrize("rule", ["metropolis", "glauber", "heat_bath"])
def test_detailed_balance_to_1e_12(rule, proposals):
    for n, field, real in itertools.product((1, 2, 4, 6), (False, True), (False, True)):
        t = random_model(n, field, real).transition_matrix(1.7, rule, proposals=proposals)
        np.testing.assert_allclose(t.matrix.sum(1), 1, rtol=SAME)
        assert t.matrix.min() > -SAME and t.violation < SAME
        if (
            n > 1 or proposals == "draw" or rule != "metropolis"
        ):  # one free spin that always flips has no law of its own
            assert t.total_variation < 1e-9 and t.current < SAME


@pytest.mark.parametrize("rule", ["metropolis", "glauber"])
def test_a_sweep_in_order_keeps_boltzmann_without_detailed_balance(rule):
    t = random_model(5, True, True).transition_matrix(2.0, rule, order="sequential")
    np.testing.assert_allclose(t.boltzmann @ t.matrix, t.boltzmann, rtol=1e-10)
    assert t.total_variation < 1e-9 and t.violation > 1e-6
    again = random_model(5, True, True).transition_matrix(2.0, rule, order=[0, 1, 2, 3, 4])
    np.testing.assert_array_equal(t.matrix, again.matrix)


def test_a_sweep_is_the_product_of_its_visits():
    model = random_model(4, True, False)
    product = np.eye(16)
    for spin in (2, 0, 3):
        product = product @ model.transition_matrix(1.2, "lecture", order=[spin]).matrix
    np.testing.assert_allclose(model.transition_matrix(1.2, "lecture", order=[2, 0, 3]).matrix, product, atol=SAME)


def test_a_matrix_by_hand():
    """Two spins, M = 1, T = 1, Metropolis: a flip out of a ground state costs 2."""
    t = energy.Ising([[0, 1], [1, 0]]).transition_matrix(1.0)
    up = np.exp(-2.0) / 2
    wanted = [[1 - 2 * up, up, up, 0], [0.5, 0, 0, 0.5], [0.5, 0, 0, 0.5], [0, up, up, 1 - 2 * up]]
    np.testing.assert_allclose(t.matrix, wanted, atol=LAST_PLACE)
    assert "detailed balance holds" in str(t) and repr(t).startswith("Transition(n=2, T=1, rule='metropolis'")


# ---- refusals ----


@pytest.mark.parametrize(
    ("T", "words"),
    [
        (0, "T must be positive and finite, got 0"),
        (-1.5, "got -1.5"),
        (float("nan"), "got nan"),
        ([1.0, 0.0], "got 0"),
        ([], "shape"),
        ([[1.0]], "shape"),
    ],
)
def test_temperatures_that_are_none(T, words):
    with pytest.raises(ValueError, match=words):
        energy.Ising.lattice(4).exact(T)


def test_words_for_what_is_no_temperature():
    with pytest.raises(TypeError, match="T must be a temperature"):
        energy.Ising.lattice(4).exact("warm")


def test_too_many_spins_are_refused_with_the_cost():
    with pytest.raises(ValueError, match=r"at most 30 spins, got 31: 2\^31 = 2.15e\+09 states .* s at 2 ns each"):
        energy.Ising.lattice(31).exact(1.0)
    with pytest.raises(ValueError, match=r"years"):
        energy.Ising.lattice((8, 8)).exact(1.0)


def test_lists_of_states_end_at_24_spins():
    x = energy.Ising.lattice(25).exact(1.0)
    for name in ("probabilities", "energies"):
        with pytest.raises(ValueError, match=r"at most 24 spins, got 25: .* 256 MB"):
            getattr(x, name)
    assert x.degeneracy == 2


def test_transition_matrices_refuse():
    model = energy.Ising.lattice(4)
    for arguments, words in [
        ((1.0, "gibbs"), "rule must be one of"),
        ((0.0,), "T must be positive"),
        (([1.0, 2.0],), "one temperature"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.transition_matrix(*arguments)
    for order in ("checkered", [4], [-1], [], [0.5]):
        with pytest.raises(ValueError, match="order"):
            model.transition_matrix(1.0, order=order)
    with pytest.raises(ValueError, match="proposals"):
        model.transition_matrix(1.0, proposals="half")
    with pytest.raises(ValueError, match="at most 12 spins, got 13"):
        energy.Ising.lattice(13).transition_matrix(1.0)


# ---- long walks ----


def test_ctrl_c_and_the_bar(capsys):
    """A walk that takes seconds stops at once, and the model is as it was."""
    model = energy.Ising.sherrington_kirkpatrick(30, seed=0)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        passed, had = interrupted(lambda: model.exact(1.0, verbose=1).mean_spins, 0.9)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert min(passed, had) < 0.1
    assert "step" in capsys.readouterr().err
    x = random_model(6, True, True).exact(1.0)
    assert x.mean_spins.shape == (6,) and capsys.readouterr().err == ""
