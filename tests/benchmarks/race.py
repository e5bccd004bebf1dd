"""Full MNIST to 97.5 % test accuracy: seconds of training until the first epoch that reaches it, and both curves."""

from __future__ import annotations

import time

import numpy as np
from paired import machine, table, verdict
from peers import TorchPeer, Work

import pyneuro as pn
from pyneuro import datasets, nn, optim

GOAL = 0.975
LIMIT = 15  # epochs


class MnistWork(Work):
    """784-128-10 with Adam on the real digits."""

    def data(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Pixels in [0, 1] as float32 (60000, 784), labels int64."""
        return self.x, self.y


def curve(train, accuracy) -> list[tuple[float, float]]:
    """(seconds of training so far, test accuracy) after each epoch until the goal is reached."""
    spent, points = 0.0, []
    for epoch in range(LIMIT):
        start = time.perf_counter()
        train(epoch)
        spent += time.perf_counter() - start
        points.append((spent, accuracy()))
        if points[-1][1] >= GOAL:
            break
    return points


def cell(points: list[tuple[float, float]], epoch: int) -> str:
    """`0.13 s 95.20%`, or nothing after the end of a curve."""
    return f"{points[epoch][0]:.2f} s {points[epoch][1]:.2%}" if epoch < len(points) else ""


def race(work: MnistWork, number: int, threads: int, xt: np.ndarray, yt: np.ndarray):
    """One seed: the curves of pyneuro and of PyTorch, from the same weights over the same batches."""
    import torch

    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    net.load_state_dict(dict(zip(net.state_dict(), work.initial(number))))
    optimizer = optim.Adam(lr=work.lr)
    peer = TorchPeer(work, threads)
    peer.set(work.initial(number))
    x, y, test = work.x, work.y, torch.from_numpy(xt)

    def train(epoch: int) -> None:
        seed = 100 * number + epoch
        history = net.fit(
            x, y, loss="cross_entropy", optimizer=optimizer, epochs=1, batch_size=32, seed=seed, verbose=0
        )
        if history.mode != "plan":
            raise SystemExit(f"the network ran in mode {history.mode!r}, not in a plan")

    def torch_train(epoch: int) -> None:
        peer.run([pn._core.permutation(len(x), 100 * number + epoch, 0)])

    def torch_accuracy() -> float:
        with torch.no_grad():
            return float((peer.net(test).argmax(1).numpy() == yt).mean())

    return curve(train, lambda: net.evaluate(xt, yt, metrics=["accuracy"])["accuracy"]), curve(
        torch_train, torch_accuracy
    )


def run(threads: int, rounds: int) -> bool:
    """Prints both curves and the ratio of the times to the goal (medians over the rounds)."""
    pn.set_num_threads(threads)
    x, y, xt, yt = datasets.mnist()
    work = MnistWork("784-128-10", (784, 128, 10), "relu", "cross_entropy", "adam", 32, len(x), 1, 1e-3)
    object.__setattr__(work, "x", x)
    object.__setattr__(work, "y", y)
    curves = {number: race(work, number, threads, xt, yt) for number in range(rounds)}
    ratios = [theirs[-1][0] / ours[-1][0] for ours, theirs in curves.values()]
    print(machine())
    for number, (ours, theirs) in curves.items():
        epochs = max(len(ours), len(theirs))
        lines = [[i + 1, cell(ours, i), cell(theirs, i)] for i in range(epochs)]
        table(
            f"MNIST, 784-128-10, batch 32, Adam, {threads} threads, seed {number}: training time and test accuracy",
            ["epoch", "pyneuro", "PyTorch"],
            lines,
        )
    print(f"\nto {GOAL:.1%}: {verdict(float(np.median(ratios)), 5.0)} sooner, median of", *[f"{r:.1f}" for r in ratios])
    return True
