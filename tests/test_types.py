"""Type checkers and editors: the public interface as mypy sees it, from the stubs of the core and the sources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pyneuro as pn

pytest.importorskip("mypy")

RIGHT = """
import numpy as np

import pyneuro as pn
from pyneuro import datasets, nn, optim
from pyneuro.nn import functional as F


def derivative(t: pn.Tensor) -> pn.Tensor:
    y = (t * 2.0 + 1).sigmoid().sum()
    y.backward()
    assert t.grad is not None
    return t.grad.T.reshape(-1, 1).exp()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(64, 32)
        self.w = nn.Parameter(pn.zeros(32))

    def forward(self, x: pn.Tensor) -> pn.Tensor:
        return self.a(x).relu() * self.w + self.a.weight.sum()


w = pn.Tensor([1.0, 2.0], requires_grad=True, name="w")
rows: int = w.shape[0] + w.ndim + len(w) + w.numel()
values: np.ndarray = derivative(w).numpy()
number: float = w.sum().item()
halves: tuple[pn.Tensor, ...] = pn.zeros(4).chunk(2)
both: pn.Tensor = pn.tensor([1, 2]) == pn.arange(2)
net = nn.Sequential(Net(), nn.Linear(32, 10), seed=0)
X, y, X_test, y_test = datasets.digits()
history = net.fit(X, y, epochs=1, batch_size=32, optimizer=optim.Adam(lr=1e-3), verbose=0)
out = net.predict(X_test)
loss = F.cross_entropy(net(X_test), y_test)
values = net.predict(X_test, batch_size=100)
labels: np.ndarray = net.predict_labels(X_test)
share: float = net.evaluate(X_test, y_test, metrics=["accuracy"])["accuracy"]
epochs: int = len(history.history["loss"])
print(rows, values, number, history.history["loss"], out.shape, loss.item(), pn.randn(3).tanh().tolist())
opt = optim.SGD(net.parameters(), lr=0.1)
with pn.no_grad():
    w += 1
pn.nn.ReLU()(w)
pn.show_versions()
"""

# A line that must be refused, and what about it.
WRONG = [
    ("pn.Tensor([1.0]).sigmoidd()", 'has no attribute "sigmoidd"'),
    ("pn.zeros(3).reshapes(3)", 'has no attribute "reshapes"'),
    ("x: str = pn.Tensor([1.0]).shape", "tuple[int, ...]"),
    ("pn.Tensor([1.0]).grad.exp()", 'has no attribute "exp"'),  # it may be None
    ("pn.Tensor([1.0]).relu(grad_at_zero=1)", 'Unexpected keyword argument "grad_at_zero"'),
    ("w: str = nn.ReLU().evaluate([1.0])", "dict[str, float]"),
    ("nn.ReLU().fit([1.0]).histories", 'has no attribute "histories"'),
]


def check(text, folder):
    """What mypy says about a program that uses pyneuro, not about pyneuro itself."""
    (folder / "program.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--cache-dir", str(folder), "program.py"]
    environment = {**os.environ, "MYPYPATH": str(Path(pn.__file__).resolve().parents[1])}
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)
    return done.stdout + done.stderr


def test_types(tmp_path):
    """A right program passes and runs; of wrong lines each is found."""
    assert check(RIGHT, tmp_path).startswith("Success"), check(RIGHT, tmp_path)
    exec(compile(RIGHT, "program.py", "exec"), {"__name__": "program"})
    said = check("import pyneuro as pn; from pyneuro import nn\n" + "\n".join(line for line, _ in WRONG), tmp_path)
    for number, (line, about) in enumerate(WRONG, 2):
        assert any(found.startswith(f"program.py:{number}:") and about in found for found in said.splitlines()), (
            line,
            said,
        )
