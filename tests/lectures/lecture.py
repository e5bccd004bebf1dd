"""What the lecture tests share: float64 tensors, and comparison at the precision that a slide prints."""

from __future__ import annotations

import numpy as np

import pyneuro as pn


def t64(values, grad: bool = False, name: str | None = None) -> pn.Tensor:
    """A float64 tensor of the given values."""
    return pn.tensor(values, dtype="float64", requires_grad=grad, name=name)


def same(value, printed, digits: int) -> None:
    """`value` rounds to what is printed with `digits` decimals: it differs by at most half a unit of the last one."""
    value = np.asarray(value.detach().numpy() if isinstance(value, pn.Tensor) else value, dtype=np.float64)
    np.testing.assert_allclose(value, np.asarray(printed, dtype=np.float64), rtol=0, atol=0.5001 * 10.0**-digits)


def set_weights(net, *arrays) -> None:
    """Fills the parameters of `net` in their order; shapes must match."""
    names = [name for name, _ in net.named_parameters()]
    assert len(names) == len(arrays)
    net.load_state_dict({name: np.asarray(a, dtype=np.float64) for name, a in zip(names, arrays, strict=True)})
