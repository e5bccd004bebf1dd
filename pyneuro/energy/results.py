"""What sampling and annealing give back."""

from dataclasses import dataclass, field, fields

import numpy as np

from pyneuro.energy.statistics import autocorrelation_time, binned_error

__all__ = ["Annealing", "Estimate", "Population", "Samples", "Tempering", "Work"]


@dataclass(frozen=True)
class Work:
    """What a run cost: `proposals` (of clusters: their spins; of "rejection_free": those of the single-spin
    run that it stands for), `acceptances` (spins flipped), `seconds`.

    >>> from pyneuro import energy
    >>> work = energy.Ising.lattice((4, 4)).sample(T=2.0, sweeps=10, burn_in=0, seed=0).work
    >>> work.proposals
    160
    """

    proposals: int
    acceptances: int
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """A mean with its error (one standard deviation) and the autocorrelation time in records.

    >>> from pyneuro import energy
    >>> print(energy.Estimate(1.25, 0.01, 3.0))
    1.25 +- 0.01
    """

    mean: float
    error: float
    tau: float

    def __str__(self):
        return f"{self.mean:.6g} +- {self.error:.2g}"


@dataclass
class Samples:
    """Result of `sample`: records, the last states, and what they cost.

    Attributes:
        energy, magnetization: E(s) and mean spin, float64 (replicas, records).
        spins: last states, int8 (replicas, n).
        temperature: T of each row, float64 (replicas,).
        sweeps: sweeps that are done, the burn-in included; `complete` is False after an interruption.
        work: proposals, acceptances, seconds.
        seed, engine, method, rule, order: how it was made.

    >>> from pyneuro import energy
    >>> r = energy.Ising.lattice((8, 8)).sample(T=2.5, sweeps=200, burn_in=100, replicas=4, seed=0)
    >>> r.energy.shape, r.spins.shape
    ((4, 200), (4, 64))
    >>> r.estimate("energy").error < 10
    True
    """

    energy: np.ndarray
    magnetization: np.ndarray
    spins: np.ndarray
    temperature: np.ndarray
    sweeps: int
    complete: bool
    work: Work
    seed: int
    engine: str
    method: str
    rule: str
    order: str | None
    streams: np.ndarray = field(repr=False, default=None)
    extra: dict = field(repr=False, default_factory=dict)

    def estimate(self, of="energy"):
        """Mean, error and autocorrelation time (an `Estimate`) of "energy", "magnetization", "abs_magnetization",
        or of any array (replicas, records)."""
        records = self._records(of)
        tau = autocorrelation_time(records)
        return Estimate(float(records.mean()), self._error(records, tau), tau)

    def autocorrelation_time(self, of="energy"):
        """Integrated autocorrelation time in records: see `energy.autocorrelation_time`."""
        return autocorrelation_time(self._records(of))

    def binned_error(self, of="energy", bins=32):
        """Error of the mean from bins: see `energy.binned_error`."""
        return binned_error(self._records(of), bins)

    def _records(self, of):
        if not isinstance(of, str):
            return np.atleast_2d(np.asarray(of, float))
        known = {"energy": self.energy, "magnetization": self.magnetization}
        if of == "abs_magnetization":
            return np.abs(self.magnetization)
        if of not in known:
            raise ValueError(f"of must be 'energy', 'magnetization', 'abs_magnetization' or an array, got {of!r}")
        return known[of]

    @staticmethod
    def _error(records, tau):
        """The larger of two: by the autocorrelation time, and by bins, whose number leaves them many tau long."""
        if records.shape[1] < 4:
            return binned_error(records, 1)
        by_tau = records.std() * np.sqrt(2 * tau / records.size)
        bins = int(np.clip(records.shape[1] / (20 * tau), 1, 64))
        binned = binned_error(records, bins)
        return float(np.nanmax([by_tau, binned]))


@dataclass
class Tempering(Samples):
    """Result of `sample(method="tempering")`: rows of `energy`, `magnetization` and `spins` go by temperature, first
    all chains at the lowest, and `temperature` names each row's.

    Attributes:
        ladder: temperatures, float64 (rungs,), ascending.

    >>> from pyneuro import energy
    >>> model = energy.Ising.lattice((8, 8))
    >>> r = model.sample(T=(2.0, 3.0, 4), sweeps=200, replicas=2, method="tempering", seed=0)
    >>> r.energy.shape, r.at(0).energy.shape, len(r.swap_rates)
    ((8, 200), (2, 200), 3)
    """

    ladder: np.ndarray = None

    @property
    def swap_rates(self):
        """Accepted swaps over tried ones between neighbours on the ladder, float64 (rungs - 1,)."""
        return self.extra["swaps"] / np.maximum(self.extra["attempts"], 1)

    @property
    def round_trips(self):
        """How often a replica has gone from the lowest temperature to the highest and back, over all replicas."""
        return int(self.extra["trips"].sum())

    def at(self, rung):
        """The rows of one temperature, as `Samples`."""
        rows = np.flatnonzero(self.temperature == self.ladder[rung])
        values = {f.name: getattr(self, f.name) for f in fields(Samples) if f.name not in ("streams", "extra")}
        for name in ("energy", "magnetization", "spins", "temperature"):
            values[name] = values[name][rows]
        return Samples(**values)


@dataclass
class Population(Samples):
    """Result of `sample(method="population")`: one record of all replicas at each temperature.

    Attributes:
        ladder: temperatures, float64 (steps,), descending; record k is taken at ladder[k].
        log_z: estimate of ln Z at each, float64 (steps,); `free_energy` is -T ln Z.
        families: how many of the first replicas have descendants at each, int64 (steps,).
        crowding: mean square family size, float64 (steps,): replicas / crowding families weigh as independent ones.
        family: the founder of each replica, int64 (replicas,).

    >>> from pyneuro import energy
    >>> model = energy.Ising.lattice((4, 4))
    >>> r = model.sample(T=(1.0, 10.0, 20), replicas=500, method="population", seed=0)
    >>> r.energy.shape, bool(abs(r.free_energy[-1] + 32.7) < 0.2)
    ((500, 20), True)
    """

    ladder: np.ndarray = None
    log_z: np.ndarray = None
    families: np.ndarray = None
    crowding: np.ndarray = None
    family: np.ndarray = field(repr=False, default=None)

    @property
    def free_energy(self):
        return -self.ladder * self.log_z


@dataclass
class Annealing:
    """Result of `anneal`: the last states of all reads and their energies.

    Attributes:
        spins: last states, int8 (reads, n); `energies`: their E(s), float64 (reads,).
        best, best_energy: the state of lowest energy, int8 (n,), and its E(s).
        energy, magnetization: records, float64 (reads, records); no records unless asked for.
        temperatures: T of every sweep, float64 (sweeps,).
        sweeps: sweeps that are done; `complete` is False after an interruption.
        work, seed, engine, rule, order: as in `Samples`.

    >>> from pyneuro import energy
    >>> a = energy.Ising.lattice((6, 6)).anneal(energy.Geometric(5, 0.2), sweeps=200, reads=8, seed=0)
    >>> a.best_energy, a.spins.shape
    (-72.0, (8, 36))
    """

    spins: np.ndarray
    energies: np.ndarray
    energy: np.ndarray
    magnetization: np.ndarray
    temperatures: np.ndarray = field(repr=False)
    sweeps: int
    complete: bool
    work: Work
    seed: int
    engine: str
    rule: str
    order: str | None
    streams: np.ndarray = field(repr=False, default=None)

    @property
    def best(self):
        return self.spins[int(np.argmin(self.energies))]

    @property
    def best_energy(self):
        return float(self.energies.min())
