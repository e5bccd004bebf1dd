"""The tables of convolution networks and of single layers, against PyTorch's eager mode (oneDNN).

Networks: the public `fit` and `predict` with their defaults against PyTorch's ordinary loop over in-memory tensors.
Layers: one call of the function in teaching mode, where x and y are plain on both sides, so both libraries pay for
their own layouts in each call; in a network pyneuro pays once, at its borders.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from convnets import LAYERS, NETWORKS, Layer, Network, random_layers
from paired import Turns, alternate, in_units, machine, repeat_for, table, verdict

import pyneuro as pn
from pyneuro import nn, optim

F = nn.functional
ERROR = 2e-5  # of a float32 convolution or network, as a part of the largest value: Winograd included


# ---- networks ----


class Ours:
    """What a user of pyneuro writes."""

    def __init__(self, work: Network, steps: int, dropout: bool = True) -> None:
        self.work, self.net = work, work.make(nn, dropout)
        self.x, self.y = work.data(steps)
        self.optimizer = optim.SGD(lr=work.lr, momentum=work.momentum)

    def run(self) -> int:
        """One turn: the number of steps."""
        work = self.work
        if not work.trains:
            self.net.predict(self.x, batch_size=work.batch)
            return len(self.x) // work.batch
        history = self.net.fit(
            self.x, self.y, optimizer=self.optimizer, epochs=1, batch_size=work.batch, verbose=0, seed=1
        )
        if history.mode != "plan":
            raise SystemExit(f"{work.name}: the network ran in mode {history.mode!r}, not in a plan")
        return history.steps


class Theirs:
    """What a PyTorch user writes."""

    def __init__(self, work: Network, steps: int, dropout: bool = True) -> None:
        import torch

        self.torch, self.work, self.net = torch, work, work.make(torch.nn, dropout)
        x, y = work.data(steps)
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=work.lr, momentum=work.momentum)

    def run(self) -> int:
        """One turn over the batches that `fit(seed=1)` takes."""
        torch, work = self.torch, self.work
        if not work.trains:
            self.net.eval()
            with torch.no_grad():
                for i in range(0, len(self.x), work.batch):
                    self.net(self.x[i : i + work.batch])
            return len(self.x) // work.batch
        order = torch.from_numpy(pn._core.permutation(len(self.x), 1, 0))
        for i in range(0, len(order), work.batch):
            index = order[i : i + work.batch]
            self.optimizer.zero_grad()
            torch.nn.functional.cross_entropy(self.net(self.x[index]), self.y[index]).backward()
            self.optimizer.step()
        return len(order) // work.batch


def difference(work: Network) -> tuple[float, bool]:
    """How far the two are apart from the same weights, and whether that is near enough.

    The weights after some float64 steps, as a part of the way that they have gone; or float32 outputs, as a part of the
    largest.
    """
    work = dataclasses.replace(work, batch=work.compare_batch or work.batch)
    ours, theirs = Ours(work, work.compare, False), Theirs(work, work.compare, False)
    ours.net.load_state_dict(theirs.net.state_dict())
    if not work.trains:
        theirs.net.eval()
        with theirs.torch.no_grad():
            b = theirs.net(theirs.x).numpy()
        apart = float(np.abs(ours.net.predict(ours.x, batch_size=work.batch) - b).max() / np.abs(b).max())
        return apart, apart < ERROR
    ours.net.to("float64"), theirs.net.double()
    theirs.x = theirs.x.double()
    start = {k: v.detach().numpy().copy() for k, v in theirs.net.state_dict().items()}
    ours.run(), theirs.run()
    ends = {k: v.detach().numpy() for k, v in theirs.net.state_dict().items()}
    own = {k: v.numpy() for k, v in ours.net.state_dict().items()}

    def squares(a, b):
        return sum(float(np.square(np.asarray(a[k], np.float64) - b[k]).sum()) for k in b)

    apart = (squares(own, ends) / squares(start, ends)) ** 0.5
    return apart, apart < 1e-8


def network_rows(threads: int, rounds: int) -> tuple[list[list[str]], bool]:
    """The lines of the first table; False when something is too far away."""
    lines, fine = [], True
    for work in NETWORKS:
        apart, near = difference(work)
        fine &= near
        ours, single, theirs = Ours(work, work.steps), Ours(work, work.steps), Theirs(work, work.steps)

        def alone(single=single) -> int:
            pn.set_num_threads(1)
            steps = single.run()
            pn.set_num_threads(threads)
            return steps

        turns = alternate({"ours": ours.run, "torch": theirs.run, "alone": alone}, rounds)
        lines.append([
            work.name, in_units(turns.median("ours")), in_units(turns.median("torch")),
            verdict(turns.ratio("torch", "ours"), work.goal), f"{apart:.0e}{'' if near else ' TOO FAR'}",
            in_units(turns.median("alone")), verdict(turns.ratio("alone", "ours"), 1.8 if threads == 2 else None),
        ])  # fmt: skip
    return lines, fine


# ---- layers ----


def passes(layer: Layer):
    """{pass: (ours, PyTorch's)} as functions without arguments, and the float64 truth of each pass."""
    import torch

    rng = np.random.default_rng(0)
    x = rng.standard_normal((layer.n, layer.c, layer.side, layer.side)).astype(np.float32)
    w = rng.standard_normal((layer.o, layer.c, layer.k, layer.k)).astype(np.float32)
    gy = rng.standard_normal((layer.n, layer.o, layer.out, layer.out)).astype(np.float32)
    options = {"stride": layer.stride, "padding": layer.padding}
    tx, tw, tg = torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(gy)
    px, pw, pg = pn.tensor(x), pn.tensor(w), pn.tensor(gy)
    rx, rw = pn.tensor(x, requires_grad=True), pn.tensor(w, requires_grad=True)
    y_of_x, y_of_w = F.conv2d(rx, pw, **options), F.conv2d(px, rw, **options)
    back = torch.ops.aten.convolution_backward
    pair = [layer.stride] * 2, [layer.padding] * 2, [1, 1], False, [0, 0], 1

    def theirs(mask):
        return lambda: back(tg, tx, tw, None, *pair, mask)

    def forward():
        with torch.no_grad():
            return torch.nn.functional.conv2d(tx, tw, **options)

    truth = back(tg.double(), tx.double(), tw.double(), None, *pair, [True, True, False])
    return {
        "forward": (lambda: F.conv2d(px, pw, **options), forward,
                    torch.nn.functional.conv2d(tx.double(), tw.double(), **options)),
        "input": (lambda: pn._core.gradients(y_of_x, [rx], pg, True)[0], theirs([True, False, False]), truth[0]),
        "weight": (lambda: pn._core.gradients(y_of_w, [rw], pg, True)[0], theirs([False, True, False]), truth[1]),
    }  # fmt: skip


def layer_rows(threads: int, rounds: int, random_shapes: bool) -> tuple[list[list[str]], bool]:
    """The lines of the second table."""
    lines, fine = [], True
    for layer in LAYERS + (random_layers() if random_shapes else []):
        line = [layer.name]
        for which, (ours, theirs, truth) in passes(layer).items():
            truth = truth.numpy()
            error = float(np.abs(ours().numpy() - truth).max() / np.abs(truth).max())
            fine &= error < ERROR
            peaks: list[float] = []
            turns: Turns = alternate(
                {"ours": repeat_for(ours), "torch": repeat_for(theirs),
                 "peak": lambda peaks=peaks: peaks.append(pn._core.peak_gflops(0.02)) or 1}, rounds,
            )  # fmt: skip
            peak = threads * float(np.median(peaks)) * 1e9
            share = layer.flops() / turns.median("ours") / peak
            goal = layer.goal(which)
            low = " (goal 85%, missed)" if goal < 1 and share < 0.85 else ""
            text = f"{verdict(turns.ratio('torch', 'ours'), goal)}, {share:.0%}{low}, {error:.0e}"
            line.append(text + ("" if error < ERROR else " TOO FAR"))
        lines.append(line)
    return lines, fine


def run(threads: int, rounds: int, random_shapes: bool = True) -> bool:
    """Prints both tables; False when results disagree."""
    import torch

    torch.set_num_threads(threads)
    pn.set_num_threads(threads)
    many = f"{threads} thread{'s' if threads > 1 else ''}"
    lines, fine = network_rows(threads, rounds)
    print(machine())
    table(
        f"Networks, float32, {many}",
        ["work", "pyneuro", "PyTorch", "against PyTorch", "apart", "one thread", "two over one"],
        lines,
    )
    lines, close = layer_rows(threads, rounds, random_shapes)
    heads = [
        "layer (against PyTorch, share of the FMA peak, largest error)",
        "forward",
        "input gradient",
        "weight gradient",
    ]
    table(f"Convolutions, float32, {many}", heads, lines)
    return fine and close
