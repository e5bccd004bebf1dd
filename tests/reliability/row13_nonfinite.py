"""Row 13: NaN and infinity are found in the step they appear in, and named with layer and step.

Ten nets and one of convolutions; NaN is put into weights, into data, made by an activation, and made by a gradient.
The error must name the right layer or row, and leave the parameters as they were.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

import pyneuro as pn
from pyneuro import nn, optim

from . import nets
from .figure import Figure, pick


def ten_nets() -> list[nn.Sequential]:
    """Ten stacks with 20 inputs and 5 outputs whose layers 0 and 2 are Linear."""
    middle = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.Softplus, nn.LeakyReLU, nn.Hardtanh]
    return [
        nn.Sequential(nn.Linear(20, 16 + i), layer(), nn.Linear(16 + i, 5), seed=i) for i, layer in enumerate(middle)
    ]


class NanForward(pn.Function):
    """The identity, but for a NaN in the value (at its third call)."""

    calls = 0

    @staticmethod
    def forward(ctx, x):
        NanForward.calls += 1
        return np.where(NanForward.calls >= 3, np.float32("nan"), np.float32(1)) * x

    @staticmethod
    def backward(ctx, g):
        return g


class NanBackward(pn.Function):
    """The identity, but for a NaN in the gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.copy()

    @staticmethod
    def backward(ctx, g):
        g = g.copy()
        g.flat[0] = np.nan
        return g


class Through(nn.Module):
    """A layer that applies a pn.Function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function.apply(x)


def raised(net: nn.Module, x, y, **more) -> str | None:
    """The message of the error that fit raises, when it left the parameters as they were; else None."""
    before = nets.digest(net)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nets.fit(net, x, y, optim.SGD(lr=1e-3), **more)
    except (FloatingPointError, ValueError) as error:
        return str(error) if more.get("steps_before") or nets.digest(net) == before else None
    return None


def injections() -> tuple[int, int, list[str]]:
    """(found and rightly named, tried, what went wrong)."""
    x, y = nets.data(96)
    good = tried = 0
    wrong = []

    def judge(what: str, message: str | None, *words: str) -> None:
        nonlocal good, tried
        tried += 1
        fine = message is not None and all(word.lower() in message.lower() for word in words)
        good += fine
        if not fine:
            wrong.append(f"{what}: {message}")

    for bad in (np.nan, np.inf):
        for number, net in enumerate(ten_nets()):
            with pn.no_grad():
                net[2].weight[1, 3] = float(bad)
            judge(f"weight {bad} net {number}", raised(net, x, y), "layer 2")
    convolutions(judge)
    for number, net in enumerate(ten_nets()):
        dirty = x.copy()
        dirty[17, 4] = np.nan
        judge(f"data net {number}", raised(net, dirty, y), "17")
    for number, net in enumerate(ten_nets()):
        layers = [net[0], Through(NanForward), net[1], net[2]]
        NanForward.calls = 0
        judge(f"activation net {number}", raised_any(nn.Sequential(*layers), x, y), "layer 1")
        layers[1] = Through(NanBackward)
        judge(f"gradient net {number}", raised(nn.Sequential(*layers), x, y), "gradient")
    return good, tried, wrong


def convolutions(judge: Callable[..., None]) -> None:
    """The same for a network of convolutions: bad weights, bad pixels, a bad value and a bad gradient in between."""
    x, y = nets.pictures()
    for bad in (np.nan, np.inf):
        for layer in (0, 3, 6, 9, 12):
            net = nets.convolutional()
            with pn.no_grad():
                net[layer].weight[(1,) * net[layer].weight.ndim] = float(bad)
            judge(f"weight {bad} of layer {layer} of convolutions", raised(net, x, y), f"(layer {layer})")
    dirty = x.copy()
    dirty[17, 1, 3, 4] = np.nan
    judge("a pixel", raised(nets.convolutional(), dirty, y), "17")
    for place in (1, 4, 10):
        layers = list(nets.convolutional())
        NanForward.calls = 0
        net = nn.Sequential(*layers[:place], Through(NanForward), *layers[place:])
        judge(f"a value behind layer {place - 1} of convolutions", raised_any(net, x, y), f"layer {place}")
        net = nn.Sequential(*layers[:place], Through(NanBackward), *layers[place:])
        judge(f"a gradient behind layer {place - 1} of convolutions", raised(net, x, y), "gradient")


def raised_any(net: nn.Module, x, y) -> str | None:
    """The message of the error, whatever the steps before it have changed; the parameters must be finite."""
    try:
        nets.fit(net, x, y, optim.SGD(lr=1e-3))
    except (FloatingPointError, ValueError) as error:
        return str(error) if all(np.isfinite(p.detach().numpy()).all() for p in net.parameters()) else None
    return None


def infinite_gradient() -> bool:
    """An overflow in float32 that reaches the loss is named with the step it happens in, and nothing is updated."""
    net = nn.Sequential(nn.Linear(20, 4), nn.Linear(4, 1), seed=0)
    x = np.full((32, 20), 1e30, np.float32)
    message = raised(net, x, np.zeros((32, 1), np.float32), loss="mse")
    return message is not None and "step" in message


def false_alarms(steps: int) -> int:
    """Errors in `steps` healthy steps of a tiny net."""
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), seed=0)
    x, y = nets.data(1000, 2, 2)
    try:
        nets.fit(
            net, x, y[:, None].astype(np.float32), optim.SGD(lr=0.01), loss="mse", epochs=steps // 100, batch_size=10
        )
    except FloatingPointError:
        return 1
    return 0


def measure(size: str) -> list[Figure]:
    """Detection, overflow, false alarms."""
    good, tried, wrong = injections()
    steps = pick(size, 100_000, 1_000_000, 1_000_000)
    overflow = infinite_gradient()
    alarms = false_alarms(steps)
    return [
        Figure("13-nonfinite-found-and-named", good, f"of {tried}", good == tried, "; ".join(wrong[:3])),
        Figure("13-overflow-named", int(overflow), "of 1", overflow),
        Figure("13-false-alarms", alarms, f"in {steps} steps", alarms == 0),
    ]
