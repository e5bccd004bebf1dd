"""Critical temperatures by the crossing of Binder's cumulants."""

from dataclasses import dataclass, field

import numpy as np

from pyneuro import _core
from pyneuro.energy._runs import check_common, optional, whole

__all__ = ["CriticalPoint", "find_tc"]

DRAWS = 400  # of the bootstrap
ROUNDS = 6  # how often the temperatures are moved to where the crossing is


@dataclass
class CriticalPoint:
    """A critical temperature.

    Attributes:
        T, error: where the cumulants cross, and one standard deviation of it.
        sizes: the two sides L.
        temperatures: float64 (points,); binder: U = 1 - <m^4> / (3 <m^2>^2), float64 (2, points).
        seed: that gives the same bits again.

    >>> from pyneuro import energy
    >>> print(energy.CriticalPoint(2.2692, 0.0006, (16, 32), None, None, 0))
    T_c = 2.2692 +- 0.0006
    """

    T: float
    error: float
    sizes: tuple
    temperatures: np.ndarray = field(repr=False)
    binder: np.ndarray = field(repr=False)
    seed: int

    def __str__(self):
        return f"T_c = {self.T:.4f} +- {self.error:.1g}"


def square(side):
    """The square lattice of side L, J = 1, periodic."""
    from pyneuro.energy.ising import Ising

    return Ising.lattice((side, side))


def find_tc(lattice=None, sizes=(16, 32), T=None, sweeps=None, replicas=None, method="wolff", seed=None):
    """The critical temperature of a ferromagnet, from where Binder's cumulants of two sizes cross; a `CriticalPoint`.

    Below T_c the cumulant of the larger lattice is the larger one, above T_c the smaller one; at T_c both are
    nearly the same for all sizes. A coarse look finds the crossing, a fine one around it is fitted by parabolas. The
    error is that of the bootstrap over replicas; how the crossing moves with size is not part of it.

    Args:
        lattice: gives the model of a side L; None: the square lattice, whose T_c is 2 / ln(1 + sqrt 2) = 2.26919.
        sizes: two sides.
        T: (low, high) that hold T_c; None: 0.4 to 1.05 times the largest local field (mean-field theory's T_c).
        sweeps: of each replica in the fine look, default 1500; replicas: at each temperature, default 12.
        method: as in `Ising.sample`.
        seed: None draws a child of `pn.manual_seed`'s.

    Raises ValueError when the cumulants do not cross. Source: Binder 1981.

    >>> from pyneuro import energy
    >>> found = energy.find_tc(sizes=(8, 16), T=(2.0, 2.6), sweeps=800, seed=1)
    >>> abs(found.T - 2.269) < 0.05
    True
    """
    _, _, seed = check_common("metropolis", None, None, seed)
    seed = _core.seed_child() if seed is None else seed
    sweeps, replicas = optional("sweeps", sweeps, 20, 1500), optional("replicas", replicas, 2, 12)
    sizes = tuple(sorted(whole("sizes", side, 2) for side in sizes))
    if len(sizes) != 2 or sizes[0] == sizes[1]:
        raise ValueError(f"sizes must be two different sides, got {sizes}")
    models = [(lattice or square)(side) for side in sizes]
    reach = models[0]._couplings.scale()[0]
    low, high = sorted(float(t) for t in ((0.4 * reach, 1.05 * reach) if T is None else T))
    if not 0 < low < high < np.inf:
        raise ValueError(f"T must be two temperatures greater than 0, got {T!r}")
    look = _Look(models, method, seed)
    centre = look.split(np.geomspace(low, high, 16), max(sweeps // 5, 100))
    width = 0.7 * centre / sizes[1]
    for _ in range(ROUNDS):
        temperatures = np.linspace(centre - width, centre + width, 6)
        moments = look.moments(temperatures, sweeps, replicas)
        before, centre = centre, _crossing(temperatures, moments.mean(axis=2))
        if abs(centre - before) < width:
            crossings, slopes = _bootstrap(temperatures, moments, seed)
            if slopes.mean() + 3 * slopes.std() > 0:  # noise crosses too
                break
            error = float(np.ptp(np.percentile(crossings, [15.87, 84.13])) / 2)
            return CriticalPoint(centre, error, sizes, temperatures, _binder(moments.mean(axis=2)), seed)
        centre = float(np.clip(centre, before - 2 * width, before + 2 * width))
        if not low <= centre <= high:
            break
    raise ValueError(f"the Binder cumulants of sizes {sizes} do not cross between T = {low:g} and {high:g}")


class _Look:
    """Moments of the magnetisation of both models; every call has a seed of its own."""

    def __init__(self, models, method, seed):
        self.models, self.method, self.seed, self.calls = models, method, seed, 0

    def moments(self, temperatures, sweeps, replicas):
        """<m^2> and <m^4> of each replica: (2 moments, 2 sizes, replicas, points)."""
        moments = np.empty((2, 2, replicas, len(temperatures)))
        for k, model in enumerate(self.models):
            self.calls += 1
            seed = (self.seed + self.calls * 0x9E3779B97F4A7C15) % 2**64
            T = np.tile(temperatures, replicas)
            r = model.sample(T, sweeps, replicas=len(T), method=self.method, seed=seed, verbose=0)
            squares = np.square(r.magnetization)
            moments[0, k] = squares.mean(axis=1).reshape(replicas, -1)
            moments[1, k] = np.square(squares).mean(axis=1).reshape(replicas, -1)
        return moments

    def split(self, temperatures, sweeps):
        """The temperature that best parts those where the larger size has the larger cumulant from the others."""
        small, large = _binder(self.moments(temperatures, sweeps, 6).mean(axis=2))
        sums = np.concatenate([[0.0], np.cumsum(large - small)])
        at = int(np.clip(np.argmax(2 * sums), 1, len(temperatures) - 1))
        return float(np.sqrt(temperatures[at - 1] * temperatures[at]))


def _binder(moments):
    """(2 moments, sizes, points) -> U (sizes, points)."""
    return 1 - moments[1] / (3 * np.square(moments[0]))


def _difference(temperatures, moments):
    """The parabola through U_large - U_small, with -1 and 1 at the ends of the temperatures: its coefficients."""
    small, large = _binder(moments)
    return np.polyfit((temperatures - temperatures.mean()) * 2 / np.ptp(temperatures), large - small, 2)


def _crossing(temperatures, moments):
    """Where the parabola is 0, next to the middle; else by its slope there."""
    c = _difference(temperatures, moments)
    roots = np.roots(c)
    roots = roots[np.abs(roots.imag) < 1e-9].real
    best = roots[np.argmin(np.abs(roots))] if roots.size else -c[2] / c[1]
    return float(temperatures.mean() + np.ptp(temperatures) / 2 * best)


def _bootstrap(temperatures, moments, seed):
    """Crossings and slopes of the difference when replicas are drawn with replacement, each temperature its own."""
    rng = np.random.default_rng(seed)
    replicas, points = moments.shape[2:]
    crossings, slopes = np.empty(DRAWS), np.empty(DRAWS)
    for draw in range(DRAWS):
        chosen = rng.integers(replicas, size=(1, 2, replicas, points))
        means = np.take_along_axis(moments, chosen, axis=2).mean(axis=2)
        crossings[draw], slopes[draw] = _crossing(temperatures, means), _difference(temperatures, means)[1]
    return crossings, slopes
