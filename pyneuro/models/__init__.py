"""Networks by name: `models.mlp(...)`, `models.softmax(...)`, or `models.get("mlp", ...)`.

>>> from pyneuro import models
>>> models.softmax(64, 10)
Sequential(
  (0): Linear(in_features=64, out_features=10, bias=True)
)
"""

from pyneuro.models.dense import mlp, softmax
from pyneuro.nn import _check

BY_NAME = {"mlp": mlp, "softmax": softmax}

__all__ = ["BY_NAME", "get", "mlp", "softmax"]


def get(name, *args, **kwargs):
    """The model called `name`, built with the other arguments. ValueError, with the nearest name, for another one.

    >>> get("softmax", 4, 3)
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
    )
    """
    return BY_NAME[_check.choice("models.get", "the name", name, tuple(BY_NAME))](*args, **kwargs)
