"""Ising models by the public calls with their defaults, against numba's plain sweep and dwave-samplers, in turns.

A flip is one proposal. dwave-samplers anneals with its own schedule; models are built outside the clock on both sides.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from pathlib import Path

import numpy as np
from paired import Turns, alternate, table, verdict

from pyneuro import energy

SIDES = (64, 512, 1024, 2048, 4096)
T = 2.3
READS = 64


def plain_sweep():
    """What one writes with numba: a double loop over the sites, an exponential for each that loses."""
    import numba

    @numba.njit(fastmath=True)
    def sweeps(s, beta, count, rng):
        n = s.shape[0]
        for _ in range(count):
            for i in range(n):
                for j in range(n):
                    near = s[(i + 1) % n, j] + s[i - 1, j] + s[i, (j + 1) % n] + s[i, j - 1]
                    cost = 2 * s[i, j] * near
                    if cost <= 0 or rng.random() < np.exp(-beta * cost):
                        s[i, j] = -s[i, j]

    return sweeps


def numpy_sweeps(s, count, rng):
    """A checkerboard in NumPy: half of the sites at a time."""
    colour = np.indices(s.shape).sum(0) % 2
    for half in list(range(2)) * count:
        near = sum(np.roll(s, step, axis) for step in (1, -1) for axis in (0, 1))
        flip = (rng.random(s.shape) < np.exp(-2 / T * s * near)) & (colour == half)
        s[flip] *= -1


def square_rows(rounds: int) -> list[list[str]]:
    """Metropolis on square lattices."""
    sweeps = plain_sweep()
    spins, rng = np.ones((512, 512), np.int8), np.random.default_rng(0)
    sweeps(spins, 1 / T, 1, rng)
    rows = []
    for side in SIDES:
        model = energy.Ising.lattice((side, side))
        count = max(300, 10**8 // side**2)
        flips = count * side**2

        def ours(model=model, count=count, flips=flips):
            model.sample(T=T, sweeps=count, burn_in=0, seed=0, verbose=0)
            return flips

        def numba():
            sweeps(spins, 1 / T, 10, rng)
            return 10 * spins.size

        def numpy():
            numpy_sweeps(spins, 1, rng)
            return spins.size

        turns = alternate({"ours": ours, "numba": numba, "numpy": numpy}, rounds)
        goal = (10 if side > 64 else None), (100 if side > 64 else None)
        rate = 1e-9 / turns.median("ours")
        rows.append(
            [
                f"{side} x {side}",
                f"{rate:.2f}" + (f" (goal {goal[0]})" if goal[0] else ""),
                verdict(turns.ratio("numba", "ours"), goal[1]),
                verdict(turns.ratio("numpy", "ours"), None),
            ]
        )
    return rows


def bqm_of(model):
    """The same model for dwave-samplers, whose energies have the other sign of J."""
    import dimod

    return dimod.BinaryQuadraticModel.from_ising(*model.to_ising())


def race(model, sweeps: int, rounds: int) -> tuple[Turns, list, list]:
    """`anneal` and dwave-samplers in turns, both with READS reads; energies of all turns."""
    from dwave.samplers import SimulatedAnnealingSampler

    sampler, bqm = SimulatedAnnealingSampler(), bqm_of(model)
    seeds = itertools.count()
    mine, theirs = [], []

    def ours():
        mine.append(model.anneal(sweeps=20 * sweeps, reads=READS, seed=next(seeds), verbose=0).energies)
        return 20 * sweeps * READS

    def dwave():
        theirs.append(sampler.sample(bqm, num_reads=READS, num_sweeps=sweeps, seed=next(seeds)).record.energy)
        return sweeps * READS

    return alternate({"ours": ours, "dwave": dwave}, rounds), mine, theirs


def glass_rows(rounds: int) -> list[list[str]]:
    """+-J glasses and the graph G1: reads x sweeps."""
    models = {
        "2-D +-J, 64 x 64": (energy.Ising.lattice((64, 64), J="+-J", seed=1), 20, 100),
        "3-D +-J, 16 x 16 x 16": (energy.Ising.lattice((16, 16, 16), J="+-J", seed=1), 20, 100),
    }
    folder = os.environ.get("PYNEURO_DATA")
    if folder and (Path(folder) / "gset" / "G1.txt").exists():
        models["G1, 800 vertices, 19176 edges"] = (energy.Ising.from_maxcut(Path(folder) / "gset" / "G1.txt"), 50, 80)
    rows = []
    for name, (model, sweeps, goal) in models.items():
        turns, _, _ = race(model, sweeps, rounds)
        rows.append(
            [
                f"{name}, {READS} reads",
                f"{1e-9 * model.n / turns.median('ours'):.2f}",
                verdict(turns.ratio("dwave", "ours"), goal),
                equal_time(model, sweeps),
            ]
        )
    return rows


def equal_time(model, sweeps: int) -> str:
    """Mean and best energy of both after the time that dwave-samplers takes."""
    from dwave.samplers import SimulatedAnnealingSampler

    bqm = bqm_of(model)
    start = time.perf_counter()
    theirs = SimulatedAnnealingSampler().sample(bqm, num_reads=READS, num_sweeps=10 * sweeps, seed=1).record.energy
    spent = time.perf_counter() - start
    start = time.perf_counter()
    model.anneal(sweeps=10 * sweeps, reads=READS, seed=1, verbose=0)
    factor = spent / (time.perf_counter() - start)
    mine = model.anneal(sweeps=max(1, int(0.9 * factor * 10 * sweeps)), reads=READS, seed=1, verbose=0).energies
    return (
        f"{statistics.fmean(mine):.0f} / {mine.min():.0f} against {statistics.fmean(theirs):.0f} / {theirs.min():.0f}"
    )


def run(threads: int, rounds: int) -> bool:
    """Prints the tables."""
    columns = ["lattice", "flips/ns", "against numba's plain sweep", "against NumPy"]
    table(
        f"Square lattices, Metropolis, T = {T}, `sample` with records ({threads} threads)", columns, square_rows(rounds)
    )
    columns = ["model", "flips/ns", "against dwave-samplers", "mean / best energy in its time"]
    table(f"Annealing, `anneal` ({threads} threads)", columns, glass_rows(rounds))
    return True
