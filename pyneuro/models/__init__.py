"""Networks by name: `models.mlp(...)`, `models.lenet5(...)`, or `models.get("lenet5", ...)`.

>>> from pyneuro import models
>>> models.softmax(64, 10)
Sequential(
  (0): Linear(in_features=64, out_features=10, bias=True)
)

Convolutional ones take images (N, C, H, W) and return raw scores (N, classes), which the loss "cross_entropy" expects.
"""

from pyneuro.models.alexnet import alexnet
from pyneuro.models.dense import mlp, softmax
from pyneuro.models.lenet import lenet5, mnist_cnn
from pyneuro.models.neocognitron import CCells, Neocognitron, SCells
from pyneuro.models.resnet import (
    BasicBlock,
    plain20,
    plain32,
    plain44,
    plain56,
    resnet18,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
)
from pyneuro.models.unet import UNet, unet
from pyneuro.nn import _check

BY_NAME = {
    "alexnet": alexnet, "lenet5": lenet5, "mlp": mlp, "mnist_cnn": mnist_cnn, "neocognitron": Neocognitron,
    "plain20": plain20, "plain32": plain32, "plain44": plain44, "plain56": plain56, "resnet18": resnet18,
    "resnet20": resnet20, "resnet32": resnet32, "resnet44": resnet44, "resnet56": resnet56, "softmax": softmax,
    "unet": unet,
}  # fmt: skip

__all__ = [
    "BY_NAME", "BasicBlock", "CCells", "Neocognitron", "SCells", "UNet", "alexnet", "get", "lenet5", "mlp", "mnist_cnn",
    "plain20", "plain32", "plain44", "plain56", "resnet18", "resnet20", "resnet32", "resnet44", "resnet56", "softmax",
    "unet",
]  # fmt: skip


def get(name, *args, **kwargs):
    """The model called `name`, built with the other arguments. ValueError, with the nearest name, for another one.

    >>> get("softmax", 4, 3)
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
    )
    """
    return BY_NAME[_check.choice("models.get", "the name", name, tuple(BY_NAME))](*args, **kwargs)
