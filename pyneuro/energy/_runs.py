"""Runs of samplers: arguments checked, an engine taken through its sweeps in slices, what it leaves collected."""

import contextlib
import sys
import time

import numpy as np

from pyneuro import _core
from pyneuro.energy import results

__all__ = ["Run"]

RULES = {"metropolis": "metropolis", "glauber": "glauber", "heat_bath": "glauber", "lecture": "lecture"}
ORDERS = ("random", "sequential", "checkerboard")
SLICE_SECONDS = 0.1


def whole(name, value, least, limit=2**53):
    """A whole number from least to limit - 1, or an exception that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    number = value.__index__()
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    if number >= limit:
        raise ValueError(f"{name} must be below {limit}, got {number}")
    return number


def optional(name, value, least, default):
    """The same, or `default` for None."""
    return default if value is None else whole(name, value, least)


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
        if rule == "lecture" and method == "single" and order in (None, "random"):
            engine = engine or "reference"  # the lecture's own proposals; the law of this rule depends on the order
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
    return RULES[one_of("rule", rule, RULES)], order, None if seed is None else whole("seed", seed, 0, 2**64)
