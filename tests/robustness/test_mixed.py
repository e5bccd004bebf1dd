"""Tensors beside arrays of NumPy and PyTorch: operators work from either side, functions say what to call instead."""

import operator

import numpy as np
import pytest

import pyneuro as pn

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
             operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge, operator.matmul]  # fmt: skip
A, B = np.array([1.0, 2.0, 3.0], np.float32), np.array([3.0, 2.0, 0.5], np.float32)


@pytest.mark.parametrize("op", OPERATORS)
def test_operators_with_numpy(op):
    for other in (B, B[::-1], np.float32(2), np.float64(2), np.int64(2)):
        if op is operator.matmul and np.ndim(other) == 0:
            continue
        for got, want in ((op(pn.tensor(A), other), op(A, other)), (op(other, pn.tensor(A)), op(other, A))):
            assert isinstance(got, pn.Tensor)
            np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)


@pytest.mark.parametrize("op", [operator.and_, operator.or_, operator.xor])
def test_integer_operators_with_numpy(op):
    a, b = np.array([1, 2, 6]), np.array([3, 2, 5])
    for got in (op(pn.tensor(a), b), op(a, pn.tensor(b))):
        np.testing.assert_array_equal(got.numpy(), op(a, b))


@pytest.mark.parametrize("op", OPERATORS)
def test_operators_with_torch(op):
    """An array of another library counts as NumPy's: it takes the tensor's dtype; == compares values."""
    torch = pytest.importorskip("torch")
    for got in (op(torch.tensor(A), pn.tensor(B)), op(pn.tensor(A), torch.tensor(B))):
        assert isinstance(got, pn.Tensor)
        np.testing.assert_allclose(got.numpy(), op(A, B), rtol=1e-6)


def test_gradients_flow_through_mixed_expressions():
    torch = pytest.importorskip("torch")
    t = pn.tensor(A, requires_grad=True)
    ((B * t) + torch.tensor(B) * t).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), 2 * B)
    with pytest.raises(RuntimeError, match="detach"):  # torch's own sentence
        t + torch.ones(3, requires_grad=True)


def test_what_is_no_array_is_left_to_python():
    for other in (object(), "a", None, [1.0], np.ndarray):
        with pytest.raises(TypeError, match="unsupported operand"):
            pn.ones(2) + other
        assert (pn.ones(2) == other) is False


def test_arrays_added_to_become_tensors():
    a = np.ones(3, np.float32)
    kept = a
    a += pn.tensor(A)
    assert isinstance(a, pn.Tensor) and kept.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda t: np.exp(t),
            "np.exp does not take a Tensor: use pn.exp, which keeps the gradient, or give it the array",
        ),
        (lambda t: np.maximum(t, 0), "use pn.maximum, which"),
        (lambda t: np.absolute(t), "use pn.abs, which"),
        (lambda t: np.add.reduce(t), "np.add.reduce does not take a Tensor: use pn.sum, which"),
        (lambda t: np.maximum.reduce(t), "np.maximum.reduce does not take a Tensor: give it the array t.detach"),
        (lambda t: np.arctan(t), "np.arctan does not take a Tensor: give it the array t.detach"),
        (lambda t: np.add(t, 1, out=np.zeros(3)), "use pn.add, which"),
    ],
)
def test_functions_of_numpy_say_what_to_call(call, said):
    with pytest.raises(TypeError) as error:
        call(pn.tensor(A, requires_grad=True))
    assert said in str(error.value)
