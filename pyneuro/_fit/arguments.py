"""Arguments of `fit` that need more than a glance: switches, seeds, verbosity, paths."""

import os

import numpy as np

from pyneuro import _core
from pyneuro.callbacks import check_folder
from pyneuro.nn import _check

SEEDS = 1 << 64


def flag(name, argument, value):
    """`value` as a bool. TypeError for anything but True, False, 0 and 1: the text "no" would count as yes."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name}: {argument} must be True or False, got {value!r:.80}")


def seed(name, value):
    """`value` as a seed, 0 to 2**64 - 1; None draws a fresh one. TypeError or ValueError otherwise."""
    if value is None:
        return int(_core.seed_child())
    n = _check.size(name, "seed", value, 0)
    if n >= SEEDS:
        raise ValueError(f"{name}: seed must be below 2**64, got {n}")
    return n


def verbosity(value):
    """0, 1 or 2; "auto" is Keras's name of 1."""
    if isinstance(value, str) and value == "auto":
        return 1
    if isinstance(value, (bool, int)) and value in (0, 1, 2):
        return int(value)
    raise ValueError(f"fit: verbose must be 0, 1 or 2, got {value!r:.80}")


def path(checkpoint):
    """Where checkpoints go. A wrong path is found before the training, not after its first epoch."""
    if checkpoint is None:
        return None
    try:
        found = os.fspath(checkpoint)
    except TypeError:
        raise TypeError(f"fit: checkpoint must be a path, got {checkpoint!r:.80}") from None
    check_folder("fit: checkpoint", found)
    return found
