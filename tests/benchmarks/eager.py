"""Teaching mode against PyTorch: one small op with recording, and one backward of a graph of 50 ops."""

from __future__ import annotations

import numpy as np
from paired import alternate, in_units, machine, repeat_for, table, verdict

import pyneuro as pn


def run(threads: int, rounds: int) -> bool:
    """Prints the table. Both sides use tensors of 8 float32, where the cost is the bookkeeping."""
    import torch

    torch.set_num_threads(threads)
    pn.set_num_threads(threads)
    values = np.linspace(-1, 1, 8, dtype=np.float32)
    a, b = pn.tensor(values, requires_grad=True), pn.tensor(values[::-1].copy())
    ta, tb = torch.tensor(values, requires_grad=True), torch.tensor(values[::-1].copy())
    lines = []

    def compare(name, ours, theirs, goal):
        turns = alternate({"ours": repeat_for(ours), "torch": repeat_for(theirs)}, rounds * 3)
        lines.append(
            [
                name,
                in_units(turns.median("ours")),
                in_units(turns.median("torch")),
                verdict(turns.ratio("torch", "ours"), goal),
            ]
        )

    compare("a * b, recorded", lambda: a * b, lambda: ta * tb, 1.0)
    compare("a.relu(), recorded", lambda: a.relu(), lambda: ta.relu(), 1.0)

    def chain(x, y):
        for _ in range(24):
            x = (x * y).tanh()
        return (x + y).sum()

    root, torch_root = chain(a, b), chain(ta, tb)
    compare(
        "backward of 50 ops",
        lambda: root.backward(retain_graph=True),
        lambda: torch_root.backward(retain_graph=True),
        2.0,
    )
    compare("forward and backward of 50 ops", lambda: chain(a, b).backward(), lambda: chain(ta, tb).backward(), None)
    a.grad, ta.grad = None, None
    root.backward()
    torch_root.backward()
    np.testing.assert_allclose(a.grad.numpy(), ta.grad.numpy(), rtol=2e-5, atol=1e-7)
    print(machine())
    table("Teaching mode, 8 numbers a tensor", ["work", "pyneuro", "PyTorch", "ratio"], lines)
    return True
