"""Optimisers by PyTorch's names and defaults, and learning-rate schedules.

Bound to parameters for hand-written loops, `optim.SGD(net.parameters(), lr=0.1)`, or unbound for `fit`,
`optim.SGD(lr=0.1)`: the first fit binds it, later ones go on with its state. The arithmetic is in C, one line a rule in
`csrc/kernels/update.def`.

>>> from pyneuro import nn, optim
>>> net = nn.Linear(2, 1)
>>> opt = optim.Adam(net.parameters(), lr=1e-2)
>>> net([[1.0, 2.0]]).sum().backward()
>>> opt.step()
>>> opt.zero_grad()
"""

from pyneuro.nn import _check
from pyneuro.optim import lr_scheduler
from pyneuro.optim._base import Optimizer
from pyneuro.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from pyneuro.optim.rules import GD, SGD, Adagrad, Adam, AdamW, Momentum, RMSprop

__all__ = [
    "GD",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "Momentum",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "RMSprop",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "get",
    "lr_scheduler",
]

BY_NAME = {cls.__name__.lower(): cls for cls in (GD, SGD, Momentum, Adagrad, RMSprop, Adam, AdamW)}


def get(optimizer):
    """The optimiser for `optimizer`: a name such as "adam" (any case), an Optimizer class, or an optimiser itself.

    Raises ValueError with the nearest name for an unknown name, TypeError for anything else.

    >>> get("sgd")
    SGD(lr=0.001)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        return BY_NAME[_check.choice("optimizer", "its name", optimizer.lower(), tuple(BY_NAME))]()
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer()
    raise TypeError(f"optimizer must be a name or an optimiser such as optim.SGD(lr=0.1), got {optimizer!r:.80}")
