"""Energy models: Ising, Hopfield, Boltzmann machines."""

from pyneuro.energy.ising import Ising

__all__ = ["Ising"]
