"""`sample` and `anneal` of spin models: arguments checked, results put together; every sweep runs in C."""

import contextlib
import math
import sys
import time

import numpy as np

from pyneuro import _core
from pyneuro.energy import results
from pyneuro.energy.schedules import Geometric, temperatures_of

__all__ = ["Sampling"]

RULES = {"metropolis": "metropolis", "glauber": "glauber", "heat_bath": "glauber", "lecture": "lecture"}
ORDERS = ("random", "sequential", "checkerboard")
METHODS = ("single", "wolff", "swendsen_wang", "rejection_free")
CLUSTERS = ("wolff", "swendsen_wang")
SLICE_SECONDS = 0.1


def whole(name, value, least):
    """A whole number >= least, or an exception that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    number = value.__index__()
    if not least <= number < 2**53:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def one_of(name, value, known):
    if not isinstance(value, str) or value not in known:
        words = ", ".join(repr(word) for word in known)
        raise ValueError(f"{name} must be one of {words}, got {value!r}")
    return value


def temperature_of(T, replicas):
    """T as float64 (1, 1) or (1, replicas)."""
    values = np.array(T, float, ndmin=1)
    if values.ndim != 1 or values.size not in (1, replicas):
        raise ValueError(f"T must be a number or one for each of {replicas} replicas, got shape {values.shape}")
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"T must be finite and greater than 0, got {T!r}")
    return values[None, :1] if (values == values[0]).all() else values[None, :]


def start_spins(start, replicas, n):
    """Spins int8 (replicas, n) from -1 and +1 of shape (n,) or (replicas, n)."""
    spins = np.asarray(start)
    if spins.shape not in ((n,), (replicas, n)):
        raise ValueError(f"start must have shape ({n},) or ({replicas}, {n}), got {spins.shape}")
    if not (spins.dtype.kind in "iuf" and ((spins == 1) | (spins == -1)).all()):
        raise ValueError("start must hold spins -1 and +1 only")
    return np.array(np.broadcast_to(spins, (replicas, n)), np.int8, order="C")


@contextlib.contextmanager
def progress(verbose, total, initial=0):
    """A bar for long work, written to stderr once a second has passed; None when not verbose."""
    if not verbose:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="sweep", leave=False, delay=1, file=sys.stderr, initial=initial) as bar:
        yield bar


class Run:
    """An engine with its replicas, on its way through sweeps."""

    def __init__(
        self,
        couplings,
        *,
        method="single",
        rule="metropolis",
        order=None,
        replicas=1,
        own=False,
        seed=None,
        engine=None,
    ):
        self.seed = _core.seed_child() if seed is None else seed
        self.method, self.rule, self.order, self.n = method, rule, order, couplings.n
        task = (method, rule, order or "any", replicas, own)
        self.sampler = _core.sampler(couplings, task, self.seed, engine)
        self.seconds = 0.0

    def start(self, start, fresh):
        """Random spins, given ones, or those of a result, whose random numbers go on too unless `fresh`."""
        if start is None:
            self.sampler.scatter()
            return
        spins = getattr(start, "spins", start)
        self.sampler.put(start_spins(spins, self.sampler.replicas, self.n))
        streams = getattr(start, "streams", None)
        if streams is not None and not fresh:
            self.sampler.set_streams(streams)

    def begin(self, temperatures, sweeps, burn_in=0, every=0):
        count = (sweeps - burn_in) // every if every else 0
        self.sweeps, self.burn_in, self.every = sweeps, burn_in, every
        self.energy, self.magnetization = (np.zeros((self.sampler.replicas, count)) for _ in range(2))
        table = np.ascontiguousarray(temperatures, float)
        self.sampler.begin(sweeps, table, burn_in, every, self.energy, self.magnetization)

    def go(self, verbose):
        """To the end, in slices between which the bar moves."""
        began = time.perf_counter()
        try:
            with progress(verbose, self.sweeps) as bar:
                while self.sampler.done < self.sweeps:
                    done = self.sampler.run(SLICE_SECONDS)
                    if bar is not None:
                        bar.update(done - bar.n)
        finally:
            self.seconds += time.perf_counter() - began

    def outcome(self):
        """What all results have, as a dict."""
        sampler = self.sampler
        records = max(sampler.done - self.burn_in, 0) // self.every if self.every else 0
        complete = sampler.done == self.sweeps
        streams = np.empty(sampler.n_streams, np.uint64)
        sampler.get_streams(streams)
        spins = np.empty((sampler.replicas, self.n), np.int8)
        sampler.get(spins)
        return {
            "energy": self.energy if complete else self.energy[:, :records].copy(),
            "magnetization": self.magnetization if complete else self.magnetization[:, :records].copy(),
            "spins": spins,
            "sweeps": sampler.done,
            "complete": complete,
            "work": results.Work(sampler.proposals, sampler.acceptances, self.seconds),
            "seed": self.seed,
            "engine": sampler.engine,
            "rule": self.rule,
            "order": self.order,
            "streams": streams,
        }


def check_common(rule, order, engine, seed):
    """(rule, order, seed) as the core knows them."""
    if order is not None:
        one_of("order", order, ORDERS)
    if engine is not None:
        one_of("engine", engine, _core.engine_names())
    if seed is not None and not 0 <= whole("seed", seed, 0) < 2**64:
        raise ValueError(f"seed must be below 2**64, got {seed}")
    return RULES[one_of("rule", rule, RULES)], order, seed


class Sampling:
    """Sampling and annealing; a model has `_couplings`, and `result`, the last result, also after an interruption."""

    result = None

    def sample(
        self,
        T=1.0,
        sweeps=1000,
        burn_in=None,
        replicas=None,
        rule="metropolis",
        method="single",
        order=None,
        seed=None,
        record=1,
        start=None,
        engine=None,
        verbose=1,
    ):
        """Samples the Boltzmann distribution at temperature T; returns `energy.Samples`, also kept as `result`.

        Args:
            T: temperature, or one for each replica (replicas,); > 0.
            sweeps: counted after the burn-in; a sweep is n proposals, with "wolff" one cluster.
            burn_in: sweeps before the first record; None: a fifth of `sweeps`, or 0 when a result is continued.
            replicas: independent chains; None: 1, or as many as T or `start` has.
            rule: "metropolis", "glauber" (or "heat_bath"), or "lecture": accept with 1 if dE <= 0, else with
                1 / (1 + exp(dE / T)); the lecture's rule breaks detailed balance and does not sample the Boltzmann
                distribution. It draws a new value from {-1, +1}: half of its proposals change nothing.
            method: "single" spin; "wolff" (Wolff 1989) and "swendsen_wang" (1987) flip clusters, and treat fields as a
                spin that never flips; "rejection_free" (Bortz, Kalos, Lebowitz 1975): the law of random single spins
                in continuous time, recorded at equal times, so that plain means of records are right.
            order: "random", "sequential", "checkerboard", or None: whatever suits the fastest engine.
            seed: None draws a child of `pn.manual_seed`'s; the same seed gives the same bits on any number of threads.
            record: sweeps from one record of energy and magnetisation to the next; 0: none.
            start: spins (n,) or (replicas, n), or a result, which is continued: spins and random numbers go on, and two
                runs of 50 sweeps have the bits of one of 100. With a new `seed` only its spins are taken.
            engine: name of the engine; None: the first of `_core.engine_names()` that can do it.
            verbose: 1 shows a bar when it takes longer than a second.

        Raises ValueError and TypeError for arguments that mean nothing. Ctrl-C leaves what is done in `result`.

        >>> from pyneuro import energy
        >>> r = energy.Ising.lattice((16, 16)).sample(T=2.5, sweeps=3000, replicas=8, method="wolff", seed=0)
        >>> abs(r.energy.mean() / 256 + 1.1313) < 0.02
        True
        """
        rule, order, seed = check_common(rule, order, engine, seed)
        _check_method(method, rule, order)
        sweeps, record = whole("sweeps", sweeps, 0), whole("record", record, 0)
        resumes = isinstance(start, results.Samples | results.Annealing)
        replicas = _replicas_of(replicas, T, start)
        burn_in = (0 if resumes else sweeps // 5) if burn_in is None else whole("burn_in", burn_in, 0)
        table = temperature_of(T, replicas)
        goes_on = resumes and _goes_on(start, method, rule, order, replicas, seed)
        run = Run(
            self._couplings,
            method=method,
            rule=rule,
            order=order,
            replicas=replicas,
            own=table.shape[1] > 1,
            seed=start.seed if goes_on else seed,
            engine=engine or (start.engine if goes_on else None),
        )
        run.start(start, fresh=not goes_on or run.sampler.engine != start.engine)
        run.begin(table, burn_in + sweeps, burn_in, record)
        try:
            run.go(verbose)
        finally:
            temperature = np.broadcast_to(table[0], (replicas,)).copy()
            self.result = results.Samples(method=method, temperature=temperature, **run.outcome())
        return self.result

    def anneal(
        self,
        schedule=None,
        sweeps=None,
        reads=64,
        seed=None,
        rule="metropolis",
        order=None,
        record=0,
        start=None,
        engine=None,
        verbose=1,
    ):
        """Simulated annealing (Kirkpatrick, Gelatt, Vecchi 1983): `reads` runs from random spins through falling
        temperatures; returns `energy.Annealing`, also kept as `result`.

        Args:
            schedule: `energy.Geometric(T0, T1)`, `Linear(T0, T1)`, `Logarithmic(T0)` (the lecture's), a callable of the
                sweep t = 1, 2, ..., an array of one T for each sweep, or None: geometric, from a T at which the
                strongest local field is flipped half of the time to one at which hardly any spin is excited.
            sweeps: None: as many as the array has, else 1000.
            reads: independent runs.
            record: sweeps from one record of energy and magnetisation to the next; 0: none.
            rule, order, seed, start, engine, verbose: as in `sample`.

        >>> from pyneuro import energy
        >>> a = energy.Ising.lattice((8, 8)).anneal(sweeps=300, reads=16, seed=0)
        >>> a.best_energy
        -128.0
        """
        rule, order, seed = check_common(rule, order, engine, seed)
        sweeps = sweeps if sweeps is None else whole("sweeps", sweeps, 0)
        reads, record = whole("reads", reads, 1), whole("record", record, 0)
        temperatures = temperatures_of(schedule, sweeps, self._automatic_schedule)
        run = Run(self._couplings, rule=rule, order=order, replicas=reads, seed=seed, engine=engine)
        run.start(start, fresh=True)
        run.begin(temperatures[:, None] if len(temperatures) else np.ones((1, 1)), len(temperatures), 0, record)
        try:
            run.go(verbose)
        finally:
            energies = np.empty(reads)
            run.sampler.measure(energies, np.empty(reads))
            self.result = results.Annealing(energies=energies, temperatures=temperatures, **run.outcome())
        return self.result

    def _automatic_schedule(self):
        """Hot: the strongest local field is flipped with probability 1/2. Cold: one in a hundred of runs has any spin
        excited over the smallest gap, which many random couplings narrow to their spread / sqrt(n)."""
        reach, weakest, spread = self._couplings.scale()
        n = self._couplings.n
        gap = 2 * max(weakest, spread / math.sqrt(n)) or 1.0
        return Geometric(max(2 * reach, gap) / math.log(2), gap / math.log(100 * n))


def _replicas_of(replicas, T, start):
    if replicas is not None:
        return whole("replicas", replicas, 1)
    spins = getattr(start, "spins", start)
    if spins is not None and np.ndim(spins) == 2:
        return len(spins)
    return max(np.size(T), 1)


def _check_method(method, rule, order):
    one_of("method", method, METHODS)
    if method in CLUSTERS and rule != "metropolis":
        raise ValueError(f"method {method!r} flips clusters and has no rule of acceptance: leave out rule={rule!r}")
    if method != "single" and order is not None:
        raise ValueError(f"method {method!r} has no order of visits: leave out order={order!r}")


def _goes_on(start, method, rule, order, replicas, seed):
    """Whether the random numbers of a result go on: the same task, and no new seed."""
    same = (getattr(start, "method", "single"), start.rule, start.order) == (method, rule, order)
    return same and seed in (None, start.seed) and len(start.spins) == replicas and start.streams is not None
