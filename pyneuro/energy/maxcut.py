"""Large cuts: annealing in rounds that grow longer until the time is over."""

import contextlib
import sys
import time
from dataclasses import dataclass, field

import numpy as np

from pyneuro import _core
from pyneuro.energy._runs import SLICE_SECONDS, Run, check_common, whole

__all__ = ["Cutting", "MaxCut"]

FIRST_SWEEPS = 1000
HOT, COLD, FROZEN = 0.7, 0.08, 1e-6  # temperatures in units of the root mean square of local fields of random spins
QUENCH = 10  # last sweeps, at FROZEN: no spin is left that would like to turn


@dataclass
class MaxCut:
    """The largest cut that `Ising.max_cut` has found, and how.

    Attributes:
        cut, spins: the largest cut found, and its sides, int8 (n,).
        cuts, sweeps: of each round, its largest cut, float64 (rounds,), and its sweeps, int64 (rounds,).
        seed: round k (from 0) is that of the seed `seed + k`.
        seconds: how long it took; `complete` is False after an interruption.

    >>> from pyneuro import energy
    >>> square = energy.Ising.from_maxcut([(0, 1), (1, 2), (2, 3), (3, 0)])
    >>> square.max_cut(seconds=1, target=4, seed=0).cut
    4.0
    """

    cut: float
    spins: np.ndarray
    cuts: np.ndarray
    sweeps: np.ndarray
    seed: int
    seconds: float
    complete: bool
    reads: int = field(default=64)


@contextlib.contextmanager
def clock_bar(verbose, seconds):
    """A bar of seconds on stderr; None when not verbose."""
    if not verbose:
        yield None
        return
    from tqdm import tqdm

    shape = "{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}"
    with tqdm(total=seconds, leave=False, delay=1, file=sys.stderr, bar_format=shape) as bar:
        yield bar


class Cutting:
    """`max_cut` of spin models without fields."""

    def max_cut(self, seconds=60.0, target=None, seed=None, reads=64, verbose=1):
        """Looks for the largest cut of the graph with weights -M (`from_maxcut`) for so many seconds; returns
        `energy.MaxCut`, also kept as `result`.

        Every round is a simulated annealing (Kirkpatrick, Gelatt, Vecchi 1983) of `reads` runs from random spins, twice
        as long as the round before; the last one is cut to the time that is left. Nothing is known beforehand about the
        cut: that none larger exists is not proved.

        Args:
            seconds: how long to look, > 0.
            target: stops as soon as a round has found such a cut, or a larger one; None: looks on.
            seed: None draws a child of `pn.manual_seed`'s. The same seed and the same sweeps of rounds give the same
                bits; how many sweeps fit into the time depends on the machine.
            reads: runs side by side.
            verbose: 1 shows a bar when it takes longer than a second.

        Raises ValueError for a model with fields and for arguments that mean nothing. Ctrl-C leaves what is found in
        `result`.

        >>> from pyneuro import energy
        >>> edges = [(i, j) for i in range(6) for j in range(i)]
        >>> energy.Ising.from_maxcut(edges).max_cut(seconds=1, target=9, seed=0).cut
        9.0
        """
        if self.h is not None:
            raise ValueError("max_cut: a model with fields h has no cut")
        if not (isinstance(seconds, int | float) and 0 < seconds < float("inf")):
            raise ValueError(f"seconds must be greater than 0, got {seconds!r}")
        if target is not None and not np.isfinite(target):
            raise ValueError(f"target must be finite, got {target!r}")
        seed, reads = check_common("metropolis", None, None, seed)[2], whole("reads", reads, 1)
        search = _Search(self, _core.seed_child() if seed is None else seed, reads, float(seconds))
        try:
            with clock_bar(verbose, seconds) as bar:
                while search.goes_on(target):
                    search.round(bar)
            search.complete = True
        finally:
            self.result = search.outcome()
        return self.result


class _Search:
    def __init__(self, model, seed, reads, seconds):
        self.model, self.seed, self.reads, self.seconds = model, seed, reads, seconds
        self.began = time.perf_counter()
        self.cut, self.spins = -np.inf, np.ones(model.n, np.int8)
        self.cuts, self.sweeps, self.complete = [], [], False
        weights = model.rows()[2]
        self.scale = float(np.sqrt((weights**2).sum() / model.n)) or 1.0
        self.next = FIRST_SWEEPS

    def elapsed(self):
        return time.perf_counter() - self.began

    def goes_on(self, target):
        return not self.cuts or (self.elapsed() < self.seconds and (target is None or self.cut < target))

    def temperatures(self, sweeps):
        quench = min(QUENCH, sweeps // 2)
        falling = np.geomspace(HOT, COLD, sweeps - quench)
        return self.scale * np.append(falling, np.full(quench, FROZEN))[:, None]

    def round(self, bar):
        """One annealing; it is over when the time is, at the latest."""
        began, sweeps = self.elapsed(), self.next
        run = Run(self.model._couplings, replicas=self.reads, seed=(self.seed + len(self.cuts)) % 2**64)
        run.start(None, fresh=True)
        run.begin(self.temperatures(sweeps), sweeps)
        try:
            while run.sampler.done < sweeps and self.elapsed() < self.seconds:
                run.sampler.run(min(SLICE_SECONDS, max(self.seconds - self.elapsed(), 1e-3)))
                if bar is not None:
                    bar.update(min(self.elapsed(), self.seconds) - bar.n)
        finally:
            self.look(run.sampler)
        if bar is not None:
            bar.set_postfix_str(f"cut {self.cut:g}", refresh=False)
        spent = max(self.elapsed() - began, 1e-9) / max(run.sampler.done, 1)
        self.next = max(min(2 * sweeps, int(0.95 * (self.seconds - self.elapsed()) / spent)), 1)

    def look(self, sampler):
        """The states as they are: the best is kept."""
        spins, energies = np.empty((self.reads, self.model.n), np.int8), np.empty(self.reads)
        sampler.get(spins)
        sampler.measure(energies, np.empty(self.reads))
        best = spins[int(np.argmin(energies))]
        cut = self.model.cut(best)
        self.cuts.append(cut)
        self.sweeps.append(sampler.done)
        if cut > self.cut:
            self.cut, self.spins = cut, best.copy()

    def outcome(self):
        cuts, sweeps = np.array(self.cuts, float), np.array(self.sweeps, np.int64)
        return MaxCut(
            self.cut, self.spins, cuts, sweeps, self.seed, self.elapsed(), complete=self.complete, reads=self.reads
        )
