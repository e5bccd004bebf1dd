"""Schedules of temperatures for annealing: T at sweep t = 1, 2, ..., sweeps."""

import numpy as np

__all__ = ["Geometric", "Linear", "Logarithmic"]


def _temperature(name, value):
    number = float(value)
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a finite temperature greater than 0, got {value!r}")
    return number


class _Schedule:
    """A schedule: called with the sweep t, from 1, and the number of sweeps; both may be arrays."""

    def temperatures(self, sweeps):
        """T of sweeps 1 to `sweeps`: float64 (sweeps,)."""
        return np.asarray(self(np.arange(1, sweeps + 1), sweeps), float)

    def __repr__(self):
        arguments = ", ".join(f"{name}={value:g}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


class Geometric(_Schedule):
    """From T0 down (or up) to T1 by the same factor in every sweep: T_t = T0 (T1 / T0)^((t - 1) / (sweeps - 1)).

    Source: Kirkpatrick, Gelatt, Vecchi 1983.

    >>> from pyneuro import energy
    >>> energy.Geometric(8, 1).temperatures(4).round(6).tolist()
    [8.0, 4.0, 2.0, 1.0]
    """

    def __init__(self, T0, T1):
        self.T0, self.T1 = _temperature("T0", T0), _temperature("T1", T1)

    def __call__(self, t, sweeps):
        return self.T0 * (self.T1 / self.T0) ** ((np.asarray(t) - 1) / max(sweeps - 1, 1))


class Linear(_Schedule):
    """From T0 to T1 by the same step in every sweep.

    >>> from pyneuro import energy
    >>> energy.Linear(3, 1).temperatures(5).tolist()
    [3.0, 2.5, 2.0, 1.5, 1.0]
    """

    def __init__(self, T0, T1):
        self.T0, self.T1 = _temperature("T0", T0), _temperature("T1", T1)

    def __call__(self, t, sweeps):
        return self.T0 + (self.T1 - self.T0) * ((np.asarray(t) - 1) / max(sweeps - 1, 1))


class Logarithmic(_Schedule):
    """The lecture's cooling T_t = T0 / (1 + ln t) (lecture 001; Geman and Geman 1984), which hardly cools: after a
    million sweeps T is still 0.067 T0.

    >>> from pyneuro import energy
    >>> energy.Logarithmic(10).temperatures(10).round(4)[[0, 1, 9]].tolist()
    [10.0, 5.9062, 3.0279]
    """

    def __init__(self, T0):
        self.T0 = _temperature("T0", T0)

    def __call__(self, t, sweeps):
        return self.T0 / (1 + np.log(np.asarray(t)))


def temperatures_of(schedule, sweeps, automatic):
    """float64 (sweeps,): T of every sweep, from a schedule, a callable of t = 1, 2, ..., an array of one T for each
    sweep, or None (`automatic()` makes one). `sweeps` None: as long as the array, else 1000. Raises ValueError."""
    if schedule is None:
        schedule = automatic()
    if not callable(schedule):
        values = np.array(schedule, float, ndmin=1)
        if values.ndim != 1 or not values.size:
            raise ValueError(f"schedule must be one T for each sweep, shape (sweeps,), got shape {values.shape}")
        if sweeps is not None and sweeps != values.size:
            raise ValueError(f"schedule has {values.size} temperatures, but sweeps is {sweeps}")
    elif isinstance(schedule, _Schedule):
        values = schedule.temperatures(1000 if sweeps is None else sweeps)
    else:
        values = np.array([schedule(t) for t in range(1, (1000 if sweeps is None else sweeps) + 1)], float)
        if values.ndim != 1:
            raise ValueError(f"schedule must give one number for each sweep, got shape {values.shape[1:]}")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if wrong.size:
        raise ValueError(
            f"schedule gives T = {values[wrong[0]]:g} at sweep {wrong[0] + 1}, but T must be greater than 0"
        )
    return values
