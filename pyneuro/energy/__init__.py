"""Energy models: Ising, Hopfield, Boltzmann machines."""

from pyneuro.energy import reference
from pyneuro.energy._partition import AIS, Moments
from pyneuro.energy._recall import Recall
from pyneuro.energy.associative import BAM, DenseMemory, Pair, SequenceMemory
from pyneuro.energy.boltzmann import BoltzmannMachine
from pyneuro.energy.critical import CriticalPoint, find_tc
from pyneuro.energy.dbn import DBN
from pyneuro.energy.encoders import Encoders, encoders
from pyneuro.energy.exact import Exact
from pyneuro.energy.graded import GradedHopfield, Path
from pyneuro.energy.hopfield import Hopfield
from pyneuro.energy.ising import Ising
from pyneuro.energy.maxcut import MaxCut
from pyneuro.energy.memory import Attractors, Capacity, capacity, mean_field_overlap
from pyneuro.energy.modern import ModernHopfield, Retrieval
from pyneuro.energy.patterns import flipped, random_patterns
from pyneuro.energy.rbm import RBM
from pyneuro.energy.results import Annealing, Estimate, Population, Samples, Tempering, Work
from pyneuro.energy.schedules import Geometric, Linear, Logarithmic
from pyneuro.energy.statistics import autocorrelation_time, binned_error
from pyneuro.energy.tours import TSP, HopfieldTank, Tours
from pyneuro.energy.transition import Transition

__all__ = [
    "AIS",
    "BAM",
    "DBN",
    "RBM",
    "TSP",
    "Annealing",
    "Attractors",
    "BoltzmannMachine",
    "Capacity",
    "CriticalPoint",
    "DenseMemory",
    "Encoders",
    "Estimate",
    "Exact",
    "Geometric",
    "GradedHopfield",
    "Hopfield",
    "HopfieldTank",
    "Ising",
    "Linear",
    "Logarithmic",
    "MaxCut",
    "ModernHopfield",
    "Moments",
    "Pair",
    "Path",
    "Population",
    "Recall",
    "Retrieval",
    "Samples",
    "SequenceMemory",
    "Tempering",
    "Tours",
    "Transition",
    "Work",
    "autocorrelation_time",
    "binned_error",
    "capacity",
    "encoders",
    "find_tc",
    "flipped",
    "mean_field_overlap",
    "random_patterns",
    "reference",
]
