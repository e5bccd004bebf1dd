"""What every energy model has: `state_dict`, `load_state_dict`, `save`, and a place in the files of `pn.load`."""

import json

import numpy as np

from pyneuro import _files

__all__ = ["EnergyModel", "build"]

# Every class that a file may name: a new model adds its name here.
MODELS = (
    "Ising",
    "Hopfield",
    "DenseMemory",
    "ModernHopfield",
    "BAM",
    "SequenceMemory",
    "GradedHopfield",
    "BoltzmannMachine",
    "RBM",
    "DBN",
)


class EnergyModel:
    """A model with an energy.

    A class has `_config()`, the arguments of its constructor as a dict for JSON, and `_arrays()`, the arrays that
    decide the model (and, when it learns, everything that decides how learning goes on) by name; `_fill(arrays)` takes
    arrays of the same names, types and shapes that it has checked, or raises StateError. `_empty(config, shapes)`
    makes a model to be filled.
    """

    def state_dict(self):
        """The arrays of the model by name: copies."""
        return {name: np.array(array) for name, array in self._arrays().items()}

    def load_state_dict(self, state):
        """Takes the arrays of `state` (dict of name -> array). Raises StateError, a ValueError, when names, types or
        shapes do not fit; the model is then unchanged."""
        from pyneuro.nn._state import StateError

        own, given = self._arrays(), {name: np.asarray(array) for name, array in dict(state).items()}
        for name in sorted({*own, *given}):
            if name not in given:
                raise StateError(f"{type(self).__name__}: the state has no entry {name!r}")
            if name not in own:
                raise StateError(f"{type(self).__name__}: the state has an entry {name!r} that the model has not")
            if own[name].shape != given[name].shape or own[name].dtype != given[name].dtype:
                raise StateError(
                    f"{type(self).__name__}: {name} is {own[name].dtype} {own[name].shape} here, and "
                    f"{given[name].dtype} {given[name].shape} in the state"
                )
        self._fill({name: np.array(array, order="C") for name, array in given.items()})
        return self

    def save(self, path):
        """Saves the model to `path` (a safetensors file, replaced in one step); `pn.load(path)` reads it."""
        arrays = self._arrays()
        config = {"class": type(self).__name__, "arguments": self._config()}
        _files.write_arrays(path, arrays, {"pyneuro": "1", "energy": json.dumps(config, sort_keys=True)})

    @classmethod
    def _empty(cls, config, shapes):
        """A model with these arguments, whose arrays have these shapes (dict of name -> (dtype, shape))."""
        return cls(**config)


def build(text, arrays):
    """The model in a file: `text` of its metadata and its arrays. Raises FileFormatError."""
    from pyneuro import energy

    try:
        described = json.loads(text)
        name, config = described["class"], described["arguments"]
        if name not in MODELS or not isinstance(config, dict):
            raise ValueError(f"{name!r:.80} is no energy model of pyneuro")
        model = getattr(energy, name)._empty(config, {key: (a.dtype, a.shape) for key, a in arrays.items()})
        return model.load_state_dict(arrays)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _files.FileFormatError(f"the energy model cannot be built: {error}") from None
