"""The Ising model: spins -1 and +1 with couplings M and fields h, E(s) = -1/2 s'Ms - h's (lecture 001; Ising 1925)."""

import numpy as np

from pyneuro import _core
from pyneuro.energy._model import EnergyModel
from pyneuro.energy._sampling import Sampling

__all__ = ["Ising"]


class Ising(Sampling, EnergyModel):
    """Spins with symmetric couplings `M` (n, n), zero diagonal, and fields `h` (n,) or None: E(s) = -1/2 s'Ms - h's.

    >>> from pyneuro import energy
    >>> model = energy.Ising([[0, 1], [1, 0]])
    >>> model.energy([[1, 1], [1, -1]]).tolist()
    [-1.0, 1.0]
    """

    def __init__(self, M, h=None):
        M = np.asarray(M, float)
        rows, to = np.nonzero(M)
        start = np.zeros(len(M) + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=len(M)), out=start[1:])
        field = None if h is None else np.array(h, float, order="C")
        self._couplings = _core.couplings_rows(start, to.astype(np.int32), M[rows, to], field)

    @property
    def n(self):
        """Number of spins."""
        return self._couplings.n

    @classmethod
    def lattice(cls, shape, J=1.0, periodic=True):
        """A ring, square or cubic lattice of that shape, every bond of strength J."""
        model = cls.__new__(cls)
        model._couplings = _core.couplings_lattice(tuple(shape), (bool(periodic),) * len(shape), float(J), None, None)
        return model

    def energy(self, spins):
        """E(s) of one state (n,), a float, or of many (R, n), float64 (R,)."""
        spins = np.asarray(spins)
        energies = self._couplings.energy(np.array(np.atleast_2d(spins), np.int8, order="C"))
        return float(energies[0]) if spins.ndim == 1 else energies
