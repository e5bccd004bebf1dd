"""Energy models: Ising, Hopfield, Boltzmann machines."""

from pyneuro.energy._recall import Recall
from pyneuro.energy.hopfield import Hopfield
from pyneuro.energy.ising import Ising

__all__ = ["Hopfield", "Ising", "Recall"]
