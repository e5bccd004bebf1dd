"""Recall of a Hopfield network: the loop over pieces of work, and the result."""

import contextlib
import sys

import numpy as np

from pyneuro.energy._spins import from_spins

__all__ = ["Recall", "run"]

MOST = 100_000  # steps when none are given: states settle long before
PIECE = 3e8  # elements that one call of the core looks at: about a tenth of a second


class Recall:
    """What `Hopfield.recall` returns, for one input (for many: arrays with one row each).

    state: int8 (n,), the state at the end.
    energy: float64 (steps + 1,), E before the first and after each step; None with record=False. After its end, the
        row of one of many inputs goes on as its fixed point or cycle does.
    converged: whether the state is a fixed point.
    cycle: 1 for a fixed point, 2 when two states follow each other (synchronous), 0 when neither was reached.
    steps: int, steps done, the one that changed nothing included.
    states: int8 (steps + 1, n), all states with record="states", else None.
    seed: the seed that was used.

    >>> from pyneuro import energy
    >>> net = energy.Hopfield().fit([[1, -1, 1, -1], [1, 1, -1, -1]])
    >>> out = net.recall([1, -1, 1, 1], seed=0)
    >>> out.state.tolist(), out.converged, out.cycle
    ([1, -1, 1, -1], True, 1)
    """

    def __init__(self, state, taken, cycle, energy, states, seed, single):
        last = int(taken.max(initial=0))
        if energy is not None:
            energy = _continued(energy[:, : last + 1], taken, cycle)
        if states is not None:
            states = _continued(states[:, : last + 1], taken, cycle)
        self.seed = seed
        if single:
            state, energy, states = (None if a is None else a[0] for a in (state, energy, states))
            taken, cycle = int(taken[0]), int(cycle[0])
        self.state, self.energy, self.states, self.steps, self.cycle = state, energy, states, taken, cycle
        self.converged = cycle == 1

    def __repr__(self):
        shape = tuple(self.state.shape)
        return f"Recall(state={shape}, converged={np.mean(self.converged):.0%}, steps={np.max(self.steps)})"


def _continued(record, taken, cycle):
    """Rows of a record (R, steps + 1, ...) that ended early go on as their fixed point or cycle does."""
    place = np.arange(record.shape[1])
    length = np.maximum(cycle, 1)[:, None]
    index = np.where(place <= taken[:, None], place, taken[:, None] - (place - taken[:, None]) % length)
    index[taken == 0] = np.where(place > 0, 0, place)  # nothing was done: an interrupt
    return np.take_along_axis(record, index.reshape(index.shape + (1,) * (record.ndim - 2)), 1)


class _Rows:
    """Some rows of the inputs, recalled together."""

    def __init__(self, state, zero, options):
        self.state, self.zero, self.options = state, zero, options
        rows, n = state.shape
        self.before = np.empty((rows, n), np.int8) if options["sync"] else None
        self.taken, self.cycle = np.zeros(rows, np.int64), np.zeros(rows, np.int8)
        record = options["record"]
        self.energy = np.empty((rows, 1)) if record else None
        self.trace = np.empty((rows, 1, n), np.int8) if record == "states" else None
        self.done = 0

    def go(self, steps):
        """So many steps more."""
        self.energy = _wider(self.energy, steps)
        self.trace = _wider(self.trace, steps)
        self.options["core"](
            self.state, self.before, self.trace, self.energy, self.taken, self.cycle, self.zero, self.done, steps
        )
        self.done += steps

    def run(self):
        """Until all rows have ended, or all steps are done. How steps are cut depends on shapes alone."""
        most = MOST if self.options["steps"] is None else self.options["steps"]
        piece = 16
        while self.done < most and not self.cycle.all():
            self.go(min(piece, most - self.done))
            piece = min(2 * piece, 64)
        if self.done == 0:
            self.go(0)


def _wider(record, steps):
    """Room for so many steps more, NaN or 0."""
    if record is None:
        return None
    shape = (record.shape[0], record.shape[1] + steps, *record.shape[2:])
    wider = np.full(shape, np.nan) if record.dtype == float else np.zeros(shape, np.int8)
    wider[:, : record.shape[1]] = record
    return wider


def run(model, state, single, binary, verbose, options):
    """Recalls all rows of `state` int8 (R, n), which is overwritten; sets model.result, also when interrupted.

    options: "core", the function that does steps of some rows; "steps" or None, "sync", "record", "seed".
    """
    rows, n = state.shape
    piece = max(16, int(PIECE / n**2) // 16 * 16)  # whole blocks, so that pieces change no bit
    parts = []
    try:
        with _bar(rows, piece, verbose) as bar:
            for zero in range(0, rows, piece):
                parts.append(_Rows(state[zero : zero + piece], zero, options))
                parts[-1].run()
                if bar is not None:
                    bar.update(len(parts[-1].state))
    finally:
        model.result = _join(parts, state, single, binary, options)
    return model.result


def _bar(rows, piece, verbose):
    if not verbose or rows <= piece:
        return contextlib.nullcontext()
    from tqdm import tqdm

    return tqdm(total=rows, unit="state", file=sys.stderr, mininterval=0.1)


def _join(parts, state, single, binary, options):
    """The result of the parts that have begun; rows that have not keep their input, with 0 steps."""
    rows = len(state)
    taken, cycle = np.zeros(rows, np.int64), np.zeros(rows, np.int8)
    for part in parts:
        taken[part.zero :][: len(part.taken)] = part.taken
        cycle[part.zero :][: len(part.cycle)] = part.cycle
    last = int(taken.max(initial=0))
    energy = _joined([part.energy for part in parts], rows, last) if options["record"] else None
    states = _joined([part.trace for part in parts], rows, last) if options["record"] == "states" else None
    if states is not None:
        states = from_spins(states, binary)
    return Recall(from_spins(state, binary), taken, cycle, energy, states, options["seed"], single)


def _joined(records, rows, last):
    """Records of parts as one; columns that a part has not are filled later."""
    if not records:
        return None
    shape = (rows, last + 1, *records[0].shape[2:])
    out = np.full(shape, np.nan) if records[0].dtype == float else np.zeros(shape, np.int8)
    at = 0
    for record in records:
        width = min(record.shape[1], last + 1)
        out[at : at + len(record), :width] = record[:, :width]
        at += len(record)
    return out
