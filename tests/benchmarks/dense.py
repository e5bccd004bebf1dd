"""The table of dense networks:

whole training steps through the public `fit` with its defaults, against PyTorch's loop and JAX's scanned epoch.
"""

from __future__ import annotations

import numpy as np
from paired import Turns, alternate, in_units, machine, table, verdict
from peers import JaxPeer, TorchPeer, Work

import pyneuro as pn
from pyneuro import nn, optim

# (work, goal against PyTorch, goal against JAX) with two threads on Zen 4; elsewhere the ratios are only reported.
ROWS = [
    (Work("2-4-2-1 tanh, batch 10, SGD", (2, 4, 2, 1), "tanh", "mse", "sgd", 10, 10_000, 100, 0.03), 400.0, 8.0),
    (Work("784-128-10, batch 32, SGD", (784, 128, 10), "relu", "cross_entropy", "sgd", 32, 60_000, 1, 0.1), 5.5, 1.8),
    (
        Work("784-128-10, batch 32, Adam", (784, 128, 10), "relu", "cross_entropy", "adam", 32, 60_000, 1, 1e-3),
        9.0,
        1.6,
    ),
    (
        Work(
            "784-512-512-10, batch 128, Adam",
            (784, 512, 512, 10),
            "relu",
            "cross_entropy",
            "adam",
            128,
            25_600,
            1,
            1e-3,
        ),
        3.0,
        1.2,
    ),
]
ADDED_STEPS = (
    20  # length of the run whose weights are compared closely; longer ones diverge as any two float32 programs do
)


class Ours:
    """The contestant: what a user of pyneuro writes."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.x, self.y = work.data()
        self.mode = ""
        self.reset()

    def reset(self) -> None:
        """A new net with the common initial weights, a new optimiser."""
        work = self.work
        layers: list[nn.Module] = []
        for i, (fan_in, out) in enumerate(zip(work.sizes, work.sizes[1:])):
            if i:
                layers.append(nn.ReLU() if work.activation == "relu" else nn.Tanh())
            layers.append(nn.Linear(fan_in, out))
        self.net = nn.Sequential(*layers)
        names = list(self.net.state_dict())
        self.net.load_state_dict(dict(zip(names, work.initial())))
        self.optimizer = (optim.SGD if work.optimizer == "sgd" else optim.Adam)(lr=work.lr)

    def fit(self, epochs: int, seed: int, rows: int | None = None) -> int:
        """Trains for some epochs; returns the number of steps."""
        work = self.work
        x, y = (self.x, self.y) if rows is None else (self.x[:rows], self.y[:rows])
        history = self.net.fit(
            x, y, loss=work.loss, optimizer=self.optimizer, epochs=epochs, batch_size=work.batch, seed=seed, verbose=0
        )
        self.mode = history.mode
        if history.mode != "plan":
            raise SystemExit(f"{work.name}: the network ran in mode {history.mode!r}, not in a plan")
        return epochs * -(-len(x) // work.batch)

    def weights(self) -> list[np.ndarray]:
        """Copies of the weights."""
        return [np.array(p) for p in self.net.state_dict().values()]


def orders(rows: int, seed: int, epochs: int) -> list[np.ndarray]:
    """The order of the samples that `fit(seed=seed)` uses, for the peers: all three see the same batches."""
    return [pn._core.permutation(rows, seed, epoch) for epoch in range(epochs)]


def distance(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Root mean square of the differences of two lists of weights."""
    squares = [np.square(p.astype(np.float64) - q.astype(np.float64)) for p, q in zip(a, b)]
    return float(np.sqrt(np.concatenate([s.ravel() for s in squares]).mean()))


def check(work: Work, threads: int) -> tuple[float, float, float]:
    """Twenty steps from the same weights over the same batches: the distance from PyTorch in float64, and how far ours
    and PyTorch's are in float32 from that, both as parts of the way that the weights have gone.

    In float64 the two must agree closely. In float32 a rounding error can turn a ReLU on or off, and Adam, which
    divides by the root of a small mean square, makes much of that: PyTorch itself is up to a few hundredths away.
    """
    import dataclasses

    small = dataclasses.replace(work, rows=ADDED_STEPS * work.batch, epochs=1)
    order = orders(small.rows, 7, 1)
    ends = {}
    for name, double in (("float32", False), ("float64", True)):
        ours, torch = Ours(small), TorchPeer(small, threads)
        if double:
            ours.net.to("float64")
            torch.double()
        ours.fit(1, 7)
        torch.run(order)
        ends[name] = ours.weights(), torch.weights()
    mine, truth = ends["float64"]
    way = distance(truth, [np.asarray(w) for w in small.initial()])
    return (
        distance(mine, truth) / way,
        distance(ends["float32"][0], truth) / way,
        distance(ends["float32"][1], truth) / way,
    )


def measure(work: Work, threads: int, rounds: int) -> tuple[Turns, JaxPeer, float]:
    """Alternating turns of the three contestants over the same batches, and the peak of a core between them."""
    peaks = []

    def peak() -> int:
        peaks.append(pn._core.peak_gflops(0.05))
        return 1

    ours, torch, jax = Ours(work), TorchPeer(work, threads), JaxPeer(work, threads)
    # PyTorch's turn of a tiny net would take minutes if it had to do as many steps as ours.
    slow_epochs = max(1, work.epochs // 50)
    precomputed = orders(work.rows, 1, work.epochs)
    seeds = iter(range(1, 10_000))
    turns = alternate(
        {
            "ours": lambda: ours.fit(work.epochs, next(seeds)),
            "torch": lambda: torch.run(precomputed[:slow_epochs]),
            "jax": lambda: jax.run(precomputed[: max(1, work.epochs // 5)]),
            "peak": peak,
        },
        rounds,
    )
    return turns, jax, float(np.median(peaks))


def random_rows(count: int = 3) -> list[tuple[Work, float, float]]:
    """Shapes drawn anew at each run (the seed is printed), each held to 70 % of the ratios of the nearest row above."""
    seed = int(np.random.SeedSequence().entropy % 2**32)
    rng = np.random.default_rng(seed)
    print(f"\nrandom shapes: seed {seed}")
    found = []
    for _ in range(count):
        hidden, batch = int(rng.integers(100, 180)), int(rng.integers(24, 49))
        adam = bool(rng.integers(2))
        sizes = (int(rng.integers(600, 900)), hidden, int(rng.integers(5, 20)))
        name = f"{'-'.join(map(str, sizes))}, batch {batch}, {'Adam' if adam else 'SGD'}"
        nearest = ROWS[2 if adam else 1]
        work = Work(name, sizes, "relu", "cross_entropy", "adam" if adam else "sgd", batch, 40_000, 1, nearest[0].lr)
        found.append((work, nearest[1], nearest[2]))
    return found


def run(threads: int, rounds: int, random_shapes: bool = True) -> bool:
    """Prints the table; False when weights disagree."""
    pn.set_num_threads(threads)
    lines, fine, measured = [], True, {}
    rows = [(work, a, b, 1.0) for work, a, b in ROWS]
    if random_shapes:
        rows += [(work, a, b, 0.7) for work, a, b in random_rows()]
    for work, goal_torch, goal_jax, part in rows:
        if part < 1:  # the goal of a random shape is 70 % of what the nearest row reached just now
            goal_torch, goal_jax = (part * ratio for ratio in measured[work.optimizer])
        exact, mine, theirs = check(work, threads)
        agreed = exact < 1e-9 and mine < 0.05
        fine &= agreed
        turns, jax, peak = measure(work, threads, rounds)
        a, b = turns.ratio("torch", "ours"), turns.ratio("jax", "ours")
        if part == 1 and len(work.sizes) == 3:
            measured[work.optimizer] = (a, b)
        step = turns.median("ours")
        share = f"{work.flops() / step / (threads * peak * 1e9):.0%} of {threads * peak:.0f}"
        distance_text = f"{exact:.0e}{'' if agreed else ' TOO FAR'}; {mine:.0e} ({theirs:.0e})"
        lines.append(
            [
                work.name,
                in_units(step),
                in_units(turns.median("torch")),
                in_units(turns.median("jax")),
                verdict(a, goal_torch),
                verdict(b, goal_jax),
                share,
                distance_text,
                f"{jax.compile_seconds:.2f} s",
            ]
        )
    print(machine())
    heads = [
        "work",
        "pyneuro",
        "PyTorch",
        "JAX",
        "against PyTorch",
        "against JAX",
        "share of the peak in GFLOP/s",
        "weights off PyTorch's in float64: float64; float32 (PyTorch's)",
        "JAX compiles",
    ]
    table(f"One training step, float32, {threads} thread{'s' if threads > 1 else ''}", heads, lines)
    return fine
