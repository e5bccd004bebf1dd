"""Exact answers for small models, from all of their states: what every sampler is judged by.

All states are gone through in C, along a Gray code (`csrc/energy/enumerate.h`); integer couplings give exact level
counts. Here the sums are only put together.
"""

import contextlib
import sys
from functools import cached_property

import numpy as np

from pyneuro import _core

__all__ = ["Exact"]

MAX_SPINS = 30
MAX_LISTED = 24  # spins of models whose states are listed one by one
MAX_GROUND = 1 << 30  # bytes of ground states
SLICE = 1 << 25  # states between two looks of the progress bar


def temperatures(T):
    """T as float64 (k,), and whether it was one number. Refuses what is not positive and finite."""
    try:
        values = np.array(T, float)
    except (TypeError, ValueError):
        raise TypeError(f"T must be a temperature or a list of them, got {T!r:.60}") from None
    if values.ndim > 1 or not values.size:
        raise ValueError(f"T must be a temperature or a list of them, got shape {values.shape}")
    flat = values.reshape(-1)
    bad = ~(np.isfinite(flat) & (flat > 0))
    if bad.any():
        raise ValueError(f"T must be positive and finite, got {flat[bad][0]:g}")
    return flat, values.ndim == 0


def check_size(n):
    """Refuses models that are too large, and says what they would cost."""
    if n <= MAX_SPINS:
        return
    seconds = 2.0**n * 2e-9
    years = seconds / 3.15e7
    cost = (
        f"{years:.3g} years" if years > 1 else f"{seconds / 3600:.3g} hours" if seconds > 3600 else f"{seconds:.0f} s"
    )
    raise ValueError(
        f"exact enumeration takes at most {MAX_SPINS} spins, got {n}: 2^{n} = {2.0**n:.3g} states would take about "
        f"{cost} at 2 ns each; sample instead"
    )


def common_unit(values):
    """The largest number that all `values` are whole multiples of (as far as floats can tell), or 0 when none is
    found. Energies of such models are counted exactly."""
    sizes = np.unique(np.abs(values[values != 0]))
    if not sizes.size:
        return 1.0
    for power in range(0, 21, 4):
        scaled = sizes * 2.0**power
        if scaled[-1] < 2**50 and np.array_equal(scaled, np.rint(scaled)):
            return float(np.gcd.reduce(scaled.astype(np.int64))) / 2.0**power
    ratios = sizes / sizes[0]
    whole = np.rint(ratios)
    return float(sizes[0]) if ratios[-1] < 2**18 and np.all(np.abs(whole * sizes[0] - sizes) <= 1e-12 * sizes) else 0.0


class Exact:
    """What is true of a small model: `model.exact(T)` makes it.

    T: as given, positive; with several temperatures everything that depends on T has a leading axis for them.

    Energies (of all T alike): `ground_energy`, `degeneracy`, `ground_states` int8 (degeneracy, n), `density_of_states`
    (dict of energy -> number of states), `energies` float64 (2^n) by number of the state.
    At T: `lnZ`, `free_energy`, `mean_energy`, `energy_variance`, `specific_heat`, `entropy`, `mean_spins` (n),
    `correlations` (n, n), `mean_magnetization`, `mean_abs_magnetization`, `binder`, `magnetization_law` (n + 1),
    `probabilities` (2^n).

    State number k has the spins that the n binary digits of k show, spin 0 first, 0 for -1 and 1 for +1: `states()`.
    Counts are exact when all couplings and fields are whole multiples of one number. What takes a walk through all
    states is computed when it is first asked for; of 30 spins a walk takes seconds.

    >>> from pyneuro import energy
    >>> ring = energy.Ising.lattice(4)
    >>> ring.exact(1.0).density_of_states
    {-4.0: 2, 0.0: 12, 4.0: 2}
    >>> round(ring.exact(1.0).lnZ, 6), ring.exact([1.0, 2.0]).mean_energy.round(6).tolist()
    (4.797714, [-3.601651, -2.145374])
    """

    def __init__(self, model, T, verbose=0):
        check_size(model.n)
        self.T, self._scalar = temperatures(T)
        self.n, self._couplings, self._verbose = model.n, model._couplings, verbose
        weight = self._couplings.rows()[2]
        field = self._couplings.field
        values = weight if field is None else np.concatenate([weight, field])
        self._unit = common_unit(values)
        self._plan = _core.enumeration(self._couplings, self._unit)
        self._scale = self._unit or 1.0
        self._extent = np.full((self._plan["parts"], 2), [np.inf, -np.inf])
        bins = self._plan["bins"]
        counts = np.zeros((self._plan["parts"], bins), np.int64) if bins else None
        self._walk(_core.enumerate_levels, self._extent, counts, what="levels")
        self._counts = None if counts is None else counts.sum(0) * (2 if self._plan["mirrored"] else 1)
        self._cache = {}

    def __repr__(self):
        return f"Exact(n={self.n}, T={self._out(self.T)}, ground_energy={self.ground_energy:g})"

    def _walk(self, function, *arguments, what):
        """One walk through all states, in slices that do not depend on how fast it goes."""
        steps, states = self._plan["steps"], self._plan["parts"] << self._plan["low"]
        slice_steps = max(256, SLICE // states)
        with self._bar(steps, what) as bar:
            for start in range(0, steps, slice_steps):
                stop = min(start + slice_steps, steps)
                function(self._couplings, self._unit, start, stop, *arguments)
                if bar is not None:
                    bar.update(stop - start)

    def _bar(self, steps, what):
        if self._verbose != 1:
            return contextlib.nullcontext()
        from tqdm import tqdm

        return tqdm(total=steps, unit="step", desc=what, leave=False, delay=0.3, file=sys.stderr)

    def _out(self, values):
        """The answer for one T, or for all of them."""
        if not self._scalar:
            return values
        return float(values[0]) if values.ndim == 1 else values[0]

    # ---- energies ----

    @property
    def ground_energy(self):
        """The lowest energy."""
        return float(self._extent[:, 0].min() * self._scale)

    @cached_property
    def _below(self):
        """In units: energies up to this are the ground energy, rounding apart."""
        lowest = self._extent[:, 0].min()
        return lowest if self._unit else lowest + 1e-12 * self._plan["total"]

    @cached_property
    def _found(self):
        """How many ground states each part of the walk has."""
        found = np.zeros(self._plan["parts"], np.int64)
        self._walk(_core.enumerate_below, self._below, found, None, what="ground states")
        return found

    @property
    def degeneracy(self):
        """Number of states with the ground energy."""
        if self._counts is not None:
            return int(self._counts[np.flatnonzero(self._counts)[0]])
        return int(self._found.sum()) * (2 if self._plan["mirrored"] else 1)

    @cached_property
    def ground_states(self):
        """All states with the ground energy, int8 (degeneracy, n), by number. Refused above 2^30 bytes."""
        if self.degeneracy * self.n > MAX_GROUND:
            raise ValueError(
                f"there are {self.degeneracy} ground states: {self.degeneracy * self.n:.3g} bytes are too many"
            )
        room = self._found.max()
        codes, at = np.zeros((len(self._found), room), np.uint32), np.zeros_like(self._found)
        self._walk(_core.enumerate_below, self._below, at, codes, what="ground states")
        numbers = np.concatenate([row[:k] for row, k in zip(codes, at, strict=True)])
        if self._plan["mirrored"]:
            numbers = np.concatenate([numbers, (1 << self.n) - 1 - numbers.astype(np.int64)])
        return spins_of(np.sort(numbers), self.n)

    @cached_property
    def _levels(self):
        """(energies, counts), ascending; counts are exact for whole couplings, else levels within rounding are one."""
        if self._counts is not None:
            at = np.flatnonzero(self._counts)
            return (2.0 * at - self._plan["total"]) * self._scale, self._counts[at]
        self._listed("the density of states of couplings that are no multiples of one number is")
        ordered = np.sort(self.energies)
        new = np.concatenate([[True], np.diff(ordered) > 1e-12 * self._plan["total"] * self._scale])
        first = np.flatnonzero(new)
        return ordered[first], np.diff(np.append(first, len(ordered)))

    @property
    def density_of_states(self):
        """dict of energy -> number of states with it, ascending.

        For couplings that are no multiples of one number, energies within rounding count as one, and the model may have
        24 spins at most.
        """
        levels, counts = self._levels
        return dict(zip(levels.tolist(), counts.tolist(), strict=True))

    def _listed(self, what):
        if self.n > MAX_LISTED:
            raise ValueError(
                f"{what} given for at most {MAX_LISTED} spins, got {self.n}: 2^{self.n} numbers would take "
                f"{8 * 2**self.n >> 20} MB"
            )

    @cached_property
    def energies(self):
        """E of every state by number, float64 (2^n); up to 24 spins."""
        self._listed("energies of single states are")
        out = np.empty(1 << self.n)
        self._walk(_core.enumerate_energies, out, what="energies")
        return out * self._scale

    def states(self):
        """All states by number, int8 (2^n, n); up to 24 spins."""
        self._listed("single states are")
        return spins_of(np.arange(1 << self.n), self.n)

    # ---- at a temperature ----

    @cached_property
    def _sums(self):
        """Weighted sums for each T: list of dicts, see csrc/energy/enumerate.h."""
        return [self._sums_at(T) for T in self.T]

    def _sums_at(self, T):
        ground = float(self._extent[:, 0].min())
        sums = np.zeros((self._plan["parts"], self._plan["sums"]))
        self._walk(_core.enumerate_weights, ground, self._scale / T, sums, what=f"T = {T:g}")
        low, k = self._plan["low"], self.n - self._plan["low"]
        total = sums.sum(0)
        sizes = [(k + 1) << low, k * low, k * k, k, 2]
        marginal, mixed, before, first, moments = np.split(total, np.cumsum(sizes)[:-1])
        return {
            "marginal": marginal.reshape(k + 1, 1 << low),
            "mixed": mixed.reshape(k, low),
            "before": before.reshape(k, k),
            "first": first,
            "moments": moments,
            "Z": float(marginal.sum()),  # over the walked states, with the ground state's weight 1
        }

    def _over_levels(self):
        """(weights relative to the ground level (k, levels), energies above it) for counted levels."""
        levels, counts = self._levels
        above = levels - levels[0]
        return counts * np.exp(-above / self.T[:, None]), above

    @cached_property
    def _thermal(self):
        """ln Z, mean and variance of the energy, each (k,)."""
        if self._counts is not None:
            weight, above = self._over_levels()
            z = weight.sum(1)
            mean = (weight * above).sum(1) / z
            variance = (weight * (above - mean[:, None]) ** 2).sum(1) / z
        else:
            z = np.array([s["Z"] for s in self._sums])
            mean, square = np.array([s["moments"] for s in self._sums]).T / z
            variance = np.maximum(square - mean**2, 0) * self._scale**2
            mean = mean * self._scale
            z = z * (2 if self._plan["mirrored"] else 1)
        return np.log(z) - self.ground_energy / self.T, mean + self.ground_energy, variance

    @property
    def lnZ(self):
        """ln of the sum of exp(-E / T) over all states."""
        return self._out(self._thermal[0])

    @property
    def free_energy(self):
        """-T ln Z."""
        return self._out(-self.T * self._thermal[0])

    @property
    def mean_energy(self):
        """<E>, of the whole model."""
        return self._out(self._thermal[1])

    @property
    def energy_variance(self):
        """<E^2> - <E>^2."""
        return self._out(self._thermal[2])

    @property
    def specific_heat(self):
        """d<E>/dT = (<E^2> - <E>^2) / T^2, of the whole model."""
        return self._out(self._thermal[2] / self.T**2)

    @property
    def entropy(self):
        """ln Z + <E> / T."""
        return self._out(self._thermal[0] + self._thermal[1] / self.T)

    @cached_property
    def _spins(self):
        pairs = [self._spins_at(sums) for sums in self._sums]
        return np.array([mean for mean, _ in pairs]), np.array([corr for _, corr in pairs])

    def _spins_at(self, sums):
        low = self._plan["low"]
        marginal = sums["marginal"].sum(0)
        block = spins_of(np.arange(1 << low), low).astype(float)
        inside = np.einsum("c,ci,cj->ij", marginal, block, block)
        mean = np.concatenate([sums["first"], marginal @ block]) / sums["Z"]
        if self._plan["mirrored"]:
            mean = np.zeros(self.n)
        corr = np.block([[sums["before"], sums["mixed"]], [sums["mixed"].T, inside]]) / sums["Z"]
        np.fill_diagonal(corr, 1.0)
        return mean, corr

    @property
    def mean_spins(self):
        """<s_i>, float64 (n)."""
        return self._out(self._spins[0])

    @property
    def correlations(self):
        """<s_i s_j>, float64 (n, n); not connected: the means are not taken off."""
        return self._out(self._spins[1])

    @cached_property
    def _law(self):
        low, k = self._plan["low"], self.n - self._plan["low"]
        ups = (spins_of(np.arange(1 << low), low) > 0).sum(1)
        law = np.zeros((len(self.T), self.n + 1))
        for row, sums in zip(law, self._sums, strict=True):
            for before in range(k + 1):
                row[before : before + low + 1] += np.bincount(ups, sums["marginal"][before], low + 1)
        if self._plan["mirrored"]:
            law += law[:, ::-1]
        return law / law.sum(1, keepdims=True)

    @property
    def magnetization_law(self):
        """P(m), float64 (n + 1): of m = -1, -1 + 2/n, ..., 1, where m is the mean spin."""
        return self._out(self._law)

    def _moment(self, power):
        m = np.abs(np.linspace(-1, 1, self.n + 1)) if power != 1 else np.linspace(-1, 1, self.n + 1)
        return (self._law * m ** abs(power)).sum(1)

    @property
    def mean_magnetization(self):
        """<m>, where m is the mean spin."""
        return self._out(self._moment(1))

    @property
    def mean_abs_magnetization(self):
        """<|m|>."""
        return self._out(self._moment(-1))

    @property
    def binder(self):
        """Binder's 1 - <m^4> / (3 <m^2>^2)."""
        return self._out(1 - self._moment(4) / (3 * self._moment(2) ** 2))

    @property
    def probabilities(self):
        """exp(-E / T) / Z of every state by number, float64 (2^n); up to 24 spins."""
        self._listed("probabilities are")
        lowest = self.energies.min()
        weights = np.array([np.exp(-(self.energies - lowest) / T) for T in self.T])
        return self._out(weights / weights.sum(1, keepdims=True))


def spins_of(numbers, n):
    """States by number: int8 (len(numbers), n)."""
    digits = np.asarray(numbers, np.int64)[:, None] >> np.arange(n - 1, -1, -1) & 1
    return (2 * digits - 1).astype(np.int8)
