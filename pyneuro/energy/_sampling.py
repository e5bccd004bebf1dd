"""`sample` and `anneal` of spin models: arguments checked, results put together; every sweep runs in C."""

import math

import numpy as np

from pyneuro.energy import results
from pyneuro.energy._ladders import populate, temper
from pyneuro.energy._runs import Run, check_common, one_of, optional, temperature_of, whole
from pyneuro.energy.schedules import Geometric, temperatures_of

__all__ = ["Sampling"]

METHODS = ("single", "wolff", "swendsen_wang", "rejection_free", "tempering", "population")
CLUSTERS = ("wolff", "swendsen_wang")


class Sampling:
    """Sampling and annealing; a model has `_couplings`, and `result`, the last result, also after an interruption."""

    result = None

    def sample(
        self,
        T=1.0,
        sweeps=None,
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
        """Samples the Boltzmann distribution at temperature T; returns `energy.Samples`, also kept as
        `result`.

        Args:
            T: temperature > 0, or one for each replica (replicas,); with "tempering" and "population" a ladder: at
                least 2 temperatures in any order, or a tuple (T_min, T_max, count).
            sweeps: counted after the burn-in, default 1000; a sweep is n proposals, with "wolff" one cluster. With
                "population" the sweeps at each temperature, default 10.
            burn_in: sweeps before the first record; None: a fifth of `sweeps`, or 0 when a result is continued.
            replicas: independent chains; None: 1, or as many as T or `start` has. With "tempering" ladders, default 1;
                with "population" its size, default 1000.
            rule: "metropolis", "glauber" (or "heat_bath"), or "lecture": accept with 1 if dE <= 0, else with
                1 / (1 + exp(dE / T)); the lecture's rule breaks detailed balance and does not sample the Boltzmann
                distribution. It draws a spin, and a new value from {-1, +1}: half of its proposals change nothing
                (engines other than "reference" and "rejection_free" always propose the other value).
            method: "single" spin; "wolff" (Wolff 1989) and "swendsen_wang" (1987) flip clusters, and treat fields as a
                spin that never flips; "rejection_free" (Bortz, Kalos, Lebowitz 1975): the law of random single spins
                in continuous time, recorded at equal times, so that plain means of records are right; "tempering"
                (Hukushima and Nemoto 1996): neighbours on the ladder swap after every sweep, see `energy.Tempering`;
                "population" annealing (Hukushima and Iba 2003): see `energy.Population`.
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
        >>> bool(abs(r.energy.mean() / 256 + 1.1313) < 0.02)
        True
        """
        rule, order, seed = check_common(rule, order, engine, seed)
        _check_method(method, rule, order)
        task = {"method": method, "rule": rule, "order": order, "seed": seed, "engine": engine}
        shape = {"sweeps": sweeps, "burn_in": burn_in, "replicas": replicas, "record": record, "start": start}
        run = {"tempering": temper, "population": populate}.get(method, _sample)
        return run(self, T, task, shape, verbose)

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
        sweeps = optional("sweeps", sweeps, 0, None)
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


def _sample(model, T, task, shape, verbose):
    """`sample` with replicas that know nothing of each other."""
    sweeps, record, start = (
        optional("sweeps", shape["sweeps"], 0, 1000),
        whole("record", shape["record"], 0),
        shape["start"],
    )
    resumes = isinstance(start, results.Samples | results.Annealing)
    replicas = _replicas_of(shape["replicas"], T, start)
    burn_in = optional("burn_in", shape["burn_in"], 0, 0 if resumes else sweeps // 5)
    table = temperature_of(T, replicas)
    goes_on = resumes and _goes_on(start, task, replicas)
    if goes_on:
        task = {**task, "seed": start.seed, "engine": task["engine"] or start.engine}
    run = Run(model._couplings, **task, replicas=replicas, own=table.shape[1] > 1)
    run.start(start, fresh=not goes_on or run.sampler.engine != start.engine)
    run.begin(table, burn_in + sweeps, burn_in, record)
    try:
        run.go(verbose)
    finally:
        temperature = np.broadcast_to(table[0], (replicas,)).copy()
        model.result = results.Samples(temperature=temperature, method=task["method"], **run.outcome())
    return model.result


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
    if method in (*CLUSTERS, "rejection_free") and order is not None:
        raise ValueError(f"method {method!r} has no order of visits: leave out order={order!r}")


def _goes_on(start, task, replicas):
    """Whether the random numbers of a result go on: the same task, and no new seed."""
    same = all(getattr(start, name, "single") == task[name] for name in ("method", "rule", "order"))
    return same and task["seed"] in (None, start.seed) and len(start.spins) == replicas and start.streams is not None
