"""What a recording keeps of values: what Python holds, and nothing else; who looks at the rest gets it all the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim
from pyneuro.nn import functional as F

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((32, 3)).astype(np.float32), RNG.integers(0, 2, 32)
QUIET = {"verbose": 0, "seed": 0, "epochs": 1, "batch_size": 16, "shuffle": False}


# ---- memory ----

TOWER = """
import numpy as np
from pyneuro import _core, nn, optim

class Block(nn.Module):  # of the user's: recorded twice and compared
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

    def forward(self, x):
        return x + self.norm(self.conv(x)).relu()

layers = [nn.Conv2d(1, 8, 3, padding=1), *[Block() for _ in range(12)], nn.AvgPool2d(16), nn.Flatten(), nn.Linear(8, 2)]
net = nn.Sequential(*layers, seed=0)
x, y = np.ones((64, 1, 16, 16), np.float32), np.zeros(64, np.int64)
ONE = 64 * 8 * 16 * 16 * 4  # bytes of one activation, of which there are 50
before = _core.alloc_stats()["live_bytes"]

def peak():
    return (_core.alloc_stats()["peak_bytes"] - before) / ONE

net.predict(x)
predict = peak()
net.evaluate(x, y)
evaluate = peak()
plan = net.profile(x, y, repeats=1, print_fn=None).memory / ONE
profile = peak()
net.fit(x, y, optimizer=optim.SGD(lr=0.01), epochs=2, batch_size=64, verbose=0)
print(predict, evaluate, plan, profile, peak())
"""


def test_a_deep_network_needs_its_plan_and_a_few_activations():
    """In a process of its own: the core counts the highest point since its start."""
    root = Path(pn.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", TOWER], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    predict, evaluate, plan, profile, fit = map(float, done.stdout.split())
    assert predict <= evaluate < 10
    assert profile < plan + 5 and fit < plan + 5
    assert plan > 20  # else this shows nothing


# ---- what Python holds ----


SEEN = []


class Shows(nn.Module):
    """Shows what it computes to somebody outside."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = self.a(x).tanh()
        SEEN.append(h)
        return self.b(h)


@pytest.mark.parametrize("work", ["fit", "predict"])
def test_a_tensor_held_outside_keeps_its_value(work):
    net, SEEN[:] = Shows(), []
    expected = net.a(pn.tensor(X[:16])).tanh().numpy().copy()
    if work == "fit":
        assert net.fit(X, Y, **QUIET).mode == "plan"
    else:
        net.predict(X, batch_size=16)
    assert len(SEEN) >= 2
    for h in SEEN:
        np.testing.assert_array_equal(h.detach().numpy(), expected)


def test_what_lies_behind_it_is_gone_and_says_so():
    net, SEEN[:] = Shows(), []
    net.fit(X, Y, **QUIET)
    kept = SEEN[0]
    with pytest.raises(
        RuntimeError, match=r"the value of a tensor of shape \(16, 4\) is gone: fit, predict and evaluate"
    ):
        _ = kept.grad_fn.inputs
    with pytest.raises(RuntimeError, match=r"backward through operations that fit, predict or evaluate recorded"):
        kept.sum().backward()
    with pytest.raises(RuntimeError, match="is gone"):
        pn.draw(kept)


# ---- looks at what nobody holds ----


class Attacked(nn.Module):
    """Trains on pictures that were moved against the gradient: a backward pass inside forward."""

    def __init__(self, use):
        super().__init__()
        self.a, self.b, self.use = nn.Linear(3, 8), nn.Linear(8, 2), use

    def scores(self, x):
        return self.b(F.dropout(self.a(x).tanh(), 0.2, self.training))

    def forward(self, x):
        moved = pn.zeros(x.shape, requires_grad=True)
        loss = (self.scores(x + moved) ** 2).mean()
        if self.use == "grad":
            (g,) = pn.autograd.grad(loss, [moved])
        elif self.use == "backward":
            loss.backward()
            g = moved.grad
            for p in self.parameters():
                p.grad = None
        else:  # values of the graph
            node = loss.grad_fn
            while node.name != "tanh":
                node = node.inputs[0].grad_fn
            g = node.inputs[0].detach()[:, :3]
        return self.scores(x + 0.1 * g)


@pytest.mark.parametrize("use", ["grad", "backward", "graph"])
def test_a_look_back_inside_a_forward_is_what_teaching_mode_sees(use):
    ends = []
    for mode in (None, "eager"):
        pn.manual_seed(3)
        net = Attacked(use)
        if mode is None:
            why = "a look at the graph" if use == "graph" else "a backward pass"
            with pytest.warns(UserWarning, match=f"not as a compiled plan, because of {why}"):
                history = net.fit(X, Y, optimizer=optim.SGD(lr=0.1), **QUIET)
        else:
            history = net.fit(X, Y, optimizer=optim.SGD(lr=0.1), mode=mode, **QUIET)
        assert history.mode == "eager"
        ends.append([p.detach().numpy().copy() for p in net.parameters()])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- writes in place ----


def before_it_is_read(y):
    m = pn.zeros(2) * 1.0
    m[1] = 3
    return y + m


def between_two_readers(y):
    m = pn.zeros(2)
    y = y + m
    m[1] = 3
    return y + m


def through_a_view(y):
    m = pn.zeros(2) * 1.0
    v = m.reshape(1, 2)
    del m
    v[0, 1] = 3
    return y + v


def through_what_is_detached(y):
    m = pn.zeros(2) * 1.0
    m.detach()[1] = 3
    return y + m


def before_a_look_back(y):
    m = pn.zeros(2) * 1.0
    m[1] = 3
    z = pn.zeros(y.shape, requires_grad=True)
    with pn.enable_grad():
        ((y.detach() + z) ** 2).sum().backward()
    return y + m + 0 * z.grad


@pytest.mark.parametrize(
    "write", [before_a_look_back, before_it_is_read, between_two_readers, through_a_view, through_what_is_detached]
)
def test_a_constant_that_a_forward_writes_to(write):
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 2)

        def forward(self, x):
            return write(self.a(x))

    net = Writes()
    np.testing.assert_allclose(net.predict(X), net(pn.tensor(X)).detach().numpy(), rtol=1e-6)
