"""Dense networks: the multilayer perceptron and its simplest case, softmax regression. Both end in raw scores."""

from itertools import pairwise

from pyneuro import nn
from pyneuro.nn import _check, activations


def mlp(in_features, hidden, out_features, *, activation="relu", dropout=0.0, init=None, seed=None):
    """A multilayer perceptron: Linear, activation, [Dropout], ..., Linear. Lectures 001 to 004.

    hidden: sizes of the hidden layers, a number or a sequence; () leaves softmax regression.
    activation: name or class of a layer, see `nn`. dropout: probability to drop behind each hidden layer.
    init: of all weights, see `nn.init`. seed: see `nn.Sequential`.

    Returns a Sequential that maps (N, in_features) to raw scores (N, out_features). Errors as those of `nn.Linear`.

    >>> mlp(2, [4, 2], 1, activation="tanh", seed=0)
    Sequential(
      (0): Linear(in_features=2, out_features=4, bias=True)
      (1): Tanh()
      (2): Linear(in_features=4, out_features=2, bias=True)
      (3): Tanh()
      (4): Linear(in_features=2, out_features=1, bias=True)
    )
    """
    hidden = [hidden] if isinstance(hidden, int) else list(hidden)
    drop = _check.number("mlp", "dropout", dropout, 0, 1)
    layers = []
    for fan_in, out in pairwise([in_features, *hidden]):
        layers.append(nn.Linear(fan_in, out, init=init))
        layers.append(activation() if isinstance(activation, type) else activations.get(activation))
        if drop:
            layers.append(nn.Dropout(drop))
    last = hidden[-1] if hidden else in_features
    return nn.Sequential(*layers, nn.Linear(last, out_features, init=init), seed=seed)


def softmax(in_features, out_features, *, seed=None):
    """Softmax regression: one Linear that gives raw scores (N, out_features); cross-entropy does the rest.

    >>> softmax(64, 10, seed=0)
    Sequential(
      (0): Linear(in_features=64, out_features=10, bias=True)
    )
    """
    return mlp(in_features, (), out_features, seed=seed)
