"""Every op with a derivative, on every instruction set of this machine: backward against finite differences in float64.

float32 is held to the float64 gradient of the same op. An op of the list without a case fails.
"""

import numpy as np
import pytest
from gradient_cases import FAMILY, cases

from pyneuro import _core
from tests import tolerances

ISAS = _core.cpu()["available"]
DIFFERENTIABLE = [n for n in _core.ops if "no_grad" not in _core.op_info(n)["flags"]]
EPS = tolerances.DIFFERENCE_STEP
F64, F32 = tolerances.GRADIENT["float64"], tolerances.GRADIENT["float32"]


@pytest.fixture(params=ISAS)
def isa(request):
    before = _core.cpu()["isa"]
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


# Inputs that an op declares to have no derivative: "weight:r?!" of cross_entropy.
CONSTANT = {
    n: {i for i, word in enumerate(_core.op_info(n)["inputs"].split()) if word.endswith("!")} for n in DIFFERENTIABLE
}


def is_real(x):
    return np.issubdtype(np.asarray(x).dtype, np.floating)


def run(name, inputs, attrs, dtype, grad):
    """Output and input tensors of one call; the random numbers are the same each time."""
    _core.set_random(5, 7)
    tensors = []
    for i, x in enumerate(inputs):
        tensors.append(_core.Tensor(x, dtype, grad and i not in CONSTANT[name]) if is_real(x) else _core.Tensor(x))
    if name == "cast":
        attrs = {"dtype": "float32" if dtype == "float32" else "float64"}
    return _core.ops[name](*tensors, **attrs), tensors


def weighted(name, inputs, attrs, weights):
    out, _ = run(name, inputs, attrs, "float64", False)
    return out.numpy() * weights


def gradients(name, inputs, attrs, dtype):
    """Analytic gradients under fixed random weights of the output."""
    out, tensors = run(name, inputs, attrs, dtype, True)
    weights = np.random.default_rng(3).uniform(0.5, 1.5, out.shape)
    wanted = [t for t in tensors if t.requires_grad]
    return _core.gradients(out, wanted, weights.astype(out.dtype)), weights


def numeric(name, inputs, attrs, weights):
    """For each real input: central differences, and below which size a derivative is small beside what is compared.

    Two doubles of size 1 differ by rounding alone by 1e-16, their difference quotient by 1e-10: a derivative of less
    than a hundredth of the values is held to 1e-7 of that hundredth, every other to 1e-7 of itself.
    """
    result = []
    for i, x in enumerate(inputs):
        if not is_real(x) or i in CONSTANT[name]:
            continue
        x = np.array(x, np.float64)
        g, small = np.zeros(x.shape), np.zeros(x.shape)
        for at in np.ndindex(x.shape):
            ends = []
            for sign in (1, -1):
                moved = x.copy()
                moved[at] += sign * EPS
                ends.append(weighted(name, [*inputs[:i], moved, *inputs[i + 1 :]], attrs, weights))
            change, largest = ends[0] - ends[1], np.maximum(*np.abs(ends))
            g[at] = change.sum() / (2 * EPS)
            small[at] = (largest[change != 0].sum() + largest.max(initial=0)) / 100
        result.append((g, small))
    return result


def relative(a, b, small):
    """Largest |a - b| / max(|a|, |b|, small), 0 where both are 0."""
    scale = np.maximum(small, np.maximum(np.abs(a), np.abs(b)))
    return float(np.max(np.abs(a - b) / np.where(scale == 0, 1, scale), initial=0))


_exact = {}


def exact(name, k, inputs, attrs):
    """Finite differences are the same question on every instruction set; ask the first one."""
    if (name, k) not in _exact:
        _, weights = gradients(name, inputs, attrs, "float64")
        _exact[name, k] = numeric(name, inputs, attrs, weights)
    return _exact[name, k]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_float64_against_finite_differences(name, isa):
    assert name in FAMILY, f"{name} needs a case in gradient_cases.py"
    found = cases(name)
    assert found
    for k, (inputs, attrs) in enumerate(found):
        got, _ = gradients(name, inputs, attrs, "float64")
        for g, (expected, small) in zip(got, exact(name, k, inputs, attrs), strict=True):
            g = np.zeros(expected.shape) if g is None else g.numpy()
            assert relative(g, expected, small) < F64, (attrs, [np.shape(x) for x in inputs])


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_float32_against_float64(name, isa):
    for inputs, attrs in cases(name):
        inputs = [np.float32(x) if is_real(x) else x for x in inputs]
        wide, _ = gradients(name, inputs, attrs, "float64")
        narrow, _ = gradients(name, inputs, attrs, "float32")
        for a, b in zip(narrow, wide, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert a.dtype == "float32" and a.shape == b.shape
                largest = np.abs(b.numpy()).max(initial=0)  # of this gradient: sums of its size round like it
                assert relative(a.numpy(), b.numpy(), largest) < F32, (attrs, [np.shape(x) for x in inputs])


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_accumulates_into_what_is_there(name, isa):
    """A second backward adds exactly what the first one gave: overwriting and adding are both complete."""
    inputs, attrs = cases(name)[0]
    out, tensors = run(name, inputs, attrs, "float64", True)
    once = np.ones(out.shape, out.dtype)
    total = out if out.shape == () else None
    leaves = [t for t in tensors if t.requires_grad]
    out.backward(None if total is not None else once, retain_graph=True)
    first = [t.grad.numpy().copy() for t in leaves]
    (out + out).backward(once)
    for t, g in zip(leaves, first, strict=True):
        np.testing.assert_allclose(t.grad.numpy(), 3 * g, rtol=tolerances.SAME, atol=tolerances.SAME)


@pytest.mark.parametrize("name", [n for n in DIFFERENTIABLE if CONSTANT[n]])
def test_constants_that_require_grad_are_refused(name):
    inputs, attrs = next(case for case in cases(name) if len(case[0]) > max(CONSTANT[name]))
    tensors = [_core.Tensor(x, requires_grad=is_real(x)) for x in inputs]
    with pytest.raises(RuntimeError, match=rf"{name}: \w+ requires grad, but there is no derivative"):
        _core.ops[name](*tensors, **attrs)


@pytest.mark.parametrize("name", [n for n in _core.ops if n not in DIFFERENTIABLE])
def test_ops_without_a_derivative_say_so(name):
    assert _core.op_info(name)["derivative"] is None
    assert name not in FAMILY


def test_the_table_has_no_stale_names():
    assert set(FAMILY) <= set(_core.ops)
