"""Neural-network layers, by PyTorch's names: modules, containers, activations, losses, initial values.

>>> from pyneuro import nn
>>> net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10), seed=0)
>>> sum(p.numel() for p in net.parameters())
101770
"""

from pyneuro.nn import functional, init
from pyneuro.nn._state import StateError
from pyneuro.nn.activations import (
    ELU,
    GELU,
    SELU,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Step,
    Tanh,
)  # fmt: skip
from pyneuro.nn.batch_norm import BatchNorm1d, BatchNorm2d
from pyneuro.nn.containers import ModuleDict, ModuleList, ParameterList, Sequential
from pyneuro.nn.convolution import Conv1d, Conv2d, ConvTranspose2d
from pyneuro.nn.layers import Dense, Dropout, Embedding, Flatten, Identity, Linear, Normalize, Rescaling
from pyneuro.nn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
    ZeroOneLoss,
)  # fmt: skip
from pyneuro.nn.metric import (
    ContrastiveLoss,
    CosineEmbeddingLoss,
    CosineSimilarity,
    PairwiseDistance,
    TripletMarginLoss,
)
from pyneuro.nn.module import Module, Parameter
from pyneuro.nn.normalization import GroupNorm, InstanceNorm1d, InstanceNorm2d, LayerNorm
from pyneuro.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    Dropout2d,
    MaxPool1d,
    MaxPool2d,
    Unflatten,
)  # fmt: skip
from pyneuro.nn.resizing import (
    CircularPad1d,
    CircularPad2d,
    ConstantPad1d,
    ConstantPad2d,
    ReflectionPad1d,
    ReflectionPad2d,
    ReplicationPad1d,
    ReplicationPad2d,
    Upsample,
    ZeroPad1d,
    ZeroPad2d,
)  # fmt: skip

Swish = SiLU

__all__ = [
    "ELU", "GELU", "SELU", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AvgPool1d", "AvgPool2d", "BCELoss", "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d", "CircularPad1d",
    "CircularPad2d", "ConstantPad1d", "ConstantPad2d", "ContrastiveLoss", "Conv1d", "Conv2d", "ConvTranspose2d",
    "CosineEmbeddingLoss", "CosineSimilarity", "CrossEntropyLoss", "Dense", "Dropout", "Dropout2d", "Embedding",
    "Flatten", "GroupNorm", "Hardtanh", "HingeLoss", "HuberLoss", "Identity", "InstanceNorm1d", "InstanceNorm2d",
    "KLDivLoss", "L1Loss", "LayerNorm", "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "MSELoss", "MaxPool1d",
    "MaxPool2d", "Module", "ModuleDict", "ModuleList", "NLLLoss", "Normalize", "PReLU", "PairwiseDistance", "Parameter",
    "ParameterList", "ReLU", "ReflectionPad1d", "ReflectionPad2d", "ReplicationPad1d", "ReplicationPad2d", "Rescaling",
    "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Softsign", "StateError", "Step", "Swish",
    "Tanh", "TripletMarginLoss", "Unflatten", "Upsample", "ZeroOneLoss", "ZeroPad1d", "ZeroPad2d", "functional", "init",
]  # fmt: skip
