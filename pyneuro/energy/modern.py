"""Modern Hopfield networks: continuous states, and one step that is attention (Ramsauer et al. 2020)."""

import numpy as np

from pyneuro import _core
from pyneuro.energy._model import EnergyModel
from pyneuro.nn import _check

__all__ = ["ModernHopfield", "Retrieval", "numbers"]


class ModernHopfield(EnergyModel):
    """A memory of real patterns X (P, n): q <- X' softmax(beta X q), with the energy
    E(q) = -(1/beta) ln sum_mu exp(beta x_mu . q) + q'q/2 + ln(P)/beta + max |x_mu|^2 / 2, which never rises.

    beta: the inverse temperature; large finds one pattern, small a mean of all. One step with beta = 1/sqrt(n),
    patterns as keys, and `values` read out in their place is attention.

    >>> from pyneuro import energy
    >>> memory = energy.ModernHopfield(beta=2**-0.5).fit([[1, 0], [0, 1], [1, 1]])
    >>> out = memory.recall([[1, 0], [0, 1]], steps=1, values=[[1, 2], [3, 4], [5, 6]])
    >>> out.output.round(8).tolist()
    [[3.0, 4.0], [3.40667256, 4.40667256]]
    """

    def __init__(self, beta=1.0):
        self.beta = _check.number("ModernHopfield", "beta", beta, 0)
        if not 0 < self.beta < float("inf"):
            raise ValueError(f"ModernHopfield: beta must be above 0 and finite, got {self.beta:g}")
        self.patterns = self.result = None

    def fit(self, patterns):
        """Stores `patterns` (P, n), finite numbers, in place of those it had. Returns the memory."""
        rows, _ = numbers("patterns", patterns)
        if not len(rows):
            raise ValueError(f"patterns must have at least one row, got shape {rows.shape}")
        self._fill({"patterns": rows})
        return self

    def energy(self, states):
        """E(q) of one state (n,), a float, or of many (R, n), float64 (R,)."""
        out = self.recall(states, steps=0)
        return float(out.energy[0]) if out.energy.ndim == 1 else out.energy[:, 0]

    def recall(self, x, steps=1000, *, values=None, tolerance=1e-12):
        """Lets the states `x` (n,) or (R, n) run for at most `steps` steps, until none moves by more than `tolerance`.

        values: (P, m), read out by the softmax of the last step in place of the patterns; all steps are then done.

        Returns a Retrieval, which is also `result`.
        """
        if self.patterns is None:
            raise RuntimeError("this ModernHopfield has no patterns yet: call fit first")
        patterns, steps = self.patterns, _check.size("recall", "steps", steps, 0)
        tolerance = _check.number("recall", "tolerance", tolerance, 0)
        state, single = numbers("x", x, patterns.shape[1])
        read = out = None
        if values is not None:
            read = numbers("values", values)[0]
            if len(read) != len(patterns) or not steps:
                raise ValueError(
                    f"recall: values must have a row for each pattern, {len(patterns)}, got shape {read.shape}, and at "
                    f"least one step, got {steps}"
                )
            out = np.full((len(state), read.shape[1]), np.nan)
        weight = np.full((len(state), len(patterns)), np.nan)
        energy, taken = np.full((len(state), steps + 1), np.nan), np.zeros(len(state), np.int64)
        try:
            _core.modern_recall(patterns, read, state, out, weight, energy, taken, self.beta, tolerance, steps)
        finally:
            self.result = Retrieval(state, state if out is None else out, weight, energy, taken, steps, single)
        return self.result

    def _config(self):
        return {"beta": self.beta}

    def _arrays(self):
        return {} if self.patterns is None else {"patterns": self.patterns}

    def load_state_dict(self, state):
        """Takes the patterns of `state`, a dict as `state_dict` returns it. Raises StateError, a ValueError, when they
        do not fit; the memory is then unchanged."""
        if self.patterns is None and set(state) == {"patterns"}:
            self._fill({"patterns": np.array(state["patterns"], order="C")})
            return self
        return super().load_state_dict(state)

    def _fill(self, arrays):
        self.patterns = numbers("patterns", arrays["patterns"])[0]
        self.patterns.flags.writeable = False


class Retrieval:
    """What `ModernHopfield.recall` returns, for one input (for many: arrays with one row each).

    output: float64, the state at the end, or what was read out of `values`. state: the last state.
    weights: float64 (P,), the softmax of the last step. energy: float64 (steps + 1,), before the first and after each
    step (of a read-out without the last). converged: whether it came to rest. steps: how many were done.

    >>> from pyneuro import energy
    >>> found = energy.ModernHopfield(beta=8.0).fit([[1, 0], [0, 1]]).recall([0.9, 0.2])
    >>> found.weights.round(2).tolist(), found.converged
    ([1.0, 0.0], True)
    """

    def __init__(self, state, output, weights, energy, taken, most, single):
        last = int(taken.max(initial=0))
        energy = energy[:, : last + 1 - (output is not state and last > 0)]  # a read-out is no state
        for row in np.flatnonzero(taken < last):  # what has come to rest stays as it is
            energy[row, taken[row] + 1 :] = energy[row, taken[row]]
        converged = taken < most
        if single:
            state, output, weights, energy = state[0], output[0], weights[0], energy[0]
            taken, converged = int(taken[0]), bool(converged[0])
        self.state, self.output, self.weights, self.energy = state, output, weights, energy
        self.steps, self.converged = taken, converged

    def __repr__(self):
        return f"Retrieval(output={self.output.shape}, steps={np.max(self.steps)})"


def numbers(name, values, n=None):
    """`values` as float64 (R, n), and whether they were one row."""
    try:
        array = np.asarray(values)
        rows = np.array(np.atleast_2d(array), np.float64, order="C")
    except (ValueError, TypeError):
        raise ValueError(f"{name} must be numbers in rows of equal lengths") from None
    if rows.ndim != 2 or not rows.shape[1]:
        raise ValueError(f"{name} must have shape (n,) or (rows, n), got {array.shape}")
    if n is not None and rows.shape[1] != n:
        raise ValueError(f"{name} must have {n} numbers in each row, got shape {array.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} must be finite")
    return rows, array.ndim < 2
