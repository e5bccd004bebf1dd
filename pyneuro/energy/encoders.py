"""The encoder problems of 1985, by the protocol of the paper: many experiments at once, each on one thread."""

import time

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy._training import SLICE, bar
from pyneuro.energy.boltzmann import BoltzmannMachine
from pyneuro.nn import _check

__all__ = ["Encoders", "encoders"]

# Ackley, Hinton, Sejnowski 1985, section 5: sweeps at temperatures, then 10 sweeps of statistics at T = 10.
SCHEDULE = ((2, 20.0), (2, 15.0), (2, 12.0), (4, 10.0))
LOOKS, NOISE = 10, (0.15, 0.05)


class Encoders:
    """What `encoders` returns. cycles: int64 (runs,), learning cycles until each was solved, 0: not within the limit.

    solved: how many. median: of the cycles, unsolved ones counted as infinite. W (runs, n, n), b (runs, n): couplings
    at the end, units in the order left group, right group, hidden. seed: used.

    >>> from pyneuro import energy
    >>> found = energy.encoders(4, 2, runs=4, cycles=500, seed=0)
    >>> len(found.cycles), found.machine(0).n
    (4, 10)
    """

    def __init__(self, width, hidden, cycles, W, b, seed):
        self.width, self.hidden, self.cycles, self.W, self.b, self.seed = width, hidden, cycles, W, b, seed
        self.solved = int((cycles > 0).sum())
        self.median = float(np.median(np.where(cycles > 0, cycles, np.inf)))

    def machine(self, run=0):
        """The BoltzmannMachine of one experiment."""
        bm = BoltzmannMachine(2 * self.width, self.hidden, schedule=SCHEDULE, looks=LOOKS, noise=NOISE, step="sign")
        bm.W[...], bm.b[...] = self.W[run], self.b[run]
        return bm

    def completed(self, run=0, reads=50, slowly=8, seed=None):
        """Share of right completions: with one unit of the left group clamped on, annealed `slowly` times as slowly and
        then cooled to 1, the right group shows the same unit and no other. `reads` annealings of each pattern."""
        bm, right = self.machine(run), 0
        stages = (*((slowly * k, t) for k, t in SCHEDULE), *((2 * slowly, t) for t in (5.0, 2.0, 1.0)))
        for i in range(self.width):
            clamp = np.full(2 * self.width, -1)
            clamp[: self.width] = np.arange(self.width) == i
            found = bm.sample(reads, clamp, stages, arguments.seed("encoders", seed) + i)
            right += (found[:, self.width : 2 * self.width] == clamp[: self.width]).all(1).sum()
        return float(right / (reads * self.width))

    def __repr__(self):
        name = f"{self.width}-{self.hidden}-{self.width}"
        return f"Encoders({name}: {self.solved} of {len(self.cycles)} solved, median {self.median:g} cycles)"


def encoders(
    width=4,
    hidden=2,
    runs=250,
    cycles=2000,
    distance=1,
    steady=1,
    connected=True,
    repeats=2,
    step=2.0,
    seed=None,
    verbose=0,
):
    """`runs` experiments with the width-hidden-width encoder (Ackley, Hinton, Sejnowski 1985): weights begin at 0; a
    cycle clamps each pattern twice, noisily (on to off 0.15, off to on 0.05), anneals (2 sweeps at 20, 2 at 15, 2 at
    12, 4 at 10), counts during 10 sweeps at 10, does as much unclamped, and moves each weight by 2 up or down.

    An experiment ends when it is solved: the hidden states of lowest energy of all patterns differ in at least
    `distance` units, `steady` cycles on end (0: never); or after `cycles`. repeats: annealings of each pattern in a
    cycle; step: of a weight. connected: hidden units are coupled among themselves.
    The same bits for any number of threads.

    The paper: 4-2-4 solved 250 times of 250, median 110 cycles; 4-3-4 median 270, with codes that differ in two units;
    8-3-8 16 of 20, median 1570; 40-10-40 completes 98.6 % of patterns. Found here: 4-2-4 245 of 250 within 5000 cycles,
    median 111.5; 4-3-4 (distance=2, connected=False) 91 of 100 within 3000, median 316; 8-3-8 9 of 20 within 4000.
    With so few annealings signs are noisy and weights go on growing after a solution; 40-10-40 needs more `repeats`.

    >>> from pyneuro import energy
    >>> energy.encoders(4, 3, runs=10, seed=0).solved
    10
    """
    width, hidden = _check.size("encoders", "width", width), _check.size("encoders", "hidden", hidden)
    runs, cycles = _check.size("encoders", "runs", runs), _check.size("encoders", "cycles", cycles)
    repeats, step = _check.size("encoders", "repeats", repeats), _check.number("encoders", "step", step, 0)
    distance, steady = _check.size("encoders", "distance", distance), _check.size("encoders", "steady", steady, 0)
    seed, n = arguments.seed("encoders", seed), 2 * width + hidden
    W, b, progress = np.zeros((runs, n, n)), np.zeros((runs, n)), np.zeros((runs, 3), np.int64)
    plan = np.array([k for k, _ in SCHEDULE], np.int64), np.array([t for _, t in SCHEDULE]), LOOKS
    some = 1
    with bar(verbose, runs, "run") as shown:
        while (left := int(((progress[:, 1] == 0) & (progress[:, 0] < cycles)).sum())) > 0:
            began = time.perf_counter()
            _core.encoder_run(
                width, hidden, plan, W, b, progress, cycles, distance, steady, bool(connected), repeats, *NOISE, step,
                seed, some,
            )  # fmt: skip
            some = max(1, int(some * min(2.0, SLICE / max(time.perf_counter() - began, 1e-6))))
            if shown is not None:
                shown.update(runs - left - shown.n)
    return Encoders(width, hidden, progress[:, 1].copy(), W, b, seed)
