"""Formulas for the chain, the infinite square lattice and the torus: the lecture's numbers, and enumeration."""

import numpy as np
import pytest

from pyneuro import energy
from pyneuro.energy import reference
from tests.tolerances import NEARLY_BITS, SAME

TC = 2.269185314213022
INFINITE = {
    1.5: (-1.95111657, 0.98649960),
    2.0: (-1.74556458, 0.91131938),
    2.1: (-1.66208241, 0.86874762),
    2.5: (-1.10607920, 0.0),
    3.0: (-0.81730959, 0.0),
}


def test_infinite_lattice():
    T = np.array(list(INFINITE))
    np.testing.assert_allclose(reference.onsager_energy(T), [e for e, _ in INFINITE.values()], atol=5.1e-9)
    np.testing.assert_allclose(reference.onsager_magnetization(T), [m for _, m in INFINITE.values()], atol=5.1e-9)
    assert reference.critical_temperature() == pytest.approx(TC, rel=NEARLY_BITS)
    assert reference.onsager_energy(TC) == pytest.approx(-np.sqrt(2), abs=1e-7)
    assert reference.onsager_magnetization(TC + 1e-9) == 0
    assert reference.onsager_energy(4.0, J=2.0) == pytest.approx(2 * reference.onsager_energy(2.0), rel=SAME)


@pytest.mark.parametrize("T", [0.01, 1.5, 2.0, 2.5, 4.0, 1e3])
def test_the_energy_is_the_slope_of_the_free_energy(T):
    beta, step = 1 / T, 1e-4 / T
    low, high = (b * reference.onsager_free_energy(1 / b) for b in (beta - step, beta + step))
    assert (high - low) / (2 * step) == pytest.approx(reference.onsager_energy(T), abs=3e-7)


def test_finite_torus():
    at = [(8, 2.5, -1.22232064), (16, 2.5, -1.13131798), (32, 2.5, -1.10729166)]
    at += [(4, TC, -1.56562379), (8, TC, -1.49158911), (16, TC, -1.45306485), (32, TC, -1.43365847)]
    for side, T, wanted in at:
        assert reference.kaufman_energy((side, side), T) == pytest.approx(wanted, abs=5.1e-9)


@pytest.mark.parametrize("shape", [(3, 3), (4, 4), (3, 5), (5, 3), (4, 6)])
def test_torus_against_enumeration(shape):
    T = [0.3, 1.0, 2.0, 2.2, 2.2691853, 2.5, 4.0, 100.0]
    exact = energy.Ising.lattice(shape).exact(T)
    np.testing.assert_allclose(reference.kaufman_lnz(shape, T), exact.lnZ, rtol=SAME)
    per_spin = exact.mean_energy / np.prod(shape)
    np.testing.assert_allclose(reference.kaufman_energy(shape, T), per_spin, rtol=1e-9)
    np.testing.assert_allclose(reference.kaufman_energy(shape, 2 * np.array(T), J=2.0), 2 * per_spin, rtol=1e-9)


def test_a_large_torus_is_nearly_infinite():
    assert reference.kaufman_lnz((512, 512), 2.0) / 512**2 == pytest.approx(
        -reference.onsager_free_energy(2.0) / 2, rel=1e-5
    )
    assert reference.kaufman_energy((64, 64), 1e-3) == -2
    assert reference.kaufman_lnz((4, 4), 1e-3) == pytest.approx(32e3 + np.log(2), rel=NEARLY_BITS)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("J", "h"), [(1.0, 0.0), (-0.8, 0.0), (0.5, 0.7), (-1.0, -0.4)])
def test_chain_against_enumeration(J, h, periodic):
    for T in (0.2, 1.0, 5.0):
        chain = reference.Chain(9, T, J, h, periodic)
        exact = energy.Ising.lattice(9, J=J, h=h, periodic=periodic).exact(T)
        assert chain.lnZ == pytest.approx(exact.lnZ, rel=SAME)
        assert chain.energy == pytest.approx(exact.mean_energy / 9, rel=1e-10)
        assert chain.magnetization == pytest.approx(exact.mean_magnetization, abs=1e-10)
        wanted = [exact.correlations[0, r] for r in range(9)]
        np.testing.assert_allclose([chain.correlation(r) for r in range(9)], wanted, atol=1e-10)


def test_a_long_chain_has_no_order():
    chain = reference.Chain(10**6, T=1.0)
    assert chain.magnetization == pytest.approx(0, abs=1e-12)
    assert chain.energy == pytest.approx(-np.tanh(1.0), rel=SAME)
    assert chain.correlation(10) == pytest.approx(np.tanh(1.0) ** 10, rel=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: reference.onsager_energy(0.0),
        lambda: reference.onsager_energy(2.0, J=-1),
        lambda: reference.onsager_magnetization([1.0, float("nan")]),
        lambda: reference.kaufman_lnz((4,), 2.0),
        lambda: reference.kaufman_energy((0, 4), 2.0),
        lambda: reference.Chain(2, 1.0),
        lambda: reference.Chain(5, -1.0),
        lambda: reference.Chain(5, 1.0, J=float("inf")),
        lambda: reference.Chain(5, 1.0).correlation(5),
    ],
)
def test_refusals(call):
    with pytest.raises(ValueError):
        call()
