"""Annealing of real couplings and Max-Cut: `anneal` and `max_cut` against dwave-samplers, in turns.

Both sides anneal 64 reads through the same temperatures, those that `anneal` takes by itself. dwave-samplers uses one
thread, whatever it is given.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import numpy as np
from paired import machine, table, verdict

import pyneuro as pn
from pyneuro import energy

READS = 64
GSET = Path(os.environ.get("PYNEURO_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "gset"
CUTS = {"G1": 11624, "G43": 6660, "G14": 3061, "G22": 13350, "G32": 1404}
CUT_SECONDS = 60


def clock(call) -> tuple[float, object]:
    """Seconds of one call, and what it gave."""
    start = time.perf_counter()
    out = call()
    return time.perf_counter() - start, out


def models() -> list[tuple[str, energy.Ising, int, int, float | None, float | None]]:
    """Name, model, sweeps of ours and of the peer, goal of the ratio, goal in flips per ns and core."""
    return [
        ("SK, 512 spins, Gaussian", energy.Ising.sherrington_kirkpatrick(512, seed=0), 1000, 100, 40, None),
        (
            "3-regular, 2000 spins, Gaussian",
            energy.Ising.random_regular(2000, J="gaussian", seed=0),
            1000,
            100,
            None,
            0.3,
        ),
    ]


def anneal_row(name, model, sweeps, their_sweeps, ratio_goal, rate_goal, threads, rounds) -> list[str]:
    """One line: proposals per ns, and the ratio of them."""
    import dimod
    from dwave.samplers import SimulatedAnnealingSampler

    i, j, w = model.edges()
    peer = SimulatedAnnealingSampler()
    bqm = dimod.BinaryQuadraticModel.from_ising({}, dict(zip(zip(i.tolist(), j.tolist()), (-w).tolist())))
    ours, ratios, means = [], [], []
    for number in range(rounds + 1):
        seconds, a = clock(lambda: model.anneal(sweeps=sweeps, reads=READS, seed=0, verbose=0))
        hot, cold = a.temperatures[[0, -1]]
        keys = {"num_reads": READS, "num_sweeps": their_sweeps, "beta_range": [1 / hot, 1 / cold], "seed": 1}
        theirs, out = clock(lambda keys=keys: peer.sample(bqm, **keys))
        if number:  # the first is for warming up
            ours.append(model.n * sweeps * READS / seconds * 1e-9)
            ratios.append(theirs / their_sweeps / (seconds / sweeps))
            means.append((a.energies.mean(), out.record.energy.mean()))
    mine, other = np.mean(means, axis=0)
    print(f"{name}: mean energy {mine:.1f} after {sweeps} sweeps, of the peer {other:.1f} after {their_sweeps}")
    goal = "" if rate_goal is None else f" (goal {rate_goal * threads:g})"
    return [name, f"{statistics.median(ours):.3g}{goal}", verdict(statistics.median(ratios), ratio_goal)]


def cut_row(name: str, goal: int, rounds: int) -> list[str]:
    """Fresh seeds: how long until the goal is reached."""
    model, seconds, cuts = energy.Ising.from_maxcut(GSET / f"{name}.txt"), [], []
    for _ in range(rounds):
        r = model.max_cut(CUT_SECONDS, target=goal, verbose=0)
        seconds.append(r.seconds), cuts.append(r.cut)
    reached = sum(cut >= goal for cut in cuts)
    return [name, str(goal), f"{reached} of {rounds}", f"{statistics.median(seconds):.2f} s", f"{max(seconds):.2f} s"]


def run(threads: int, rounds: int) -> bool:
    """Prints the tables. False when a cut is not reached."""
    print(machine())
    pn.set_num_threads(threads)
    table(
        f"Annealing of {READS} reads on {threads} thread{'s' * (threads > 1)}: proposals per ns, and their ratio",
        ["model", "pyneuro", "against dwave-samplers"],
        [anneal_row(*line, threads, rounds) for line in models()],
    )
    cuts = [cut_row(name, goal, rounds) for name, goal in CUTS.items()]
    table(
        f"Max-Cut within {CUT_SECONDS} s, from random spins, a fresh seed each time",
        ["graph", "goal", "reached", "median time", "longest"],
        cuts,
    )
    return all(line[2].split()[0] == line[2].split()[2] for line in cuts)
