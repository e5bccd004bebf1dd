"""`pn.gradcheck` itself: it must find wrong derivatives, of any size, and must not cry over rounding."""

import numpy as np
import pytest

import pyneuro as pn


class Wrong(pn.Function):
    """scale x, with a derivative that is `factor` times too large."""

    @staticmethod
    def forward(ctx, x, scale, factor):
        ctx.gradient = scale * factor
        return x * scale

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.gradient, None, None


SIZES = [1e-12, 1e-8, 1e-3, 1.0, 1e4, 1e9]


@pytest.mark.parametrize("scale", SIZES)
@pytest.mark.parametrize("factor", [3.0, 1 + 1e-5, 0.0, -1.0])
def test_wrong_derivatives_of_any_size_are_found(scale, factor):
    x = np.linspace(0.5, 2, 7)
    with pytest.raises(ValueError, match="differ by"):
        pn.gradcheck(lambda t: Wrong.apply(t, scale, factor), x)
    assert pn.gradcheck(lambda t: Wrong.apply(t, scale, factor), x, raise_exception=False) is False


def test_a_wrong_derivative_inside_a_mean_is_found():
    with pytest.raises(ValueError, match="differ by"):
        pn.gradcheck(lambda t: Wrong.apply(t, 1.0, 1 + 1e-4).mean(), np.linspace(1, 2, 300))


@pytest.mark.parametrize("scale", SIZES)
def test_right_derivatives_of_any_size_pass(scale):
    x = np.linspace(0.5, 2, 7)
    assert pn.gradcheck(lambda t: Wrong.apply(t, scale, 1.0), x)
    assert pn.gradcheck(lambda t: (t * t).mean() * scale, x)
    assert pn.gradcheck(lambda t: t.exp().sum() * scale, x)


def test_rounding_of_large_values_is_no_error():
    """The derivative 1e-6 cannot be seen in differences of values of 1, and at 1e6 a step of 1e-6 is inexact."""
    assert pn.gradcheck(lambda t: t * 1e-6 + 1.0, np.linspace(0.5, 2, 7))
    assert pn.gradcheck(lambda t: t * 2.0, np.array([1e6, 3e6]))


def test_no_dependence_at_all():
    assert pn.gradcheck(lambda t: t * 0.0, np.linspace(0.5, 2, 7))
    assert pn.gradcheck(lambda a, b: a * 1.0, [np.ones(2), np.ones(3)])
