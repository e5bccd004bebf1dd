"""`sample` on a ladder of temperatures: parallel tempering and population annealing."""

import numpy as np

from pyneuro.energy import results
from pyneuro.energy._runs import Run, optional, whole

__all__ = ["populate", "temper"]


def ladder_of(T, spaced):
    """Temperatures, float64 ascending, of at least 2 numbers or a tuple (T_min, T_max, count), which `spaced` fills."""
    if isinstance(T, tuple) and len(T) == 3 and isinstance(T[2], int | np.integer) and T[2] >= 2:
        low, high = np.sort(np.array(T[:2], float))
        values = np.array([low, high]) if not low > 0 else spaced(low, high, int(T[2]))
    else:
        values = np.sort(np.array(T, float, ndmin=1))
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"T must be at least 2 temperatures or a tuple (T_min, T_max, count), got {T!r}")
    if not (np.isfinite(values) & (values > 0)).all() or (np.diff(values) <= 0).any():
        raise ValueError(f"the temperatures T must be finite, greater than 0 and all different, got {T!r}")
    return np.ascontiguousarray(values)


def inverse_linspace(low, high, count):
    """Equal steps of 1 / T."""
    return 1 / np.linspace(1 / low, 1 / high, count)


def _rows(ladder, chains):
    """Rung x chains + chain of replica chain x rungs + rung."""
    return np.arange(len(ladder) * chains).reshape(len(ladder), chains).T.ravel()


def _tempering_arrays(ladder, chains, start):
    """What the core keeps of a run of tempering, by name; that of a result goes on."""
    replicas = len(ladder) * chains
    arrays = {
        "ladder": ladder,
        "temperature": np.repeat(ladder[None], chains, axis=0).reshape(1, replicas),
        "row": _rows(ladder, chains),
        "holder": np.arange(replicas).reshape(chains, len(ladder)),
        "swap_streams": np.zeros((chains, 4), np.uint64),
        "attempts": np.zeros(len(ladder) - 1, np.int64),
        "swaps": np.zeros(len(ladder) - 1, np.int64),
        "way": np.zeros(replicas, np.int8),
        "trips": np.zeros(replicas, np.int64),
        "turns": np.zeros(1, np.int64),
    }
    if start is not None:
        arrays.update({name: array.copy() for name, array in start.extra.items() if name != "ladder"})
    return arrays


def temper(model, T, task, shape, verbose):
    """Parallel tempering: see `Sampling.sample`."""
    sweeps, record = optional("sweeps", shape["sweeps"], 0, 1000), whole("record", shape["record"], 0)
    start, ladder = shape["start"], ladder_of(T, np.geomspace)
    resumes = isinstance(start, results.Tempering)
    before = len(start.spins) // len(start.ladder) if resumes else 1
    chains = optional("replicas", shape["replicas"], 1, before)
    goes_on = resumes and np.array_equal(start.ladder, ladder) and chains == before
    goes_on = goes_on and (start.rule, start.order) == (task["rule"], task["order"])
    goes_on = goes_on and task["seed"] in (None, start.seed)
    if goes_on:
        task = {**task, "seed": start.seed, "engine": task["engine"] or start.engine}
    burn_in = optional("burn_in", shape["burn_in"], 0, 0 if resumes else sweeps // 5)
    run = Run(model._couplings, **{**task, "method": "single"}, replicas=len(ladder) * chains, own=True)
    goes_on = goes_on and run.sampler.engine == start.engine
    arrays = _tempering_arrays(ladder, chains, start if goes_on else None)
    _start_rows(run, start, arrays["row"], goes_on)
    run.begin(arrays["temperature"], burn_in + sweeps, burn_in, record)
    run.sampler.temper(chains, 1, arrays, not goes_on)
    try:
        run.go(verbose)
    finally:
        found = run.outcome()
        found["spins"] = found["spins"][np.argsort(arrays["row"])]
        found.update(temperature=np.repeat(ladder, chains), method="tempering", ladder=ladder, extra=arrays)
        model.result = results.Tempering(**found)
    return model.result


def _start_rows(run, start, row, goes_on):
    """Spins of a result stand in the order of temperatures; replica r takes row[r]."""
    spins = getattr(start, "spins", start)
    if spins is not None and np.ndim(spins) == 2 and len(spins) == len(row):
        spins = np.asarray(spins)[row]
    run.start(spins, fresh=True)
    if goes_on:
        run.sampler.set_streams(start.streams)


def populate(model, T, task, shape, verbose):
    """Population annealing: see `Sampling.sample`."""
    ladder = ladder_of(T, inverse_linspace)[::-1].copy()
    sweeps = optional("sweeps", shape["sweeps"], 1, 10)
    replicas = optional("replicas", shape["replicas"], 1, 1000)
    if shape["burn_in"] or shape["start"] is not None:
        raise ValueError("method 'population' starts from random spins at infinite temperature: no burn_in, no start")
    steps, n = len(ladder), model._couplings.n
    run = Run(model._couplings, **{**task, "method": "single"}, replicas=replicas)
    run.start(None, fresh=True)
    run.begin(np.repeat(ladder, sweeps)[:, None], steps * sweeps, 0, sweeps)
    arrays = {
        "ladder": ladder,
        "stream": np.zeros(4, np.uint64),
        "family": np.zeros(replicas, np.int64),
        "log_z": np.full(steps, np.nan),
        "families": np.zeros(steps, np.int64),
        "crowding": np.zeros(steps),
        "weight": np.zeros(replicas),
        "count": np.zeros(replicas, np.int64),
        "spins": np.zeros(n, np.int8),
    }
    try:
        run.sampler.populate(sweeps, arrays)
        run.go(verbose)
    finally:
        found = run.outcome()
        found.update(temperature=np.full(replicas, ladder[-1]), method="population", ladder=ladder, extra={})
        names = ("log_z", "families", "crowding", "family")
        model.result = results.Population(**found, **{name: arrays[name] for name in names})
    return model.result
