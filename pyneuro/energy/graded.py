"""Neurons with a graded response: continuous time, and an energy with the integral of the response (Hopfield 1984)."""

import numpy as np

from pyneuro import _core
from pyneuro.energy._model import EnergyModel
from pyneuro.energy.modern import numbers
from pyneuro.nn import _check

__all__ = ["GradedHopfield", "Path"]


class GradedHopfield(EnergyModel):
    """Neurons with inputs u and outputs V = tanh(gain u) that follow du/dt = -u / tau + M V + I.

    E = -1/2 V'MV - I'V + (1/tau) sum_i (integral of the inverse response from 0 to V_i) falls along the way. At high
    gain the integral vanishes and the minima are the fixed points of the network of +-1 neurons with the same M.

    M: (n, n), symmetric with diagonal 0, such as the M of a Hopfield network. I: (n,) or None. gain, tau: above 0.

    >>> from pyneuro import energy
    >>> memory = energy.Hopfield().fit([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]])
    >>> out = energy.GradedHopfield(memory.M, gain=2.0).run([0.3, 0.2, 0.3, -0.1, -0.2, -0.3, -0.1, -0.3])
    >>> out.V.round(2).tolist()
    [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0]
    >>> bool((out.energy[1:] <= out.energy[:-1] + 1e-12).all())
    True
    """

    def __init__(self, M, I=None, gain=1.0, tau=1.0):  # noqa: E741  the letter of the formula
        self.M, _ = numbers("M", M)
        n = len(self.M)
        _core.hopfield_weights(np.ascontiguousarray(self.M), 1.0)  # square, symmetric, no diagonal
        self.I = None if I is None else numbers("I", I, n)[0][0]
        self.gain, self.tau = (_above_zero(name, value) for name, value in (("gain", gain), ("tau", tau)))
        self.result = None

    def run(self, V, *, time=20.0, dt=None, every=None, record=True):
        """Lets the outputs `V` (n,) or (R, n), inside -1 and 1, run for that time.

        time, dt: in units of tau; dt=None: 0.02 / (1 + gain tau max_i sum_j |M_ij|) but at least 1e-5, so that Euler's
            steps follow the slope. every: steps between two records; None: about 200 records. record: "states" keeps
            V, too.

        Returns a Path, which is also `result`; after Ctrl-C it stands there as far as it came.
        """
        start, single = numbers("V", V, len(self.M))
        if (np.abs(start) >= 1).any():
            raise ValueError(f"V must lie inside -1 and 1, got {start.flat[np.abs(start).argmax()]:g}")
        time = _check.number("run", "time", time, 0)
        if dt is None:
            dt = max(0.02 / (1 + self.gain * self.tau * np.abs(self.M).sum(axis=1).max()), 1e-5)
        dt = _above_zero("dt", dt)
        steps = round(time / dt)
        every = max(1, steps // 200) if every is None else _check.size("run", "every", every)
        if record not in (True, "states"):
            raise ValueError(f"run: record must be True or 'states', got {record!r:.80}")
        u, v = np.arctanh(start) / self.gain, start
        width = steps // every + 1
        energy = np.full((len(v), width), np.nan)
        trace = np.full((len(v), width, v.shape[1]), np.nan) if record == "states" else None
        taken = np.zeros(len(v), np.int64)
        try:
            _core.graded_run(
                self.M, self.I, u, v, energy, trace, taken, self.gain, self.tau, dt * self.tau, steps, every
            )
        finally:
            self.result = Path(u, v, energy, trace, taken, dt * every, every, single)
        return self.result

    def energy(self, V):
        """E of outputs V (n,), a float, or (R, n), float64 (R,)."""
        result = self.result
        out = self.run(V, time=0.0)
        self.result = result
        return float(out.energy[0]) if out.energy.ndim == 1 else out.energy[:, 0]

    def _config(self):
        return {"gain": self.gain, "tau": self.tau}

    def _arrays(self):
        return {"M": self.M} if self.I is None else {"M": self.M, "I": self.I}

    def _fill(self, arrays):
        filled = GradedHopfield(arrays["M"], arrays.get("I"))
        self.M, self.I, self.result = filled.M, filled.I, None

    @classmethod
    def _empty(cls, config, shapes):
        n = shapes["M"][1][0]
        return cls(np.zeros((n, n)), np.zeros(n) if "I" in shapes else None, **config)


class Path:
    """What `GradedHopfield.run` returns, for one start (for many: arrays with one row each).

    V, u: float64 (n,), outputs and inputs at the end. energy: float64 (records,), time: float64 (records,) in units of
    tau. states: float64 (records, n) with record="states", else None.

    >>> from pyneuro import energy
    >>> path = energy.GradedHopfield([[0, 1], [1, 0]], gain=3.0).run([0.1, -0.02], time=5.0)
    >>> path.V.round(1).tolist(), len(path.energy) == len(path.time)
    ([1.0, 1.0], True)
    """

    def __init__(self, u, v, energy, trace, taken, gap, every, single):
        records = int(taken.max(initial=0)) // every + 1
        energy = energy[:, :records]
        trace = None if trace is None else trace[:, :records]
        if single:
            u, v, energy, trace = u[0], v[0], energy[0], None if trace is None else trace[0]
        self.u, self.V, self.energy, self.states, self.time = u, v, energy, trace, np.arange(records) * gap

    def __repr__(self):
        return f"Path(V={self.V.shape}, time={self.time[-1]:g})"


def _above_zero(name, value):
    value = _check.number("GradedHopfield", name, value, 0)
    if not 0 < value < float("inf"):
        raise ValueError(f"GradedHopfield: {name} must be above 0 and finite, got {value:g}")
    return value
