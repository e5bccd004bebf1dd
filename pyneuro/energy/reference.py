"""Formulas against which samplers are judged: the chain, the infinite square lattice, the finite torus.

Energies and magnetisations are per spin, temperatures in units of J (Boltzmann's constant is 1). All take one
temperature or an array of them.

>>> from pyneuro.energy import reference
>>> round(reference.critical_temperature(), 9), round(reference.onsager_energy(2.0), 8)
(2.269185314, -1.74556458)
"""

import numpy as np

__all__ = [
    "Chain",
    "critical_temperature",
    "kaufman_energy",
    "kaufman_lnz",
    "onsager_energy",
    "onsager_free_energy",
    "onsager_magnetization",
]


def _coupling(T, J):
    """K = J / T, checked."""
    T, J = np.asarray(T, float), float(J)
    if not np.all(np.isfinite(T) & (T > 0)):
        raise ValueError(f"T must be positive and finite, got {T!r:.60}")
    if not 0 < J < np.inf:
        raise ValueError(f"J must be positive and finite, got {J:g}")
    return J / T


def _plain(values):
    return float(values) if np.ndim(values) == 0 else values


# ---- the infinite square lattice ----


def critical_temperature(J=1.0):
    """T_c = 2 J / ln(1 + sqrt 2) of the square lattice (Kramers and Wannier 1941).

    >>> round(critical_temperature(), 9)
    2.269185314
    """
    _coupling(1.0, J)
    return 2 * float(J) / float(np.log1p(np.sqrt(2.0)))


def _elliptic_k(complement):
    """Complete elliptic integral of the first kind by the arithmetic-geometric mean; complement^2 = 1 - modulus^2."""
    a, b = np.ones_like(complement), complement
    for _ in range(40):
        a, b = (a + b) / 2, np.sqrt(a * b)
    return np.pi / (2 * a)


def onsager_energy(T, J=1.0):
    """Energy per spin of the infinite square lattice (Onsager 1944); -sqrt(2) J at T_c.

    >>> round(onsager_energy(2.5), 8)
    -1.1060792
    """
    K = _coupling(T, J)
    # with x = 2K, 1 / tanh and 2 / cosh stay finite where exp(x) does not
    x = np.minimum(2 * K, 350.0)
    excess = 2 * np.tanh(x) ** 2 - 1
    # the modulus is 2 sinh x / cosh^2 x, its complement |2 tanh^2 x - 1|: no cancellation near T_c
    complement = np.maximum(np.abs(excess), 1e-300)
    product = np.where(excess == 0, 0.0, excess * _elliptic_k(complement))
    return _plain(-float(J) / np.tanh(x) * (1 + 2 / np.pi * product))


def onsager_magnetization(T, J=1.0):
    """Spontaneous magnetisation per spin of the infinite square lattice (Onsager; Yang 1952): 0 from T_c on.

    >>> round(onsager_magnetization(2.0), 8), onsager_magnetization(2.3)
    (0.91131938, 0.0)
    """
    K = _coupling(T, J)
    x = np.minimum(2 * K, 150.0)
    return _plain(np.maximum(1 - np.sinh(x) ** -4.0, 0.0) ** 0.125)


def onsager_free_energy(T, J=1.0):
    """Free energy per spin of the infinite square lattice (Onsager 1944).

    >>> round(onsager_free_energy(2.0), 8)
    -2.05158563
    """
    K = np.atleast_1d(_coupling(T, J))
    x = np.minimum(2 * K, 150.0)
    modulus = 2 * np.sinh(x) / np.cosh(x) ** 2
    # the substitution sends the kink at T_c (angle pi / 2) to an end with all derivatives zero
    node, weight = np.polynomial.legendre.leggauss(100)
    u = (node + 1) / 2
    angle = np.pi / 2 * (1 - (1 - u) ** 3)
    jacobian = weight / 2 * np.pi / 2 * 3 * (1 - u) ** 2
    inside = np.log1p(np.sqrt(np.maximum(1 - (modulus[:, None] * np.sin(angle)) ** 2, 0)))
    log_cosh = 2 * K + np.log1p(np.exp(-4 * K)) - np.log(2)
    per_spin = 0.5 * np.log(2) + log_cosh + inside @ jacobian / np.pi
    return _plain((-per_spin * float(J) / K).reshape(np.shape(T)))


# ---- the finite torus ----


def _kaufman(K, rows, columns):
    """ln Z and d ln Z / dK of a rows x columns torus at one K."""
    if K > 150:  # all spins alike, up to exp(-8 K)
        return np.log(2) + 2.0 * rows * columns * K, 2.0 * rows * columns
    x = 2 * K
    index = np.arange(2 * columns)
    cosh_gamma = np.cosh(x) / np.tanh(x) - np.cos(np.pi * index / columns)
    gamma = np.arccosh(np.maximum(cosh_gamma, 1.0))
    gamma[0] = x + np.log(np.tanh(K))  # signed: negative above T_c
    slope = np.empty_like(gamma)
    slope[0] = 2 + 2 / np.sinh(x)
    slope[1:] = 2 * np.cosh(x) * (1 - np.sinh(x) ** -2.0) / np.sinh(gamma[1:])
    terms = [_product(gamma[1::2], slope[1::2], rows, +1), _product(gamma[1::2], slope[1::2], rows, -1)]
    terms += [_product(gamma[0::2], slope[0::2], rows, +1), _product(gamma[0::2], slope[0::2], rows, -1)]
    logs, values, slopes = (np.array(part) for part in zip(*terms, strict=True))
    top = logs.max()
    total = (values * np.exp(logs - top)).sum()
    change = (slopes * np.exp(logs - top)).sum()
    half = rows * columns / 2
    ln_z = -np.log(2) + half * np.log(2 * np.sinh(x)) + top + np.log(total)
    return ln_z, half * 2 / np.tanh(x) + change / total


def _product(gamma, slope, rows, sign):
    """Product of exp(rows g / 2) + sign exp(-rows g / 2) over g: (ln of a scale, value / scale, derivative / scale)."""
    half = rows / 2
    size = np.abs(gamma)
    small = np.exp(-rows * size)
    value = (1 + sign * small) * np.where((gamma < 0) & (sign < 0), -1.0, 1.0)
    change = half * slope * (1 - sign * small) * np.where((gamma < 0) & (sign > 0), -1.0, 1.0)
    product, derivative = 1.0, 0.0
    for v, c in zip(value.tolist(), change.tolist(), strict=True):
        product, derivative = product * v, derivative * v + product * c
    return half * size.sum(), product, derivative


def _sides(shape):
    try:
        rows, columns = (int(side) for side in shape)
    except (TypeError, ValueError):
        raise ValueError(f"shape must be (rows, columns), got {shape!r:.60}") from None
    if min(rows, columns) < 1:
        raise ValueError(f"shape must be at least (1, 1), got {shape!r:.60}")
    return rows, columns


def kaufman_lnz(shape, T, J=1.0):
    """ln Z of a periodic square lattice of `shape` = (rows, columns) (Kaufman 1949).

    >>> from pyneuro import energy
    >>> round(kaufman_lnz((4, 4), 2.0), 6), round(energy.Ising.lattice((4, 4)).exact(2.0).lnZ, 6)
    (17.105367, 17.105367)
    """
    K, (rows, columns) = _coupling(T, J), _sides(shape)
    return _plain(np.array([_kaufman(k, rows, columns)[0] for k in K.flat]).reshape(K.shape))


def kaufman_energy(shape, T, J=1.0):
    """Energy per spin of a periodic square lattice of `shape` = (rows, columns) (Kaufman 1949).

    >>> round(kaufman_energy((8, 8), 2.5), 8)
    -1.22232064
    """
    K, (rows, columns) = _coupling(T, J), _sides(shape)
    slopes = np.array([_kaufman(k, rows, columns)[1] for k in K.flat]).reshape(K.shape)
    return _plain(-float(J) * slopes / (rows * columns))


# ---- the chain ----


class Chain:
    """A chain of n spins with coupling J to the next and field h, at temperature T, by its transfer matrix
    (Ising 1925).

    periodic: a ring; else open ends. `lnZ`; `energy` and `magnetization` per spin (means over the spins);
    `correlation(r)` = <s_0 s_r>.

    >>> ring = Chain(4, T=1.0)
    >>> round(ring.lnZ, 6), round(4 * ring.energy, 6)
    (4.797714, -3.601651)
    """

    def __init__(self, n, T, J=1.0, h=0.0, periodic=True):
        if isinstance(n, bool) or n != int(n) or n < 1 or (periodic and n < 3):
            raise ValueError(f"a chain needs at least {3 if periodic else 1} spins, got {n!r:.40}")
        if not (np.ndim(T) == 0 and 0 < T < np.inf):
            raise ValueError(f"T must be one positive and finite number, got {T!r:.40}")
        if not (np.isfinite(J) and np.isfinite(h)):
            raise ValueError(f"J and h must be finite, got {J!r:.40} and {h!r:.40}")
        self.n, self.T, self.J, self.h, self.periodic = int(n), float(T), float(J), float(h), bool(periodic)
        s = np.array([1.0, -1.0])
        exponent = (self.J * np.outer(s, s) + self.h * np.add.outer(s, s) / 2) / self.T
        self._shift = exponent.max()
        value, vector = np.linalg.eigh(np.exp(exponent - self._shift))
        self._top = np.abs(value).max()
        self._value = value / self._top
        self._spin = vector.T @ np.diag(s) @ vector
        edge = self.h * s / (2 * self.T)
        self._edge_shift = edge.max()
        self._edge = vector.T @ np.exp(edge - self._edge_shift)

    def _mean(self, sites):
        """Z, up to a factor, with the spins of `sites` (ascending) as factors."""
        places = [0, *sites, self.n if self.periodic else self.n - 1]
        matrix = np.eye(2)
        for number, steps in enumerate(np.diff(places).tolist()):
            matrix = matrix * self._value**steps
            if number < len(sites):
                matrix = matrix @ self._spin
        return float(np.trace(matrix) if self.periodic else self._edge @ matrix @ self._edge)

    @property
    def lnZ(self):
        """ln of the sum of exp(-E / T) over all states."""
        steps = self.n if self.periodic else self.n - 1
        ends = 0.0 if self.periodic else 2 * self._edge_shift
        return float(np.log(self._mean([])) + steps * (np.log(self._top) + self._shift) + ends)

    @property
    def magnetization(self):
        """Mean of <s_i> over the spins."""
        sites = [0] if self.periodic else range(self.n)
        return sum(self._mean([i]) for i in sites) / len(sites) / self._mean([])

    @property
    def energy(self):
        """Energy per spin."""
        bonds = [0] if self.periodic else range(self.n - 1)
        pairs = sum(self._mean([i, i + 1]) for i in bonds) / self._mean([])
        count = self.n if self.periodic else 1
        return -self.J * pairs * count / self.n - self.h * self.magnetization

    def correlation(self, r):
        """<s_0 s_r>, 0 <= r < n."""
        if r != int(r) or not 0 <= r < self.n:
            raise ValueError(f"r must be 0 to {self.n - 1}, got {r!r:.40}")
        return self._mean([0, int(r)]) / self._mean([])
