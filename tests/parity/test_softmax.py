"""Softmax without a dimension: PyTorch's choice, with its warning where one may expect another."""

import contextlib

import numpy as np
import pytest

from pyneuro import nn
from tests import tolerances

torch = pytest.importorskip("torch")

PAIRS = [
    (nn.Softmax(), torch.nn.Softmax()),
    (nn.LogSoftmax(), torch.nn.LogSoftmax()),
    (nn.functional.softmax, torch.nn.functional.softmax),
    (nn.functional.log_softmax, torch.nn.functional.log_softmax),
]


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3), (2, 3, 4, 5), (2, 3, 1, 2, 2)])
@pytest.mark.parametrize("pair", PAIRS)
def test_no_dimension_is_given(pair, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    says = pytest.warns(UserWarning, match=f"dim is not given for input with {len(shape)} dimensions")
    with says if len(shape) > 2 else contextlib.nullcontext():
        found = pair[0](x).numpy()
    np.testing.assert_allclose(found, pair[1](torch.tensor(x)).numpy(), rtol=tolerances.SAME)


@pytest.mark.parametrize("pair", PAIRS[:2])
def test_a_given_one_is_taken(pair):
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    layer = type(pair[0])(dim=-1)
    np.testing.assert_allclose(layer(x).numpy(), type(pair[1])(dim=-1)(torch.tensor(x)).numpy(), rtol=tolerances.SAME)
    assert repr(pair[0]) == repr(pair[1])
