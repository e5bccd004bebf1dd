"""The travelling salesman: problems, tours to compare with, and Hopfield and Tank's network (1985)."""

import contextlib
import math
import sys

import numpy as np

from pyneuro import _core
from pyneuro._fit import arguments
from pyneuro.energy import tsplib
from pyneuro.energy.modern import numbers
from pyneuro.nn import _check

__all__ = ["TSP", "HopfieldTank", "Tours"]

# The ten cities of Hopfield and Tank's paper, in the unit square.
TEN = (
    (0.4000, 0.4439), (0.2439, 0.1463), (0.1707, 0.2293), (0.2293, 0.7610), (0.5171, 0.9414),
    (0.8732, 0.6536), (0.6878, 0.5219), (0.8488, 0.3609), (0.6683, 0.2536), (0.6195, 0.2634),
)  # fmt: skip
WORK = 2e8  # multiply-adds of one call of the core: about a tenth of a second


class TSP:
    """A symmetric travelling salesman problem.

    coordinates: (n, 2) or None. distances: (n, n), symmetric, not negative; None: Euclidean ones. name: text.

    >>> from pyneuro import energy
    >>> cities = energy.TSP.ten_cities()
    >>> lengths, best = cities.all_tours()
    >>> len(lengths), round(float(lengths.min()), 6), round(float(lengths.mean()), 6), best.tolist()
    (181440, 2.690671, 4.765546, [0, 2, 1, 9, 8, 7, 6, 5, 4, 3])
    """

    def __init__(self, coordinates=None, distances=None, name="cities"):
        self.name = str(name)
        self.coordinates = None if coordinates is None else numbers("coordinates", coordinates, 2)[0]
        if distances is None:
            if coordinates is None:
                raise TypeError("TSP: give coordinates or distances")
            across = self.coordinates[:, None] - self.coordinates
            distances = np.sqrt((across**2).sum(axis=2))
        self.distances = numbers("distances", distances)[0]
        self.n = n = len(self.distances)
        if self.distances.shape != (n, n) or (self.distances != self.distances.T).any() or self.distances.min() < 0:
            raise ValueError(f"distances must be square, symmetric and not negative, got shape {self.distances.shape}")
        if n < 3 or (self.coordinates is not None and len(self.coordinates) != n):
            raise ValueError(f"a tour needs at least 3 cities, each with its coordinates, got distances of {n}")

    def __repr__(self):
        return f"TSP({self.name!r}, {self.n} cities)"

    @classmethod
    def ten_cities(cls):
        """The ten cities of Hopfield and Tank (1985).

        >>> from pyneuro import energy
        >>> energy.TSP.ten_cities()
        TSP('Hopfield and Tank 1985', 10 cities)
        """
        return cls(TEN, name="Hopfield and Tank 1985")

    @classmethod
    def read(cls, path):
        """The problem in a TSPLIB file (.tsp). Raises FileFormatError, a ValueError, with the line that is malformed;
        OSError when the file cannot be read."""
        name, places, distances = tsplib.read_problem(path)
        return cls(places, distances, name)

    def length(self, tour):
        """Length of a tour (n,), a float, or of many (R, n), float64 (R,): permutations of 0 .. n - 1.

        >>> from pyneuro import energy
        >>> energy.TSP([[0, 0], [3, 0], [0, 4]]).length([0, 1, 2])
        12.0
        """
        tours = np.atleast_2d(np.asarray(tour))
        if tours.dtype.kind not in "iu" or tours.ndim != 2 or not (np.sort(tours, axis=1) == np.arange(self.n)).all():
            raise ValueError(f"tour must visit each of the cities 0 to {self.n - 1} once, got shape {tours.shape}")
        found = self.distances[tours, np.roll(tours, -1, axis=1)].sum(axis=1)
        return float(found[0]) if np.ndim(tour) == 1 else found

    def all_tours(self):
        """(lengths of all (n - 1)! / 2 tours, the shortest tour) for at most 11 cities: float64 and int64."""
        if self.n > 11:
            raise ValueError(f"all_tours looks at (n - 1)! / 2 tours: at most 11 cities, {self.name} has {self.n}")
        lengths, best = np.empty(math.factorial(self.n - 1) // 2), np.empty(self.n, np.int32)
        _core.tour_all(self.distances, lengths, best)
        return lengths, best.astype(np.int64)

    def two_opt(self, starts=100, *, seed=None):
        """A good tour to compare with: the best of `starts` random ones, each improved by turning round pieces of it
        until nothing shortens it (Croes 1958). int64 (n,).

        >>> from pyneuro import energy
        >>> cities = energy.TSP.ten_cities()
        >>> round(cities.length(cities.two_opt(seed=0)), 6)
        2.690671
        """
        starts, seed = _check.size("two_opt", "starts", starts), arguments.seed("two_opt", seed)
        keys = _core.uniform((starts, self.n), 0.0, 1.0, seed, 0, "float64")
        tours = np.argsort(keys, axis=1).astype(np.int32)
        _core.tour_two_opt(self.distances, tours)
        return tours[self.length(tours).argmin()].astype(np.int64)


class HopfieldTank:
    """Graded neurons that look for a tour: V_xi says that city x stands at place i (Hopfield and Tank 1985).

    A, B: weights of one place for a city and one city for a place; C: of the number of active neurons, `goal`
    (None: 1.5 n, the paper's 15 for ten cities); D: of the length. u0: width of the response
    V = (1 + tanh(u / u0)) / 2. tau, dt: time constant and Euler's step. noise: how much the start is shaken, in u0.
    Distances whose largest is above sqrt(2) are divided by it, as the paper's cities lie in the unit square.

    With the paper's weights, the defaults, some 15 of 100 starts end in a tour of the ten cities (as Wilson and Pawley
    found in 1988), and none of more cities. A goal just above n and a smaller D, such as goal=n + 2 and D=200, end in
    a tour nearly always, up to at least 29 cities, and in a longer one: no weights have both.

    >>> from pyneuro import energy
    >>> found = energy.HopfieldTank().solve(energy.TSP.ten_cities(), runs=20, seed=0)
    >>> found.valid.shape, bool((found.lengths[found.valid] < 4.77).all())
    ((20,), True)
    """

    def __init__(self, A=500.0, B=500.0, C=200.0, D=500.0, goal=None, u0=0.02, tau=1.0, dt=2e-6, noise=0.1):
        given = {"A": A, "B": B, "C": C, "D": D, "u0": u0, "tau": tau, "dt": dt, "noise": noise}
        for name, value in given.items():
            setattr(self, name, _check.number("HopfieldTank", name, value, 0, 1e12))
        for name in ("u0", "tau", "dt"):
            if not getattr(self, name):
                raise ValueError(f"HopfieldTank: {name} must be above 0")
        self.goal = None if goal is None else _check.number("HopfieldTank", "goal", goal, 0, 1e12)
        self.result = None

    def solve(self, problem, runs=20, *, steps=5000, every=None, seed=None, verbose=0):
        """Runs the network `runs` times from starts that noise tells apart, `steps` Euler steps each.

        every: steps between two records of the energy; None: about 200 records. Returns Tours, which is also `result`;
        after Ctrl-C it stands there as far as it came.
        """
        if not isinstance(problem, TSP):
            raise TypeError(f"solve: problem must be a TSP, got {type(problem).__name__}")
        runs, steps = _check.size("solve", "runs", runs), _check.size("solve", "steps", steps, 0)
        every = max(1, steps // 200) if every is None else _check.size("solve", "every", every)
        seed, n = arguments.seed("solve", seed), problem.n
        largest = problem.distances.max()
        distance = problem.distances / largest if largest > 1.4143 else problem.distances
        goal = 1.5 * n if self.goal is None else self.goal
        parameters = (self.A, self.B, self.C, self.D, goal, self.u0, self.tau, self.dt, self.noise)
        v, taken = np.zeros((runs, n, n)), np.full(runs, -1, np.int64)
        energy = np.full((runs, steps // every + 1), np.nan)
        piece = max(2, int(WORK / ((steps + 1) * n * n * (n + 40))))
        try:
            with _bar(runs, piece, verbose) as bar:
                for first in range(0, runs, piece):
                    part = slice(first, min(first + piece, runs))
                    _core.tank_run(distance, v[part], energy[part], taken[part], parameters, seed, first, steps, every)
                    if bar is not None:
                        bar.update(part.stop - part.start)
        finally:
            done = taken >= 0
            self.result = Tours(problem, v[done], energy[done], taken[done], every, seed)
        return self.result


def _bar(runs, piece, verbose):
    if not verbose or runs <= piece:
        return contextlib.nullcontext()
    from tqdm import tqdm

    return tqdm(total=runs, unit="run", file=sys.stderr, mininterval=0.1)


class Tours:
    """What `HopfieldTank.solve` returns.

    activity: float64 (runs, n, n), V at the end. valid: bool (runs,), whether those above 1/2 are a tour.
    tours: int64 (runs, n), -1 where there is none. lengths: float64 (runs,), NaN there.
    best, best_length: the shortest, or None and NaN. energy: float64 (runs, records), every `every` steps. seed.

    >>> from pyneuro import energy
    >>> found = energy.HopfieldTank().solve(energy.TSP.ten_cities(), runs=4, seed=0)
    >>> print(found.table().splitlines()[0])
    cities                     runs  valid  shortest      mean   longest  compared
    """

    def __init__(self, problem, activity, energy, taken, every, seed):
        self.problem, self.activity, self.seed, self.every = problem, activity, seed, every
        self.energy = energy[:, : int(taken.max(initial=0)) // every + 1]
        on = activity > 0.5
        self.valid = (on.sum(axis=1) == 1).all(axis=1) & (on.sum(axis=2) == 1).all(axis=1)
        self.tours = np.where(self.valid[:, None], on.argmax(axis=1), -1)
        self.lengths = np.full(len(activity), np.nan)
        if self.valid.any():
            self.lengths[self.valid] = problem.length(self.tours[self.valid])
        place = int(np.nanargmin(self.lengths)) if self.valid.any() else None
        self.best = None if place is None else self.tours[place]
        self.best_length = math.nan if place is None else float(self.lengths[place])

    def __repr__(self):
        return f"Tours({int(self.valid.sum())} of {len(self.valid)} valid, best {self.best_length:g})"

    def table(self, *others, starts=100):
        """Text: a row for these tours and for each of the `others` (Tours), with the length that two_opt finds from
        `starts` starts beside them."""
        rows = [f"{'cities':<25}{'runs':>6}{'valid':>7}{'shortest':>10}{'mean':>10}{'longest':>10}{'compared':>10}"]
        for found in (self, *others):
            good, compared = found.lengths[found.valid], found.problem.two_opt(starts, seed=0)
            numbers = [good.min(), good.mean(), good.max()] if len(good) else [math.nan] * 3
            words = [f"{x:>10.6g}" for x in (*numbers, found.problem.length(compared))]
            rows.append(
                f"{found.problem.name[:24]:<25}{len(found.valid):>6}{int(found.valid.sum()):>7}{''.join(words)}"
            )
        return "\n".join(rows)
