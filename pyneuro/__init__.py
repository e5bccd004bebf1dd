"""Neural networks for the lecture hall: a pure C core, every value visible, every demo live.

>>> import pyneuro as pn
>>> w = pn.tensor(2.0, requires_grad=True)
>>> y = (w * -1.0 + 3.0).sigmoid()
>>> y.backward()
>>> f"{y.item():.4f}", f"{w.grad.item():.4f}"
('0.7311', '-0.1966')

Heavy parts (nn, optim, datasets, ...) are imported when they are first used.
"""

import importlib

from pyneuro import _environment
from pyneuro._core import Tensor, from_dlpack, get_num_threads, manual_seed, set_num_threads
from pyneuro._create import *  # noqa: F403  one by one, because type checkers do not follow a composed __all__
from pyneuro._functions import *  # noqa: F403
from pyneuro._modes import *  # noqa: F403
from pyneuro._reductions import *  # noqa: F403
from pyneuro._shapes import *  # noqa: F403
from pyneuro._tensor import __all__ as _tensor_names

__version__ = "0.1.0"
_environment.check()

float32, float64, int64 = "float32", "float64", "int64"

# name -> module that defines it; a module of the same name stands for itself (draw, gradcheck, source can be called).
_LAZY = {
    "augment": "pyneuro.augment",
    "autograd": "pyneuro.autograd",
    "callbacks": "pyneuro.callbacks",
    "checkpoint": "pyneuro.checkpoint",
    "datasets": "pyneuro.datasets",
    "energy": "pyneuro.energy",
    "io": "pyneuro.io",
    "models": "pyneuro.models",
    "nn": "pyneuro.nn",
    "optim": "pyneuro.optim",
    "stop": "pyneuro.stop",
    "train": "pyneuro.train",
    "Function": "pyneuro.autograd",
    "batches": "pyneuro.data",
    "cpu": "pyneuro._versions",
    "draw": "pyneuro.draw",
    "filter2d": "pyneuro.nn._convolve",
    "gradcheck": "pyneuro.gradcheck",
    "inspect": "pyneuro.inspect",
    "load": "pyneuro.io",
    "save": "pyneuro.io",
    "show_versions": "pyneuro._versions",
    "source": "pyneuro.source",
}


def __getattr__(name):
    path = _LAZY.get(name)
    if path is None:
        raise AttributeError(f"module 'pyneuro' has no attribute {name!r}")
    module = importlib.import_module(path)
    value = module if path.rpartition(".")[2] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(_LAZY))


__all__ = [
    "Tensor",
    "float32",
    "float64",
    "from_dlpack",
    "get_num_threads",
    "int64",
    "manual_seed",
    "set_num_threads",
    *_tensor_names,
    *_LAZY,
]
